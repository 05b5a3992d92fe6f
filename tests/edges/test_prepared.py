"""Statements that go straight to the driver: values, rows and errors as SQLAlchemy gives them, on each engine."""

from __future__ import annotations

import asyncio
import threading
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Table, bindparam, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError

from hub.database import Database
from hub.errors import Temporary
from hub.prepared import LIST_MOST, QuickConnection, Rows
from hub.tables import SeenRow, UsagerRow
from tests.edges.engines import database, database_url, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

USAGER: Table = UsagerRow.__table__  # type: ignore[attr-defined]
SEEN: Table = SeenRow.__table__  # type: ignore[attr-defined]
AT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
ADD = insert(USAGER)
READ = select(USAGER.c.id, USAGER.c.doubtful, USAGER.c.updated_at, USAGER.c.birth_name).order_by(USAGER.c.id)
AMONG = READ.where(USAGER.c.id.in_(bindparam("ids", expanding=True)))
OLDER = select(func.count()).where(USAGER.c.updated_at < bindparam("before"), USAGER.c.ins_status.in_(["a", "b"]))
RENAME = (
    update(USAGER)
    .where(USAGER.c.id == bindparam("wanted"))
    .values(birth_name=bindparam("name"))
    .returning(USAGER.c.id, USAGER.c.updated_at)
)


def person(number: int) -> dict[str, Any]:
    return {
        "id": f"u{number:03d}",
        "record_number": None,
        "ins_status": "a" if number % 2 else "c",
        "doubtful": number % 2 == 0,
        "birth_name": "D'ALMEYRAC \N{GREEK SMALL LETTER ALPHA}",
        "updated_at": AT + timedelta(seconds=number),
    }


def own_way(database: Database, work: Any) -> Any:
    """What SQLAlchemy alone makes of it."""
    with database.engine.connect() as connection:
        return work(connection)


def _all(statement: Any, values: dict[str, Any], connection: Connection) -> Any:
    return connection.execute(statement, values).all()


def filled(database: Database, count: int = 12) -> None:
    database.write_now(lambda c: [c.execute(ADD, person(number)) for number in range(count)])


def test_rows_and_values_are_those_of_sqlalchemy(database: Database) -> None:
    filled(database)
    asked = [(READ, {}), *((AMONG, {"ids": [f"u{n:03d}" for n in range(many)]}) for many in (1, 3, LIST_MOST, 11))]
    for statement, values in asked:
        ask = partial(_all, statement, values)
        expected = [tuple(row) for row in own_way(database, ask)]
        for _ in range(3):
            got = database.read_now(ask)
            assert [tuple(row) for row in got] == expected
            assert got[0].updated_at == AT
    moment = {"before": AT + timedelta(seconds=6)}
    assert [database.read_now(lambda c: c.execute(OLDER, moment).scalar_one()) for _ in range(3)] == [3, 3, 3]


def test_the_second_execution_goes_straight_to_the_driver(database: Database) -> None:
    filled(database)
    statement = READ.limit(3)  # met by nobody before
    assert [database.read_now(lambda c: isinstance(c.execute(statement), Rows)) for _ in range(3)] == [
        False,
        True,
        True,
    ]


def test_several_rows_and_returned_ones(database: Database) -> None:
    for start in (0, 4, 8):
        rows = [person(number) for number in range(start, start + 4)]
        database.write_now(partial(_add, rows))
    assert database.read_now(lambda c: len(c.execute(READ).all())) == 12
    for name in ("UN", "DEUX", "TROIS"):
        row = database.write_now(partial(_renamed, name))
        assert (row.id, row.updated_at) == ("u003", AT + timedelta(seconds=3))
    nobody = [database.write_now(lambda c: c.execute(RENAME, {"wanted": "x", "name": "n"}).first()) for _ in range(3)]
    assert nobody == [None, None, None]


def _add(rows: list[dict[str, Any]], connection: Connection) -> None:
    connection.execute(ADD, rows)


