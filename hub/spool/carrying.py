"""The carrier's side of the spool (`hub.ports.Spool`): plans, and what became of each step.

In flows a thought, then one outcome a step; out flow the steps that are due. While a lease lives only its holder moves
the message, so what was read under it is kept in memory and need not be read again. Too many attempts or days put the
message before a human. Each call is one transaction with its journal entry; what raises has written nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from hub import journal
from hub.encoding import step_name
from hub.errors import Permanent
from hub.message import (
    Composition,
    Delivery,
    Envelope,
    Filing,
    Handover,
    Hold,
    News,
    Outcome,
    Receipt,
    Release,
    Step,
    Thought,
)
from hub.ports import Effect, OpenStep, Ready
from hub.raw import Raw
from hub.spool import statements as sql
from hub.spool.leases import LeaseSide, codes
from hub.spool.side import Lease, impersonal
from hub.spool.states import (
    GAVE_UP,
    MessageState,
    StepFacts,
    hold_of,
    holds_for_failures,
    numbered,
    outcome_of,
    staged,
    state_after,
)


class CarrySide(LeaseSide):
    async def open_steps(self, message_id: str) -> tuple[OpenStep, ...] | None:
        """Only the steps that are due now: one that was deferred shows again at its time."""
        lease = self._lease(message_id)
        if lease.state is MessageState.ACCEPTED:
            return None
        return self._opened(await self._steps(message_id, lease), self._clock())

    async def save_plan(self, message_id: str, thought: Thought, ready: Ready | None = None) -> tuple[OpenStep, ...]:
        lease, now = self._lease(message_id), self._clock()
        at_once = ready or Ready()

        def work(connection: Connection) -> tuple[MessageState, tuple[StepFacts, ...]]:
            earlier = self._read_steps(connection, message_id, 1) if lease.plan_first > 1 else ()
            steps = numbered(thought.plan.steps, lease.plan_first, earlier, repeats_sendings=False)
            steps = staged(steps, at_once.outgoing_ids)
            deeds = [journal.Deed("plan", f"rule {thought.plan.rule}", _names(steps))]
            steps, done = self._done_at_once(connection, steps, at_once.deeds, lease, now)
            state, due_at = state_after(steps, lease.set_out_at)
            closed_at = now if state is MessageState.DONE else None
            changes = {"to_state": state.value, "due": due_at, "closed": closed_at}
            plan = sql.PLAN if state is MessageState.PLANNED else sql.PLAN_AND_SETTLE
            self._fenced(connection, plan, message_id, lease, changes | self._thought_columns(message_id, thought))
            self._add_steps(connection, message_id, steps, now)
            if state is MessageState.HELD:
                for hold in holds_for_failures(steps):
                    self._holding(message_id, hold)(connection)
            self._note_all(connection, now, message_id, [*deeds, *done])
            return state, steps

        state, steps = await self._database.write(work)
        self._keep(message_id, lease, state, {step.number: step for step in steps})
        just_staged = {steps[place].number for place in at_once.outgoing_ids}
        return tuple(replace(one, is_staged=one.number in just_staged) for one in self._opened(steps, now))

    async def stage(self, message_id: str, number: int, stage: str, outgoing_id: str) -> None:
        """Raises Permanent for another Message-ID than the one staged before."""
        lease = self._lease(message_id)
        step = self._open_step(await self._steps(message_id, lease), number)
        if step.outgoing_id not in (None, outgoing_id):
            raise Permanent(f"message {message_id} step {number}: staged before under another Message-ID")
        changes = {"this": number, "to_stage": stage, "sent_as": outgoing_id}
        await self._database.write(lambda c: self._fenced(c, sql.STAGE_STEP, message_id, lease, changes))
        assert lease.steps is not None
        lease.steps[number] = replace(step, stage=stage, outgoing_id=outgoing_id)

    async def record(self, message_id: str, number: int, outcome: Outcome | Effect) -> Outcome:
        lease, now = self._lease(message_id), self._clock()
        steps = await self._steps(message_id, lease)
        step = self._open_step(steps, number)

        def work(connection: Connection) -> tuple[MessageState, StepFacts]:
            given = outcome(connection) if callable(outcome) else outcome
            settled = self._settled(step, given, lease, now)
            after = steps | {number: settled}
            state, due_at = state_after(after.values(), lease.set_out_at)
            self._settle_step(connection, message_id, settled, now)
            self._move_message(connection, message_id, lease, state, due_at, now)
            if state is MessageState.HELD:
                for hold in holds_for_failures(after.values()):
                    self._holding(message_id, hold)(connection)
            self._note_all(connection, now, message_id, [_deed_of(settled)])
            return state, settled

        state, settled = await self._database.write(work)
        self._keep(message_id, lease, state, steps | {number: settled})
        return outcome_of(settled)

    async def rethink(self, message_id: str) -> None:
        """Counts as an attempt: a plan that is stale for ever comes before a human."""
        lease, now = self._lease(message_id), self._clock()
        attempts = lease.attempts + 1

        def work(connection: Connection) -> int | None:
            connection.execute(sql.DROP_OPEN_STEPS, {"wanted": message_id, "now": now})
            if self._patience.is_used_up(attempts):
                self._put_before_human(connection, message_id, hold_of(GAVE_UP), now, lease)
                return None
            first = self._next_number(connection, message_id)
            changes = {"first": first, "to_attempts": attempts}
            self._fenced(connection, sql.FORGET_PLAN, message_id, lease, changes)
            self._note(connection, now, "rethink", message_id, f"attempt {attempts}")
            return first

        first = await self._database.write(work)
        if first is None:
            self._leases.pop(message_id, None)
        else:
            lease.plan_first, lease.attempts = first, attempts
            lease.state, lease.steps = MessageState.ACCEPTED, None

    # --- giving up for now, and for good

    async def postpone(self, message_id: str, reason: str, until: datetime | None = None, counted: bool = True) -> None:
        lease, now = self._lease(message_id), self._clock()
        attempts = lease.attempts + counted
        why = impersonal(reason)
        grown = now + self._patience.delay(attempts)
        due_at = grown if until is None else max(grown, until) if counted else until
        due_at = min(due_at, now + self._patience.longest)

        def work(connection: Connection) -> None:
            if counted and self._patience.is_used_up(attempts):
                self._put_before_human(connection, message_id, hold_of(GAVE_UP), now, lease)
                return
            changed = {"due": due_at, "to_attempts": attempts, "why": why}
            self._fenced(connection, sql.POSTPONE, message_id, lease, changed)
            self._note(connection, now, "postpone", message_id, f"attempt {attempts}" if counted else "", why)

        await self._database.write(work)
        self._leases.pop(message_id, None)

    async def hold(self, message_id: str, step: Hold) -> None:
        lease, now = self._lease(message_id), self._clock()
        await self._database.write(lambda c: self._put_before_human(c, message_id, step, now, lease))
        self._leases.pop(message_id, None)

    async def release(self, message_id: str, thought: Thought, by: str, effect: Effect | None = None) -> None:
        """Steps that an earlier plan left open are dropped: the human's plan replaces them."""
        now = self._clock()

        def work(connection: Connection) -> None:
            found = connection.execute(sql.LOCK_MESSAGE, {"wanted": message_id}).scalar()
            if found != MessageState.HELD:
                raise Permanent(
                    f"message {message_id}: it is not held",
                    "Ce message n'attend plus de décision : rien n'a été changé.",
                )
            earlier = self._read_steps(connection, message_id, 1)
            first = self._next_number(connection, message_id)
            steps = numbered(thought.plan.steps, first, earlier, repeats_sendings=True)
            connection.execute(sql.DROP_OPEN_STEPS, {"wanted": message_id, "now": now})
            if effect is not None:
                effect(connection)
            state, due_at = state_after(steps, now)
            changes = self._thought_columns(message_id, thought) | {
                "wanted": message_id,
                "to_state": state.value,
                "due": due_at,
                "closed": now if state is MessageState.DONE else None,
                "first": first,
                "now": now,
            }
            connection.execute(sql.RELEASE, changes)
            self._add_steps(connection, message_id, steps, now)
            self._note(connection, now, "release", message_id, f"rule {thought.plan.rule}", _names(steps), author=by)

        await self._database.write(work)

    async def older_open(self, message_id: str, within: timedelta) -> bool:
        def work(connection: Connection) -> bool:
            received_at = connection.execute(sql.READ_RECEIVED, {"wanted": message_id}).scalar()
            if received_at is None:
                return False
            asked = {"wanted": message_id, "since": received_at - within}
            return connection.execute(sql.OLDER_OPEN, asked).first() is not None

        return await self._database.read(work)

    async def raw(self, envelope: Envelope) -> Raw:
        lease = self._leases.get(envelope.id)
        if lease is not None:
            return self._blobs.raw_of(envelope.sha256, envelope.size, lease.sealed)
        return await self._blobs.open(envelope.sha256)

    # --- inside transactions

    def _settled(self, step: StepFacts, outcome: Outcome, lease: Lease, now: datetime) -> StepFacts:
        settled = self._patience.settle(step, outcome, now)
        return replace(settled, answer=impersonal(settled.answer))

    def _done_at_once(
        self,
        connection: Connection,
        steps: tuple[StepFacts, ...],
        deeds: Mapping[int, Effect],
        lease: Lease,
        now: datetime,
    ) -> tuple[tuple[StepFacts, ...], list[journal.Deed]]:
        """The steps after the deeds that go with the plan, and what the journal says of them."""
        after, told = list(steps), []
        for place, effect in sorted(deeds.items()):
            if steps[place].is_open:
                after[place] = self._settled(steps[place], effect(connection), lease, now)
                told.append(_deed_of(after[place]))
        return tuple(after), told

    def _settle_step(self, connection: Connection, message_id: str, step: StepFacts, now: datetime) -> None:
        connection.execute(
            sql.SETTLE_STEP,
            {
                "wanted": message_id,
                "this": step.number,
                "to_state": step.state.value,
                "to_attempts": step.attempts,
                "due": step.due_at,
                "to_answer": step.answer,
                "settled": None if step.is_open else now,
            },
        )

    def _move_message(
        self,
        connection: Connection,
        message_id: str,
        lease: Lease,
        state: MessageState,
        due_at: datetime | None,
        now: datetime,
    ) -> None:
        statement = sql.PROGRESS if state is MessageState.PLANNED else sql.SETTLE
        changes = {"to_state": state.value, "due": due_at, "closed": now if state is MessageState.DONE else None}
        self._fenced(connection, statement, message_id, lease, changes)

    def _thought_columns(self, message_id: str, thought: Thought) -> dict[str, object]:
        return {
            "to_kind": thought.classification.kind,
            "to_class": thought.classification.message_class.value,
            "to_thought": self._sealed_thought(message_id, thought),
        }

    def _read_steps(self, connection: Connection, message_id: str, first: int) -> tuple[StepFacts, ...]:
        rows = connection.execute(sql.READ_STEPS, {"wanted": message_id, "first": first})
        return tuple(self._step_of(row) for row in rows)

    # --- what the holder remembers

    async def _steps(self, message_id: str, lease: Lease) -> dict[int, StepFacts]:
        if lease.steps is None:
            steps = await self._database.read(lambda c: self._read_steps(c, message_id, lease.plan_first))
            lease.steps = {step.number: step for step in steps}
        return lease.steps

    def _keep(self, message_id: str, lease: Lease, state: MessageState, steps: dict[int, StepFacts]) -> None:
        """After a commit. A message that is done or held gave its lease back in the same transaction."""
        lease.state, lease.steps = state, steps
        if state is not MessageState.PLANNED:
            self._leases.pop(message_id, None)

    def _opened(self, steps: Mapping[int, StepFacts] | tuple[StepFacts, ...], now: datetime) -> tuple[OpenStep, ...]:
        listed = steps.values() if isinstance(steps, Mapping) else steps
        return tuple(
            self._patience.opened(step) for step in listed if step.is_open and self._patience.is_due(step.due_at, now)
        )

    def _open_step(self, steps: Mapping[int, StepFacts], number: int) -> StepFacts:
        step = steps.get(number)
        if step is None or not step.is_open:
            raise Permanent(f"step {number} is not open")
        return step


def _deed_of(settled: StepFacts) -> journal.Deed:
    """What the journal says of a step that was settled."""
    answer = f"{settled.state.value.lower()}: {settled.answer}".removesuffix(": ")
    return journal.Deed(step_name(settled.step), f"step {settled.number} {_request(settled.step)}".rstrip(), answer)


def _names(steps: tuple[StepFacts, ...]) -> str:
    return " ".join(step_name(step.step) for step in steps) or "nothing to do"


def _request(step: Step) -> str:
    """What a step asks for, in ids and codes only."""
    match step:
        case Filing():
            return f"document {step.document} usager {step.usager_id} {step.action} by {step.by}"
        case Receipt():
            return f"code {step.code}"
        case Delivery():
            return step.content
        case Composition():
            return f"sending {step.sending} usager {step.usager_id} by {step.by}"
        case Release():
            return f"message {step.message} usager {step.usager_id or 'none'} by {step.by}"
        case News():
            return f"sending {step.sending} {step.rung} {step.status}".rstrip()
        case Handover():
            return f"document {step.document}"
        case Hold():
            return f"{step.about} {codes(step.reasons)}"
        case _:
            return codes(step.reasons)
