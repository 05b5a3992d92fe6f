"""The journal: who did what, when, with what answer (ECO.4.1.1, ECO.4.1.2). Append-only, hash-chained.

`append` adds one entry inside the caller's transaction, so that a deed and its entry are one; `verify` reads the
whole chain. In flow an author, an action name and ids, codes or rule names; never a name, an INS, an address, a
subject or any content. A failed append undoes the deed.

The chain. `hash` is the SHA-256 (hex) of the UTF-8 bytes of the JSON array
`[number,at,author,action,message,request,answer,previous]`: no blanks, non-ASCII characters as `\\uXXXX`, `message`
null when there is none, `previous` the hash of entry `number - 1` (64 zeros for the first). The row `journal_head`
keeps the last number and hash: every append locks it, so that two processes cannot fork the chain, and an entry cut
off at the end shows. Whoever can write the database can also write a new chain: note the head elsewhere (`hub journal
verify` prints it, any later chain must still pass through it).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Row, Table, bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from hub.database import storable
from hub.errors import Damaged
from hub.tables import JournalHeadRow, JournalRow

START = "0" * 64  # `previous` of the first entry

TEXT_MOST = 2_000  # characters of a request or an answer: an entry is a line, not a file

_JOURNAL: Table = JournalRow.__table__  # type: ignore[attr-defined]
_HEAD: Table = JournalHeadRow.__table__  # type: ignore[attr-defined]
_READ_HEAD = select(_HEAD.c.number, _HEAD.c.hash).where(_HEAD.c.id == 1)
_LOCK_HEAD = _READ_HEAD.with_for_update()  # SQLite leaves it out: its one writer is already alone
_MOVE_HEAD = update(_HEAD).where(_HEAD.c.id == 1).values(number=bindparam("to_number"), hash=bindparam("to_hash"))
_ADD = insert(_JOURNAL)
_JSON = json.JSONEncoder(separators=(",", ":"))
_COLUMNS = ("number", "at", "author", "action", "message", "request", "answer", "previous", "hash")
_READ_CHAIN = select(*(_JOURNAL.c[name] for name in _COLUMNS)).order_by(_JOURNAL.c.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One deed as it was written. `at` is local time with its offset, ISO 8601."""

    number: int
    at: str
    author: str
    action: str
    message: str | None = None
    request: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Deed:
    """What an entry tells, before it has its number and its time. `message` when each is of another one."""

    action: str
    request: str = ""
    answer: str = ""
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How many entries there are, the first number at which the chain is broken (None: whole) and how, the head."""

    entries: int
    broken_at: int | None = None
    reason: str = ""
    head: str = START


def append(
    connection: Connection,
    at_local: datetime,
    author: str,
    action: str,
    request: str = "",
    answer: str = "",
    message: str | None = None,
) -> int:
    """Add one entry in the caller's transaction; its number. Make it the last lock that a transaction takes: the head
    is what all writers share. `at_local` is aware, in the site's time zone. Raises Damaged without a head row."""
    return append_all(connection, at_local, author, [Deed(action, request, answer)], message)


def append_all(
    connection: Connection, at_local: datetime, author: str, deeds: Iterable[Deed], message: str | None = None
) -> int:
    """`append` for each, in order, at the price of one head; the number of the last."""
    if at_local.tzinfo is None:
        raise ValueError("a naive datetime was about to be journaled")
    head = connection.execute(_LOCK_HEAD).first()
    if head is None:
        raise Damaged("the journal has no head row")
    number, previous = head.number, head.hash
    at, author = at_local.isoformat(timespec="milliseconds"), storable(author, 128)
    rows = []
    for deed in deeds:
        number += 1
        entry = Entry(
            number=number,
            at=at,
            author=author,
            action=deed.action,
            message=deed.message or message,
            request=storable(deed.request, TEXT_MOST),
            answer=storable(deed.answer, TEXT_MOST),
        )
        digest = entry_hash(entry, previous)
        rows.append(_row(entry, previous, digest))
        previous = digest
    connection.execute(_ADD, rows)
    connection.execute(_MOVE_HEAD, {"to_number": number, "to_hash": previous})
    return int(number)


