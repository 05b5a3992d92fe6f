"""STARTTLS seen from our clients: what whoever sits between us and an operator may try, and what it gains: nothing.

One line of TABLE is one attack (RH-02, RH-03; RFC 3207 §4.2 and §6, RFC 3501 §6.2.1, CVE-2011-0411, CVE-2020-12398,
CVE-2021-33515), by a scripted server. After each: the error that the operator's state deserves, in clear nothing but
EHLO or CAPABILITY and STARTTLS, no password said anywhere, no mail handed over. REAL does the same with a proxy in
front of a real Dovecot and a real Postfix; HONEST shows that the same servers serve when nobody meddles.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import pytest

from hub.errors import HubError
from hub.imap.failures import ConnectionLost, PeerRefused
from hub.imap.opening import Credentials
from hub.raw import Whole
from hub.settings import Endpoint, Sending
from hub.smtp.client import Route, SmtpSender
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.meddler import TLS_RECORD, Meddling, meddling
from tests.edges.postfix import Postfix, running_postfix
from tests.edges.scripted_imap import server_context
from tests.edges.sessions import opened
from tests.pki import Authority, Leaf
from tests.quiet import password
from tests.ways import way_to

Protocol = Literal["imap", "smtp"]
ADDRESS, THEIRS = "secretariat@asso.mssante.example", "service@hopital.mssante.example"
PASSWORD = password("motdepasse-de-starttls")
MAIL = b"Subject: essai\r\nMessage-ID: <1@asso.mssante.example>\r\n\r\nBonjour.\r\n"
IN_CLEAR: dict[Protocol, set[str]] = {"imap": {"CAPABILITY", "STARTTLS"}, "smtp": {"EHLO", "STARTTLS"}}


# --- our clients


async def use(protocol: Protocol, port: int, context: ssl.SSLContext) -> None:
    """Log in and, by SMTP, hand a mail over. Raises what the client raises."""
    if protocol == "imap":
        credentials = Credentials("plain", ADDRESS, PASSWORD)
        (await opened(port, context, credentials, "starttls", patience=4)).close()
        return
    endpoint = Endpoint(host="localhost", port=port, tls="starttls")
    route = Route(find_way=way_to(endpoint, lambda: context), sasl="plain", username=ADDRESS, password=PASSWORD)
    timing = Sending(connect_timeout=timedelta(seconds=4), command_timeout=timedelta(seconds=4))
    sender = SmtpSender({"asso": route}, timing)
    try:
        await sender.send("asso", ADDRESS, THEIRS, Whole(MAIL))
    finally:
        await sender.close()


# --- a server that attacks


@dataclass
class Attacker:
    """One connection to the scripted server. `clear` and `sealed` are the lines heard before and under TLS."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    context: ssl.SSLContext
    clear: list[str] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    is_sealed: bool = False
    tag: str = ""

    async def say(self, *lines: str) -> None:
        """All in one segment."""
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())
        await self.writer.drain()

    async def hear(self) -> str:
        """A line without its tag, which is then `tag`; of a TLS handshake nothing."""
        raw = await self.reader.readline()
        if not raw or raw.startswith(TLS_RECORD):
            raise ConnectionResetError
        line = raw.decode("latin-1").rstrip("\r\n")
        (self.sealed if self.is_sealed else self.clear).append(line)
        self.tag, _, rest = line.partition(" ")
        return rest

    async def seal(self) -> None:
        await self.writer.start_tls(self.context)
        self.is_sealed = True

    # the honest steps, with what an attacker adds

    async def greet(self, protocol: Protocol, *more: str, preauth: bool = False) -> None:
        if protocol == "smtp":
            await self.say("220 operateur.example ESMTP", *more)
        else:
            await self.say("* PREAUTH welcome" if preauth else "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready", *more)

    async def offer(self, protocol: Protocol, *words: str, more: tuple[str, ...] = ()) -> None:
        """Answers the EHLO or CAPABILITY; `more` follows in the same segment."""
        await self.hear()
        if protocol == "smtp":
            lines = ("operateur.example", *words)
            await self.say(*(f"250-{one}" for one in lines[:-1]), f"250 {lines[-1]}", *more)
        else:
            offered = " ".join(("IMAP4rev1", *words))
            await self.say(f"* CAPABILITY {offered}", f"{self.tag} OK done", *(one.format(self=self) for one in more))

    async def begin(self, protocol: Protocol, *more: str) -> None:
        """Says yes to STARTTLS; `more` follows in the same segment, in clear."""
        await self.hear()
        yes = "220 2.0.0 ready" if protocol == "smtp" else f"{self.tag} OK begin"
        await self.say(yes, *(one.format(self=self) for one in more))

    async def listen(self) -> None:
        """Until the client leaves."""
        while True:
            await self.hear()


