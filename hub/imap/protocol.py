"""aioimaplib's protocol made safe: how bytes of one connection become answers, and how it dies. The only file that
knows aioimaplib.

From aioimaplib come tags, states, the table of commands, `Command` and `execute`. Replaced here: reading (quadratic,
recursive, strips `* ` inside strings), sending (logs secrets), continuations, and what happens when a connection dies
(libs.md §2). Failures: a cap or a surprise closes the connection for good; whoever waits is told at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from aioimaplib.aioimaplib import AUTH, LOGOUT, NONAUTH, SELECTED, Command, IMAP4ClientProtocol

from hub.imap.failures import ConnectionLost, PeerRefused, certificate_code
from hub.imap.grammar import response_code
from hub.imap.tls import TlsLayer
from hub.imap.wire import Answer, Splitter, SurpriseOnWire
from hub.ports import Handshake

__all__ = ["AUTH", "LOGOUT", "NONAUTH", "SELECTED", "Asked", "Protocol"]

LITERAL_MOST = 256 * 1024  # for commands that say nothing else: a header field, never a body
ANSWERS_MOST = 50_000  # answers that one command keeps; windows and chunks keep honest servers far below
# Answers that nobody asked for (EXISTS, FLAGS, EXPUNGE…): so many at once, then so many a second. An honest server
# tells 50,000 changes once; one that never stops costs 0.2 s of CPU a connection, and connections grow rare.
UNASKED_MOST, UNASKED_RATE, UNASKED_BYTES = 50_000, 100, 256  # each begun UNASKED_BYTES count as one
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


class Asked(Command):  # type: ignore[misc]  # aioimaplib has no types
    """A command that keeps only the answers it asked for, within `kept_most` bytes."""

    def __init__(self, name: str, tag: str, *args: str, by_uid: bool, keeps: tuple[bytes, ...], kept_most: int) -> None:
        super().__init__(name, tag, *args, prefix="UID" if by_uid else None)
        self.keeps = keeps
        self._room = kept_most
        self._answers = 0

    def offer(self, answer: Answer) -> bool:
        """Keep an untagged answer when its first or second word is wanted. Raises SurpriseOnWire."""
        words = answer[0][2:].split(b" ", 2)
        if not any(word.upper() in self.keeps for word in words[:2]):
            return False
        self._room -= sum(map(len, answer))
        self._answers += 1
        if self._room < 0 or self._answers > ANSWERS_MOST:
            raise SurpriseOnWire("answer-cap")
        self.append_to_resp(answer)
        return True

    def fail(self, error: Exception) -> None:
        self._exception = error
        self._event.set()


class Protocol(IMAP4ClientProtocol):  # type: ignore[misc]  # aioimaplib has no types
    """aioimaplib's protocol with its own reading, TLS and death."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.splitter = Splitter(LITERAL_MOST)
        self.layer: TlsLayer | None = None
        self.secured: asyncio.Future[None] = loop.create_future()
        self.greeting: asyncio.Future[bytes] = loop.create_future()
        self.replies: deque[bytes] = deque()  # what to send at each continuation
        self.invited: asyncio.Future[None] | None = None  # set while a literal waits for its continuation
        self.flows = asyncio.Event()  # what was written leaves: more may be
        self.flows.set()
        self.news = asyncio.Event()  # messages came, or the connection is lost
        self.exists = 0
        self.lost: ConnectionLost | PeerRefused | None = None
        self.epoch: int | None = None  # UIDVALIDITY of the folder that is selected
        self.is_leaving = False
        self._unasked_room = float(UNASKED_MOST)
        self._unasked_at = loop.time()
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
                if self.layer.is_over:  # said goodbye in TLS; its FIN may be late, or lost
                    self.fail(ConnectionLost("closed"))
        except SurpriseOnWire as surprise:
            self.fail(ConnectionLost(surprise.code))
        except ssl.SSLError as error:
            self._fail_in_tls(error)

    def connection_lost(self, exc: Exception | None) -> None:
        code = "reset" if exc else "closed"
        is_in_handshake = self.layer is not None and not self.layer.is_established  # some servers say no more than this
        self.fail(ConnectionLost(f"tls-{code}" if is_in_handshake else code))

    def send(self, line: str, scrub: str | None = None) -> None:
        self.write(line.encode("ascii") + b"\r\n")

    def write(self, raw: bytes) -> None:
        if self.layer is None:
            self.transport.write(raw)
            return
        self.layer.seal(raw)
        self._flush()

    def pause_writing(self) -> None:
        self.flows.clear()

    def resume_writing(self) -> None:
        self.flows.set()

    def invite(self) -> asyncio.Future[None]:
        """Done when the server says that it takes the literal announced by the next command."""
        self.invited = self.loop.create_future()
        return self.invited

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

    @property
    def handshake(self) -> Handshake:
        """What TLS was agreed; empty before."""
        layer = self.layer
        return (
            Handshake("", "", b"") if layer is None else Handshake(layer.version, layer.suite, layer.peer_certificate)
        )

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
        if not self.greeting.done():
            self.greeting.set_result(first)
        elif first.startswith(b"* "):
            self._untagged_response(answer)
        elif first.startswith(b"+"):
            self._continuation(first)
        else:
            self._response_done(first)

    @property
    def pending(self) -> Asked | None:
        """The command in flight: there is at most one."""
        return self.pending_sync_command or next(iter(self.pending_async_commands.values()), None)

    def _untagged_response(self, answer: Answer) -> None:
        words = answer[0][2:].split(b" ", 2)
        kind = words[1].upper() if len(words) > 1 and words[0].isdigit() else words[0].upper()
        if kind == b"BYE" and not self.is_leaving:
            code = response_code(answer[0][6:])[0].lower()
            raise SurpriseOnWire(f"bye-{code}" if code else "bye")
        if kind == b"EXISTS" and words[0].isdigit():
            self.exists = int(words[0][:10])
            self.news.set()
        if kind == b"OK" and self.epoch is not None:
            self._look_at_code(answer[0][5:])
        if self.pending is None or not self.pending.offer(answer):
            self._count_unasked(answer)

    def _look_at_code(self, text: bytes) -> None:
        """What a server says in passing of the selected folder: it is another one, or it is no longer selected."""
        code, value = response_code(text)
        if code == "UIDVALIDITY" and value != str(self.epoch):
            raise SurpriseOnWire("uidvalidity-changed")
        if code == "CLOSED":
            raise SurpriseOnWire("folder-closed")

    def _count_unasked(self, answer: Answer) -> None:
        now = self.loop.time()
        refilled = self._unasked_room + (now - self._unasked_at) * UNASKED_RATE
        self._unasked_room = min(UNASKED_MOST, refilled) - 1 - sum(map(len, answer)) // UNASKED_BYTES
        self._unasked_at = now
        if self._unasked_room < 0:
            raise SurpriseOnWire("answer-cap")

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
            self._count_unasked((line,))
        elif self.replies:
            self.write(self.replies.popleft())
        elif self.invited is not None and not self.invited.done():
            self.invited.set_result(None)
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
        self.flows.set()
        if self.transport is not None:
            if isinstance(error, PeerRefused):
                self.transport.close()  # lets our TLS alert out
            else:
                self.transport.abort()
