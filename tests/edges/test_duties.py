"""Duties among hosts, on both engines: two hosts on one database, each with a clock of its own that only the test
moves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from hub.database import Database
from hub.errors import Temporary
from hub.spool.duties import SWEEP, Duties, mailbox_duty
from hub.spool.incarnation import Incarnation, is_surely_dead, of_this_process
from tests.edges.engines import database, database_url, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

LEASE = timedelta(seconds=30)
A, B = mailbox_duty("a"), mailbox_duty("b")


class Ticks:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Host:
    """A host whose clocks are all its own: its wall clock is years away from the others'."""

    def __init__(self, database: Database, name: str, year: int) -> None:
        self.ticks = Ticks(year * 1000.0)
        at = datetime(year, 1, 1, tzinfo=UTC)
        self.duties = Duties(database, of_this_process(name), LEASE, lambda: at, self.ticks)
        self.id = self.duties.me.id

    async def mine(self) -> set[str] | None:
        roll = await self.duties.look()
        return None if roll is None else set(roll.mine)


@pytest.fixture
def hosts(database: Database) -> tuple[Host, Host]:
    return Host(database, "un", 1990), Host(database, "deux", 2060)


async def test_a_duty_is_taken_once(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    await one.duties.join()
    await two.duties.join()
    await one.duties.take(([A, B], 1), ([SWEEP], 1))
    await two.duties.take(([A, B], 2), ([SWEEP], 1))
    assert (await one.mine(), await two.mine()) == ({A, SWEEP}, {B})
    await two.duties.give_back([A])  # not its own
    assert await one.mine() == {A, SWEEP}
    await one.duties.give_back([A])
    await two.duties.take(([A], 1))
    assert (await one.mine(), await two.mine()) == ({SWEEP}, {A, B})


async def test_what_a_host_leaves_is_free_at_once(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    await one.duties.join()
    await one.duties.take(([A], 1))
    await two.duties.join()
    await one.duties.leave()
    await two.duties.take(([A], 1))
    assert await two.mine() == {A}


async def test_a_host_that_gives_no_sign_for_a_lease_is_buried(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    await one.duties.join()
    await one.duties.take(([A], 1))
    await two.duties.join()
    two.ticks.now += 29
    await two.duties.take(([A], 1))
    assert await two.mine() == set()
    two.ticks.now += 2
    await two.duties.look()
    await two.duties.take(([A], 1))
    assert await two.mine() == {A}
    assert await one.mine() is None  # it slept: it is told so, and has nothing any more
    await one.duties.take(([B], 1))
    assert await two.mine() == {A}


async def test_a_host_that_looks_is_never_buried(hosts: tuple[Host, Host]) -> None:
    one, two = hosts
    await one.duties.join()
    await one.duties.take(([A], 1))
    await two.duties.join()
    for _ in range(10):
        two.ticks.now += 20
        one.ticks.now += 20
        assert await one.mine() == {A}
        assert await two.mine() == set()


async def test_a_beat_between_the_look_and_the_burial_saves_the_host(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = hosts
    await one.duties.join()
    await one.duties.take(([A], 1))
    await two.duties.join()
    two.ticks.now += 40
    judged = two.duties._is_dead

    def late(host: object) -> bool:
        dead = judged(host)  # type: ignore[arg-type]
        if dead:  # the other one beats now, after it was judged
            two.duties._database.write_now(lambda c: c.execute(text("UPDATE host SET beats = beats + 1")))
        return dead

    monkeypatch.setattr(two.duties, "_is_dead", late)
    await two.duties.look()
    assert await one.mine() == {A}


async def test_a_database_that_was_away_buries_nobody(
    hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could beat meanwhile: when it is back everybody has a whole lease."""
    one, two = hosts
    await one.duties.join()
    await one.duties.take(([A], 1))
    await two.duties.join()

    async def away(*_: object, **__: object) -> None:
        raise Temporary("database: away")

    with monkeypatch.context() as patched:
        patched.setattr(two.duties._database, "read", away)
        with pytest.raises(Temporary):
            await two.duties.look()
    two.ticks.now += 600
    assert await two.mine() == set()
    assert await one.mine() == {A}


async def test_a_host_alone_writes_nothing(hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch) -> None:
    one = hosts[0]
    await one.duties.join()
    await one.duties.take(([A], 1))

    async def refused(*_: object) -> None:
        raise AssertionError("a write")

    monkeypatch.setattr(one.duties._database, "write", refused)
    for _ in range(3):
        one.ticks.now += 5
        assert await one.mine() == {A}


START = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from hub.database import Database
from hub.spool.duties import Duties
from hub.spool.incarnation import of_this_process
async def main():
    duties = Duties(Database(sys.argv[1]), of_this_process("trois"), timedelta(seconds=30), lambda: datetime.now(UTC))
    await duties.join()
    await duties.take((["mailbox a"], 1))
    print(duties.me.id, flush=True)
    sys.stdin.read()
asyncio.run(main())
"""


def test_a_process_that_was_killed_on_this_machine_is_not_waited_for(database: Database) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", START, database.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    identity = first.stdout.readline().strip()
    mine = of_this_process("trois")
    assert not is_surely_dead(identity, mine.id)
    first.kill()
    # Not awaited yet by its parent: it is there, and dead.
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    assert is_surely_dead(identity, mine.id)
    first.wait()
    assert is_surely_dead(identity, mine.id)
    assert not is_surely_dead(identity, of_this_process("another").id)  # another machine, for all that we know

    async def begin_again() -> None:
        again = Duties(database, mine, LEASE, lambda: datetime.now(UTC))
        await again.join()
        await again.take(([A], 1))
        roll = await again.look()
        assert roll is not None
        assert set(roll.mine) == {A}
        assert roll.living == (mine.id,)

    asyncio.run(begin_again())


def test_a_number_that_another_process_has_now_is_dead() -> None:
    mine = of_this_process("x").id
    machine, pid, start, chance = mine.split("-")
    assert not is_surely_dead(mine, mine)
    assert is_surely_dead(f"{machine}-{pid}-{int(start) - 1}-{chance}", mine)
    for strange in ("", "a-b", f"{machine}-x-1-1", f"{machine}-99999999999999999999-1-1"):
        assert not is_surely_dead(strange, mine)


def test_an_identity_fits_its_column(tmp_path: Path) -> None:
    made = of_this_process("h" * 300)
    assert len(made.id) <= 64
    assert made == Incarnation(made.id, "h" * 64)
