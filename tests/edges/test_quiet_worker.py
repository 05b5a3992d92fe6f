"""A worker with nothing to do sleeps without a clock: a hint, its end, and the end of its service wake it at once."""

from __future__ import annotations

import threading
import time

import dramatiq

from hub.database import Database
from hub.worker.actors import QUIET, _Handover
from hub.worker.sql_broker import IDLE_MOST, SqlBroker
from tests.edges import engines, sql_queue
from tests.edges.sql_queue import make_actor

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template
broker = sql_queue.broker

SOON = 1.0  # seconds, on a busy machine too


def _asleep(broker: SqlBroker, worker_timeout: int = QUIET) -> tuple[dramatiq.Worker, _Handover]:
    """A worker as `hub.worker.actors` makes it, once its looks are far apart."""
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=worker_timeout)
    worker.work_queue = handover = _Handover()
    worker.start()
    time.sleep(1.0)
    return worker, handover


def _ended_within(worker: dramatiq.Worker, handover: _Handover) -> float:
    began = time.monotonic()
    handover.end()
    worker.stop(timeout=20_000)
    return time.monotonic() - began


def test_a_sleeping_worker_takes_a_hint_at_once_and_ends_at_once(broker: SqlBroker) -> None:
    carried = threading.Event()
    carry = make_actor(broker, lambda _: carried.set())
    worker, handover = _asleep(broker, worker_timeout=60_000)
    began = time.monotonic()
    carry.send("m1")
    assert carried.wait(20)
    assert time.monotonic() - began < SOON
    assert _ended_within(worker, handover) < SOON


def test_what_one_worker_was_told_of_its_end_does_not_hurry_the_next(broker: SqlBroker) -> None:
    make_actor(broker, lambda _: None)
    for _ in range(2):
        worker, handover = _asleep(broker)
        assert not any(line.is_ending for line in broker.queues.values())
        assert _ended_within(worker, handover) < SOON
        assert all(line.is_ending for line in broker.queues.values())


def test_hints_that_wait_at_the_end_are_for_the_next_worker(broker: SqlBroker, database: Database) -> None:
    held, go_on, carried = threading.Event(), threading.Event(), []

    def deed(message: str) -> None:
        carried.append(message)
        held.set()
        go_on.wait(20)

    carry = make_actor(broker, deed)
    worker, handover = _asleep(broker)
    carry.send("m1")
    assert held.wait(20)
    carry.send("m2")
    threading.Timer(0.3, go_on.set).start()
    _ended_within(worker, handover)
    worker, handover = _asleep(broker)
    broker.join("default", timeout=20_000)
    _ended_within(worker, handover)
    assert sorted(set(carried)) == ["m1", "m2"]


def test_a_quiet_worker_looks_no_oftener_than_its_queue() -> None:
    assert QUIET == IDLE_MOST * 1000
