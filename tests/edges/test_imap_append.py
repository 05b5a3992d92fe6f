"""Filing at servers that refuse, lie, or know little: each says what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from hub.errors import HubError, Permanent, Temporary
from hub.imap.filer import Box, ImapFiler
from hub.raw import Whole
from tests.edges.imap_shop import operator_at
from tests.edges.scripted_imap import Peer, Scripted, scripted, server_context
from tests.edges.watching import mailbox_of, watching
from tests.filer_contract import AT, ID, InPieces, a_mail
from tests.pki import Authority
from tests.ways import way_to

MAIL = a_mail()
FULL = "IDLE UIDPLUS SASL-IR AUTH=EXTERNAL NAMESPACE SPECIAL-USE LIST-EXTENDED CREATE-SPECIAL-USE"


@asynccontextmanager
async def filing_at(
    authority: Authority, script: Callable[[Peer], Awaitable[None]], words: str = FULL, patience: float = 2
) -> AsyncIterator[tuple[ImapFiler, Scripted]]:
    """A filer of some seconds' patience at a server that logs in whoever comes, follows the script, hears it leave."""

    async def whole(peer: Peer) -> None:
        await peer.log_in(words)
        await script(peer)
        await peer.expect("LOGOUT")
        await peer.ok()

    async with scripted(whole, server_context(authority.issue("armoire", "localhost"))) as server:
        operator = operator_at(server.port, authority)
        box = Box(
            mailbox=mailbox_of("boite@asso.mssante.example"),
            operator=operator,
            find_way=way_to(operator.imap, authority.client_context),
            watched=frozenset({"INBOX"}),
        )
        filer = ImapFiler([box], watching(command_timeout=patience, connect_timeout=2), timedelta(seconds=30))
        try:
            yield filer, server
        finally:
            await filer.close()


async def examine(peer: Peer, exists: int = 0) -> None:
    await peer.expect("EXAMINE")
    peer.say(f"* {exists} EXISTS")
    peer.say("* OK [UIDVALIDITY 7] valid")
    await peer.ok("[READ-ONLY] examined")


async def search(peer: Peer, *uids: int) -> None:
    await peer.expect(r'UID SEARCH SINCE 23-Nov-2026 HEADER Message-ID "<0123')
    peer.say(" ".join(["* SEARCH", *map(str, uids)]))
    await peer.ok()


async def announced(peer: Peer) -> int:
    """The size of the literal of an APPEND that begins."""
    words = await peer.expect("APPEND")
    found = re.search(r"\{(\d+)\}$", words)
    assert found is not None
    return int(found.group(1))


async def take(peer: Peer, size: int) -> bytes:
    peer.say("+ go on")
    await peer.writer.drain()
    taken = await peer.reader.readexactly(size)
    assert await peer.reader.readexactly(2) == b"\r\n"
    return taken


async def until_it_leaves(peer: Peer) -> None:
    """Throw away what comes: it is no line any more."""
    with contextlib.suppress(ssl.SSLError):
        while await peer.reader.read(65_536):
            pass


async def file(filer: ImapFiler, folder: str = "Sent", raw: bytes = MAIL) -> str:
    return await filer.file("asso", folder, Whole(raw), ID, AT)


# --- the folder went away, or never was


