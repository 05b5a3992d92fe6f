"""The processes of one site as a sysadmin's supervisor keeps them: `hub serve` with its own worker, more workers by
hand; whatever ends is started again at once.

Out: who runs (pids by role), the kills that were asked for. Each start and each end is a line of the history; an end
that nobody asked for is told apart (`ended`), with its exit code.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

import psutil

from bench.torture.history import History
from bench.torture.nursery import Nursery
from bench.torture.wounds import FOLDER
from tests.conftest import PROJECT_ROOT
from tests.trips.house import Site

HOOKS = Path(__file__).parent / "hooks"
LOOK_EVERY = 0.1  # seconds
STOP_WITHIN = 120.0


class Started(Protocol):
    """A process, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...


class Crew:
    def __init__(
        self, site: Site, history: History, *, workers: int, wounds: Path | None = None, forks: bool = False
    ) -> None:
        """`workers`: beside the one that the service starts. `wounds`: the folder of `bench.torture.wounds`. `forks`:
        start them from a `Nursery`."""
        self._site = site
        self._history = history
        self._environment = dict(os.environ)
        if wounds is not None:
            for name in ("armed", "fired"):
                (wounds / name).mkdir(parents=True)
            self._environment |= {FOLDER: str(wounds), "PYTHONPATH": f"{HOOKS}{os.pathsep}{PROJECT_ROOT}"}
        self._words = {"serve": ["serve"]} | {f"worker-{number + 1}": ["worker"] for number in range(workers)}
        self._running: dict[str, Started] = {}
        self._nursery = Nursery(self._environment, self._log("nursery")) if forks else None
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        self._keeper.start()

    def run(self, *words: str) -> int:
        """A command of a human, to its end; its exit code: it may be wounded too (-9)."""
        return self._started(words, self._log("commands")).wait(300)

    def by_role(self) -> dict[str, list[int]]:
        """Pids: `serve`, `worker` (those of the service too), `reader`."""
        found: dict[str, list[int]] = {"serve": [], "worker": [], "reader": []}
        with self._lock:
            running = dict(self._running)
        for name, process in running.items():
            if process.poll() is not None:
                continue
            found["serve" if name == "serve" else "worker"].append(process.pid)
            for child, words in _children(process.pid):
                found["worker" if " hub worker " in words else "reader"].append(child)
        return found

    def pid_of(self, name: str) -> int | None:
        """Of `serve` or `worker-1`, while it runs."""
        with self._lock:
            process = self._running.get(name)
        return process.pid if process is not None and process.poll() is None else None

    def kill(self, role: str, chance: random.Random, spared: Collection[int | None] = ()) -> list[int]:
        """kill -9 of one process of the role (`all`: of every process of the site at once); the pids."""
        pids = {name: [pid for pid in found if pid not in spared] for name, found in self.by_role().items()}
        victims = [pid for role_pids in pids.values() for pid in role_pids] if role == "all" else pids[role]
        if role != "all" and victims:
            victims = [chance.choice(victims)]
        with self._lock:  # nobody is started again half-way
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if victims:
            self._history.note("kill", role=role, pids=victims)
        return victims

    def stop(self) -> None:
        """SIGTERM, as a supervisor does, then wait; an exit code other than 0 is told."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        for name, process in self._running.items():
            try:
                code = process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
            self._history.note("stopped", name=name, pid=process.pid, code=code)
        self._running.clear()
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._site.folder.glob("*.log")))

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            with self._lock:
                for name in self._words:
                    self._look_after(name)

    def _look_after(self, name: str) -> None:
        process = self._running.get(name)
        if process is not None and process.poll() is None:
            return
        if process is not None and process.returncode != -signal.SIGKILL:
            self._history.note("ended", name=name, pid=process.pid, code=process.returncode)
            time.sleep(0.5)
        self._running[name] = process = self._started(self._words[name], self._log(name))
        self._history.note("start", name=name, pid=process.pid)

    def _started(self, words: Sequence[str], log: Path) -> Started:
        asked = [*words, "--site", str(self._site.folder)]
        if self._nursery is not None:
            return self._nursery.start(asked, log)
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "hub", *asked],
                env=self._environment,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _log(self, name: str) -> Path:
        return self._site.folder / f"{name}.log"


def _children(pid: int) -> list[tuple[int, str]]:
    """(pid, command line) of all that a process started, its children's children too."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append((child.pid, " ".join(child.cmdline())))
    return found
