"""A message carried inside a mail of ours, byte for byte, without ever being whole in memory.

`survey` looks through the original once and says how it can be carried; `Mail` is what goes out: our head, the
original, our tail. The original has CRLF line ends inside our mail, whatever it had before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from hub.raw import Raw

_LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE_MOST = 998  # RFC 5322 §2.1.1
_BOUNDARIES = 4  # looked for at once; that one of them stands in the original has no chance, unless it was chosen so


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """`size` with CRLF line ends, `encoding` the Content-Transfer-Encoding that it needs (`7bit` or `8bit`), `boundary`
    one that stands nowhere in it, `is_crlf` when its line ends are CRLF already."""

    size: int
    is_ascii: bool
    encoding: bytes
    boundary: bytes
    is_crlf: bool


class Mail:
    """A mail of ours (`hub.ports.Outgoing`): `head`, then the original when one is carried, then `tail`. What we write
    ourselves is ASCII."""

    def __init__(self, head: bytes, original: Raw | None = None, carried: Carried | None = None, tail: bytes = b""):
        self._head = head
        self._original = original
        self._carried = carried
        self._tail = tail

    @property
    def size(self) -> int:
        return len(self._head) + (self._carried.size if self._carried else 0) + len(self._tail)

    @property
    def is_ascii(self) -> bool:
        return self._carried is None or self._carried.is_ascii

    async def pieces(self) -> AsyncIterator[bytes]:
        if self._original is None or self._carried is None:
            yield self._head + self._tail
            return
        yield self._head
        ends = None if self._carried.is_crlf else _LineEnds()
        async for piece in self._original.pieces():
            yield ends.turned(piece) if ends else piece
        yield (ends.rest() if ends else b"") + self._tail


class AsItIs:
    """A mail that is final already (`hub.ports.Outgoing`): composed before, kept, sent byte for byte."""

    def __init__(self, raw: Raw, is_ascii: bool) -> None:
        self._raw = raw
        self.is_ascii = is_ascii

    @property
    def size(self) -> int:
        return self._raw.size

    def pieces(self) -> AsyncIterator[bytes]:
        return self._raw.pieces()


async def as_it_is(raw: Raw) -> AsItIs:
    """`raw` read once, to know whether an 8-bit byte stands in it."""
    return AsItIs(raw, all([piece.isascii() async for piece in raw.pieces()]))


async def survey(original: Raw, message_id: str) -> Carried:
    """`message_id` is that of the mail which will carry it: the boundary comes from it, so that nobody can choose a
    message that ends our parts."""
    seen = _Survey(message_id)
    async for piece in original.pieces():
        seen.look(piece)
    return seen.done()


class _Survey:
    def __init__(self, message_id: str) -> None:
        self._free = [_boundary(message_id, number) for number in range(_BOUNDARIES)]
        self._size = self._crlf = self._cr = self._lf = 0
        self._is_ascii = True
        self._line, self._longest = 0, 0  # the line that the last piece left open; the longest one
        self._before = b""  # the end of the last piece

    def look(self, piece: bytes) -> None:
        self._size += len(piece)
        self._crlf += piece.count(b"\r\n") + (self._before[-1:] == b"\r" and piece[:1] == b"\n")
        self._cr += piece.count(b"\r")
        self._lf += piece.count(b"\n")
        self._is_ascii = self._is_ascii and piece.isascii()
        self._look_at_lines(piece)
        window = self._before + piece
        self._free = [boundary for boundary in self._free if boundary not in window]
        self._before = window[-64:]  # longer than a boundary

    def _look_at_lines(self, piece: bytes) -> None:
        lengths = _lengths(piece)
        first = self._line + next(lengths)
        self._line, self._longest = first, max(self._longest, first)
        for length in lengths:
            self._line, self._longest = length, max(self._longest, length)

    def done(self) -> Carried:
        if not self._free:
            raise ValueError("the original holds every boundary that was to end it")
        plain = self._is_ascii and self._longest <= _LINE_MOST
        return Carried(
            size=self._size + (self._cr - self._crlf) + (self._lf - self._crlf),
            is_ascii=self._is_ascii,
            encoding=b"7bit" if plain else b"8bit",
            boundary=self._free[0],
            is_crlf=self._crlf == self._cr == self._lf,
        )


def _lengths(piece: bytes) -> Iterator[int]:
    """How long the lines of a piece are; CR and LF both end one (an empty line more does no harm)."""
    return map(len, piece.replace(b"\r", b"\n").split(b"\n"))


class _LineEnds:
    """Makes every line end CRLF, piece by piece. A CR at the end of a piece waits for what follows."""

    def __init__(self) -> None:
        self._waiting = b""

    def turned(self, piece: bytes) -> bytes:
        piece = self._waiting + piece
        self._waiting = b"\r" if piece.endswith(b"\r") else b""
        return _LINE_END.sub(b"\r\n", piece.removesuffix(b"\r") if self._waiting else piece)

    def rest(self) -> bytes:
        return b"\r\n" if self._waiting else b""


def _boundary(message_id: str, number: int) -> bytes:
    return b"=_hub_" + hashlib.sha256(f"{number} {message_id}".encode("utf-8", "replace")).hexdigest()[:32].encode()
