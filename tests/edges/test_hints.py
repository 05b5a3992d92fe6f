"""Hints and the sweep on each broker: what a lost hint costs, and what ten thousand due messages do to a queue."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import dramatiq
import pytest
from sqlalchemy import insert, update
from sqlalchemy.engine import Connection

from hub.cli.start import init
from hub.ports import Arrival
from hub.settings import load_settings
from hub.spool.statements import MESSAGE
from hub.wiring import House, open_house
from hub.worker import hints as hints_module
from hub.worker.broker import make_broker, queue_of
from hub.worker.hints import PAGE, PARCEL, SHARES, Hints, parcels
from tests.edges import brokers, engines
from tests.edges.brokers import Bench, until
from tests.mailmaker import mail

bench, server_bench = brokers.bench, brokers.server_bench
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template


class Site:
    """A site whose spool is real, with its hints, and a worker that only ticks off what it was hinted."""

    def __init__(self, folder: Path, broker_url: str, database_url: str) -> None:
        folder.mkdir()
        (folder / "hub.yaml").write_text(f"broker_url: {broker_url}\ndatabase_url: {database_url}\n")
        init(folder)
        self.house: House = open_house(load_settings(folder / "hub.yaml"))
        self.hints = Hints(self.house)
        self.queue = queue_of(self.house.keys)
        self.carried: list[str] = []
        self.first_deed: Callable[[], None] | None = None  # instead of the first carrying

    async def accept(self, number: int) -> list[str]:
        """So many due messages; the first one as a door accepts it, the others as copies of its row."""
        blob = await self.house.spool.new_blob()
        await blob.write(mail())
        arrival = Arrival(mailbox="essai", uidvalidity=1, uid=1, received_at=datetime.now(UTC))
        first = (await self.house.spool.accept(arrival, blob)).id

        def copy(connection: Connection) -> list[str]:
            row = connection.execute(MESSAGE.select().where(MESSAGE.c.id == first)).one()._asdict()
            uids = range(2, number + 1)
            copies = [row | {"id": f"{uid:032x}", "uid": uid, "fingerprint": f"{uid:064x}"} for uid in uids]
            if copies:
                connection.execute(insert(MESSAGE), copies)
            return [first, *(each["id"] for each in copies)]

        return await self.house.database.write(copy)

    async def depth(self) -> int:
        """Once what was given before is sent."""
        depth = await self.hints._depth()
        assert depth is not None
        return depth

    def worker(self, seconds: float = 0.0) -> dramatiq.Worker:
        """It takes so long for each hint."""
        broker = make_broker(self.house.settings, self.house.database)

        def carry(*message_ids: str) -> None:
            time.sleep(seconds)
            self.carried.extend(message_ids)
            deed, self.first_deed = self.first_deed, None
            if deed is not None:
                deed()
            done = update(MESSAGE).where(MESSAGE.c.id.in_(message_ids)).values(state="DONE", due_at=None)
            self.house.database.write_now(lambda c: c.execute(done))

        dramatiq.actor(carry, actor_name="carry", broker=broker, queue_name=self.queue)
        worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
        worker.start()
        return worker

    def close(self) -> None:
        self.hints.close()
        self.house.database.close()


@pytest.fixture
def site(bench: Bench, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", bench.broker_url, bench.database_url)
    yield made
    made.close()


@pytest.fixture
def server_site(server_bench: Bench, tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site", server_bench.broker_url, server_bench.database_url)
    yield made
    made.close()


async def test_hints_that_a_flush_dropped_are_given_again_by_one_sweep(site: Site, bench: Bench) -> None:
    ids = await site.accept(5)
    site.hints.send(*ids)
    assert await site.depth() == 5
    if bench.broker_url == "sql://":
        make_broker(site.house.settings, site.house.database).rows.flush(site.queue)
    else:
        bench.flush()
    assert await site.depth() == 0
    assert await site.hints.sweep(site.house) is False
    assert await site.depth() == 5


async def test_sweeps_while_nobody_works_do_not_grow_the_queue(site: Site) -> None:
    await site.accept(3 * PAGE)
    for _ in range(6):
        assert await site.hints.sweep(site.house) is True  # more is due: look again soon
    assert await site.depth() == -(-PAGE // PARCEL)


async def test_whatever_number_is_due_is_hinted_without_a_long_queue(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, few = 150, 20
    monkeypatch.setattr(hints_module, "PAGE", page)
    monkeypatch.setattr(hints_module, "FEW", few)
    ids = await site.accept(400)
    worker = site.worker(seconds=0.1)
    try:
        deadline, deepest = time.monotonic() + 90, 0
        while not set(ids) <= set(site.carried):  # as the service sweeps, but for the pauses
            assert time.monotonic() < deadline
            await site.hints.sweep(site.house)
            deepest = max(deepest, await site.depth())
            await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(worker.stop)
    # What was few, and the page that makes most hints: of fifteen messages, say, each has its own.
    assert deepest <= few // PARCEL + max(len(parcels([""] * due)) for due in range(page + 1))
    print(f"{len(site.carried)} hints for {len(ids)} messages")
    assert len(site.carried) < 2 * len(ids)


@pytest.mark.parametrize("number", [0, 1, SHARES, 3 * SHARES, PARCEL * SHARES, PARCEL * SHARES + 1, 10 * PAGE])
def test_a_few_messages_are_for_all_workers_and_many_go_in_parcels(number: int) -> None:
    ids = [f"{each:032x}" for each in range(number)]
    parted = parcels(ids)
    assert [one for parcel in parted for one in parcel] == ids
    assert all(1 <= len(parcel) <= PARCEL for parcel in parted)
    assert len(parted) >= min(number, SHARES)
    if number > PARCEL * SHARES:
        assert len(parted) == -(-number // PARCEL)


async def test_a_message_whose_carrying_failed_while_the_broker_was_killed_is_hinted_again(
    server_site: Site, server_bench: Bench
) -> None:
    """dramatiq's own way loses it on Redis: the retry cannot be enqueued, then the first is acknowledged."""
    (message_id,) = await server_site.accept(1)

    def fail_without_broker() -> None:
        server_bench.server.stop()
        raise RuntimeError("the actor fails while its broker is away")

    server_site.first_deed = fail_without_broker
    server_site.hints.send(message_id)
    worker = server_site.worker()
    try:
        await asyncio.to_thread(until, lambda: server_site.carried)
        await asyncio.sleep(1)
        assert await server_site.hints.sweep(server_site.house) is False  # nothing can be sent, nothing is raised
        await asyncio.to_thread(server_bench.server.start)
        async for _ in _tries():
            await server_site.hints.sweep(server_site.house)
            if len(server_site.carried) >= 2:
                break
        until(lambda: server_site.carried[:2] == [message_id] * 2)
    finally:
        await asyncio.to_thread(worker.stop)
    assert sum((await server_site.house.spool.counts()).values()) == (await server_site.house.spool.counts())["DONE"]


async def test_a_broker_that_never_answers_makes_nobody_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "ANSWER_WITHIN", 0.5)
    monkeypatch.setattr(hints_module, "CLOSE_WITHIN", 0.5)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        site = Site(tmp_path / "site", f"amqp://127.0.0.1:{listening.getsockname()[1]}", "sqlite:///hub.db")
        (message_id,) = await site.accept(1)
        asked_at = time.monotonic()
        for _ in range(100):
            site.hints.send(message_id)
        assert time.monotonic() - asked_at < 0.5
        assert await site.hints.sweep(site.house) is False
        site.close()
        assert time.monotonic() - asked_at < 10


async def _tries(seconds: float = 60) -> AsyncIterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(0.2)
    raise AssertionError("it never became true")
