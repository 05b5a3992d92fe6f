"""What of a submission can travel in a conformant message, and what its author must correct before anything leaves.

What the reader understood in, indexes of documents and reasons out. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub.message import Document, DocumentForm, ParsedMessage, Reason
from hub.routing.reasons import reason

_NO_FILES = frozenset({"text/vcard", "text/x-vcard", "application/pkcs7-signature", "application/pgp-signature"})


def sendable(documents: Iterable[Document]) -> tuple[int, ...]:
    """The documents that can travel in a conformant message: by their index, PDFs and texts."""
    return tuple(number for number, one in enumerate(documents) if _is_sendable(one))


def _is_sendable(document: Document) -> bool:
    return document.form is DocumentForm.PDF or document.media_type == "text/plain"


def unsendable(parsed: ParsedMessage) -> list[Reason]:
    """Attachments that no conformant message can carry: the author must know before anything leaves."""
    if parsed.archives:
        return [reason("archive-submitted")]
    if any(not _is_sendable(document) for document in parsed.documents) or _left_behind(parsed):
        return [reason("attachment-unsendable")]
    return []


def _left_behind(parsed: ParsedMessage) -> bool:
    """Whether the conformant message would lack a file that its author attached. Her visiting card, her signature and
    the pictures of her page are no such file."""
    carried = {number for document in parsed.documents for number in document.attachments}
    return bool(carried) and any(
        leaf.name and leaf.disposition == "attachment" and leaf.content_id is None and leaf.number not in carried
        for leaf in parsed.attachments
        if leaf.media_type not in _NO_FILES
    )


def unread(parsed: ParsedMessage) -> list[Reason]:
    """A PDF into which nobody could look may be about somebody else than its author says."""
    defects = {defect.code for document in parsed.documents for defect in document.defects}
    met = defects | {defect.code for defect in parsed.defects}
    return [reason(code) for code in ("pdf-encrypted", "pdf-unreadable") if code in met]
