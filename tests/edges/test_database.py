"""The engines themselves: what is committed together, what fails alone, and no lock error whoever writes."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import String, bindparam, cast, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hub import journal
from hub.database import Database, storable
from hub.errors import Misconfigured, Permanent, Temporary
from hub.spool.statements import CURSOR, MESSAGE, SEEN
from hub.worker.queue_rows import QUEUE
from tests.edges.engines import database, database_url, migrated, postgres_template, sqlite_template
from tests.edges.spools import START

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]


def _add(connection: Connection, box: str) -> str:
    row = {"mailbox": box, "uidvalidity": 1, "last_uid": 1, "compared_at": START}
    connection.execute(insert(CURSOR), row)
    return box


def _boxes(connection: Connection) -> set[str]:
    return set(connection.execute(select(CURSOR.c.mailbox)).scalars())


async def test_a_statement_means_the_same_however_often_it_is_used(database: Database) -> None:
    """Times are stored in one form and numbers come back as numbers: from the second use on it is `hub.prepared` that
    speaks to the driver."""
    await database.write(lambda connection: _add(connection, "box"))
    move = update(CURSOR).where(CURSOR.c.mailbox == bindparam("box")).values(compared_at=bindparam("at"))
    find = select(CURSOR.c.mailbox).where(CURSOR.c.compared_at == bindparam("at"))
    stored = select(cast(CURSOR.c.compared_at, String))
    add, etas = insert(QUEUE), select(QUEUE.c.eta).where(QUEUE.c.queue == bindparam("name"))
    texts = set()
    for turn in range(3):
        await database.write(lambda connection: connection.execute(move, {"box": "box", "at": START}))
        assert await database.read(lambda connection: connection.execute(find, {"at": START}).scalar()) == "box"
        texts.add(await database.read(lambda connection: connection.execute(stored).scalar()))
        row = {"id": str(turn), "queue": f"q{turn}", "eta": turn + 0.25, "body": b"x"}
        await database.write(lambda connection, row=row: connection.execute(add, row))  # type: ignore[misc]
        asked = {"name": f"q{turn}"}
        eta = await database.read(lambda connection, asked=asked: connection.execute(etas, asked).scalar())  # type: ignore[misc]
        assert eta == turn + 0.25
    assert len(texts) == 1


async def _hold_the_writer(database: Database) -> threading.Event:
    """Keeps the writer thread busy until the event is set, so that the next writes wait together."""
    begun, go = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        begun.set()
        assert go.wait(10)

    asyncio.get_running_loop().create_task(database.write(work))
    await asyncio.to_thread(begun.wait, 10)
    return go


async def test_of_writes_that_wait_together_one_that_fails_undoes_only_itself(database: Database) -> None:
    def fails(connection: Connection) -> str:
        _add(connection, "gone")
        raise Permanent("no")

    go = await _hold_the_writer(database)
    writes = [
        asyncio.ensure_future(database.write(work))
        for work in (
            lambda c: _add(c, "a"),
            fails,
            lambda c: _add(c, "b"),
            lambda c: _add(c, "a"),  # the same key again
            lambda c: c.execute(text("SELECT nonsense FROM nowhere")),
            lambda c: _add(c, "c"),
        )
    ]
    await asyncio.sleep(0.05)
    go.set()
    results = await asyncio.gather(*writes, return_exceptions=True)
    kinds = [result if isinstance(result, str) else type(result) for result in results]
    if database.is_sqlite:
        assert kinds == ["a", Permanent, "b", IntegrityError, Temporary, "c"]
    else:  # which of the two that write the same key comes first is open there
        assert sorted(str(kind) for kind in kinds if kind in (Permanent, IntegrityError, Temporary)) == sorted(
            str(kind) for kind in (Permanent, IntegrityError, Temporary)
        )
    assert await database.read(_boxes) == {"a", "b", "c"}


async def test_writes_that_wait_together_share_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with migrated(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        together: list[int] = []
        write_together = database._write_together

        def counted(batch: list[object]) -> None:
            together.append(len(batch))
            write_together(batch)  # type: ignore[arg-type]

        monkeypatch.setattr(database, "_write_together", counted)
        go = await _hold_the_writer(database)
        writes = [asyncio.ensure_future(database.write(lambda c, n=n: _add(c, f"box{n}"))) for n in range(20)]  # type: ignore[misc]
        await asyncio.sleep(0.05)
        go.set()
        await asyncio.gather(*writes)
        assert sum(together) == 20
        assert len(await database.read(_boxes)) == 20


async def test_a_full_disk_fails_every_write_of_the_commit_and_keeps_none(tmp_path: Path) -> None:
    """SQLite then rolls back the whole transaction by itself: what came before in it must not be called done."""
    with migrated(f"sqlite:///{tmp_path / 'hub.db'}") as database:

        def fill(connection: Connection) -> None:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        def too_much(connection: Connection) -> None:
            _add(connection, "x" * 2_000_000)

        await database.write(fill)
        go = await _hold_the_writer(database)
        writes = [
            asyncio.ensure_future(database.write(work))
            for work in (lambda c: _add(c, "before"), too_much, lambda c: _add(c, "after"))
        ]
        await asyncio.sleep(0.05)
        go.set()
        results = await asyncio.gather(*writes, return_exceptions=True)
        told = {
            box
            for box, result in zip(("before", "x", "after"), results, strict=True)
            if not isinstance(result, Exception)
        }
        assert isinstance(results[1], Temporary)
        assert await database.read(_boxes) == told


async def test_a_caller_that_gave_up_does_not_stop_the_others(database: Database) -> None:
    go = await _hold_the_writer(database)
    gone = asyncio.ensure_future(database.write(lambda c: _add(c, "gone")))
    stays = asyncio.ensure_future(database.write(lambda c: _add(c, "stays")))
    await asyncio.sleep(0.05)
    gone.cancel()
    go.set()
    assert await stays == "stays"
    assert "stays" in await database.read(_boxes)


async def test_a_write_commits_and_a_raise_rolls_back(database: Database) -> None:
    def fails(connection: Connection) -> None:
        _add(connection, "gone")
        raise KeyError

    await database.write(lambda c: _add(c, "kept"))
    with pytest.raises(KeyError):
        await database.write(fails)
    assert await database.read(_boxes) == {"kept"}


async def test_a_broken_constraint_comes_to_the_caller_without_values(database: Database) -> None:
    await database.write(lambda c: _add(c, "secret-box"))
    with pytest.raises(IntegrityError) as caught:
        await database.write(lambda c: _add(c, "secret-box"))
    assert "parameters" not in str(caught.value) or "hidden" in str(caught.value)


def test_a_foreign_key_is_enforced(database: Database) -> None:
    row = {"mailbox": "a", "uidvalidity": 1, "uid": 1, "message": "none", "seen_at": START}
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"):
        database.write_now(lambda c: c.execute(insert(SEEN), row))


def test_a_reader_of_sqlite_cannot_write(tmp_path: Path) -> None:
    with migrated(f"sqlite:///{tmp_path / 'hub.db'}") as database, pytest.raises(Temporary):
        database.read_now(lambda c: _add(c, "a"))


def test_sqlite_is_durable_and_for_the_hub_alone(tmp_path: Path) -> None:
    with migrated(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        found = [database.write_now(lambda c, p=p: c.exec_driver_sql(f"PRAGMA {p}").scalar()) for p in pragmas]  # type: ignore[misc]
        assert found == ["wal", 2, 1]
        for file in tmp_path.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["mysql://x", "sqlite://", "sqlite:///:memory:", "sqlite:////no/such/folder/hub.db"])
def test_a_url_that_names_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured, match="database_url"):
        Database(url)


def test_what_no_engine_can_store_is_made_storable() -> None:
    assert storable("a\0b\ud800c") == "a\ufffdb?c"
    assert storable("été" * 100, 4) == "étéé"


HAMMER = """
import asyncio, random, sys, time
from datetime import UTC, datetime
from pathlib import Path
from hub.message import *
from hub.ports import Arrival
from hub.settings import Spooling
from hub.database import Database
from hub.spool import BlobStore, SqlSpool
from hub.trust.keys import KeyRing

