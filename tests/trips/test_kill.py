"""kill -9 while messages arrive: the small form of `make kill`, which does more of it and prints the ledger."""

from __future__ import annotations

import random
from pathlib import Path

from bench.kill import campaign
from hub.sandbox.people import usagers_csv
from tests.trips.house import running_site


def test_nothing_is_lost_filed_twice_or_left_unanswered(tmp_path: Path) -> None:
    with running_site(tmp_path, usagers_csv()) as site:
        ledger = campaign(site, 40, 3, random.Random(20261125))
        assert ledger.balances(40), f"{ledger}\n{site.log()[-3000:]}"
