"""One client's conversation with the submission door. The only file that knows aiosmtpd.

aiosmtpd gives the protocol's frame (connection, timers, STARTTLS, HELO, NOOP, RSET); the commands that decide something
are ours, since the library's own read mails line by line into memory, take bare line ends and odd addresses, check
passwords on the loop, and quote what they hear in logs (libs.md §3). A mail flows in pieces from the socket to a sealed
blob; 250 comes after the commit. Whatever fails is answered with 4xx or 5xx and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import logging
import re
import ssl
from base64 import b64decode, b64encode
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, TLSSetupException

from hub.errors import Temporary, place_of
from hub.ids import shown
from hub.ports import BlobSink, User
from hub.smtp import lines
from hub.smtp.desk import Draft, Phase, SubmissionDesk, answer_of
from hub.smtp.dots import Undotter
from hub.smtp.inflow import Inflow
from hub.smtp.lines import Refused

log = logging.getLogger("hub.smtp")
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # aiosmtpd quotes commands and addresses there (RH-81)

MISTAKES_MOST = 10  # of one client, then it is a program that guesses
OVERRUN_MOST = 16 * 1024**2  # bytes read and thrown away of a mail that is too large, so that it can be told
UNSAID_MOST = 4 * 1024  # bytes of answers kept back while more commands wait
ABORT_AFTER = 5.0  # seconds for a client that does not even read our goodbye
_ENCRYPTED = frozenset({"AUTH", "MAIL", "RCPT", "DATA", "VRFY", "HELP", "HELO", "RSET"})  # not before TLS
_COMMAND = re.compile(rb"[A-Za-z]{4,8}")

Tls = Literal["starttls", "implicit", "none"]


class Conversation(SMTP):  # type: ignore[misc]
    def __init__(self, desk: SubmissionDesk, name: str, tls: Tls, context: ssl.SSLContext | None) -> None:
        """`tls` none is for measurements on loopback: no setting opens such a door."""
        super().__init__(
            None,
            data_size_limit=desk.limits.message_most,
            hostname=name,
            ident="hub",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            timeout=desk.limits.silence_most.total_seconds(),
            auth_require_tls=tls == "starttls",
            loop=asyncio.get_running_loop(),
        )
        self.phase: Phase = "talking"
        self.user: User | None = None
        self._desk = desk
        self._tls = tls
        self._peer = ""
        self._draft: Draft | None = None
        self._inflow = Inflow()
        self._unsaid = bytearray()  # answers
        self._silent_until = 0.0
        self._mistakes = 0
        self._is_counted = False
        self._login_timer: asyncio.TimerHandle | None = None

    def __dir__(self) -> tuple[str, ...]:
        """aiosmtpd looks for its commands among all our names, three times a connection: here are those it finds."""
        return _COMMANDS

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called again when the handshake of STARTTLS is done, before anything that came under TLS."""
        is_first = self._original_transport is None
        super().connection_made(transport)
        self._inflow.transport = self.transport
        if not is_first:
            # While "220" waited for a client that did not read, clear bytes may still have come: they are nobody's
            # (RFC 3207 §4.2, CVE-2011-0411).
            self._inflow.forget()
        if is_first:
            name = transport.get_extra_info("peername")
            self._peer = str(name[0]) if name else "local"
            within = self._desk.limits.login_within.total_seconds()
            self._login_timer = self.loop.call_later(within, self._no_login)

    def connection_lost(self, error: Exception | None) -> None:
        if self._login_timer is not None:
            self._login_timer.cancel()
        if self._is_counted:
            self._is_counted = False
            self._desk.sessions[self._peer] -= 1
            self._desk.talks.discard(self)
        super().connection_lost(error)

    def data_received(self, received: bytes) -> None:
        """Instead of aiosmtpd's stream."""
        self._inflow.add(received)

    async def push(self, answer: str | bytes, *, at_once: bool = False) -> None:
        """Answers to commands that came together leave together (RFC 2920 §3.2), but those that go `at_once`."""
        self._unsaid += (answer.encode("ascii") if isinstance(answer, str) else answer) + b"\r\n"
        if at_once or not self._inflow.has_line or len(self._unsaid) > UNSAID_MOST:
            self._writer.write(self._all_unsaid())
            await self._writer.drain()

    def _all_unsaid(self) -> bytes:
        said, self._unsaid = bytes(self._unsaid), bytearray()
        return said

    def hang_up(self, answer: str) -> None:
        """Say why and close; a client that does not listen is cut off a moment later."""
        if not self._tls_handshake_is_over():  # there is nobody yet to whom it could be said
            self._original_transport.abort()
            return
        if self.transport is None or self.transport.is_closing():
            return
        self.transport.write(self._all_unsaid() + f"{answer}\r\n".encode("ascii"))
        self.transport.close()
        self.loop.call_later(ABORT_AFTER, self._abort, self._original_transport or self.transport)

    def _tls_handshake_is_over(self) -> bool:
        return self._original_transport is None or self.session.ssl is not None

    @staticmethod
    def _abort(transport: Any) -> None:
        transport.abort()

    def _reset_timeout(self, duration: float | None = None) -> None:
        """The timer is set anew when it went off too early, or would go off too late: not for each command."""
        within = duration or self._timeout_duration
        self._silent_until = self.loop.time() + within
        if self._timeout_handle is None or self._timeout_handle.when() > self._silent_until:
            super()._reset_timeout(within)

    def _timeout_cb(self) -> None:
        left = self._silent_until - self.loop.time()
        if left > 0:
            super()._reset_timeout(left)
        else:
            self.hang_up(lines.TIMEOUT)

    def _no_login(self) -> None:
        if self.user is None:
            self.hang_up(lines.TIMEOUT)

    # --- commands, one after the other (PIPELINING, RFC 2920: whatever was sent ahead waits its turn)

    async def _handle_client(self) -> None:
        if not self._desk.has_room_for(self._peer) or self._desk.is_closing:
            self.hang_up(lines.STOPPING if self._desk.is_closing else lines.BUSY)
            return
        self._is_counted = True
        self._desk.sessions[self._peer] += 1
        self._desk.talks.add(self)
        await self.push(f"220 {self.hostname} ESMTP")
        while self.transport is not None and not self.transport.is_closing():
            try:
                await self._obey(await self._inflow.line())
            except Refused as refused:
                await self._refuse(refused)
            except Temporary as error:
                log.warning("submission: %s", error.private)
                await self.push(answer_of(error))
            except ConnectionError:
                self._writer.close()
                return
            except asyncio.CancelledError:
                self._writer.close()
                raise
            except Exception as error:  # our fault, and temporary; its text may quote the mail
                log.error("submission: %s at %s", type(error).__name__, place_of(error))
                await self.push(lines.LATER)

    async def _refuse(self, refused: Refused) -> None:
        """What starts with 421 is said last; too many mistakes of the program end the conversation too."""
        self._mistakes += refused.answer.startswith(("50", "53"))
        if self._mistakes >= MISTAKES_MOST:
            self.hang_up(lines.TOO_MANY_FAILURES)
        elif refused.answer.startswith("421"):
            self.hang_up(refused.answer)
        else:
            await self.push(refused.answer)

    async def _obey(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if not _COMMAND.fullmatch(word):
            raise Refused(lines.UNKNOWN)
        command = word.decode("ascii").upper()
        if not rest.isascii():
            raise Refused(lines.BAD_ADDRESS if command in ("MAIL", "RCPT") else lines.SYNTAX)
        argument = rest.strip().decode("ascii")
        if command in _ENCRYPTED and self._tls == "starttls" and self._tls_protocol is None:
            raise Refused(lines.TLS_BEFORE_LOGIN if command == "AUTH" else lines.TLS_FIRST)
        method = self._smtp_methods.get(command)
        if method is None:
            raise Refused(lines.UNKNOWN)
        self._reset_timeout()
        await method(argument)

    def _set_rset_state(self) -> None:
        super()._set_rset_state()
        self._draft = None

    async def smtp_EHLO(self, hostname: str) -> None:
        if not hostname:
            raise Refused(lines.SYNTAX)
        self._set_rset_state()
        self.session.extended_smtp = True
        self.session.host_name = hostname
        offers = [self.hostname, f"SIZE {self._desk.limits.message_most}", "8BITMIME", "PIPELINING"]
        if self._tls == "starttls" and self._tls_protocol is None:
            offers.append("STARTTLS")
        else:
            offers.append("AUTH PLAIN LOGIN")
        offers.append("ENHANCEDSTATUSCODES")
        await self.push("\r\n".join([*(f"250-{one}" for one in offers[:-1]), f"250 {offers[-1]}"]))

    async def smtp_STARTTLS(self, argument: str) -> None:
        if argument:
            raise Refused(lines.SYNTAX)
        if self._tls != "starttls" or self._tls_protocol is not None:
            raise Refused(lines.ORDER)
        if not self._inflow.is_empty:  # sent in clear by whoever sits between: never obeyed as if it had come encrypted
            raise Refused(f"421 {lines.TLS_ALONE[4:]}")
        self.session.host_name = None
        with contextlib.suppress(TLSSetupException):
            await super().smtp_STARTTLS(None)
        if not self._tls_handshake_is_over():
            # asyncio tells a protocol of the end of its connection only when its handshake was done: whoever breaks off
            # in it would keep a place of this door for ever.
            self._original_transport.abort()
            self.connection_lost(None)

    async def smtp_AUTH(self, argument: str) -> None:
        if not self.session.host_name or not self.session.extended_smtp or self._draft is not None:
            raise Refused(lines.ORDER)
        if self.user is not None:
            raise Refused(lines.LOGIN_TWICE)
        mechanism, _, first = argument.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                said = _decoded(first) if first else await self._ask(b"")
                parts = said.split(b"\0")
                if len(parts) != 3 or parts[0] not in (b"", parts[1]):  # RFC 4616: nobody acts for another here
                    raise Refused(lines.LOGIN_CODING)
                login, password = parts[1], parts[2]
            case "LOGIN":
                login = _decoded(first) if first else await self._ask(b"Username:")
                password = await self._ask(b"Password:")
            case _:
                raise Refused(lines.LOGIN_METHOD)
        self.user = await self._desk.admit(login.decode("utf-8", "replace"), password, self._peer)
        await self.push(lines.LOGIN_DONE)

    async def _ask(self, question: bytes) -> bytes:
        await self.push(b"334 " + b64encode(question))
        answer = await self._inflow.line()
        if answer == b"*":
            raise Refused(lines.LOGIN_STOPPED)
        return _decoded(answer.decode("latin-1"))

    async def smtp_MAIL(self, argument: str) -> None:
        user = self._known_user()
        if not self.session.host_name or self._draft is not None:
            raise Refused(lines.ORDER)
        path = lines.read_path("FROM", argument)
        self._draft = await self._desk.draft(user, path.address, lines.declared_size(path))
        await self.push(lines.SENDER_OK)

    async def smtp_RCPT(self, argument: str) -> None:
        self._known_user()
        if self._draft is None:
            raise Refused(lines.ORDER)
        path = lines.read_path("TO", argument)
        if not path.address:
            raise Refused(lines.BAD_ADDRESS)
        self._desk.add(self._draft, path.address)
        await self.push(lines.RECIPIENT_OK)

    async def smtp_DATA(self, argument: str) -> None:
        user, draft = self._known_user(), self._draft
        if argument or draft is None or not draft.recipients:
            raise Refused(lines.SYNTAX if argument else lines.ORDER)
        self._draft = None
        blob = await self._desk.new_blob()
        self.phase = "receiving"
        self._inflow.begin_mail()
        try:
            await self.push(lines.GO_ON, at_once=True)
            head = await self._received(blob)
            self.phase = "committing"
            message_id = await self._desk.accept(user, draft, head, blob, self._peer)
            await self.push(lines.ACCEPTED.format(id=shown(message_id)), at_once=True)
        finally:
            self._inflow.end_mail()
            self.phase = "talking"
            self._reset_timeout()

    async def _received(self, blob: BlobSink) -> bytes:
        """The head of the mail, which is in the blob. Raises Refused, Temporary; the blob is discarded then."""
        try:
            async with asyncio.timeout(self._desk.limits.message_within.total_seconds()):
                return await self._receive(blob)
        except TimeoutError:
            await blob.discard()
            raise Refused(lines.TIMEOUT) from None
        except BaseException:
            await blob.discard()
            raise

    async def _receive(self, blob: BlobSink) -> bytes:
        """The mail to its final dot, into the blob; its head. Raises Refused or Temporary, at the final dot."""
        limits, undotter = self._desk.limits, Undotter()
        within = limits.piece_within.total_seconds()
        head, size = bytearray(), 0
        failure: Temporary | None = None
        while not undotter.is_over:
            self._reset_timeout(within)
            clear = undotter.feed(await self._inflow.piece())
            size += len(clear)
            if size > limits.message_most + OVERRUN_MOST:
                raise Refused(f"421 {lines.TOO_LARGE[4:].format(most=limits.message_most // 1024**2)}")
            if size > limits.message_most or undotter.is_spoiled or failure is not None:
                await blob.discard()
                continue
            if len(head) < limits.header_block and b"\r\n\r\n" not in head:
                head += clear[: limits.header_block - len(head)]
            try:
                await blob.write(clear)
            except Temporary as error:
                failure = error
        self._inflow.end_mail(undotter.rest)
        if undotter.is_spoiled:
            raise Refused(lines.SPOILED)
        if size > limits.message_most:
            raise Refused(lines.TOO_LARGE.format(most=limits.message_most // 1024**2))
        if failure is not None:
            raise failure
        return bytes(head)

    def _known_user(self) -> User:
        if self.user is None:
            raise Refused(lines.LOGIN_FIRST)
        return self.user

    async def smtp_VRFY(self, argument: str) -> None:
        self._known_user()
        await self.push(lines.VERIFY)

    async def smtp_QUIT(self, argument: str) -> None:
        self.hang_up(lines.BYE)


_COMMANDS = tuple(name for name in dir(Conversation) if name.startswith("smtp_"))


def _decoded(text: str) -> bytes:
    try:
        return b"" if text == "=" else b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(lines.LOGIN_CODING) from None
