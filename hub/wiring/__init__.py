"""The only place that builds the real hub from the settings.

`open_house(settings)` gives the parts that a command needs (database, spool, records, key ring); `start` adds what
a worker needs (the reader's child process, the door out, the rules); `close` stops what was started. Nothing here
decides anything.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from hub import configuration, migrations
from hub.cda import Codes
from hub.cell import Cell
from hub.compose import Letterhead
from hub.database import Database
from hub.errors import Misconfigured
from hub.imap.filer import Box, ImapFiler
from hub.message import Limits
from hub.ports import Reader
from hub.records import SqlRecords
from hub.records.contacts import SqlContacts
from hub.records.held_roles import SqlHeldRoles
from hub.records.users import SqlUsers
from hub.sentcopies import SentCopies
from hub.settings import Mailbox, Operator, Settings
from hub.smtp.client import Route, SmtpSender
from hub.spool import BlobStore, SqlSpool
from hub.spool.marker import belong
from hub.trip import Hub
from hub.trust.keys import KeyRing
from hub.trust.searched import domain_of
from hub.trust.succession import of_mailbox
from hub.wiring.members import LiveMembers
from hub.wiring.reading import CompletingReader
from hub.wiring.rulebook import LiveRulebook, roles_of, sent_folders
from hub.wiring.signers import LiveSigners, trust_of
from hub.wiring.ways import Ways
from hub.wiring.writing import writing_of

__all__ = ["House", "LiveRulebook", "open_house"]


log = logging.getLogger("hub.wiring")


def now() -> datetime:
    return datetime.now(UTC)


class House:
    """The built parts of one site. Commands use the parts; a worker also `start`s and uses `hub`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.keys = KeyRing.load(settings.key_file)
        self.database = Database(settings.database_url)
        spooling = settings.spooling
        self.blobs = BlobStore(
            settings.data_dir / "blobs", self.database, self.keys, inline_most=spooling.inline_most, clock=now
        )
        self.records = SqlRecords(self.database, self.blobs, self.keys, now, settings.site.timezone)
        self.members = LiveMembers(settings)
        zone = settings.site.timezone
        self.contacts = SqlContacts(self.database, now, self.is_of_the_space, zone)
        self.held_roles = SqlHeldRoles(self.database, now, roles_of(settings).declared, self.is_of_the_space, zone)
        self.users = SqlUsers(self.database, now, settings.site.timezone)
        self.spool = SqlSpool(
            self.database,
            self.blobs,
            self.keys,
            clock=now,
            spooling=spooling,
            timezone=settings.site.timezone,
            owner=f"{socket.gethostname()[:20]}:{os.getpid()}",
            holding=self.records.holding,
            ticks=time.monotonic,
        )
        self.ways = Ways(settings)
        self.rules: LiveRulebook | None = None
        self._cell: Cell | None = None
        self._sender: SmtpSender | None = None
        self._filer: ImapFiler | None = None
        self._hub: Hub | None = None

    def is_of_the_space(self, address: str) -> bool:
        return self.members.current().has(address)

    def start(self) -> Hub:
        """The hub that carries messages. Call it inside the event loop that will carry them."""
        if self._hub is None:
            self.rules = LiveRulebook(self.settings, self.members)
            self._cell = make_cell(self.settings)
            self._sender = make_sender(self.settings, self.ways)
            self._filer = make_filer(self.settings, self.ways)
            self._hub = self._make_hub(self.rules, self._cell, self._sender, self._filer)
        return self._hub

    def _make_hub(self, rules: LiveRulebook, cell: Cell, sender: SmtpSender, filer: ImapFiler) -> Hub:
        settings, letterhead = self.settings, letterheads(self.settings)
        signers = LiveSigners(settings)
        signers.look(now())
        keep_path = settings.sending.receipt_return_path == "mailbox"
        return Hub(
            spool=self.spool,
            records=self.records,
            blobs=self.blobs,
            reader=self._make_reader(cell),
            papers=cell,
            sender=sender,
            copies=SentCopies(filer=filer, folder_of=sent_folders(settings).get, blobs=self.blobs),
            rulebook=rules.current,
            letterhead=letterhead,
            writing_as=writing_of(settings, letterhead),
            signer=signers.of,
            codes=codes_of(settings),
            new_message_id=new_message_id,
            clock=now,
            retry_in=retry_delays(settings),
            lease=settings.spooling.lease,
            order_grace=settings.deciding.order_grace,
            evidence_within=settings.sending.evidence_within,
            message_most=settings.reading.message,
            receipt_return_path=lambda address: address if keep_path else "",
        )

    def _make_reader(self, cell: Cell) -> Reader:
        anchors = trust_of(self.settings).anchors
        return CompletingReader(cell, anchors, self.ways.vetting.revocation, now) if anchors else cell

    async def close(self) -> None:
        """Stop the child processes, close connections. Safe to call twice."""
        if self._cell is not None:
            await self._cell.close()
        if self._sender is not None:
            await self._sender.close()
        if self._filer is not None:
            await self._filer.close()
        await self.ways.vetting.close()
        self.database.close()


