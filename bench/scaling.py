"""`scaling`: messages carried a second by one and by two worker processes, for each database and each broker.

Only the carrying: the messages wait accepted in the spool (fetched with workers off), then workers start; the rate is
counted from the first to the last that is done, by their own times. Each worker brings a reader process, so that two
cores are not twice as much for two workers as for one: the gate is asked core for core. One worker with its reader on
one core, two workers with theirs on two, the servers (database, broker) on the same cores. The plain figure, where one
worker may use both cores, is printed beside it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psutil

from bench.figures import Figure, Options, Result, median_of, ratio_of
from bench.letters import letters, made_up_usager
from bench.sites import ACCEPTED, DONE, SETTLED, Looker, Wanted, bench_site, looking
from tests.trips.house import HOME, Site, wait_for

TITLE = "messages carried a second, one and two worker processes"
CHILDREN = 80
PAIRS = (
    ("sqlite", "sql"),
    ("sqlite", "amqp"),
    ("sqlite", "redis"),
    ("postgresql", "sql"),
    ("postgresql", "amqp"),
    ("postgresql", "redis"),
)
_BACK = (  # everything is as it was accepted: the same messages are carried again
    "delete from document",
    "delete from step",
    "update message set state = 'ACCEPTED', due_at = accepted_at, closed_at = null, thought = null, kind = null",
)


@dataclass(frozen=True)
class Carried:
    per_second: float
    cores: int
    workers: int
    pinned: bool


def run(options: Options) -> Result:
    # Some ten seconds: the first and the last half second, or one stall of the disk, weigh little.
    count = options.messages or 2_700
    figures: list[Figure] = []
    told: list[object] = []
    for database, broker in PAIRS:
        if database not in options.databases or broker not in options.brokers:
            continue
        one, two, free_one, free_two = _engine(database, broker, options.rounds or 2, count)
        pair = f"{database} {broker}"
        figures += [
            ratio_of(f"{pair}: 2 workers on 2 cores over 1 on 1", two, one, 1.7, "least"),
            median_of(f"{pair}: 1 worker on 1 core", one, "/s"),
            ratio_of(f"{pair}: 2 workers over 1, both cores free", free_two, free_one),
            median_of(f"{pair}: 2 workers, both cores free", free_two, "/s"),
        ]
        told.append({"pair": pair, "one": one, "two": two, "free one": free_one, "free two": free_two})
    return Result("scaling", TITLE, tuple(figures), tuple(told))


def _engine(
    database: str, broker: str, rounds: int, count: int
) -> tuple[list[float], list[float], list[float], list[float]]:
    one: list[float] = []
    two: list[float] = []
    free_one: list[float] = []
    free_two: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), Wanted(database=database, broker=broker, processes=0, usagers=100)) as site,
        looking(site) as looker,
    ):
        site.dovecot.deliver(HOME, *_letters(count))
        site.start()
        wait_for(lambda: looker.count(ACCEPTED) >= count, 120, lambda: site.log()[-3000:])
        time.sleep(0.5)
        site.stop()
        for _ in range(rounds):
            for rates, workers, pinned in (
                (one, 1, True),
                (two, 2, True),
                (free_one, 1, False),
                (free_two, 2, False),
            ):
                rates.append(_carry(site, looker, count, workers, pinned))
    return one, two, free_one, free_two


def _letters(count: int) -> Iterator[bytes]:
    """About the children of a home, not all about one: filings of one usager wait for each other (`hub.records`)."""
    for number in range(count):
        patient = made_up_usager(number % CHILDREN).identity
        yield from letters(1, first=number, receipts=False, patient=patient)


def _carry(site: Site, looker: Looker, count: int, workers: int, pinned: bool) -> float:
    """Messages a second from the first that is done to the last."""
    _put_back(site)
    cores = sorted(os.sched_getaffinity(0))[: workers if pinned else None]
    with _on_cores(site, cores), _workers(site, workers, pinned):
        hints = [sys.executable, "-m", "bench.hints", str(site.folder / "hub.yaml")]
        subprocess.run(hints, check=True, timeout=60)
        wait_for(lambda: looker.count(SETTLED) >= count, 300, lambda: site.log()[-3000:])
    assert looker.count(DONE) == count, "not all were filed"
    times = sorted(_moment(row[0]) for row in looker.rows("select closed_at from message"))
    return (count - 1) / (times[-1] - times[0])


def _moment(value: object) -> float:
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return at.timestamp()


def _put_back(site: Site) -> None:
    with site.opened() as house, house.database.engine.begin() as connection:
        for line in _BACK:
            connection.exec_driver_sql(line)


@contextmanager
def _workers(site: Site, workers: int, pinned: bool) -> Iterator[None]:
    log = (site.folder / "serve.log").open("ab")
    cores = sorted(os.sched_getaffinity(0))
    started = []
    for number in range(workers):
        words = [sys.executable, "-m", "hub", "worker", "--site", str(site.folder)]
        process = subprocess.Popen(words, stdout=log, stderr=log, start_new_session=True)
        if pinned:
            os.sched_setaffinity(process.pid, {cores[number % len(cores)]})
        started.append(process)
    time.sleep(3)  # all are up before the first hint: what counts is carrying
    try:
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def _on_cores(site: Site, cores: list[int]) -> Iterator[None]:
    """The servers of the site stay on these cores."""
    ours = [process for process in psutil.Process().children(recursive=True) if process.is_running()]
    for process in ours:
        _pin(process.pid, set(cores))
    try:
        yield
    finally:
        for process in ours:
            _pin(process.pid, os.sched_getaffinity(0))


def _pin(pid: int, cores: set[int]) -> None:
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)
    except (OSError, ProcessLookupError):  # it ended meanwhile
        return
