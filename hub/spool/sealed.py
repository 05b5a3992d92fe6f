"""A large blob read back piece by piece (`hub.raw.Raw`): its file is opened, unsealed and checked as it flows.

Each chunk is authenticated by itself (AES-GCM) and the digest of the whole is known before the last piece is given, so
that no altered or shortened blob is ever taken for whole. Raises Damaged (altered, missing), Temporary (disk).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import BinaryIO

from hub.errors import Damaged, Temporary
from hub.raw import PIECE
from hub.spool.sink import STREAM_AAD, BlobSealer, reason_of


class SealedFile:
    def __init__(self, path: Path, sealer: BlobSealer, sha256: str, size: int) -> None:
        self._path = path
        self._sealer = sealer
        self._sha256 = sha256
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    async def pieces(self) -> AsyncIterator[bytes]:
        if self._size < PIECE:  # the usual message: one turn of a thread instead of three
            if whole := await asyncio.to_thread(self._whole):
                yield whole
            return
        try:
            file = await asyncio.to_thread(self._path.open, "rb")
        except FileNotFoundError:
            raise Damaged(f"blob {self._sha256[:12]}: its file is missing") from None
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            clear = self._clear(file)
            while piece := await asyncio.to_thread(next, clear, b""):
                yield piece
        except OSError as error:
            raise self._unreadable(error) from None
        finally:
            file.close()

    def _whole(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return b"".join(self._clear(file))
        except FileNotFoundError:
            raise Damaged(f"blob {self._sha256[:12]}: its file is missing") from None
        except OSError as error:
            raise self._unreadable(error) from None

    def _clear(self, file: BinaryIO) -> Iterator[bytes]:
        """Clear pieces of about PIECE bytes; in a thread, one `next` at a time."""
        digest, held = hashlib.sha256(), bytearray()
        for chunk in self._sealer.opening(iter(lambda: file.read(PIECE), b""), STREAM_AAD):
            digest.update(chunk)
            if len(held) >= PIECE:
                yield bytes(held)
                held.clear()
            held += chunk
        if digest.hexdigest() != self._sha256:
            raise Damaged(f"blob {self._sha256[:12]}: its digest differs")
        if held:
            yield bytes(held)

    def _unreadable(self, error: OSError) -> Temporary:
        return Temporary(f"blob {self._sha256[:12]}: cannot be read: {reason_of(error)}")
