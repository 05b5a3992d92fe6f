"""UIDVALIDITY, UIDNEXT and UIDs that change, lie or are missing: everything is offered again, nothing filed twice."""

from __future__ import annotations

import pytest

from hub.imap import folder as folder_module
from tests.edges.imap_shop import Shop, at_shop
from tests.edges.scripted_imap import Peer
from tests.edges.sessions import in_clear
from tests.edges.watching import BOX, mail
from tests.fakes_imap import FakeIntake
from tests.pki import Authority


@pytest.mark.parametrize("phase", ["NOOP", "IDLE", "SEARCH"])
async def test_an_epoch_that_changes_inside_a_session_is_met_at_once(authority: Authority, phase: str) -> None:
    shop = Shop({1: mail(1), 2: mail(2, with_id=False)})
    intake = FakeIntake()

    async def renewed(peer: Peer, _: str) -> bool:
        if len(intake.marks) == 2 and shop.epoch == "[UIDVALIDITY 9]":
            shop.epoch = "[UIDVALIDITY 10]"
            shop.messages = {1: mail(3), 2: mail(1), 3: mail(2, with_id=False)}  # the same UIDs name others
            shop.flags.clear()
            peer.say("+ idling" if phase == "IDLE" else "* OK still here")
            peer.say("* OK [UIDVALIDITY 10] restored from a backup")
            await peer.silence()
        return False

    shop.on[phase] = renewed
    async with at_shop(authority, shop, intake, poll=0.5) as one:
        await one.until(lambda: len(intake.marks) == 5)
        await one.until(lambda: one.watcher.progress.uidvalidity == 10 and one.watcher.progress.failures == 0)
    assert "uidvalidity-changed" in [answer for _, answer in intake.connections]
    assert one.told == ["m1", "m2", "m3"]
    assert sorted(intake.raws.values()) == sorted([mail(1), mail(2, with_id=False), mail(3)])
    assert intake.cursors[BOX] == (10, 3)


async def test_the_same_epoch_said_again_changes_nothing(authority: Authority) -> None:
    shop = Shop({1: mail(1)})

    async def repeated(peer: Peer, _: str) -> bool:
        peer.say("* OK [UIDVALIDITY 9] as before")
        return False

    shop.on["NOOP"] = shop.on["SEARCH"] = repeated
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.2) as one:
        await one.until(lambda: len(intake.marks) == 1)
        await one.compared()
        assert one.watcher.progress.failed_at is None


@pytest.mark.parametrize("epoch", ["", "[UIDVALIDITY 0]", "[UIDVALIDITY 4294967296]", f"[UIDVALIDITY {'9' * 5_000}]"])
async def test_without_an_epoch_nothing_is_read_until_there_is_one(authority: Authority, epoch: str) -> None:
    shop = Shop({1: mail(1)}, epoch=epoch)
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: "no-uidvalidity" in [answer for _, answer in intake.connections])
        assert intake.arrivals == []
        shop.epoch = "[UIDVALIDITY 4294967295]"
        await one.until(lambda: len(intake.marks) == 1)
    assert intake.cursors[BOX] == (4294967295, 1)


@pytest.mark.parametrize("next_uid", ["", "[UIDNEXT 0]", "[UIDNEXT 1]", "[UIDNEXT 4294967295]", "[UIDNEXT x]"])
async def test_uidnext_may_be_missing_or_a_lie(authority: Authority, next_uid: str) -> None:
    shop = Shop({1: mail(1), 7: mail(2)})

    async def select(peer: Peer, _: str) -> bool:
        if next_uid:
            peer.say(f"* OK {next_uid} next")
        return False

    shop.on["SELECT"] = select
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
        shop.messages[8] = mail(3)
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 3)
    assert len(intake.arrivals) == 3


async def test_uids_that_do_not_last_are_read_again_and_never_marked_or_moved_blindly(authority: Authority) -> None:
    """UIDNOTSTICKY: at the next connection UID 1 is another message, under the same UIDVALIDITY."""
    shop = Shop({1: mail(1), 2: mail(2)}, keywords="", permanent="")  # keeps no mark: both stay unmarked

    async def select(peer: Peer, _: str) -> bool:
        peer.say("* NO [UIDNOTSTICKY] UIDs do not last")
        return False

    shop.on["SELECT"] = select
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.arrivals) == 2 and one.watcher.progress.compared_at is not None)
    shop.messages = {1: mail(3), 2: mail(1), 3: mail(2)}
    async with at_shop(authority, shop, intake, {"after": "move"}) as again:
        await again.until(lambda: not shop.messages)
        await again.until(lambda: again.watcher.progress.compared_at is not None)
    assert again.told == ["m3"]
    assert sorted(intake.raws.values()) == sorted([mail(1), mail(2), mail(3)])
    # Not one was moved before its bytes of this connection were accepted.
    first_mark = next(i for i, (event, _) in enumerate(intake.events) if event == "marked")
    assert [event for event, _ in intake.events[:first_mark]].count("accept") >= 3


async def test_a_folder_that_is_closed_under_us_is_opened_again(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()

    async def closed(peer: Peer, _: str) -> bool:
        if peer.number == 1 and intake.marks:
            shop.messages[2] = mail(2)
            peer.say("* OK [CLOSED] previous mailbox closed")
            await peer.silence()
        return False

    shop.on["NOOP"] = closed
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 2)
    assert "folder-closed" in [answer for _, answer in intake.connections]


async def test_a_big_folder_is_read_look_by_look_and_nothing_is_left_out(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module, "WINDOW", 10)
    monkeypatch.setattr(folder_module, "WINDOWS_MOST", 3)
    uids = [*range(1, 41), 95, 333, 1_000]
    shop = Shop({uid: mail(uid) for uid in uids})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == len(uids))
        await one.until(lambda: one.watcher.progress.compared_at is not None)
        assert one.watcher.progress.last_uid == 1_000
        assert one.watcher.progress.failed_at is None
    assert sorted(a.uid for a in intake.arrivals) == uids
    assert intake.cursors[BOX] == (9, 1_000)


async def test_a_look_ends_in_bounded_time_whatever_is_said_of_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_module, "WINDOWS_MOST", 5)

    async def script(peer: Peer) -> None:
        await peer.expect(r"UID SEARCH UID \*")
        peer.say("* SEARCH 4294967295")
        await peer.ok()
        for _ in range(5):
            await peer.expect("UID SEARCH UID [0-9]+:[0-9]+")
            peer.say("* SEARCH 3 999999")  # outside the window: not asked, not taken
            await peer.ok()
        await peer.silence()

    async with in_clear(script, exists=4_000_000_000) as (session, folder, _):
        look = await folder.look(10)
        assert (look.uids, look.until, look.is_whole) == ((), 9 + 5 * folder_module.WINDOW, False)
        assert session.exists == 4_000_000_000