def _row(entry: Entry, previous: str, digest: str) -> dict[str, object]:
    return {
        "number": entry.number,
        "at": entry.at,
        "author": entry.author,
        "action": entry.action,
        "message": entry.message,
        "request": entry.request,
        "answer": entry.answer,
        "previous": previous,
        "hash": digest,
    }


def entry_hash(entry: Entry, previous: str) -> str:
    """The link of one entry (see the head of this file)."""
    fields = [
        entry.number,
        entry.at,
        entry.author,
        entry.action,
        entry.message,
        entry.request,
        entry.answer,
        previous,
    ]
    return hashlib.sha256(_JSON.encode(fields).encode()).hexdigest()


def verify(connection: Connection) -> Verdict:
    """Read the whole chain: entries changed, removed, inserted, reordered, or cut off at the end show."""
    number, previous = 0, START
    for row in connection.execute(_READ_CHAIN, execution_options={"yield_per": 1000}):
        reason = _broken_link(row, number + 1, previous)
        if reason:
            return Verdict(entries=_count(connection), broken_at=number + 1, reason=reason, head=previous)
        number, previous = row.number, row.hash
    head = connection.execute(_READ_HEAD).first()
    if head is None:
        return Verdict(entries=number, broken_at=number + 1, reason="no head", head=previous)
    if head.number > number:
        return Verdict(entries=number, broken_at=number + 1, reason="cut off at the end", head=previous)
    if head.number < number:
        return Verdict(entries=number, broken_at=head.number + 1, reason="added beyond the head", head=previous)
    if head.hash != previous:
        return Verdict(entries=number, broken_at=max(number, 1), reason="differs from the head", head=previous)
    return Verdict(entries=number, head=previous)


def entries(
    connection: Connection,
    *,
    message: str | None = None,
    action: str | None = None,
    author: str | None = None,
    since: date | None = None,
    last: int = 50,
) -> tuple[Entry, ...]:
    """The last entries that answer to everything given, oldest first. `since` is a local day."""
    wanted = select(*(_JOURNAL.c[name] for name in _COLUMNS)).order_by(_JOURNAL.c.number.desc()).limit(last)
    for column, value in (("message", message), ("action", action), ("author", author)):
        if value is not None:
            wanted = wanted.where(_JOURNAL.c[column] == value)
    if since is not None:
        wanted = wanted.where(_JOURNAL.c.at >= since.isoformat())  # local time in ISO 8601: text sorts as time
    return tuple(_entry(row) for row in reversed(connection.execute(wanted).all()))


def newest(connection: Connection, actions: Iterable[str], among: int = 1_000) -> datetime | None:
    """When one of these actions was last told; None when it is not among the last entries."""
    wanted = (
        select(_JOURNAL.c.at)
        .where(_JOURNAL.c.number > length(connection) - among, _JOURNAL.c.action.in_(tuple(actions)))
        .order_by(_JOURNAL.c.number.desc())
        .limit(1)
    )
    found = connection.execute(wanted).scalar()
    return None if found is None else datetime.fromisoformat(found)


def length(connection: Connection) -> int:
    """How many entries were ever written."""
    return connection.execute(_READ_HEAD).scalar() or 0


def _broken_link(row: Row[tuple[object, ...]], expected: int, previous: str) -> str:
    """Why this row cannot follow, "" when it does."""
    if row.number != expected:
        return "removed"
    if row.previous != previous:
        return "does not follow the entry before"
    try:
        is_same = entry_hash(_entry(row), previous) == row.hash
    except (TypeError, ValueError):  # a value of a type that the hub never wrote (SQLite keeps any in any column)
        is_same = False
    return "" if is_same else "changed"


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    return Entry(
        number=row.number,
        at=row.at,
        author=row.author,
        action=row.action,
        message=row.message,
        request=row.request,
        answer=row.answer,
    )


def _count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(_JOURNAL)).scalar_one()
