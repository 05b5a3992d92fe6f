"""The fake operator: SMTP in (aiosmtpd) and IMAP (pymap) on loopback, client certificate required on every door.

A mail is taken when its sender is a mailbox of the structure that the client certificate names and its recipients are
mailboxes of this operator; then `Return-Path` and `Received` are put before it and it lies in INBOX. Refusals:
550 5.1.1 unknown recipient, 550 5.7.1 foreign sender, 530 clear text. Delivery notices (RFC 3461) are offered, and what
is asked is answered a moment later (`answering`). `deliver` puts bytes into a mailbox as they are, for what no honest
client would send. Each mail is also written to `FOLDER/boites/ADDRESS/NNNN.eml`.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.parser import BytesHeaderParser
from email.utils import formatdate
from pathlib import Path
from typing import Any

from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.version import ProxyProtocolVersion
from pymap.imap import IMAPServer

from hub.sandbox.answering import Answer, Taken, answers, is_closed
from hub.sandbox.authority import Authority, Leaf
from hub.sandbox.conversation import Conversation
from hub.sandbox.mailroom import ImapSettings, Login, Mailroom, structure_of
from hub.sandbox.people import STRUCTURES, Structure

log = logging.getLogger("hub.sandbox")

HOST = "127.0.0.1"
SIZE_LIMIT = 25 * 1024**2  # what operators take at most (mssante.md §5.6)


@dataclass(frozen=True, slots=True)
class Submission:
    """One mail taken over SMTP; `product_reference` is its X-MSS-NIL (None: absent, against ECO.2.4.3)."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    product_reference: str | None


