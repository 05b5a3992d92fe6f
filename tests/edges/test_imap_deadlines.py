"""What a watcher waits for beside the server has deadlines too: the spool, the hint, its own keys; and a slow line is
given time by smaller pieces, not by longer deadlines.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from datetime import UTC, datetime

import pytest

from hub.imap import failures, fetcher, reader
from hub.imap.reader import Watcher
from hub.ports import Arrival
from tests.edges.imap_shop import Shop, at_shop, open_shop, operator_at
from tests.edges.scripted_imap import Peer
from tests.edges.watching import mail, mailbox_of, watched, watching
from tests.fakes_imap import FakeIntake
from tests.pki import Authority
from tests.ways import way_to


async def test_a_spool_that_hangs_is_told_and_asked_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "SPOOL_DEADLINE", 0.3)
    hangs = True

    async def hang(_: Arrival) -> None:
        if hangs:
            await asyncio.Event().wait()

    shop, intake = Shop({1: mail(1), 2: mail(2)}), FakeIntake(before_accept=hang)
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: one.watcher.progress.last_error == "spool-timeout")
        assert shop.flags == {}
        hangs = False
        await one.until(lambda: len(intake.marks) == 2 and one.watcher.progress.failures == 0)
    assert len(intake.arrivals) == 2
    assert not any(blob.is_open for blob in intake.blobs)


async def test_a_hint_that_hangs_is_lost_and_the_mark_is_set(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "HINT_DEADLINE", 0.3)

    async def hang(_: str) -> None:
        await asyncio.Event().wait()

    shop, intake = Shop({1: mail(1)}), FakeIntake()
    async with open_shop(authority, shop) as server:
        mailbox, operator = mailbox_of("boite@asso.mssante.example"), operator_at(server.port, authority)
        async with watched(mailbox, operator, authority.client_context(), intake, hang) as one:
            await one.until(lambda: len(intake.marks) == 1)
            assert one.watcher.progress.failed_at is None


async def test_keys_on_a_disk_that_hangs_take_one_thread_and_are_told(authority: Authority) -> None:
    shop, intake = Shop({1: mail(1)}), FakeIntake()
    disk, asked = threading.Event(), 0

    def context() -> ssl.SSLContext:
        nonlocal asked
        asked += 1
        disk.wait(20)
        return authority.client_context()

    async with open_shop(authority, shop) as server:
        watcher = Watcher(
            mailbox_of("boite@asso.mssante.example"),
            operator := operator_at(server.port, authority),
            watching(connect_timeout=0.2),
            intake,
            way_to(operator.imap, context),
            lambda _: None,
            lambda: datetime.now(UTC),
        )
        stop = asyncio.Event()
        running = asyncio.create_task(watcher.run(stop))
        for _ in range(500):
            await asyncio.sleep(0.01)
            if watcher.progress.failures >= 3:
                break
        assert watcher.progress.last_error == "keys-timeout"
        assert asked == 1
        disk.set()
        for _ in range(500):
            await asyncio.sleep(0.01)
            if intake.marks:
                break
        stop.set()
        await running
    assert len(intake.marks) == 1


async def test_a_message_too_slow_for_the_deadline_comes_in_smaller_pieces(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetcher, "PIECE_LEAST", 1_000)
    shop = Shop({1: mail(1), 2: mail(2, size=40_000), 3: mail(3)})

    async def slow(peer: Peer, words: str) -> bool:
        length = int(words.rpartition(".")[2].rstrip(">)"))
        if 2 in shop._named(words.split(" ")[2]):
            await asyncio.sleep(min(length, 40_000) / 30_000)  # 1.3 s for the whole, where the deadline is 1 s
        return False

    shop.on["BODY"] = slow
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, command_timeout=1, poll=30, piece=64_000) as one:
        await one.until(lambda: len(intake.marks) == 3, 20)
    assert sorted(intake.raws.values()) == sorted(shop.messages.values())
    assert "timeout" in [answer for _, answer in intake.connections]
