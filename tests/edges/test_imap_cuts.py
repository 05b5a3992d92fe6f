"""One whole session with a real Dovecot, cut at random places in both directions: each time every message ends accepted
exactly once, marked or moved once, and no blob is left open.

`HUB_TEST_CUTS` sets how many cuts are tried, `HUB_TEST_SEED` where.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from hub.imap.progress import WatcherState
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.proxy import Direction, fault_proxy
from tests.edges.watching import mail, mailbox_of, watched
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

CUTS = int(os.environ.get("HUB_TEST_CUTS", "120"))
SEED = int(os.environ.get("HUB_TEST_SEED", "20261125"))
TOGETHER = 8
MAILS = [mail(1), mail(2, size=5_000), mail(3, size=150_000, with_id=False), mail(4), mail(5, size=70_000)]
SETTINGS: dict[str, Any] = {"piece": 65_536, "poll": 0.5, "idle_renewal": 1}


@pytest.fixture(scope="module")
def by_password(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "password") as running:
        yield running


async def _session(dovecot: Dovecot, number: int, cut: tuple[int, Direction] | None) -> tuple[int, int]:
    """One mailbox through one cut; the bytes that passed up and down until all was marked."""
    moves = number % 3 == 0
    address = f"coupe{number}@asso.mssante.example"
    dovecot.deliver(address, *MAILS)
    intake = FakeIntake()
    box = {"after": "move"} if moves else {}
    mailbox = mailbox_of(address, password_file=dovecot.password_file(), **box)
    async with fault_proxy(dovecot.imaps_port) as proxy:
        if cut is not None:
            proxy.cut_after(*cut)
        operator = dovecot.operator(port=proxy.port)
        async with watched(mailbox, operator, dovecot.context(address), intake, **SETTINGS) as one:
            await one.until(lambda: len(intake.marks) == len(MAILS), 30)
            await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
            passed = proxy.passed["up"], proxy.passed["down"]
    assert sorted(intake.raws.values()) == sorted(MAILS), (number, cut)
    assert sorted(a.uid for a in intake.arrivals) == [1, 2, 3, 4, 5], (number, cut)
    assert not any(blob.is_open for blob in intake.blobs), (number, cut)
    if moves:
        filed = [path for part in ("new", "cur") for path in (dovecot.maildir(address, "Traites") / part).iterdir()]
        assert len(filed) == len(MAILS), (number, cut)
    return passed


async def test_a_session_cut_at_any_place_accepts_each_message_exactly_once(by_password: Dovecot) -> None:
    up, down = await _session(by_password, 1, None)
    assert down > sum(map(len, MAILS))
    chance = random.Random(SEED)
    cuts: list[tuple[int, Direction]] = [
        (chance.randrange(1, up), "up") if number % 4 == 0 else (chance.randrange(1, down), "down")
        for number in range(CUTS)
    ]
    gate = asyncio.Semaphore(TOGETHER)

    async def one_cut(number: int, cut: tuple[int, Direction]) -> None:
        async with gate:
            await _session(by_password, number, cut)

    await asyncio.gather(*(one_cut(number, cut) for number, cut in enumerate(cuts, start=2)))
