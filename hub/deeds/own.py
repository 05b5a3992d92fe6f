"""The deeds that send a mail of the hub's own: receipt, copy, notice, letter.

At least once, under one Message-ID for ever: the stage is written before the connection is used.
"""

from __future__ import annotations

from hub import compose
from hub.deeds.world import Carriage, Hub
from hub.errors import Permanent, Temporary, UncertainDelivery
from hub.message import Deferred, Delivery, Done, Failed, Outcome, Receipt, Uncertain
from hub.ports import OpenStep


async def sent(opened: OpenStep, step: Receipt | Delivery, message: Carriage, hub: Hub) -> Outcome:
    """At least once, under one Message-ID for ever: the stage is written before the connection is used."""
    envelope = message.envelope
    letterhead = hub.letterhead(envelope.mailbox)
    if letterhead is None or envelope.mailbox is None:
        return Failed("no mailbox to send from")
    if isinstance(step, Delivery) and step.content in ("copy", "notice") and leads_outside(step.recipient, hub):
        return Failed("outside the trust space")
    outgoing_id = opened.outgoing_id or hub.new_message_id(letterhead.address)
    if not opened.is_staged:
        await hub.spool.stage(envelope.id, opened.number, "sending", outgoing_id)
    return_path, recipient, mail = await _written(step, message, letterhead, outgoing_id, hub)
    try:
        return Done(await hub.sender.send(envelope.mailbox, return_path, recipient, mail))
    except UncertainDelivery as error:
        return Uncertain(error.private)
    except Permanent as error:
        return Failed(error.private)
    except Temporary as error:
        return Deferred(hub.clock() + (error.retry_in or hub.retry_in(opened.attempts)), error.private)


def leads_outside(recipient: str, hub: Hub) -> bool:
    """Looked at once more when something is about to leave: the list may have changed since it was planned (RH-71)."""
    return not hub.rulebook().policy.members.has(recipient)


async def _answered(step: Delivery, message: Carriage, hub: Hub) -> str | None:
    """The Message-ID of what its author wrote, so that the letter stands beside it in the mail program."""
    sending = await hub.records.sending(step.sending) if step.sending and not message.envelope.is_submission else None
    return message.parsed.message_id if sending is None else sending.submitted_as


async def _written(
    step: Receipt | Delivery, message: Carriage, letterhead: compose.Letterhead, outgoing_id: str, hub: Hub
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
        case Delivery(content="letter"):
            answers = await _answered(step, message, hub)
            mail = compose.letter(letterhead, step.recipient, outgoing_id, at, step.subject, step.text, answers)
            return "", step.recipient, mail
        case _:
            return "", step.recipient, compose.notice(letterhead, step.recipient, outgoing_id, at, step.reason)
