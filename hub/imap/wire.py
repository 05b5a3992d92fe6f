"""Cuts the bytes of an IMAP server into answers, in time linear in the bytes, within caps.

An answer is a tuple that alternates text and literals: `(text,)` or `(text, literal, text, …)`, line ends and
`{size}` announcements removed. Nothing recurses and nothing is scanned twice, however the bytes were cut. A cap that
is hit raises SurpriseOnWire: the connection must be closed, for the place in the stream is lost.
"""

from __future__ import annotations

import re

Answer = tuple[bytes, ...]

LINE_MOST = 1024**2  # libs.md §2: cap on one line; UID SEARCH is asked in windows that fit
LITERALS_MOST = 64  # literals in one answer; we never ask for more than one, and `literal_most` caps their sum
_LITERAL = re.compile(rb"~?\{(\d{1,12})\+?\}$")
# Status texts are written for humans and hold no literal (RFC 3501 §7.1): `* OK see {12}` announces nothing.
_STATUS = re.compile(rb"(?:\+|[^ ]+ (?:OK|NO|BAD|BYE|PREAUTH)(?: |$))", re.IGNORECASE)


class SurpriseOnWire(Exception):
    """The server broke the protocol or a cap. `code` says which."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Splitter:
    """Feed it bytes in any pieces; it gives back whole answers. `literal_most` may be changed between commands."""

    def __init__(self, literal_most: int, line_most: int = LINE_MOST) -> None:
        self.literal_most = literal_most
        self.line_most = line_most
        self._line = bytearray()
        self._parts: list[bytes] = []
        self._text_size = 0
        self._literal_size = 0
        self._literal: bytearray | None = None
        self._wanted = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is half read."""
        return not self._line and not self._parts and self._literal is None

    def feed(self, raw: bytes) -> list[Answer]:
        """The answers that these bytes complete, in order. Raises SurpriseOnWire."""
        answers: list[Answer] = []
        view, position, end = memoryview(raw), 0, len(raw)
        while position < end:
            if self._literal is not None:
                piece = view[position : position + self._wanted - len(self._literal)]
                self._literal += piece
                position += len(piece)
                self._end_literal()
                continue
            newline = raw.find(b"\n", position)
            stop = end if newline < 0 else newline + 1
            self._line += view[position:stop]
            position = stop
            if self._text_size + len(self._line) > self.line_most:
                raise SurpriseOnWire("line-cap")
            if newline >= 0 and (answer := self._end_line()) is not None:
                answers.append(answer)
        return answers

    def _end_literal(self) -> None:
        if self._literal is not None and len(self._literal) == self._wanted:
            self._parts.append(bytes(self._literal))
            self._literal = None

    def _end_line(self) -> Answer | None:
        """The whole answer, None when the line announces a literal and so goes on."""
        text = bytes(self._line).rstrip(b"\r\n")
        self._line.clear()
        self._text_size += len(text)
        announced = None
        if text.endswith(b"}") and not (not self._parts and _STATUS.match(text)):
            announced = _LITERAL.search(text)
        if announced is None:
            answer = (*self._parts, text)
            self._parts.clear()
            self._text_size = self._literal_size = 0
            return answer
        self._wanted = int(announced.group(1))
        self._literal_size += self._wanted
        if self._literal_size > self.literal_most or len(self._parts) >= 2 * LITERALS_MOST:
            raise SurpriseOnWire("literal-cap")
        self._parts.append(text[: announced.start()])
        self._literal = bytearray()
        self._end_literal()
        return None
