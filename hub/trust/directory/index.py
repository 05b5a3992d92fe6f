"""The directory as it was last imported: what was typed flows in, entries flow out, the nearest first.

One SQLite file that is only read; whoever refreshes it puts a new one in its place, which is taken up at the next
question. Words are met without accents and case, in any order, whole words of a name before beginnings of words. Calls
run in a thread. Failures: `DirectoryAway` (nothing was imported yet, the file cannot be read).
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from pathlib import Path

from hub.directory import Entry, Found, Term, Wanted, address_key, closeness, terms_of
from hub.errors import Temporary
from hub.trust.directory.build import SCHEMA, Account, immutable
from hub.trust.directory.columns import department_word, entry_of, kind_word
from hub.trust.kept import Kept

FILE = "directory.db"
_CANDIDATES = 200  # looked at for one answer, so that the nearest come first
_CACHE = 16 * 1024  # KB. Not mapped: a shared disk that drops the replaced file would kill who reads it
_MEETING = """
SELECT entry.id, lines, seen_at, gone_at FROM word JOIN entry ON entry.id = word.rowid WHERE word MATCH ? LIMIT ?
"""
_AT = "SELECT id, lines, seen_at, gone_at FROM entry WHERE address >= ? AND address < ? LIMIT ?"
_LAST = "\U0010ffff"
Row = tuple[int, str, str | None, str | None]


class DirectoryAway(Temporary):
    """`code`: `never-loaded`, `unreadable`, or what `FetchFailed` says of the API."""

    def __init__(self, code: str) -> None:
        super().__init__(f"directory: {code}", "L'annuaire n'est pas disponible pour le moment : hub directory status")
        self.code = code


class ExtractionIndex:
    """Safe for many tasks and threads: one connection, one question at a time."""

    def __init__(self, folder: Path) -> None:
        self._kept = Kept(folder, FILE)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._database: sqlite3.Connection | None = None
        self._account: Account | None = None
        self._common: frozenset[str] = frozenset()

    async def find(self, wanted: Wanted) -> Found:
        """Raises DirectoryAway."""
        return await asyncio.to_thread(self.find_now, wanted)

    async def at(self, address: str) -> Entry | None:
        """The entry of an address, also one that is there no more. Raises DirectoryAway."""
        return await asyncio.to_thread(self.at_now, address)

    def find_now(self, wanted: Wanted) -> Found:
        terms = terms_of(wanted.text)
        if not terms:
            return Found()
        with self._lock:
            entries = self._entries(self._met(wanted, terms))
        entries = [entry for entry in entries if wanted.fits(entry)]
        entries.sort(key=lambda entry: closeness(entry, terms))
        return Found(entries=tuple(entries[: wanted.limit]), is_whole=len(entries) <= wanted.limit)

    def at_now(self, address: str) -> Entry | None:
        key = address_key(address)
        with self._lock:
            return next(iter(self._entries(self._rows(_AT, (key, f"{key}\0", 1)))), None)

    def account(self) -> Account:
        """Raises DirectoryAway."""
        with self._lock:
            self._opened()
            assert self._account is not None
            return self._account

    def close(self) -> None:
        with self._lock:
            self._forget()

    # --- one question

    def _met(self, wanted: Wanted, terms: tuple[Term, ...]) -> Iterable[Row]:
        """Each row once: those with whole words, one of a name; then those with beginnings of words anywhere. When
        these are too many to look at all, the ones that have a name are not missed."""
        most = max(_CANDIDATES, wanted.limit + 1)
        if "@" in wanted.text:
            key = address_key(wanted.text)
            if rows := self._rows(_AT, (key, key + _LAST, most)):
                return rows
        met = self._meeting(_query(wanted, terms, named=True), most)
        if len(met) < most:
            open_words = {word for term in terms for form in term.forms for word in form} - self._common
            anywhere = self._meeting(_query(wanted, terms, open_words), most)
            if len(anywhere) == most:
                met |= self._meeting(_query(wanted, terms, open_words, named=True), most)
            met |= anywhere
        return met.values()

    def _meeting(self, query: str, most: int) -> dict[int, Row]:
        return {row[0]: row for row in self._rows(_MEETING, (query, most))}

    def _rows(self, statement: str, values: tuple[object, ...]) -> list[Row]:
        try:
            return self._opened().execute(statement, values).fetchall()
        except sqlite3.DatabaseError:
            self._forget()
            raise DirectoryAway("unreadable") from None

    def _entries(self, rows: Iterable[Row]) -> list[Entry]:
        entries = []
        for _, lines, seen_at, gone_at in rows:
            assert self._account is not None
            seen = datetime.fromisoformat(seen_at) if seen_at else self._account.at
            entries.append(entry_of(lines.split("\n"), seen, datetime.fromisoformat(gone_at) if gone_at else None))
        return entries

    # --- the file

    def _opened(self) -> sqlite3.Connection:
        try:
            stamp = self._kept.stamp()
        except OSError:
            raise DirectoryAway("unreadable") from None
        if self._database is not None and stamp == self._stamp:
            return self._database
        self._forget()
        if stamp is None:
            raise DirectoryAway("never-loaded")
        try:
            database = sqlite3.connect(immutable(self._kept.path), uri=True, check_same_thread=False)
            database.execute(f"PRAGMA cache_size = -{_CACHE}")
            self._account = _account_of(dict(database.execute("SELECT name, value FROM said")))
            self._common = frozenset(word for (word,) in database.execute("SELECT word FROM common"))
        except (sqlite3.DatabaseError, KeyError, ValueError):
            raise DirectoryAway("unreadable") from None
        self._database, self._stamp = database, stamp
        return database

    def _forget(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database, self._stamp = None, None


def _account_of(said: dict[str, str]) -> Account:
    if said["schema"] != SCHEMA:
        raise ValueError("of another version")
    return Account(
        name=said["name"],
        at=datetime.fromisoformat(said["at"]),
        lines=int(said["lines"]),
        entries=int(said["entries"]),
        gone=int(said["gone"]),
        kinds={name[5:]: int(value) for name, value in said.items() if name.startswith("kind ")},
        broken={name[7:]: int(value) for name, value in said.items() if name.startswith("broken ")},
    )


def _query(wanted: Wanted, terms: Sequence[Term], opened: Collection[str] = (), *, named: bool = False) -> str:
    """A query of FTS5. `opened`: words that may be beginnings of words; `named`: one of the words is of a name."""

    def spelled(form: Iterable[str]) -> str:
        return "(" + " AND ".join(f'"{word}"{"*" if word in opened else ""}' for word in form) + ")"

    conditions = ["(" + " OR ".join(map(spelled, term.forms)) + ")" for term in terms]
    if named:
        conditions.append("names : (" + " OR ".join(spelled(form) for term in terms for form in term.forms) + ")")
    if wanted.kind:
        conditions.append(f'rest : "{kind_word(wanted.kind)}"')
    if wanted.department:
        conditions.append(f'rest : "{department_word(wanted.department)}"')
    return " AND ".join(conditions)
