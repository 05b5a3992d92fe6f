"""Messages and servers that make trouble: none blocks its mailbox, each is reported."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from hub.imap.progress import Skipped, WatcherState
from tests.edges.dovecot import Dovecot
from tests.edges.imap_shop import Shop, at_shop
from tests.edges.scripted_imap import Peer
from tests.edges.watching import (
    BOX,
    address,
    at_dovecot,
    dovecot,
    mail,
)
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

__all__ = ["address", "dovecot"]  # fixtures


async def test_a_message_over_the_limit_is_skipped_reported_and_never_forgotten(
    dovecot: Dovecot, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2, size=5_000), mail(3))
    too_large = (Skipped(2, "too-large"),)
    for _ in range(2):  # after a restart too
        async with at_dovecot(dovecot, address, intake, message_most=2_000, poll=0.2) as one:
            await one.until(lambda: one.watcher.progress.skipped == too_large)
            await one.until(lambda: len(intake.marks) == 2)
            assert intake.cursors[BOX][1] == 1
            assert one.watcher.progress.failures == 0
    assert "1 messages not taken: uid 2 (too-large)" in caplog.text
    async with at_dovecot(dovecot, address, intake, message_most=2_000, poll=0.2) as one:
        await one.until(lambda: one.watcher.progress.skipped == too_large)
        with dovecot.other_client(address) as client:
            client.select("INBOX")
            client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
            client.expunge()
        await one.until(lambda: one.watcher.progress.skipped == ())
        await one.until(lambda: intake.cursors[BOX][1] == 3)
    assert len(intake.arrivals) == 2


async def test_a_message_that_the_server_cannot_give_blocks_nobody_and_is_tried_again(authority: Authority) -> None:
    shop = Shop({n: mail(n) for n in range(1, 6)}, refused={2})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 4)
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(2, "fetch-no-serverbug"),))
        assert one.watcher.progress.failures == 0
        assert intake.cursors[BOX][1] == 1
        shop.refused.clear()
        await one.until(lambda: len(intake.marks) == 5)
        await one.until(lambda: intake.cursors[BOX][1] == 5)
        assert one.watcher.progress.skipped == ()


async def test_a_message_that_kills_the_connection_blocks_nobody(authority: Authority) -> None:
    shop = Shop({n: mail(n) for n in range(1, 6)}, deadly={2})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 4)
        await one.until(lambda: [skipped.uid for skipped in one.watcher.progress.skipped] == [2])
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        assert one.watcher.progress.failures == 0
    assert sorted(a.uid for a in intake.arrivals) == [1, 3, 4, 5]


async def test_a_message_that_is_longer_than_announced_is_whole_or_skipped(authority: Authority) -> None:
    shop = Shop(
        {1: mail(1), 2: mail(2, size=3_000), 3: mail(3, size=9_000), 4: mail(4)}, lies={1: 0, 2: 10, 3: 10, 4: 4_000}
    )
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, piece=1_000, message_most=5_000) as one:
        await one.until(lambda: len(intake.marks) == 3)
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(3, "too-large"),))
    assert sorted(intake.raws.values()) == sorted([mail(1), mail(2, size=3_000), mail(4)])


async def test_a_message_without_a_date_is_received_now(authority: Authority) -> None:
    intake = FakeIntake()
    async with at_shop(authority, Shop({1: mail(1)}), intake) as one:
        await one.until(lambda: len(intake.marks) == 1)
    assert abs((datetime.now(UTC) - intake.arrivals[0].received_at).total_seconds()) < 60


async def test_a_server_that_keeps_no_keywords_gets_a_flag(authority: Authority) -> None:
    shop = Shop({1: mail(1)}, keywords="")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 1)
        assert one.watcher.progress.mark_error == ""
    assert shop.flags == {1: {"\\Flagged"}}


async def test_a_server_that_keeps_no_mark_at_all_is_reported_and_its_mail_accepted(authority: Authority) -> None:
    shop = Shop({1: mail(1), 2: mail(2)}, keywords="", permanent="")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.2) as one:
        await one.until(lambda: len(intake.arrivals) == 2)
        await one.until(lambda: one.watcher.progress.mark_error == "store-no-permanent-flag")
        await one.compared()
        assert (one.watcher.progress.unmarked, one.watcher.progress.failures) == (2, 0)
        shop.keywords = r"\*"
    async with at_shop(authority, shop, intake) as again:  # the operator changed its mind
        await again.until(lambda: len(intake.marks) == 2)
    assert len(intake.arrivals) == 2


async def test_a_server_without_idle_is_polled(authority: Authority) -> None:
    shop = Shop({1: mail(1)}, capabilities="SASL-IR AUTH=EXTERNAL")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.2) as one:
        await one.until(lambda: len(intake.marks) == 1)
        shop.messages[2] = mail(2)
        await one.until(lambda: len(intake.marks) == 2)
    assert shop.idles == 0


async def test_idle_alone_is_not_trusted(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.5) as one:
        await one.until(lambda: shop.idles == 1)
        shop.messages[2] = mail(2)  # and not a word in IDLE
        await one.until(lambda: len(intake.marks) == 2, 3)


async def test_bye_instead_of_idling_means_a_new_connection(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()

    def bye(peer: Peer) -> None:
        if peer.number == 1:
            shop.messages[2] = mail(2)
            peer.say("* BYE timeout")

    shop.on_idle = bye
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 2, 3)
        await one.until(lambda: one.watcher.progress.failures == 0)
