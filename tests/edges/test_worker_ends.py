"""How a worker process begins and ends: no hint before its rules are read, an end that is heard and that nothing holds
up, whatever the kernel, the broker or the parent do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hub.cli.commands import app
from hub.settings import load_settings
from hub.wiring import House
from hub.worker import actors
from hub.worker.actors import CarryingWorker
from hub.worker.sql_broker import SqlBroker

SOON = 1.0  # seconds, on a busy machine too


@pytest.fixture
def worker(tmp_path: Path) -> CarryingWorker:
    assert CliRunner().invoke(app, ["init", str(tmp_path / "site")]).exit_code == 0
    return CarryingWorker(load_settings(tmp_path / "site/hub.yaml"))


def test_no_hint_is_taken_before_the_rules_are_read(worker: CarryingWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    deeds: list[str] = []
    start, consume = House.start, SqlBroker.consume

    def started(house: House) -> Any:
        hub = start(house)
        deeds.append("rules read")
        return hub

    def consuming(broker: SqlBroker, *given: Any, **named: Any) -> Any:
        deeds.append("hints taken")
        return consume(broker, *given, **named)

    monkeypatch.setattr(House, "start", started)
    monkeypatch.setattr(SqlBroker, "consume", consuming)
    worker.start()
    worker.stop()
    assert deeds == ["rules read", "hints taken"]


class _Deaf:
    """A consumer of a broker that does not answer any more, and does not say so."""

    def __init__(self) -> None:
        self.hangs = threading.Event()

    def __iter__(self) -> _Deaf:
        return self

    def __next__(self) -> None:
        self.hangs.set()
        time.sleep(3600)

    def requeue(self, messages: Any) -> None:
        """Nothing was taken."""

    def close(self) -> None:
        """Nobody hears it."""


def test_an_end_does_not_wait_for_a_broker_that_is_silent(
    worker: CarryingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = _Deaf()
    monkeypatch.setattr(SqlBroker, "consume", lambda *_, **__: deaf)
    monkeypatch.setattr(actors, "THREADS_WITHIN", 0.5)
    worker.start()
    assert deaf.hangs.wait(20)
    began = time.monotonic()
    worker.stop()
    assert time.monotonic() - began < 10 * SOON < actors.STOP_WITHIN


# A parent that starts a child, tells its number, and waits; the child ends when `EndAsked` says so.
_CHILD = """
import os, sys
from hub.cli import serve
if sys.argv[2] == "look":
    del os.pidfd_open
serve.PARENT_LOOK_EVERY = 0.1
end = serve.EndAsked()
print("ready", flush=True)
end.wait(int(sys.argv[1]))
print("ended", flush=True)
"""
_PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]])
time.sleep(60)
"""


def _outlived_by(way: str) -> float:
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, _CHILD, way], stdout=subprocess.PIPE, env=dict(os.environ)
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    time.sleep(0.5)
    began = time.monotonic()
    parent.kill()
    assert parent.stdout.readline() == b"ended\n"
    parent.wait()
    return time.monotonic() - began


def test_a_worker_ends_as_soon_as_its_service_was_killed() -> None:
    assert _outlived_by("told by the kernel") < SOON


def test_where_the_kernel_does_not_tell_a_worker_looks() -> None:
    assert _outlived_by("look") < SOON


# The kernel may give a signal to any thread, whatever the main thread waits for.
_STRUCK = """
import signal, threading, time
from hub.cli import serve
end = serve.EndAsked()
def strike():
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    time.sleep(60)
threading.Thread(target=strike, daemon=True).start()
end.wait()
"""


def test_a_signal_that_reaches_another_thread_ends_a_worker_too() -> None:
    subprocess.run([sys.executable, "-c", _STRUCK], check=True, timeout=30)


def test_a_signal_that_came_before_the_wait_is_not_lost() -> None:
    told = "import os, signal; from hub.cli import serve; end = serve.EndAsked()"
    subprocess.run(
        [sys.executable, "-c", f"{told}; os.kill(os.getpid(), signal.SIGTERM); end.wait()"], check=True, timeout=30
    )