Attack = Callable[[Attacker], Awaitable[None]]


@dataclass(frozen=True)
class Try:
    """`told` is found in the error's private text."""

    protocol: Protocol
    name: str
    attack: Attack
    told: str

    def __str__(self) -> str:
        return f"{self.protocol}: {self.name}"


def offering(protocol: Protocol, *words: str, more: tuple[str, ...] = ()) -> Attack:
    async def attack(server: Attacker) -> None:
        await server.greet(protocol)
        await server.offer(protocol, *words, more=more)
        await server.listen()

    return attack


def answering(protocol: Protocol, answer: str) -> Attack:
    """STARTTLS is offered and answered so; then in clear, as if nothing had been asked."""

    async def attack(server: Attacker) -> None:
        await server.greet(protocol)
        await server.offer(protocol, "STARTTLS", "AUTH PLAIN" if protocol == "smtp" else "AUTH=PLAIN")
        await server.hear()
        await server.say(answer.format(self=server))
        await server.listen()

    return attack


def greeting(protocol: Protocol, *more: str, preauth: bool = False) -> Attack:
    async def attack(server: Attacker) -> None:
        await server.greet(protocol, *more, preauth=preauth)
        await server.offer(protocol, "STARTTLS")
        await server.listen()

    return attack


def injecting(protocol: Protocol, *more: str, later: bytes = b"") -> Attack:
    """`more` in the segment of the yes; `later` in one that comes before the handshake."""

    async def attack(server: Attacker) -> None:
        await server.greet(protocol)
        await server.offer(protocol, "STARTTLS")
        await server.begin(protocol, *more)
        if later:
            await asyncio.sleep(0.1)
            server.writer.write(later)
            await server.listen()
        await server.seal()
        await server.listen()

    return attack


def ending(protocol: Protocol) -> Attack:
    """close_notify right after the handshake; the TCP connection stays open."""

    async def attack(server: Attacker) -> None:
        await server.greet(protocol)
        await server.offer(protocol, "STARTTLS")
        await server.begin(protocol)
        await server.seal()
        tls = server.writer.transport.get_extra_info("ssl_object")
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        server.writer.transport._ssl_protocol._process_outgoing()  # type: ignore[attr-defined]
        await asyncio.sleep(6)  # longer than the client's patience: it must not wait for the end of TCP

    return attack


