"""The spool in memory: `hub.ports.Intake` and `hub.ports.Spool` for tests without a database.

It follows the same rules (`hub.spool.states`) and passes the same contract tests (`tests/edges/test_spool.py`) as the
real one. A `MemoryStore` is what several processes share; a `MemorySpool` is one process on it. An effect is called
with the store in the place of a connection, and undone with the rest when it raises.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy.engine import Connection

from hub.encoding import step_name
from hub.errors import Damaged, LostLease, Permanent
from hub.message import Delivery, Done, Door, Envelope, Hold, LetterSent, Outcome, Thought
from hub.ports import Accepted, Arrival, BlobSink, Clock, Effect, OpenStep, Ready, Submission
from hub.raw import Raw, Whole
from hub.settings import Spooling
from hub.spool.intake import fingerprint
from hub.spool.states import (
    CARRIED_STATES,
    GAVE_UP,
    WORKER_DIED,
    MessageState,
    Patience,
    StepFacts,
    StepState,
    hold_of,
    holds_for_failures,
    numbered,
    outcome_of,
    staged,
    state_after,
)


@dataclass
class MemoryMessage:
    envelope: Envelope
    fingerprint: str
    set_out_at: datetime
    due_at: datetime | None
    place: tuple[int, int] | None  # UIDVALIDITY, UID
    state: MessageState = MessageState.ACCEPTED
    token: str | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    deaths: int = 0
    plan_first: int = 1
    thought: Thought | None = None
    steps: dict[int, StepFacts] = field(default_factory=dict)

    @property
    def plan(self) -> list[StepFacts]:
        return [step for number, step in sorted(self.steps.items()) if number >= self.plan_first]


@dataclass
class Kept:
    """All that a transaction may change."""

    messages: dict[str, MemoryMessage] = field(default_factory=dict)
    seen: dict[tuple[str, int, int], str] = field(default_factory=dict)
    marks: set[tuple[str, int, int]] = field(default_factory=set)
    cursors: dict[str, tuple[int, int]] = field(default_factory=dict)
    work: list[tuple[str, str, str]] = field(default_factory=list)  # message, about, reason codes
    deeds: list[tuple[str | None, str, str]] = field(default_factory=list)  # message, action, author


class MemoryStore:
    def __init__(self) -> None:
        self.kept = Kept()
        self.blobs: dict[str, bytes] = {}
        self.ids = itertools.count(1)

    @contextmanager
    def transaction(self) -> Iterator[Kept]:
        before = copy.deepcopy(self.kept)
        try:
            yield self.kept
        except BaseException:
            self.kept = before
            raise

    def holding(self, message_id: str, step: Hold) -> Effect:
        """A work list: one line for each message and `about`."""

        def effect(_connection: Connection) -> Outcome:
            if not any(line[:2] == (message_id, step.about) for line in self.kept.work):
                codes = " ".join(sorted(reason.code for reason in step.reasons))
                self.kept.work.append((message_id, step.about, codes))
            return Done("held")

        return effect


class MemoryBlob:
    def __init__(self) -> None:
        self.size = 0
        self.raw = bytearray()
        self.is_finished = False

    async def write(self, piece: bytes) -> None:
        self.raw += piece
        self.size += len(piece)

    async def discard(self) -> None:
        if not self.is_finished:
            self.raw.clear()


class MemorySpool:
    def __init__(
        self,
        store: MemoryStore,
        *,
        clock: Clock,
        spooling: Spooling | None = None,
        owner: str = "memory",
        holding: Callable[[str, Hold], Effect] | None = None,
        random: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self._store = store
        self._clock = clock
        self._spooling = spooling or Spooling()
        self._owner = owner
        self._holding = holding or store.holding
        self._patience = Patience(self._spooling, random)
        self._tokens: dict[str, str] = {}

    # --- Intake

    async def cursor(self, mailbox: str) -> tuple[int, int] | None:
        return self._store.kept.cursors.get(mailbox)

    async def seen(self, mailbox: str, uidvalidity: int) -> frozenset[int]:
        return frozenset(uid for box, epoch, uid in self._store.kept.seen if (box, epoch) == (mailbox, uidvalidity))

    async def unmarked(self, mailbox: str, uidvalidity: int) -> tuple[int, ...]:
        seen = await self.seen(mailbox, uidvalidity)
        marks = self._store.kept.marks
        return tuple(sorted(uid for uid in seen if (mailbox, uidvalidity, uid) not in marks))

    async def new_blob(self) -> BlobSink:
        return MemoryBlob()

    async def submit(self, submission: Submission, blob: BlobSink) -> Accepted:
        """Each call is a new message: that a repeated submission is none is the real door's own contract."""
        assert isinstance(blob, MemoryBlob)
        blob.is_finished = True
        raw, now = bytes(blob.raw), self._clock()
        envelope = Envelope(
            id=f"{next(self._store.ids):032x}",
            door=Door.SMTP,
            received_at=submission.received_at,
            mailbox=submission.mailbox,
            sender=submission.sender,
            recipients=submission.recipients,
            size=len(raw),
            sha256=hashlib.sha256(raw).hexdigest(),
            test=submission.test,
            by=submission.by,
        )
        with self._store.transaction() as kept:
            self._store.blobs[envelope.sha256] = raw
            kept.messages[envelope.id] = MemoryMessage(envelope, envelope.id, set_out_at=now, due_at=now, place=None)
        return Accepted(envelope.id, new=True)

    async def accept(self, arrival: Arrival, blob: BlobSink, door: Door = Door.IMAP) -> Accepted:
        assert isinstance(blob, MemoryBlob)
        blob.is_finished = True
        raw = bytes(blob.raw)
        sha256 = hashlib.sha256(raw).hexdigest()
        print_ = fingerprint(arrival.mailbox, arrival.message_id, sha256)
        place = (arrival.mailbox, arrival.uidvalidity, arrival.uid)
        with self._store.transaction() as kept:
            self._store.blobs[sha256] = raw
            before = kept.seen.get(place) if arrival.uid else None
            twin = next((it.envelope.id for it in kept.messages.values() if it.fingerprint == print_), None)
            if twin is not None and twin == before:
                return Accepted(twin, new=False)
            new = twin is None
            if twin is None:
                message = self._message(arrival, sha256, len(raw), door, print_, is_uid_taken=before is not None)
                twin = message.envelope.id
                kept.messages[twin] = message
            if arrival.uid:
                kept.seen[place] = twin
                kept.marks.discard(place)
            kept.deeds.append((twin, "accept" if new else "twin", "hub"))
            return Accepted(twin, new=new)

    async def accept_all(self, arrived: Sequence[tuple[Arrival, BlobSink]]) -> Sequence[Accepted | BaseException]:
        each = (self.accept(arrival, blob) for arrival, blob in arrived)
        return await asyncio.gather(*each, return_exceptions=True)

    def _message(
        self, arrival: Arrival, sha256: str, size: int, door: Door, print_: str, *, is_uid_taken: bool
    ) -> MemoryMessage:
        envelope = Envelope(
            id=f"{next(self._store.ids):032x}",
            door=door,
            received_at=arrival.received_at,
            mailbox=arrival.mailbox,
            peer=arrival.peer,
            sender=arrival.sender,
            recipients=arrival.recipients,
            size=size,
            sha256=sha256,
            test=arrival.test,
        )
        now = self._clock()
        place = (arrival.uidvalidity, arrival.uid) if arrival.uid and not is_uid_taken else None
        return MemoryMessage(envelope, print_, set_out_at=now, due_at=now, place=place)

    async def marked(self, mailbox: str, uidvalidity: int, uids: Iterable[int]) -> None:
        wanted = {(mailbox, uidvalidity, uid) for uid in uids}
        if wanted:
            with self._store.transaction() as kept:
                kept.marks |= wanted & kept.seen.keys()
                kept.deeds.append((None, "mark", "hub"))

    async def told(self, mailbox: str, request: str, answer: str) -> None:
        with self._store.transaction() as kept:
            kept.deeds.append((None, "connection", "hub"))

    async def advance(self, mailbox: str, uidvalidity: int, last_uid: int) -> None:
        before = self._store.kept.cursors.get(mailbox)
        if before is not None and before[0] == uidvalidity:
            last_uid = max(last_uid, before[1])
        self._store.kept.cursors[mailbox] = (uidvalidity, last_uid)

    # --- Spool

    async def load(self, message_id: str) -> Envelope | None:
        if message_id in self._tokens:
            return None
        now = self._clock()
        with self._store.transaction() as kept:
            message = kept.messages.get(message_id)
            if message is None or (message.token is not None and not self._bury(message, now)):
                return None
            if not self._is_due(message, now):
                return None
            message.token = f"{self._owner}:{next(self._store.ids)}"
            message.lease_until = now + self._spooling.lease
            self._tokens[message_id] = message.token
            return message.envelope

    async def raw(self, envelope: Envelope) -> Raw:
        raw = self._store.blobs.get(envelope.sha256)
        if raw is None or hashlib.sha256(raw).hexdigest() != envelope.sha256:
            raise Damaged("blob altered or missing")
        return Whole(raw)

    async def open_steps(self, message_id: str) -> tuple[OpenStep, ...] | None:
        message = self._held(message_id)
        return None if message.state is MessageState.ACCEPTED else self._opened(message)

    async def save_plan(self, message_id: str, thought: Thought, ready: Ready | None = None) -> tuple[OpenStep, ...]:
        at_once = ready or Ready()
        with self._store.transaction():
            message = self._held(message_id)
            if message.state is not MessageState.ACCEPTED:
                raise LostLease("there is a plan already")
            steps = numbered(thought.plan.steps, message.plan_first, message.steps.values(), repeats_sendings=False)
            steps = staged(steps, at_once.outgoing_ids)
            message.thought = thought
            message.steps |= {step.number: step for step in steps}
            self._deed(message_id, "plan")
            for place, effect in sorted(at_once.deeds.items()):
                step = steps[place]
                if step.is_open:
                    settled = self._patience.settle(step, self._run(effect), self._clock())
                    message.steps[step.number] = settled
                    self._deed(message_id, step_name(step.step))
            self._move(message)
            just_staged = {steps[place].number for place in at_once.outgoing_ids}
            return tuple(replace(one, is_staged=one.number in just_staged) for one in self._opened(message))

    async def stage(self, message_id: str, number: int, stage: str, outgoing_id: str) -> None:
        with self._store.transaction():
            message = self._held(message_id)
            step = self._open_step(message, number)
            if step.outgoing_id not in (None, outgoing_id):
                raise Permanent("staged before under another Message-ID")
            message.steps[number] = replace(step, stage=stage, outgoing_id=outgoing_id)

    async def record(self, message_id: str, number: int, outcome: Outcome | Effect) -> Outcome:
        with self._store.transaction():
            message = self._held(message_id)
            step = self._open_step(message, number)
            given = self._run(outcome) if callable(outcome) else outcome
            settled = self._patience.settle(step, given, self._clock())
            message.steps[number] = settled
            self._move(message)
            self._deed(message_id, step_name(step.step))
            return outcome_of(settled)

    async def rethink(self, message_id: str) -> None:
        with self._store.transaction():
            message = self._held(message_id)
            self._drop_open(message)
            message.attempts += 1
            if self._patience.is_used_up(message.attempts):
                self._put_before_human(message, hold_of(GAVE_UP))
                return
            message.state, message.due_at = MessageState.ACCEPTED, message.set_out_at
            message.plan_first = max(message.steps, default=0) + 1
            self._deed(message_id, "rethink")

    async def postpone(self, message_id: str, reason: str, until: datetime | None = None, counted: bool = True) -> None:
        now = self._clock()
        with self._store.transaction():
            message = self._held(message_id)
            message.attempts += counted
            if counted and self._patience.is_used_up(message.attempts):
                self._put_before_human(message, hold_of(GAVE_UP))
                return
            grown = now + self._patience.delay(message.attempts)
            due_at = grown if until is None else max(grown, until) if counted else until
            message.due_at = min(due_at, now + self._patience.longest)
            self._deed(message_id, "postpone")
            self._free(message)

    async def older_open(self, message_id: str, within: timedelta) -> bool:
        mine = self._store.kept.messages[message_id]

        def is_older(other: MemoryMessage) -> bool:
            if other.envelope.mailbox != mine.envelope.mailbox or other.state not in CARRIED_STATES:
                return False
            gap = mine.envelope.received_at - other.envelope.received_at
            if gap == timedelta(0) and mine.place and other.place:
                return mine.place[0] == other.place[0] and other.place[1] < mine.place[1]
            return timedelta(0) < gap <= within

        return any(is_older(other) for other in self._store.kept.messages.values())

    async def release(self, message_id: str, thought: Thought, by: str, effect: Effect | None = None) -> None:
        with self._store.transaction() as kept:
            message = kept.messages.get(message_id)
            if message is None or message.state is not MessageState.HELD:
                raise Permanent("not before a human")
            first = max(message.steps, default=0) + 1
            steps = numbered(thought.plan.steps, first, message.steps.values(), repeats_sendings=True)
            self._drop_open(message)
            if effect is not None:
                self._run(effect)
            message.steps |= {step.number: step for step in steps}
            message.plan_first, message.thought = first, thought
            message.attempts = message.deaths = 0
            message.set_out_at = self._clock()
            self._move(message)
            self._deed(message_id, "release", by)

    async def letters(self, message_ids: Iterable[str]) -> tuple[LetterSent, ...]:
        wanted = set(message_ids)
        return tuple(
            LetterSent(
                message=message.envelope.id,
                number=facts.number,
                outgoing_id=facts.outgoing_id or "",
                mailbox=message.envelope.mailbox,
                recipient=facts.step.recipient,
                subject=facts.step.subject,
                is_held=message.state is MessageState.HELD,
            )
            for message in self._store.kept.messages.values()
            for facts in message.steps.values()
            if isinstance(facts.step, Delivery) and facts.step.content == "letter" and facts.outgoing_id in wanted
        )

    async def envelope(self, message_id: str) -> Envelope | None:
        message = self._store.kept.messages.get(message_id)
        return None if message is None else message.envelope

    async def thought(self, message_id: str) -> Thought | None:
        return self._store.kept.messages[message_id].thought

    async def hold(self, message_id: str, step: Hold) -> None:
        with self._store.transaction():
            self._put_before_human(self._held(message_id), step)

    async def yield_lease(self, message_id: str) -> None:
        message = self._store.kept.messages.get(message_id)
        if message is not None and message.token == self._tokens.pop(message_id, "none"):
            message.token = message.lease_until = None

    async def renew(self, message_id: str) -> bool:
        try:
            self._held(message_id).lease_until = self._clock() + self._spooling.lease
        except LostLease:
            return False
        return True

    async def due(self, limit: int = 500) -> tuple[str, ...]:
        now = self._clock()
        with self._store.transaction() as kept:
            listed = [message for message in kept.messages.values() if self._is_due(message, now)]
            listed.sort(key=lambda message: (message.due_at, message.envelope.id))
            return tuple(it.envelope.id for it in listed if it.token is None or self._bury(it, now))[:limit]

    # --- inside

    def _is_due(self, message: MemoryMessage, now: datetime) -> bool:
        if message.state not in CARRIED_STATES or message.due_at is None:
            return False
        return message.due_at <= message.set_out_at or self._patience.is_due(message.due_at, now)

    def _held(self, message_id: str) -> MemoryMessage:
        message = self._store.kept.messages.get(message_id)
        token = self._tokens.get(message_id)
        if message is None or token is None or message.token != token:
            raise LostLease("the lease is gone")
        return message

    def _opened(self, message: MemoryMessage) -> tuple[OpenStep, ...]:
        now = self._clock()
        return tuple(
            self._patience.opened(step)
            for step in message.plan
            if step.is_open and self._patience.is_due(step.due_at, now)
        )

    def _open_step(self, message: MemoryMessage, number: int) -> StepFacts:
        step = message.steps.get(number)
        if step is None or not step.is_open:
            raise Permanent("the step is not open")
        return step

    def _run(self, effect: Effect) -> Outcome:
        return effect(cast(Connection, cast(Any, self._store)))

    def _move(self, message: MemoryMessage) -> None:
        message.state, message.due_at = state_after(message.plan, message.set_out_at)
        if message.state is MessageState.HELD:
            for hold in holds_for_failures(message.plan):
                self._run(self._holding(message.envelope.id, hold))
        if message.state is not MessageState.PLANNED:
            self._free(message)

    def _put_before_human(self, message: MemoryMessage, hold: Hold) -> None:
        number = max(message.steps, default=0) + 1
        message.steps[number] = StepFacts(number=number, step=hold, state=StepState.DONE, answer=hold.reason)
        message.state, message.due_at = MessageState.HELD, None
        self._run(self._holding(message.envelope.id, hold))
        self._deed(message.envelope.id, "hold")
        self._free(message)

    def _bury(self, message: MemoryMessage, now: datetime) -> bool:
        if message.lease_until is None or message.state not in CARRIED_STATES:
            return False
        if now <= message.lease_until <= now + self._spooling.lease:
            return False
        message.token = message.lease_until = None
        message.deaths += 1
        if message.deaths >= self._spooling.deaths:
            self._put_before_human(message, hold_of(WORKER_DIED))
            return False
        self._deed(message.envelope.id, "death")
        return True

    def _free(self, message: MemoryMessage) -> None:
        message.token = message.lease_until = None
        self._tokens.pop(message.envelope.id, None)

    def _drop_open(self, message: MemoryMessage) -> None:
        for number, step in message.steps.items():
            if step.is_open:
                message.steps[number] = replace(step, state=StepState.DROPPED, due_at=None)

    def _deed(self, message_id: str, action: str, author: str = "hub") -> None:
        self._store.kept.deeds.append((message_id, action, author))
