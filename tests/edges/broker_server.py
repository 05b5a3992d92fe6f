"""What the private brokers of the tests have in common: a port of their own, a process that is stopped by its pid."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Server(Protocol):
    """A private broker that a test may flush, kill and start again. `url` stays the same."""

    url: str

    def flush(self) -> None:
        """Drop everything that it holds, as an administrator would."""
        ...

    def forget(self, *queues: str) -> None:
        """Delete these queues, whoever uses them: quicker than `flush`."""
        ...

    def stop(self) -> None:
        """kill -9: what was not on its disk is gone, its port answers no more."""
        ...

    def freeze(self) -> None:
        """It keeps its connections and answers nobody, until `thaw`."""
        ...

    def thaw(self) -> None: ...

    def start(self) -> None:
        """Start it, after `stop` too; returns when it answers."""
        ...


def wait_until(is_up: Callable[[], bool], server: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Raises RuntimeError with the server's log when it ended, or is not up in time."""
    until = time.monotonic() + seconds
    while not is_up():
        if server.poll() is not None or time.monotonic() > until:
            raise RuntimeError(log.read_text(errors="replace")[-4000:] if log.exists() else "no log")
        time.sleep(0.05)


def kill_group(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
