"""What the story needs from the world, as Protocols. The real ones live in the hands, the fakes in
`tests/fakes.py`; both pass the same contract tests. Nothing here does anything.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from sqlalchemy.engine import Connection

from hub.directory import Entry, Found, Wanted
from hub.message import (
    Asked,
    Document,
    Done,
    Envelope,
    FiledVersion,
    Filing,
    HeldRole,
    Hold,
    Identity,
    LetterSent,
    News,
    Outcome,
    ParsedMessage,
    Sending,
    SentTo,
    Step,
    Subjects,
    Thought,
    Usager,
)
from hub.raw import Raw
from hub.settings import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How one server of an operator is reached now.

    `vet` is asked after the handshake, before anything else is said, whether who answered (its certificate, DER) can be
    believed: it raises Untrusted. `names_are_checked` False: the handshake compares no name, `vet` compares the name or
    the fingerprint.

    `lasts` is asked before an open connection is used once more: False when another certificate is to be shown by now,
    which takes a new connection."""

    endpoint: Endpoint
    context: ssl.SSLContext
    vet: Callable[[bytes], Awaitable[None]] | None = None
    names_are_checked: bool = True
    lasts: Callable[[], bool] = field(default=lambda: True)

    @property
    def server_name(self) -> str:
        """The name that the certificate must bear."""
        return self.endpoint.server_name or self.endpoint.host


class Opening(StrEnum):
    """How far the opening of a connection to an operator came, in order."""

    CONNECTED = "connected"  # TCP
    OFFERED = "offered"  # STARTTLS, in clear; not with implicit TLS
    SECURED = "secured"  # the handshake is done, the chain and the dates of the certificate are right
    BELIEVED = "believed"  # who answers was vetted: name, revocation
    OPEN = "open"  # logged in


@dataclass(frozen=True, slots=True)
class Handshake:
    """What TLS was agreed on (`TLSv1.3`, the suite by OpenSSL's name), and the server's certificate (DER)."""

    version: str
    suite: str
    leaf: bytes = field(repr=False)


# Told while a connection is being opened; the handshake with SECURED.
Reached = Callable[[Opening, Handshake | None], None]


def nobody_told(_opening: Opening, _handshake: Handshake | None) -> None:
    """Nobody wants to know."""


# Asked at each new connection, so that what was renewed meanwhile is used. Raises Misconfigured, Temporary.
FindWay = Callable[[], Awaitable[Way]]


class Clock(Protocol):
    """The only source of time. UTC, aware."""

    def __call__(self) -> datetime: ...


class Sealer(Protocol):
    """Encrypts and decrypts what is kept at rest (AES-256-GCM). `aad` binds a piece to its place: a sealed
    piece opened with another `aad` fails. Raises Damaged when bytes were altered, Misconfigured when the key
    is not in the ring."""

    def seal(self, clear: bytes, aad: bytes) -> bytes: ...

    def open(self, sealed: bytes, aad: bytes) -> bytes: ...


class Reader(Protocol):
    """Reads foreign bytes out of harm's way. Raises Damaged when the child died or hit a limit."""

    async def read(
        self,
        raw: Raw,
        words_for: frozenset[str] | None = None,
        drafts: Drafts | None = None,
        received_at: datetime | None = None,
        clues: bool = False,
    ) -> ParsedMessage:
        """`received_at`: its signature is judged as of then; without it, not at all. `words_for`: the type codes under
        which a document is still read for its words (`Document.text`), beside the documents that declare none; without
        it all are. The words of a PDF cost a third of the reading. `clues`: loose PDFs are also looked at for what says
        whose they are (`Document.clues`); costly, for submissions only.

        `Document.body` is left out of what is read, and so is the `raw` of a large document: it goes into a draft of
        `drafts`, or nowhere."""
        ...


