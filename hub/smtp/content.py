"""The bytes between DATA and the final dot, piece by piece: dots are doubled, nothing else is changed.

A bare CR or LF is refused (Permanent): it could smuggle a second mail past the next server (libs.md §3).
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from hub.errors import Permanent
from hub.raw import Raw
from hub.smtp import answers


async def dotted(mail: Raw) -> AsyncIterator[bytes]:
    """The pieces as they go on the wire (RFC 5321 §4.5.2), the last of them with a line end; the final dot is not
    among them. Raises Permanent, and what the mail's own pieces raise."""
    held = b""  # a CR whose LF comes with the next piece
    is_line_start = True
    async for piece in mail.pieces():
        piece = held + piece
        held = b"\r" if piece.endswith(b"\r") else b""
        if held:
            piece = piece[:-1]
        if not piece:
            continue
        if not piece.count(b"\r\n") == piece.count(b"\n") == piece.count(b"\r"):
            raise _bare()
        stuffed = (b"." if is_line_start and piece.startswith(b".") else b"") + piece.replace(b"\r\n.", b"\r\n..")
        is_line_start = piece.endswith(b"\n")
        yield stuffed
    if held:
        raise _bare()
    if not is_line_start:
        yield b"\r\n"


def _bare() -> Permanent:
    return Permanent("a bare CR or LF stands in the outgoing message", answers.REFUSED)
