"""The session against servers that misbehave (libs.md §2, §10 rows 10 to 12, 16) and against a real Dovecot."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from hub import settings
from hub.errors import Misconfigured, Permanent, Temporary
from hub.imap.failures import CommandRefused, ConnectionLost, MessageGone, MessageTooLarge, PeerRefused
from hub.imap.folder import Folder
from hub.imap.opening import Credentials, open_session
from hub.imap.session import Session
from tests.edges.scripted_imap import Peer, Scripted, scripted, server_context
from tests.pki import Authority

ADDRESS = "secretariat@asso.mssante.example"
PIECE = 1024**2


@asynccontextmanager
async def in_clear(
    script: Callable[[Peer], Awaitable[None]], deadline: float = 5.0, exists: int = 0
) -> AsyncIterator[tuple[Session, Folder, Scripted]]:
    """A session that is authenticated (PREAUTH) and has selected a folder, for scripts that begin there."""

    async def whole(peer: Peer) -> None:
        peer.say("* PREAUTH ready")
        await peer.capability("IDLE UIDPLUS MOVE")
        await peer.select(exists=exists)
        await script(peer)

    async with scripted(whole) as server:
        session = await Session.connect("127.0.0.1", server.port, deadline)
        try:
            await session.greeting()
            await session.read_capabilities()
            folder = await Folder.select(session, "INBOX")
            session.forget_news()  # of the messages that were there
            yield session, folder, server
        finally:
            session.close()


async def opened(
    port: int,
    context: ssl.SSLContext,
    credentials: Credentials,
    tls: str = "implicit",
    host: str = "localhost",
    patience: float = 5,
) -> Session:
    endpoint = settings.Endpoint.model_validate({"host": host, "port": port, "tls": tls})
    return await open_session(endpoint, context, credentials, patience, patience)


# --- reading: what stock aioimaplib cannot ------------------------------------------------------------------------


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


# --- the death of a connection ------------------------------------------------------------------------------------


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


# --- caps -------------------------------------------------------------------------------------------------------------


async def test_an_endless_line_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say(b"* OK ")
        for _ in range(100):
            peer.say(b"x" * 100_000)
            await peer.writer.drain()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="line-cap"):
            await session.noop()


async def test_a_literal_of_two_gigabytes_is_cut_off_when_it_is_announced() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        peer.say("* 1 FETCH (UID 1 BODY[]<0> {2147483648}")
        await peer.silence()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(ConnectionLost, match="literal-cap"):
            await folder.raws([1], PIECE)


async def test_an_answer_of_a_hundred_thousand_lines_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say(b"* 1 FETCH (FLAGS ())\r\n" * 100_000)
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await session.noop()


async def test_more_bytes_than_a_batch_may_hold_are_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("UID FETCH")
        for uid in range(1, 30):
            peer.say(b"* %d FETCH (UID %d BODY[]<0> {900000}\r\n" % (uid, uid) + b"x" * 900_000 + b")\r\n")
            await peer.writer.drain()

    async with in_clear(script) as (_, folder, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await folder.raws(range(1, 51), PIECE)


async def test_a_flood_of_exists_wakes_once_and_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("IDLE")
        peer.say("+ idling")
        for n in range(100_000):
            peer.say(b"* %d EXISTS\r\n" % n)
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        with pytest.raises(ConnectionLost, match="answer-cap"):
            await session.idle(60, asyncio.Event())


async def test_broken_numbers_of_messages_do_no_harm() -> None:
    async def script(peer: Peer) -> None:
        await peer.expect("NOOP")
        peer.say("* EXISTS")
        peer.say("* " + "9" * 5_000 + " EXISTS")
        peer.say("* -1 EXISTS")
        await peer.ok()
        await peer.silence()

    async with in_clear(script) as (session, _, _):
        await session.noop()
        assert session.exists == 9_999_999_999


# --- fetching in pieces -----------------------------------------------------------------------------------------------


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


# --- marks and moves without extensions -------------------------------------------------------------------------------


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


# --- TLS and authentication -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("greeting", "capabilities", "answer", "code"),
    [
        ("* OK ready", "IDLE", "", "starttls-missing"),
        ("* PREAUTH welcome", "STARTTLS", "", "starttls-preauth"),
        ("* OK ready", "STARTTLS", "NO not now\r\n", "starttls-no"),
        ("* OK ready", "STARTTLS", "BAD what\r\n", "starttls-bad"),
        ("* OK ready", "STARTTLS", "OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", "starttls-injection"),
        ("* OK ready", "STARTTLS", "OK go\r\n* half a li", "starttls-injection"),
    ],
)
async def test_without_a_clean_starttls_nothing_is_sent(
    authority: Authority, greeting: str, capabilities: str, answer: str, code: str
) -> None:
    async def script(peer: Peer) -> None:
        peer.say(greeting)
        await peer.capability(capabilities)
        if answer:
            await peer.expect("STARTTLS")
            peer.say(f"{peer.tag} {answer}".encode())
        await peer.silence()

    async with scripted(script) as server:
        with pytest.raises((PeerRefused, ConnectionLost), match=code):
            await opened(
                server.port, authority.client_context(), Credentials("plain", ADDRESS, "secret"), "starttls", patience=2
            )
        await asyncio.sleep(0.05)
        assert {line.split(" ")[1] for line in server.heard if line.isascii() and " " in line} <= {
            "CAPABILITY",
            "STARTTLS",
        }


async def test_a_server_of_another_name_or_authority_is_refused(
    authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    elsewhere = authority.issue("elsewhere", "ailleurs.example")
    stranger = other.issue("stranger", "localhost")
    for leaf, code in ((elsewhere, "certificate-other-host"), (stranger, "certificate-unknown-authority")):
        async with scripted(Peer.silence, server_context(leaf)) as server:
            with pytest.raises(PeerRefused, match=code):
                await opened(server.port, authority.client_context(), Credentials("none"))


async def test_a_context_that_checks_nothing_is_refused(authority: Authority) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    async with scripted(Peer.silence) as server:
        with pytest.raises(PeerRefused, match="checks-nothing"):
            await opened(server.port, context, Credentials("none"))


async def test_the_server_name_may_differ_from_the_host(authority: Authority) -> None:
    leaf = authority.issue("named", "imap.operateur.example")
    async with scripted(Peer.log_in, server_context(leaf)) as server:
        endpoint = settings.Endpoint(
            host="127.0.0.1", port=server.port, tls="implicit", server_name="imap.operateur.example"
        )
        session = await open_session(endpoint, authority.client_context(), Credentials("external"), 5, 5)
        assert session.is_authenticated
        session.close()


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        ("NO [AUTHENTICATIONFAILED] wrong", Permanent, "authenticate-no-authenticationfailed"),
        ("NO no", Permanent, "authenticate-no"),
        ("BAD unknown mechanism", Permanent, "authenticate-bad"),
        ("NO [UNAVAILABLE] directory is down", Temporary, "authenticate-no-unavailable"),
        ("NO [INUSE] locked", Temporary, "authenticate-no-inuse"),
    ],
)
async def test_a_refused_authentication_says_whether_it_passes(
    authority: Authority, answer: str, kind: type[Exception], code: str
) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("SASL-IR")
        await peer.expect("AUTHENTICATE")
        peer.say(f"{peer.tag} {answer}")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("auth", "localhost"))) as server:
        with pytest.raises(kind) as raised:
            await opened(server.port, authority.client_context(), Credentials("plain", ADDRESS, "secret"))
        assert getattr(raised.value, "code", "") == code
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("credentials", "response"),
    [
        (Credentials("external", ADDRESS), ADDRESS),
        (Credentials("external", ""), ""),
        (Credentials("plain", ADDRESS, "é secret"), f"\0{ADDRESS}\0é secret"),
    ],
)
async def test_the_sasl_response_goes_at_once_or_when_asked(
    authority: Authority, credentials: Credentials, response: str
) -> None:
    encoded = base64.b64encode(response.encode()).decode()

    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("" if peer.number == 1 else "SASL-IR")
        words = await peer.expect("AUTHENTICATE (EXTERNAL|PLAIN)")
        if peer.number == 1:
            peer.say("+ ")
            assert (await peer.reader.readline()).decode() == encoded + "\r\n"
        else:
            assert words.split(" ")[2] == (encoded or "=")
        await peer.ok()
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("sasl", "localhost"))) as server:
        for _ in range(2):
            session = await opened(server.port, authority.client_context(), credentials)
            session.close()


async def test_a_login_is_quoted_and_not_sent_where_it_is_disabled(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("" if peer.number == 1 else "LOGINDISABLED")
        if peer.number == 1:
            assert await peer.expect("LOGIN") == 'LOGIN "bal \\"1\\"" "mot de \\\\passe"'
            await peer.ok()
            await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("login", "localhost"))) as server:
        context = authority.client_context()
        (await opened(server.port, context, Credentials("login", 'bal "1"', "mot de \\passe"))).close()
        with pytest.raises(PeerRefused, match="login-disabled"):
            await opened(server.port, context, Credentials("login", ADDRESS, "x"))


async def test_a_password_that_login_cannot_carry_is_a_wrong_setting(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("ascii", "localhost"))) as server:
        with pytest.raises(Misconfigured, match="sasl"):
            await opened(server.port, authority.client_context(), Credentials("login", ADDRESS, "é"))


async def test_a_server_that_wants_more_than_the_certificate_is_told_of(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        peer.say("* OK ready")
        await peer.capability("")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("none", "localhost"))) as server:
        with pytest.raises(PeerRefused, match="authentication-wanted"):
            await opened(server.port, authority.client_context(), Credentials("none"))


async def test_a_greeting_of_bye_and_a_silent_server_are_lost_connections(authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.say("* BYE too many connections")
        await peer.silence()

    async with scripted(script, server_context(authority.issue("bye", "localhost"))) as server:
        for code in ("greeting-bye", "timeout"):
            with pytest.raises(ConnectionLost, match=code):
                await opened(server.port, authority.client_context(), Credentials("none"), patience=0.5)


async def test_a_port_that_nobody_serves_is_a_lost_connection(authority: Authority) -> None:
    async with scripted(Peer.silence) as server:
        port = server.port
    with pytest.raises(ConnectionLost, match="connect-econnrefused"):
        await opened(port, authority.client_context(), Credentials("none"), host="127.0.0.1")


async def test_no_secret_and_no_address_is_logged(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with scripted(Peer.log_in, server_context(authority.issue("quiet", "localhost"))) as server:
        (await opened(server.port, authority.client_context(), Credentials("plain", ADDRESS, "topsecret"))).close()
    encoded = base64.b64encode(f"\0{ADDRESS}\0topsecret".encode()).decode()
    for word in ("topsecret", ADDRESS, encoded):
        assert word not in caplog.text
