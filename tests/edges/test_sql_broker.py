"""The embedded broker with dramatiq's real worker, on both engines: what it promises beside the contract of every
broker (test_broker_contract.py): one row for equal hints, several hints a transaction, leases.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from sqlalchemy import select

from hub.database import Database
from hub.worker.queue_rows import QUEUE, Claimed
from hub.worker.sql_broker import SqlBroker
from tests.edges import engines, sql_queue
from tests.edges.brokers import Child
from tests.edges.sql_queue import make_actor, working

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template
broker, child = sql_queue.broker, sql_queue.child

WITHIN = 20_000  # milliseconds; what is waited for takes far less


def rows(database: Database) -> list[tuple[str, str | None]]:
    return database.read_now(lambda c: [(row.queue, row.owner) for row in c.execute(select(QUEUE))])


def test_a_hint_is_executed_once_and_leaves_no_row(broker: SqlBroker, database: Database) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    carry.send("m1")
    with working(broker):
        carry.send("m2")
        broker.join("default", timeout=WITHIN)
    assert sorted(carried) == ["m1", "m2"]
    assert rows(database) == []


def test_a_delayed_hint_waits_in_its_row_for_its_time(broker: SqlBroker, database: Database) -> None:
    carried: list[float] = []
    carry = make_actor(broker, lambda _: carried.append(time.monotonic()))
    with working(broker):
        began = time.monotonic()
        carry.send_with_options(args=("m1",), delay=700)
        time.sleep(0.3)
        assert rows(database) == [("default", None)]
        broker.join("default", timeout=WITHIN)
    assert 0.7 <= carried[0] - began < 1.5


def test_equal_hints_that_wait_are_one_row_due_at_the_earliest(broker: SqlBroker, database: Database) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    carry.send_with_options(args=("m1",), delay=3_600_000)
    for _ in range(5):
        carry.send("m1")
        carry.send("m2")
    assert len(rows(database)) == 2
    with working(broker):
        broker.join("default", timeout=WITHIN)
    assert sorted(carried) == ["m1", "m2"]


def test_hints_given_together_cost_one_transaction(
    broker: SqlBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    honest = Database.write_now
    writes: list[None] = []

    def counted(*given: Any, **named: Any) -> Any:
        writes.append(None)
        return honest(*given, **named)

    monkeypatch.setattr(Database, "write_now", counted)
    broker.enqueue_all([carry.message(f"m{number}") for number in (3, 1, 2, 1)])
    broker.enqueue_all([])
    assert (len(rows(database)), len(writes)) == (3, 1)
    with working(broker):
        broker.join("default", timeout=WITHIN)
    assert sorted(carried) == ["m1", "m2", "m3"]


def test_a_busy_queue_is_served_several_hints_a_transaction(
    broker: SqlBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    broker.enqueue_all([carry.message(f"m{number}") for number in range(80)])
    turns: list[None] = []
    honest = broker.rows.turn

    def counted(*given: Any) -> list[Claimed]:
        turns.append(None)
        return honest(*given)

    monkeypatch.setattr(broker.rows, "turn", counted)
    with working(broker, threads=4):
        broker.join("default", timeout=WITHIN)
    assert len(set(carried)) == len(carried) == 80
    assert len(turns) < 45


def test_a_long_deed_keeps_its_lease(broker: SqlBroker, child: Callable[..., Child]) -> None:
    began = threading.Event()
    carried: list[str] = []

    def deed(message: str) -> None:
        carried.append(message)
        began.set()
        time.sleep(3.5)  # more than two leases

    carry = make_actor(broker, deed)
    with working(broker, threads=1):
        carry.send("m1")
        assert began.wait(20)
        other = child("other")
        broker.join("default", timeout=WITHIN)
    other.stop()
    assert carried == ["m1"]
    assert other.noted("begin") == []


def test_two_processes_share_a_queue_without_doubling(
    broker: SqlBroker, child: Callable[..., Child], database: Database
) -> None:
    carry = make_actor(broker, lambda _: None)
    one, two = child(seconds=0.005), child(seconds=0.005)
    for number in range(200):
        carry.send(f"m{number}")
    broker.join("default", timeout=WITHIN)
    one.stop()
    two.stop()
    lines = one.ledger.read_text().splitlines()
    assert sorted(one.noted("begin")) == sorted(f"m{number}" for number in range(200))
    assert len({line.split()[2] for line in lines}) == 2


def test_a_flushed_queue_is_empty_and_others_are_not(broker: SqlBroker, database: Database) -> None:
    carry = make_actor(broker, lambda _: None)
    broker.declare_queue("other")
    for number in range(10):
        carry.send(f"m{number}")
    broker.enqueue(carry.message("m1").copy(queue_name="other"))
    broker.flush("default")
    assert rows(database) == [("other", None)]
    broker.flush_all()
    assert rows(database) == []


def test_joining_ends_with_an_error_when_nobody_works(broker: SqlBroker) -> None:
    make_actor(broker, lambda _: None).send("m1")
    with pytest.raises(QueueJoinTimeout):
        broker.join("default", timeout=50)


def test_an_undeclared_queue_is_refused(broker: SqlBroker) -> None:
    message = dramatiq.Message(queue_name="nowhere", actor_name="carry", args=(), kwargs={}, options={})
    with pytest.raises(QueueNotFound):
        broker.enqueue(message)
    with pytest.raises(QueueNotFound):
        broker.consume("nowhere")


def test_the_queue_survives_a_database_that_goes_away(
    broker: SqlBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.1)
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    with working(broker):
        carry.send("m1")
        broker.join("default", timeout=WITHIN)
        database.write_now(lambda c: c.exec_driver_sql("ALTER TABLE queue RENAME TO queue_away"))
        time.sleep(1.0)
        database.write_now(lambda c: c.exec_driver_sql("ALTER TABLE queue_away RENAME TO queue"))
        carry.send("m2")
        broker.join("default", timeout=WITHIN)
    assert carried == ["m1", "m2"]


def test_the_rate_of_a_thousand_hints_is_printed(broker: SqlBroker, database: Database) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    began, cpu = time.monotonic(), time.process_time()
    for number in range(1_000):
        carry.send(f"m{number}")
    sent, sent_cpu = time.monotonic(), time.process_time()
    with working(broker):
        broker.join("default", timeout=60_000)
    done, done_cpu = time.monotonic(), time.process_time()
    engine = "SQLite" if database.is_sqlite else "PostgreSQL"
    print(f"{engine}: {1000 / (sent - began):.0f} hints/s in ({(sent_cpu - cpu):.3f} ms of processor each)")
    print(f"{engine}: {1000 / (done - sent):.0f} hints/s out ({(done_cpu - sent_cpu):.3f} ms of processor each)")
    assert len(carried) == 1_000
