"""What the outbound deeds need, on fakes: blobs in memory, PDF copies made here, a fictional establishment."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy.engine import Connection

from hub.compose import Letterhead, WritingAs
from hub.errors import Damaged
from hub.pdf import Archived, archival
from hub.ports import Draft, StoredBlob
from hub.raw import Whole
from tests.pieces import DUI, faces


class MemoryBlobs:
    """A `hub.ports.Blobs`."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, raw: bytes) -> StoredBlob:
        sha256 = hashlib.sha256(raw).hexdigest()
        self.kept[sha256] = raw
        return StoredBlob(sha256, len(raw), "memory")

    def sink(self) -> Draft:
        raise NotImplementedError("nothing in these tests is large")

    def name(self, connection: Connection, blob: StoredBlob) -> None:
        assert blob.sha256 in self.kept

    async def open(self, sha256: str) -> Whole:
        return Whole(await self.get(sha256))

    async def get(self, sha256: str) -> bytes:
        if sha256 not in self.kept:
            raise Damaged("no such blob")
        return self.kept[sha256]


class Archivist:
    """A `hub.deeds.Papers`: what the reader's child does, done here."""

    async def archival(self, raw: bytes, at: datetime) -> Archived:
        return archival(raw, at)


def establishment(letterhead: Letterhead, size_most: int = 20 * 1024**2) -> WritingAs:
    return WritingAs(letterhead=letterhead, author=DUI, faces=faces(), size_most=size_most)
