"""One header block: its lines found by offsets, unfolded, with the caps of libs.md §10 checked on the raw bytes.

In: the bytes of a message or part. Out: `Block`, the raw headers in order and where the body begins. A line that no
header is, a bare CR, a NUL, a header that stands twice: each leaves a doubt, a grave one where readers of mail
disagree about the structure that follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hub.message import Header, Limits
from hub.parse.doubts import Doubts
from hub.parse.parameters import Structured, read_structured
from hub.parse.text import header_text

# What decides how the body is read: two readings of one of these are two different mails.
STRUCTURAL = frozenset({"content-type", "content-transfer-encoding", "content-disposition"})
HEADERS_MOST = 1_000  # real mails have 20 to 80
ODD_LINES_MOST = 2  # lines that are no header; more of them are a body that begins without its blank line

_END = re.compile(rb"\n\r?\n")
_LINE_ENDS = re.compile(rb"[\r\n]*+")
_NAME = re.compile(rb"[!-9;-~]+")
# A header without a flaw, the lines that it is folded over and its line end with it.
_HEADER = re.compile(rb"([!-9;-~]++):((?:[^\n]*+\n[ \t])*+[^\n]*+)\n?")
_HEADER_AFTER_CR = re.compile(rb"\r(?!\n)[ \t\r]*[!-9;-~]+:")  # some readers end a line at a bare CR


@dataclass(frozen=True, slots=True)
class RawHeader:
    """`name` as written, `value` unfolded (line ends removed, inner blanks kept), stripped, undecoded."""

    name: str
    value: bytes


class Block:
    """The headers of one message or part. `body` is the offset where its body begins; `parts` are those of a multipart
    that was cut already, without a doubt: where each begins and ends, and its own headers."""

    __slots__ = ("_structured", "_values", "body", "headers", "parts")

    def __init__(self, headers: list[RawHeader], body: int) -> None:
        self.headers = headers
        self.body = body
        self.parts: tuple[tuple[int, int, Block], ...] = ()
        self._values: dict[str, list[bytes]] = {}
        self._structured: dict[tuple[str, bool], Structured] = {}
        for header in headers:
            self._values.setdefault(header.name.lower(), []).append(header.value)

    def first(self, name: str) -> bytes | None:
        """The first value of a header given in lower case."""
        values = self._values.get(name)
        return values[0] if values else None

    def structured(self, name: str, comments: bool = True) -> Structured:
        """The first value as `read_structured` reads it, once for all who ask; that of nothing when it is absent."""
        value = self.first(name) or b""
        key = (name, comments and b"(" in value)
        found = self._structured.get(key)
        if found is None:
            found = self._structured[key] = read_structured(value, comments)
        return found

    def every(self, name: str) -> Sequence[bytes]:
        """Its values, in order."""
        return self._values.get(name, ())

    def has_repeats(self) -> bool:
        return len(self._values) < len(self.headers)


def read_block(raw: bytes, start: int, end: int, limits: Limits, doubts: Doubts, place: str) -> Block:
    """The header block that begins at `start`; no later than `end`. A block that is longer than its cap is read up
    to the cap."""
    if raw.startswith((b"\n", b"\r\n"), start, end):
        return Block([], start + (1 if raw[start] == 10 else 2))
    found = _END.search(raw, start, end)
    stop, body = (found.start() + 1, found.end()) if found else (end, end)
    if stop - start > limits.header_block:
        doubts.add("header-block-too-large", place)
        stop = start + limits.header_block
    return Block(_split(raw[start:stop], found is not None, limits, doubts, place), body)


def first_line(raw: bytes, start: int, end: int) -> int:
    """Past the blank lines that some writers put before the first header of a whole message."""
    found = _LINE_ENDS.match(raw, start, end)
    return found.end() if found else start


def _split(block: bytes, ends: bool, limits: Limits, doubts: Doubts, place: str) -> list[RawHeader]:
    """`ends`: whether a blank line follows. Where there is none, a line that is no header is where the body begins for
    other readers."""
    _look_for_stray_bytes(block, doubts, place)
    flawless = _flawless(block, limits)
    if flawless is not None:
        return flawless
    headers: list[RawHeader] = []
    name, chunks, odd_lines = "", [b""], 0

    def close() -> None:
        if name:
            value = b"".join(chunks)
            if len(value) > limits.header:
                doubts.add("header-too-large", place)
                value = value[: limits.header]
            headers.append(RawHeader(name, value.strip()))

    for line in block.split(b"\n"):
        line = line[:-1] if line.endswith(b"\r") else line
        if line[:1] in (b" ", b"\t"):
            chunks.append(line)
            continue
        close()
        name, chunks = "", [b""]
        before, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(before.rstrip()):
            name, chunks = before.rstrip().decode("ascii"), [value]
            if odd_lines or len(name) != len(before):
                _doubt_name(name, doubts, place)
        elif line and not (not headers and line.startswith((b"From ", b">From "))):
            doubts.add("bad-header", place)
            odd_lines += 1
            if not ends or odd_lines > ODD_LINES_MOST:
                doubts.add("ambiguous-structure", place)
        if len(headers) >= HEADERS_MOST:
            doubts.add("header-block-too-large", place)
            return headers
    close()
    return headers


def _flawless(block: bytes, limits: Limits) -> list[RawHeader] | None:
    """The headers of a block that leaves no doubt, as nearly all are: one look at each. None for any other block."""
    headers: list[RawHeader] = []
    at, end = 0, len(block)
    while at < end:
        found = _HEADER.match(block, at)
        if found is None or len(headers) >= HEADERS_MOST - 1:
            return None
        value, at = found[2], found.end()
        if len(value) > limits.header:
            return None
        if b"\n" in value:
            value = value.replace(b"\r\n", b"").replace(b"\n", b"")
        headers.append(RawHeader(found[1].decode("ascii"), value.strip()))
    return headers


def _doubt_name(name: str, doubts: Doubts, place: str) -> None:
    """A header after a line that is none (some readers begin the body there), or with blanks before its colon (some
    do not see it): grave when the header says how to read the body."""
    doubts.add("ambiguous-structure" if name.lower() in STRUCTURAL else "bad-header", place)


def _look_for_stray_bytes(block: bytes, doubts: Doubts, place: str) -> None:
    if b"\0" in block or block.count(b"\r") != block.count(b"\r\n") + block.endswith(b"\r"):
        doubts.add("bad-header", place)
        if _HEADER_AFTER_CR.search(block):
            doubts.add("ambiguous-structure", place)


def doubt_repeats(block: Block, once: frozenset[str], doubts: Doubts, place: str) -> None:
    """Doubts about headers that stand twice: grave for a structural one with two values (RFC 2045 knows one)."""
    if not block.has_repeats():
        return
    for name in sorted(once | STRUCTURAL):
        values = block.every(name)
        if len(values) > 1:
            differ = len({value.lower() for value in values}) > 1
            grave = name in STRUCTURAL and differ
            doubts.add("ambiguous-structure" if grave else "repeated-header", place or name)


def shown(block: Block, doubts: Doubts) -> tuple[Header, ...]:
    """The headers as `ParsedMessage` shows them: decoded, as a best guess."""
    return tuple(Header(h.name, header_text(h.value, doubts, "header")) for h in block.headers)
