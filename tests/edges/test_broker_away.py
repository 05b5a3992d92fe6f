"""A broker that goes away, comes back, or does not answer: RabbitMQ and Redis, killed, frozen, and never reached."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hub.database import Database
from hub.errors import Temporary
from hub.settings import Settings
from hub.worker import rabbit_broker, redis_broker
from hub.worker.broker import make_broker
from tests.edges import brokers
from tests.edges.broker_server import Server
from tests.edges.brokers import QUEUE, Bench, hint, until, working

server_bench = brokers.server_bench

SOON = 40.0  # seconds; on a quiet machine all of this takes less than five
BACK = 60.0  # the same for a broker that must start first


@pytest.fixture(autouse=True)
def _tried_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dramatiq.worker.CONSUMER_RESTART_DELAY_SECS", 0.2)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (rabbit_broker, redis_broker):
        monkeypatch.setattr(module, "ANSWER_WITHIN", 1.0)
    monkeypatch.setattr(rabbit_broker, "HEARTBEAT", 4)


@contextmanager
def killed(server: Server) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Connections stay open, and nothing answers: a firewall that forgot them, a host that hangs."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def test_workers_wait_for_a_broker_that_is_killed_and_go_on_when_it_is_back(
    server_bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hub.worker")
    first: list[str] = []
    late: list[str] = []
    with working(server_bench.opened(), first.append):
        server_bench.send("m1")
        until(lambda: first == ["m1"])
        with killed(server_bench.server):
            with pytest.raises(Temporary):
                server_bench.send("lost")
            with working(server_bench.opened(), late.append):  # started while it is away
                until(lambda: _told(caplog, "broker: away") == 2)
                time.sleep(1.0)  # several tries
        until(lambda: _told(caplog, "broker: back") == 1, BACK)
        server_bench.send("m2")
        until(lambda: "m2" in first)  # m1 may come twice: the broker was killed before it wrote that it was done
    assert set(first) == {"m1", "m2"}
    assert _told(caplog, "broker: away") == 2  # one line for each worker, whatever the number of tries
    assert late == []


def test_a_worker_started_while_the_broker_is_away_works_when_it_is_back(server_bench: Bench) -> None:
    carried: list[str] = []
    server_bench.send("kept")  # durable: on the broker's disk
    server_bench.server.stop()
    with working(server_bench.opened(), carried.append):
        time.sleep(0.5)
        server_bench.server.start()
        until(lambda: carried == ["kept"], BACK)
        server_bench.send("m2")
        until(lambda: carried == ["kept", "m2"])


@pytest.mark.usefixtures("_impatient")
def test_a_worker_ends_in_time_while_the_broker_is_away(server_bench: Bench) -> None:
    """What was in hand ends too, and is not settled: no thread waits for the broker to do it."""
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def deed(_message: str) -> None:
        began.set()
        go_on.wait(20)
        ended.set()

    server_bench.send("m1", "m2", "m3", "m4")
    with working(server_bench.opened(), deed):
        assert began.wait(20)
        server_bench.server.freeze()
        go_on.set()
        assert ended.wait(20)
        stopping_at = time.monotonic()
    took = time.monotonic() - stopping_at
    server_bench.server.thaw()
    assert took < SOON


@pytest.mark.usefixtures("_impatient")
def test_a_broker_that_freezes_keeps_no_caller_and_is_used_again_after(server_bench: Bench) -> None:
    carried: list[str] = []
    with working(server_bench.opened(), carried.append):
        server_bench.send("m1")
        until(lambda: carried == ["m1"])
        with frozen(server_bench.server):
            for ask in (lambda: server_bench.send("m2"), lambda: server_bench.broker.depth(QUEUE)):
                asked_at = time.monotonic()
                with pytest.raises(Temporary):
                    ask()
                assert time.monotonic() - asked_at < SOON
        until(lambda: _sent(server_bench, "m3"), BACK)
        until(lambda: "m3" in carried, BACK)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("scheme", ["amqp", "redis"])
def test_a_port_that_never_answers_is_given_up(scheme: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'unused.db'}")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        broker = make_broker(Settings(broker_url=f"{scheme}://127.0.0.1:{listening.getsockname()[1]}"), database)
        broker.declare_queue(QUEUE)
        for ask in (lambda: broker.enqueue_all([hint("m1")]), lambda: broker.depth(QUEUE), broker.check):
            asked_at = time.monotonic()
            with pytest.raises(Temporary):
                ask()
            assert time.monotonic() - asked_at < SOON
        broker.close()
        database.close()


def test_a_queue_that_somebody_deleted_is_declared_again(server_bench: Bench) -> None:
    carried: list[str] = []
    with working(server_bench.opened(), carried.append):
        server_bench.send("m1")
        until(lambda: carried == ["m1"])
        server_bench.server.forget(QUEUE)
        assert server_bench.broker.depth(QUEUE) == 0
        server_bench.send("m2")
        until(lambda: carried == ["m1", "m2"])


def _told(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum(words in record.getMessage() for record in caplog.records)


def _sent(bench: Bench, message: str) -> bool:
    try:
        bench.send(message)
    except Temporary:
        return False
    return True
