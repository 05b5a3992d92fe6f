"""The embedded broker's bell, on both engines: who sleeps is woken, and without a bell a hint only waits a little."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hub.database import Database
from hub.worker.bell import FifoBell
from hub.worker.sql_broker import SqlBroker
from tests.edges import engines, sql_queue
from tests.edges.brokers import Child, until
from tests.edges.sql_queue import make_actor, working

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template
broker, child = sql_queue.broker, sql_queue.child


def _has_begun(child: Child, number: int) -> bool:
    return len(child.noted("begin")) >= number


def test_a_hint_given_in_the_same_process_is_taken_at_once(broker: SqlBroker) -> None:
    carried = threading.Event()
    carry = make_actor(broker, lambda _: carried.set())
    with working(broker):
        time.sleep(1.2)  # long enough for the looks to be half a second apart
        began = time.monotonic()
        carry.send("m1")
        assert carried.wait(20)
        assert time.monotonic() - began < 0.3


def test_a_hint_wakes_a_sleeping_worker_of_another_process(broker: SqlBroker, child: Callable[..., Child]) -> None:
    carry = make_actor(broker, lambda _: None)
    other, _ = child("ledger"), child("ledger")
    time.sleep(2.0)  # long enough for the looks to be more than a second apart
    latencies = []
    for number in range(5):
        began = time.monotonic()
        carry.send(f"m{number}")
        until(partial(_has_begun, other, number + 1))
        latencies.append(time.monotonic() - began)
    print(f"another process begins after {sorted(latencies)[2] * 1000:.0f} ms")
    assert sorted(latencies)[2] < 0.3


def test_a_listener_that_died_is_forgotten(broker: SqlBroker, child: Callable[..., Child], database: Database) -> None:
    carry = make_actor(broker, lambda _: None)
    child("ledger").kill()
    carry.send("m1")
    other = child("ledger")
    until(lambda: other.noted("end"))
    if database.is_sqlite:
        assert len(list(Path(database.url.removeprefix("sqlite:///") + "-bells").iterdir())) == 1


def test_a_ring_while_a_listener_begins_does_not_make_it_deaf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making of its FIFO and its opening a listener looks like a dead one."""
    database = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    begins, rings, made, heard = FifoBell(database), FifoBell(database), os.mkfifo, threading.Event()

    def made_and_rung(path: Path, mode: int) -> None:
        made(path, mode)
        monkeypatch.undo()
        rings.ring()

    monkeypatch.setattr(os, "mkfifo", made_and_rung)
    begins.listen(heard.set)
    rings.ring()
    assert heard.wait(20)
    begins.close()
    database.close()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_bell_whose_connection_broke_is_heard_again(
    broker: SqlBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.worker.bell.LISTEN_AGAIN", 0.1)
    rings: list[float] = []
    broker.rows.listen(lambda: rings.append(time.monotonic()))
    until(lambda: rings)
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
    )
    database.read_now(lambda c: c.exec_driver_sql(kill).all())
    until(lambda: len(rings) == 2)  # it listens again
    make_actor(broker, lambda _: None).send("m1")
    until(lambda: len(rings) == 3)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_without_a_bell_hints_of_another_process_are_found_by_looking(
    broker: SqlBroker, child: Callable[..., Child], database: Database
) -> None:
    Path(database.url.removeprefix("sqlite:///") + "-bells").write_text("no folder can be made here")
    other = child("ledger")
    time.sleep(0.5)
    make_actor(broker, lambda _: None).send("m1")
    until(lambda: other.noted("end"))


def test_an_idle_worker_uses_almost_no_processor(broker: SqlBroker) -> None:
    make_actor(broker, lambda _: None)
    with working(broker):
        time.sleep(0.7)
        before = time.process_time()
        time.sleep(2.0)
        per_second = (time.process_time() - before) / 2
    print(f"idle: {per_second * 1000:.2f} ms of processor a second")
    assert per_second < 0.02  # ten times what it takes on a quiet machine
