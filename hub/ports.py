"""What the story needs from the world, as Protocols. The real ones live in the hands, the fakes in
`tests/fakes.py`; both pass the same contract tests. Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from hub.message import (
    Document,
    Envelope,
    FiledVersion,
    Filing,
    Hold,
    Identity,
    Outcome,
    ParsedMessage,
    Step,
    Thought,
    Usager,
)
from hub.raw import Raw


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
        self, raw: Raw, words_for: frozenset[str] | None = None, drafts: Drafts | None = None
    ) -> ParsedMessage:
        """`words_for`: the type codes under which a document is still read for its words (`Document.text`), beside
        the documents that declare none; without it all are. The words of a PDF cost a third of the reading.

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


class Records(Protocol):
    """Usagers, filed documents and the work list."""

    async def look_up(
        self, identities: Iterable[Identity], documents: Iterable[Document]
    ) -> tuple[tuple[Usager, ...], tuple[FiledVersion, ...]]:
        """As of one moment: the usagers that share an INS, or a birth name or birth date, with one of the identities;
        what is already filed under the unique ids, set ids, replaced ids or digests of the documents."""
        ...

    def drafts(self) -> Drafts:
        """For the large documents of one message that is being carried."""
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


class Outgoing(Raw, Protocol):
    """A mail as it will go out, CRLF line ends. `is_ascii`: no 8-bit byte stands in it."""

    @property
    def is_ascii(self) -> bool: ...


class Sender(Protocol):
    """The door out: one mail to one recipient through the operator of a mailbox.

    Raises Temporary (4xx, no connection), Permanent (5xx), UncertainDelivery (cut after the final dot).
    Returns the server's last line. The mail is sent as it is, byte for byte, piece by piece."""

    async def send(self, mailbox: str, sender: str, recipient: str, mail: Outgoing) -> str: ...


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
