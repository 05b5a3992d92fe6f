"""The door out: sends one mail at a time to an operator's submission server.

A mailbox, an envelope and final bytes flow in; the server's last line flows out, or Temporary (not sent: no
connection, no TLS, 4xx, silence before the final dot), Permanent (5xx, an address that may not be sent), or
UncertainDelivery (cut or silence after the final dot). A connection (`smtp.session`) stays open for each line and
serves one mail after the other: a new TLS connection costs twenty times a mail. Every wait has a deadline. The bytes go
out as they came, piece by piece (`smtp.content`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import aiosmtplib

from hub.errors import Permanent, Temporary, UncertainDelivery
from hub.ports import DsnAsked, Outgoing, Way
from hub.settings import Sending
from hub.smtp import answers, parameters
from hub.smtp.content import dotted
from hub.smtp.route import Route
from hub.smtp.session import BROKEN, QUIT_SECONDS, abort, opened

__all__ = ["Route", "SmtpSender"]

log = logging.getLogger("hub.smtp")

# RFC 5321 §4.5.3.2.6 gives the server 10 minutes after the final dot, since giving up too early sends mails twice.
# Half of it keeps a worker's lease and the line within reason; settings.sending.command_timeout rules all else.
ANSWER_AFTER_DOT = timedelta(minutes=5)
REST = 4.0  # how many times longer than a failed attempt to connect the operator is left alone
PIECE = 64 * 1024  # bytes written before the socket is waited for: memory does not follow the message's size


class _DiedEarly(Exception):
    """The connection was dead before MAIL was accepted: nothing was said of the message."""


class _RefusedAsking(Exception):
    """The server did not take the DSN parameters: nothing was said of the message."""


@dataclass(frozen=True, slots=True)
class _Letter:
    """A checked envelope and the mail to send; `sender` "" is the empty return path. `ask`: what to ask the operator to
    tell, None for nothing."""

    sender: str
    recipient: str
    mail: Outgoing
    ask: DsnAsked | None = None


class SmtpSender:
    """The real `hub.ports.Sender`. `routes` says how the mails of each mailbox leave, by its name."""

    def __init__(
        self, routes: Mapping[str, Route], sending: Sending, *, answer_after_dot: timedelta = ANSWER_AFTER_DOT
    ) -> None:
        shared: dict[object, _Line] = {}
        self._lines: dict[str, _Line] = {}
        for mailbox, route in routes.items():
            key = route.shares_with() or ("alone", mailbox)
            if key not in shared:
                shared[key] = _Line(route, sending, answer_after_dot.total_seconds())
            self._lines[mailbox] = shared[key]

    async def send(self, mailbox: str, sender: str, recipient: str, mail: Outgoing, ask: DsnAsked | None = None) -> str:
        line = self._lines.get(mailbox)
        if line is None:
            raise Permanent(f"mailbox {mailbox} has no way out in the settings", answers.REFUSED)
        checked_sender = answers.checked_address(sender) if sender else ""
        return await line.send(_Letter(checked_sender, answers.checked_address(recipient), mail, ask))

    async def close(self) -> None:
        """Say QUIT on every open connection. Safe to call twice; a later `send` opens a new one."""
        await asyncio.gather(*(line.close() for line in set(self._lines.values())))


class _Line:
    """One connection to one operator, opened when needed, closed after a while without mail."""

    def __init__(self, route: Route, sending: Sending, answer_seconds: float) -> None:
        self._route = route
        self._connect_seconds = sending.connect_timeout.total_seconds()
        self._seconds = sending.command_timeout.total_seconds()
        self._idle_seconds = sending.idle_close.total_seconds()
        self._answer_seconds = answer_seconds
        self._lock = asyncio.Lock()
        self._smtp: aiosmtplib.SMTP | None = None
        self._way: Way | None = None  # by which it was opened
        self._idle: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._unreachable: tuple[float, Temporary] | None = None  # until when no mail tries; why
        self._refuses_asking = False  # on this connection
        self._place = ""  # the server, as last found

    async def send(self, letter: _Letter) -> str:
        asked_at = asyncio.get_running_loop().time()
        async with self._lock:
            if self._unreachable and self._unreachable[0] > asked_at:
                # The operator proved unreachable while this mail waited for its turn, or a moment ago: no use in
                # waiting once more.
                until, error = self._unreachable
                rest = timedelta(seconds=max(0.0, until - asyncio.get_running_loop().time()))
                raise Temporary(error.private, error.public, rest)
            if self._idle:
                self._idle.cancel()
            try:
                return await self._send(letter)
            except (Temporary, Permanent):
                raise
            except BaseException:  # cut, cancelled, unknown: where the dialogue stands is not known any more
                self._drop()
                raise
            finally:
                if self._smtp:
                    self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._expire)

    async def close(self) -> None:
        async with self._lock:
            if self._idle:
                self._idle.cancel()
            await self._leave()
        await asyncio.sleep(0)  # lets the transport close its socket

    async def _leave(self) -> None:
        smtp = self._smtp
        if smtp is not None and smtp.is_connected:
            with contextlib.suppress(*BROKEN):
                await smtp.execute_command(b"QUIT", timeout=QUIT_SECONDS)
        self._drop()

    def _expire(self) -> None:
        if not self._lock.locked():
            self._farewell = asyncio.get_running_loop().create_task(self.close())

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        self._refuses_asking = False
        if smtp is not None:
            abort(smtp)

    async def _send(self, letter: _Letter) -> str:
        """On the open connection when there is one; when that one proves dead, once more on a new one."""
        if self._way is not None and not self._way.lasts():
            await self._leave()
        if self._smtp is not None and self._smtp.is_connected:
            try:
                return await self._transaction(self._smtp, letter)
            except _DiedEarly:
                pass
        self._drop()
        self._smtp = await self._opened()
        try:
            return await self._transaction(self._smtp, letter)
        except _DiedEarly as error:
            self._drop()
            raise Temporary(str(error), answers.UNREACHABLE) from None

    # --- one mail ---------------------------------------------------------------------------------------------

    async def _transaction(self, smtp: aiosmtplib.SMTP, letter: _Letter) -> str:
        """Asks for a DSN where it may. A server that offers DSN and refuses its parameters is asked once more without
        (MSS-95: an operator refused ORCPT): a notice less is better than a mail less."""
        may_ask = self._route.asks_dsn and not self._refuses_asking and smtp.supports_extension("dsn")
        if letter.ask is not None and may_ask and letter.sender:  # no notice without return path (RFC 3461 §6.2)
            try:
                return await self._dialogue(smtp, letter, letter.ask)
            except _RefusedAsking:
                self._refuses_asking = True
                log.warning("the operator at %s refuses the DSN parameters that it offers", self._place)
        return await self._dialogue(smtp, letter, None)

    async def _dialogue(self, smtp: aiosmtplib.SMTP, letter: _Letter, ask: DsnAsked | None) -> str:
        options = parameters.of_mail(smtp.esmtp_extensions, letter.mail, ask)
        try:
            reply = await smtp.execute_command(
                b"MAIL", f"FROM:<{letter.sender}>".encode("ascii"), *options, timeout=self._seconds
            )
        except BROKEN as error:
            raise _DiedEarly(f"connection lost at MAIL ({type(error).__name__})") from None
        if reply.code == 421:  # the server closes an idle connection with its next reply (RFC 5321 §3.8)
            raise _DiedEarly(f"MAIL refused: {answers.words_of(reply.code, reply.message)}")
        if ask is not None:
            await self._check_asking(smtp, reply)
        await self._expect(smtp, "MAIL", reply, 250)
        rcpt = f"TO:<{letter.recipient}>".encode("ascii")
        reply = await self._say(smtp, "RCPT", b"RCPT", rcpt, *parameters.of_recipient(letter.recipient, ask))
        if ask is not None:
            await self._check_asking(smtp, reply)
        await self._expect(smtp, "RCPT", reply, 250, 251, 252)
        await self._expect(smtp, "DATA", await self._say(smtp, "DATA", b"DATA"), 354)
        return await self._content(smtp, letter.mail)

    async def _check_asking(self, smtp: aiosmtplib.SMTP, reply: aiosmtplib.SMTPResponse) -> None:
        """Raises _RefusedAsking, the connection ready for the same mail once more."""
        if reply.code not in parameters.REFUSALS or not smtp.is_connected:
            return
        if (await self._say(smtp, "RSET", b"RSET")).code == 250:
            raise _RefusedAsking

    async def _say(self, smtp: aiosmtplib.SMTP, stage: str, *words: bytes) -> aiosmtplib.SMTPResponse:
        try:
            return await smtp.execute_command(*words, timeout=self._seconds)
        except BROKEN as error:
            self._drop()
            raise Temporary(f"connection lost at {stage} ({type(error).__name__})", answers.UNREACHABLE) from None

    async def _expect(self, smtp: aiosmtplib.SMTP, stage: str, reply: aiosmtplib.SMTPResponse, *accepted: int) -> None:
        """Raise what a refusal means; leave the connection ready for the next mail, or drop it."""
        if reply.code in accepted:
            return
        try:
            ready = 400 <= reply.code <= 599 and smtp.is_connected
            if not ready or (await smtp.execute_command(b"RSET", timeout=self._seconds)).code != 250:
                self._drop()
        except BROKEN:
            self._drop()
        raise answers.refusal(stage, reply.code, reply.message)

    async def _content(self, smtp: aiosmtplib.SMTP, mail: Outgoing) -> str:
        """The message, then its final dot: what fails before the dot was written was surely not delivered."""
        protocol = smtp.protocol
        try:
            if protocol is None:
                raise ConnectionResetError("closed after 354")
            async for piece in dotted(mail):
                await self._write(protocol, piece)
        except BROKEN as error:
            self._drop()
            raise Temporary(f"connection lost in the content ({type(error).__name__})", answers.UNREACHABLE) from None
        except BaseException:  # the mail itself could not be read to its end: without its dot it is none
            self._drop()
            raise
        try:
            protocol.write(b".\r\n")
        except BROKEN as error:
            self._drop()
            raise Temporary(f"connection lost before the dot ({type(error).__name__})", answers.UNREACHABLE) from None
        try:
            reply = await protocol.read_response(timeout=self._answer_seconds)
        except aiosmtplib.SMTPResponseException as error:  # an answer that is none: yes or no, nobody knows
            self._drop()
            raise UncertainDelivery(f"unreadable answer after the final dot ({error.code})", answers.UNSURE) from None
        except BROKEN as error:
            self._drop()
            private = f"no answer after the final dot ({type(error).__name__})"
            raise UncertainDelivery(private, answers.UNSURE) from None
        if reply.code < 200 or 300 <= reply.code < 400:
            self._drop()
            raise UncertainDelivery(f"strange answer after the final dot ({reply.code})", answers.UNSURE)
        await self._expect(smtp, "content", reply, *range(200, 300))
        return answers.words_of(reply.code, reply.message)

    async def _write(self, protocol: aiosmtplib.protocol.SMTPProtocol, piece: bytes) -> None:
        for start in range(0, len(piece), PIECE):
            protocol.write(piece[start : start + PIECE])
            async with asyncio.timeout(self._seconds):
                await protocol._drain_helper()  # asyncio's flow control, of which aiosmtplib has no public face

    # --- one connection ---------------------------------------------------------------------------------------

    async def _opened(self) -> aiosmtplib.SMTP:
        time = asyncio.get_running_loop().time
        began = time()
        try:
            return await self._open()
        except Temporary as error:
            # An operator that never answers costs each mail the whole deadline, and the mails of all others wait behind
            # it (complaints.md, row 13): left alone for a multiple of what the attempt took, it takes a fifth of us.
            self._unreachable = (time() + REST * (time() - began), error)
            raise

    async def _open(self) -> aiosmtplib.SMTP:
        smtp, way = await opened(self._route, self._connect_seconds, self._seconds)
        self._way, self._place = way, way.endpoint.host
        if isinstance(smtp.transport, asyncio.WriteTransport):
            # Pause as soon as bytes wait: so that "the dot was written" means that the rest has left.
            smtp.transport.set_write_buffer_limits(high=1, low=0)
        log.info("smtp %s:%d: connected", way.endpoint.host, way.endpoint.port)
        return smtp
