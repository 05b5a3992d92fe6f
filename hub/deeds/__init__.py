"""The deeds of a plan: how each step is done, and what is written of it.

In: a step that is due and the message under way. Out: its outcome, recorded in one transaction with the deed when the
deed is ours alone (filing, hold, composition, news). A sending is staged before the connection is used, and goes out
at least once under one Message-ID for ever. Nothing is decided here: the plan is.
"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from hub import receipts, routing
from hub.deeds.composing import composing
from hub.deeds.dispatching import copied, dispatched, outcome_told
from hub.deeds.own import sent
from hub.deeds.roles import with_roles
from hub.deeds.world import Carriage, Hub, Papers
from hub.errors import Permanent, StalePlan
from hub.message import (
    Composition,
    Delivery,
    Done,
    Failed,
    Filing,
    Handover,
    Hold,
    News,
    Outcome,
    Reason,
    Receipt,
    Refusal,
    Release,
    Thought,
)
from hub.ports import Effect, OpenStep

__all__ = ["Carriage", "Hub", "Papers", "filing", "perform", "telling", "with_roles"]


async def perform(opened: OpenStep, message: Carriage, hub: Hub) -> Outcome:
    """One deed and its record, in one transaction where the deed is ours. What is refused for ever is a human's."""
    record, message_id = hub.spool.record, message.envelope.id
    try:
        return await record(message_id, opened.number, await _done(opened, message, hub))
    except Permanent as error:
        if isinstance(opened.step, Composition):
            return await record(message_id, opened.number, _held_with_its_reason(message_id, error, hub))
        return await record(message_id, opened.number, Failed(error.private))


def _held_with_its_reason(message_id: str, error: Permanent, hub: Hub) -> Effect:
    """The work list tells what must be corrected, the journal its code only."""
    hold = Hold(reasons=(Reason("not-composed", error.public),), reason="not-composed")
    holding = hub.records.holding(message_id, hold)

    def effect(connection: Connection) -> Outcome:
        holding(connection)
        return Failed(error.private)

    return effect


async def _done(opened: OpenStep, message: Carriage, hub: Hub) -> Outcome | Effect:
    match opened.step:
        case Filing() as step:
            return await filing(step, message, hub)
        case Hold() as step:
            return hub.records.holding(message.envelope.id, step)
        case Composition() as step:
            return await composing(step, message, hub)
        case News() as step:
            return telling(step, message, hub)
        case Release() as step:
            return await released(step, hub)
        case Delivery(content="dispatch") as step:
            return await dispatched(opened, step, message, hub)
        case Delivery(content="outcome") as step:
            return await outcome_told(opened, step, message, hub)
        case Delivery(content="sent-copy") as step:
            return await copied(opened, step, hub)
        case Receipt() | Delivery() as step:
            return await sent(opened, step, message, hub)
        case Refusal():
            return Done("refused")
        case Handover():  # no rule makes one before the DUI is connected
            return Failed("no DUI is connected")


async def filing(step: Filing, message: Carriage, hub: Hub) -> Effect:
    document = message.parsed.documents[step.document]
    return await hub.records.filing(message.envelope.id, step, document, message.drafts)


def telling(step: News, message: Carriage, hub: Hub) -> Effect:
    """What a report said, on the ladder of the recipient."""
    return hub.records.telling(step, message.envelope.id, hub.clock(), receipts.heard)


async def released(step: Release, hub: Hub) -> Outcome:
    """A held submission goes on as its author answered. One that no longer waits was finished meanwhile."""
    held = await hub.spool.envelope(step.message)
    if held is None:
        return Failed("no such message")
    raw, rules = await hub.spool.raw(held), hub.rulebook()
    parsed = await hub.reader.read(raw, rules.catalogue.worded, None, held.received_at, True)
    seen = routing.Seen(envelope=held, parsed=parsed, subjects=await hub.records.subjects(routing.asked_of(parsed)))
    if step.usager_id is None:
        thought = routing.dismissed(seen, step.by)
    else:
        seen = await with_roles(seen, rules, hub.records, hub.clock(), step.usager_id)
        thought = routing.think_submission(seen, rules, chosen=step.usager_id, by=step.by)
    closing = hub.records.closing(step.message, step.by, "filed" if step.usager_id else "dismissed")
    try:
        await hub.spool.release(step.message, thought, step.by, closing)
    except Permanent:
        if _is_as_answered(await hub.spool.thought(step.message), step):
            return Done("released before")  # by us, before a crash
        raise StalePlan("it no longer waits: its author is told that the answer comes too late") from None
    return Done("released")


def _is_as_answered(thought: Thought | None, step: Release) -> bool:
    if thought is None:
        return False
    if step.usager_id is None:
        return thought.plan.rule == "dismissed"
    return [one.usager_id for one in thought.match.candidates] == [step.usager_id]
