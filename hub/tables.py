"""SQLModel tables, and nothing else.

Times are UTC, aware (`DateTime(timezone=True)` through `Instant`, since SQLite forgets zones). States are those
of house.md. Every foreign key names its row; nothing here is ever deleted by a trip. Health data stand in
`raw`-like columns only sealed (see `hub.spool.blobs`), except the traits of usagers, which matching must search.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Index, LargeBinary, Text, TypeDecorator, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlmodel import Field, SQLModel


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime on every engine. A naive one is a fault of ours and refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was about to be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _instant(**options: Any) -> Any:
    return Column(Instant(), **options)


class BlobRow(SQLModel, table=True):
    """A content-addressed blob. `sealed` holds small ones; the file `blobs/ab/abcd…` the others."""

    __tablename__ = "blob"
    sha256: str = Field(primary_key=True, max_length=64)
    size: int
    key_id: str = Field(max_length=16)
    sealed: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    created_at: datetime = Field(sa_column=_instant(nullable=False))


class MessageRow(SQLModel, table=True):
    """One accepted message: the spool's truth. `state` is ACCEPTED, PLANNED, HELD or DONE."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("mailbox", "uidvalidity", "uid", name="uq_message_uid"),
        UniqueConstraint("fingerprint", name="uq_message_fingerprint"),
        Index("ix_message_due", "state", "due_at"),
        Index("ix_message_accepted", "accepted_at"),
        Index(
            "ix_message_reports",
            "accepted_at",
            sqlite_where=text("message_class IN ('dsn', 'mdn', 'auto_reply')"),
            postgresql_where=text("message_class IN ('dsn', 'mdn', 'auto_reply')"),
        ),
    )
    id: str = Field(primary_key=True, max_length=32)
    state: str = Field(max_length=10)
    door: str = Field(max_length=10)
    mailbox: str | None = Field(default=None, max_length=64)
    test: bool = False
    peer: str = ""
    sender: str | None = None
    recipients: str = ""  # one a line
    message_id: str | None = Field(default=None, index=True)
    fingerprint: str = Field(max_length=64)  # SHA-256 of (mailbox, Message-ID, digest of the bytes)
    sha256: str = Field(foreign_key="blob.sha256", max_length=64)
    size: int
    uidvalidity: int | None = Field(default=None, sa_type=BigInteger)  # RFC 3501: 32 bits, unsigned
    uid: int | None = Field(default=None, sa_type=BigInteger)
    received_at: datetime = Field(sa_column=_instant(nullable=False))
    accepted_at: datetime = Field(sa_column=_instant(nullable=False))
    set_out_at: datetime = Field(sa_column=_instant(nullable=False))  # accepted or last released: age counts from here
    marked_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    due_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))  # None: nothing is due
    plan_first: int = 1  # number of the first step of the present plan, or of the next one
    lease_owner: str | None = Field(default=None, max_length=64)
    lease_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    attempts: int = 0  # postponed carries, over the whole trip: no half success resets them
    deaths: int = 0  # leases that ended without a word: the worker died
    last_error: str = ""
    kind: str | None = Field(default=None, max_length=64)
    message_class: str | None = Field(default=None, max_length=16)
    thought: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))  # sealed
    closed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    submitted_by: str | None = Field(default=None, max_length=64)  # login of the user; None: it came from outside


class SeenRow(SQLModel, table=True):
    """Every (mailbox, UIDVALIDITY, UID) met, with the message it stands for: twins and old epochs included."""

    __tablename__ = "seen"
    __table_args__ = (
        Index("ix_seen_message", "message"),
        Index(
            "ix_seen_unmarked",
            "mailbox",
            "uidvalidity",
            sqlite_where=text("marked_at IS NULL"),
            postgresql_where=text("marked_at IS NULL"),
        ),
    )
    mailbox: str = Field(primary_key=True, max_length=64)
    uidvalidity: int = Field(primary_key=True, sa_type=BigInteger)
    uid: int = Field(primary_key=True, sa_type=BigInteger)
    message: str = Field(foreign_key="message.id", max_length=32)
    seen_at: datetime = Field(sa_column=_instant(nullable=False))
    marked_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class CursorRow(SQLModel, table=True):
    """How far a mailbox was read: every UID up to `last_uid` of this epoch is in `seen`."""

    __tablename__ = "cursor"
    mailbox: str = Field(primary_key=True, max_length=64)
    uidvalidity: int = Field(sa_type=BigInteger)
    last_uid: int = Field(sa_type=BigInteger)
    compared_at: datetime = Field(sa_column=_instant(nullable=False))


