"""Bytes that may be many: a message as it came, a document, a mail that goes out; taken piece by piece.

A large one is never whole in the memory of a watcher or a worker: it flows from the sealed file to the reader's child,
or to an operator, a piece at a time. A small one is one piece.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

PIECE = 1024**2  # bytes of a piece, about


class Raw(Protocol):
    """`size` in bytes. `pieces` begins anew at each call; what it raises is said where it comes from."""

    @property
    def size(self) -> int: ...

    def pieces(self) -> AsyncIterator[bytes]: ...


class Whole:
    """Bytes that are in memory anyway."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @property
    def size(self) -> int:
        return len(self._raw)

    @property
    def is_ascii(self) -> bool:
        return self._raw.isascii()

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._raw


async def joined(raw: Raw) -> bytes:
    """All of it: for one who needs it whole."""
    return b"".join([piece async for piece in raw.pieces()])
