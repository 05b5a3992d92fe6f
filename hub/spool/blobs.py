"""Content-addressed blobs, sealed at rest, durable before the row that names them.

In flow clear bytes, whole (`put`) or piece by piece (`sink`: no clear byte ever touches the disk); out flow a
`StoredBlob`. Small ones travel in their row; larger ones go to `blobs/ab/abcd…`, by way of `blobs/incoming/`: write,
fsync(file), rename, fsync(folder), and only then may a transaction name them.
A full or failing disk raises Temporary, and leaves at most a leftover that `clean` removes; altered or missing bytes
raise Damaged. Nothing that a row names is ever removed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy.engine import Connection

from hub.database import Database
from hub.errors import Damaged, Temporary
from hub.ports import Clock, StoredBlob
from hub.raw import Raw, Whole, joined
from hub.spool import janitor
from hub.spool.sealed import SealedFile
from hub.spool.sink import BlobFolder, BlobSealer, Sink
from hub.spool.statements import READ_BLOB, insert_new_blob


class BlobStore:
    """`hub.ports.Blobs` on a folder and the database; one for a whole site, any number of processes."""

    def __init__(self, folder: Path, database: Database, sealer: BlobSealer, inline_most: int, clock: Clock) -> None:
        """`inline_most`: bytes up to which a blob stays in its row. `folder` is made at need."""
        self._folder = BlobFolder(folder)
        self._database = database
        self._sealer = sealer
        self._inline_most = inline_most
        self._clock = clock
        self._started_at = clock()

    async def put(self, raw: bytes) -> StoredBlob:
        """Raises Temporary (disk full)."""
        if len(raw) <= self._inline_most:
            return self._inline(raw)
        sink = self.sink()
        try:
            await sink.write(raw)
            return await sink.finish()
        finally:
            await sink.discard()

    def sink(self) -> Sink:
        """A blob in the making."""
        return Sink(self._folder, self._sealer, self._inline_most, self._inline)

    def name(self, connection: Connection, blob: StoredBlob) -> None:
        """Insert its row in the caller's transaction; nothing when the row is already there. Raises Temporary when
        the file went away before it was named (the janitor took it for a leftover): write the blob again."""
        connection.execute(insert_new_blob(connection), self._row(connection, blob))

    def name_all(self, connection: Connection, blobs: Iterable[StoredBlob]) -> None:
        """`name` for each, by one statement."""
        connection.execute(insert_new_blob(connection), [self._row(connection, blob) for blob in blobs])

    def _row(self, connection: Connection, blob: StoredBlob) -> dict[str, object]:
        if blob.sealed is None:
            janitor.keep_out(connection)
            if not self._folder.path(blob.sha256).is_file():
                raise Temporary(f"blob {blob.sha256[:12]}: its file went away before it was named")
        return {
            "sha256": blob.sha256,
            "size": blob.size,
            "key_id": blob.key_id,
            "sealed": blob.sealed,
            "created_at": self._clock(),
        }

    async def open(self, sha256: str) -> Raw:
        """Raises Damaged (altered, missing), Temporary (disk); so do the pieces."""

        def look(connection: Connection) -> Raw:
            row = connection.execute(READ_BLOB, {"wanted": sha256}).first()
            if row is None:
                raise Damaged(f"blob {sha256[:12]} is not in the spool")
            return self.raw_of(sha256, row.size, row.sealed)

        return await self._database.read(look)

    def raw_of(self, sha256: str, size: int, sealed: bytes | None) -> Raw:
        """The clear bytes of a blob whose row was read already."""
        if sealed is not None:
            return Whole(self.opened(sealed, sha256))
        return SealedFile(self._folder.path(sha256), self._sealer, sha256, size)

    async def get(self, sha256: str) -> bytes:
        return await joined(await self.open(sha256))

    def opened(self, sealed: bytes, sha256: str) -> bytes:
        """The clear bytes of a small blob, as its row has them sealed. Its digest is part of what the seal proves.
        Raises Damaged, Misconfigured (unknown key)."""
        return self._sealer.open(sealed, _row_aad(sha256))

    async def clean(self) -> janitor.Cleaned:
        """At a start: remove temp files of processes that died, and files that were never named. Says how many."""
        started, now = self._started_at.timestamp(), self._clock().timestamp()
        return await asyncio.to_thread(janitor.clean, self._folder.root, self._database, started, now)

    def _inline(self, raw: bytes) -> StoredBlob:
        sha256 = hashlib.sha256(raw).hexdigest()
        return StoredBlob(sha256, len(raw), self._sealer.current_id, self._sealer.seal(raw, _row_aad(sha256)))


def _row_aad(sha256: str) -> bytes:
    return b"blob:" + sha256.encode("ascii")
