"""What servers say when they cannot, or will not, for now (RFC 5530 and their own words): told by its code, met with
growing patience, and over as soon as they do again.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from hub.imap.progress import Skipped, WatcherState
from tests.edges.dovecot import running_dovecot
from tests.edges.imap_shop import Shop, at_shop
from tests.edges.scripted_imap import Peer
from tests.edges.watching import BOX, mail, mailbox_of, watched
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

CODES = ("UNAVAILABLE", "INUSE", "LIMIT", "THROTTLED")


def saying(shop: Shop, phase: str, text: str) -> None:
    async def no(peer: Peer, _: str) -> bool:
        await peer.no(text)
        return True

    shop.on[phase] = no


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("phase", ["AUTHENTICATE", "SELECT", "NOOP", "SEARCH", "LISTING", "BODY"])
async def test_a_server_that_asks_for_patience_gets_it_and_the_mail_comes_later(
    authority: Authority, phase: str, code: str
) -> None:
    shop = Shop({uid: mail(uid) for uid in range(1, 8)})
    saying(shop, phase, f"[{code}] later")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: one.watcher.progress.failures >= 2)  # a connection each, not a command for each message
        assert one.watcher.progress.last_error.endswith(f"-no-{code.lower()}")
        shop.on.clear()
        await one.until(lambda: len(intake.marks) == 7)
        await one.until(lambda: one.watcher.progress.failures == 0 and one.watcher.progress.skipped == ())
    assert sorted(a.uid for a in intake.arrivals) == list(range(1, 8))


async def test_a_throttling_server_is_not_asked_for_each_message_alone(authority: Authority) -> None:
    shop = Shop({uid: mail(uid) for uid in range(1, 201)})
    asked = 0

    async def throttled(peer: Peer, _: str) -> bool:
        nonlocal asked
        asked += 1
        await peer.no("[THROTTLED] slow down")
        return True

    shop.on["BODY"] = throttled
    async with at_shop(authority, shop, FakeIntake(), poll=60, backoff_first=1, backoff_most=60) as one:
        await one.until(lambda: one.watcher.progress.failures >= 1)
        await asyncio.sleep(0.3)
        assert asked <= 2


@pytest.mark.parametrize("text", ["[OVERQUOTA] full", "[INUSE] locked", "[UNAVAILABLE] later", "[ALERT] read", "no"])
@pytest.mark.parametrize(("phase", "after"), [("STORE", "mark"), ("MOVE", "move")])
async def test_a_refused_mark_or_move_is_told_and_tried_at_each_poll(
    authority: Authority, phase: str, after: str, text: str
) -> None:
    shop = Shop({1: mail(1), 2: mail(2)})
    saying(shop, phase, text)
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, {"after": after}, poll=0.3) as one:
        await one.until(lambda: one.watcher.progress.mark_error.startswith(f"{phase.lower()}-no"))
        await one.compared()
        assert (len(intake.arrivals), one.watcher.progress.unmarked, one.watcher.progress.failures) == (2, 2, 0)
        shop.on.clear()
        await one.until(lambda: len(intake.marks) == 2)
        await one.until(lambda: (one.watcher.progress.mark_error, one.watcher.progress.unmarked) == ("", 0))
    assert len(intake.arrivals) == 2
    assert shop.moved == ({1: 1, 2: 1} if after == "move" else {})


async def test_a_copy_whose_original_cannot_be_deleted_is_made_once(authority: Authority) -> None:
    shop = Shop({1: mail(1)}, capabilities="IDLE UIDPLUS SASL-IR AUTH=EXTERNAL")
    saying(shop, "STORE", "[OVERQUOTA] not now")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, {"after": "move"}, poll=0.2) as one:
        await one.until(lambda: one.watcher.progress.mark_error == "store-no-overquota")
        for _ in range(3):
            await one.compared()
        shop.on.clear()
        await one.until(lambda: len(intake.marks) == 1)
    assert (shop.moved, shop.messages) == ({1: 1}, {})


@pytest.mark.parametrize("after", ["mark", "move"])
async def test_a_read_only_folder_is_read_and_reported(authority: Authority, after: str) -> None:
    shop = Shop({1: mail(1)}, selected="[READ-ONLY]", permanent="", keywords="")
    saying(shop, "MOVE", "[NOPERM] read only")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, {"after": after}, poll=0.2) as one:
        await one.until(lambda: one.watcher.progress.mark_error != "")
        await one.compared()
        assert (len(intake.arrivals), one.watcher.progress.failures) == (1, 0)
    assert (shop.flags, intake.cursors[BOX]) == ({}, (9, 1))


@pytest.mark.parametrize("where", ["GREETING", "NOOP", "IDLE"])
async def test_bye_is_told_with_its_code(authority: Authority, where: str) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()

    async def bye(peer: Peer, _: str) -> bool:
        peer.say("* BYE [UNAVAILABLE] maintenance tonight")
        await peer.silence()
        return True

    shop.on[where] = bye
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: one.watcher.progress.last_error.endswith("bye-unavailable"))
        shop.on.clear()
        await one.until(lambda: len(intake.marks) == 1)
        await one.until(lambda: one.watcher.progress.failures == 0)


@pytest.mark.parametrize("answer", ["NO not today", "BAD what is this", "NO [UNAVAILABLE] later"])
async def test_a_refused_idle_means_polling(authority: Authority, answer: str) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()
    asked = 0

    async def refuse(peer: Peer, _: str) -> bool:
        nonlocal asked
        asked += 1
        peer.say(f"{peer.tag} {answer}")
        return True

    shop.on["IDLE"] = refuse
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 1)
        shop.messages[2] = mail(2)
        await one.until(lambda: len(intake.marks) == 2)
        assert one.watcher.progress.failed_at is None
    assert asked == 1


@pytest.mark.parametrize("ending", ["OK idle is over", "NO idle is over"])
async def test_an_idle_that_the_server_ends_is_heard_at_once(authority: Authority, ending: str) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()
    ended = 0

    async def end(peer: Peer, _: str) -> bool:
        nonlocal ended
        ended += 1
        peer.say("+ idling")
        await asyncio.sleep(0.2)
        shop.messages[2] = mail(2)  # and not a word of it
        peer.say(f"{peer.tag} {ending}")
        return True

    shop.on["IDLE"] = end
    async with at_shop(authority, shop, intake, poll=30) as one:
        began = time.monotonic()
        await one.until(lambda: len(intake.marks) == 2, 8)
        assert time.monotonic() - began < 8
        await asyncio.sleep(1)
        assert one.watcher.progress.failed_at is None
    assert ended <= 12  # a server that always ends it is not asked in a loop


async def test_a_late_idling_means_a_new_connection(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()

    async def late(peer: Peer, _: str) -> bool:
        if peer.number == 1:
            await asyncio.sleep(0.8)
            peer.say("+ idling")
            await peer.silence()
        return False

    shop.on["IDLE"] = late
    async with at_shop(authority, shop, intake, poll=30, command_timeout=0.5) as one:
        await one.until(lambda: "timeout" in [answer for _, answer in intake.connections])
        await one.until(lambda: shop.idles == 1)
    assert len(intake.arrivals) == 1


async def test_one_message_that_is_always_in_use_blocks_no_other(authority: Authority) -> None:
    shop = Shop({uid: mail(uid) for uid in range(1, 6)})

    async def in_use(peer: Peer, words: str) -> bool:
        if 3 in shop._named(words.split(" ")[2]):
            await peer.no("[INUSE] indexing")
            return True
        return False

    shop.on["BODY"] = in_use
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 4)
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(3, "fetch-no-inuse"),))
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)


async def test_too_many_connections_at_a_real_dovecot_pass_by_themselves(authority: Authority) -> None:
    with running_dovecot(authority, "password", "mail_max_userip_connections = 1\n") as dovecot:
        address = "plein@asso.mssante.example"
        dovecot.deliver(address, mail(1))
        mailbox = mailbox_of(address, password_file=dovecot.password_file())
        intake = FakeIntake()
        with dovecot.other_client(address):
            async with watched(mailbox, dovecot.operator(), dovecot.context(address), intake) as one:
                await one.until(lambda: one.watcher.progress.failures >= 1)
                said = one.watcher.progress.last_error
        assert said == "authenticate-no-limit"
        async with watched(mailbox, dovecot.operator(), dovecot.context(address), intake) as one:
            await one.until(lambda: len(intake.marks) == 1)
