"""The database goes away under a worker that lives: no death is counted for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from hub.errors import Temporary
from hub.spool import leases
from hub.spool.watch import Watch
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import START, SqlBench, accept, sql_bench

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]


async def _away(*_: Any, **__: Any) -> None:
    raise Temporary("database: away")


async def _returned(bench: SqlBench, message: str) -> bool:
    """Whether the message is free within a few seconds."""
    other = bench.spool("other")
    for _ in range(100):
        if await other.due() == (message,):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_lease_that_could_not_be_given_back_is_given_back_later(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RETURN_EVERY", 0.05)
    spool = sql_bench.spool()
    accepted = await accept(spool)
    assert await spool.load(accepted.id) is not None
    with monkeypatch.context() as patched:
        patched.setattr(spool._database, "write", _away)
        with pytest.raises(Temporary):
            await spool.postpone(accepted.id, "database")
        await spool.yield_lease(accepted.id)  # nothing to raise: the trip ends as it would
        await asyncio.sleep(0.2)
        assert await sql_bench.spool("other").due() == ()
    assert await _returned(sql_bench, accepted.id)
    assert await sql_bench.actions(accepted.id) == ["accept"]
    assert await spool.load(accepted.id) is not None


async def test_a_lease_that_was_taken_as_the_connection_broke_is_given_back(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RETURN_EVERY", 0.05)
    spool = sql_bench.spool()
    accepted = await accept(spool)
    honest = spool._database.write

    async def committed_and_broken(work: Any, **options: Any) -> None:
        await honest(work, **options)
        raise Temporary("database: the connection broke after the commit")

    with monkeypatch.context() as patched:
        patched.setattr(spool._database, "write", committed_and_broken)
        with pytest.raises(Temporary):
            await spool.load(accepted.id)
    assert await _returned(sql_bench, accepted.id)
    assert await sql_bench.actions(accepted.id) == ["accept"]


def test_while_nobody_could_look_no_lease_grew_old() -> None:
    ticks = 0.0
    watch = Watch(timedelta(seconds=60), lambda: ticks)
    assert not watch.is_over("m", "owner", START)
    ticks = 600.0
    watch.forget()
    assert not watch.is_over("m", "owner", START)
    ticks = 631.0
    assert watch.is_over("m", "owner", START)


async def test_a_sweep_that_found_no_database_begins_to_watch_anew(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = sql_bench.spool()
    spool._watch.is_over("m", "owner", START)
    forgotten: list[bool] = []
    monkeypatch.setattr(spool._watch, "forget", lambda: forgotten.append(True))
    monkeypatch.setattr(spool._database, "read", _away)
    with pytest.raises(Temporary):
        await spool.due()
    assert forgotten == [True]
