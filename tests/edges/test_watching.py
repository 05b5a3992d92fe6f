"""Hosts that share mailboxes, each with its watchers, on one database: whoever watches what, never two at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from hub.database import Database
from hub.errors import Temporary
from hub.settings import Hosts
from hub.spool.duties import Duties, Roll
from hub.spool.incarnation import of_this_process
from hub.worker.watching import Watching
from tests.edges.engines import database, database_url, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

BOXES = ("mailbox a", "mailbox b", "mailbox c", "mailbox d", "mailbox e")


class Mailboxes:
    """What the operator would see: who is connected to each mailbox now, and whether ever two were."""

    def __init__(self) -> None:
        self.connected: dict[str, set[str]] = {box: set() for box in BOXES}
        self.connections = 0
        self.were_two = False

    def are_shared(self) -> bool:
        return {len(self.of("un")), len(self.of("deux"))} == {2, 3}

    def of(self, host: str) -> set[str]:
        return {box for box, hosts in self.connected.items() if host in hosts}


class FakeWatcher:
    def __init__(self, mailboxes: Mailboxes, box: str, host: str) -> None:
        self._mailboxes, self._box, self._host = mailboxes, box, host

    async def run(self, stop: asyncio.Event) -> None:
        there = self._mailboxes.connected[self._box]
        self._mailboxes.were_two |= bool(there)
        self._mailboxes.connections += 1
        there.add(self._host)
        try:
            await stop.wait()
            await asyncio.sleep(0.05)  # a watcher ends what it is at
        finally:
            there.discard(self._host)


class Host:
    def __init__(self, name: str, database: Database, mailboxes: Mailboxes, lease: float = 2) -> None:
        self.name = name
        self.database = Database(database.url)  # a process of its own
        hosts = Hosts(look_every=timedelta(seconds=0.1), lease=timedelta(seconds=lease))
        self.duties = Duties(self.database, of_this_process(name), hosts.lease, lambda: datetime.now(UTC))
        self.watching = Watching(self.duties, hosts, {box: FakeWatcher(mailboxes, box, name) for box in BOXES})
        self.stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Host]:
        task = asyncio.create_task(self.watching.run(self.stop))
        try:
            yield self
        finally:
            self.stop.set()
            await asyncio.wait_for(task, 10)
            self.database.close()


async def until(condition: Callable[[], bool], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.02)


@pytest.fixture
def mailboxes() -> Mailboxes:
    return Mailboxes()


async def test_a_host_alone_watches_all_at_once_and_sweeps(database: Database, mailboxes: Mailboxes) -> None:
    async with Host("un", database, mailboxes).running() as one:
        await until(lambda: mailboxes.of("un") == set(BOXES) and one.watching.sweeps.is_set(), 2)
        await asyncio.sleep(0.5)
        assert mailboxes.connections == len(BOXES)
    assert mailboxes.of("un") == set()


async def test_a_host_alone_looks_half_as_often(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And as often as the settings say as soon as another has joined, even one that is never seen again."""
    host = Host("un", database, mailboxes, lease=60)
    waits: list[float] = []
    honest = asyncio.sleep

    async def noted(seconds: float) -> None:
        task = asyncio.current_task()
        if task is not None and getattr(task.get_coro(), "__qualname__", "") == "Watching._looking":
            waits.append(seconds)
        await honest(seconds)

    monkeypatch.setattr("hub.worker.watching.asyncio.sleep", noted)
    async with host.running():
        await until(lambda: len(waits) >= 2)
        alone = waits[-1]
        await Duties(database, of_this_process("deux"), timedelta(minutes=1), lambda: datetime.now(UTC)).join()
        await until(lambda: waits[-1] < alone)
        beside = waits[-1]
    assert (alone, beside) == (0.2, 0.1)


async def test_what_an_orderly_stop_gives_back_is_not_waited_for(database: Database, mailboxes: Mailboxes) -> None:
    async with AsyncExitStack() as stack:
        one = Host("un", database, mailboxes, lease=60)
        async with one.running():
            two = await stack.enter_async_context(Host("deux", database, mailboxes, lease=60).running())
            await until(mailboxes.are_shared)
            sweepers = [host for host in (one, two) if host.watching.sweeps.is_set()]
            assert len(sweepers) == 1
        await until(lambda: mailboxes.of("deux") == set(BOXES) and two.watching.sweeps.is_set())
    assert not mailboxes.were_two


async def test_three_hosts_share_and_nothing_moves_any_more(database: Database, mailboxes: Mailboxes) -> None:
    names = ("un", "deux", "trois")
    async with AsyncExitStack() as stack:
        for name in names:
            await stack.enter_async_context(Host(name, database, mailboxes).running())
        await until(lambda: sorted(len(mailboxes.of(name)) for name in names) == [1, 2, 2])
        before = mailboxes.connections
        await asyncio.sleep(2.5)
        assert mailboxes.connections == before
    assert not mailboxes.were_two