IMAP: Protocol = "imap"
SMTP: Protocol = "smtp"
TABLE = (
    # not offered
    Try(IMAP, "not offered", offering(IMAP, "AUTH=PLAIN", "SASL-IR"), "starttls-missing"),
    Try(IMAP, "offered in the greeting only", offering(IMAP, "AUTH=PLAIN"), "starttls-missing"),
    Try(IMAP, "a word that only looks like it", offering(IMAP, "XSTARTTLS", "STARTTLS2"), "starttls-missing"),
    Try(SMTP, "not offered", offering(SMTP, "AUTH PLAIN LOGIN"), "STARTTLS is not offered"),
    Try(SMTP, "a word that only looks like it", offering(SMTP, "XSTARTTLS", "STARTTLS2"), "STARTTLS is not offered"),
    # refused
    Try(IMAP, "refused with NO", answering(IMAP, "{self.tag} NO later"), "starttls-no"),
    Try(IMAP, "refused with BAD", answering(IMAP, "{self.tag} BAD what"), "starttls-bad"),
    Try(IMAP, "asked to go on in clear", answering(IMAP, "+ go on"), "unexpected-continuation"),
    Try(SMTP, "refused for now", answering(SMTP, "454 4.7.0 TLS not available"), "session refused: 454"),
    Try(SMTP, "refused for good", answering(SMTP, "502 5.5.1 what"), "session refused: 502"),
    Try(SMTP, "another yes than 220", answering(SMTP, "250 2.0.0 fine"), "session refused: 250"),
    Try(SMTP, "asked to go on in clear", answering(SMTP, "334 "), "session refused: 334"),
    # offered, accepted, then no TLS
    Try(IMAP, "a plain answer after yes", injecting(IMAP, later=b"* OK no need of TLS\r\n"), "tls-"),
    Try(SMTP, "a plain answer after yes", injecting(SMTP, later=b"250-no need of TLS\r\n250 AUTH PLAIN\r\n"), "TLS: "),
    # more in the segment of the yes
    Try(IMAP, "an untagged answer behind yes", injecting(IMAP, "* 1 EXISTS"), "starttls-injection"),
    Try(IMAP, "false capabilities behind yes", injecting(IMAP, "* CAPABILITY IMAP4rev1 SASL-IR"), "starttls-injection"),
    Try(IMAP, "a tagged answer behind yes", injecting(IMAP, "AAAA3 OK done"), "starttls-injection"),
    Try(IMAP, "PREAUTH behind yes", injecting(IMAP, "* PREAUTH welcome"), "starttls-injection"),
    Try(IMAP, "a literal behind yes", injecting(IMAP, "* LIST {{4000}}", "abc"), "starttls-injection"),
    # ahead of its question
    Try(IMAP, "yes before it was asked", offering(IMAP, "STARTTLS", more=("A OK begin",)), "unexpected-answer"),
    # a session that is said to be open already
    Try(IMAP, "PREAUTH in clear", greeting(IMAP, preauth=True), "starttls-preauth"),
    Try(IMAP, "PREAUTH and capabilities", greeting(IMAP, "* CAPABILITY IMAP4rev1", preauth=True), "starttls-preauth"),
    # TLS that ends early
    Try(IMAP, "goodbye right after the handshake", ending(IMAP), "closed"),
    Try(SMTP, "goodbye right after the handshake", ending(SMTP), "no connection"),
)


@dataclass
class Scripted:
    port: int = 0
    talks: list[Attacker] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)


@asynccontextmanager
async def attacking(attack: Attack, context: ssl.SSLContext) -> AsyncIterator[Scripted]:
    served = Scripted()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        served.talks.append(Attacker(reader, writer, context))
        try:
            await attack(served.talks[-1])
        except (OSError, asyncio.CancelledError):
            pass
        except BaseException as failure:
            served.failures.append(failure)
        finally:
            writer.transport.abort()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    served.port = listener.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert served.failures == []


@pytest.fixture(scope="module")
def server(authority: Authority) -> Leaf:
    return authority.issue("starttls-server", "localhost", "127.0.0.1")


@pytest.mark.parametrize("one", TABLE, ids=str)
async def test_nothing_is_gained(one: Try, authority: Authority, server: Leaf) -> None:
    async with attacking(one.attack, server_context(server)) as served:
        with pytest.raises(HubError, match=one.told) as raised:
            async with asyncio.timeout(5.5):
                await use(one.protocol, served.port, authority.client_context())
        await asyncio.sleep(0.05)
    (talk,) = served.talks
    assert words_of(one.protocol, talk.clear) <= IN_CLEAR[one.protocol]
    assert not [line for line in talk.sealed if "AUTH" in line.upper() or "MAIL" in line.upper()]
    assert PASSWORD not in raised.value.private + raised.value.public
    assert isinstance(raised.value, PeerRefused | ConnectionLost) or one.protocol == "smtp"


def words_of(protocol: Protocol, lines: list[str]) -> set[str]:
    return {line.split(" ")[1 if protocol == "imap" else 0].upper() for line in lines}


# --- what was said in clear counts for nothing, and an honest operator is served


