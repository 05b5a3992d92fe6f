"""Moves a site's data from SQLite to PostgreSQL: every table, in one transaction of the target.

In: the SQLite file, opened alone (whoever else has it open is found, and keeps us out), and an empty database. Out: the
same rows there, counted, their digests compared, sequences set. The source is only read. Whatever fails, also the
check that the caller adds, undoes the whole target: begin again. A million rows never stand in memory: they go by in
batches. Misconfigured: the source is in use or older than this hub, or the target is not empty; Temporary: a database
is away; Damaged: what arrived is not what left, or cannot be kept there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, Row, Table, bindparam, create_engine, event, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

import hub.tables  # noqa: F401  (fills SQLModel.metadata)
from hub.errors import Damaged, Misconfigured, Temporary
from hub.migrations import LATEST, HasEngine

BATCH = 200  # rows at once: one may hold a sealed blob of 96 KB

# What runs now, not what the site has: hints that the sweep gives again, processes that must not run during the move.
LEFT_BEHIND = frozenset({"queue", "host", "duty"})
_AT_BIRTH = {"journal_head": 1}  # rows that the schema itself makes


@dataclass(frozen=True, slots=True)
class Moved:
    """One table: how many rows, and the digest that both sides have (hex)."""

    table: str
    rows: int
    digest: str


class _Tally:
    """Counts rows and adds up their digests: the order in which engines give them does not matter."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, row: Row[Any]) -> None:
        self.rows += 1
        self._sum = (self._sum + int.from_bytes(hashlib.sha256(_canonical(row)).digest())) % 2**256

    @property
    def digest(self) -> str:
        return f"{self._sum:064x}"


def move(
    source: str,
    target: HasEngine,
    check: Callable[[Connection], None],
    told: Callable[[Moved], None] = lambda _: None,
) -> tuple[Moved, ...]:
    """Copy `source` (a sqlite url) into `target`, whose schema is there already. `check` runs on the target before the
    commit, and undoes all by raising. `told` hears of each table."""
    with _alone(source) as old, _named("the new database"), target.engine.begin() as new:
        _refuse_unless_empty(new)
        moved = []
        for table in tables():
            with _named(f"table {table.name}"):
                moved.append(_moved(old, new, table))
            told(moved[-1])
        for table in tables():
            _set_sequence(new, table)
        check(new)
    return tuple(moved)


def tables() -> list[Table]:
    """Those that move, each after those that it names."""
    return [table for table in SQLModel.metadata.sorted_tables if table.name not in LEFT_BEHIND]


@contextmanager
def _alone(source: str) -> Iterator[Connection]:
    """The SQLite file, which nobody else has open meanwhile: in WAL mode each connection keeps a lock that excludes
    ours (sqlite.org/pragma.html, locking_mode)."""
    engine = create_engine(source, connect_args={"timeout": 1}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in ("locking_mode=EXCLUSIVE", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")

    try:
        with _named("the SQLite file"), contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(engine.connect())
                version = _version(connection)
            except DBAPIError as error:
                if getattr(error.orig, "sqlite_errorname", "") not in ("SQLITE_BUSY", "SQLITE_LOCKED"):
                    raise
                raise Misconfigured(
                    "database_url: another process has the SQLite database open: stop hub serve, hub watch, every hub "
                    "worker and every other command first"
                ) from None
            if version != LATEST:
                raise Misconfigured(f"database_url: the database is at version {version}, not {LATEST}: run hub status")
            yield connection
    finally:
        engine.dispose()


def _version(connection: Connection) -> str | None:
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _refuse_unless_empty(new: Connection) -> None:
    for table in SQLModel.metadata.sorted_tables:
        rows = new.execute(select(func.count()).select_from(select(table).limit(2).subquery())).scalar_one()
        if rows > _AT_BIRTH.get(table.name, 0) or (table.name == "journal_head" and _is_used(new, table)):
            raise Misconfigured(f"--to: the new database is not empty (table {table.name}): make a new one (createdb)")


def _is_used(new: Connection, head: Table) -> bool:
    return bool(new.execute(select(func.max(head.c.number))).scalar())


def _moved(old: Connection, new: Connection, table: Table) -> Moved:
    left, arrived = _Tally(), _Tally()
    new.execute(table.delete())  # what the schema made
    own = _names_of_its_own_rows(table)
    for batch in _batches(old, table):
        for row in batch:
            left.add(row)
        # A row may name one that comes later: first without these names, then with them.
        new.execute(insert(table), [dict(row._mapping) | dict.fromkeys((c.name for c in own), None) for row in batch])
    for column in own:
        _name_again(old, new, table, column)
    for batch in _batches(new, table):
        for row in batch:
            arrived.add(row)
    if (left.rows, left.digest) != (arrived.rows, arrived.digest):
        raise Damaged(f"table {table.name}: {left.rows} rows left, {arrived.rows} arrived, or not the same ones")
    return Moved(table.name, arrived.rows, arrived.digest)


def _batches(connection: Connection, table: Table) -> Iterator[Iterable[Row[Any]]]:
    """A cursor of the server's side: PostgreSQL would otherwise give all rows at once."""
    options = {"stream_results": True, "yield_per": BATCH}
    yield from connection.execute(select(table), execution_options=options).partitions()


def _names_of_its_own_rows(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if any(key.column.table is table for key in column.foreign_keys)]


def _name_again(old: Connection, new: Connection, table: Table, column: Column[Any]) -> None:
    (key,) = table.primary_key.columns
    named = select(key.label("the_row"), column.label("the_name")).where(column.is_not(None))
    again = update(table).where(key == bindparam("the_row")).values({column.name: bindparam("the_name")})
    for batch in old.execute(named, execution_options={"yield_per": BATCH}).partitions():
        new.execute(again, [dict(row._mapping) for row in batch])


def _set_sequence(new: Connection, table: Table) -> None:
    """A number that PostgreSQL would give by itself goes on after the last one."""
    column = table.autoincrement_column
    if column is None or new.dialect.name != "postgresql":
        return
    last = new.execute(select(func.max(column))).scalar()
    if last is not None:
        asked = {"table": table.name, "column": column.name, "last": last}
        new.execute(text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)"), asked)


def _canonical(row: Row[Any]) -> bytes:
    """The same bytes for the same values, whichever engine gave them."""
    parts = []
    for value in row:
        match value:
            case None:
                kind, raw = b"n", b""
            case bool():
                kind, raw = b"b", b"1" if value else b"0"
            case int():
                kind, raw = b"i", str(value).encode()
            case float():
                kind, raw = b"f", value.hex().encode()
            case datetime():
                kind, raw = b"t", value.astimezone(UTC).isoformat().encode()
            case bytes():
                kind, raw = b"r", value
            case str():
                kind, raw = b"s", value.encode("utf-8", "surrogatepass")
            case _:
                raise TypeError(f"a {type(value).__name__} in a table")
        parts.append(kind + len(raw).to_bytes(8) + raw)
    return b"".join(parts)


@contextmanager
def _named(which: str) -> Iterator[None]:
    """The driver's text may quote values: only its class and its code are kept."""
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", None) or "no code"
        told = f"{which}: {type(error.orig).__name__} ({code})"
        if code[:2] in ("22", "23"):  # a value that has no place there, such as one written by another program
            raise Damaged(told, "Une valeur de l'ancienne base n'a pas sa place dans la nouvelle.") from None
        raise Temporary(told) from None
