"""Down the tree: every leaf of a mail, whatever it is wrapped in, numbered in the order of a depth-first walk.

Multiparts, carried mails (also base64 ones, also saved as `.eml`), opaque p7m, winmail.dat and uuencoded files are
opened. Caps on parts and depth hold over all of them together. What cannot be opened stays a leaf, with its doubt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from hub.message import Limits, SignatureSeen
from hub.parse import structure, tnef, transfer
from hub.parse.doubts import Doubts
from hub.parse.headers import Block, doubt_repeats, first_line, read_block
from hub.parse.leaf import OCTETS, Around, Leaf, looks_like_mail, type_of_name
from hub.parse.parameters import Structured, file_name
from hub.parse.structure import Kind
from hub.parse.text import clean_line
from hub.smime import unwrap

CARRIED_MOST = 20  # mails inside a mail whose Message-ID is kept
_NOTHING_TWICE: frozenset[str] = frozenset()
_RETURNED = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers"})


class Walk:
    """One walk. Afterwards: `leaves`, `signature` (the outermost of the mail itself), `tnef_body`, `carried_ids`."""

    def __init__(self, limits: Limits, doubts: Doubts) -> None:
        self.leaves: list[Leaf] = []
        self.signature = SignatureSeen()
        self.tnef_body = ""
        self.carried_ids: list[bytes] = []  # the Message-IDs of the mails met inside, as written
        self._limits = limits
        self._doubts = doubts
        self._parts = 0

    def message(self, raw: bytes, block: Block, end: int, path: str = "", around: Around = Around()) -> None:
        """A whole message (or the entity inside a p7m) whose headers were read. Its leaves stand under `path`."""
        self._entity(raw, block, end, path, f"{path}.1" if path else "1", around)

    def _inner(self, raw: bytes, start: int, end: int, path: str, around: Around) -> None:
        """A message inside a leaf or part whose path is `path`."""
        block = read_block(raw, start, end, self._limits, self._doubts, f"part {path}")
        doubt_repeats(block, _NOTHING_TWICE, self._doubts, f"part {path}")
        if (written := block.first("message-id")) is not None and len(self.carried_ids) < CARRIED_MOST:
            self.carried_ids.append(written)
        self.message(raw, block, end, path, around)

    def _entity(self, raw: bytes, block: Block, end: int, prefix: str, own: str, around: Around) -> None:
        """One part: `prefix` is the path of what it contains, `own` its path when it is a leaf."""
        place = f"part {own}"
        if not self._counts_one_more(place):
            return
        kind = structure.kind_of(block, around.default_type, self._doubts, place)
        encoding = transfer.encoding_of(block.first("content-transfer-encoding"), self._doubts, place)
        if kind.is_multipart():
            if encoding not in ("identity", "unknown"):  # RFC 2045 §6.4 forbids it; some decode, some do not
                self._doubts.add("ambiguous-structure", place)
            if self._multipart(raw, block, end, prefix, kind, around, place):
                return
        if kind.is_message() and encoding == "identity" and self._carried(raw, block.body, end, own, kind, around):
            return
        known = "identity" if kind.is_multipart() else encoding
        content = transfer.decode(raw, block.body, end, known, self._doubts, place)
        if encoding == "unknown" and not kind.is_multipart() and content.strip():
            self._doubts.add("unknown-encoding", place)
        coded = kind.is_message() and encoding != "identity"
        apart = replace(around, boundaries=frozenset()) if coded else around  # bytes of their own, delimiters too
        if coded and self._carried(content, 0, len(content), own, kind, apart):
            return
        self._open(self._leaf(block, kind, own, content, around), place)

    def _carried(self, raw: bytes, start: int, end: int, path: str, kind: Kind, around: Around) -> bool:
        """A mail carried by this one, walked where it stands; False when it is none or too deep."""
        if not looks_like_mail(raw[start : min(end, start + 4096)]):
            if end > start:
                self._doubts.add("bad-header", f"part {path}")
                if not around.returned:  # an attached mail that nobody read
                    self._doubts.add("unread-attachment", f"part {path}")
            return False
        if not self._may_descend(around, f"part {path}"):
            return False
        # RFC 8551 §3.1: `forwarded=no` marks a protected copy of the mail's own headers, not a forward.
        forwarded = around.forwarded or kind.structured.get("forwarded") != "no"
        inside = replace(around, depth=around.depth + 1, forwarded=forwarded, related=False, default_type="text/plain")
        self._inner(raw, first_line(raw, start, end), end, path, inside)
        return True

    def _counts_one_more(self, place: str) -> bool:
        self._parts += 1
        if self._parts > self._limits.parts:
            self._doubts.add("too-many-parts", place)
            return False
        return True

    def _may_descend(self, around: Around, place: str) -> bool:
        if around.depth >= self._limits.depth:
            self._doubts.add("too-deep", place)
            return False
        return True

    def _multipart(
        self, raw: bytes, block: Block, end: int, prefix: str, kind: Kind, around: Around, place: str
    ) -> bool:
        """True when its parts were walked; False when it stays one leaf."""
        boundary = structure.boundary_of(kind, self._doubts, place)
        if boundary is None or not self._may_descend(around, place):
            return False
        if boundary in around.boundaries:
            self._doubts.add("ambiguous-structure", place)
        parts = self._cut(raw, block, end, boundary, place)
        self._note_wrapping(kind, around, place)
        inside = Around(
            depth=around.depth + 1,
            forwarded=around.forwarded,
            returned=around.returned,
            related=around.related or kind.media_type == "multipart/related",
            default_type="message/rfc822" if kind.media_type == "multipart/digest" else "text/plain",
            boundaries=around.boundaries | {boundary},
        )
        for number, (part_start, part_end, known) in enumerate(parts, 1):
            path = f"{prefix}.{number}" if prefix else str(number)
            part = known or read_block(raw, part_start, part_end, self._limits, self._doubts, f"part {path}")
            doubt_repeats(part, _NOTHING_TWICE, self._doubts, f"part {path}")
            self._entity(raw, part, part_end, path, path, self._returned(kind, part, inside))
        return bool(parts)

    def _cut(
        self, raw: bytes, block: Block, end: int, boundary: bytes, place: str
    ) -> Sequence[tuple[int, int, Block | None]]:
        """Where the parts begin and end, with their headers where somebody has read them."""
        most = self._limits.parts - self._parts
        if 0 < len(block.parts) < most:
            return block.parts
        found = structure.split(raw, block.body, end, boundary, most, self._doubts, place)
        return [(part_start, part_end, None) for part_start, part_end in found]

    def _returned(self, kind: Kind, block: Block, inside: Around) -> Around:
        """In a receipt, the mail that it gives back (RFC 6522 §3) is not a document of this one."""
        if kind.media_type == "multipart/report" and block.structured("content-type").main in _RETURNED:
            return replace(inside, returned=True)
        return inside

    def _note_wrapping(self, kind: Kind, around: Around, place: str) -> None:
        if kind.media_type == "multipart/encrypted":
            self._doubts.add("encrypted-message", place)
        if kind.media_type == "multipart/signed":
            self._see_signature("detached", kind.structured.get("protocol") or "", around)

    def _see_signature(self, form: Literal["detached", "opaque"], protocol: str, around: Around) -> None:
        if self.signature.form == "none" and not around.forwarded:
            self.signature = SignatureSeen(form=form, protocol=clean_line(protocol.lower(), 100))

    def _leaf(self, block: Block, kind: Kind, path: str, content: bytes, around: Around) -> Leaf:
        disposition = block.structured("content-disposition", comments=False)
        own = block.structured("content-type", comments=False) if kind.structured.parameters else None
        content_id = (block.first("content-id") or b"").decode("latin-1")
        return Leaf(
            number=self._next_number(),
            path=path,
            media_type=kind.media_type,
            content=content,
            name=file_name(disposition, own or Structured(""), self._doubts, f"part {path}"),
            charset=kind.structured.get("charset"),
            disposition=clean_line(disposition.main, 40) or None,
            content_id=clean_line(content_id.strip("<> "), 200) or None,
            around=around,
        )

    # --- leaves, and what is inside some of them ----------------------------------------------------------------

    def _keep(self, leaf: Leaf) -> Leaf:
        self.leaves.append(leaf)
        return leaf

    def _next_number(self) -> int:
        """The number of the leaf that is being made: no other is kept before it is."""
        return len(self.leaves) + 1

    def _open(self, leaf: Leaf, place: str) -> None:
        """Keep a leaf, or what it holds."""
        if leaf.is_opaque_cms():
            self._open_cms(leaf, place)
        elif leaf.is_tnef():
            self._open_tnef(self._keep(leaf), place)
        elif leaf.is_mail_file() and self._may_descend(leaf.around, place):
            inside = Around(depth=leaf.around.depth + 1, forwarded=True, returned=leaf.around.returned)
            size = len(leaf.content)
            self._inner(leaf.content, first_line(leaf.content, 0, size), size, leaf.path, inside)
        else:
            if leaf.media_type == "message/partial":  # RFC 2046 §5.2.2: the rest of it is in other mails
                self._doubts.add("partial-message", place)
            self._keep(leaf)
            if leaf.media_type == "text/plain" and b"begin " in leaf.content:
                self._open_files(leaf, [(f.name, f.content) for f in transfer.uuencoded(leaf.content)], place)

    def _open_cms(self, leaf: Leaf, place: str) -> None:
        opened = unwrap(leaf.content)
        if opened.defect:
            self._doubts.add(opened.defect.code, place)
        if opened.content is None or not self._may_descend(leaf.around, place):
            self._keep(leaf)
            return
        inside = replace(leaf.around, depth=leaf.around.depth + 1, boundaries=frozenset())
        if looks_like_mail(opened.content) or opened.content[:1] in (b"\r", b"\n"):
            self._see_signature("opaque", leaf.media_type, leaf.around)
            self._inner(opened.content, 0, len(opened.content), leaf.path, inside)
        elif self._counts_one_more(place):
            self._open(replace(leaf.unsealed(opened.content), path=f"{leaf.path}.1", around=inside), place)

    def _open_tnef(self, leaf: Leaf, place: str) -> None:
        if not self._may_descend(leaf.around, place):
            return
        unfolded = tnef.unfold(leaf.content)
        if not unfolded.readable:
            self._doubts.add("tnef-unreadable", place)
        elif not unfolded.files and not unfolded.body:
            self._doubts.add("tnef-empty", place)
        if unfolded.body and not leaf.around.forwarded and not self.tnef_body:
            self.tnef_body = unfolded.body
        self._open_files(leaf, list(unfolded.files), place)

    def _open_files(self, leaf: Leaf, files: list[tuple[str | None, bytes]], place: str) -> None:
        """Files found inside a leaf become leaves under it, as if they were attached."""
        for number, (name, content) in enumerate(files, 1):
            if not self._counts_one_more(place):
                return
            around = replace(leaf.around, depth=leaf.around.depth + 1, related=False)
            path = f"{leaf.path}.{number}"
            found = Leaf(
                number=self._next_number(),
                path=path,
                media_type=type_of_name(name) if name else OCTETS,
                content=content,
                name=name,
                disposition="attachment",
                around=around,
            )
            self._open(found, f"part {path}")
