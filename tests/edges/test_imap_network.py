"""Broken networks between the watcher and a real Dovecot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from itertools import pairwise

import pytest

from hub import settings
from hub.errors import Temporary
from hub.imap.progress import WatcherState
from tests.edges.dovecot import Dovecot
from tests.edges.proxy import fault_proxy
from tests.edges.scripted_imap import Peer, scripted, server_context
from tests.edges.watching import (
    address,
    at_dovecot,
    dovecot,
    mail,
    mailbox_of,
    watched,
)
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

__all__ = ["address", "dovecot"]  # fixtures


@pytest.mark.parametrize("directions", [("up",), ("down",), ("up", "down")])
async def test_a_black_hole_means_a_new_connection_within_the_deadline(
    dovecot: Dovecot, address: str, directions: tuple[str, ...]
) -> None:
    intake = FakeIntake()
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, idle_renewal=1, command_timeout=1) as one,
    ):
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        for direction in directions:
            proxy.swallow("up" if direction == "up" else "down")
        started = time.monotonic()
        dovecot.deliver(address, mail(1))
        await one.until(lambda: one.watcher.progress.failures > 0)
        assert time.monotonic() - started < 3.5  # renewal + deadline + room
        assert one.watcher.progress.last_error == "timeout"
        proxy.heal()
        await one.until(lambda: len(intake.marks) == 1)


async def test_the_journal_tells_each_change_of_the_connection_once(dovecot: Dovecot, address: str) -> None:
    # ECO.4.1.2: what the server answered, failures included.
    intake = FakeIntake()
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, idle_renewal=1, command_timeout=1) as one,
    ):
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        proxy.swallow("up", "down")
        await one.until(lambda: one.watcher.progress.failures > 1)
        proxy.heal()
        await one.until(lambda: len(intake.connections) > 2)
    answers = [answer for _, answer in intake.connections]
    assert (answers[0], answers[1], answers[-1]) == ("open", "timeout", "open")
    assert all(first != second for first, second in pairwise(answers))
    assert {request for request, _ in intake.connections} == {f"imap localhost:{proxy.port}"}


async def test_a_journal_that_breaks_stops_no_watcher(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake(tell_fails=True)
    dovecot.deliver(address, mail(1))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 1)


async def test_cuts_at_any_place_lose_nothing_and_double_nothing(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    mails = [mail(n, size=2_000) for n in range(1, 31)]
    dovecot.deliver(address, *mails)

    def reconnected(before: int) -> bool:
        return proxy.connections > before or len(intake.marks) == 30

    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, piece=8_192, poll=0.3) as one,
    ):
        for count in (3_000, 9_000, 12_345, 20_001, 7_777):
            proxy.cut_after(count)
            await one.until(partial(reconnected, proxy.connections))
        await one.until(lambda: len(intake.marks) == 30)
    assert sorted(intake.raws.values()) == sorted(mails)
    assert sorted(a.uid for a in intake.arrivals) == list(range(1, 31))
    assert not any(blob.is_open for blob in intake.blobs)


async def test_one_mailbox_down_does_not_slow_another(dovecot: Dovecot, authority: Authority, address: str) -> None:
    healthy, sick = FakeIntake(), FakeIntake()

    async def flood(peer: Peer) -> None:
        await peer.log_in()
        await peer.select()
        with contextlib.suppress(OSError):
            while True:
                peer.say(b"* 1 EXISTS\r\n" * 1_000)
                await peer.writer.drain()
                await asyncio.sleep(0)  # this server shares our loop, which `drain` alone never gives back

    async def rate() -> float:
        dovecot.deliver(address, *(mail(n) for n in range(len(healthy.raws), len(healthy.raws) + 50)))
        started = time.monotonic()
        wanted = len(healthy.marks) + 50
        await good.until(lambda: len(healthy.marks) == wanted)
        return time.monotonic() - started

    shop_leaf = server_context(authority.issue("flood", "localhost"))
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        scripted(flood, shop_leaf) as server,
        at_dovecot(dovecot, address, healthy) as good,
    ):
        await good.until(lambda: good.watcher.progress.state is WatcherState.WAITING)
        alone = await rate()
        proxy.swallow("up", "down")
        endpoint = settings.Endpoint(host="localhost", port=server.port, tls="implicit")
        operator = settings.Operator(name="operateur", imap=endpoint, smtp=endpoint, ca_file=authority.ca_file)
        mailbox = mailbox_of("inonde@asso.mssante.example")
        async with (
            at_dovecot(dovecot, "autre@asso.mssante.example", sick, port=proxy.port, connect_timeout=1) as bad,
            watched(mailbox, operator, authority.client_context(), sick, backoff_first=2, backoff_most=2) as flooded,
        ):
            await flooded.until(lambda: flooded.watcher.progress.failures > 0)
            accompanied = await rate()
            assert flooded.watcher.progress.compared_at is None
            assert bad.watcher.progress.compared_at is None
    assert accompanied < alone + 1.5
    assert good.watcher.progress.failures == 0


async def test_a_refused_certificate_waits_for_a_human(dovecot: Dovecot, authority: Authority, address: str) -> None:
    operator = dovecot.operator()
    context = authority.client_context()  # without a certificate
    async with watched(mailbox_of(address), operator, context, FakeIntake(), backoff_most=60) as one:
        await one.until(lambda: one.watcher.progress.state is WatcherState.BACKING_OFF)
        await asyncio.sleep(0.3)
        progress = one.watcher.progress
    assert progress.failures <= 3
    assert progress.last_error != ""
    assert progress.compared_at is None


async def test_no_address_subject_or_message_id_is_logged(
    dovecot: Dovecot, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    intake = FakeIntake(failing={1: Temporary("ENOSPC")})
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
    for word in (address, "Bilan", "expediteur", "Corps"):
        assert word not in caplog.text
    assert "ENOSPC, failure 1" in caplog.text  # what the sysadmin must repair is named
