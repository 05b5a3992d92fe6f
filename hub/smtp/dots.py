"""The bytes between 354 and the final dot: the mail comes out of them, piece by piece, as its author wrote it.

Only CRLF `.` CRLF ends a mail, and a bare CR or LF spoils it: servers that read an end where others read none let one
mail smuggle a second one past the next hop (libs.md §3). A spoiled mail is still read to its end, to be refused whole.
"""

from __future__ import annotations

from io import IncrementalNewlineDecoder

_END = b"\r\n.\r\n"
_BEGINNINGS = tuple(_END[:size] for size in range(len(_END) - 1, 0, -1))  # what may become an end, longest first


class Undotter:
    """Feed it what the client sends until `is_over`."""

    def __init__(self) -> None:
        self.is_over = False
        self.rest = b""  # what came after the end: the next command
        self._held = b"\r\n"  # the line end of DATA: a mail may be nothing but its final dot
        self._skipped = 2
        # Tells which sorts of line ends it saw, four times cheaper than to count them: a mail of 1 MB has 13,000.
        self._line_ends = IncrementalNewlineDecoder(None, translate=False)

    @property
    def is_spoiled(self) -> bool:
        """Whether a bare CR or LF was seen."""
        return self._line_ends.newlines not in (None, "\r\n")

    def feed(self, piece: bytes) -> bytes:
        """The bytes of the mail that are certain by now."""
        joined = self._held + piece if self._held else piece
        first, after = span_of_dots(joined)
        end = joined.find(_END, max(0, first - 2), after + 2)
        if end >= 0:
            self.is_over, self.rest, self._held = True, joined[end + len(_END) :], b""
            return self._clear(joined[: end + 2])
        self._held = next((one for one in _BEGINNINGS if joined.endswith(one)), b"")
        return self._clear(joined[: len(joined) - len(self._held)])

    def _clear(self, stuffed: bytes) -> bytes:
        self._line_ends.decode(stuffed.decode("latin-1"))
        first, after = span_of_dots(stuffed)
        clear = stuffed
        if after:
            begin = max(0, first - 2)
            clear = stuffed[:begin] + stuffed[begin:after].replace(b"\r\n.", b"\r\n") + stuffed[after:]
        if self._skipped and stuffed:
            clear, self._skipped = clear[self._skipped :], 0
        return clear


def span_of_dots(raw: bytes) -> tuple[int, int]:
    """Where the first dot is, and where the last one ends; (0, 0) without. Most of a mail is base64, which has none:
    to look for an end or a stuffed line there costs far more than to look for a dot."""
    first = raw.find(b".")
    return (first, raw.rfind(b".") + 1) if first >= 0 else (0, 0)
