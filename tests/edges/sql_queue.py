"""The embedded broker alone: fixtures of its own tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dramatiq
import pytest

from hub.database import Database
from hub.worker.sql_broker import SqlBroker
from tests.edges.brokers import SQL_LEASE, Child


@pytest.fixture
def broker(database: Database) -> Iterator[SqlBroker]:
    broker = SqlBroker(database, lease=SQL_LEASE, middleware=[])
    yield broker
    broker.close()


@contextmanager
def working(broker: SqlBroker, threads: int = 2) -> Iterator[dramatiq.Worker]:
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def make_actor(broker: SqlBroker, deed: Callable[[str], None]) -> dramatiq.Actor[[str], None]:
    actor: dramatiq.Actor[[str], None] = dramatiq.actor(deed, broker=broker, actor_name="carry")
    return actor


@pytest.fixture
def child(database: Database, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts a worker process on the queue `default`."""
    children: list[Child] = []

    def start(ledger: str = "ledger", seconds: float = 0.0) -> Child:
        file = tmp_path / ledger
        children.append(Child(file, "sql://", database.url, "default", str(file), str(seconds)))
        return children[-1]

    yield start
    for one in children:
        if one.process.poll() is None:
            one.kill()