async def test_imap_capabilities_of_the_clear_are_forgotten(authority: Authority, server: Leaf) -> None:
    """In clear the attacker says what suits it; under TLS the server does not know SASL-IR, nor offer LOGINDISABLED."""

    async def attack(server: Attacker) -> None:
        await server.greet("imap")
        await server.offer("imap", "STARTTLS", "SASL-IR", "AUTH=PLAIN", "LOGINDISABLED", "XFALSE")
        await server.begin("imap")
        await server.seal()
        await server.offer("imap", "IDLE")
        assert await server.hear() == "AUTHENTICATE PLAIN"  # no initial response: SASL-IR was not believed
        await server.say("+ ")
        tag = server.tag
        await server.hear()
        await server.say(f"{tag} OK in")
        await server.offer("imap", "IDLE", "UIDPLUS")
        await server.listen()

    async with attacking(attack, server_context(server)) as served:
        session = await opened(
            served.port, authority.client_context(), Credentials("plain", ADDRESS, PASSWORD), "starttls"
        )
        assert session.capabilities == {"IMAP4REV1", "IDLE", "UIDPLUS"}
        session.close()
    assert words_of("imap", served.talks[0].clear) == IN_CLEAR["imap"]


@pytest.mark.parametrize(
    "behind",
    [
        (),
        ("250-pirate.example", "250 SIZE 10"),  # taken for the answer to EHLO, it would refuse every mail
        ("250-pirate.example",),
        ("421 4.3.2 closing",),
        ("535 5.7.8 no",),
        ("250 2.1.0 yes",) * 8,  # enough yes for a whole mail
        ("half a line \\",),
    ],
)
async def test_smtp_answers_of_the_clear_are_thrown_away(
    authority: Authority, server: Leaf, behind: tuple[str, ...]
) -> None:
    """RFC 3207 §4.2. SIZE, AUTH and DSN, which the attacker offers in clear and the server does not know, count not."""
    mails: list[str] = []

    async def attack(server: Attacker) -> None:
        await server.greet("smtp")
        await server.offer("smtp", "STARTTLS", "AUTH CRAM-MD5", "SIZE 10", "DSN", "SMTPUTF8")
        await server.begin("smtp", *behind)
        await server.seal()
        await server.offer("smtp", "PIPELINING", "AUTH PLAIN")
        for answer in ("235 2.7.0 in", "250 2.1.0 ok", "250 2.1.5 ok", "354 go on"):
            await server.hear()
            await server.say(answer)
        while (line := (await server.reader.readline()).decode()) != ".\r\n":
            mails.append(line)
        await server.say("250 2.0.0 queued")
        await server.listen()

    async with attacking(attack, server_context(server)) as served:
        await use("smtp", served.port, authority.client_context())
        await asyncio.sleep(0.05)
    (talk,) = served.talks
    assert [line.split(" ")[0] for line in talk.clear] == ["EHLO", "STARTTLS"]
    assert talk.sealed[0].startswith("EHLO ")  # asked again under TLS
    assert talk.sealed[1].startswith("AUTH PLAIN ")
    assert talk.sealed[2:] == [f"MAIL FROM:<{ADDRESS}>", f"RCPT TO:<{THEIRS}>", "DATA", "QUIT"]
    assert "".join(mails).encode() == MAIL


# --- real servers, and a man in the middle


@dataclass(frozen=True)
class Behind:
    """What is behind the proxy, and what it believes."""

    dovecot: Dovecot
    postfix: Postfix
    authority: Authority

    def port(self, protocol: Protocol) -> int:
        return self.dovecot.imap_port if protocol == "imap" else self.postfix.starttls_port


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """A Dovecot that takes passwords; a Postfix whose clients are known by their certificates."""
    authority = Authority(tmp_path_factory.mktemp("starttls"))
    with (
        running_dovecot(authority, "password") as dovecot,
        running_postfix(authority, domains=("hopital.mssante.example",)) as postfix,
    ):
        yield Behind(dovecot, postfix, authority)


def replacing(old: bytes, new: bytes) -> Meddling:
    return Meddling(down=lambda said: said.replace(old, new))


YES = {"imap": b"OK Begin TLS negotiation now.\r\n", "smtp": b"220 2.0.0 Ready to start TLS\r\n"}
REAL: tuple[tuple[Protocol, str, Meddling, str], ...] = (
    (IMAP, "stripped", replacing(b"STARTTLS", b"STARTSSL"), "starttls-missing"),
    (IMAP, "refused", replacing(YES["imap"], b"NO [UNAVAILABLE] later\r\n"), "starttls-no"),
    (IMAP, "injected", replacing(YES["imap"], YES["imap"] + b"* CAPABILITY IMAP4rev1\r\n"), "starttls-injection"),
    (IMAP, "PREAUTH", replacing(b"* OK [", b"* PREAUTH ["), "starttls-preauth"),
    (SMTP, "stripped", replacing(b"250-STARTTLS\r\n", b""), "STARTTLS is not offered"),
    (SMTP, "refused", replacing(YES["smtp"], b"454 4.7.0 later\r\n"), "session refused: 454"),
)


