"""What a signed mail is made of, cut out of the raw bytes for the one verdict that `hub.smime` gives.

In: the raw mail and its header block. Out: a `Verdict`, None for a mail without a signature. The cuts are those of the
reader itself (`structure`, `headers`, `transfer`), so that what is judged is what is shown. A signature counts only
where it is the whole mail: the root is the signed multipart with its two parts, or the opaque wrapping; what stands
beside it would be shown as if it were signed. The libraries are loaded by the first signed mail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hub.message import Limits, SignatureSeen, Verdict
from hub.parse import structure, transfer
from hub.parse.addresses import read_addresses
from hub.parse.doubts import Doubts
from hub.parse.headers import Block, doubt_repeats, first_line, read_block
from hub.parse.text import header_text
from hub.smime import unwrap
from hub.smime.trusted import Trust

PROTOCOLS = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
OPAQUE = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
OPAQUE_MOST = 16 * 1024**2  # bytes; to take a larger mail apart a second time could cost the reader its life
_NOT_LOOKED_AT = frozenset({"other-protocol", "too-large-to-check"})
_NOTHING_TWICE: frozenset[str] = frozenset()
# What a protected copy of the mail's own headers may not contradict (RFC 8551 §3.1, RFC 9788).
_PROTECTED = ("from", "sender", "to", "cc", "reply-to", "subject", "date", "message-id")


@dataclass(frozen=True, slots=True)
class Witness:
    """Who is trusted, and when the mail was received: without both no signature is judged."""

    trust: Trust
    at: datetime


@dataclass(frozen=True, slots=True)
class _Cut:
    """The signed entity, its header block, where it ends, and the signature."""

    content: bytes | memoryview
    blob: bytes
    headers: tuple[Block, ...] = ()  # those that stand inside what is signed and speak of the mail itself


def judged(raw: bytes, block: Block, limits: Limits, doubts: Doubts, witness: Witness | None) -> Verdict | None:
    """The verdict on a mail that is signed as a whole, None when its root is no signature, or without a witness.
    `doubts`: those that the header block left, before the walk, while nothing decoded takes memory."""
    if witness is None:
        return None
    own = Doubts()  # the reader says them too, when it walks there
    kind = structure.kind_of(block, "text/plain", own, "")
    if kind.media_type not in OPAQUE and kind.media_type != "multipart/signed":
        return None
    from hub.smime.verifying import Sealed, refused, unproven, verify

    doubt_repeats(block, _NOTHING_TWICE, own, "")
    is_detached = kind.media_type not in OPAQUE
    cut = _cut(raw, block, kind, limits, own) if is_detached else _opened(raw, block, limits, own)
    if cut is None:
        return None
    if isinstance(cut, str):
        return (unproven if cut in _NOT_LOOKED_AT else refused)(cut, witness.at)
    if any(doubt.grave for doubt in (*doubts.all(), *own.all())):
        return refused("ambiguous", witness.at)
    of_from = Doubts()
    authors = _addresses(block, "from", of_from)
    sealed = Sealed(
        content=cut.content,
        blob=cut.blob,
        is_detached=is_detached,
        authors=authors,
        sender_faults=tuple(_sender_faults(block, of_from, cut.headers)),
        remarks=tuple(_remarks(block, authors)),
    )
    return verify(sealed, witness.trust, witness.at)


def completed(verdict: Verdict | None, seen: SignatureSeen, witness: Witness | None) -> Verdict | None:
    """After the walk: a mail with a signature somewhere, which does not cover all that is shown, is refused too."""
    if verdict is not None or witness is None or seen.form == "none":
        return verdict
    from hub.smime.verifying import refused

    return refused("not-whole", witness.at)


def _cut(raw: bytes, block: Block, kind: structure.Kind, limits: Limits, doubts: Doubts) -> _Cut | str:
    """Or the code of what is wrong: two parts, the second the signature, and one Content-Type that says so. The walk
    finds the parts in `block`."""
    boundary = structure.boundary_of(kind, doubts, "")
    if boundary is None or len(block.every("content-type")) != 1:
        return "ambiguous"
    if transfer.encoding_of(block.first("content-transfer-encoding"), doubts, "") != "identity":
        return "ambiguous"
    protocols = kind.structured.every("protocol")
    if len(protocols) != 1 or protocols[0].strip().lower() not in PROTOCOLS:
        return "other-protocol"
    parts = structure.split(raw, block.body, len(raw), boundary, limits.parts, doubts, "")
    if len(parts) != 2:
        return "odd-structure"
    (start, end), (start_of_blob, end_of_blob) = parts
    last = read_block(raw, start_of_blob, end_of_blob, limits, doubts, "part 2")
    doubt_repeats(last, _NOTHING_TWICE, doubts, "part 2")
    if structure.kind_of(last, "text/plain", doubts, "part 2").media_type not in PROTOCOLS:
        return "odd-structure"
    encoding = transfer.encoding_of(last.first("content-transfer-encoding"), doubts, "part 2")
    blob = transfer.decode(raw, last.body, end_of_blob, encoding, doubts, "part 2")
    nowhere = Doubts()
    inside = _headers_inside(raw, start, end, limits, nowhere)
    if not doubts.all() and not nowhere.all():
        block.parts = ((start, end, inside[0]), (start_of_blob, end_of_blob, last))
    return _Cut(memoryview(raw)[start:end], blob, inside)


def _opened(raw: bytes, block: Block, limits: Limits, doubts: Doubts) -> _Cut | str | None:
    """The same for an opaque mail: what it holds is what is signed. None when it is no signature."""
    if len(raw) > OPAQUE_MOST:
        return "too-large-to-check"
    encoding = transfer.encoding_of(block.first("content-transfer-encoding"), doubts, "")
    blob = transfer.decode(raw, block.body, len(raw), encoding, doubts, "")
    opened = unwrap(blob)
    if opened.content is None:
        is_broken = opened.defect is not None and opened.defect.code == "p7m-unreadable"
        return "signature-unreadable" if is_broken else None
    return _Cut(opened.content, blob, _headers_inside(opened.content, 0, len(opened.content), limits, Doubts()))


# --- the author, and other headers


def _headers_inside(raw: bytes, start: int, end: int, limits: Limits, doubts: Doubts) -> tuple[Block, ...]:
    """The header block of the signed entity; of a protected mail (`forwarded=no`), its own headers too."""
    first = read_block(raw, start, end, limits, doubts, "")
    kind = structure.kind_of(first, "text/plain", doubts, "")
    if not kind.is_message() or kind.structured.get("forwarded") != "no":
        return (first,)
    return (first, read_block(raw, first_line(raw, first.body, end), end, limits, doubts, ""))


def _sender_faults(block: Block, doubts: Doubts, inside: tuple[Block, ...]) -> Iterator[str]:
    """Why the author who is shown may not be who signed, whatever the certificate says. `doubts`: those that From
    left."""
    codes = {doubt.code for doubt in doubts.all()}
    if len(block.every("from")) > 1:
        yield "several-authors"
    if "bad-address" in codes:
        yield "author-unreadable"
    if "misleading-name" in codes:
        yield "misleading-name"
    if any(_differ(block, other) for other in inside):
        yield "headers-differ"


def _differ(shown: Block, signed: Block) -> bool:
    """Whether a header that was signed says something else than the one that is shown."""
    nowhere = Doubts()
    for name in _PROTECTED:
        if signed.first(name) is None:
            continue
        outer, inner = shown.every(name), signed.every(name)
        if outer and [_text(v, nowhere) for v in outer] != [_text(v, nowhere) for v in inner]:
            return True
    return False


def _text(value: bytes, doubts: Doubts) -> str:
    return " ".join(header_text(value, doubts, "").split())


def _remarks(block: Block, authors: tuple[str, ...]) -> Iterator[str]:
    """Addresses beside the author's that mail programs show or use: no fault, a reason to look twice."""
    known = {address.lower() for address in authors}
    for header, code in (("reply-to", "replies-elsewhere"), ("sender", "sent-by-another")):
        if any(address.lower() not in known for address in _addresses(block, header, Doubts())):
            yield code


def _addresses(block: Block, header: str, doubts: Doubts) -> tuple[str, ...]:
    return tuple(one.address for value in block.every(header) for one in read_addresses(value, doubts, header))
