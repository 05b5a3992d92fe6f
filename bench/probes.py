"""What processes cost, as the kernel counts it: CPU by role, resident and proportional memory, peaks, instructions."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import psutil

MIB = 1024**2
ROLES = ("service", "worker", "reader")


@dataclass(frozen=True)
class Cpu:
    """Seconds of CPU so far."""

    user: float = 0.0
    system: float = 0.0

    @property
    def all(self) -> float:
        return self.user + self.system

    def __add__(self, other: Cpu) -> Cpu:
        return Cpu(self.user + other.user, self.system + other.system)

    def __sub__(self, other: Cpu) -> Cpu:
        return Cpu(self.user - other.user, self.system - other.system)


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process, and whatever it starts meanwhile, stays on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def role_of(process: psutil.Process) -> str:
    """`service` (watchers and sweep), `worker`, or `reader` (a child of a worker, which reads foreign bytes)."""
    words = process.cmdline()
    if "serve" in words:
        return "service"
    return "worker" if "worker" in words else "reader"


def cpu_by_role(processes: Iterable[psutil.Process]) -> dict[str, Cpu]:
    """CPU of processes that live, by role; a process that was replaced meanwhile takes its CPU with it."""
    total: dict[str, Cpu] = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            role = role_of(process)
            total[role] = total.get(role, Cpu()) + Cpu(times.user, times.system)
    return total


def time_by_role(processes: Iterable[psutil.Process]) -> dict[str, Cpu]:
    """As `cpu_by_role`, to the nanosecond and not split: ticks of 10 ms are too coarse for a minute in which nothing
    comes. Threads that ended meanwhile are not counted."""
    total: dict[str, Cpu] = {}
    for process in processes:
        tasks = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
        seconds = sum(int(task.read_text().split()[0]) for task in tasks) / 1e9
        role = role_of(process)
        total[role] = total.get(role, Cpu()) + Cpu(user=seconds)
    return total


def spent(before: dict[str, Cpu], after: dict[str, Cpu]) -> dict[str, Cpu]:
    return {role: after[role] - before.get(role, Cpu()) for role in after}


def whole(shares: dict[str, Cpu]) -> Cpu:
    return sum(shares.values(), Cpu())


def peak_of(pid: int) -> float:
    """The most that it was ever resident (VmHWM), MiB."""
    return _read(pid, "status", r"VmHWM:\s+(\d+)")


def resident(processes: Iterable[psutil.Process]) -> float:
    """Resident memory of all, MiB: shared pages count in each."""
    return sum(_read(process.pid, "status", r"VmRSS:\s+(\d+)") for process in processes)


def proportional(processes: Iterable[psutil.Process]) -> float:
    """PSS of all, MiB: a page shared by n processes counts 1/n in each."""
    return sum(_read(process.pid, "smaps_rollup", r"^Pss:\s+(\d+)") for process in processes)


def _read(pid: int, file: str, pattern: str) -> float:
    try:
        found = re.search(pattern, Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0


@cache
def counts_instructions() -> bool:
    """Whether `perf stat` can count user instructions here (many virtual machines hide the counters)."""
    if shutil.which("perf") is None:
        return False
    told = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    return told.returncode == 0 and _counted(told.stderr) is not None


@dataclass
class Instructions:
    user: float | None = field(default=None)  # None: the machine does not count them


@contextmanager
def instructions(pids: Iterable[int]) -> Iterator[Instructions]:
    """User instructions of these processes between begin and end."""
    counted = Instructions()
    if not counts_instructions():
        yield counted
        return
    perf = subprocess.Popen(
        ["perf", "stat", "-x,", "-e", "instructions:u", "-p", ",".join(map(str, pids))],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.2)
    try:
        yield counted
    finally:
        perf.send_signal(2)
        counted.user = _counted(perf.communicate()[1])


def _counted(told: str) -> float | None:
    for line in told.splitlines():
        first, *_, rest = line.partition(",")
        if "instructions" in rest and first.isdigit():
            return float(first)
    return None
