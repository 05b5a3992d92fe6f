"""The deeds of a plan: how each step is done, and what is written of it.

In: a step that is due and the message under way. Out: its outcome, recorded in one transaction with the deed when the
deed is ours alone (filing, hold, composition, news). A sending is staged before the connection is used, and goes out
at least once under one Message-ID for ever. Nothing is decided here: the plan is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from hub import compose, receipts, routing, smime
from hub.cda import Codes
from hub.errors import Permanent, Temporary, UncertainDelivery
from hub.message import (
    Composition,
    Deferred,
    Delivery,
    Done,
    Envelope,
    Failed,
    Filing,
    Handover,
    Hold,
    News,
    Outcome,
    ParsedMessage,
    Reason,
    Receipt,
    Refusal,
    Release,
    Rung,
    Sending,
    SentTo,
    Uncertain,
)
from hub.pdf import Archived
from hub.ports import (
    Blobs,
    Clock,
    Drafts,
    DsnAsked,
    Effect,
    OpenStep,
    Reader,
    Records,
    Sender,
    Spool,
)
from hub.raw import Raw, joined

log = logging.getLogger("hub.deeds")

NO_WAY_OUT = "Cette boîte ne figure pas dans les réglages du hub : prévenez son administrateur."
NO_SIGNATURE = (
    "Cet envoi doit être signé, et le hub n'a pas de certificat de signature valable pour votre boîte. Rien n'est "
    "parti : prévenez l'administrateur du hub."
)
NO_USAGER = "L'usager n'existe plus dans le hub. Rien n'est parti : vérifiez le numéro de dossier, puis recommencez."
NOT_SENT = (Rung.FAILED, Rung.UNCERTAIN)


class Papers(Protocol):
    """Opens a PDF that somebody sent, out of harm's way, for its copy (`hub.pdf.archival`)."""

    async def archival(self, raw: bytes, at: datetime) -> Archived:
        """Never raises for what the PDF holds: one that kills its process is given back as it is, with the reason.
        Raises Temporary when no process can be started."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hub:
    """All that the story needs from the world. Built by `hub.wiring`, by fakes in tests."""

    spool: Spool
    records: Records
    blobs: Blobs
    reader: Reader
    papers: Papers
    sender: Sender
    rulebook: Callable[[], routing.Rulebook]
    letterhead: Callable[[str | None], compose.Letterhead | None]
    writing_as: Callable[[str | None], compose.WritingAs | None]
    signer: Callable[[str | None, datetime], smime.Signer | None]  # who signs what leaves a mailbox, if anybody
    codes: Codes
    new_message_id: Callable[[str], str]  # for an address of ours: `<random@its-domain>`
    clock: Clock
    retry_in: Callable[[int], timedelta]  # after so many attempts
    lease: timedelta
    order_grace: timedelta
    evidence_within: timedelta  # how long an uncertain delivery waits for a sign that it arrived
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
        case Receipt() | Delivery() as step:
            return await sent(opened, step, message, hub)
        case Refusal():
            return Done("refused")
        case Handover():  # no rule makes one before the DUI is connected
            return Failed("no DUI is connected")


async def filing(step: Filing, message: Carriage, hub: Hub) -> Effect:
    document = message.parsed.documents[step.document]
    return await hub.records.filing(message.envelope.id, step, document, message.drafts)


# --- what somebody of ours wants sent -------------------------------------------------------------------------------


async def composing(step: Composition, message: Carriage, hub: Hub) -> Effect:
    """Makes the mail durable, then gives the effect that writes it down with its recipients. Made once: a mail that is
    there already keeps its bytes. Raises Permanent, whose public text says what its author must correct."""
    if await hub.records.sending(step.sending) is not None:
        return _already
    made = await _composed(step, message, hub)
    at = made.moment.at
    blob = await hub.blobs.put(made.raw)
    kind = next((kind for kind in step.kinds if kind is not None), None)
    sending = Sending(
        id=step.sending,
        message=message.envelope.id,
        mailbox=message.envelope.mailbox or "",
        message_id=made.moment.message_id,
        composed_at=at,
        sha256=blob.sha256,
        size=blob.size,
        by=step.by,
        usager_id=step.usager_id,
        kind=kind,
        urgency=hub.rulebook().catalogue.urgency(kind) if step.documents else "",
        wants_receipt=bool(message.parsed.receipt_to),
        sent_to=tuple(SentTo(recipient=one, rung=Rung.PREPARED, at=at) for one in step.recipients),
    )
    return hub.records.composing(sending, blob)


def _already(_connection: object) -> Outcome:
    return Done("already composed")


@dataclass(frozen=True, slots=True)
class _Made:
    moment: compose.Moment
    raw: bytes


async def _composed(step: Composition, message: Carriage, hub: Hub) -> _Made:
    envelope, parsed = message.envelope, message.parsed
    writing, at = hub.writing_as(envelope.mailbox), hub.clock()
    if writing is None:
        raise Permanent("no mailbox to send from", NO_WAY_OUT)
    moment = compose.Moment(at=at, message_id=hub.new_message_id(writing.letterhead.address))
    signer = None if step.signed == "never" else hub.signer(envelope.mailbox, at)
    if signer is None and step.signed == "always":
        raise Permanent("no signing certificate, and the rule wants a signature", NO_SIGNATURE)
    if step.usager_id is None:
        subject, raw = routing.untagged(parsed.subject, hub.rulebook().catalogue), await joined(message.raw)
        mail = compose.ordinary_mail(step, parsed, raw, subject, writing, hub.codes, moment, signer is not None)
    else:
        mail = await _document_mail(step, message, writing, moment, hub)
    return _Made(moment, await asyncio.to_thread(_signed, mail, signer, moment, step.signed == "always"))


async def _document_mail(
    step: Composition, message: Carriage, writing: compose.WritingAs, moment: compose.Moment, hub: Hub
) -> compose.Dispatched:
    usager = await hub.records.usager(step.usager_id or "")
    if usager is None:
        raise Permanent("no such usager", NO_USAGER)
    catalogue, parsed = hub.rulebook().catalogue, message.parsed
    bodies = tuple([await _body(message, number) for number in step.documents])
    pieces = compose.pieces_of(step, parsed, bodies, usager, writing, catalogue, hub.codes, moment.at)
    copies = {raw: await hub.papers.archival(raw, moment.at) for raw in bodies if raw.startswith(b"%PDF-")}

    def archived(raw: bytes, at: datetime) -> Archived:
        return copies[raw]

    mail, _ = compose.document_mail(step, parsed, pieces, archived, writing, catalogue, hub.codes, moment)
    return mail


async def _body(message: Carriage, number: int) -> bytes:
    """The bytes of a document: with the message, or in its draft when they are large."""
    document = message.parsed.documents[number]
    return message.drafts.held(document.sha256) or document.raw


def _signed(mail: compose.Dispatched, signer: smime.Signer | None, moment: compose.Moment, must: bool) -> bytes:
    if signer is None:
        return mail.joined()
    try:
        signature = smime.sign(mail.entity, signer, moment.at, compose.boundary_of(moment.message_id))
    except smime.NotCanonical as error:
        if must:
            raise Permanent(f"cannot be signed: {error.why}", NO_SIGNATURE) from None
        log.warning("mail %s goes unsigned: %s", moment.message_id, error.why)
        return mail.joined()
    return mail.joined(signature)


async def dispatched(opened: OpenStep, step: Delivery, message: Carriage, hub: Hub) -> Outcome | Effect:
    """To one recipient, under the Message-ID that the mail has for ever; what became of it goes on the ladder."""
    sending = await hub.records.sending(step.sending)
    stands = _stands(sending, step.recipient)
    if sending is None or stands is None:
        return Failed("the mail was not composed")
    if stands.rung in receipts.ARRIVED:  # an answer overtook us: it is there
        return Done("it arrived")
    if opened.is_uncertain:
        return Failed("uncertain: no sign that it arrived")
    if not opened.is_staged:
        await hub.spool.stage(message.envelope.id, opened.number, "sending", sending.message_id)
    outcome, rung, status = await _handed_over(opened, sending, step.recipient, hub)
    if rung is None:
        return outcome
    news = News(sending=sending.id, recipient=step.recipient, rung=rung, source="smtp", status=status)
    return hub.records.telling(news, "", hub.clock(), receipts.heard, outcome)


async def _handed_over(
    opened: OpenStep, sending: Sending, recipient: str, hub: Hub
) -> tuple[Outcome, Rung | None, str]:
    """(outcome, rung, status): no rung when there is nothing to tell yet."""
    letterhead = hub.letterhead(sending.mailbox)
    if letterhead is None:
        return Failed("no mailbox to send from"), Rung.FAILED, ""
    mail = await compose.as_it_is(await hub.blobs.open(sending.sha256))
    try:
        ask = DsnAsked(envelope_id=receipts.envelope_id(sending, recipient))
        answer = await hub.sender.send(sending.mailbox, letterhead.address, recipient, mail, ask)
    except UncertainDelivery as error:
        return Uncertain(error.private, hub.clock() + hub.evidence_within), Rung.UNCERTAIN, ""
    except Permanent as error:
        return Failed(error.private), Rung.FAILED, receipts.status_in(error.private)
    except Temporary as error:
        if opened.is_last_try:
            return Failed(f"gave up: {error.private}"), Rung.FAILED, receipts.status_in(error.private) or "4.4.7"
        return Deferred(hub.clock() + (error.retry_in or hub.retry_in(opened.attempts)), error.private), None, ""
    return Done(answer), Rung.SUBMITTED, ""


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
        await _composed(step.composition, message, hub)
    except Permanent as error:
        return routing.letters.not_made(error.public)
    return None


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
        thought = routing.think_submission(seen, rules, chosen=step.usager_id, by=step.by)
    closing = hub.records.closing(step.message, step.by, "filed" if step.usager_id else "dismissed")
    try:
        await hub.spool.release(step.message, thought, step.by, closing)
    except Permanent:
        return Done("it no longer waited")
    return Done("released")


def _stands(sending: Sending | None, recipient: str) -> SentTo | None:
    listed = sending.sent_to if sending is not None else ()
    return next((one for one in listed if one.recipient.casefold() == recipient.casefold()), None)


def telling(step: News, message: Carriage, hub: Hub) -> Effect:
    """What a report said, on the ladder of the recipient."""
    return hub.records.telling(step, message.envelope.id, hub.clock(), receipts.heard)


# --- mails of the hub's own -----------------------------------------------------------------------------------------


async def sent(opened: OpenStep, step: Receipt | Delivery, message: Carriage, hub: Hub) -> Outcome:
    """At least once, under one Message-ID for ever: the stage is written before the connection is used."""
    envelope = message.envelope
    letterhead = hub.letterhead(envelope.mailbox)
    if letterhead is None or envelope.mailbox is None:
        return Failed("no mailbox to send from")
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
            mail = compose.letter(
                letterhead, step.recipient, outgoing_id, at, step.subject, step.text, message.parsed.message_id
            )
            return "", step.recipient, mail
        case _:
            return "", step.recipient, compose.notice(letterhead, step.recipient, outgoing_id, at, step.reason)
