"""A private Redis: on a loopback port and in a folder of its own, every command on disk at once (`appendfsync always`,
as docs/manual.md asks for), killed and started again as a test wishes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from tests.conftest import missing
from tests.edges.broker_server import kill_group, wait_until
from tests.edges.ports import free_port

_SECONDS = 30


class RedisServer:
    def __init__(self, folder: Path, *options: str) -> None:
        """`options`: more words for `redis-server`."""
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._server is None
        words = [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
            *("--daemonize", "no", "--save", "", "--appendonly", "yes", "--appendfsync", "always", *self._options),
        ]
        log = self.folder / "redis.log"
        with log.open("ab") as out:
            self._server = subprocess.Popen(words, stdout=out, stderr=out, start_new_session=True)
        wait_until(self._answers, self._server, log, _SECONDS)

    def stop(self) -> None:
        if self._server is not None:
            kill_group(self._server)
            self._server = None

    def freeze(self) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGCONT)

    def end(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def flush(self) -> None:
        with self.client() as client:
            client.flushall()

    def forget(self, *queues: str) -> None:
        self.flush()  # it is quick already, and leaves no trace of dead workers

    def client(self) -> Redis:
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=5)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except AuthenticationError:  # a test that asks for a password
            return True
        except RedisError:
            return False


def started_redis(*options: str) -> RedisServer:
    """Until the tests end; whoever stops it starts it again."""
    server = _made(*options)
    atexit.register(server.end)
    server.start()
    return server


def _made(*options: str) -> RedisServer:
    if shutil.which("redis-server") is None:
        missing("Redis is not installed (Debian package redis-server)")
    return RedisServer(Path(tempfile.mkdtemp(prefix="hub-redis-", dir="/tmp")), *options)


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    server = _made(*options)
    try:
        server.start()
        yield server
    finally:
        server.end()
