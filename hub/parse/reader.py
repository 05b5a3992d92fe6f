"""One raw message read whole: headers, body, leaves, archives, documents, receipt, signature, doubts.

`parse` is pure and total: the same bytes give the same `ParsedMessage`, bad content gives defects. Time and memory are
bounded by the caps of `Limits` for structure, and by the child process that runs it (`hub.cell`) for what libraries do.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256

from hub.cda import Codes, looks_like_archive, looks_like_cda
from hub.message import Attachment, Limits, ParsedMessage, Report, Verdict
from hub.parse.addresses import Address, read_addresses, read_path
from hub.parse.body import body_of
from hub.parse.dates import read_date
from hub.parse.documents import Found, gather
from hub.parse.doubts import Doubts
from hub.parse.headers import Block, doubt_repeats, first_line, read_block, shown
from hub.parse.leaf import OCTETS, Leaf, type_of_name
from hub.parse.parameters import safe_name
from hub.parse.signed import Witness, completed, judged
from hub.parse.structure import kind_of
from hub.parse.text import header_text
from hub.parse.walk import Walk
from hub.receipts import read_dsn, read_mdn

_ONCE = frozenset(  # RFC 5322 §3.6; From is looked at apart
    {"subject", "date", "message-id", "to", "cc", "reply-to", "sender", "in-reply-to", "references"}
    | {"disposition-notification-to", "mime-version", "auto-submitted"}
)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,996}>")
_ID_HEADER = re.compile(rb"^message-id[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)", re.IGNORECASE | re.MULTILINE)
_HEADERS_ONLY = frozenset({"text/rfc822-headers", "message/global-headers", "message/rfc822-headers"})
_HEADERS_MOST = 64 * 1024
_MDN = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
_DSN = frozenset({"message/delivery-status", "message/global-delivery-status"})


def parse(
    raw: bytes,
    limits: Limits,
    codes: Codes,
    read_pdf: bool = True,
    words_for: frozenset[str] | None = None,
    witness: Witness | None = None,
) -> ParsedMessage:
    """Read a message. `read_pdf=False` leaves the text of PDFs out: what is tried when reading them killed a child;
    `words_for` leaves it out of documents that declare another type code than these. Without `witness` no signature is
    judged.

    `Attachment.raw` is always empty: the mind needs the bytes of documents only, and they are in `documents`. Mails
    that a receipt gives back (RFC 6522) are listed in `attachments` and give no documents.
    """
    doubts = Doubts()
    block = read_block(raw, first_line(raw, 0, len(raw)), len(raw), limits, doubts, "header")
    doubt_repeats(block, _ONCE, doubts, "")
    if not block.headers:
        doubts.add("no-header")
    walk, verdict = Walk(limits, doubts), None
    if len(raw) > limits.message:
        doubts.add("too-large")
        found = _whole(raw, block, doubts)
    else:
        verdict = judged(raw, block, limits, doubts, witness)
        walk.message(raw, block, len(raw))
        del raw  # the leaves are copies: a large message is not kept beside them
        found = gather(walk.leaves, limits, codes, doubts, read_pdf, words_for)
    return _message(block, walk, found, completed(verdict, walk.signature, witness), doubts)


def parse_file(
    raw: bytes, limits: Limits, codes: Codes, name: str, read_pdf: bool = True, witness: Witness | None = None
) -> ParsedMessage:
    """A file given by hand (`hub explain`), told by its content: an IHE_XDM zip, a CDA or a PDF gives a message of that
    one leaf and no headers; anything else is read as a mail."""
    name = safe_name(name) or "fichier"
    leaf = Leaf(number=1, path="1", media_type=type_of_name(name), content=raw, name=name, disposition="attachment")
    if not (raw[:4] == b"PK\x03\x04" or looks_like_archive(raw, name, OCTETS) or leaf.is_pdf() or looks_like_cda(raw)):
        return parse(raw, limits, codes, read_pdf, witness=witness)
    doubts = Doubts()
    if len(raw) > limits.message:
        doubts.add("too-large")
        return ParsedMessage(attachments=(leaf.described(leaf.digest()),), defects=doubts.all())
    found = gather([leaf], limits, codes, doubts, read_pdf)
    return ParsedMessage(
        content_type=leaf.filed_type(),
        attachments=found.attachments,
        archives=found.archives,
        documents=found.documents,
        defects=doubts.all(),
    )


def _whole(raw: bytes, block: Block, doubts: Doubts) -> Found:
    """A mail beyond the cap: its body is one leaf, not decoded."""
    body = memoryview(raw)[block.body :]
    media_type = kind_of(block, "text/plain", doubts, "part 1").media_type
    leaf = Attachment(
        number=1, path="1", name=None, media_type=media_type, size=len(body), sha256=sha256(body).hexdigest()
    )
    return Found(attachments=(leaf,))


def _report(leaves: list[Leaf]) -> Report | None:
    """The receipt that the mail is: the first machine-readable part that is not inside a mail it carries."""
    for leaf in leaves:
        if leaf.around.forwarded:
            continue
        if leaf.media_type in _MDN:
            return read_mdn(leaf.content)
        if leaf.media_type in _DSN:
            return read_dsn(leaf.content)
    return None


def _carried_ids(walk: Walk) -> tuple[str, ...]:
    """In brackets, each once: those of mails, the outermost first, then those of headers without a mail (RFC 6522)."""
    headers = (leaf.content for leaf in walk.leaves if leaf.media_type in _HEADERS_ONLY)
    written = (*walk.carried_ids, *(one[1] for raw in headers if (one := _ID_HEADER.search(raw[:_HEADERS_MOST]))))
    found = (_MESSAGE_ID.search(one.decode("ascii", "replace")) for one in written)
    return tuple(dict.fromkeys(one[0] for one in found if one is not None))


# --- headers ----------------------------------------------------------------------------------------------------------


def _message(block: Block, walk: Walk, found: Found, verdict: Verdict | None, doubts: Doubts) -> ParsedMessage:
    def text(name: str) -> str:
        value = block.first(name)
        return header_text(value, doubts, name) if value else ""

    def addresses(name: str) -> tuple[str, ...]:
        return tuple(a.address for value in block.every(name) for a in read_addresses(value, doubts, name))

    sender = _from(block, doubts)
    message_id = text("message-id")
    answered = _MESSAGE_ID.search(text("in-reply-to"))
    return_path = block.first("return-path")
    return ParsedMessage(
        headers=shown(block, doubts),
        message_id=message_id or None,
        subject=text("subject"),
        from_address=sender.address if sender else None,
        from_name=sender.name if sender else "",
        to=addresses("to"),
        cc=addresses("cc"),
        reply_to=addresses("reply-to"),
        return_path=None if return_path is None else read_path(return_path, doubts),
        date=read_date(text("date")),
        in_reply_to=answered[0] if answered else None,
        references=tuple(_MESSAGE_ID.findall(text("references"))),
        auto_submitted=_auto_submitted(text),
        receipt_to=addresses("disposition-notification-to"),
        content_type=kind_of(block, "text/plain", doubts, "part 1").media_type,
        body=body_of(walk.leaves, walk.tnef_body, doubts),
        attachments=found.attachments,
        archives=found.archives,
        documents=found.documents,
        report=_report(walk.leaves),
        carried_ids=_carried_ids(walk),
        signature=walk.signature,
        verdict=verdict,
        defects=doubts.all(),  # the last: those above leave doubts too
    )


def _from(block: Block, doubts: Doubts) -> Address | None:
    """The author. Several of them, or several From headers, are a doubt: the first is shown."""
    values = block.every("from")
    authors = [address for value in values for address in read_addresses(value, doubts, "from")]
    if len(values) > 1 or len(authors) > 1:
        doubts.add("several-from")
    return authors[0] if authors else None


def _auto_submitted(text: Callable[[str], str]) -> str | None:
    """RFC 3834 §5: `no`, `auto-replied`, `auto-generated`…, without parameters; what older programs write of their
    answers is said in these words. A list, a bulk mail, or a wish for no automatic answer are no such mark: people and
    registries write them too, and their mail must not be closed unread."""
    declared = text("auto-submitted").split(";")[0].split("(")[0].strip().lower()  # Zimbra adds a comment
    if declared and declared != "no":
        return declared[:60]
    precedence = text("precedence").lower()
    if text("x-autoreply") or text("x-autorespond") or "auto_reply" in precedence or "auto-reply" in precedence:
        return "auto-replied"
    return declared or None
