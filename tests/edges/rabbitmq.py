"""A private RabbitMQ node: its own name, folder, cookie, ports and port mapper (epmd), on loopback only, without
plugins. Runs as whoever runs the tests, root too, whatever Debian's own node does. Killed and started again as a test
wishes; a start takes five to ten seconds, so tests share `shared_rabbitmq()` where they can.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pika
from pika.exceptions import AMQPError

from tests.conftest import missing
from tests.edges.broker_server import kill_group, wait_until
from tests.edges.ports import free_port

_SECONDS = 90
_PURGE = "[rabbit_amqqueue:purge(Queue) || Queue <- rabbit_amqqueue:list()]."


class RabbitmqServer:
    def __init__(self, folder: Path, programs: Path, *configuration: str) -> None:
        """`configuration`: more lines for rabbitmq.conf."""
        self.folder = folder
        self.port = free_port()
        self.url = f"amqp://127.0.0.1:{self.port}"
        self._programs = programs
        self._server: subprocess.Popen[bytes] | None = None
        lines = [f"listeners.tcp.local = 127.0.0.1:{self.port}", "disk_free_limit.absolute = 1MB", *configuration]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (folder / "enabled_plugins").write_text("[].\n")
        cookie = folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        self._environment = self._own_environment()
        epmd = [shutil.which("epmd") or "epmd", "-address", "127.0.0.1"]
        self._epmd = subprocess.Popen(epmd, env=self._environment, stderr=subprocess.DEVNULL, start_new_session=True)

    def _own_environment(self) -> dict[str, str]:
        # One scheduler that does not spin: a busy machine runs several of these.
        erl = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"
        own = {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"hub{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",  # Debian's would give our node its own name
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": erl,
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        return kept | own

    def start(self) -> None:
        assert self._server is None
        log = self.folder / "node.log"
        with log.open("ab") as out:
            self._server = subprocess.Popen(
                [str(self._programs / "rabbitmq-server")],
                env=self._environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
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
        kill_group(self._epmd)
        shutil.rmtree(self.folder, ignore_errors=True)

    def flush(self) -> None:
        """Purge every queue."""
        self.ctl("eval", _PURGE)

    def forget(self, *queues: str) -> None:
        with self.connection() as connection, connection.channel() as channel:
            for queue in queues:
                channel.queue_delete(queue)

    def ctl(self, *words: str) -> str:
        """`rabbitmqctl WORDS`; a second or two each."""
        done = subprocess.run(
            [str(self._programs / "rabbitmqctl"), *words],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def connection(self) -> pika.BlockingConnection:
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.port, socket_timeout=5, stack_timeout=5)
        )

    def _answers(self) -> bool:
        try:
            self.connection().close()
        except (OSError, AMQPError):
            return False
        return True


def _programs() -> Path:
    """The node's own scripts: those in PATH become another user and write in /var."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin"), reverse=True)
    if not found:
        missing("RabbitMQ is not installed (Debian package rabbitmq-server)")
    return found[0]


def _started(*configuration: str) -> RabbitmqServer:
    """Its ports were free a moment ago; on a machine where many tests run another may have taken one since."""
    programs = _programs()
    for is_last in (False, False, True):
        folder = Path(tempfile.mkdtemp(prefix="hub-rabbitmq-", dir="/tmp"))
        server = RabbitmqServer(folder, programs, *configuration)
        try:
            server.start()
            return server
        except RuntimeError:
            server.end()
            if is_last:
                raise
    raise AssertionError("not reached")


@contextmanager
def running_rabbitmq(*configuration: str) -> Iterator[RabbitmqServer]:
    server = _started(*configuration)
    try:
        yield server
    finally:
        server.end()


@cache
def shared_rabbitmq() -> RabbitmqServer:
    """This session's node, started at its first use; whoever stops it starts it again."""
    server = _started()
    atexit.register(server.end)
    return server
