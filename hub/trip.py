"""ONE MESSAGE'S TRIP, top to bottom. Read this file first.

`carry` takes an accepted message as far as it can go today and may be repeated at any time: thinking touches
nothing, and each deed is recorded in one transaction (docs/states.md says what a crash leaves at each line).
What fails: damaged bytes go before a human, a peer that is down makes a step due later, an unknown exception is
our fault and temporary: counted, then before a human. Nothing is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

from hub import deeds, routing
from hub.deeds import Carriage, Hub, perform
from hub.errors import Awaited, Damaged, LostLease, Permanent, StalePlan, Temporary, place_of
from hub.message import (
    Answer,
    Delivery,
    Envelope,
    Filing,
    Hold,
    Identity,
    Match,
    News,
    ParsedMessage,
    Receipt,
    Thought,
    Usager,
)
from hub.ports import Effect, OpenStep, Ready, Records, Spool

__all__ = ["Carriage", "Hub", "carry", "gather", "think"]

log = logging.getLogger("hub.trip")

# A new version waits for older messages of its mailbox that are still being carried: it looks again soon, since they
# are nearly done, then gives its place to others.
ORDER_LOOKS, ORDER_LOOK_EVERY = 20, 0.1  # seconds
ORDER_RETRY = timedelta(seconds=5)


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
        await hub.spool.postpone(message_id, type(error).__name__, until, not isinstance(error, Awaited))
    except Exception as error:  # an unknown exception is our fault and temporary (house.md, States)
        # The text of a foreign exception may quote what it choked on: only its class and place are logged.
        log.error("message %s: %s at %s", message_id, type(error).__name__, place_of(error))
        await hub.spool.postpone(message_id, type(error).__name__)
    finally:
        await hub.spool.yield_lease(message_id)


async def _go(envelope: Envelope, hub: Hub) -> None:
    if envelope.size > hub.message_most:
        reason = routing.reason("too-large")
        await hub.spool.hold(envelope.id, Hold(reasons=(reason,), reason=reason.code))
        return
    raw, rules = await hub.spool.raw(envelope), hub.rulebook()
    drafts = hub.records.drafts(in_memory=envelope.is_submission)  # what is to be sent is composed from them
    try:
        clues = envelope.is_submission
        parsed = await hub.reader.read(raw, rules.catalogue.worded, drafts, envelope.received_at, clues)
        await _go_on(Carriage(envelope, raw, parsed, drafts), rules, hub)
    finally:
        await drafts.discard()


async def _go_on(message: Carriage, rules: routing.Rulebook, hub: Hub) -> None:
    envelope, parsed = message.envelope, message.parsed
    steps = await hub.spool.open_steps(envelope.id)
    if steps is None:  # not thought about yet
        suffices = None if envelope.is_submission else routing.certain_alone(rules, envelope)
        seen = await gather(envelope, parsed, hub.records, hub.spool, suffices)
        if routing.waits_for_older(seen):
            if not await _older_are_settled(envelope.id, hub):
                await hub.spool.postpone(envelope.id, "waits for an older message", hub.clock() + ORDER_RETRY, False)
                return
            seen = await gather(envelope, parsed, hub.records, hub.spool, suffices)  # with what they brought
        seen = await deeds.with_roles(seen, rules, hub.records, hub.clock())
        steps = await _planned(message, think(seen, rules), hub)
    for step in steps:
        await perform(step, message, hub)


async def gather(
    envelope: Envelope,
    parsed: ParsedMessage,
    records: Records,
    spool: Spool | None = None,
    suffices: Callable[[Identity, Usager], bool] | None = None,
) -> routing.Seen:
    """What the mind needs: the message, who it could be about (nobody else where one usager `suffices`), what is
    already filed, which sending or letter of ours it answers (without `spool` no letter is looked for)."""
    usagers, versions = await records.look_up(routing.identities(parsed), parsed.documents, suffices)
    seen = routing.Seen(envelope=envelope, parsed=parsed, usagers=usagers, versions=versions)
    if envelope.is_submission:
        held, answer = await _answer(envelope, parsed, spool) if spool is not None else (None, None)
        asked = routing.asked_of(parsed) if answer is None else routing.asked_by(answer)
        return replace(seen, held=held, answer=answer, subjects=await records.subjects(asked))
    if keys := routing.report_keys(parsed):
        return replace(seen, sendings=await records.find(keys))
    return seen


async def _answer(
    envelope: Envelope, parsed: ParsedMessage, spool: Spool
) -> tuple[Match, Answer | None] | tuple[None, None]:
    """(what the hold shows, what its author answers to the letter about it), if this is such an answer."""
    letters = await spool.letters(routing.answered_ids(parsed))
    if not letters:
        return None, None
    thought = await spool.thought(letters[0].message)
    held = thought.match if thought is not None else Match()
    return held, routing.answer_of(parsed, envelope, letters, held)


def think(seen: routing.Seen, rules: routing.Rulebook) -> Thought:
    return routing.think_submission(seen, rules) if seen.envelope.is_submission else routing.think(seen, rules)


async def _planned(message: Carriage, thought: Thought, hub: Hub) -> tuple[OpenStep, ...]:
    """Save the plan, and in the same transaction do its first deeds as far as they are ours alone."""
    message_id, thought = message.envelope.id, replace(thought, verdict=message.parsed.verdict)
    try:
        return await hub.spool.save_plan(message_id, thought, await _ready(message, thought, hub))
    except (Damaged, Permanent, StalePlan):  # one of the deeds: the plan alone, then each deed says what it meets
        return await hub.spool.save_plan(message_id, thought)


async def _ready(message: Carriage, thought: Thought, hub: Hub) -> Ready:
    envelope = message.envelope
    ready: dict[int, Effect] = {}
    outgoing_ids: dict[int, str] = {}
    for place, step in enumerate(thought.plan.steps):
        match step:
            case Filing():
                ready[place] = await deeds.filing(step, message, hub)
                continue
            case Hold():
                ready[place] = hub.records.holding(envelope.id, step)
                continue
            case News():
                ready[place] = deeds.telling(step, message, hub)
                continue
            case Receipt() | Delivery(content="copy" | "notice" | "letter"):
                letterhead = hub.letterhead(envelope.mailbox)
                if letterhead is not None:
                    outgoing_ids[place] = hub.new_message_id(letterhead.address)
        break  # what comes after a sending waits for it
    return Ready(deeds=ready, outgoing_ids=outgoing_ids)


async def _older_are_settled(message_id: str, hub: Hub) -> bool:
    for _ in range(ORDER_LOOKS):
        if not await hub.spool.older_open(message_id, hub.order_grace):
            return True
        await asyncio.sleep(ORDER_LOOK_EVERY)
    return False


@asynccontextmanager
async def _lease_kept(message_id: str, hub: Hub) -> AsyncIterator[None]:
    """Renews the lease while the message is carried; a lease lost meanwhile is found by the next write."""
    every = hub.lease.total_seconds() / 3

    async def keep() -> None:
        while True:
            with contextlib.suppress(Temporary):  # the database is away: the next turn, or the next write, will tell
                if not await hub.spool.renew(message_id):
                    return
            await asyncio.sleep(every)

    keepers: list[asyncio.Task[None]] = []
    # Most messages are carried long before: no task for those.
    first = asyncio.get_running_loop().call_later(every, lambda: keepers.append(asyncio.create_task(keep())))
    try:
        yield
    finally:
        first.cancel()
        for keeper in keepers:
            keeper.cancel()
