"""The embedded broker with dramatiq's real worker, on both engines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.errors import QueueJoinTimeout, QueueNotFound
from sqlalchemy import select

from hub.database import Database
from hub.errors import Misconfigured
from hub.worker.broker import SqlBroker, enqueue_together, make_broker
from hub.worker.queue_rows import QUEUE, Claimed
from tests.edges import engines

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template

WITHIN = 20_000  # milliseconds; what is waited for takes far less

# A worker in a process of its own: notes each hint when it begins and when it ends, `seconds` later.
CHILD = """
import os, sys, time
import dramatiq
from hub.database import Database
from hub.worker.broker import SqlBroker

url, ledger, lease, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
broker = SqlBroker(Database(url), lease=lease)

def note(word, message):
    with open(ledger, "a") as file:
        file.write(f"{word} {message} {os.getpid()}\\n")

def carry(message):
    note("begin", message)
    time.sleep(seconds)
    note("end", message)

dramatiq.actor(carry, broker=broker, actor_name="carry", max_retries=0)
worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=100)
worker.start()
print("ready", flush=True)
sys.stdin.read()
worker.stop()
broker.close()
"""


@pytest.fixture
def broker(database: Database) -> Iterator[SqlBroker]:
    broker = SqlBroker(database, lease=1.0)
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


class Child:
    def __init__(self, database: Database, ledger: Path, lease: float = 1.0, seconds: float = 0.0) -> None:
        command = [sys.executable, "-c", CHILD, database.url, str(ledger), str(lease), str(seconds)]
        root = Path(__file__).parents[2]
        self.ledger = ledger
        self.process = subprocess.Popen(
            command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(root)}
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._end()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self._end()

    def _end(self) -> None:
        self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.fixture
def child(database: Database, tmp_path: Path) -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(ledger: str = "ledger", lease: float = 1.0, seconds: float = 0.0) -> Child:
        children.append(Child(database, tmp_path / ledger, lease, seconds))
        return children[-1]

    yield start
    for one in children:
        if one.process.poll() is None:
            one.kill()


def noted(ledger: Path, word: str) -> list[str]:
    if not ledger.exists():
        return []
    return [line.split()[1] for line in ledger.read_text().splitlines() if line.startswith(word)]


def _has_begun(ledger: Path, number: int) -> bool:
    return len(noted(ledger, "begin")) >= number


def until(is_true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


def rows(database: Database) -> list[tuple[str, str | None]]:
    return database.read_now(lambda c: [(row.queue, row.owner) for row in c.execute(select(QUEUE))])


def make_actor(broker: SqlBroker, deed: Callable[[str], None]) -> dramatiq.Actor[[str], None]:
    actor: dramatiq.Actor[[str], None] = dramatiq.actor(deed, broker=broker, actor_name="carry", max_retries=0)
    return actor


def test_a_hint_is_executed_once_and_leaves_no_row(broker: SqlBroker, database: Database) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    carry.send("m1")
    with working(broker):
        carry.send("m2")
        broker.join("default", timeout=WITHIN)
    assert sorted(carried) == ["m1", "m2"]
    assert rows(database) == []


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
        until(partial(_has_begun, other.ledger, number + 1))
        latencies.append(time.monotonic() - began)
    print(f"another process begins after {sorted(latencies)[2] * 1000:.0f} ms")
    assert sorted(latencies)[2] < 0.3


def test_a_listener_that_died_is_forgotten(broker: SqlBroker, child: Callable[..., Child], database: Database) -> None:
    carry = make_actor(broker, lambda _: None)
    child("ledger").kill()
    carry.send("m1")
    other = child("ledger")
    until(lambda: noted(other.ledger, "end"))
    if database.is_sqlite:
        assert len(list(Path(database.url.removeprefix("sqlite:///") + "-bells").iterdir())) == 1


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
    until(lambda: noted(other.ledger, "end"))


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

    def counted(*given: Any) -> Any:
        writes.append(None)
        return honest(*given)

    monkeypatch.setattr(Database, "write_now", counted)
    enqueue_together(broker, [carry.message(f"m{number}") for number in (3, 1, 2, 1)])
    enqueue_together(broker, [])
    assert (len(rows(database)), len(writes)) == (3, 1)
    with working(broker):
        broker.join("default", timeout=WITHIN)
    assert sorted(carried) == ["m1", "m2", "m3"]


def test_a_busy_queue_is_served_several_hints_a_transaction(
    broker: SqlBroker, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried: list[str] = []
    carry = make_actor(broker, carried.append)
    enqueue_together(broker, [carry.message(f"m{number}") for number in range(80)])
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


def test_a_hint_given_while_its_twin_is_at_work_is_not_lost(broker: SqlBroker) -> None:
    began, go_on = threading.Event(), threading.Event()
    carried: list[str] = []

    def deed(message: str) -> None:
        carried.append(message)
        began.set()
        go_on.wait(20)

    carry = make_actor(broker, deed)
    with working(broker):
        carry.send("m1")
        assert began.wait(20)
        carry.send("m1")
        go_on.set()
        broker.join("default", timeout=WITHIN)
    assert carried == ["m1", "m1"]


def test_a_hint_whose_actor_fails_is_removed(broker: SqlBroker, database: Database) -> None:
    def deed(message: str) -> None:
        raise RuntimeError("the spool will say it again")

    carry = make_actor(broker, deed)
    with working(broker):
        carry.send("m1")
        broker.join("default", timeout=WITHIN)
    assert rows(database) == []


def test_a_hint_for_an_actor_that_nobody_knows_is_removed(broker: SqlBroker, database: Database) -> None:
    broker.declare_queue("default")
    broker.enqueue(dramatiq.Message(queue_name="default", actor_name="gone", args=("m1",), kwargs={}, options={}))
    with working(broker):
        broker.join("default", timeout=WITHIN)
    assert rows(database) == []


def test_a_long_deed_keeps_its_lease(broker: SqlBroker, child: Callable[..., Child]) -> None:
    began = threading.Event()
    carried: list[str] = []

    def deed(message: str) -> None:
        carried.append(message)
        began.set()
        time.sleep(2.5)  # more than two leases

    carry = make_actor(broker, deed)
    with working(broker, threads=1):
        carry.send("m1")
        assert began.wait(20)
        other = child("other")
        broker.join("default", timeout=WITHIN)
    other.stop()
    assert carried == ["m1"]
    assert noted(other.ledger, "begin") == []


def test_hints_of_a_killed_worker_are_delivered_again_after_the_lease(
    broker: SqlBroker, child: Callable[..., Child], database: Database
) -> None:
    carry = make_actor(broker, lambda _: None)
    for number in range(8):
        carry.send(f"m{number}")
    first = child("ledger", lease=1.5, seconds=60)
    until(lambda: len(noted(first.ledger, "begin")) == 2)
    first.kill()
    killed_at = time.monotonic()
    second = child("ledger", lease=1.5)
    until(lambda: len(set(noted(second.ledger, "end"))) == 8)
    assert time.monotonic() - killed_at > 0.5  # not before its lease had ended
    broker.join("default", timeout=WITHIN)
    second.stop()
    assert sorted(noted(second.ledger, "end")) == sorted(f"m{number}" for number in range(8))
    assert rows(database) == []


def test_two_processes_share_a_queue_without_doubling(
    broker: SqlBroker, child: Callable[..., Child], database: Database
) -> None:
    carry = make_actor(broker, lambda _: None)
    one, two = child("ledger", lease=30.0, seconds=0.005), child("ledger", lease=30.0, seconds=0.005)
    for number in range(200):
        carry.send(f"m{number}")
    broker.join("default", timeout=WITHIN)
    one.stop()
    two.stop()
    lines = one.ledger.read_text().splitlines()
    assert sorted(noted(one.ledger, "begin")) == sorted(f"m{number}" for number in range(200))
    assert len({line.split()[2] for line in lines}) == 2


def test_a_stopped_worker_gives_back_at_once_what_it_did_not_begin(
    broker: SqlBroker, child: Callable[..., Child], database: Database
) -> None:
    carry = make_actor(broker, lambda _: None)
    for number in range(6):
        carry.send(f"m{number}")
    one = child("ledger", lease=600.0, seconds=0.5)
    until(lambda: noted(one.ledger, "begin"))
    one.stop()
    ended = noted(one.ledger, "end")
    assert sorted(noted(one.ledger, "begin")) == sorted(ended)
    assert 0 < len(ended) < 6
    assert rows(database) == [("default", None)] * (6 - len(ended))


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


def test_an_idle_worker_uses_almost_no_processor(broker: SqlBroker) -> None:
    make_actor(broker, lambda _: None)
    with working(broker):
        time.sleep(0.7)
        before = time.process_time()
        time.sleep(2.0)
        per_second = (time.process_time() - before) / 2
    print(f"idle: {per_second * 1000:.2f} ms of processor a second")
    assert per_second < 0.02  # ten times what it takes on a quiet machine


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


def test_the_setting_names_the_broker(database: Database) -> None:
    made = make_broker("sql://", database)
    assert isinstance(made, SqlBroker)
    made.close()


@pytest.mark.parametrize("url", ["redis://127.0.0.1", "amqp://127.0.0.1", "sql", ""])
def test_a_broker_that_this_version_does_not_know_is_misconfigured(url: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/hub.db")
    with pytest.raises(Misconfigured, match="broker_url"):
        make_broker(url, database)
    database.close()