@pytest.mark.parametrize(("protocol", "name", "how", "told"), REAL, ids=lambda value: value if value is str else None)
async def test_a_proxy_in_front_of_a_real_server_gains_nothing(
    behind: Behind, protocol: Protocol, name: str, how: Meddling, told: str
) -> None:
    async with meddling(behind.port(protocol), how) as man:
        with pytest.raises(HubError, match=told):
            await use_real(protocol, man.port, behind)
    assert set(man.commands) <= IN_CLEAR[protocol]
    assert not man.has_tls or told == "starttls-injection"


@pytest.mark.parametrize("protocol", [IMAP, SMTP])
async def test_a_man_in_the_middle_with_a_strangers_certificate_hears_nothing(
    behind: Behind, protocol: Protocol, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stranger = Authority(tmp_path_factory.mktemp("stranger")).issue("man", "localhost", "127.0.0.1")
    async with meddling(behind.port(protocol), impostor(behind, stranger)) as man:
        with pytest.raises(HubError, match=r"certificate-unknown-authority|server certificate: unable to get local"):
            await use_real(protocol, man.port, behind)
    assert (set(man.commands), man.has_tls, man.read_under_tls) == (IN_CLEAR[protocol], True, b"")


@pytest.mark.parametrize("protocol", [IMAP, SMTP])
async def test_such_a_man_would_hear_all_with_a_certificate_of_the_authority(
    behind: Behind, protocol: Protocol
) -> None:
    """So the test before this one fails for the certificate and for nothing else."""
    ours = behind.authority.issue("inside-man", "localhost", "127.0.0.1")
    async with meddling(behind.port(protocol), impostor(behind, ours)) as man:
        await use_real(protocol, man.port, behind)
    assert (b"AUTHENTICATE" if protocol == "imap" else b"RCPT TO") in man.read_under_tls


def impostor(behind: Behind, leaf: Leaf) -> Meddling:
    client = behind.dovecot.leaf(ADDRESS)
    return Meddling(impostor=server_context(leaf), upstream=behind.authority.client_context(client))


async def test_false_answers_behind_a_real_postfix_are_thrown_away(behind: Behind) -> None:
    """The mail arrives as if nobody had meddled; believed, `SIZE 10` would refuse it."""
    false = YES["smtp"] + b"250-pirate.example\r\n250 SIZE 10\r\n"
    mine = MAIL.replace(b"essai", b"malgre-le-pirate")
    async with meddling(behind.postfix.starttls_port, replacing(YES["smtp"], false)) as man:
        await use_real("smtp", man.port, behind, mine)
    assert man.commands == ["EHLO", "STARTTLS"]
    assert len(await asyncio.to_thread(behind.postfix.mails, 1, holding=b"malgre-le-pirate")) == 1


@pytest.mark.parametrize("protocol", [IMAP, SMTP])
async def test_real_servers_serve_when_nobody_meddles(behind: Behind, protocol: Protocol) -> None:
    async with meddling(behind.port(protocol), Meddling()) as man:
        await use_real(protocol, man.port, behind)
    assert (set(man.commands), man.has_tls) == (IN_CLEAR[protocol], True)


async def use_real(protocol: Protocol, port: int, behind: Behind, mail: bytes = MAIL) -> None:
    if protocol == "imap":
        context = behind.authority.client_context()
        credentials = Credentials("plain", ADDRESS, Dovecot.PASSWORD)
        (await opened(port, context, credentials, "starttls", patience=10)).close()
        return
    context = behind.authority.client_context(behind.dovecot.leaf(ADDRESS))
    route = Route(find_way=way_to(Endpoint(host="localhost", port=port, tls="starttls"), lambda: context))
    sender = SmtpSender({"asso": route}, Sending(connect_timeout=timedelta(seconds=10)))
    try:
        await sender.send("asso", ADDRESS, THEIRS, Whole(mail))
    finally:
        await sender.close()
