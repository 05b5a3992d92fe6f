"""Makes the database of the directory from an extraction: one SQLite file, written whole beside the one that is in use.

An extraction and the former database flow in, a new file and an account of it (`Account`) flow out. Lines are read one
by one; memory does not grow with their number. Several lines of one address are one entry. What the former database had
and the extraction has no more is taken over as gone, as long as `remembered_for` says. Lines that cannot be read are
counted; too many of them, or an extraction much shorter than the former, raise `Refused`, and nothing is left.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hub.settings import DirectorySettings
from hub.trust.directory.columns import Broken, fields_of, indexed, is_header
from hub.trust.directory.extraction import Refused, Text, opened, published_at

SCHEMA = "1"  # of this file; another one is made anew
_BATCH = 2_000
_ROLES_MOST = 50  # of one address; nobody has ten
_CACHE = 24 * 1024  # KB
# No journal: the file is nobody's before it is whole, and a crash leaves a draft that is thrown away.
_BEGIN = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -{_CACHE};
PRAGMA temp_store = FILE;
CREATE TABLE said (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE entry (
  id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, lines TEXT NOT NULL, seen_at TEXT, gone_at TEXT
);
CREATE TABLE common (word TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE VIRTUAL TABLE word USING fts5(
  names, rest, content='', columnsize=0, detail=column, prefix='1 2 3', tokenize='unicode61 remove_diacritics 2'
);
INSERT INTO word(word, rank) VALUES ('automerge', 0);
INSERT INTO word(word, rank) VALUES ('hashsize', {8 * 1024**2});
"""  # noqa: S608  (numbers of ours)
_NEW_ENTRY = "INSERT INTO entry (address, lines, seen_at, gone_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_NEW_WORDS = "INSERT INTO word (rowid, names, rest) VALUES (?, ?, ?)"
_OLD_WORDS = "INSERT INTO word (word, rowid, names, rest) VALUES ('delete', ?, ?, ?)"
# Words of so many entries that their beginnings would add nothing but time: half a million lines have 300 of them.
_COMMON = """
CREATE VIRTUAL TABLE temp.counted USING fts5vocab(main, word, row);
INSERT INTO common SELECT term FROM counted WHERE doc >= 2000;
"""
_LEFT = """
SELECT address, lines, coalesce(seen_at, :former), gone_at FROM former.entry AS old
WHERE (gone_at IS NULL OR gone_at >= :forgotten_before)
  AND NOT EXISTS (SELECT 1 FROM main.entry AS new WHERE new.address = old.address)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an extraction gave. `name` is that of its text, `at` when it was made. `lines`: those that were read,
    `kinds` by type of mailbox; `broken`: those that were left out, by what is wrong. `gone`: entries of former ones."""

    name: str
    at: datetime
    lines: int
    entries: int
    gone: int
    kinds: dict[str, int] = field(default_factory=dict)
    broken: dict[str, int] = field(default_factory=dict)


def build(
    extraction: Path,
    draft: Path,
    *,
    former: Path | None,
    at: datetime,
    settings: DirectorySettings,
    accepts_smaller: bool = False,
) -> Account:
    """Writes the new file `draft`. `at` (aware UTC): now, for an extraction whose name has no date. Raises Refused,
    OSError; sqlite3.Error when the disk fails."""
    try:
        with (
            opened(extraction, settings.unpacked_most) as text,
            closing(sqlite3.connect(draft.resolve().as_uri(), isolation_level=None, uri=True)) as database,
        ):
            return _Build(database, text, at, settings).run(former, accepts_smaller)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


