"""What the API of the directory answered, kept for the time when it does not: a small SQLite file that all processes of
a site share. The key of a question is a digest; the answers are entries of the public directory.

Failures: none that matter to whoever asks. A file that cannot be read or written remembers nothing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from hub.directory import Entry

FILE = "directory-api.db"
_WAIT = 2.0  # seconds for another process that writes
_TABLE = "CREATE TABLE IF NOT EXISTS answer (key TEXT PRIMARY KEY, at TEXT NOT NULL, raw BLOB NOT NULL) WITHOUT ROWID"
_MOST = 5_000  # answers


@dataclass(frozen=True, slots=True)
class Answered:
    """`is_whole`: the API had no more."""

    at: datetime
    entries: tuple[Entry, ...]
    is_whole: bool = True


class Remembered:
    def __init__(self, folder: Path, kept_for: timedelta) -> None:
        self._file = folder / FILE
        self._kept_for = kept_for

    def of(self, question: str) -> Answered | None:
        try:
            with self._opened() as database:
                row = database.execute("SELECT raw FROM answer WHERE key = ?", (_key(question),)).fetchone()
            return None if row is None else msgspec.msgpack.decode(row[0], type=Answered)
        except (sqlite3.Error, OSError, msgspec.MsgspecError):
            return None

    def keep(self, question: str, answered: Answered) -> None:
        """The oldest are forgotten: those over their time, and the twentieth part when there are too many."""
        forgotten = (answered.at - self._kept_for).isoformat()
        try:
            with self._opened() as database, database:
                row = (_key(question), answered.at.isoformat(), msgspec.msgpack.encode(answered))
                database.execute("INSERT OR REPLACE INTO answer VALUES (?, ?, ?)", row)
                database.execute("DELETE FROM answer WHERE at < ?", (forgotten,))
                (number,) = database.execute("SELECT count(*) FROM answer").fetchone()
                if number > _MOST:
                    oldest = "DELETE FROM answer WHERE key IN (SELECT key FROM answer ORDER BY at LIMIT ?)"
                    database.execute(oldest, (number - _MOST * 19 // 20,))
        except (sqlite3.Error, OSError):
            return

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.touch(mode=0o600)  # it shows what was searched for
        with closing(sqlite3.connect(self._file, timeout=_WAIT)) as database:
            database.execute(_TABLE)
            yield database


def _key(question: str) -> str:
    return hashlib.sha256(question.encode("utf-8")).hexdigest()
