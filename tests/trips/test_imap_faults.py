"""Three mailboxes behind broken networks: the small form of `python -m bench.faults`, which does more of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.faults import campaign, stormy_site


@pytest.mark.timeout(400)
def test_sixty_messages_through_broken_networks_are_each_filed_once(tmp_path: Path) -> None:
    seed = 3
    with stormy_site(tmp_path, seed) as (site, weather):
        account = campaign(site, weather, 60, 20, random.Random(seed))
        log = site.log()
    assert account.balances(60), f"{account}\n{log[-4_000:]}"
    assert sum(account.faults.values()) >= 15
    assert "imap connection lost" in log