class StepRow(SQLModel, table=True):
    """One step of a plan. `state` is TODO, DONE, DEFERRED, UNCERTAIN or FAILED, or DROPPED when a new plan replaced it
    before it was done; `body` is the sealed step.

    `stage` is written before a deed that cannot be taken back (`sending` before DATA)."""

    __tablename__ = "step"
    __table_args__ = (Index("ix_step_outgoing", "outgoing_id"),)
    message: str = Field(primary_key=True, foreign_key="message.id", max_length=32)
    number: int = Field(primary_key=True)
    type: str = Field(max_length=16)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str = Field(max_length=10)
    stage: str = Field(default="", max_length=16)
    attempts: int = 0
    due_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    answer: str = ""
    outgoing_id: str | None = None  # the Message-ID of what this step sends, for ever the same
    settled_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class UsagerRow(SQLModel, table=True):
    """An usager of the site. Names are stored as given and in the compared form (see `routing.match`)."""

    __tablename__ = "usager"
    id: str = Field(primary_key=True, max_length=32)
    record_number: str | None = Field(default=None, unique=True)
    ins: str | None = Field(default=None, index=True, max_length=15)
    ins_oid: str | None = None
    ins_status: str = "provisoire"
    doubtful: bool = False
    birth_name: str | None = None
    first_given: str | None = None
    given_names: str | None = None
    used_name: str | None = None
    used_given: str | None = None
    birth_date: str | None = Field(default=None, index=True)
    sex: str | None = None
    birth_place: str | None = None
    birth_name_key: str | None = Field(default=None, index=True)
    used_name_key: str | None = Field(default=None, index=True)
    facility: str | None = None
    territory: str | None = None
    updated_at: datetime = Field(sa_column=_instant(nullable=False))


class DocumentRow(SQLModel, table=True):
    """A document in an usager's record. One row a version; `live` is the one to read.

    Idempotent on (usager, unique_id, sha256): the same document received twice is filed once."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("usager", "unique_id", "sha256", name="uq_document_once"),
        Index("ix_document_set", "set_id"),
        Index("ix_document_unique", "unique_id"),
        Index("ix_document_digest", "sha256"),
    )
    id: str = Field(primary_key=True, max_length=32)
    usager: str = Field(foreign_key="usager.id", max_length=32)
    message: str = Field(foreign_key="message.id", index=True, max_length=32)
    unique_id: str
    sha256: str = Field(foreign_key="blob.sha256", max_length=64)
    set_id: str | None = None
    version: str | None = None
    supersedes: str | None = Field(default=None, foreign_key="document.id", max_length=32)
    live: bool = True
    deleted: bool = False
    kind: str | None = Field(default=None, max_length=64)
    type_code: str | None = None
    type_system: str | None = None
    title: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # sealed
    form: str = Field(max_length=8)
    media_type: str = ""
    confidentiality: str = ""  # codes, separated by blanks
    created_at: str | None = None
    act_at: str | None = None
    author_organisation: str | None = None
    author_ids: str = ""  # one a line
    filed_at: datetime = Field(sa_column=_instant(nullable=False))
    filed_by: str = "hub"


class WorkRow(SQLModel, table=True):
    """The work list: what a human must decide. `reasons` is sealed JSON of `hub.message.Hold`."""

    __tablename__ = "work"
    __table_args__ = (Index("ix_work_open", "closed_at"), Index("ix_work_opened", "opened_at"))
    id: str = Field(primary_key=True, max_length=32)
    message: str = Field(foreign_key="message.id", index=True, max_length=32)
    about: str = Field(max_length=16)
    codes: str = ""  # reason codes only, separated by blanks: may be logged
    reasons: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    opened_at: datetime = Field(sa_column=_instant(nullable=False))
    closed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    closed_by: str | None = None
    decision: str = ""


class JournalRow(SQLModel, table=True):
    """One deed (ECO.4.1.2): append-only, each row chained to the one before by `hash`."""

    __tablename__ = "journal"
    number: int = Field(primary_key=True)
    at: str  # local time with offset, ISO 8601
    author: str
    action: str = Field(max_length=32)
    message: str | None = Field(default=None, index=True, max_length=32)
    request: str = Field(default="", sa_column=Column(Text, nullable=False))
    answer: str = Field(default="", sa_column=Column(Text, nullable=False))
    previous: str = Field(max_length=64)
    hash: str = Field(max_length=64)


class JournalHeadRow(SQLModel, table=True):
    """The last link of the chain: one row, locked by every append."""

    __tablename__ = "journal_head"
    id: int = Field(default=1, primary_key=True)
    number: int
    hash: str = Field(max_length=64)


class QueueRow(SQLModel, table=True):
    """The embedded broker's queue: hints only (house.md, States)."""

    __tablename__ = "queue"
    __table_args__ = (Index("ix_queue_due", "queue", "eta"),)
    id: str = Field(primary_key=True, max_length=36)
    queue: str = Field(max_length=64)
    eta: float  # seconds since the epoch
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    owner: str | None = Field(default=None, max_length=64)
    lease_until: float | None = None