class FakeOperator:
    """An operator for the mailboxes of `structures`, its ports chosen by the system unless they are given.

    `imap_port` and `smtp_port` speak TLS from the first byte (993, 465); `imap_starttls_port` and `smtp_starttls_port`
    want STARTTLS before anything else (143, 587)."""

    def __init__(self, folder: Path, authority: Authority, structures: Iterable[Structure] = STRUCTURES) -> None:
        self.folder = folder
        self.authority = authority
        self.structures = tuple(structures)
        self.password_file = folder / "motdepasse-bac-a-sable"
        self.submissions: list[Submission] = []
        self.imap_port = self.imap_starttls_port = self.smtp_port = self.smtp_starttls_port = 0
        self._servers: list[asyncio.Server] = []
        self._mailroom = Mailroom(self.structures, self._password())
        self._numbers = itertools.count(1)
        self._answering: set[asyncio.Task[None]] = set()

    async def start(self, *, ports: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
        """Listen; `ports` are those of IMAP, IMAP with STARTTLS, SMTP, SMTP with STARTTLS (0: any free one)."""
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd writes addresses at INFO
        context = server_context(self.authority.server(), self.authority.ca_file)
        loop = asyncio.get_running_loop()
        imap, imap_starttls = (self._imap(ImapSettings(starttls=own)) for own in (None, context))
        for kind, callback, port, tls in (
            ("imap", imap, ports[0], context),
            ("imap_starttls", imap_starttls, ports[1], None),
        ):
            self._listen(kind, await asyncio.start_server(callback, HOST, port, ssl=tls))
        for kind, port, tls in (("smtp", ports[2], context), ("smtp_starttls", ports[3], None)):
            starttls = None if tls else context
            self._listen(kind, await loop.create_server(lambda own=starttls: self._smtp(own), HOST, port, ssl=tls))

    async def stop(self) -> None:
        """Close every door; the messages stay readable by `messages`."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in self._answering:
            task.cancel()

    async def deliver(self, mailbox_address: str, raw: bytes) -> None:
        """Put these bytes into a mailbox, unchanged. Raises KeyError for an unknown address."""
        await self._mailroom.deliver(mailbox_address, raw)
        copies = self.folder / "boites" / mailbox_address.lower()
        copies.mkdir(parents=True, exist_ok=True)
        (copies / f"{next(self._numbers):04d}.eml").write_bytes(raw)

    async def messages(self, mailbox_address: str) -> list[bytes]:
        """All messages of a mailbox, as they lie there. Raises KeyError for an unknown address."""
        return await self._mailroom.messages(mailbox_address)

    def knows(self, address: str) -> bool:
        return self._mailroom.knows(address) or is_closed(address)

    async def take(self, taken: Taken, raw: bytes) -> None:
        """A mail for one recipient: into the mailbox when it is open, then what the correspondent answers."""
        if not is_closed(taken.recipient):
            await self.deliver(taken.recipient, raw)
        for answer in answers(taken, datetime.now(UTC)):
            task = asyncio.create_task(self._answer(answer))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, answer: Answer) -> None:
        if self._mailroom.knows(answer.mailbox):
            await asyncio.sleep(answer.after)
            await self.deliver(answer.mailbox, answer.raw)

    def may_send_as(self, sender: str, peer_certificate: Any) -> bool:
        """Its own mailboxes, and the empty path of receipts (RFC 8098 §3)."""
        structure = structure_of(peer_certificate)
        return structure is not None and (not sender or self._mailroom.belongs_to(sender, structure))

    def client(self, structure: Structure) -> Leaf:
        """The client certificate of a structure."""
        return self.authority.client(structure.national_id, structure.name)

    def _password(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.password_file.exists():
            self.password_file.touch(mode=0o600)
            self.password_file.write_text(secrets.token_urlsafe(12), encoding="utf-8")
        return self.password_file.read_text(encoding="utf-8")

    def _imap(self, settings: ImapSettings) -> Any:
        server = IMAPServer(Login(self._mailroom, settings), settings)
        return ProxyProtocolReader(ProxyProtocolVersion.get(None)).get_callback(server)

    def _smtp(self, starttls: ssl.SSLContext | None) -> Conversation:
        return Conversation(
            _Reception(self),
            hostname="localhost",
            ident="Operateur bac a sable (fictif)",
            tls_context=starttls,
            require_starttls=starttls is not None,
            data_size_limit=SIZE_LIMIT,
            loop=asyncio.get_running_loop(),
        )

    def _listen(self, kind: str, server: asyncio.Server) -> None:
        self._servers.append(server)
        setattr(self, f"{kind}_port", server.sockets[0].getsockname()[1])


class _Reception:
    """What aiosmtpd asks at each command of a session."""

    def __init__(self, operator: FakeOperator) -> None:
        self._operator = operator

    async def handle_EHLO(
        self, server: Conversation, session: Any, envelope: Any, hostname: str, offers: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [*offers[:-1], "250-DSN", offers[-1]]

    async def handle_MAIL(
        self, server: Conversation, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not self._operator.may_send_as(_path(address), server.transport.get_extra_info("peercert")):
            return "550 5.7.1 Cette boite n'appartient pas a la structure du certificat"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(
        self, server: Conversation, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if not self._operator.knows(address):
            return "550 5.1.1 Boite inconnue de cet operateur"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Conversation, session: Any, envelope: Any) -> str:
        raw: bytes = envelope.content
        sender = _path(envelope.mail_from)
        trace = f"Return-Path: <{sender}>\r\nReceived: by localhost with ESMTPS; {formatdate()}\r\n".encode()
        headers = BytesHeaderParser(policy=policy.compat32).parsebytes(raw)
        for address in envelope.rcpt_tos:
            asked, notices = server.asked_envelope_id, server.asked_notices.get(address.lower(), frozenset())
            taken = Taken(sender=sender, recipient=address, headers=headers, envelope_id=asked, notify=notices)
            await self._operator.take(taken, trace + raw)
        reference = headers["X-MSS-NIL"]
        if reference is None:
            log.warning("a mail without X-MSS-NIL was taken (ECO.2.4.3)")
        submission = Submission(
            sender,
            tuple(envelope.rcpt_tos),
            str(headers["Message-ID"] or ""),
            None if reference is None else str(reference),
        )
        self._operator.submissions.append(submission)
        return "250 2.0.0 Message accepte"


def _path(address: str) -> str:
    """aiosmtpd gives the empty path as `<>` and takes an empty sender for no sender at all."""
    return "" if address == "<>" else address


def server_context(leaf: Leaf, ca_file: Path) -> ssl.SSLContext:
    """TLS 1.2 or later, a client certificate of this authority required."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context