async def test_trycreate_makes_the_folder_and_appends_once_more(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await examine(peer)
        await search(peer)
        await announced(peer)
        await peer.no("[TRYCREATE] no such mailbox")
        await peer.expect('CREATE "Sent"')
        await peer.ok()
        await peer.expect('SUBSCRIBE "Sent"')
        await peer.no("no subscriptions here")
        assert await take(peer, await announced(peer)) == MAIL
        await peer.ok("[APPENDUID 7 1] done")

    async with filing_at(authority, script) as (filer, _):
        assert await file(filer) == "filed"


async def test_a_folder_that_may_not_be_made_is_told(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("EXAMINE")
        await peer.no("no such mailbox")
        await peer.expect("CREATE")
        await peer.no("[CANNOT] this name is not allowed")

    async with filing_at(authority, script) as (filer, server):
        with pytest.raises(Permanent, match="create-no-cannot"):
            await file(filer)
        assert not any("APPEND" in line for line in server.heard)


async def test_a_folder_that_is_there_and_cannot_be_looked_into_gets_nothing(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("EXAMINE")
        await peer.no("[NOPERM] no")
        await peer.expect("CREATE")
        await peer.no("[ALREADYEXISTS] it is there")
        await peer.expect("SUBSCRIBE")
        await peer.ok()
        await peer.expect("EXAMINE")
        await peer.no("[NOPERM] no")

    async with filing_at(authority, script) as (filer, server):
        with pytest.raises(Permanent, match="examine-no-noperm"):
            await file(filer)
        assert not any("APPEND" in line for line in server.heard)


async def test_a_server_that_asks_to_wait_is_not_taken_for_one_without_the_folder(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("EXAMINE")
        await peer.no("[INUSE] another client holds it")
        await peer.expect("NOOP")
        await peer.ok()
        await peer.expect("EXAMINE")
        await peer.no("[INUSE] another client holds it")

    async with filing_at(authority, script) as (filer, server):
        with pytest.raises(Temporary, match="examine-no-inuse"):
            await file(filer)
        with pytest.raises(Temporary, match="examine-no-inuse"):
            await filer.holds("asso", "Sent", ID, AT)
        assert not any("CREATE" in line for line in server.heard)


# --- refusals of the mail itself


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("NO [OVERQUOTA] full", Temporary),
        ("NO [UNAVAILABLE] later", Temporary),
        ("NO no reason", Temporary),
        ("NO [NOPERM] not yours", Permanent),
        ("NO [TOOBIG] too large", Permanent),
        ("BAD what is that", Permanent),
    ],
)
@pytest.mark.parametrize("when", ["at once", "in the middle", "at the end"])
async def test_a_refusal_at_any_moment_is_understood(
    authority: Authority, answer: str, wanted: type[HubError], when: str
) -> None:
    raw = a_mail(body=b"x" * 30_000_000)

    async def script(peer: Peer) -> None:
        await examine(peer)
        await search(peer)
        size = await announced(peer)
        tag = peer.tag
        if when == "in the middle":
            peer.say("+ go on")
            await peer.reader.readexactly(100_000)
        elif when == "at the end":
            await take(peer, size)
        peer.say(f"{tag} {answer}")
        await peer.writer.drain()
        if when == "in the middle":
            await until_it_leaves(peer)

    async with filing_at(authority, script) as (filer, server):
        with pytest.raises(wanted) as refused:
            await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT)
        assert "append" in refused.value.private
        assert "Le message, lui, est parti." in refused.value.public or wanted is Temporary
        assert server.connections == 1


async def test_a_connection_cut_by_a_refusal_in_the_middle_is_not_used_again(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await examine(peer)
        await search(peer)
        size = await announced(peer)
        if peer.number == 1:
            peer.say(b"+ go on\r\n")
            await peer.reader.readexactly(50_000)
            await peer.no("[OVERQUOTA] full")
            await until_it_leaves(peer)
        else:
            await take(peer, size)
            await peer.ok()

    async with filing_at(authority, script) as (filer, server):
        raw = a_mail(body=b"x" * 30_000_000)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Temporary, match="overquota"):
            await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT)
        assert await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT) == "filed"
        assert server.connections == 2
        assert asyncio.get_running_loop().time() - began < 1.5  # it did not try the dead one first