# An effect joins the transaction that records its step: filing is exactly once (house.md, States).
Effect = Callable[[Connection], Outcome]


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that is durable (its file and folder fsynced), or small enough to travel in its row (`sealed`)."""

    sha256: str
    size: int
    key_id: str
    sealed: bytes | None = None


class BlobSink(Protocol):
    """A blob in the making: sealed piece by piece, so that no clear byte ever touches the disk."""

    size: int

    async def write(self, piece: bytes) -> None: ...

    async def discard(self) -> None:
        """Forget it (idempotent; also after `accept` or `finish`, where it does nothing)."""
        ...


class Draft(BlobSink, Protocol):
    async def finish(self) -> StoredBlob:
        """Make it durable. Repeating gives the same blob. Raises Temporary (disk full)."""
        ...


class Drafts(Protocol):
    """Where the large documents of one message wait, sealed, while it is carried: whole in nobody's memory. Those that
    are filed become blobs, the others are forgotten."""

    def begin(self, sha256: str) -> Draft:
        """A draft for the document with this digest; a former one of the same digest is kept to be discarded."""
        ...

    def of(self, sha256: str) -> Draft | None: ...

    def held(self, sha256: str) -> bytes | None:
        """The document itself, when it is held in memory."""
        ...

    async def discard(self) -> None:
        """Forget all that did not become blobs."""
        ...


class Blobs(Protocol):
    """Content-addressed bytes, sealed at rest, written before the row that names them."""

    async def put(self, raw: bytes) -> StoredBlob: ...

    def sink(self) -> Draft:
        """A blob in the making."""
        ...

    def name(self, connection: Connection, blob: StoredBlob) -> None:
        """Insert its row in the caller's transaction; nothing when the row is already there."""
        ...

    async def open(self, sha256: str) -> Raw:
        """The clear bytes; their digest is checked before the last piece is given. Raises Damaged (altered or
        missing), and so do the pieces."""
        ...

    async def get(self, sha256: str) -> bytes:
        """The same, whole."""
        ...


# The mind's rule of the ladder (`hub.receipts.heard`): where a recipient stands, news, when and by which message told;
# out comes where it stands then.
LadderRule = Callable[[SentTo, News, datetime, str], SentTo]


class Sendings(Protocol):
    """What was sent, to whom, and what became of it."""

    def composing(self, sending: Sending, blob: StoredBlob) -> Effect:
        """Writes a composed mail and its recipients: `Done("composed")`, or `Done("already composed")` when the id is
        there, with what it was composed to. `blob` is durable by now."""
        ...

    def telling(
        self, news: News, report: str, at: datetime, rule: LadderRule, outcome: Outcome = Done("told")
    ) -> Effect:
        """Writes a piece of news, and where the recipient stands then; gives `outcome`. `report` is the id of the
        message that told it: what one message tells is written once, however often it is told. It is "" for an attempt
        of ours (`outcome` is then what the operator's server said) and for a person's word: each is written.

        Raises Permanent for a recipient that is none; StalePlan when it no longer stands on `news.stood`."""
        ...

    async def sending(self, sending_id: str) -> Sending | None: ...

    async def sendings_of(self, message_id: str) -> tuple[Sending, ...]:
        """What was made of a submission, newest first."""
        ...

    async def find(self, keys: Iterable[str]) -> tuple[Sending, ...]:
        """The sendings that the keys of a report name (`hub.receipts.keys_of`)."""
        ...


