"""Base64 undone, strictly, at the price of one copy: what is decoded is never whole beside what it was decoded from.

In: bytes, or a view of some. Out: the bytes they spell, None when a foreign character, a padding in the middle or a cut
end stands in them. Blanks and line ends are nothing. A long content goes piece by piece, since the reader's child has
little memory and an honest mail may have 60 MB (`reading.memory`).
"""

from __future__ import annotations

import binascii

import pybase64

PIECE = 4 * 1024**2
_BLANKS = b"\r\n \t"
_WIDTH_LEAST = 32  # of lines for which that pays


def strict(written: bytes | memoryview) -> bytes | None:
    try:
        if len(written) > PIECE:
            return b"".join(_pieces(memoryview(written)))
        letters = _without_blanks(bytes(written))
        # More padding than a group has room for is let through by Python 3.11 and refused by later ones.
        is_whole = len(letters) % 4 == 0 and not letters.endswith(b"===")
        return pybase64.b64decode(letters, validate=True) if is_whole else None
    except binascii.Error:
        return None


def _without_blanks(written: bytes) -> bytes | bytearray:
    """Looking for one byte is nearly free beside the copy, and the base64 of a CDA stands on one line."""
    joined = _joined(written)
    has_blanks = b"\n" in joined or b" " in joined or b"\r" in joined or b"\t" in joined
    return joined.translate(None, _BLANKS) if has_blanks else joined


def _joined(written: bytes) -> bytes | bytearray:
    """Lines of one length, as nearly all writers make them, without their ends: two strokes instead of a look at each
    letter. Other lines stay as they are."""
    width = written.find(b"\r")
    if width < _WIDTH_LEAST:
        return written
    letters = bytearray(written.rstrip(_BLANKS))
    if letters[width :: width + 2].strip(b"\r") or letters[width + 1 :: width + 2].strip(b"\n"):
        return written
    del letters[width + 1 :: width + 2]
    del letters[width :: width + 1]
    return letters


def _pieces(written: memoryview) -> list[bytes]:
    """Raises binascii.Error."""
    pieces: list[bytes] = []
    left: bytes | bytearray = b""
    ended = False  # letters of a group of four that goes on in the next piece
    for at in range(0, len(written), PIECE):
        letters = left + _without_blanks(bytes(written[at : at + PIECE]))
        if ended and letters:
            raise binascii.Error("letters after the padding")
        whole = len(letters) - len(letters) % 4
        pieces.append(pybase64.b64decode(letters[:whole], validate=True))
        left, ended = letters[whole:], ended or letters[:whole].endswith(b"=")
    if left:
        raise binascii.Error("cut short")
    return pieces
