"""The session: answers read right, and the death of a connection (libs.md §2, §10 rows 10 to 12, 16)."""

from __future__ import annotations

import asyncio
import time

import pytest

from hub.imap.failures import ConnectionLost
from hub.imap.folder import Folder
from tests.edges.scripted_imap import Peer
from tests.edges.sessions import PIECE, in_clear


async def test_the_flags_of_nine_thousand_messages_are_read_in_less_than_a_second() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say(b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (n, n) for n in range(1, 9_001)))
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        started = time.monotonic()
        reply = await session.command("FETCH", "1:*", "(UID FLAGS)", by_uid=True, keeps=(b"FETCH",))
        assert len(reply.answers) == 9_000
        assert time.monotonic() - started < 1


async def test_ten_thousand_expunge_lines_in_one_read_do_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say(b"* 1 EXPUNGE\r\n" * 10_000)
        await peer.ok()
        await peer.expect("NOOP")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        await session.noop()
        await session.noop()


async def test_a_subject_with_stars_arrives_as_it_is() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say('* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)] "Message-ID: <a* b * c@d>\\\\")')
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        assert await folder.message_id(1) == "<a* b * c@d>\\"


async def test_a_status_text_that_looks_like_a_literal_is_only_text() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say("* OK see page {12}")
        await peer.ok("see page {13}")
        await peer.silence()

    async with in_clear(script, deadline=1) as (session, _, _):
        await session.noop()


async def test_folder_names_are_quoted_and_encoded_on_the_wire() -> None:
    async def script(peer: Peer) -> None:
        await peer.select()
        await peer.silence()

    async with in_clear(script) as (session, _, server):
        await Folder.select(session, "Boîte d'accueil & Cie")
        assert server.heard[-1].endswith(' SELECT "Bo&AO4-te d\'accueil &- Cie"')


async def test_unasked_answers_between_ours_are_not_taken_for_ours() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say("* 1 FETCH (UID 3 FLAGS (\\Seen))")  # another client marks meanwhile
        peer.say("* 9 EXISTS")
        peer.say("* 1 FETCH (UID 3 BODY[]<0> {2}")
        peer.say("ab)")
        peer.say("* 1 FETCH (UID 3 FLAGS ())")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, folder, _):
        assert await folder.raws([3], PIECE) == {3: b"ab"}
        assert session.exists == 9


async def test_a_reset_during_idle_is_heard_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")
        peer.say("+ idling")
        await asyncio.sleep(0.1)
        peer.reset()

    async with in_clear(script) as (session, _, _):
        started = time.monotonic()
        with pytest.raises(ConnectionLost):
            await session.idle(60, asyncio.Event())
        assert time.monotonic() - started < 1
        with pytest.raises(ConnectionLost):
            await session.noop()


async def test_bye_instead_of_idling_is_heard_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")
        peer.say("* BYE timeout")
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        started = time.monotonic()
        with pytest.raises(ConnectionLost, match="bye"):
            await session.idle(60, asyncio.Event())
        assert time.monotonic() - started < 1


async def test_a_close_instead_of_idling_is_heard_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="closed"):
            await session.idle(60, asyncio.Event())


async def test_idle_that_never_begins_meets_our_deadline() -> None:
    async with in_clear(Peer.silence, deadline=0.3) as (session, _, _):
        with pytest.raises(ConnectionLost, match="timeout"):
            await session.idle(60, asyncio.Event())


async def test_idle_that_never_ends_meets_our_deadline() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")
        peer.say("+ idling")
        await peer.silence()

    async with in_clear(script, deadline=0.3) as (session, _, server):
        with pytest.raises(ConnectionLost, match="timeout"):
            await session.idle(0.1, asyncio.Event())
        assert server.heard[-1] == "DONE"


async def test_a_late_answer_is_never_taken_for_that_of_the_next_command() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID SEARCH")
        await asyncio.sleep(0.4)
        peer.say("* SEARCH 1 2 3")
        await peer.ok()
        await peer.silence()

    async with in_clear(script, deadline=0.2) as (session, folder, _):
        with pytest.raises(ConnectionLost, match="timeout"):
            await folder.uids_from(1)
        with pytest.raises(ConnectionLost, match="timeout"):
            await folder.uids_from(1)
        assert session.is_lost


async def test_a_cancelled_command_closes_the_connection() -> None:
    async with in_clear(Peer.silence) as (session, folder, _):
        running = asyncio.ensure_future(folder.uids_from(1))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        with pytest.raises(ConnectionLost, match="cancelled"):
            await session.noop()


@pytest.mark.parametrize("answer", ["XX1 OK late", "* ", "nonsense", "", "+ go on", "A1 PERHAPS"])
async def test_an_answer_that_nobody_asked_for_closes_the_connection(answer: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        if answer == "* ":
            peer.say(b"\xff\xfe\r\n")
        else:
            peer.say(answer)
        await peer.silence()

    async with in_clear(script, deadline=2) as (session, _, _):
        with pytest.raises(ConnectionLost, match="unexpected"):
            await session.noop()


async def test_commands_wait_for_their_turn() -> None:
    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.expect("NOOP")
            await asyncio.sleep(0.05)
            await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, _, server):
        await asyncio.gather(session.noop(), session.noop())
        assert len(server.heard) == 4
