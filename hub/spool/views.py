"""The reader's side of the spool: what `hub show`, `hub held` and `hub status` print. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, select
from sqlalchemy.engine import Connection

from hub.errors import Permanent
from hub.ids import told_apart
from hub.message import Delivery, Envelope, LetterSent, Step, Thought
from hub.spool import statements as sql
from hub.spool.side import Side, envelope_of
from hub.spool.states import MessageState, StepFacts

ID_MOST = 32
LETTERS_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSummary:
    """One message as its row says. `envelope` is what the wire told; times are aware UTC."""

    envelope: Envelope
    state: MessageState
    message_id: str | None
    accepted_at: datetime
    marked_at: datetime | None
    due_at: datetime | None
    lease_until: datetime | None
    attempts: int
    deaths: int
    last_error: str
    kind: str | None
    message_class: str | None
    closed_at: datetime | None

    @property
    def id(self) -> str:
        return self.envelope.id


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """One step, whatever became of it: of the present plan and of earlier ones."""

    number: int
    step: Step
    state: str
    stage: str
    attempts: int
    due_at: datetime | None
    answer: str
    outgoing_id: str | None
    settled_at: datetime | None


class ViewSide(Side):
    async def message(self, message_id: str) -> MessageSummary | None:
        def work(connection: Connection) -> MessageSummary | None:
            row = connection.execute(select(sql.MESSAGE).where(sql.MESSAGE.c.id == message_id)).first()
            return None if row is None else _summary(row)

        return await self._database.read(work)

    async def envelope(self, message_id: str) -> Envelope | None:
        found = await self.message(message_id)
        return None if found is None else found.envelope

    async def messages(
        self, state: str | None = None, limit: int = 50, mailbox: str | None = None
    ) -> tuple[MessageSummary, ...]:
        """The newest first."""
        wanted = select(sql.MESSAGE).order_by(sql.MESSAGE.c.accepted_at.desc(), sql.MESSAGE.c.id).limit(limit)
        if state is not None:
            wanted = wanted.where(sql.MESSAGE.c.state == str(state))
        if mailbox is not None:
            # Read from the newest backwards until there are enough: SQLite would sort all messages of the mailbox.
            wanted = wanted.where(func.coalesce(sql.MESSAGE.c.mailbox, "") == mailbox)
        return await self._database.read(lambda c: tuple(_summary(row) for row in c.execute(wanted)))

    async def thought(self, message_id: str) -> Thought | None:
        """What the mind last concluded; None before it thought. Raises Damaged, Misconfigured (unknown key)."""
        sealed = await self._database.read(lambda c: c.execute(sql.READ_THOUGHT, {"wanted": message_id}).scalar())
        return None if sealed is None else self._opened_thought(message_id, sealed)

    async def steps(self, message_id: str) -> tuple[StepSummary, ...]:
        """All its steps, in order. Raises Damaged, Misconfigured (unknown key)."""
        asked = {"wanted": message_id, "first": 1}
        rows = await self._database.read(lambda c: c.execute(sql.READ_STEPS, asked).all())
        return tuple(_step_summary(self._step_of(row), row.settled_at) for row in rows)

    async def letters(self, message_ids: Iterable[str]) -> tuple[LetterSent, ...]:
        """The letters of ours that were sent under one of these Message-IDs, at most `LETTERS_MOST`. Raises Damaged,
        Misconfigured (unknown key)."""
        asked = {"sent_as": sorted(set(message_ids))[:LETTERS_MOST], "most": LETTERS_MOST}
        if not asked["sent_as"]:
            return ()
        rows = await self._database.read(lambda c: c.execute(sql.FIND_SENT, asked).all(), brief=True)
        return tuple(letter for row in rows if (letter := self._letter_of(row)) is not None)

    def _letter_of(self, row: Row[Any]) -> LetterSent | None:
        step = self._step_of(row).step
        if not isinstance(step, Delivery) or step.content != "letter":
            return None
        return LetterSent(
            message=row.message,
            number=row.number,
            outgoing_id=row.outgoing_id,
            mailbox=row.mailbox,
            recipient=step.recipient,
            subject=step.subject,
            is_held=row.message_state == MessageState.HELD,
        )

    async def counts(self) -> dict[str, int]:
        """How many messages in each state; every state is there."""
        rows = await self._database.read(lambda c: c.execute(sql.COUNT_STATES).all())
        return {state.value: 0 for state in MessageState} | {state: count for state, count in rows}

    async def find(self, prefix: str) -> str:
        """The id that begins so. Raises Permanent when there is none or more than one."""
        return _only(await self._database.read(lambda c: _begin_so(c, prefix)))

    def find_now(self, prefix: str) -> str:
        """`find`, in the calling thread."""
        return _only(self._database.read_now(lambda c: _begin_so(c, prefix)))


def _begin_so(connection: Connection, prefix: str) -> list[str]:
    wanted = prefix.strip().lower()
    if not wanted or len(wanted) > ID_MOST or set(wanted) - set("0123456789abcdef"):
        return []
    return list(connection.execute(sql.FIND_IDS, {"start": wanted, "end": f"{wanted}g"}).scalars())


def _only(ids: list[str]) -> str:
    if not ids:
        raise Permanent("no message has this id", "Aucun message ne porte cet identifiant.")
    if len(ids) > 1:
        raise Permanent(
            "several messages begin with this id",
            f"Plusieurs messages commencent ainsi, dont {told_apart(ids)}. Donnez l'un de ces numéros.",
        )
    return ids[0]


def _summary(row: Row[Any]) -> MessageSummary:
    return MessageSummary(
        envelope=envelope_of(row),
        state=MessageState(row.state),
        message_id=row.message_id,
        accepted_at=row.accepted_at,
        marked_at=row.marked_at,
        due_at=row.due_at,
        lease_until=row.lease_until,
        attempts=row.attempts,
        deaths=row.deaths,
        last_error=row.last_error,
        kind=row.kind,
        message_class=row.message_class,
        closed_at=row.closed_at,
    )


def _step_summary(step: StepFacts, settled_at: datetime | None) -> StepSummary:
    return StepSummary(
        number=step.number,
        step=step.step,
        state=step.state.value,
        stage=step.stage,
        attempts=step.attempts,
        due_at=step.due_at,
        answer=step.answer,
        outgoing_id=step.outgoing_id,
        settled_at=settled_at,
    )