async def test_a_host_that_cannot_reach_the_database_lets_go_before_another_takes_over(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise Temporary("database: away")

    async with Host("un", database, mailboxes).running() as one, Host("deux", database, mailboxes).running():
        await until(mailboxes.are_shared)
        with monkeypatch.context() as patched:
            patched.setattr(one.database, "read", away)
            patched.setattr(one.database, "write", away)
            await until(lambda: mailboxes.of("un") == set())
            await until(lambda: mailboxes.of("deux") == set(BOXES))
        await until(lambda: len(mailboxes.of("un")) >= 2)  # the database is back: it joins again
        assert not mailboxes.were_two


async def test_a_host_whose_look_gets_no_answer_lets_go(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object) -> None:
        await asyncio.sleep(3600)

    async with Host("un", database, mailboxes).running() as one, Host("deux", database, mailboxes).running():
        await until(mailboxes.are_shared)
        with monkeypatch.context() as patched:
            patched.setattr(one.database, "read", silent)
            await until(lambda: mailboxes.of("deux") == set(BOXES))
            assert mailboxes.of("un") == set()
    assert not mailboxes.were_two


async def test_a_host_that_was_taken_for_dead_lets_go_and_begins_again(
    database: Database, mailboxes: Mailboxes
) -> None:
    """As after a sleep of the machine: its row went, and with it its mailboxes."""
    async with Host("un", database, mailboxes).running() as one:
        await until(lambda: mailboxes.of("un") == set(BOXES))
        await one.duties.leave()
        await until(lambda: mailboxes.connections == 2 * len(BOXES) and mailboxes.of("un") == set(BOXES))
        assert one.watching.sweeps.is_set()


@asynccontextmanager
async def step_by_step(database: Database, mailboxes: Mailboxes) -> AsyncIterator[tuple[Host, Callable[[float], None]]]:
    """A host whose turns the test takes one by one, under a clock that only the test moves. It has all mailboxes."""
    host, now = Host("un", database, mailboxes), 1000.0

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds

    host.watching._ticks = lambda: now
    try:
        while await host.watching._turn():
            pass
        await asyncio.sleep(0)
        assert mailboxes.of("un") == set(BOXES)
        yield host, wait
    finally:
        await host.watching._let_go_all()
        host.database.close()


async def test_after_a_sleep_the_first_thing_is_to_let_go(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that follows may take long, and others may watch already."""
    async with step_by_step(database, mailboxes) as (host, wait):
        look, found = host.duties.look, []

        async def seen() -> Roll | None:
            found.append((mailboxes.of("un"), host.watching.sweeps.is_set()))
            return await look()

        monkeypatch.setattr(host.duties, "look", seen)
        await host.watching._turn()
        wait(3600)
        await host.watching._turn()
        await asyncio.sleep(0)
        assert found == [(set(BOXES), True), (set(), False)]
        assert mailboxes.of("un") == set(BOXES)  # still ours, as the look said
        assert not mailboxes.were_two


async def test_a_host_lets_go_when_the_next_look_would_come_too_late(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> Roll | None:
        raise Temporary("database: away")

    async with step_by_step(database, mailboxes) as (host, wait):
        monkeypatch.setattr(host.duties, "look", away)
        wait(host.watching._hold_most - 2 * host.watching._look_every)
        await host.watching._turn()
        assert mailboxes.of("un") == set(BOXES)
        wait(1.5 * host.watching._look_every)
        await host.watching._turn()
        assert mailboxes.of("un") == set()
        assert not host.watching.sweeps.is_set()


async def test_a_host_that_was_buried_lets_go_before_it_joins_again(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with step_by_step(database, mailboxes) as (host, _):
        await host.duties.leave()
        assert await host.watching._turn()
        assert mailboxes.of("un") == set()


async def test_a_host_at_rest_still_sees_a_watcher_that_ended_and_what_others_take(
    database: Database, mailboxes: Mailboxes
) -> None:
    async with step_by_step(database, mailboxes) as (host, _):
        assert not await host.watching._turn()
        assert host.watching._settled is not None
        host.watching._running[BOXES[0]].task.cancel()
        await asyncio.sleep(0.1)
        assert mailboxes.of("un") == set(BOXES[1:])
        await host.watching._turn()
        await asyncio.sleep(0)
        assert mailboxes.of("un") == set(BOXES)
        await host.duties.give_back(BOXES[:1])
        while await host.watching._turn():
            pass
        await asyncio.sleep(0.1)
        assert mailboxes.of("un") == set(BOXES)
        assert not mailboxes.were_two


async def test_a_fault_of_ours_in_a_look_ends_nothing(
    database: Database, mailboxes: Mailboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def faulty() -> Roll | None:
        raise ValueError("our fault")

    async with Host("un", database, mailboxes).running() as one:
        await until(lambda: mailboxes.of("un") == set(BOXES))
        with monkeypatch.context() as patched:
            patched.setattr(one.duties, "look", faulty)
            await until(lambda: mailboxes.of("un") == set())  # nobody knows any more whose they are
        await until(lambda: mailboxes.of("un") == set(BOXES))