class SiteRow(SQLModel, table=True):
    """Which site this database belongs to (one row): `marker` stands in data_dir too, `proof` is sealed, so that a host
    with another folder or other keys is found at its start (see `hub.spool.marker`)."""

    __tablename__ = "site"
    id: int = Field(default=1, primary_key=True)
    marker: str = Field(max_length=32)
    proof: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HostRow(SQLModel, table=True):
    """A running process that watches mailboxes (see `hub.spool.duties`). `beats` grows while it lives and others look:
    a number that changes, not a time, so that no clock of any machine matters."""

    __tablename__ = "host"
    id: str = Field(primary_key=True, max_length=64)
    name: str = Field(max_length=64)  # for people
    beats: int = Field(default=0, sa_type=BigInteger)
    started_at: datetime = Field(sa_column=_instant(nullable=False))


class DutyRow(SQLModel, table=True):
    """What one host alone does for the site: `mailbox NAME`, or `sweep`. Its row goes with its host's."""

    __tablename__ = "duty"
    name: str = Field(primary_key=True, max_length=80)
    host: str = Field(foreign_key="host.id", ondelete="CASCADE", index=True, max_length=64)
    taken_at: datetime = Field(sa_column=_instant(nullable=False))


class ProgressRow(SQLModel, table=True):
    """What the watcher of a mailbox last told of itself, by whichever host watches it (`hub.imap.progress`): what the
    cursor does not say. Written when it changes. `skipped`: `UID reason`, one a line."""

    __tablename__ = "progress"
    mailbox: str = Field(primary_key=True, max_length=64)
    began_at: datetime = Field(sa_column=_instant(nullable=False))  # the present watcher
    told_at: datetime = Field(sa_column=_instant(nullable=False))
    uidvalidity: int | None = Field(default=None, sa_type=BigInteger)
    failures: int = 0  # connections lost since the last whole comparison
    last_error: str = ""  # a code
    failing_since: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    skipped: str = Field(default="", sa_column=Column(Text, nullable=False))
    mark_error: str = ""  # a code


class ReckoningRow(SQLModel, table=True):
    """The last whole account of a mailbox (`hub.reckoning`): what the server announced against what the hub made of
    it. `unknown`: UIDs below the cursor that the hub never accepted, as ranges; `differences` counts them, and what the
    server announced without listing it."""

    __tablename__ = "reckoning"
    mailbox: str = Field(primary_key=True, max_length=64)
    at: datetime = Field(sa_column=_instant(nullable=False))
    uidvalidity: int = Field(sa_type=BigInteger)
    uidnext: int | None = Field(default=None, sa_type=BigInteger)
    announced: int
    filed: int
    delivered: int
    refused: int
    noted: int
    waiting: int
    held: int
    in_error: int
    fresh: int  # above the cursor, not yet accepted
    skipped: int  # left in the mailbox for a reason that the watcher told
    gone: int  # accepted before, no longer there
    differences: int
    unknown: str = Field(default="", sa_column=Column(Text, nullable=False))
    differs_since: datetime | None = Field(default=None, sa_column=_instant(nullable=True))


class UserRow(SQLModel, table=True):
    """Who may log in (`hub.records.users`). `password` is an argon2 hash, None: no password yet. `failures` counts
    wrong passwords since the last right one; `locked_until` is the wait that they cost; `closed_at`: a sysadmin
    closed it."""

    __tablename__ = "hub_user"
    id: str = Field(primary_key=True, max_length=32)
    login: str = Field(unique=True, max_length=64)
    role: str = Field(max_length=16)
    password: str | None = None
    password_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    failures: int = 0
    locked_until: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    closed_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    created_at: datetime = Field(sa_column=_instant(nullable=False))


class UserRightRow(SQLModel, table=True):
    """That a user may send from a mailbox (its configured name)."""

    __tablename__ = "user_right"
    user: str = Field(primary_key=True, foreign_key="hub_user.id", ondelete="CASCADE", max_length=32)
    mailbox: str = Field(primary_key=True, max_length=64)
    granted_at: datetime = Field(sa_column=_instant(nullable=False))


