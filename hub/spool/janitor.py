"""The janitor: at a start, removes what a crash left in the blob folder, and nothing else.

Two sorts of leftovers: temp files whose writer died (older than this start, and no longer locked; where other hosts
may share the folder also older than the grace), and blob files that no row names (the crash came between the rename
and the commit) older than a grace that lets other processes finish what they hold. A file is removed inside a write
transaction that found no row for it, and `keep_out` makes naming and removing exclude each other: nothing that a row
names is ever removed.
What cannot be removed is left for the next start.
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection

from hub.database import Database
from hub.spool.sink import INCOMING
from hub.spool.statements import named_among

GRACE_SECONDS = 3600.0
BATCH = 500  # files compared with the database at once

_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_LOCK = 0x4875_6242  # any number that no other user of the same PostgreSQL database locks


@dataclass(frozen=True, slots=True)
class Cleaned:
    """How many files were removed. False when none; as text, how many in all."""

    temporary: int = 0
    unnamed: int = 0

    def __bool__(self) -> bool:
        return bool(self.temporary or self.unnamed)

    def __str__(self) -> str:
        return str(self.temporary + self.unnamed)


def clean(root: Path, database: Database, started: float, now: float) -> Cleaned:
    """`started` and `now` in seconds since the epoch, as file systems count. Raises Temporary (database away)."""
    # Locks of other hosts are only as good as the shared file system: there the age must tell too.
    drafts_before = started if database.is_sqlite else min(started, now - GRACE_SECONDS)
    temporary = sum(_removed_draft(draft, drafts_before) for draft in _files(root / INCOMING))
    unnamed = 0
    old = (path for path in _blob_files(root) if _changed_at(path) < now - GRACE_SECONDS)
    while batch := list(islice(old, BATCH)):
        unnamed += _clean_batch(database, batch, now)
    return Cleaned(temporary, unnamed)


def _clean_batch(database: Database, batch: list[Path], now: float) -> int:
    """A look first: as long as nothing was left behind, nobody waits for a write transaction of the janitor."""
    named = database.read_now(lambda connection: named_among(connection, [path.name for path in batch]))
    suspects = [path for path in batch if path.name not in named]
    if not suspects:
        return 0
    return database.write_now(lambda connection: _remove_unnamed(connection, suspects, now))


def keep_out(connection: Connection) -> None:
    """Before a transaction names a blob file that it then finds on the disk: no janitor removes files until it ends.
    On SQLite the write transaction itself excludes the janitor's."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _LOCK})


def _remove_unnamed(connection: Connection, suspects: list[Path], now: float) -> int:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    named = named_among(connection, [path.name for path in suspects])
    removed = 0
    for path in suspects:
        # Written again a moment ago: somebody is about to name it.
        if path.name not in named and _changed_at(path) < now - GRACE_SECONDS:
            removed += _removed(path)
    return removed


def _removed_draft(draft: Path, started: float) -> bool:
    """A temp file goes when its writer is dead: its lock is free. One that is newer than this start may have been
    made, and not yet locked, a moment ago."""
    if _changed_at(draft) >= started:
        return False
    try:
        with draft.open("r+b") as file:  # NFS locks only what may be written (flock(2))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return _removed(draft)
    except OSError:  # locked by its living writer, or gone
        return False


def _removed(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:  # gone already, or not ours to remove: the next start looks again
        return False
    return True


def _blob_files(root: Path) -> Iterator[Path]:
    for folder in sorted(root.glob("[0-9a-f][0-9a-f]")):
        yield from (path for path in _files(folder) if _BLOB_NAME.fullmatch(path.name))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _changed_at(path: Path) -> float:
    """Seconds since the epoch; infinity for a file that went away, so that nobody calls it old."""
    try:
        return path.stat().st_mtime
    except OSError:
        return float("inf")
