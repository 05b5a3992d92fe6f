"""Rows made into values once: what changed is seen, what did not is not read."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, update
from sqlalchemy.engine import Connection

from hub.spool import statements as sql
from hub.spool.kept import KeptTable
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import SqlBench, sql_bench
from tests.records_contract import Clock

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]

CURSOR = sql.CURSOR


async def test_every_change_of_a_row_is_seen_and_nothing_else_is_read(sql_bench: SqlBench) -> None:
    made: list[str] = []

    def make(row: Row[Any]) -> int:
        made.append(row[0])
        return int(row.last_uid)

    table, database, at = KeptTable(CURSOR, make), sql_bench.database, Clock()()

    async def read() -> dict[str, int]:
        made.clear()
        return dict(await database.read(table.read))

    def entry(box: str, uid: int) -> dict[str, object]:
        return {"mailbox": box, "uidvalidity": 7, "last_uid": uid, "compared_at": at}

    async def write(statement: Any, *rows: dict[str, object]) -> None:
        def work(connection: Connection) -> None:
            connection.execute(statement, list(rows)) if rows else connection.execute(statement)

        await database.write(work)

    assert await read() == {}
    await write(insert(CURSOR), entry("asso", 4), entry("direction", 5))
    assert await read() == {"asso": 4, "direction": 5}
    assert sorted(made) == ["asso", "direction"]
    assert await read() == {"asso": 4, "direction": 5}
    assert made == []
    await write(update(CURSOR).where(CURSOR.c.mailbox == "asso").values(last_uid=6))
    assert await read() == {"asso": 6, "direction": 5}
    await write(delete(CURSOR).where(CURSOR.c.mailbox == "asso"))
    assert await read() == {"direction": 5}
    await write(delete(CURSOR))
    assert await read() == {}
