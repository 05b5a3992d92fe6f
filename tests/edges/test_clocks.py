"""Wall clocks that jump: leases, waits and patience of the spool are those of a clock that does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import pytest

from hub import journal
from hub.message import Deferred, Done
from hub.settings import Spooling
from hub.spool import SqlSpool
from hub.spool.states import Patience
from hub.spool.watch import Watch
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import (
    RECEIPT,
    START,
    Bench,
    SqlBench,
    accept,
    bench,
    holding,
    planned,
    sql_bench,
)

__all__ = ["bench", "postgres_template", "sql_bench", "sqlite_template"]

LEASE = 120.0  # seconds, as by default
JUMPS = [{"days": 366}, {"days": -366}, {"hours": 1}, {"hours": -1}]


class Ticks:
    """Seconds that never jump."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def watched(sql_bench: SqlBench, ticks: Ticks, owner: str) -> SqlSpool:
    """A spool as `hub.wiring` builds it: leases are watched by `ticks`."""
    return SqlSpool(
        sql_bench.opened(),
        sql_bench.blobs(),
        sql_bench.keys,
        clock=sql_bench.clock,
        spooling=Spooling(),
        owner=owner,
        timezone="Europe/Paris",
        holding=holding,
        ticks=ticks,
        random=partial(float, 0.5),
    )


def passes(sql_bench: SqlBench, ticks: Ticks, seconds: float) -> None:
    sql_bench.clock.tick(seconds=seconds)
    ticks.seconds += seconds


# --- leases


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_carrier_keeps_its_message_whatever_the_clock_does(sql_bench: SqlBench, jump: dict[str, float]) -> None:
    ticks = Ticks()
    carrier, other = watched(sql_bench, ticks, "carrier"), watched(sql_bench, ticks, "other")
    message = await planned(carrier, RECEIPT)
    sql_bench.clock.tick(**jump)
    for _ in range(12):  # four leases long; renewed every third, looked at all the time, a hint came too
        assert await other.due() == ()
        assert await other.load(message) is None
        assert await carrier.renew(message)
        passes(sql_bench, ticks, LEASE / 3)
    assert await carrier.record(message, 1, Done("250 ok")) == Done("250 ok")
    assert await sql_bench.state(message) == "DONE"
    assert "death" not in await sql_bench.actions(message)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_a_dead_carrier_is_found_whatever_the_clock_did(sql_bench: SqlBench, jump: dict[str, float]) -> None:
    ticks = Ticks()
    other = watched(sql_bench, ticks, "other")
    message = await planned(watched(sql_bench, ticks, "dead"), RECEIPT)
    sql_bench.clock.tick(**jump)
    waited = 0.0
    while not await other.due():
        assert waited < 2 * LEASE
        passes(sql_bench, ticks, 10)
        waited += 10
    assert await other.load(message) is not None
    assert (await sql_bench.actions(message)).count("death") == 1


async def test_a_clock_that_swings_counts_no_deaths(sql_bench: SqlBench) -> None:
    ticks = Ticks()
    carrier, other = watched(sql_bench, ticks, "carrier"), watched(sql_bench, ticks, "other")
    message = await planned(carrier, RECEIPT)
    for swing in (400, -400, 400, -800, 400):
        sql_bench.clock.tick(days=swing)
        assert await other.due() == ()
        passes(sql_bench, ticks, LEASE / 3)
        assert await carrier.renew(message)
    assert await sql_bench.state(message) == "PLANNED"


def test_a_lease_is_over_when_nobody_renewed_it_for_half_its_length() -> None:
    ticks = Ticks()
    watch = Watch(timedelta(seconds=LEASE), ticks)
    until = START
    for _ in range(5):  # it seems over each time, and is another each time
        assert not watch.is_over("m", "a", until)
        ticks.seconds += LEASE / 3
        until += timedelta(seconds=LEASE / 3)
    assert not watch.is_over("m", "a", until)
    ticks.seconds += LEASE / 2 - 1
    assert not watch.is_over("m", "a", until)
    assert not watch.is_over("n", "a", until)  # another message is another watch
    ticks.seconds += 1
    assert watch.is_over("m", "a", until)
    assert not watch.is_over("m", "b", until)


# --- waits and patience