class Records(Sendings, Protocol):
    """Usagers, filed documents and the work list; what was sent."""

    async def look_up(
        self,
        identities: Iterable[Identity],
        documents: Iterable[Document],
        suffices: Callable[[Identity, Usager], bool] | None = None,
    ) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]:
        """As of one moment: the usagers that share an INS, or a birth name or birth date, with one of the identities;
        what is already filed under the unique ids, set ids, replaced ids or digests of the documents. Nobody else is
        looked for where the one usager with the INS of an identity `suffices` for it (pure, quick)."""
        ...

    async def subjects(self, asked: Asked) -> Subjects:
        """Whom a submission may be about, as of one moment: who has one of the record numbers or INS; who has one of
        the names (birth or used) or birth dates stated, or a date near to it; whom the mails answered were filed for or
        sent about; and who shares a birth or used name with somebody found by number, INS or thread. Bounded:
        `is_whole` is False when somebody may be missing."""
        ...

    async def usager(self, key: str) -> Usager | None:
        """By id or record number."""
        ...

    async def held_roles(self, usager_id: str) -> tuple[HeldRole, ...]:
        """Who held, holds or will hold a role for the usager, for those of their territory, and for the whole site; as
        of one moment, without what was withdrawn."""
        ...

    def drafts(self, in_memory: bool = False) -> Drafts:
        """For the large documents of one message that is being carried: to be filed, or `in_memory` to be sent on."""
        ...

    async def filing(self, message_id: str, step: Filing, document: Document, drafts: Drafts | None = None) -> Effect:
        """Makes the document's blob durable (its draft, when it has one), then gives the effect that files it:
        `Done("filed")`, `Done("already filed")` (same unique id and digest), or raises StalePlan when the live version
        is no longer `step.supersedes`."""
        ...

    def holding(self, message_id: str, step: Hold) -> Effect:
        """Opens a line of the work list (one for each message and `about`: repeating changes nothing)."""
        ...

    def closing(self, message_id: str, by: str, decision: str) -> Effect:
        """Closes the open lines of the message."""
        ...


class Directory(Protocol):
    """Mailboxes of others and whose they are: the national directory by its extraction or its API, the site's own
    address book. What cannot be asked now raises Temporary (no copy yet, no answer); no entry is no fault."""

    async def find(self, wanted: Wanted) -> Found: ...

    async def at(self, address: str) -> Entry | None:
        """What it has of one address, or had (`gone_at`)."""
        ...


