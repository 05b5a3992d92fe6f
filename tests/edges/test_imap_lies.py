"""Answers that are not what was asked: other UIDs, doubled, out of order, cut short, hidden. What is accepted is the
message, whole, under its own UID; what cannot be had is told, never forgotten.
"""

from __future__ import annotations

import asyncio

import pytest

from hub.imap.progress import Skipped, WatcherState
from tests.edges.imap_shop import Shop, at_shop
from tests.edges.scripted_imap import Peer
from tests.edges.watching import BOX, mail
from tests.fakes_imap import FakeIntake
from tests.pki import Authority


def body(uid: int, raw: bytes, offset: int = 0) -> bytes:
    return b"* %d FETCH (UID %d BODY[]<%d> {%d}\r\n%b)\r\n" % (uid, uid, offset, len(raw), raw)


async def test_fetch_answers_for_uids_that_were_not_asked_are_not_taken(authority: Authority) -> None:
    shop = Shop({1: mail(1), 2: mail(2)})

    async def more(peer: Peer, words: str) -> bool:
        for uid in (0, 7, 4_294_967_295, 99_999_999_999):
            if "BODY" in words:
                peer.say(body(uid, b"Subject: d'un autre\r\n\r\n"))
            else:
                peer.say(f"* 9 FETCH (UID {uid} RFC822.SIZE 12 FLAGS ($HubAccepted))")
        peer.say(b"* 1 FETCH (BODY[]<0> {3}\r\nabc)\r\n")  # of no UID at all
        return False

    shop.on["LISTING"] = shop.on["BODY"] = shop.on["FLAGS"] = more
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
        assert one.watcher.progress.failed_at is None
    assert {a.uid: raw for a, raw in zip(intake.arrivals, intake.raws.values(), strict=True)} == {
        1: mail(1),
        2: mail(2),
    }
    assert intake.cursors[BOX] == (9, 2)


async def test_the_same_uid_twice_and_uids_out_of_order_are_each_one_message(authority: Authority) -> None:
    shop = Shop({uid: mail(uid) for uid in range(1, 6)})

    async def shuffled(peer: Peer, words: str) -> bool:
        uids = [5, 1, 3, 1, 5, 2, 4, 4]
        for uid in uids:
            if "BODY" in words:
                peer.say(body(uid, mail(uid)))
            else:
                peer.say(f"* {uid} FETCH (UID {uid} RFC822.SIZE {len(mail(uid))} FLAGS ())")
        await peer.ok()
        return True

    async def search(peer: Peer, _: str) -> bool:
        peer.say("* SEARCH 5 3 3 1")
        peer.say("* SEARCH 2 4 5")
        await peer.ok()
        return True

    shop.on = {"LISTING": shuffled, "BODY": shuffled, "SEARCH": search}
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 5)
        assert one.watcher.progress.failed_at is None
    assert sorted(a.uid for a in intake.arrivals) == [1, 2, 3, 4, 5]
    assert sorted(intake.raws.values()) == sorted(mail(uid) for uid in range(1, 6))


async def test_a_server_that_gives_less_than_was_asked_cuts_no_message(authority: Authority) -> None:
    shop = Shop({1: mail(1), 2: mail(2, size=900), 3: mail(3, size=2_000)})

    async def short(peer: Peer, words: str) -> bool:
        offset, _, length = words.rpartition("<")[2].rstrip(">)").partition(".")
        for uid in shop._named(words.split(" ")[2]):
            piece = shop.messages[uid][int(offset) :][: min(int(length), 300)]  # 300 bytes at most in one answer
            peer.say(body(uid, piece, int(offset)))
        await peer.ok()
        return True

    shop.on["BODY"] = short
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 3)
    assert sorted(intake.raws.values()) == sorted(shop.messages.values())


@pytest.mark.parametrize("wrong", [-90, -1, 1, 10_000])
async def test_a_size_that_lies_changes_no_message(authority: Authority, wrong: int) -> None:
    shop = Shop({1: mail(1), 2: mail(2, size=70_000), 3: mail(3)})
    shop.lies = {uid: len(raw) + wrong for uid, raw in shop.messages.items()}
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, piece=65_536) as one:
        await one.until(lambda: len(intake.marks) == 3)
    assert sorted(intake.raws.values()) == sorted(shop.messages.values())


async def test_a_message_of_no_announced_size_is_read(authority: Authority) -> None:
    shop = Shop({1: mail(1)})

    async def sizeless(peer: Peer, _: str) -> bool:
        peer.say("* 1 FETCH (UID 1 FLAGS ())")
        await peer.ok()
        return True

    shop.on["LISTING"] = sizeless
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 1)
    assert list(intake.raws.values()) == [mail(1)]


@pytest.mark.parametrize("phase", ["LISTING", "BODY"])
async def test_a_message_that_search_names_and_fetch_hides_is_told_and_never_forgotten(
    authority: Authority, phase: str
) -> None:
    shop = Shop({1: mail(1), 2: mail(2), 3: mail(3)})
    hidden = {2}

    async def hide(peer: Peer, words: str) -> bool:
        shop.hidden = hidden
        return False

    async def show(peer: Peer, words: str) -> bool:
        shop.hidden = set()
        return False

    shop.on = {"LISTING": hide if phase == "LISTING" else show, "BODY": hide if phase == "BODY" else show}
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(2, "fetch-nothing"),))
        await one.until(lambda: len(intake.marks) == 2)
        assert intake.cursors[BOX][1] == 1
        hidden.clear()
        await one.until(lambda: len(intake.marks) == 3)
        await one.until(lambda: one.watcher.progress.skipped == () and intake.cursors[BOX][1] == 3)


async def test_an_answer_that_comes_late_is_never_that_of_the_next_command(authority: Authority) -> None:
    """UIDs 1 and 2 swap their bodies if a late answer is taken for the next one's."""
    shop = Shop({1: mail(1, size=3_000), 2: mail(2, size=3_000)})
    late = 0

    async def slow(peer: Peer, words: str) -> bool:
        nonlocal late
        if late < 3:
            late += 1
            await asyncio.sleep(0.7)
        return False

    shop.on["BODY"] = slow
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, piece=2_000, command_timeout=0.5, poll=0.5) as one:
        await one.until(lambda: len(intake.marks) == 2, 15)
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
    assert "timeout" in [answer for _, answer in intake.connections]
    by_uid = {arrival.uid: raw for arrival, raw in zip(intake.arrivals, intake.raws.values(), strict=True)}
    assert by_uid == shop.messages