def open_house(settings: Settings, *, migrated: bool = True) -> House:
    """The parts of a site; with `migrated`, the database schema is brought to this version first.
    Raises Misconfigured (no key file, wrong url, the folder or the keys of another site) and Temporary (database
    away)."""
    house = House(settings)
    if migrated:
        migrations.upgrade(house.database)
    belong(house.database, house.keys, settings.data_dir / "blobs")
    return house


def limits_of(settings: Settings) -> Limits:
    reading = settings.reading
    return Limits(
        header_block=reading.header_block,
        header=reading.header,
        parts=reading.parts,
        depth=reading.depth,
        message=reading.message,
        entries=reading.entries,
        unpacked=reading.unpacked,
        ratio=reading.ratio,
    )


def make_cell(settings: Settings) -> Cell:
    """The reader's child processes (started at the first message). Raises Misconfigured (the anchors)."""
    reading = settings.reading
    assert settings.codes_dir is not None  # made absolute when the settings were loaded
    return Cell(
        limits_of(settings),
        memory=reading.memory,
        seconds=reading.seconds.total_seconds(),
        processes=reading.processes,
        recycle_after=reading.recycle_after,
        codes_dir=settings.codes_dir,
        trust=trust_of(settings),
    )


def codes_of(settings: Settings) -> Codes:
    """The national code tables. Raises Misconfigured."""
    assert settings.codes_dir is not None  # made absolute when the settings were loaded
    return Codes.from_tables({file.name: configuration.read_file(file) for file in settings.codes_dir.glob("*.csv")})


def make_sender(settings: Settings, ways: Ways, boxes: Iterable[Mailbox] | None = None) -> SmtpSender:
    """The door out of every mailbox, or of `boxes`: its operator's endpoint, its own certificate and credentials."""
    boxes = settings.mailboxes if boxes is None else boxes
    routes = {mailbox.name: smtp_route(settings, ways, mailbox) for mailbox in boxes}
    return SmtpSender(routes, settings.sending)


def make_filer(settings: Settings, ways: Ways) -> ImapFiler:
    """The door out by IMAP of every mailbox: its operator's endpoint, its own certificate and credentials."""
    return ImapFiler(
        (imap_box(settings, ways, mailbox) for mailbox in settings.mailboxes),
        settings.watching,
        settings.sending.idle_close,
    )


def imap_box(settings: Settings, ways: Ways, mailbox: Mailbox) -> Box:
    return Box(
        mailbox=mailbox,
        operator=settings.operator_of(mailbox),
        find_way=ways.imap(mailbox),
        watched=settings.watched_folders(mailbox) | frozenset(settings.operator_of(mailbox).excluded_folders or ()),
    )


def smtp_route(settings: Settings, ways: Ways, mailbox: Mailbox) -> Route:
    operator = settings.operator_of(mailbox)
    return Route(
        find_way=ways.smtp(mailbox),
        sasl=operator.sends_by,
        username=mailbox.username or mailbox.address,
        make_password=partial(password_of, mailbox.password_file),
        line=_line(settings, operator, mailbox),
        asks_dsn=operator.asks_dsn,
    )


def _line(settings: Settings, operator: Operator, mailbox: Mailbox) -> str:
    """The same certificate, now and later; found by DNS, each domain may have another server."""
    place = domain_of(mailbox) if operator.smtp is None else ""
    return f"{operator.name} {place} {of_mailbox(settings, mailbox)}"


def password_of(file: Path | None) -> str:
    """The first line of a password file, "" for none. Raises Misconfigured when it cannot be read."""
    if file is None:
        return ""
    try:
        return file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{file}:1 - the password file cannot be read: {type(error).__name__}") from None


def letterheads(settings: Settings) -> Callable[[str | None], Letterhead | None]:
    """Mailbox name -> how the hub signs a mail from it (ECO.2.2.7, ECO.2.4.3); None for an unknown mailbox."""
    made = {
        mailbox.name: Letterhead(
            address=mailbox.address,
            display_name=mailbox.display_name or settings.site.name,
            product_reference=settings.site.product_reference,
            reporting_ua=f"{mailbox.address.rpartition('@')[2]}; hub",
        )
        for mailbox in settings.mailboxes
    }
    return lambda name: made.get(name) if name else None


def new_message_id(address: str) -> str:
    """A Message-ID on the domain of a mailbox of ours (ECO.2.2.1)."""
    return f"<{secrets.token_hex(16)}@{address.rpartition('@')[2]}>"


def retry_delays(settings: Settings) -> Callable[[int], timedelta]:
    """Attempts so far -> the next delay: doubling from `retry_first` to `retry_most`, with full jitter above half."""
    first, most = settings.spooling.retry_first, settings.spooling.retry_most

    def delay(attempts: int) -> timedelta:
        whole: timedelta = min(most, first * 2 ** min(attempts, 20))
        return timedelta(seconds=whole.total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311  (guards nothing)

    return delay
