"""The spool on disks that are really full (tmpfs): what raises wrote nothing, what returned is there, what a full disk
left behind goes at the next start."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.engine import Connection

from hub.database import Database
from hub.errors import DiskFailed
from hub.spool import Cleaned
from tests.edges.disks import Disk, small_disk
from tests.edges.engines import sqlite_template, url_of
from tests.edges.spools import SqlBench, accept, arrival

__all__ = ["sqlite_template"]

LARGE = b"Dupont Camille, " * 20_000  # 320 KB, beyond the inline limit


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk", 16) as disk:
        yield disk


@pytest.fixture
def bench(disk: Disk, request: pytest.FixtureRequest) -> Iterator[SqlBench]:
    """Blobs and database on one small disk."""
    with url_of("sqlite", request, disk.folder) as url:
        made = SqlBench(url, disk.folder)
        yield made
        made.close()


async def test_a_commit_of_many_on_a_disk_that_fills_up_is_whole_or_nothing(disk: Disk) -> None:
    database = Database(f"sqlite:///{disk.folder}/x.db")
    try:
        (disk.folder / "ballast").write_bytes(bytes(8 * 1024**2))
        await database.write(lambda c: c.exec_driver_sql("CREATE TABLE t (n INTEGER PRIMARY KEY, raw BLOB)"))

        def add(number: int, connection: Connection) -> None:
            connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", (number, os.urandom(200_000)))

        writes = [database.write(partial(add, number)) for number in range(150)]
        outcomes = await asyncio.gather(*writes, return_exceptions=True)
        written = {number for number, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)}
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert refused
        assert all(isinstance(outcome, DiskFailed) and "SQLITE_FULL" in outcome.private for outcome in refused)
        found = await database.read(lambda c: set(c.exec_driver_sql("SELECT n FROM t").scalars()))
        assert found == written
        disk.free()
        await database.write(lambda c: c.exec_driver_sql("DELETE FROM t"))  # the same connections work on
        await database.write(partial(add, 1_000))
        assert await database.read(lambda c: c.exec_driver_sql("PRAGMA integrity_check").scalar()) == "ok"
    finally:
        database.close()


@pytest.mark.parametrize("raw", [LARGE, LARGE[:60_000]], ids=["file", "row"])
async def test_nothing_is_accepted_on_a_full_disk_and_all_of_it_later(bench: SqlBench, disk: Disk, raw: bytes) -> None:
    spool = bench.spool()
    await accept(spool, LARGE + b"first", uid=1, message_id="<1@exemple.fr>")
    disk.fill()
    for _ in range(3):
        with pytest.raises(DiskFailed, match=r"ENOSPC|SQLITE_FULL"):
            await accept(spool, raw, uid=2, message_id="<2@exemple.fr>")
    assert await spool.seen(arrival().mailbox, arrival().uidvalidity) == {1}
    assert list((bench.folder / "incoming").iterdir()) == []
    disk.free()
    assert (await accept(spool, raw, uid=2, message_id="<2@exemple.fr>")).new


async def test_the_janitor_makes_room_on_a_full_disk(bench: SqlBench, disk: Disk) -> None:
    blobs = bench.blobs()
    dead = bench.folder / "incoming" / "dead.part"
    unnamed = await blobs.put(LARGE)
    path = bench.folder / unnamed.sha256[:2] / unnamed.sha256
    dead.write_bytes(bytes(100_000))
    for old in (dead, path):
        at = bench.clock.now.timestamp() - 7_200
        os.utime(old, (at, at))
    disk.fill()
    assert await bench.blobs().clean() == Cleaned(temporary=1, unnamed=1)
    assert not path.exists()
