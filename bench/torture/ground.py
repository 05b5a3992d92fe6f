"""What stands under the hub, made for one campaign: the database and the broker; restarted and emptied at any time.

`laid("postgresql+amqp")` gives a `Ground`. SQLite has no server to restart: every kill of the hub is its restart.
"""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pika.exceptions import AMQPError, ChannelClosedByBroker
from redis.exceptions import RedisError
from sqlalchemy import delete

from hub.errors import Temporary
from hub.tables import QueueRow
from hub.worker.broker import queue_of
from tests.edges import postgres
from tests.edges.broker_server import Server
from tests.edges.ports import free_port
from tests.edges.rabbitmq import RabbitmqServer, running_rabbitmq
from tests.edges.redis import RedisServer, running_redis
from tests.trips.house import Site

DATABASES = ("sqlite", "postgresql")
AWAY = (AMQPError, RedisError, Temporary, OSError)  # what a `flush_broker` raises when the other side is busy
BROKERS = ("sql", "amqp", "redis")
PAIRS = tuple(f"{database}+{broker}" for broker in BROKERS for database in DATABASES)


@dataclass(frozen=True)
class Ground:
    """`restart_database` and `restart_broker` are None where there is no server."""

    database_url: str
    broker_url: str
    flush_broker: Callable[[Site], None]
    restart_database: Callable[[], None] | None = None
    restart_broker: Callable[[], None] | None = None


@contextmanager
def laid(pair: str) -> Iterator[Ground]:
    database, _, broker = pair.partition("+")
    with _database(database) as (database_url, restart), _broker(broker) as server:
        match server:
            case None:
                yield Ground(database_url, "sql://", _empty_queue, restart)
            case RabbitmqServer():
                flush = functools.partial(_purge, server)
                yield Ground(database_url, server.url, flush, restart, functools.partial(_start_again, server))
            case RedisServer():
                yield Ground(
                    database_url, server.url, lambda _: server.flush(), restart, functools.partial(_start_again, server)
                )


@contextmanager
def _database(name: str) -> Iterator[tuple[str, Callable[[], None] | None]]:
    if name == "sqlite":
        yield "sqlite:///hub.db", None
        return
    with running_cluster() as cluster:
        yield cluster.url, cluster.restart


@contextmanager
def _broker(name: str) -> Iterator[RabbitmqServer | RedisServer | None]:
    if name == "sql":
        yield None
    elif name == "amqp":
        with running_rabbitmq() as rabbitmq:
            yield rabbitmq
    else:
        with running_redis() as redis:
            yield redis


def _purge(server: RabbitmqServer, site: Site) -> None:
    """By the protocol: `rabbitmqctl` starts a node of its own each time, a minute on a busy machine."""
    with site.opened() as house:
        queue = queue_of(house.keys)
    connection = server.connection()
    try:
        connection.channel().queue_purge(queue)
    except ChannelClosedByBroker:  # nobody has declared it yet
        pass
    finally:
        connection.close()


def _start_again(server: Server) -> None:
    server.stop()
    server.start()


def _empty_queue(site: Site) -> None:
    with site.opened() as house:
        house.database.write_now(lambda connection: connection.execute(delete(QueueRow)))


class Cluster:
    """A private PostgreSQL that forgets nothing it has committed, however it is stopped."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs = postgres._programs()
        self._owner = postgres._owner()
        if self._owner:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)
        options = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-N", "-D", str(folder / "data")]
        postgres._run([str(self._programs / "initdb"), *options], self._owner)
        self._port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self._port}/postgres"
        self._server = self._started()

    def restart(self) -> None:
        """Immediate mode: no connection is told, no buffer is written; the next start recovers from the log."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(60)
        self._server = self._started()

    def stop(self) -> None:
        postgres._stop(self._server, self._folder)

    def _started(self) -> subprocess.Popen[bytes]:
        words = ["-D", str(self._folder / "data"), "-p", str(self._port), "-h", "127.0.0.1"]
        settings = ["-c", f"unix_socket_directories={self._folder}", "-c", "max_connections=200"]
        with (self._folder / "log").open("ab") as log:
            server = subprocess.Popen(
                [str(self._programs / "postgres"), *words, *settings],
                stdout=log,
                stderr=log,
                **postgres._as(self._owner),
            )
        postgres._wait_for(self.url, server, self._folder)
        return server


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="hub-pg-", dir="/tmp"))
    try:
        cluster = Cluster(folder)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