async def test_a_mail_over_the_appendlimit_is_not_even_announced(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        pass

    async with filing_at(authority, script, f"{FULL} APPENDLIMIT=100") as (filer, server):
        with pytest.raises(Permanent, match="APPENDLIMIT"):
            await file(filer)
        assert not any("APPEND" in line for line in server.heard)


async def test_a_goodbye_in_the_middle_is_temporary(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await examine(peer)
        await search(peer)
        await announced(peer)
        peer.say(b"+ go on\r\n")
        await peer.reader.readexactly(50_000)
        peer.say("* BYE [UNAVAILABLE] maintenance")
        await peer.writer.drain()
        await until_it_leaves(peer)

    async with filing_at(authority, script) as (filer, _):
        with pytest.raises(Temporary, match="bye-unavailable"):
            await filer.file("asso", "Sent", InPieces(a_mail(body=b"x" * 30_000_000), 1024**2), ID, AT)


async def test_a_second_invitation_nobody_asked_for_ends_the_connection(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await examine(peer)
        await search(peer)
        await take(peer, await announced(peer))
        peer.say("+ more")
        await peer.writer.drain()

    async with filing_at(authority, script) as (filer, _):
        with pytest.raises(Temporary, match="unexpected-continuation"):
            await file(filer)


# --- what SEARCH says is a hint


async def test_a_server_that_names_every_message_is_not_believed(authority: Authority) -> None:
    """It ignores what it does not know of a SEARCH: the headers say which mail it is."""

    async def look(peer: Peer, *found: str) -> None:
        await examine(peer, exists=len(found))
        await search(peer, *range(1, len(found) + 1))
        for uid, message_id in enumerate(found, 1):
            await peer.expect(f"UID FETCH {uid} ")
            field = f"Message-ID: {message_id}\r\n\r\n"
            peer.say(f"* {uid} FETCH (UID {uid} BODY[HEADER.FIELDS (MESSAGE-ID)] {{{len(field)}}}")
            peer.say(f"{field})")
            await peer.ok()

    async def script(peer: Peer) -> None:
        await look(peer, "<un@ailleurs.example>", f"<x{ID[1:]}")
        await peer.expect("NOOP")
        await peer.ok()
        await look(peer, "<un@ailleurs.example>", ID)

    async with filing_at(authority, script) as (filer, _):
        assert not await filer.holds("asso", "Sent", ID, AT)
        assert await filer.holds("asso", "Sent", ID, AT)


async def test_a_message_that_leaves_while_it_is_looked_at_is_no_evidence(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await examine(peer, exists=1)
        await search(peer, 3)
        await peer.expect("UID FETCH 3 ")
        await peer.ok()

    async with filing_at(authority, script) as (filer, _):
        assert not await filer.holds("asso", "Sent", ID, AT)


# --- which folder


async def test_the_folder_of_sent_mails_of_somebody_else_is_never_taken(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NAMESPACE")
        peer.say('* NAMESPACE (("" "/")) (("Autres/" "/")) (("Partage/" "/" "X-PARAM" ("a" "b")))')
        await peer.ok()
        await peer.expect(r'LIST "" "\*" RETURN \(SPECIAL-USE\)')
        peer.say(r'* LIST (\HasNoChildren \Sent) "/" "Autres/Camille/Sent"')
        peer.say(r'* LIST (\HasNoChildren \Sent) "/" Partage/Sent')
        peer.say(r'* LIST (\Noselect \Sent) "/" Ancien')
        peer.say(r'* LIST (\HasNoChildren) "/" INBOX')
        peer.say(b'* LIST (\\HasNoChildren \\sENT) "/" {6}\r\nEnvois\r\n')
        await peer.ok()
        await peer.expect('EXAMINE "Envois"')
        peer.say("* OK [UIDVALIDITY 7] valid")
        await peer.ok()
        await search(peer)
        await take(peer, await announced(peer))
        assert peer.line.partition(" ")[2].startswith('APPEND "Envois" (\\Seen) "25-Nov-2026 09:30:15 +0000" {')
        await peer.ok()

    async with filing_at(authority, script) as (filer, _):
        assert await file(filer, "auto") == "filed"


async def test_only_folders_of_others_are_marked_so_a_new_one_is_made(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        for asked in ("NAMESPACE", "LIST", "NAMESPACE"):
            await peer.expect(asked)
            if asked == "NAMESPACE":
                peer.say('* NAMESPACE (("INBOX." ".")) NIL (("shared." "."))')
            else:
                peer.say(r'* LIST (\Sent) "." shared.Sent')
            await peer.ok()
        await peer.expect(r'CREATE "INBOX.Sent" \(USE \(\\Sent\)\)')
        await peer.ok()
        await peer.expect('SUBSCRIBE "INBOX.Sent"')
        await peer.ok()
        await examine(peer)
        await search(peer)
        await take(peer, await announced(peer))
        await peer.ok()

    async with filing_at(authority, script) as (filer, _):
        assert await file(filer, "auto") == "filed"


async def test_a_server_that_knows_little_is_asked_little(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect(r'LIST "" "\*"$')
        peer.say('* LIST (\\NoInferiors) NIL "Sent Items"')
        await peer.ok()
        await peer.expect('EXAMINE "Sent Items"')
        peer.say("* OK [UIDVALIDITY 7] valid")
        await peer.ok()
        await search(peer)
        await take(peer, await announced(peer))
        await peer.ok()

    async with filing_at(authority, script, "SASL-IR AUTH=EXTERNAL") as (filer, _):
        assert await file(filer, "auto") == "filed"


@pytest.mark.parametrize("line", ["* LIST ()", '* LIST (\\Sent "/" Sent', '* LIST \\Sent "/" Sent'])
async def test_a_list_that_is_none_ends_the_connection(authority: Authority, line: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("LIST")
        peer.say(line)
        await peer.ok()

    async with filing_at(authority, script, "SASL-IR AUTH=EXTERNAL") as (filer, _):
        with pytest.raises(Temporary, match="list-syntax"):
            await file(filer, "auto")


async def test_a_server_that_lists_without_end_is_left(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("LIST")
        for number in range(200_000):
            peer.say(f'* LIST () "/" dossier-{number:09d}')
            if number % 1_000 == 0:
                await peer.writer.drain()

    # The cap must be met before the deadline, on a loaded machine too.
    async with filing_at(authority, script, "SASL-IR AUTH=EXTERNAL", patience=60) as (filer, _):
        with pytest.raises(Temporary, match="answer-cap"):
            await file(filer, "auto")
