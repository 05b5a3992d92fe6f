"""Usagers as rows and back: candidates for the mind, searches for people, and the store side of the CSV import.

Candidates are found by indexes only and bounded, so that the cost stays flat with the number of usagers: first those
who share the INS, then a name and the birth date, then a name, then the date. Where the one with the INS suffices to
the mind, nobody else is looked for: among a million usagers a hundred and more are born on the same day. The mind
compares and decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    String,
    and_,
    bindparam,
    insert,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.engine import Connection

from hub.message import Identity, Usager, comparable
from hub.records.csv_lines import Problem
from hub.records.usagers_csv import UsagersRead
from hub.tables import UsagerRow

USAGER = UsagerRow.__table__  # type: ignore[attr-defined]

CANDIDATES_MOST = 50
_HOMONYMS_MOST = 200  # read, then the 50 best are kept: the same first given name first
_SEARCH_MOST = 50
_CHUNK = 500

_COLUMNS = (
    "id",
    "record_number",
    "ins",
    "ins_oid",
    "ins_status",
    "doubtful",
    "birth_name",
    "first_given",
    "given_names",
    "used_name",
    "used_given",
    "birth_date",
    "sex",
    "birth_place",
    "facility",
    "territory",
)
_WRITTEN = (*_COLUMNS[1:], "birth_name_key", "used_name_key")


def _best(rank: int, condition: Any, most: int) -> Any:
    found = select(literal(rank).label("rank"), *(USAGER.c[name] for name in _COLUMNS)).where(condition).limit(most)
    return select(found.subquery(f"by{rank}"))


_NAMES = [bindparam("name", type_=String), bindparam("other_name", type_=String)]
_SAME_NAME = or_(USAGER.c.birth_name_key.in_(_NAMES), USAGER.c.used_name_key.in_(_NAMES))
_SAME_DATE = USAGER.c.birth_date == bindparam("date")
ALL_USAGERS = select(*(USAGER.c[name] for name in _COLUMNS))
_BY_NAME = ALL_USAGERS.order_by(USAGER.c.birth_name_key, USAGER.c.first_given, USAGER.c.id).limit(_SEARCH_MOST)
_HOLDERS = ALL_USAGERS.where(USAGER.c.ins == bindparam("ins")).limit(2)
_CANDIDATES = union_all(
    _best(0, USAGER.c.ins == bindparam("ins"), CANDIDATES_MOST),
    _best(1, _SAME_DATE & _SAME_NAME, CANDIDATES_MOST),
    _best(2, _SAME_NAME, _HOMONYMS_MOST),
    _best(3, _SAME_DATE, CANDIDATES_MOST),
)


@dataclass(frozen=True, slots=True)
class _Asked:
    ins: str | None
    name: str | None
    other_name: str | None
    date: str | None

    @classmethod
    def of(cls, identity: Identity) -> _Asked:
        return cls(identity.ins, comparable(identity.birth_name), comparable(identity.used_name), identity.birth_date)


def candidates(
    connection: Connection,
    identities: Iterable[Identity],
    suffices: Callable[[Identity, Usager], bool] | None = None,
) -> tuple[Usager, ...]:
    """At most 50 usagers for each different identity, the likeliest first; see `hub.ports.Records.look_up`."""
    found: dict[str, Usager] = {}
    asked_before: set[_Asked] = set()
    for identity in identities:
        holder = _only_holder(connection, identity) if suffices is not None else None
        if suffices is not None and holder is not None and suffices(identity, holder):
            found.setdefault(holder.id, holder)
            continue
        asked = _Asked.of(identity)
        if asked in asked_before or asked == _Asked(None, None, None, None):
            continue
        asked_before.add(asked)
        for row in _likeliest(connection, asked, comparable(identity.first_given)):
            found.setdefault(row.id, usager_of(row))
    return tuple(found.values())


def _only_holder(connection: Connection, identity: Identity) -> Usager | None:
    holders = connection.execute(_HOLDERS, {"ins": identity.ins}).all() if identity.ins else []
    return usager_of(holders[0]) if len(holders) == 1 else None


def _likeliest(connection: Connection, asked: _Asked, given: str | None) -> list[Row[Any]]:
    values = {"ins": asked.ins, "name": asked.name, "other_name": asked.other_name, "date": asked.date}
    once: dict[str, Row[Any]] = {}
    for row in connection.execute(_CANDIDATES, values):
        if row.id not in once or row.rank < once[row.id].rank:
            once[row.id] = row
    if len(once) <= CANDIDATES_MOST:
        return sorted(once.values(), key=lambda row: row.rank)
    rows = sorted(once.values(), key=lambda row: (row.rank, comparable(row.first_given) != given))
    return rows[:CANDIDATES_MOST]


def usager_of(row: Row[Any]) -> Usager:
    return Usager(
        id=row.id,
        identity=Identity(
            ins=row.ins,
            oid=row.ins_oid,
            birth_name=row.birth_name,
            first_given=row.first_given,
            given_names=row.given_names,
            used_name=row.used_name,
            used_given=row.used_given,
            birth_date=row.birth_date,
            sex=row.sex,
            birth_place=row.birth_place,
        ),
        ins_status=row.ins_status,
        doubtful=row.doubtful,
        record_number=row.record_number,
        facility=row.facility,
        territory=row.territory,
    )


def usager(connection: Connection, key: str) -> Usager | None:
    """By id or record number."""
    row = connection.execute(ALL_USAGERS.where(or_(USAGER.c.id == key, USAGER.c.record_number == key))).first()
    return None if row is None else usager_of(row)


def search(connection: Connection, query: str) -> tuple[Usager, ...]:
    """By record number, INS, or the beginning of a birth or used name; everybody for an empty query. At most 50."""
    text = query.strip()
    if not text:
        return tuple(usager_of(row) for row in connection.execute(_BY_NAME))
    key = comparable(text) or ""
    conditions = (
        or_(USAGER.c.record_number == text, USAGER.c.ins == text.replace(" ", "")),
        _starts(connection, USAGER.c.birth_name_key, key),
        _starts(connection, USAGER.c.used_name_key, key),
    )
    # Each alone: an index then gives the first of thousands that begin alike, and nobody sorts them all.
    found = {row.id: usager_of(row) for each in conditions for row in connection.execute(_BY_NAME.where(each))}
    return tuple(sorted(found.values(), key=_name_order)[:_SEARCH_MOST])


def _name_order(usager: Usager) -> tuple[str, str, str]:
    return comparable(usager.identity.birth_name) or "", usager.identity.first_given or "", usager.id


def _starts(connection: Connection, column: Column[str], key: str) -> ColumnElement[bool]:
    """Whether a name begins so. SQLite reads the whole table for a LIKE, and its index for a range."""
    if connection.dialect.name == "sqlite":
        return and_(column >= key, column < key + "\U0010ffff")
    return column.startswith(key, autoescape=True)


def settle_territory(connection: Connection, usager_id: str, territory: str | None, now: datetime) -> None:
    values = {"territory": territory, "updated_at": now}
    connection.execute(update(USAGER).where(USAGER.c.id == usager_id).values(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What an import did, or would not do: with `problems` nothing at all was written."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: tuple[Problem, ...] = ()


_INSERT = insert(USAGER)
_UPDATE = update(USAGER).where(USAGER.c.id == bindparam("row_id"))


def store(connection: Connection, read: UsagersRead, now: datetime) -> Import:
    """Add or update by record number, whole or not at all. Columns absent from the file stay as they are."""
    if read.problems:
        return Import(problems=read.problems)
    if problems := tuple(_ins_elsewhere(connection, read)):
        return Import(problems=problems)
    known = _known(connection, [usager.record_number or "" for usager in read.usagers])
    columns = _written_columns(read.columns)
    added: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    for one in read.usagers:
        values = _values(one)
        row = known.get(one.record_number or "")
        if row is None:
            added.append({**values, "id": uuid4().hex, "updated_at": now})
        elif any(row[name] != values[name] for name in columns):
            changed.append({**{name: values[name] for name in columns}, "row_id": row["id"], "updated_at": now})
    if added:
        connection.execute(_INSERT, added)
    if changed:
        connection.execute(_UPDATE.values({n: bindparam(n) for n in (*columns, "updated_at")}), changed)
    return Import(added=len(added), changed=len(changed), unchanged=len(read.usagers) - len(added) - len(changed))


def _written_columns(columns: frozenset[str]) -> tuple[str, ...]:
    keys = {"birth_name_key": "birth_name", "used_name_key": "used_name"}
    return tuple(name for name in _WRITTEN if keys.get(name, name) in columns)


def _values(usager: Usager) -> dict[str, Any]:
    identity = usager.identity
    return {
        "record_number": usager.record_number,
        "ins": identity.ins,
        "ins_oid": identity.oid,
        "ins_status": usager.ins_status,
        "doubtful": usager.doubtful,
        "birth_name": identity.birth_name,
        "first_given": identity.first_given,
        "given_names": identity.given_names,
        "used_name": identity.used_name,
        "used_given": identity.used_given,
        "birth_date": identity.birth_date,
        "sex": identity.sex,
        "birth_place": identity.birth_place,
        "facility": usager.facility,
        "territory": usager.territory,
        "birth_name_key": comparable(identity.birth_name),
        "used_name_key": comparable(identity.used_name),
    }


def _known(connection: Connection, numbers: Sequence[str]) -> dict[str, dict[str, Any]]:
    columns = [USAGER.c[name] for name in ("id", *_WRITTEN)]
    rows: dict[str, dict[str, Any]] = {}
    for some in _chunks(numbers):
        for row in connection.execute(select(*columns).where(USAGER.c.record_number.in_(some))):
            rows[row.record_number] = dict(row._mapping)
    return rows


def _ins_elsewhere(connection: Connection, read: UsagersRead) -> Iterator[Problem]:
    """An INS of the file that the records know under a record number which the file does not correct."""
    by_ins = {one.identity.ins: (one, line) for one, line in zip(read.usagers, read.lines, strict=True)}
    numbers = {one.record_number for one in read.usagers}
    for some in _chunks([ins for ins in by_ins if ins]):
        for row in connection.execute(select(USAGER.c.ins, USAGER.c.record_number).where(USAGER.c.ins.in_(some))):
            one, line = by_ins[row.ins]
            corrected = row.record_number in numbers and "ins" in read.columns
            if row.record_number != one.record_number and not corrected:
                yield Problem(line, "ins", "cet INS appartient déjà à un autre dossier de la base")


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