def now(): return datetime.now(UTC)
def holding(message, step): return lambda connection: Done("held")
FILING = Filing(document=0, unique_id="1", usager_id="u", kind="k")
PLAN = Plan(rule="r", steps=(FILING, Receipt(recipient="a@b")))
THOUGHT = Thought(classification=Classification(message_class=MessageClass.XDM), match=Match(), plan=PLAN)

async def carry(spool, message):
    if await spool.load(message) is None:
        return
    if await spool.open_steps(message) is None:
        await spool.save_plan(message, THOUGHT)
    await spool.record(message, 1, lambda connection: Done("filed"))
    await spool.stage(message, 2, "sending", "<x@y>")
    await spool.record(message, 2, Done("250"))
    await spool.yield_lease(message)

async def worker(spool, name, until, count):
    uid = 0
    while time.time() < until:
        uid += 1
        sink = await spool.new_blob()
        await sink.write(f"{name} {uid}".encode())
        arrival = Arrival(mailbox=name, uidvalidity=1, uid=uid, received_at=now(), message_id=f"<{uid}@{name}>")
        accepted = await spool.accept(arrival, sink)
        await spool.marked(name, 1, [uid])
        await spool.advance(name, 1, uid)
        for message in random.sample([*await spool.due(20), accepted.id], 1) + [accepted.id]:
            await carry(spool, message)
        await spool.counts()
        count[0] += 1

