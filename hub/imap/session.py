"""One IMAP connection, one command at a time: aioimaplib made safe. The only file that knows aioimaplib.

From aioimaplib come tags, states, the table of commands, `Command` and `execute`. Replaced here: reading (quadratic,
recursive, strips `* ` inside strings), sending (logs secrets), continuations, and what happens when a connection dies
(libs.md §2). Failures: a deadline, a cancellation, a cap or a surprise closes the connection for good and raises
ConnectionLost, at once also in IDLE; so a late answer can never be taken for that of the next command.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from aioimaplib.aioimaplib import AUTH, LOGOUT, NONAUTH, SELECTED, Command, IMAP4ClientProtocol

from hub.imap.failures import CommandRefused, ConnectionLost, PeerRefused, certificate_code
from hub.imap.grammar import response_code
from hub.imap.tls import TlsLayer
from hub.imap.wire import Answer, Splitter, SurpriseOnWire

LITERAL_MOST = 256 * 1024  # for commands that say nothing else: a header field, never a body
ANSWERS_MOST = 50_000  # answers to one command or one IDLE; windows and chunks keep honest servers far below
KEPT_MOST = 16 * 1024**2  # bytes of answers kept for one command
# Half-open connections (NAT, power cut) are heard within two minutes, also in IDLE (complaints.md, row 4).
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 120_000))
# OpenSSL's reasons that only a human ends: an alert of the peer about certificates, or no common version or cipher.
_TLS_NEEDS_A_HUMAN = (
    "certificate",
    "unknown-ca",
    "access-denied",
    "handshake-failure",
    "version",
    "cipher",
    "protocol",
)

T = TypeVar("T")


class Woken(Enum):
    """What ended an IDLE."""

    ARRIVAL = "arrival"  # the server spoke of messages
    QUIET = "quiet"  # time was up
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Reply:
    """The text after the tagged OK, and the untagged answers that the command asked to keep."""

    text: bytes
    answers: tuple[Answer, ...]


class _Asked(Command):  # type: ignore[misc]  # aioimaplib has no types
    """A command that keeps only the answers it asked for, within `kept_most` bytes."""

    def __init__(self, name: str, tag: str, *args: str, by_uid: bool, keeps: tuple[bytes, ...], kept_most: int) -> None:
        super().__init__(name, tag, *args, prefix="UID" if by_uid else None)
        self.keeps = keeps
        self._room = kept_most

    def offer(self, answer: Answer) -> None:
        """Keep an untagged answer when its first or second word is wanted. Raises SurpriseOnWire."""
        words = answer[0][2:].split(b" ", 2)
        if not any(word.upper() in self.keeps for word in words[:2]):
            return
        self._room -= sum(map(len, answer))
        if self._room < 0:
            raise SurpriseOnWire("answer-cap")
        self.append_to_resp(answer)

    def fail(self, error: Exception) -> None:
        self._exception = error
        self._event.set()


class _Protocol(IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib has no types
    """aioimaplib's protocol with its own reading, TLS and death."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.splitter = Splitter(LITERAL_MOST)
        self.layer: TlsLayer | None = None
        self.secured: asyncio.Future[None] = loop.create_future()
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self.replies: deque[bytes] = deque()  # what to send at each continuation
        self.news = asyncio.Event()  # messages came, or the connection is lost
        self.exists = 0
        self.lost: ConnectionLost | PeerRefused | None = None
        self.answered = 0
        self.is_leaving = False
        self._clear_is_over = False

    # --- bytes in and out

    def data_received(self, d: bytes) -> None:
        try:
            if self.layer is None:
                self._read(d)
            else:
                for clear in self.layer.feed(d):
                    self._read(clear)
                self._flush()
                if self.layer.is_established and not self.secured.done():
                    self.secured.set_result(None)
        except SurpriseOnWire as surprise:
            self.fail(ConnectionLost(surprise.code))
        except ssl.SSLError as error:
            self._fail_in_tls(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail(ConnectionLost("reset" if exc else "closed"))

    def send(self, line: str, scrub: str | None = None) -> None:
        self.write(line.encode("ascii") + b"\r\n")

    def write(self, raw: bytes) -> None:
        if self.layer is None:
            self.transport.write(raw)
            return
        self.layer.seal(raw)
        self._flush()

    def _flush(self) -> None:
        if self.layer is not None and (sealed := self.layer.drain()):
            self.transport.write(sealed)

    def begin_tls(self, context: ssl.SSLContext, server_name: str) -> None:
        """Raises PeerRefused when clear bytes wait behind the answer to STARTTLS (RH-03, CVE-2011-0411)."""
        if not self.splitter.is_empty:
            raise PeerRefused("starttls-injection")
        self.layer = TlsLayer(context, server_name)
        self.layer.start()
        self._flush()

    def _fail_in_tls(self, error: ssl.SSLError) -> None:
        self._flush()  # our alert tells the operator's administrator why
        reason = (error.reason or type(error).__name__).lower().replace("_", "-")
        if isinstance(error, ssl.SSLCertVerificationError):
            # The number of OpenSSL's verdict (10 expired, 18 self-signed, 62 host name…): its text may hold names.
            self.fail(PeerRefused(certificate_code(error.verify_code)))
        elif any(word in reason for word in _TLS_NEEDS_A_HUMAN):
            self.fail(PeerRefused(f"tls-{reason}"))  # in TLS 1.3 also after the handshake: our certificate refused
        else:
            self.fail(ConnectionLost(f"tls-{reason}"))

    # --- answers

    def _read(self, clear: bytes) -> None:
        for answer in self.splitter.feed(clear):
            if self.lost is not None:
                return
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        first = answer[0]
        if self._clear_is_over and self.layer is None:
            raise SurpriseOnWire("starttls-injection")
        self.answered += 1
        if self.answered > ANSWERS_MOST:
            raise SurpriseOnWire("answer-cap")
        if not self.greeting.done():
            self.greeting.set_result(first)
        elif first.startswith(b"* "):
            self._untagged_response(answer)
        elif first.startswith(b"+"):
            self._continuation(first)
        else:
            self._response_done(first)

    @property
    def pending(self) -> _Asked | None:
        """The command in flight: there is at most one."""
        return self.pending_sync_command or next(iter(self.pending_async_commands.values()), None)

    def _untagged_response(self, answer: Answer) -> None:
        words = answer[0][2:].split(b" ", 2)
        kind = words[1].upper() if len(words) > 1 and words[0].isdigit() else words[0].upper()
        if kind == b"BYE" and not self.is_leaving:
            raise SurpriseOnWire("bye")
        if kind == b"EXISTS" and words[0].isdigit():
            self.exists = int(words[0][:10])
            self.news.set()
        if self.pending is not None:
            self.pending.offer(answer)

    def _response_done(self, line: bytes) -> None:
        tag, _, response = line.partition(b" ")
        result, _, text = response.partition(b" ")
        command = self.pending
        if command is None or command.tag.encode() != tag or result.upper() not in (b"OK", b"NO", b"BAD"):
            raise SurpriseOnWire("unexpected-answer")
        self.pending_sync_command = None
        self.pending_async_commands.clear()
        self._clear_is_over = command.name == "STARTTLS" and result.upper() == b"OK"
        command.close(text, result=result.decode("ascii").upper())

    def _continuation(self, line: bytes) -> None:
        if self.pending is not None and self.pending.name == "IDLE":
            self._idle_event.set()
        elif self.replies:
            self.write(self.replies.popleft())
        else:
            raise SurpriseOnWire("unexpected-continuation")

    def fail(self, error: ConnectionLost | PeerRefused) -> None:
        """The end of this connection: everybody who waits is told, nothing more is read."""
        if self.lost is not None:
            return
        self.lost = error
        for waiting in (self.greeting, self.secured):
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # seen: nobody may be waiting
        if self.pending is not None:
            self.pending.fail(error)
        self.news.set()
        if self.transport is not None:
            if isinstance(error, PeerRefused):
                self.transport.close()  # lets our TLS alert out
            else:
                self.transport.abort()


class Session:
    """A connection to a server. `deadline` (seconds) bounds every command."""

    def __init__(self, protocol: _Protocol, deadline: float) -> None:
        self._protocol = protocol
        self._deadline = deadline
        self._turn = asyncio.Lock()
        self._idle_is_refused = False
        self.capabilities: frozenset[str] = frozenset()

    @classmethod
    async def connect(cls, host: str, port: int, deadline: float) -> Session:
        """A TCP connection; nothing was read yet. Raises ConnectionLost."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline):
                transport, protocol = await loop.create_connection(
                    lambda: _Protocol(loop), host, port, happy_eyeballs_delay=0.25
                )
        except TimeoutError:
            raise ConnectionLost("connect-timeout") from None
        except OSError as error:
            raise ConnectionLost(f"connect-{_errno_name(error)}") from None
        _tune(transport.get_extra_info("socket"))
        return cls(protocol, deadline)

    def set_deadline(self, seconds: float) -> None:
        """The deadline of the commands to come."""
        self._deadline = seconds

    async def secure(self, context: ssl.SSLContext, server_name: str) -> None:
        """TLS from here on, the server's name checked. Raises ConnectionLost, PeerRefused."""
        if context.verify_mode != ssl.CERT_REQUIRED or not context.check_hostname:
            raise PeerRefused("tls-context-checks-nothing")
        self._raise_if_lost()
        try:
            self._protocol.begin_tls(context, server_name)
        except PeerRefused as error:
            self._protocol.fail(error)
            raise
        await self._within_deadline(asyncio.shield(self._protocol.secured))

    async def greeting(self) -> None:
        """Wait for the server's greeting. Raises ConnectionLost (also when it says BYE)."""
        line = await self._within_deadline(asyncio.shield(self._protocol.greeting))
        word = line[2:].split(b" ", 1)[0].upper()
        if not line.startswith(b"* ") or word not in (b"OK", b"PREAUTH"):
            raise self.surprise("greeting-bye" if word == b"BYE" else "greeting-syntax")
        self._protocol.state = AUTH if word == b"PREAUTH" else NONAUTH

    @property
    def is_authenticated(self) -> bool:
        return bool(self._protocol.state in (AUTH, SELECTED))

    @property
    def is_lost(self) -> bool:
        return self._protocol.lost is not None

    @property
    def exists(self) -> int:
        """How many messages the server last said that the folder has."""
        return self._protocol.exists

    async def read_capabilities(self) -> frozenset[str]:
        """Ask again; in capitals. Those from before TLS or authentication count no longer (RFC 3501 §6.2.1)."""
        reply = await self.command("CAPABILITY", keeps=(b"CAPABILITY",))
        words = b" ".join(answer[0] for answer in reply.answers).decode("ascii", "replace").upper().split()
        self.capabilities = frozenset(words) - {"*", "CAPABILITY"}
        return self.capabilities

    async def command(
        self,
        name: str,
        *args: str,
        by_uid: bool = False,
        keeps: Iterable[bytes] = (),
        replies: Iterable[bytes] = (),
        literal_most: int = LITERAL_MOST,
        kept_most: int = KEPT_MOST,
    ) -> Reply:
        """Run one command. `keeps` are the untagged answers wanted (`FETCH`, `SEARCH`…), `replies` what to send at
        each continuation. Raises CommandRefused (NO, BAD), ConnectionLost."""
        async with self._turn:
            self._raise_if_lost()
            protocol = self._protocol
            protocol.splitter.literal_most = literal_most
            protocol.replies.clear()
            protocol.replies.extend(replies)
            protocol.answered = 0
            tag = protocol.new_tag()
            asked = _Asked(name, tag, *args, by_uid=by_uid, keeps=tuple(keeps), kept_most=kept_most)
            await self._within_deadline(protocol.execute(asked))
            protocol.splitter.literal_most = LITERAL_MOST
            result, lines = asked.response
            self._note_state(name, result)
            if result != "OK":
                code = response_code(lines[-1])[0]
                raise CommandRefused("-".join(filter(None, (name.lower(), result.lower(), code.lower()))))
            return Reply(lines[-1], tuple(lines[:-1]))

    def _note_state(self, name: str, result: str) -> None:
        if name in ("SELECT", "EXAMINE"):  # a refused SELECT leaves no folder selected (RFC 3501 §6.3.1)
            self._protocol.state = SELECTED if result == "OK" else AUTH
        elif name in ("AUTHENTICATE", "LOGIN") and result == "OK":
            self._protocol.state = AUTH

    async def noop(self) -> None:
        await self.command("NOOP")

    async def append(self, folder: str, raw: bytes, flags: Iterable[str] = (), date: str = "") -> str:
        """Put a message into a folder (`grammar.folder_name`; `grammar.written_date`). Returns the APPENDUID code, if
        any, as `uidvalidity uid`."""
        args = [folder, f"({' '.join(flags)})", *filter(None, [date]), f"{{{len(raw)}}}"]
        reply = await self.command("APPEND", *args, replies=(raw + b"\r\n",))
        code, value = response_code(reply.text)
        return value if code == "APPENDUID" else ""

    def forget_news(self) -> None:
        """Called before looking at the folder: what arrives after the look wakes the next `idle`."""
        if not self.is_lost:
            self._protocol.news.clear()

    async def idle(self, seconds: float, stop: asyncio.Event) -> Woken:
        """Wait in IDLE (without it: just wait) until the server speaks of messages, `seconds` passed, or `stop`.

        Raises ConnectionLost as soon as the connection dies, and when IDLE is not begun or ended in time."""
        if "IDLE" not in self.capabilities or self._idle_is_refused:
            return await self._wait_for_news(seconds, stop)
        async with self._turn:
            self._raise_if_lost()
            protocol = self._protocol
            if protocol.news.is_set():
                return Woken.ARRIVAL
            protocol.answered = 0
            asked = _Asked("IDLE", protocol.new_tag(), by_uid=False, keeps=(), kept_most=0)
            running = asyncio.ensure_future(protocol.execute(asked))
            try:
                if not await self._within_deadline(self._idle_began(running)):
                    self._idle_is_refused = True  # NO or BAD: this server is polled
                    return Woken.QUIET
                woken = await self._wait_for_news(seconds, stop)
                protocol.idle_done()
                await self._within_deadline(asyncio.shield(running))
                return woken
            except asyncio.CancelledError:
                protocol.fail(ConnectionLost("cancelled"))
                raise
            finally:
                running.cancel()

    async def _idle_began(self, running: asyncio.Future[object]) -> bool:
        acknowledged = asyncio.ensure_future(self._protocol.wait_for_idle_response())
        try:
            await asyncio.wait({running, acknowledged}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()  # raises what killed it: BYE instead of `+ idling`
            return not running.done()
        finally:
            acknowledged.cancel()

    async def _wait_for_news(self, seconds: float, stop: asyncio.Event) -> Woken:
        waiters = [asyncio.ensure_future(event.wait()) for event in (self._protocol.news, stop)]
        try:
            await asyncio.wait(waiters, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        self._raise_if_lost()
        if stop.is_set():
            return Woken.STOP
        return Woken.ARRIVAL if self._protocol.news.is_set() else Woken.QUIET

    async def logout(self) -> None:
        """Leave politely, then close; never raises."""
        if not self.is_lost and not self._turn.locked():
            self._protocol.is_leaving = True
            self._deadline = min(self._deadline, 3.0)
            with contextlib.suppress(ConnectionLost, CommandRefused):  # the aim was to be gone
                await self.command("LOGOUT")
        self.close()

    def close(self) -> None:
        self._protocol.fail(ConnectionLost("closed-by-us"))
        self._protocol.state = LOGOUT

    def surprise(self, code: str) -> ConnectionLost:
        """The server broke the protocol: closes the connection, gives the error to raise."""
        error = ConnectionLost(code)
        self._protocol.fail(error)
        return error

    def _raise_if_lost(self) -> None:
        if self._protocol.lost is not None:
            raise self._protocol.lost

    async def _within_deadline(self, awaited: Awaitable[T]) -> T:
        """Await under our deadline. Late or cancelled: the connection is closed, so no late answer can be read."""
        try:
            async with asyncio.timeout(self._deadline):
                return await awaited
        except TimeoutError:
            raise self.surprise("timeout") from None
        except asyncio.CancelledError:
            self._protocol.fail(ConnectionLost("cancelled"))
            raise


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__).lower()


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # Linux names; other systems keep their defaults
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
