"""What somebody of ours submitted, made into the pieces of a conformant mail, and into the mail.

In: the submission as it was read, whose it is, and as whom the establishment writes (`WritingAs`). Out: `pieces_of` the
documents to be written, `document_mail` and `ordinary_mail` the mail itself, before its signature. Pure: ids and times
are given; same input, same bytes. Raises Unwritable and Undispatchable with what the author must correct.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.cda import Codes
from hub.cda.writing import Guardian, Lot, PdfBody, Piece, Product, Signatory, TextBody
from hub.compose.dispatch import Dispatched, MailParts, dispatch, must_fit
from hub.compose.headers import one_line
from hub.compose.letter import Letterhead
from hub.compose.naming import Discretion, discretion_for, type_code_of
from hub.compose.packing import pack
from hub.compose.passed import canonical, entity_of
from hub.message import Composition, ParsedMessage, Reason, Usager
from hub.pdf import Archived, Typefaces
from hub.routing import Catalogue

TITLE_MOST = 150  # characters of a title in the metadata (XDS: 128 bytes are sure, labels are shorter)
OURSELVES = Product()


@dataclass(frozen=True, slots=True, kw_only=True)
class WritingAs:
    """As whom an establishment sends what its people write: the mailbox, the author and the guardian in the CDA header,
    the program, where a name may not stand, what the operator takes (`size_most`, encoded bytes)."""

    letterhead: Letterhead
    author: Signatory
    faces: Typefaces
    size_most: int
    guardian: Guardian | None = None
    product: Product = OURSELVES
    discretion: Discretion = Discretion.SUBJECT
    embeds_the_copy: bool = False
    asks_receipt: bool = True
    reply_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When a mail is made, and under which Message-ID."""

    at: datetime
    message_id: str


def pieces_of(
    step: Composition,
    parsed: ParsedMessage,
    bodies: tuple[bytes, ...],
    usager: Usager,
    writing: WritingAs,
    catalogue: Catalogue,
    codes: Codes,
    at: datetime,
) -> tuple[Piece, ...]:
    """One for each document of the step, whose bytes are `bodies` in that order; without any, the words of the mail are
    the document."""
    kinds = step.kinds or (None,)
    contents = tuple(PdfBody(raw) if is_pdf(raw) else TextBody(raw.decode("utf-8", "replace")) for raw in bodies)
    pieces = []
    for number, body in enumerate(contents or (TextBody(parsed.body),)):
        kind = kinds[number]
        type_code = type_code_of(kind, catalogue, codes)
        label = codes.label(type_code.system, type_code.code) or type_code.label
        title = catalogue.label(kind) if kind is not None else label
        pieces.append(
            Piece(
                type_code=type_code,
                title=title[:TITLE_MOST],
                body=body,
                created_at=at,
                unique_id=_oid(step.sending, f"document {number}"),
                set_id=_oid(step.sending, f"set {number}"),
                usager=usager,
                authors=(writing.author,),
                kind=kind,
                guardians=(writing.guardian,) if writing.guardian is not None else (),
            )
        )
    return tuple(pieces)


def document_mail(
    step: Composition,
    parsed: ParsedMessage,
    pieces: tuple[Piece, ...],
    archived: Callable[[bytes, datetime], Archived],
    writing: WritingAs,
    catalogue: Catalogue,
    codes: Codes,
    moment: Moment,
    subject: str = "",
) -> tuple[Dispatched, tuple[Reason, ...]]:
    """The mail, and what its author is to be told of it. `archived` gives the PDF/A copy of a PDF; `subject` is what
    she wrote there for the reader: the subject of the mail has its own rule, so it stands above her words."""
    known = [found for piece in pieces if (found := catalogue.kinds.get(piece.kind or "")) is not None]
    contents = [kind.content for kind in known] if len(known) == len(pieces) else []
    discretion = discretion_for(contents, writing.discretion)
    lot = Lot(unique_id=_oid(step.sending, "lot"), sent_at=moment.at, sender=writing.author, product=writing.product)
    packed = pack(pieces, lot, codes, writing.faces, discretion, writing.embeds_the_copy, archived)
    parts = MailParts(
        **_common(step, parsed, writing, moment),
        text=_with_subject(subject, parsed.body) if step.documents else "",
        archive=packed.archive,
        files=packed.files,
        record_number=pieces[0].usager.record_number,
        discretion=discretion,
    )
    return dispatch(parts, codes), packed.remarks


def ordinary_mail(
    step: Composition,
    parsed: ParsedMessage,
    raw: bytes,
    subject: str,
    writing: WritingAs,
    codes: Codes,
    moment: Moment,
    will_be_signed: bool,
) -> Dispatched:
    """A mail without document and without usager: her own words and files, headers of ours. What her program signed
    goes as it is."""
    entity = entity_of(raw)
    if will_be_signed and parsed.signature.form == "none":
        entity = canonical(entity)
    must_fit(len(entity), writing.size_most)
    parts = MailParts(**_common(step, parsed, writing, moment), text=parsed.body, subject=subject)
    return Dispatched(dispatch(parts, codes).outer, entity)


def _with_subject(subject: str, body: str) -> str:
    said = one_line(subject)
    return f"Objet : {said}\n\n{body}" if said else body


def boundary_of(message_id: str) -> str:
    """Of the signature's multipart: it stands in no base64 and no quoted-printable."""
    return "=_sig_" + hashlib.sha256(message_id.encode()).hexdigest()[:32]


def _common(step: Composition, parsed: ParsedMessage, writing: WritingAs, moment: Moment) -> dict[str, Any]:
    is_automatic = parsed.auto_submitted not in (None, "", "no") or parsed.report is not None
    asks = (writing.asks_receipt or bool(parsed.receipt_to)) and not is_automatic
    return {
        "letterhead": writing.letterhead,
        "recipients": step.recipients,
        "message_id": moment.message_id,
        "at": moment.at,
        "reply_to": writing.reply_to,
        "answers": parsed.in_reply_to,
        "references": parsed.references,
        "receipt_to": writing.letterhead.address if asks else None,
        "size_most": writing.size_most,
    }


def is_pdf(raw: bytes) -> bool:
    return b"%PDF-" in raw[:1024]


def _oid(sending: str, what: str) -> str:
    """An OID that nobody else gives (2.25, ITU-T X.667): its UUID (RFC 9562 §5.8: a hash) is made from the sending, so
    that writing it again gives the same."""
    number = int.from_bytes(hashlib.sha256(f"{sending} {what}".encode()).digest()[:16])
    version, variant = 0xF << 76, 0x3 << 62
    return f"2.25.{number & ~version & ~variant | 0x8 << 76 | 0x2 << 62}"
