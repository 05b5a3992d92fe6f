"""Every broker of the contract, on private servers: import the fixture `bench` (all) or `server_bench` (those with a
server of their own). A `Bench` makes brokers as the hub does, and workers in processes that can be killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dramatiq
import pytest

from hub.database import Database
from hub.settings import Settings
from hub.worker.broker import make_broker
from hub.worker.sql_broker import SqlBroker
from tests.edges.broker_server import Server
from tests.edges.engines import url_of
from tests.edges.rabbitmq import shared_rabbitmq
from tests.edges.redis import RedisServer, started_redis

WITH_SERVER = ("rabbitmq", "redis")
BROKERS = ("sql on sqlite", "sql on postgresql", *WITH_SERVER)
QUEUE, OTHER_QUEUE = "hub-essai", "hub-autre"
SQL_LEASE = 1.5  # seconds
BACK_WITHIN = 30.0  # seconds until the hints of a dead worker are another's: what SQL_LEASE shortens, else


def broker_of(broker_url: str, database_url: str) -> Any:
    """As the hub makes it, but for the lease of the embedded one, for which nobody wants to wait."""
    if broker_url == "sql://":
        return SqlBroker(Database(database_url), lease=SQL_LEASE, middleware=[])
    return make_broker(Settings(broker_url=broker_url), Database(database_url))


# A worker in a process of its own: notes each hint when it begins and when it ends, `seconds` later.
_CHILD = """
import os, sys, time
import dramatiq
from tests.edges.brokers import broker_of

broker_url, database_url, queue, ledger, seconds = sys.argv[1:]
broker = broker_of(broker_url, database_url)

def note(word, message):
    with open(ledger, "a") as file:
        file.write(f"{word} {message} {os.getpid()}\\n")

def carry(message):
    note("begin", message)
    time.sleep(float(seconds))
    note("end", message)

dramatiq.actor(carry, broker=broker, actor_name="carry", queue_name=queue)
worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=100)
worker.start()
print("ready", flush=True)
sys.stdin.read()
worker.stop()
broker.close()
"""


class Child:
    """A worker process. Its ledger may be shared with others."""

    def __init__(self, ledger: Path, *words: str) -> None:
        root = Path(__file__).parents[2]
        self.ledger = ledger
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, *words],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(root)},
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def noted(self, word: str) -> list[str]:
        """The messages whose `begin` or `end` is noted, in order."""
        if not self.ledger.exists():
            return []
        lines = self.ledger.read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(word)]

    def writers(self) -> set[str]:
        return {line.split()[2] for line in self.ledger.read_text().splitlines()}

    def kill(self) -> None:
        """kill -9; nothing when it has ended."""
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


class Bench:
    def __init__(self, broker_url: str, database_url: str, folder: Path, server: Server | None) -> None:
        self.broker_url = broker_url
        self.database_url = database_url
        self._server = server
        self._folder = folder
        self._closing: list[Callable[[], object]] = []
        self.broker = self.opened()

    @property
    def server(self) -> Server:
        assert self._server is not None
        return self._server

    def opened(self) -> Any:
        """A broker of this process, the queue declared."""
        broker = broker_of(self.broker_url, self.database_url)
        broker.declare_queue(QUEUE)
        self._closing.append(broker.close)
        return broker

    def send(self, *messages: str, queue: str = QUEUE) -> None:
        self.broker.enqueue_all([hint(message, queue) for message in messages])

    def child(self, ledger: str = "ledger", seconds: float = 0.0, queue: str = QUEUE) -> Child:
        file = self._folder / ledger
        child = Child(file, self.broker_url, self.database_url, queue, str(file), str(seconds))
        self._closing.append(child.kill)
        return child

    def flush(self) -> None:
        """As an administrator would: everything at once, whoever uses it."""
        if self._server is None:
            self.broker.flush_all()
        else:
            self._server.flush()

    def close(self) -> None:
        for close in reversed(self._closing):
            close()


def hint(message: str, queue: str = QUEUE, actor: str = "carry") -> dramatiq.Message[Any]:
    return dramatiq.Message(queue_name=queue, actor_name=actor, args=(message,), kwargs={}, options={})


@contextmanager
def working(broker: Any, deed: Callable[[str], object], threads: int = 2) -> Iterator[dramatiq.Worker]:
    """A worker in this process."""

    def carry(message: str) -> None:
        deed(message)

    dramatiq.actor(carry, broker=broker, actor_name="carry", queue_name=QUEUE)
    worker = dramatiq.Worker(broker, worker_threads=threads, worker_timeout=100)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop(timeout=20_000)


def until(is_true: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.005)


@cache
def shared_redis() -> RedisServer:
    """This session's Redis; whoever stops it starts it again."""
    return started_redis()


@contextmanager
def bench_of(broker: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    servers: dict[str, Callable[[], Server]] = {"rabbitmq": shared_rabbitmq, "redis": shared_redis}
    if broker in servers:
        server = servers[broker]()
        server.forget(QUEUE, OTHER_QUEUE)
        bench = Bench(server.url, f"sqlite:///{folder / 'unused.db'}", folder, server)
        try:
            yield bench
        finally:
            bench.close()
        return
    with url_of(broker.removeprefix("sql on "), request, folder) as url:
        bench = Bench("sql://", url, folder, None)
        try:
            yield bench
        finally:
            bench.close()


@pytest.fixture(params=BROKERS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with bench_of(request.param, request, tmp_path) as made:
        yield made


@pytest.fixture(params=WITH_SERVER)
def server_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    with bench_of(request.param, request, tmp_path) as made:
        yield made
