"""One IMAP connection, one command at a time, each under a deadline of ours.

`protocol` has the bytes, the answers and the death of the connection. Failures: a deadline, a cancellation, a cap or a
surprise closes the connection for good and raises ConnectionLost, at once also in IDLE; so a late answer can never be
taken for that of the next command.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import ssl
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from hub.errors import Untrusted
from hub.imap import literal
from hub.imap.failures import CommandRefused, ConnectionLost, PeerRefused
from hub.imap.grammar import response_code
from hub.imap.protocol import AUTH, LITERAL_MOST, LOGOUT, NONAUTH, SELECTED, Asked, Protocol
from hub.imap.wire import Answer
from hub.ports import Opening, Reached, Way, nobody_told
from hub.raw import Raw

VETTING_SECONDS = 60.0  # at least, for vetting a peer: a list of revoked certificates may have to be fetched first
KEPT_MOST = 1024**2  # bytes of answers kept for a command that says nothing else
CAPABILITY_MOST = 64 * 1024
# Half-open connections (NAT, power cut) are heard within two minutes, also in IDLE (complaints.md, row 4).
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4), ("TCP_USER_TIMEOUT", 120_000))

_ERRNO = re.compile(r"\[Errno (\d{1,5})\]")

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


class Session:
    """A connection to a server. `deadline` (seconds) bounds every command; `host` is the server's name."""

    def __init__(self, protocol: Protocol, deadline: float, host: str = "") -> None:
        self.host = host
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
                    lambda: Protocol(loop), host, port, happy_eyeballs_delay=0.25
                )
        except TimeoutError:
            raise ConnectionLost("connect-timeout") from None
        except OSError as error:
            raise ConnectionLost(f"connect-{_errno_name(error)}") from None
        _tune(transport.get_extra_info("socket"))
        return cls(protocol, deadline, host)

    def set_deadline(self, seconds: float) -> None:
        """The deadline of the commands to come."""
        self._deadline = seconds

    async def secure(self, way: Way, reached: Reached = nobody_told) -> None:
        """TLS from here on, the server's name checked, and who it is vetted. Raises ConnectionLost, PeerRefused."""
        names_are_checked = way.context.check_hostname or (not way.names_are_checked and way.vet is not None)
        if way.context.verify_mode != ssl.CERT_REQUIRED or not names_are_checked:
            raise PeerRefused("tls-context-checks-nothing")
        self._raise_if_lost()
        try:
            self._protocol.begin_tls(way.context, way.server_name)
        except PeerRefused as error:
            self._protocol.fail(error)
            raise
        await self._within_deadline(asyncio.shield(self._protocol.secured))
        handshake = self._protocol.handshake
        reached(Opening.SECURED, handshake)
        if way.vet is not None:
            try:
                await self._within_deadline(way.vet(handshake.leaf), VETTING_SECONDS)
            except Untrusted as error:
                refusal = PeerRefused(error.code, error.public)
                self._protocol.fail(refusal)
                raise refusal from None
        reached(Opening.BELIEVED, None)

    async def greeting(self) -> None:
        """Wait for the server's greeting. Raises ConnectionLost (also when it says BYE)."""
        line = await self._within_deadline(asyncio.shield(self._protocol.greeting))
        word = line[2:].split(b" ", 1)[0].upper()
        if not line.startswith(b"* ") or word not in (b"OK", b"PREAUTH"):
            code = response_code(line[6:])[0].lower()
            bye = f"greeting-bye-{code}" if code else "greeting-bye"
            raise self.surprise(bye if word == b"BYE" else "greeting-syntax")
        self._protocol.state = AUTH if word == b"PREAUTH" else NONAUTH

    @property
    def is_authenticated(self) -> bool:
        return bool(self._protocol.state in (AUTH, SELECTED))

    @property
    def epoch(self) -> int | None:
        """The UIDVALIDITY under which the folder was selected; a server that changes its mind loses the connection."""
        return self._protocol.epoch

    @epoch.setter
    def epoch(self, uidvalidity: int | None) -> None:
        self._protocol.epoch = uidvalidity

    @property
    def is_lost(self) -> bool:
        return self._protocol.lost is not None

    @property
    def exists(self) -> int:
        """How many messages the server last said that the folder has."""
        return self._protocol.exists

    async def read_capabilities(self) -> frozenset[str]:
        """Ask again; in capitals. Those from before TLS or authentication count no longer (RFC 3501 §6.2.1)."""
        reply = await self.command("CAPABILITY", keeps=(b"CAPABILITY",), kept_most=CAPABILITY_MOST)
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
            tag = protocol.new_tag()
            asked = Asked(name, tag, *args, by_uid=by_uid, keeps=tuple(keeps), kept_most=kept_most)
            await self._within_deadline(protocol.execute(asked))
            protocol.splitter.literal_most = LITERAL_MOST
            return self._reply_to(asked)

    def _reply_to(self, asked: Asked) -> Reply:
        result, lines = asked.response
        self._note_state(asked.name, result)
        if result != "OK":
            code = response_code(lines[-1])[0]
            raise CommandRefused("-".join(filter(None, (asked.name.lower(), result.lower(), code.lower()))))
        return Reply(lines[-1], tuple(lines[:-1]))

    def _note_state(self, name: str, result: str) -> None:
        if name in ("SELECT", "EXAMINE"):  # a refused SELECT leaves no folder selected (RFC 3501 §6.3.1)
            self._protocol.state = SELECTED if result == "OK" else AUTH
        elif name in ("AUTHENTICATE", "LOGIN") and result == "OK":
            self._protocol.state = AUTH

    async def noop(self) -> None:
        await self.command("NOOP")

    async def append(self, folder: str, mail: Raw, flags: Iterable[str] = (), date: str = "") -> str:
        """Put a message into a folder (`grammar.folder_name`; `grammar.written_date`), piece by piece. Returns the
        APPENDUID code, if any, as `uidvalidity uid`. What the pieces raise, or a refusal that comes in their middle,
        leaves nothing in the folder and no connection."""
        async with self._turn:
            self._raise_if_lost()
            args = [folder, f"({' '.join(flags)})", *filter(None, [date]), f"{{{mail.size}}}"]
            asked = Asked("APPEND", self._protocol.new_tag(), *args, by_uid=False, keeps=(), kept_most=0)
            self._protocol.replies.clear()
            await literal.send(self._protocol, asked, mail, self._within_deadline)
            code, value = response_code(self._reply_to(asked).text)
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
            asked = Asked("IDLE", protocol.new_tag(), by_uid=False, keeps=(), kept_most=0)
            running = asyncio.ensure_future(protocol.execute(asked))
            try:
                if not await self._within_deadline(self._idle_began(running)):
                    self._idle_is_refused = True  # NO or BAD: this server is polled
                    return Woken.QUIET
                woken = await self._wait_for_news(seconds, stop, running)
                if protocol.pending is None:  # the server ended it: nothing more would be told
                    self._idle_is_refused = asked.response[0] != "OK"
                    return Woken.STOP if woken is Woken.STOP else Woken.ARRIVAL
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

    async def _wait_for_news(self, seconds: float, stop: asyncio.Event, *ends: asyncio.Future[Any]) -> Woken:
        waiters: list[asyncio.Future[Any]] = [asyncio.ensure_future(e.wait()) for e in (self._protocol.news, stop)]
        try:
            await asyncio.wait({*waiters, *ends}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
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

    async def _within_deadline(self, awaited: Awaitable[T], seconds: float | None = None) -> T:
        """Await under our deadline (`seconds`: at least so many). Late or cancelled: the connection is closed, so no
        late answer can be read."""
        try:
            async with asyncio.timeout(max(self._deadline, seconds or 0.0)):
                return await awaited
        except TimeoutError:
            raise self.surprise("timeout") from None
        except asyncio.CancelledError:
            self._protocol.fail(ConnectionLost("cancelled"))
            raise


def _errno_name(error: OSError) -> str:
    """Where a name has several addresses, asyncio tells of all of them in one text: what the last one said."""
    numbers = _ERRNO.findall(str(error)) if error.errno is None else []
    number = int(numbers[-1]) if numbers else error.errno or 0
    return errno.errorcode.get(number, type(error).__name__).lower()


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):  # Linux names; other systems keep their defaults
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