async def test_a_retry_comes_within_its_delay_when_the_clock_is_put_back(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT)
    bench.clock.tick(days=366)  # the clock is a year fast while the deed fails
    assert isinstance(await spool.record(message, 1, Deferred(bench.clock.now, "no connection")), Deferred)
    await spool.yield_lease(message)
    bench.clock.tick(days=-366)
    assert await spool.due() == (message,)
    assert await spool.load(message) is not None
    assert [step.number for step in await spool.open_steps(message) or ()] == [1]
    await spool.record(message, 1, Deferred(bench.clock.now, "no connection"))
    await spool.yield_lease(message)
    assert await spool.due() == ()  # no hurry: this wait was written by the clock that is right
    bench.clock.tick(seconds=60)
    assert await spool.due() == (message,)


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_what_waits_for_nothing_waits_for_no_clock(bench: Bench, jump: dict[str, float]) -> None:
    spool = bench.spool()
    accepted = await accept(spool)
    on_its_way = await planned(spool, RECEIPT, uid=2)
    await spool.yield_lease(on_its_way)
    bench.clock.tick(**jump)
    assert set(await spool.due()) == {accepted.id, on_its_way}
    assert await spool.load(accepted.id) is not None
    assert await spool.load(on_its_way) is not None
    assert [step.number for step in await spool.open_steps(on_its_way) or ()] == [1]
    await spool.rethink(on_its_way)
    await spool.yield_lease(on_its_way)
    bench.clock.tick(hours=-1)
    assert on_its_way in await spool.due()


@pytest.mark.parametrize("jump", JUMPS, ids=str)
async def test_no_jump_makes_the_hub_give_up(bench: Bench, jump: dict[str, float]) -> None:
    spool = bench.spool()
    message, whole = await planned(spool, RECEIPT), await accept(spool, b"x", uid=2)
    await spool.load(whole.id)
    bench.clock.tick(**jump)
    assert isinstance(await spool.record(message, 1, Deferred(bench.clock.now, "no connection")), Deferred)
    await spool.postpone(whole.id, "KeyError")
    assert await bench.state(message) == "PLANNED"
    assert await bench.state(whole.id) == "ACCEPTED"


async def test_no_wish_is_longer_than_the_longest_wait(bench: Bench) -> None:
    """Else it could not be told from what a wrong clock wrote."""
    spool = bench.spool()
    message, whole = await planned(spool, RECEIPT), await accept(spool, b"x", uid=2)
    await spool.load(whole.id)
    far = bench.clock.now + timedelta(days=30)
    outcome = await spool.record(message, 1, Deferred(far, "greylisted"))
    assert outcome == Deferred(bench.clock.now + timedelta(hours=2.5), "greylisted")
    await spool.postpone(whole.id, "KeyError", far)
    await spool.yield_lease(message)
    assert await spool.due() == ()
    bench.clock.tick(hours=2.5)
    assert set(await spool.due()) == {message, whole.id}


def test_patience_ends_with_the_attempts_or_with_the_waits_between_them() -> None:
    patience = Patience(Spooling(attempts=1_000), partial(float, 0.5))
    waits = [patience.delay(attempt) for attempt in range(1, 1_000)]
    last = next(attempt for attempt in range(1, 1_000) if patience.is_used_up(attempt))
    assert timedelta(days=3) <= sum(waits[:last], timedelta()) < timedelta(days=3, hours=2)
    by_attempts = Patience(Spooling(), partial(float, 0.5))
    assert [attempts for attempts in range(1, 14) if by_attempts.is_used_up(attempts)] == [12, 13]


# --- days that are not like others: the change of hours, leap days, dates that no calendar of ours was made for


NIGHTS = ("2026-10-25T00:30", "2026-03-29T00:30", "2028-02-28T22:30", "2038-01-19T02:30")


@pytest.mark.parametrize("night", NIGHTS)
async def test_retries_and_journal_go_through_the_night(sql_bench: SqlBench, night: str) -> None:
    """Paris puts its clocks back or forward at 1:00 UTC; 2028 has a 29 February; 32-bit seconds end in 2038."""
    sql_bench.clock.now = datetime.fromisoformat(f"{night}+00:00")
    spool = sql_bench.spool()
    message = await planned(spool, RECEIPT)
    waits = []
    for _ in range(8):
        outcome = await spool.record(message, 1, Deferred(sql_bench.clock.now, "no connection"))
        assert isinstance(outcome, Deferred)
        waits.append((outcome.until - sql_bench.clock.now).total_seconds())
        await spool.yield_lease(message)
        sql_bench.clock.now = outcome.until
        assert await spool.due() == (message,)
        assert await spool.load(message) is not None
    assert waits == [30 * 2**n for n in range(8)]
    entries = await sql_bench.database.read(lambda c: journal.entries(c, message=message))
    told = [datetime.fromisoformat(entry.at) for entry in entries]
    assert told == sorted(told)  # with their offsets they stay in order, though the local hour comes twice or never
    offsets = {moment.utcoffset() for moment in told}
    assert len(offsets) == (2 if night.startswith("2026") else 1)
