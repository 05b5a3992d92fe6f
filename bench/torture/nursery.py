"""Processes of the hub by fork instead of exec: this one has imported the hub already, which is most of a start. What
runs in a child is `hub.cli.main`, as always; a campaign with a hundred kills takes a third of the time.

As a program: JSON lines in (`{"words": ["serve", …], "log": "/…"}`), JSON lines out (`{"started": pid}`,
`{"ended": pid, "code": …}`); its end ends nobody. `Nursery` is the other side of these pipes.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.torture import wounds

LOOK_EVERY = 0.02  # seconds


class Nursling:
    """One child, with the few methods of `subprocess.Popen` that a crew uses. `returncode` is negative for a signal."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.has_ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if not self.has_ended.wait(timeout):
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def terminate(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


class Nursery:
    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as out:
            self._mother = subprocess.Popen(
                [sys.executable, "-m", "bench.torture.nursery"],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
            )
        self._asking = threading.Lock()
        self._born = threading.Semaphore(0)
        self._children: dict[int, Nursling] = {}
        self._last: Nursling | None = None
        self._hearing = threading.Thread(target=self._hear, daemon=True)
        self._hearing.start()

    def start(self, words: Sequence[str], log: Path) -> Nursling:
        with self._asking:
            assert self._mother.stdin is not None
            self._mother.stdin.write(json.dumps({"words": list(words), "log": str(log)}).encode() + b"\n")
            self._mother.stdin.flush()
            self._born.acquire()
            assert self._last is not None, "the nursery is gone: see its log"
            return self._last

    def close(self) -> None:
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        self._mother.wait(60)

    def _hear(self) -> None:
        assert self._mother.stdout is not None
        for line in self._mother.stdout:
            told: dict[str, Any] = json.loads(line)
            if "started" in told:
                self._last = self._children[told["started"]] = Nursling(told["started"])
                self._born.release()
            else:
                child = self._children[told["ended"]]
                child.returncode = told["code"]
                child.has_ended.set()
        self._last = None
        self._born.release()


def main() -> None:
    import_all()
    asked = b""
    while True:
        _reap()
        if not select.select([0], [], [], LOOK_EVERY)[0]:
            continue
        got = os.read(0, 65_536)
        if not got:
            return
        *lines, asked = (asked + got).split(b"\n")
        for line in lines:
            order = json.loads(line)
            child = os.fork()
            if child == 0:
                _be(order["words"], order["log"])
            _tell({"started": child})


def import_all() -> None:
    """Everything that a command of the hub imports sooner or later; it must start no thread and open no file."""
    import hub.cli.serve
    import hub.worker.rabbit_broker
    import hub.worker.redis_broker  # noqa: F401

    for name in wounds.WRAPPED:
        __import__(name)


def _be(words: list[str], log: str) -> None:
    """In the child: the hub's command, in a session of its own. Never returns."""
    os.setsid()
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for old, new in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(old, new)
    random.seed()
    sys.argv = ["hub", *words]
    wounds.wound(words[0])
    code = 1
    try:
        from hub.cli import main as command

        command()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _tell(fact: dict[str, int]) -> None:
    os.write(1, json.dumps(fact).encode() + b"\n")


if __name__ == "__main__":
    main()
