"""Every fault at every phase of a session with a real Dovecot: no hang beyond our deadline, no loss, no twin, the
fault is told, the mailbox recovers by itself, and its neighbours never notice.

One test is one fault; its phases are tried at the same time, a mailbox and a watcher each.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from hub.imap.progress import WatcherState
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.imap_tap import ACTS, Act, tapped
from tests.edges.watching import Watched, mail, mailbox_of, watched
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

PHASES = (
    "GREETING", "CAPABILITY", "AUTHENTICATE", "SELECT", "NOOP", "SEARCH", "LISTING", "BODY", "STORE", "FLAGS", "MOVE",
    "IDLE", "DONE",
)  # fmt: skip
DEADLINE = 1.0
HEARD_AS = {
    "reset": {"reset", "closed"},
    "fin": {"closed"},
    "cut": {"reset", "closed"},
    "bye": {"bye-unavailable", "greeting-bye-unavailable"},
}  # the others meet our deadline
SETTINGS: dict[str, Any] = {"command_timeout": DEADLINE, "connect_timeout": DEADLINE, "idle_renewal": 1, "poll": 0.6}


@pytest.fixture(scope="module")
def by_password(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "password") as running:
        yield running


@asynccontextmanager
async def at(dovecot: Dovecot, name: str, intake: FakeIntake, port: int, **box: object) -> AsyncIterator[Watched]:
    address = f"{name.lower()}@asso.mssante.example"
    mailbox = mailbox_of(address, password_file=dovecot.password_file(), **box)
    async with watched(mailbox, dovecot.operator(port=port), dovecot.context(address), intake, **SETTINGS) as one:
        yield one


@pytest.mark.parametrize("act", ACTS)
async def test_a_fault_at_any_phase_loses_nothing_and_disturbs_nobody(by_password: Dovecot, act: Act) -> None:
    neighbour = FakeIntake()
    async with at(by_password, f"sain-{act}", neighbour, by_password.imaps_port) as healthy:
        await healthy.until(lambda: healthy.watcher.progress.state is WatcherState.WAITING)
        waited: list[float] = []
        serving = asyncio.create_task(_serve(by_password, f"sain-{act}@asso.mssante.example", healthy, waited))
        await asyncio.gather(*(_at_phase(by_password, phase, act) for phase in PHASES))
        await healthy.until(lambda: len(waited) >= 2, 20)
        serving.cancel()
        assert healthy.watcher.progress.failed_at is None
    assert max(waited) < 8  # seconds, on any machine: no fault of a neighbour's is waited for


async def _at_phase(dovecot: Dovecot, phase: str, act: Act) -> None:
    intake = FakeIntake()
    name = f"{phase}-{act}"
    address = f"{name.lower()}@asso.mssante.example"
    mails = [mail(1), mail(2, size=3_000, with_id=False), mail(3)]
    dovecot.deliver(address, *mails[:2])
    box = {"after": "move"} if phase == "MOVE" else {}
    async with AsyncExitStack() as stack:
        tap = await stack.enter_async_context(tapped(dovecot, phase, act, late=DEADLINE + 0.5))
        one = await stack.enter_async_context(at(dovecot, name, intake, tap.port, **box))
        began = time.monotonic()
        await one.until(lambda: tap.hits == 1, 20)
        dovecot.deliver(address, mails[2])
        await one.until(lambda: one.watcher.progress.failed_at is not None and len(intake.marks) == 3, 20)
        await one.until(lambda: one.watcher.progress.failures == 0 and one.watcher.progress.unmarked == 0)
        assert time.monotonic() - began < 25
    assert sorted(intake.raws.values()) == sorted(mails), phase
    assert sorted(a.uid for a in intake.arrivals) == [1, 2, 3], phase
    assert not any(blob.is_open for blob in intake.blobs), phase
    answers = {answer for _, answer in intake.connections}
    assert answers & HEARD_AS.get(act, {"timeout"}), (phase, answers)
    if phase == "MOVE":
        with dovecot.other_client(address) as client:
            assert client.select("Traites", readonly=True) == ("OK", [b"3"])
            assert client.select("INBOX", readonly=True) == ("OK", [b"0"])


async def _serve(dovecot: Dovecot, address: str, healthy: Watched, waited: list[float]) -> None:
    """Mail for the neighbour, one at a time; how long each took."""
    number = 0

    def accepted(wanted: int) -> bool:
        return healthy.watcher.progress.accepted == wanted

    while True:
        number += 1
        began = time.monotonic()
        dovecot.deliver(address, mail(number))
        await healthy.until(partial(accepted, number), 10)
        waited.append(time.monotonic() - began)
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("act", ["reset", "hole-up", "hole-down", "hole-both", "bye", "half-line"])
async def test_a_fault_at_logout_holds_nobody_up(by_password: Dovecot, act: Act) -> None:
    intake = FakeIntake()
    by_password.deliver(f"adieu-{act}@asso.mssante.example", mail(1))
    async with tapped(by_password, "LOGOUT", act) as tap:
        async with at(by_password, f"adieu-{act}", intake, tap.port) as one:  # ends within STOP_GRACE, see `watched`
            await one.until(lambda: len(intake.marks) == 1)
            await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        assert tap.hits == 1