async def main(url, folder, name, seconds):
    database, ring, count = Database(url), KeyRing({"k1": bytes(32)}), [0]
    blobs = BlobStore(Path(folder), database, ring, 1024, now)
    spool = SqlSpool(database, blobs, ring, clock=now, spooling=Spooling(), owner=name, timezone="Europe/Paris",
                     ticks=time.monotonic,
                     holding=holding)
    until = time.time() + float(seconds)
    await asyncio.gather(*(worker(spool, f"{name}-{n}", until, count) for n in range(2)))
    database.close()
    print(count[0])

asyncio.run(main(*sys.argv[1:]))
"""


def test_eight_workers_in_four_processes_meet_no_lock_error(database_url: str, tmp_path: Path) -> None:
    """complaints.md, row 20: and the chain is whole, every message done."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", HAMMER, database_url, str(tmp_path / "blobs"), f"p{n}", "3"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.getcwd()},
        )
        for n in range(4)
    ]
    ends = [child.communicate(timeout=90) for child in children]
    assert [child.returncode for child in children] == [0] * 4, ends[0][1].decode()[-2000:]
    accepted = sum(int(out) for out, _ in ends)
    assert accepted > 20
    with migrated(database_url) as database:
        verdict = database.read_now(journal.verify)
        states = database.read_now(lambda c: list(c.execute(select(MESSAGE.c.state)).scalars()))
    assert verdict.broken_at is None
    assert len(states) == accepted
    assert set(states) == {"DONE"}


WAL = """
import sys
from hub.database import Database
for _ in range(20):
    database = Database(sys.argv[1])
    database.read_now(lambda c: c.exec_driver_sql("SELECT 1").scalar())
    database.write_now(lambda c: c.exec_driver_sql("SELECT 1").scalar())
    database.close()
"""


def test_processes_that_open_a_new_sqlite_at_once_do_not_lock_each_other_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    children = [subprocess.Popen([sys.executable, "-c", WAL, url]) for _ in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0] * 4


def test_opening_the_same_sqlite_twice_in_one_process_keeps_its_locks(tmp_path: Path) -> None:
    # Seen: the second Database opened and closed the file beside SQLite, the first one's POSIX locks were gone, another
    # process took itself for the last user, removed the WAL, and the database was corrupt.
    url = f"sqlite:///{tmp_path / 'hub.db'}"
    with migrated(url) as first:
        first.write_now(lambda c: _add(c, "a"))
        second = Database(url)
        script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select 1 from cursor'); c.close()"
        subprocess.run([sys.executable, "-c", script, str(tmp_path / "hub.db")], check=True)
        assert (tmp_path / "hub.db-wal").exists()
        second.close()
