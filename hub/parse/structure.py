"""The MIME structure, found by offsets in the raw bytes (RFC 2046 §5.1): media types and boundary lines.

Big bodies are never copied here. Where two readers of mail would see two different mails (two boundaries, a boundary
used twice, a delimiter after the last one), the doubt is grave: `ambiguous-structure`; where an end is missing,
`truncated`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.parse.doubts import Doubts
from hub.parse.headers import Block
from hub.parse.parameters import Structured

LOOKALIKES_MOST = 50_000  # lines that begin like a delimiter and are none, in one multipart
LOOKALIKE_WORDS_MOST = 100  # different ones; each is looked for in the whole multipart
BOUNDARY_MOST = 200  # RFC 2046 says 70; some writers go beyond

_CR, _LF = 13, 10
_TYPE = re.compile(r"[a-z0-9!#$%&'*+.^_`{|}~-]+/[a-z0-9!#$%&'*+.^_`{|}~-]+")
_REST_OF_DELIMITER = re.compile(rb"(--)?[ \t]*(?:\r?\n|\r?\Z)")

MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})


@dataclass(frozen=True, slots=True)
class Kind:
    """The content type of a part: `media_type` is always well formed."""

    media_type: str
    structured: Structured

    def is_multipart(self) -> bool:
        return self.media_type.startswith("multipart/")

    def is_message(self) -> bool:
        return self.media_type in MESSAGES


def kind_of(block: Block, default: str, doubts: Doubts, place: str) -> Kind:
    """The content type that the headers declare; `default` when they declare none (RFC 2045 §5.2)."""
    if not block.first("content-type"):
        return Kind(default, Structured(default))
    structured = block.structured("content-type")
    if _TYPE.fullmatch(structured.main):
        return Kind(structured.main, structured)
    broken_container = structured.main.startswith(("multipart", "message"))
    doubts.add("ambiguous-structure" if broken_container else "bad-header", place)
    named = structured.get("name") or structured.get("name*") or block.first("content-disposition")
    return Kind("application/octet-stream" if named else "text/plain", structured)


def boundary_of(kind: Kind, doubts: Doubts, place: str) -> bytes | None:
    """The boundary of a multipart; None when there is none that all readers agree on."""
    written = kind.structured.every("boundary")
    boundary = written[0].rstrip() if written else ""
    if len(set(written)) > 1 or kind.structured.get("boundary*") or kind.structured.get("boundary*0"):
        doubts.add("ambiguous-structure", place)
    if not boundary or len(boundary) > BOUNDARY_MOST:
        doubts.add("ambiguous-structure", place)
        return None
    if kind.structured.text_after_quote:
        doubts.add("ambiguous-structure", place)
    return boundary.encode("latin-1")


def split(
    raw: bytes, start: int, end: int, boundary: bytes, most: int, doubts: Doubts, place: str
) -> list[tuple[int, int]]:
    """Where the parts of a multipart begin and end. Stops at `most` parts and says `too-many-parts`. The line end
    before a delimiter belongs to the delimiter."""
    delimiter = b"--" + boundary
    parts: list[tuple[int, int]] = []
    part_start = -1
    closed, lookalikes = False, _Lookalikes(raw, start, end)
    at = raw.find(delimiter, start, end)
    while at >= 0:
        after = at + len(delimiter)
        before = raw[at - 1] if at else 0
        if before == _CR and at > start:  # some readers end a line at a bare CR
            doubts.add("ambiguous-structure", place)
        if before != _LF:
            at = raw.find(delimiter, after, end)
            continue
        rest = _REST_OF_DELIMITER.match(raw, after, end)
        if rest is None:
            if not lookalikes.belongs_inside(at + 2):
                doubts.add("ambiguous-structure", place)
            if lookalikes.seen > LOOKALIKES_MOST:
                doubts.add("ambiguous-structure", place)
                break
            at = raw.find(delimiter, after, end)
            continue
        if closed:
            doubts.add("ambiguous-structure", place)
            break
        if part_start >= 0:
            parts.append((part_start, max(part_start, _without_line_end(raw, part_start, at - 1))))
        closed = rest[1] is not None
        part_start = rest.end()
        if len(parts) >= most:
            if raw.find(b"\r" + delimiter, part_start, end) >= 0:
                doubts.add("ambiguous-structure", place)
            doubts.add("too-many-parts", place)
            return parts
        at = raw.find(delimiter, part_start, end)
    if not closed:
        doubts.add("truncated", place)
        if 0 <= part_start < end:
            parts.append((part_start, end))
    return parts


class _Lookalikes:
    """Lines that begin with a delimiter and go on. By the letter they are delimiters (RFC 2046 §5.1.1: the line need
    only begin so), and old readers split there; most take them for the text that they are. That is nothing where the
    longer word is the boundary of a multipart inside (`Apple-Mail-1` and `Apple-Mail-10`); else there are two readings.
    """

    def __init__(self, raw: bytes, start: int, end: int) -> None:
        self.seen = 0
        self._raw, self._start, self._end = raw, start, end
        self._words: dict[bytes, bool] = {}

    def belongs_inside(self, at: int) -> bool:
        """Whether the line whose delimiter word begins at `at` belongs to a multipart inside."""
        self.seen += 1
        line_end = self._raw.find(b"\n", at, min(at + BOUNDARY_MOST + 4, self._end))
        word = self._raw[at : line_end if line_end >= 0 else at + BOUNDARY_MOST + 4].rstrip()
        word = word.removesuffix(b"--").rstrip()
        if word not in self._words:
            if len(self._words) >= LOOKALIKE_WORDS_MOST:
                return False
            self._words[word] = self._is_declared(word)
        return self._words[word]

    def _is_declared(self, word: bytes) -> bool:
        return any(self._raw.find(sign + word, self._start, self._end) >= 0 for sign in (b'="', b"="))


def _without_line_end(raw: bytes, start: int, newline: int) -> int:
    return newline - 1 if newline > start and raw[newline - 1] == _CR else newline
