"""ONE MESSAGE'S TRIP, top to bottom. Read this file first.

`carry` takes an accepted message as far as it can go today and may be repeated at any time: thinking touches
nothing, and each deed is recorded in one transaction (docs/states.md says what a crash leaves at each line).
What fails: damaged bytes go before a human, a peer that is down makes a step due later, an unknown exception is
our fault and temporary: counted, then before a human. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from hub import compose, routing
from hub.errors import Damaged, LostLease, Permanent, StalePlan, Temporary, UncertainDelivery
from hub.message import (
    Deferred,
    Delivery,
    Done,
    Envelope,
    Failed,
    Filing,
    Handover,
    Hold,
    Outcome,
    ParsedMessage,
    Receipt,
    Refusal,
    Thought,
    Uncertain,
)
from hub.ports import Clock, Drafts, Effect, OpenStep, Reader, Ready, Records, Sender, Spool
from hub.raw import Raw

log = logging.getLogger("hub.trip")

# A new version waits for older messages of its mailbox that are still being carried: it looks again soon, since they
# are nearly done, then gives its place to others.
ORDER_LOOKS, ORDER_LOOK_EVERY = 20, 0.1  # seconds
ORDER_RETRY = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True)
class Hub:
    """All that the story needs from the world. Built by `hub.wiring`, by fakes in tests."""

    spool: Spool
    records: Records
    reader: Reader
    sender: Sender
    rulebook: Callable[[], routing.Rulebook]
    letterhead: Callable[[str | None], compose.Letterhead | None]
    new_message_id: Callable[[str], str]  # for an address of ours: `<random@its-domain>`
    clock: Clock
    retry_in: Callable[[int], timedelta]  # after so many attempts
    lease: timedelta
    order_grace: timedelta
    message_most: int  # bytes; a larger message goes before a human unread
    receipt_return_path: Callable[[str], str]  # the MAIL FROM of a receipt, from our address


@dataclass(frozen=True, slots=True)
class Carriage:
    """One message under way: what the wire said of it, its bytes, what the reader understood, and where its large
    documents wait."""

    envelope: Envelope
    raw: Raw
    parsed: ParsedMessage
    drafts: Drafts


async def carry(message_id: str, hub: Hub) -> None:
    """Carry one accepted message as far as it can go today; safe to repeat."""
    envelope = await hub.spool.load(message_id)  # takes a lease
    if envelope is None:
        return
    try:
        async with _lease_kept(message_id, hub):
            await _go(envelope, hub)
    except LostLease:
        log.warning("message %s: another worker carries it now", message_id)
        return
    except StalePlan:
        await hub.spool.rethink(message_id)
    except Damaged as error:
        log.warning("message %s: damaged: %s", message_id, error.private)
        await hub.spool.hold(message_id, Hold(reasons=(routing.reason("unreadable"),), reason="unreadable"))
    except Temporary as error:
        log.warning("message %s: later: %s", message_id, error.private)
        until = hub.clock() + error.retry_in if error.retry_in else None
        await hub.spool.postpone(message_id, type(error).__name__, until)
    except Exception as error:  # an unknown exception is our fault and temporary (house.md, States)
        # The text of a foreign exception may quote what it choked on: only its class and place are logged.
        log.error("message %s: %s at %s", message_id, type(error).__name__, _place(error))
        await hub.spool.postpone(message_id, type(error).__name__)
    finally:
        await hub.spool.yield_lease(message_id)


async def _go(envelope: Envelope, hub: Hub) -> None:
    if envelope.size > hub.message_most:
        reason = routing.reason("too-large")
        await hub.spool.hold(envelope.id, Hold(reasons=(reason,), reason=reason.code))
        return
    raw, rules = await hub.spool.raw(envelope), hub.rulebook()
    drafts = hub.records.drafts()
    try:
        parsed = await hub.reader.read(raw, rules.catalogue.worded, drafts)
        await _go_on(Carriage(envelope, raw, parsed, drafts), rules, hub)
    finally:
        await drafts.discard()


async def _go_on(message: Carriage, rules: routing.Rulebook, hub: Hub) -> None:
    envelope, parsed = message.envelope, message.parsed
    steps = await hub.spool.open_steps(envelope.id)
    if steps is None:  # not thought about yet
        seen = await gather(envelope, parsed, hub.records)
        if routing.waits_for_older(seen):
            if not await _older_are_settled(envelope.id, hub):
                await hub.spool.postpone(envelope.id, "waits for an older message", hub.clock() + ORDER_RETRY, False)
                return
            seen = await gather(envelope, parsed, hub.records)  # with what they brought
        steps = await _planned(message, routing.think(seen, rules), hub)
    for step in steps:
        await perform(step, message, hub)


async def gather(envelope: Envelope, parsed: ParsedMessage, records: Records) -> routing.Seen:
    """What the mind needs: the message, who it could be about, what is already filed."""
    usagers, versions = await records.look_up(routing.identities(parsed), parsed.documents)
    return routing.Seen(envelope=envelope, parsed=parsed, usagers=usagers, versions=versions)


async def _planned(message: Carriage, thought: Thought, hub: Hub) -> tuple[OpenStep, ...]:
    """Save the plan, and in the same transaction do its first deeds as far as they are ours alone."""
    message_id = message.envelope.id
    try:
        return await hub.spool.save_plan(message_id, thought, await _ready(message, thought, hub))
    except (Damaged, Permanent, StalePlan):  # one of the deeds: the plan alone, then each deed says what it meets
        return await hub.spool.save_plan(message_id, thought)


async def _ready(message: Carriage, thought: Thought, hub: Hub) -> Ready:
    envelope = message.envelope
    deeds: dict[int, Effect] = {}
    outgoing_ids: dict[int, str] = {}
    for place, step in enumerate(thought.plan.steps):
        match step:
            case Filing():
                deeds[place] = await _filing(step, message, hub)
                continue
            case Hold():
                deeds[place] = hub.records.holding(envelope.id, step)
                continue
            case Receipt() | Delivery():
                letterhead = hub.letterhead(envelope.mailbox)
                if letterhead is not None:
                    outgoing_ids[place] = hub.new_message_id(letterhead.address)
        break  # what comes after a sending waits for it
    return Ready(deeds=deeds, outgoing_ids=outgoing_ids)


async def _filing(step: Filing, message: Carriage, hub: Hub) -> Effect:
    document = message.parsed.documents[step.document]
    return await hub.records.filing(message.envelope.id, step, document, message.drafts)


async def perform(opened: OpenStep, message: Carriage, hub: Hub) -> Outcome:
    """One deed and its record, in one transaction where the deed is ours (filing, hold)."""
    envelope, record = message.envelope, hub.spool.record
    match opened.step:
        case Filing() as step:
            try:
                return await record(envelope.id, opened.number, await _filing(step, message, hub))
            except Permanent as error:  # the records refuse it for ever: a human decides
                return await record(envelope.id, opened.number, Failed(error.private))
        case Hold() as step:
            return await record(envelope.id, opened.number, hub.records.holding(envelope.id, step))
        case Receipt() | Delivery():
            return await record(envelope.id, opened.number, await _send(opened, message, hub))
        case Refusal():
            return await record(envelope.id, opened.number, Done("refused"))
        case Handover():  # no rule makes one before the DUI is connected
            return await record(envelope.id, opened.number, Failed("no DUI is connected"))


async def _send(opened: OpenStep, message: Carriage, hub: Hub) -> Outcome:
    """At least once, under one Message-ID for ever: the stage is written before the connection is used."""
    envelope = message.envelope
    letterhead = hub.letterhead(envelope.mailbox)
    if letterhead is None or envelope.mailbox is None:
        return Failed("no mailbox to send from")
    outgoing_id = opened.outgoing_id or hub.new_message_id(letterhead.address)
    if not opened.is_staged:
        await hub.spool.stage(envelope.id, opened.number, "sending", outgoing_id)
    return_path, recipient, mail = await _composed(opened.step, message, letterhead, outgoing_id, hub)
    try:
        return Done(await hub.sender.send(envelope.mailbox, return_path, recipient, mail))
    except UncertainDelivery as error:
        return Uncertain(error.private)
    except Permanent as error:
        return Failed(error.private)
    except Temporary as error:
        return Deferred(hub.clock() + (error.retry_in or hub.retry_in(opened.attempts)), error.private)


async def _composed(
    step: object, message: Carriage, letterhead: compose.Letterhead, outgoing_id: str, hub: Hub
) -> tuple[str, str, compose.Mail]:
    """(return path, recipient, mail) of what a sending step sends."""
    at, raw = hub.clock(), message.raw
    match step:
        case Receipt():
            carried = await compose.survey(raw, outgoing_id)
            mail = compose.receipt(message.parsed, raw, carried, step, letterhead, outgoing_id, at)
            return hub.receipt_return_path(letterhead.address), step.recipient, mail
        case Delivery(content="copy"):
            carried = await compose.survey(raw, outgoing_id)
            return "", step.recipient, compose.copy(raw, carried, letterhead, step.recipient, outgoing_id, at)
        case Delivery():
            mail = compose.notice(letterhead, step.recipient, outgoing_id, at, step.reason)
            return "", step.recipient, mail
        case _:
            raise TypeError("this step sends nothing")


async def _older_are_settled(message_id: str, hub: Hub) -> bool:
    for _ in range(ORDER_LOOKS):
        if not await hub.spool.older_open(message_id, hub.order_grace):
            return True
        await asyncio.sleep(ORDER_LOOK_EVERY)
    return False


@asynccontextmanager
async def _lease_kept(message_id: str, hub: Hub) -> AsyncIterator[None]:
    """Renews the lease while the message is carried; a lease lost meanwhile is found by the next write."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(hub.lease.total_seconds() / 3)
            try:
                if not await hub.spool.renew(message_id):
                    return
            except Temporary:  # the database is away: the next turn, or the next write, will tell
                continue

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()


def _place(error: BaseException) -> str:
    """`file:line` where an exception was raised, for the log."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
