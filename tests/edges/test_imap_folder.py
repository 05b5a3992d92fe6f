"""A selected folder: fetching in pieces, big folders, marks and moves without extensions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from hub.imap.failures import CommandRefused, ConnectionLost, MessageGone, MessageTooLarge
from hub.imap.folder import Folder
from hub.imap.session import Session
from tests.edges.scripted_imap import Peer, scripted
from tests.edges.sessions import in_clear


def serving(raw: bytes, beyond: str = "{0}") -> Callable[[Peer], Awaitable[None]]:
    """A script that serves one message of UID 1 by partial FETCH."""

    async def script(peer: Peer) -> None:
        while True:
            words = await peer.expect("UID FETCH")
            offset, _, length = words.partition("<")[2].rstrip(">)").partition(".")
            piece = raw[int(offset) : int(offset) + int(length)]
            if piece or beyond == "{0}":
                peer.say(b"* 1 FETCH (UID 1 BODY[]<%d> {%d}\r\n%b)\r\n" % (int(offset), len(piece), piece))
            else:
                peer.say(f"* 1 FETCH (UID 1 BODY[]<{offset}> {beyond})")
            await peer.ok()

    return script


async def fetched(folder: Folder, piece: int, announced: int, most: int = 10_000) -> bytes:
    raw = bytearray()

    async def write(part: bytes) -> None:
        assert 0 < len(part) <= piece
        raw.extend(part)

    assert await folder.raw(1, write, piece, most, announced) == len(raw)
    return bytes(raw)


@pytest.mark.parametrize("beyond", ["{0}", "NIL", '""'])
@pytest.mark.parametrize("announced", [0, 99, 100, 101, 250, 5_000])
@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200, 250])
async def test_a_message_is_whole_whatever_size_was_announced(size: int, announced: int, beyond: str) -> None:
    raw = bytes(range(256))[:size]
    if not size and beyond == "NIL":
        return  # NIL from the start is a message that cannot be had
    async with in_clear(serving(raw, beyond)) as (_, folder, _):
        if announced and not size:  # deleted meanwhile, perhaps: an empty message was not announced
            with pytest.raises(CommandRefused, match="fetch-cut"):
                await fetched(folder, 100, announced)
            return
        assert await fetched(folder, 100, announced) == raw


async def test_a_message_longer_than_the_cap_stops_at_the_cap() -> None:
    async with in_clear(serving(b"x" * 1_000)) as (_, folder, server):
        with pytest.raises(MessageTooLarge):
            await fetched(folder, 100, 100, most=350)
        assert len([line for line in server.heard if "FETCH" in line]) == 4


async def test_a_server_that_ignores_pieces_is_not_believed() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say(b"* 1 FETCH (UID 1 BODY[]<0> {100}\r\n" + b"x" * 100 + b")\r\n")
        await peer.ok()
        await peer.expect("UID FETCH")
        peer.say(b"* 1 FETCH (UID 1 BODY[] {100}\r\n" + b"x" * 100 + b")\r\n")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(ConnectionLost, match="fetch-origin"):
            await fetched(folder, 100, 200)


async def test_a_message_that_is_gone_or_cannot_be_had_is_told_apart() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        await peer.ok()
        await peer.expect("UID FETCH")
        peer.say("* 1 FETCH (UID 1 BODY[]<0> NIL)")
        await peer.ok()
        await peer.expect("UID FETCH")
        await peer.no("[SERVERBUG] cannot read")
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(MessageGone):
            await fetched(folder, 100, 10)
        with pytest.raises(CommandRefused, match="fetch-nil"):
            await fetched(folder, 100, 10)
        with pytest.raises(CommandRefused, match="fetch-no-serverbug"):
            await fetched(folder, 100, 10)


async def test_the_uids_of_a_big_folder_are_asked_in_windows() -> None:
    async def script(peer: Peer) -> None:
        for pattern, answer in (
            (r"UID SEARCH UID \*", "120000"),
            ("UID SEARCH UID 1:50000", "1 2 50000"),
            ("UID SEARCH UID 50001:100000", ""),
            ("UID SEARCH UID 100001:150000", "120000"),
        ):
            await peer.expect(pattern)
            peer.say(f"* SEARCH {answer}".rstrip())
            await peer.ok()
        await peer.silence()

    async with in_clear(script, exists=60_000) as (_, folder, _):
        assert await folder.uids_from(1) == (1, 2, 50_000, 120_000)


async def test_the_last_message_named_by_a_star_is_not_new() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(r"UID SEARCH UID 8:\*")
        peer.say("* SEARCH 7")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        assert await folder.uids_from(8) == ()


async def test_a_folder_without_uidvalidity_is_not_read() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("SELECT")
        peer.say("* 3 EXISTS")
        await peer.ok("[READ-WRITE] fine")
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="no-uidvalidity"):
            await Folder.select(session, "INBOX")


async def test_without_move_the_message_is_copied_marked_and_expunged_by_uid() -> None:
    async def whole(peer: Peer) -> None:
        peer.say("* PREAUTH ready")
        await peer.capability("UIDPLUS")
        await peer.select(exists=2)
        await peer.expect(r"UID FETCH 1,3 \(UID FLAGS\)")
        peer.say("* 1 FETCH (UID 1 FLAGS ())")
        peer.say("* 2 FETCH (UID 3 FLAGS (\\Seen))")
        await peer.ok()
        await peer.expect(r'UID COPY 1,3 "Traites"')
        await peer.no("[TRYCREATE] no such folder")
        await peer.expect(r'CREATE "Traites"')
        await peer.ok()
        for command in (r'UID COPY 1,3 "Traites"', r"UID STORE 1,3 \+FLAGS.SILENT \(\\Deleted\)", "UID EXPUNGE 1,3"):
            await peer.expect(command)
            await peer.ok()
        await peer.expect("UID FETCH 1,3")
        peer.say("* 1 FETCH (UID 3 FLAGS (\\Seen))")  # it stayed
        await peer.ok()
        await peer.silence()

    async with scripted(whole) as server:
        session = await Session.connect("127.0.0.1", server.port, 5)
        await session.greeting()
        await session.read_capabilities()
        folder = await Folder.select(session, "INBOX")
        assert await folder.moved([1, 3], "Traites") == {1}
        session.close()


async def test_a_mark_that_the_server_forgets_is_not_verified() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(r"UID STORE 1:3 \+FLAGS.SILENT \(\$HubAccepted\)")
        await peer.ok()
        await peer.expect("UID FETCH 1:3")
        peer.say("* 1 FETCH (UID 1 FLAGS ($HUBACCEPTED \\Seen))")
        peer.say("* 2 FETCH (UID 2 FLAGS (\\Seen))")  # and UID 3 is gone
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        assert await folder.flagged([1, 2, 3], "$HubAccepted") == {1, 3}