class _Build:
    def __init__(self, database: sqlite3.Connection, text: Text, at: datetime, settings: DirectorySettings) -> None:
        self._database = database
        self._text = text
        self._at = published_at(text.name) or at
        self._settings = settings
        self._kinds: Counter[str] = Counter()
        self._broken: Counter[str] = Counter()
        self._words: list[tuple[int, str, str]] = []

    def run(self, former: Path | None, accepts_smaller: bool) -> Account:
        self._database.executescript(_BEGIN)
        has_former = former is not None and self._attaches(former)
        self._database.execute("BEGIN")
        for line, fields in self._readable():
            self._kinds[fields[0]] += 1
            self._take(line, fields)
        lines = sum(self._kinds.values())
        broken = sum(self._broken.values())
        if broken > self._settings.broken_most * (lines + broken):
            raise Refused("lines", f"{broken} of {lines + broken}")
        entries = self._count()
        if has_former:
            self._take_over(lines, accepts_smaller)
        account = Account(
            name=self._text.name,
            at=self._at,
            lines=lines,
            entries=entries,
            gone=self._count() - entries,
            kinds=dict(self._kinds),
            broken=dict(self._broken),
        )
        said = {
            **{"schema": SCHEMA, "name": account.name, "at": account.at.isoformat(), "lines": str(lines)},
            **{"entries": str(entries), "gone": str(account.gone)},
            **{f"kind {kind}": str(number) for kind, number in self._kinds.items()},
            **{f"broken {code}": str(number) for code, number in self._broken.items()},
        }
        self._database.executemany("INSERT INTO said VALUES (?, ?)", said.items())
        self._database.execute("COMMIT")
        self._database.execute("INSERT INTO word(word) VALUES ('optimize')")
        self._database.executescript(_COMMON)
        return account

    def _readable(self) -> Iterator[tuple[str, list[str]]]:
        raws = self._text.lines(self._settings.unpacked_most)
        header = next(raws, b"").removeprefix(b"\xef\xbb\xbf")
        if not is_header(header.decode("utf-8", "replace").rstrip("\r")):
            raise Refused("header")
        for raw in raws:
            try:
                line = raw.decode("utf-8").rstrip("\r")
                if not line:
                    continue
                if not line.isprintable():
                    line = "".join(letter if letter.isprintable() else " " for letter in line)
                yield line, fields_of(line)
            except UnicodeDecodeError:
                self._broken["utf-8"] += 1
            except Broken as broken:
                self._broken[broken.code] += 1

    def _take(self, line: str, fields: list[str]) -> None:
        cursor = self._database.execute(_NEW_ENTRY, (fields[1].lower(), line, None, None))
        if not cursor.rowcount:
            self._add_activity(line, fields)
            return
        assert cursor.lastrowid is not None
        self._note(cursor.lastrowid, *indexed(fields))

    def _add_activity(self, line: str, fields: list[str]) -> None:
        """A further line of an address: its words join those of the lines before."""
        self._flush()
        key = fields[1].lower()
        number, before = self._database.execute("SELECT id, lines FROM entry WHERE address = ?", (key,)).fetchone()
        lines = before.split("\n")
        if line in lines:
            return
        if len(lines) == _ROLES_MOST:
            self._broken["repeated"] += 1
            return
        self._database.execute(_OLD_WORDS, (number, *_words_of(lines)))
        lines.append(line)
        self._database.execute("UPDATE entry SET lines = ? WHERE id = ?", ("\n".join(lines), number))
        self._note(number, *_words_of(lines))

    def _attaches(self, former: Path) -> bool:
        try:
            self._database.execute("ATTACH ? AS former", (immutable(former),))
        except sqlite3.DatabaseError as error:
            return _unless_damaged(error)
        return True

    def _take_over(self, lines: int, accepts_smaller: bool) -> None:
        """What was in the former database. One that is damaged, or of another version, has nothing (more) to give."""
        try:
            said = dict(self._database.execute("SELECT name, value FROM former.said"))
            if said.get("schema") != SCHEMA:
                return
            if not accepts_smaller and lines < int(said["lines"]) * (1 - self._settings.shrink_most / 100):
                raise Refused("shrunk", f"{lines} lines, {said['lines']} before")
            forgotten = (self._at - self._settings.remembered_for).isoformat()
            left = self._database.execute(_LEFT, {"former": said["at"], "forgotten_before": forgotten})
            for key, kept, seen_at, gone_at in left:
                cursor = self._database.execute(_NEW_ENTRY, (key, kept, seen_at, gone_at or self._at.isoformat()))
                assert cursor.lastrowid is not None
                self._note(cursor.lastrowid, *_words_of(kept.split("\n")))
        except sqlite3.DatabaseError as error:
            _unless_damaged(error)

    def _note(self, number: int, names: str, rest: str) -> None:
        self._words.append((number, names, rest))
        if len(self._words) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._database.executemany(_NEW_WORDS, self._words)
        self._words.clear()

    def _count(self) -> int:
        self._flush()
        (number,) = self._database.execute("SELECT count(*) FROM entry").fetchone()
        return int(number)


def immutable(path: Path) -> str:
    """The URI of a database that is never written in its place: no lock, no journal, also on a read-only disk."""
    return f"{path.resolve().as_uri()}?mode=ro&immutable=1"


def _unless_damaged(error: sqlite3.DatabaseError) -> bool:
    """False for a database that cannot be read; whatever else is wrong (the disk) is raised."""
    code = error.sqlite_errorcode & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        code == sqlite3.SQLITE_ERROR and "no such table" in str(error)
    ):
        return False
    raise error


def _words_of(lines: list[str]) -> tuple[str, str]:
    """The words of all the lines of an entry."""
    each = [indexed(fields_of(line)) for line in lines]
    return " ".join(names for names, _ in each), " ".join(rest for _, rest in each)
