"""The deed of a `Composition`: the conformant, signed mail of a submission, made once and kept.

In: the step and the submission as it was read. Out: the effect that writes the mail down with its recipients; its bytes
are durable by then, and never change. Raises Permanent, whose public text says what its author must correct.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.engine import Connection

from hub import compose, receipts, routing, smime
from hub.deeds.world import Carriage, Hub
from hub.errors import Permanent
from hub.message import Composition, Done, Outcome, Reason, Rung, Sending, SentTo, Usager
from hub.pdf import Archived
from hub.ports import Effect
from hub.raw import joined

log = logging.getLogger("hub.deeds")

LEFT = frozenset({Rung.SUBMITTED, Rung.DELAYED, *receipts.ARRIVED})  # the operator has it, and goes on with it

NO_WAY_OUT = "Cette boîte ne figure pas dans les réglages du hub : prévenez son administrateur."
NO_SIGNATURE = (
    "Cet envoi doit être signé, et le hub n'a pas de certificat de signature valable pour votre boîte. Rien n'est "
    "parti : prévenez l'administrateur du hub."
)
NO_USAGER = "L'usager n'existe plus dans le hub. Rien n'est parti : vérifiez le numéro de dossier, puis recommencez."


async def composing(step: Composition, message: Carriage, hub: Hub) -> Effect:
    """Makes the mail durable, then gives the effect that writes it down with its recipients. Made once: a mail that is
    there already keeps its bytes. Raises Permanent, whose public text says what its author must correct."""
    if await hub.records.sending(step.sending) is not None:
        return _already
    made = await composed(step, message, hub)
    at = made.moment.at.astimezone(UTC)
    blob = await hub.blobs.put(made.raw)
    kind = next((kind for kind in step.kinds if kind is not None), None)
    left = await _left_before(step, message, hub)
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
        urgency=hub.rulebook().catalogue.urgency(kind) if step.kinds else "",
        wants_receipt=bool(message.parsed.receipt_to),
        record_number=made.usager.record_number if made.usager is not None else None,
        submitted_as=message.parsed.message_id,
        sent_to=tuple(
            left.get(one.casefold(), SentTo(recipient=one, rung=Rung.PREPARED, at=at)) for one in step.recipients
        ),
    )
    return _with_remarks(hub.records.composing(sending, blob), made.remarks)


async def _left_before(step: Composition, message: Carriage, hub: Hub) -> dict[str, SentTo]:
    """Who has the same submission, about the same usager, by an earlier mail: thought about again it may be another
    mail, when a role leads to somebody else by then. They stand where they are, and get no twin."""
    made = await hub.records.sendings_of(message.envelope.id)
    about_the_same = (one for one in made if one.usager_id == step.usager_id)
    return {to.recipient.casefold(): to for one in about_the_same for to in one.sent_to if to.rung in LEFT}


def _with_remarks(effect: Effect, remarks: tuple[str, ...]) -> Effect:
    """What there is to say of the copies stands beside the step (`hub show`)."""

    def told(connection: Connection) -> Outcome:
        done = effect(connection)
        return Done(f"{done.answer} ({', '.join(remarks)})") if remarks and isinstance(done, Done) else done

    return told


def _already(_connection: object) -> Outcome:
    return Done("already composed")


@dataclass(frozen=True, slots=True)
class Made:
    """`remarks` are codes."""

    moment: compose.Moment
    raw: bytes
    usager: Usager | None = None
    remarks: tuple[str, ...] = ()


async def composed(step: Composition, message: Carriage, hub: Hub) -> Made:
    envelope, parsed = message.envelope, message.parsed
    writing, at = hub.writing_as(envelope.mailbox), hub.clock()
    if writing is None:
        raise Permanent("no mailbox to send from", NO_WAY_OUT)
    # People read this time, in the copy and in the names of files: it is that of the site.
    moment = compose.Moment(
        at=at.astimezone(hub.rulebook().policy.zone), message_id=hub.new_message_id(writing.letterhead.address)
    )
    signer = None if step.signed == "never" else hub.signer(envelope.mailbox, at)
    if signer is None and step.signed == "always":
        raise Permanent("no signing certificate, and the rule wants a signature", NO_SIGNATURE)
    usager: Usager | None = None
    remarks: tuple[Reason, ...] = ()
    if step.usager_id is None:
        subject, raw = routing.untagged(parsed.subject, hub.rulebook().catalogue), await joined(message.raw)
        mail = compose.ordinary_mail(step, parsed, raw, subject, writing, hub.codes, moment, signer is not None)
    else:
        usager = await hub.records.usager(step.usager_id)
        if usager is None:
            raise Permanent("no such usager", NO_USAGER)
        mail, remarks = await _document_mail(step, message, usager, writing, moment, hub)
    signed = await asyncio.to_thread(_signed, mail, signer, moment, step.signed == "always")
    return Made(moment, signed, usager, tuple(remark.code for remark in remarks))


async def _document_mail(
    step: Composition,
    message: Carriage,
    usager: Usager,
    writing: compose.WritingAs,
    moment: compose.Moment,
    hub: Hub,
) -> tuple[compose.Dispatched, tuple[Reason, ...]]:
    catalogue, parsed = hub.rulebook().catalogue, message.parsed
    bodies = tuple([await _body(message, number) for number in step.documents])
    pieces = compose.pieces_of(step, parsed, bodies, usager, writing, catalogue, hub.codes, moment.at)
    copies = {raw: await hub.papers.archival(raw, moment.at) for raw in bodies if compose.is_pdf(raw)}

    def archived(raw: bytes, at: datetime) -> Archived:
        return copies[raw]

    said = routing.untagged(parsed.subject, catalogue)
    return compose.document_mail(step, parsed, pieces, archived, writing, catalogue, hub.codes, moment, said)


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
