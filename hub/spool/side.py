"""What the sides of the spool share: its collaborators, sealing of what it keeps, journal entries, envelopes."""

from __future__ import annotations

import asyncio
import random as chance
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database, storable
from hub.encoding import decode_step, decode_thought, encode_step, encode_thought, step_name
from hub.ids import new_id
from hub.message import Door, Envelope, Hold, Thought
from hub.ports import Clock, Effect, Sealer
from hub.settings import Spooling
from hub.spool.blobs import BlobStore
from hub.spool.statements import ADD_STEP
from hub.spool.states import MessageState, Patience, StepFacts, StepState
from hub.spool.watch import Watch

HUB = "hub"  # the author of what no human did
ANSWER_MOST = 500

_ADDRESS = re.compile(r"[^\s<>\"']+@[^\s<>\"']+")


@dataclass(slots=True)
class Lease:
    """What its holder knows of a message: true as long as the lease lives."""

    token: str
    state: MessageState
    set_out_at: datetime
    attempts: int
    plan_first: int
    sealed: bytes | None = None  # the message's blob, when it is a small one: `raw` needs no second look
    steps: dict[int, StepFacts] | None = None  # of the present plan; None: not read yet


class Side:
    """The base of the three sides; `hub.spool.SqlSpool` is all of them."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        sealer: Sealer,
        *,
        clock: Clock,
        spooling: Spooling,
        owner: str,
        timezone: str,
        holding: Callable[[str, Hold], Effect],
        ticks: Callable[[], float] | None = None,
        random: Callable[[], float] = chance.random,
        new_id: Callable[[datetime], str] = new_id,
    ) -> None:
        """`owner` names this process in leases (at most 40 characters count). `holding` opens a line of the work list
        (`Records.holding`) for what the spool itself puts before a human. `ticks` gives seconds that never jump
        (`hub.spool.watch`). `new_id` gives an id for a moment (`hub.ids`)."""
        self._database = database
        self._blobs = blobs
        self._sealer = sealer
        self._clock = clock
        self._spooling = spooling
        self._owner = owner[:40]
        self._zone = ZoneInfo(timezone)
        self._holding = holding
        self._patience = Patience(spooling, random)
        self._watch = Watch(spooling.lease, ticks)
        self._new_id = new_id
        self._leases: dict[str, Lease] = {}
        self._unreturned: dict[str, str] = {}  # token -> message: leases that the database was not there to take back
        self._returning: asyncio.Task[None] | None = None

    def _moment(self, now: datetime) -> dict[str, datetime]:
        """What the statements compare times with: now, and what no wait and no lease can go beyond."""
        return {
            "now": now,
            "wait_end": now + self._patience.longest,
            "lease_end": now + self._spooling.lease,
        }

    def _note(
        self,
        connection: Connection,
        now: datetime,
        action: str,
        message: str | None,
        request: str = "",
        answer: str = "",
        author: str = HUB,
    ) -> None:
        """One journal entry. The journal's head is the last lock of every transaction."""
        self._note_all(connection, now, message, [journal.Deed(action, request, answer)], author)

    def _note_all(
        self,
        connection: Connection,
        now: datetime,
        message: str | None,
        deeds: Iterable[journal.Deed],
        author: str = HUB,
    ) -> None:
        told = [journal.Deed(deed.action, deed.request, impersonal(deed.answer), deed.message) for deed in deeds]
        journal.append_all(connection, now.astimezone(self._zone), author, told, message)

    def _sealed_thought(self, message_id: str, thought: Thought) -> bytes:
        return self._sealer.seal(encode_thought(thought), f"thought:{message_id}".encode())

    def _opened_thought(self, message_id: str, sealed: bytes) -> Thought:
        return decode_thought(self._sealer.open(sealed, f"thought:{message_id}".encode()))

    def _add_steps(self, connection: Connection, message_id: str, steps: Iterable[StepFacts], now: datetime) -> None:
        rows = [
            {
                "message": message_id,
                "number": step.number,
                "type": step_name(step.step),
                "body": self._sealer.seal(encode_step(step.step), _step_aad(message_id, step.number)),
                "state": step.state.value,
                "stage": step.stage,
                "attempts": step.attempts,
                "due_at": step.due_at,
                "answer": step.answer,
                "outgoing_id": step.outgoing_id,
                "settled_at": None if step.is_open else now,
            }
            for step in steps
        ]
        if rows:
            connection.execute(ADD_STEP, rows)

    def _step_of(self, row: Row[Any]) -> StepFacts:
        """Raises Damaged (altered body), Misconfigured (its key is not in the ring)."""
        return StepFacts(
            number=row.number,
            step=decode_step(row.type, self._sealer.open(row.body, _step_aad(row.message, row.number))),
            state=StepState(row.state),
            stage=row.stage,
            attempts=row.attempts,
            due_at=row.due_at,
            answer=row.answer,
            outgoing_id=row.outgoing_id,
        )


def envelope_of(row: Row[Any]) -> Envelope:
    """`row` has the columns of `ENVELOPE_COLUMNS`."""
    return Envelope(
        id=row.id,
        door=Door(row.door),
        received_at=row.received_at,
        mailbox=row.mailbox,
        peer=row.peer,
        sender=row.sender,
        recipients=tuple(row.recipients.split("\n")) if row.recipients else (),
        size=row.size,
        sha256=row.sha256,
        test=row.test,
        by=row.submitted_by or "",
    )


def impersonal(answer: str) -> str:
    """An answer of the other side without mail addresses, cut to a line: servers like to quote them."""
    return storable(_ADDRESS.sub("(adresse)", " ".join(answer.split())), ANSWER_MOST)


def _step_aad(message_id: str, number: int) -> bytes:
    return f"step:{message_id}:{number}".encode()
