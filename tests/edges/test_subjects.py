"""The search for the usager of a submission on both engines: the contract, its bounds and its cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.dialects import sqlite

from hub.database import Database
from hub.message import Asked, Usager
from hub.records import SqlRecords
from hub.records import subjects as module
from hub.records.documents import DOCUMENT
from hub.records.usagers import USAGER
from hub.tables import Instant
from tests.edges import engines
from tests.edges.test_records import _add_message, _row_of, real
from tests.records_contract import a_usager
from tests.subjects_contract import SubjectsContract, SubjectsRoom, by_name, by_number

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template

__all__ = ["real"]


def _filled(table: Any, **given: Any) -> dict[str, Any]:
    """A row with what is given, and something of the right type elsewhere."""
    row: dict[str, Any] = {}
    for column in table.c:
        if column.nullable or column.name in given:
            continue
        if isinstance(column.type, Instant):
            row[column.name] = datetime.now(UTC)
        else:
            text_ = uuid4().hex[: getattr(column.type, "length", None) or 32]
            row[column.name] = {bool: True, int: 1, bytes: b"x"}.get(column.type.python_type, text_)
    return row | given


def _answer(database: Database, message_id: str, usager: str, how: str) -> None:
    message = _add_message(database)
    named = message_id if how != "sent" else f"<{uuid4().hex}@exemple.fr>"
    statement = update(module.MESSAGE).where(module.MESSAGE.c.id == message).values(message_id=named)
    if how == "filed":
        row = _filled(DOCUMENT, message=message, usager=usager, sha256="0" * 64)
        made = insert(DOCUMENT)
    else:
        sent_as = message_id if how == "sent" else f"<{uuid4().hex}@exemple.fr>"
        row = _filled(module.SENDING, message=message, usager=usager, sha256="0" * 64, message_id=sent_as)
        row["id"] = uuid4().hex
        made = insert(module.SENDING)
    database.write_now(lambda c: (c.execute(statement), c.execute(made, row)))


@pytest.fixture
def subjects_room(real: tuple[SqlRecords, Database]) -> SubjectsRoom:
    records, database = real

    def add(more: list[Usager]) -> None:
        database.write_now(lambda c: c.execute(insert(USAGER), [_row_of(one) for one in more]))

    return SubjectsRoom(records, add, lambda *given: _answer(database, *given))


class TestSqlSubjects(SubjectsContract):
    pass


async def test_a_bound_that_is_reached_is_told(subjects_room: SubjectsRoom) -> None:
    subjects_room.add([a_usager(100 + n, birth_name="Martin", birth_date="2010-01-01") for n in range(60)])
    found = await subjects_room.records.subjects(Asked(clues=(by_name("Martin", "Zoé", "2010-01-01"),)))
    assert not found.is_whole
    assert len(found.usagers) == 60
    many = by_number(*(f"X-{n}" for n in range(module.VALUES_MOST + 1)))
    assert not (await subjects_room.records.subjects(Asked(clues=(many,)))).is_whole


async def test_every_question_is_answered_by_an_index(
    real: tuple[SqlRecords, Database],
    subjects_room: SubjectsRoom,
) -> None:
    _, database = real
    if not database.is_sqlite:
        pytest.skip("the plan is read on SQLite")
    asked = {name: ["x", "y"] for name in ("ins", "numbers", "ids", "dates", "near", "names", "message_ids")}
    for statement in (
        module._BY_INS,
        module._BY_NUMBER,
        module._BY_ID,
        module._BY_NAME_AND_DATE,
        module._BY_NAME_AND_NEAR_DATE,
        module._BY_DATE,
        module._BY_NAME,
        module._THREAD,
    ):
        with database.engine.connect() as connection:
            plan = connection.execute(text("EXPLAIN QUERY PLAN " + _named(statement, asked)))
            steps = [row[-1] for row in plan]
        assert not [step for step in steps if step.startswith("SCAN") and "SUBQUERY" not in step.upper()], steps


def _named(statement: Any, asked: dict[str, list[str]]) -> str:
    """The statement with its values written out."""
    known = {name: value for name, value in asked.items() if name in str(statement)}
    return str(statement.params(**known).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
