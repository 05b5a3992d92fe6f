"""The deeds that send a composed mail: to each recipient, a copy of it, and the letter when it did not leave.

What became of it goes on the ladder in the transaction that records the step. At least once, under the one Message-ID
of the mail; never again by itself to somebody who may have it (docs/adr/0016).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta

from hub import compose, receipts, routing
from hub.deeds.composing import LEFT, composed
from hub.deeds.own import leads_outside, sent
from hub.deeds.world import Carriage, Hub
from hub.errors import Damaged, Permanent, Temporary, UncertainDelivery
from hub.message import Deferred, Delivery, Done, Failed, News, Outcome, Rung, Sending, SentTo, Uncertain
from hub.ports import DsnAsked, Effect, OpenStep
from hub.receipts.failures import OUTSIDE
from hub.sentcopies import has_left

log = logging.getLogger("hub.deeds")

NOT_SENT = (Rung.FAILED, Rung.UNCERTAIN)


async def dispatched(opened: OpenStep, step: Delivery, message: Carriage, hub: Hub) -> Outcome | Effect:
    """To one recipient, under the Message-ID that the mail has for ever; what became of it goes on the ladder."""
    sending = await hub.records.sending(step.sending)
    stands = _stands(sending, step.recipient)
    if sending is None or stands is None:
        return Failed("the mail was not composed")
    if stands.rung in LEFT:  # an answer overtook us, or it left by an earlier plan: no twin for who has it
        return Done("it left already")
    if (opened.is_uncertain or _was_killed(opened)) and await hub.copies.prove(sending):
        news = News(sending=sending.id, recipient=step.recipient, rung=Rung.SUBMITTED, source="imap")
        return hub.records.telling(news, "", hub.clock(), receipts.heard, Done("the operator's own copy is there"))
    if opened.is_uncertain:
        return _without_a_sign(opened, sending, stands, hub)
    if not opened.is_staged:
        await hub.spool.stage(message.envelope.id, opened.number, "sending", sending.message_id)
    outcome, rung, status = await _handed_over(opened, sending, step.recipient, hub)
    if rung is None:
        return outcome
    news = News(sending=sending.id, recipient=step.recipient, rung=rung, source="smtp", status=status)
    return hub.records.telling(news, "", hub.clock(), receipts.heard, outcome)


def _was_killed(opened: OpenStep) -> bool:
    """Begun, and nothing written of it: a worker was gone in the middle. (After a try that was answered nobody needs to
    look: the operator said that it did not take it.)"""
    return bool(opened.stage) and not opened.attempts


def _without_a_sign(opened: OpenStep, sending: Sending, stands: SentTo, hub: Hub) -> Outcome:
    """It waits while somebody may still tell; then a human is asked. Never sent again by itself."""
    if hub.copies.can_prove(sending) and _is_open(stands, hub) and not opened.is_last_try:
        return Uncertain("no sign yet that it arrived")
    return Failed("uncertain: no sign that it arrived")


async def _handed_over(
    opened: OpenStep, sending: Sending, recipient: str, hub: Hub
) -> tuple[Outcome, Rung | None, str]:
    """(outcome, rung, status): no rung when there is nothing to tell yet."""
    letterhead = hub.letterhead(sending.mailbox)
    if letterhead is None:
        return Failed("no mailbox to send from"), Rung.FAILED, ""
    if leads_outside(recipient, hub):
        return Failed("outside the trust space"), Rung.FAILED, OUTSIDE
    mail = await compose.as_it_is(await hub.blobs.open(sending.sha256))
    try:
        ask = DsnAsked(envelope_id=receipts.envelope_id(sending, recipient))
        answer = await hub.sender.send(sending.mailbox, letterhead.address, recipient, mail, ask)
    except UncertainDelivery as error:
        # Where the operator files a copy itself, that is looked for soon and often; else only a report can tell.
        until = None if hub.copies.can_prove(sending) else hub.clock() + hub.evidence_within
        return Uncertain(error.private, until), Rung.UNCERTAIN, ""
    except Permanent as error:
        return Failed(error.private), Rung.FAILED, receipts.status_in(error.private)
    except Temporary as error:
        if opened.is_last_try:
            return Failed(f"gave up: {error.private}"), Rung.FAILED, receipts.status_in(error.private) or "4.4.7"
        return Deferred(hub.clock() + (error.retry_in or hub.retry_in(opened.attempts)), error.private), None, ""
    return Done(answer), Rung.SUBMITTED, ""


async def copied(opened: OpenStep, step: Delivery, hub: Hub) -> Outcome:
    """A copy into the mailbox's folder of sent mails. The mail left whatever becomes of it: it fails nothing, and where
    a human is to be asked about the sending itself, that does not wait for it."""
    sending = await hub.records.sending(step.sending)
    if sending is None:
        return Done("no copy: the mail was not composed")
    later = hub.clock() + hub.retry_in(opened.attempts)
    if not any(map(has_left, sending.sent_to)):
        if any(_is_open(one, hub) for one in sending.sent_to) and not opened.is_last_try:
            return Deferred(later, "not sent yet")
        return Done("no copy: the mail did not leave")
    is_last_try = opened.is_last_try or any(one.rung in NOT_SENT and not _is_open(one, hub) for one in sending.sent_to)
    try:
        return Done(await hub.copies.file(sending))
    except (Permanent, Damaged) as error:
        why = error.private
    except Temporary as error:
        why = error.private
        if not is_last_try:
            return Deferred(max(later, hub.clock() + (error.retry_in or timedelta())), why)
    except Exception as error:  # ours, and temporary; but not to be counted against what is still to be sent
        why = type(error).__name__
        if not is_last_try:
            return Deferred(later, why)
    log.warning("mail %s: no copy in the folder of sent mails: %s", sending.message_id, why)
    return Done(f"no copy: {why}")


async def outcome_told(opened: OpenStep, step: Delivery, message: Carriage, hub: Hub) -> Outcome:
    """A letter to the author when the mail could not be made (`about` empty), or did not leave for `about`."""
    sending = await hub.records.sending(step.sending)
    if not step.about:
        letter = None if sending is not None else await _why_not_made(step, message, hub)
    else:
        stands = _stands(sending, step.about)
        if stands is None or stands.report:  # not made, which is told once; or a report came, and its letter went
            return Done("nothing to tell")
        if _is_open(stands, hub) and not opened.is_last_try:
            return Deferred(hub.clock() + hub.retry_in(opened.attempts), "not known yet")
        letter = routing.letters.not_sent(sending, stands) if stands.rung in NOT_SENT else None
    if letter is None:
        return Done("nothing to tell")
    return await sent(opened, replace(step, content="letter", subject=letter.subject, text=letter.text), message, hub)


def _is_open(stands: SentTo, hub: Hub) -> bool:
    """Whether it may still leave, or a sign may still come that it did."""
    if stands.rung is Rung.UNCERTAIN:
        return hub.clock() - stands.at < hub.evidence_within
    return stands.rung is Rung.PREPARED


async def _why_not_made(step: Delivery, message: Carriage, hub: Hub) -> routing.letters.Letter | None:
    """Made once more: what stands in the way is the same, and only its code was kept."""
    if step.composition is None:
        return None
    try:
        await composed(step.composition, message, hub)
    except Permanent as error:
        return routing.letters.not_made(error.public)
    return None


def _stands(sending: Sending | None, recipient: str) -> SentTo | None:
    listed = sending.sent_to if sending is not None else ()
    return next((one for one in listed if one.recipient.casefold() == recipient.casefold()), None)