class SendingRow(SQLModel, table=True):
    """A mail of ours, composed once (`hub.message.Sending`). `id` comes from what was to be composed, so that composing
    again finds it; `message_id` is the Message-ID under which it is sent for ever; `sha256` names the sealed bytes."""

    __tablename__ = "sending"
    __table_args__ = (Index("ix_sending_composed", "composed_at"),)
    id: str = Field(primary_key=True, max_length=32)
    message: str = Field(foreign_key="message.id", index=True, max_length=32)
    mailbox: str = Field(max_length=64)
    message_id: str = Field(unique=True)
    usager: str | None = Field(default=None, foreign_key="usager.id", index=True, max_length=32)
    kind: str | None = Field(default=None, max_length=64)
    urgency: str = Field(default="", max_length=2)
    by: str = ""
    wants_receipt: bool = False
    sha256: str = Field(foreign_key="blob.sha256", max_length=64)
    size: int
    composed_at: datetime = Field(sa_column=_instant(nullable=False))


class SentToRow(SQLModel, table=True):
    """One recipient of a sending and the rung it stands on (`hub.message.Rung`)."""

    __tablename__ = "sent_to"
    __table_args__ = (Index("ix_sent_to_rung", "rung", "at"),)
    sending: str = Field(primary_key=True, foreign_key="sending.id", max_length=32)
    number: int = Field(primary_key=True)
    recipient: str  # as written
    compared: str = Field(max_length=320)  # case folded
    rung: str = Field(max_length=12)
    at: datetime = Field(sa_column=_instant(nullable=False))
    status: str = ""
    report: str = Field(default="", max_length=32)  # id of the message that put it there, "" for none
    answered_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))  # an automatic answer


class NewsRow(SQLModel, table=True):
    """What was heard of one recipient of a sending: append-only. `source` is a `message.Source`; `message`
    the report that said it. What one report says is one row, however often it is told; each attempt of ours is one."""

    __tablename__ = "news"
    __table_args__ = (
        Index(
            "uq_news_once",
            "message",
            "sending",
            "number",
            "rung",
            "status",
            unique=True,
            sqlite_where=text("message <> ''"),
            postgresql_where=text("message <> ''"),
        ),
        Index("ix_news_sending", "sending", "number"),
    )
    id: str = Field(primary_key=True, max_length=32)
    sending: str = Field(foreign_key="sending.id", max_length=32)
    number: int  # of the recipient
    rung: str = Field(max_length=12)
    at: datetime = Field(sa_column=_instant(nullable=False))
    source: str = Field(max_length=8)
    message: str = Field(default="", max_length=32)  # id of the report, "" for none
    status: str = ""


class ContactRow(SQLModel, table=True):
    """A line of the site's address book (`hub.message.Contact`). Days are ISO dates. `words`: what a search looks at,
    in the compared form."""

    __tablename__ = "contact"
    id: str = Field(primary_key=True, max_length=32)
    address: str = Field(unique=True, max_length=320)  # in small letters
    type: str = Field(max_length=3)
    name: str = ""
    organisation: str = ""
    service: str = ""
    departement: str = Field(default="", max_length=3)
    note: str = Field(default="", sa_column=Column(Text, nullable=False))
    since: str | None = Field(default=None, max_length=10)
    until: str | None = Field(default=None, max_length=10)
    words: str = Field(default="", sa_column=Column(Text, nullable=False))
    changed_at: datetime = Field(sa_column=_instant(nullable=False))
    changed_by: str


class HeldRoleRow(SQLModel, table=True):
    """That a contact holds a role (`hub.message.HeldRole`): for an usager, for a territory (`territory_key` has its
    compared form), or for the whole site (it is ""). What was said is never changed: it is withdrawn, once, and said
    anew."""

    __tablename__ = "held_role"
    id: str = Field(primary_key=True, max_length=32)
    role: str = Field(max_length=40)
    contact: str = Field(foreign_key="contact.id", index=True, max_length=32)
    usager: str | None = Field(default=None, foreign_key="usager.id", index=True, max_length=32)
    territory: str | None = None
    territory_key: str | None = Field(default=None, index=True)
    since: str = Field(max_length=10)
    until: str | None = Field(default=None, max_length=10)
    said_at: datetime = Field(sa_column=_instant(nullable=False))
    said_by: str
    withdrawn_at: datetime | None = Field(default=None, sa_column=_instant(nullable=True))
    withdrawn_by: str | None = None