class Outgoing(Raw, Protocol):
    """A mail as it will go out, CRLF line ends. `is_ascii`: no 8-bit byte stands in it."""

    @property
    def is_ascii(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnAsked:
    """That the operator shall tell what became of a mail (RFC 3461), when it can and may be asked. `envelope_id` comes
    back as Original-Envelope-Id (`hub.receipts.envelope_id`), the recipient as Original-Recipient."""

    envelope_id: str


class Sender(Protocol):
    """The door out: one mail to one recipient through the operator of a mailbox.

    Raises Temporary (4xx, no connection), Permanent (5xx), UncertainDelivery (cut after the final dot).
    Returns the server's last line. The mail is sent as it is, byte for byte, piece by piece. `ask` is not asked of an
    operator that does not offer it or for which it is switched off, nor for a mail that must not bounce."""

    async def send(
        self, mailbox: str, sender: str, recipient: str, mail: Outgoing, ask: DsnAsked | None = None
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class SentFolder:
    """Where what leaves a mailbox is kept: the folder's name, `auto` for the one that the server means.
    `is_kept_by_operator`: it puts the copies there itself."""

    name: str
    is_kept_by_operator: bool = False


class Filer(Protocol):
    """The door out by IMAP: a mail into a folder of a mailbox, over a connection of its own.

    `message_id` is that of the mail, `at` when it was composed. Raises Temporary (no connection, over quota, not now),
    Permanent (no right, too large, not clear which folder is meant)."""

    async def file(self, mailbox: str, folder: str, mail: Raw, message_id: str, at: datetime) -> str:
        """`filed`, or `already there`: repeating after a crash makes no twin. The mail is read (\\Seen), dated
        `at`, its bytes are as given; a folder that is missing is made. Raises what the pieces raise, too."""
        ...

    async def holds(self, mailbox: str, folder: str, message_id: str, at: datetime) -> bool:
        """Whether a mail with this Message-ID is in the folder. Changes nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One message met in a mailbox. `received_at` is INTERNALDATE; `message_id` the header as found, or None."""

    mailbox: str
    uidvalidity: int
    uid: int
    received_at: datetime
    message_id: str | None = None
    peer: str = ""
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    test: bool = False


@dataclass(frozen=True, slots=True)
class Accepted:
    """`id` is the message that the bytes now stand for; `new` is False for a twin of one accepted before."""

    id: str
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who logged in. `mailboxes`: the configured names of those that they may send from."""

    id: str
    login: str
    mailboxes: frozenset[str] = frozenset()


class Users(Protocol):
    """Who may log in, and what they may then do."""

    async def admit(self, login: str, password: bytes) -> User | None:
        """None for a wrong login or password, and while too many failures make it wait: the answer and the work are the
        same for all of them. Raises Temporary (database away)."""
        ...

    async def rights(self, user_id: str) -> frozenset[str]:
        """The mailboxes that this user may send from now; none when the user was closed meanwhile. Raises Temporary."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One message that a user of ours wants sent. `by` is the login; `sender` the envelope's, "" for a receipt that a
    mail program made (RFC 8098 §3); `message_id` the header as found. `outside` counts the recipients that are not of
    the trust space: they are kept among the others, and answered one by one later."""

    mailbox: str
    by: str
    sender: str
    recipients: tuple[str, ...]
    received_at: datetime
    message_id: str | None = None
    peer: str = ""
    outside: int = 0
    test: bool = False


class Submissions(Protocol):
    """The side of the spool that the submission door uses."""

    async def new_blob(self) -> BlobSink: ...

    async def submit(self, submission: Submission, blob: BlobSink) -> Accepted:
        """Make the blob durable, then commit the message, together with those of others who wait: returning means that
        it will be carried whatever happens. The same bytes from the same user and mailbox to the same recipients are
        the same message (`new` False), for as long as a mail program may repeat itself: its 250 was lost on the way.
        Raises Temporary, DiskFailed; nothing was written then."""
        ...


class Intake(Protocol):
    """The side of the spool that a door in uses. Every call is durable when it returns."""

    async def cursor(self, mailbox: str) -> tuple[int, int] | None:
        """(uidvalidity, last_uid), None for a mailbox never read."""
        ...

    async def seen(self, mailbox: str, uidvalidity: int) -> frozenset[int]:
        """All UIDs of this epoch that were accepted."""
        ...

    async def new_blob(self) -> BlobSink: ...

    async def accept(self, arrival: Arrival, blob: BlobSink) -> Accepted:
        """Make the blob durable, then commit the message (or note its twin). One transaction: the blob row, the
        message row, the seen row, a journal entry. Returning means that a restart finishes it."""
        ...

    async def accept_all(self, arrived: Sequence[tuple[Arrival, BlobSink]]) -> Sequence[Accepted | BaseException]:
        """`accept` for each, together where that is possible: what became of each, in order."""
        ...

    async def unmarked(self, mailbox: str, uidvalidity: int) -> tuple[int, ...]:
        """UIDs accepted in this epoch whose mark in the mailbox was not yet verified."""
        ...

    async def marked(self, mailbox: str, uidvalidity: int, uids: Iterable[int]) -> None: ...

    async def told(self, mailbox: str, request: str, answer: str) -> None:
        """Journal what the operator's server answered when the mailbox was opened, or how it was lost: codes only
        (ECO.4.1.1, ECO.4.1.2). Once for each change, not for each try."""
        ...

    async def advance(self, mailbox: str, uidvalidity: int, last_uid: int) -> None:
        """Everything up to `last_uid` of this epoch was seen (also when nothing was new: progress mark)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStep:
    """A step still to do, with what was written before: its number, stage and the Message-ID it sends under."""

    number: int
    step: Step
    stage: str = ""
    attempts: int = 0
    outgoing_id: str | None = None
    is_uncertain: bool = False  # a former try was cut after the final dot
    is_last_try: bool = False  # what is not done now will not be tried again
    is_staged: bool = False  # its stage was written just now, with the plan: no need to write it again


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What one transaction with the plan can hold, by the place of its step in the plan: the deeds that are ours
    alone, and the Message-IDs under which the sendings that follow at once will go out."""

    deeds: Mapping[int, Effect] = field(default_factory=dict)
    outgoing_ids: Mapping[int, str] = field(default_factory=dict)


class Spool(Protocol):
    """The one truth (house.md, States). All writes are fenced: they raise LostLease when the lease is gone."""

    async def load(self, message_id: str) -> Envelope | None:
        """Take the lease; None when there is nothing to do now (done, held, not due, leased by another)."""
        ...

    async def raw(self, envelope: Envelope) -> Raw:
        """The bytes as they came. Raises Damaged when the blob was altered or is missing; so do its pieces."""
        ...

    async def open_steps(self, message_id: str) -> tuple[OpenStep, ...] | None:
        """The steps still to do, in order; None when there is no plan yet."""
        ...

    async def save_plan(self, message_id: str, thought: Thought, ready: Ready | None = None) -> tuple[OpenStep, ...]:
        """The steps still to do. With `ready`, `record` of its deeds and `stage` ("sending") of its sendings happen in
        the same transaction: what a deed raises is raised, and nothing is written."""
        ...

    async def stage(self, message_id: str, number: int, stage: str, outgoing_id: str) -> None:
        """Written before a deed that cannot be taken back. `outgoing_id` once written never changes."""
        ...

    async def record(self, message_id: str, number: int, outcome: Outcome | Effect) -> Outcome:
        """Settle one step in one transaction; an Effect runs inside it and gives the outcome. Journals the deed.
        Deferred and Uncertain steps are due again (an uncertain delivery goes out once more under the same
        Message-ID), until attempts or age are used up: then FAILED. When every step is settled the message becomes
        DONE, or HELD (a Hold among the steps, a step Failed)."""
        ...

    async def rethink(self, message_id: str) -> None:
        """Drop the steps not yet done: the message is ACCEPTED again, due at once; HELD when the attempts are used
        up. A later `save_plan` numbers its steps after those that stay (filing twice what is filed does nothing)."""
        ...

    async def postpone(self, message_id: str, reason: str, until: datetime | None = None, counted: bool = True) -> None:
        """The trip cannot go on now (unknown exception, reader unavailable): give the lease back, due later with
        growing delays. `counted` ones use up the attempts: HELD when attempts or age are used up."""
        ...

    async def older_open(self, message_id: str, within: timedelta) -> bool:
        """Whether the same mailbox has a message received before this one, at most `within` earlier, still ACCEPTED
        or PLANNED."""
        ...

    async def release(self, message_id: str, thought: Thought, by: str, effect: Effect | None = None) -> None:
        """A human finishes a held message: the plan's steps are appended, the message is PLANNED and due, `effect`
        runs in the same transaction. Raises Permanent when the message is not before a human."""
        ...

    async def letters(self, message_ids: Iterable[str]) -> tuple[LetterSent, ...]:
        """The letters of ours that were sent under one of these Message-IDs."""
        ...

    async def envelope(self, message_id: str) -> Envelope | None: ...

    async def thought(self, message_id: str) -> Thought | None:
        """What the mind last concluded on a message; None before it thought."""
        ...

    async def hold(self, message_id: str, step: Hold) -> None:
        """Put the whole message before a human without a plan (damaged beyond reading, killed its worker)."""
        ...

    async def yield_lease(self, message_id: str) -> None:
        """Give the lease back at the end of a carry, whatever is left."""
        ...

    async def renew(self, message_id: str) -> bool:
        """Make the lease longer; False when it was lost."""
        ...

    async def due(self, limit: int = 500) -> tuple[str, ...]:
        """Ids to carry now: due, no live lease. Leases that ended count as deaths; too many deaths: HELD."""
        ...