def _renamed(name: str, connection: Connection) -> Any:
    return connection.execute(RENAME, {"wanted": "u003", "name": name}).one()


def test_a_broken_constraint_is_the_same_error_and_writes_nothing(database: Database) -> None:
    filled(database, 3)

    def twice(connection: Connection) -> None:
        connection.execute(ADD, person(50))
        connection.execute(ADD, person(1))

    for _ in range(2):
        with pytest.raises(IntegrityError):
            database.write_now(twice)
    assert database.read_now(lambda c: len(c.execute(READ).all())) == 3


def test_what_sqlalchemy_executes_itself_is_in_the_same_transaction(database: Database) -> None:
    def mixed(connection: Connection) -> None:
        for number in range(3):
            connection.execute(ADD, person(number))
        connection.execute(text("DELETE FROM usager WHERE id = 'u001'"))
        raise RuntimeError("undo all")

    with pytest.raises(RuntimeError):
        database.write_now(mixed)
    assert database.read_now(lambda c: c.execute(READ).all()) == []


async def test_a_write_that_is_not_durable_is_there_at_once_and_leaves_the_next_one_durable(database: Database) -> None:
    await database.write(lambda c: c.execute(ADD, person(1)), durable=False)
    assert len(database.read_now(lambda c: c.execute(READ).all())) == 1
    with pytest.raises(IntegrityError):
        await database.write(lambda c: c.execute(ADD, person(1)), durable=False)
    told = await database.write(_durability)
    assert told == ("2" if database.is_sqlite else "on")


async def test_no_connection_goes_back_to_the_pool_less_durable_than_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = QuickConnection.run

    def breaks(self: QuickConnection, words: str) -> None:
        if words == "PRAGMA synchronous=FULL":
            raise DBAPIError(None, None, OSError())
        run(self, words)

    with monkeypatch.context() as patch:
        patch.setattr(QuickConnection, "run", breaks)
        with pytest.raises(Temporary) if database.is_sqlite else nullcontext():
            await database.write(lambda c: c.execute(ADD, person(1)), durable=False)
    for _ in range(3):
        assert await database.write(_durability) == ("2" if database.is_sqlite else "on")


def _durability(connection: Connection) -> str:
    asked = "PRAGMA synchronous" if connection.dialect.name == "sqlite" else "SHOW synchronous_commit"
    return str(connection.exec_driver_sql(asked).scalar())


async def test_a_brief_read_on_sqlite_needs_no_other_thread(database: Database) -> None:
    filled(database)
    here = threading.get_ident()
    for _ in range(2):
        where = await database.read(lambda c: (threading.get_ident(), isinstance(c, QuickConnection)), brief=True)
        assert where[1]
        assert (where[0] == here) is database.is_sqlite


@pytest.mark.parametrize("executions", [1, 2])  # by SQLAlchemy, then by the driver alone
@pytest.mark.timeout(30)
async def test_rows_that_nobody_took_hold_up_no_later_write(
    database: Database, database_url: str, executions: int
) -> None:
    """A half-read cursor in a traceback kept SQLite's snapshot, and the next BEGIN IMMEDIATE waited in vain."""
    filled(database)
    kept: list[Any] = []

    def half_read(connection: Connection) -> None:
        for _ in range(executions):
            rows = iter(connection.execute(READ))
            next(rows)
            kept.append(rows)
        raise ZeroDivisionError

    async def renamed(by: Database, name: str) -> None:
        await by.write(lambda c: c.execute(RENAME, {"wanted": "u001", "name": name}).all())

    other = Database(database_url)
    try:
        writes = [database.write(half_read), renamed(database, "premier")]  # one commit on SQLite
        results = await asyncio.gather(*writes, return_exceptions=True)
        assert isinstance(results[0], ZeroDivisionError)
        await renamed(other, "autre")
        await renamed(database, "dernier")
        names = database.read_now(lambda c: {row.id: row.birth_name for row in c.execute(READ)})
        assert names["u001"] == "dernier"
    finally:
        other.close()
    assert len(kept) == executions
