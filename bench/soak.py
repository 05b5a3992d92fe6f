"""`make soak`: full speed for half an hour, with kills; resident memory and open descriptors of every process must be
flat, the queue drained at the end, the books balanced.

One worker and, in the first half, the watcher are spared by the kills: leaks show in processes that live long. Each
process that lived for a quarter of the run or more is judged by itself (the median of its second quarter against that
of its last), each role over the whole run as well. Exit code 1 when something grows or does not balance.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from bench.torture.crew import Crew
from bench.torture.history import History
from bench.torture.post import letters
from bench.torture.postman import Postman, met_and_waiting
from hub.sandbox.people import usagers_csv
from tests.trips.house import Site, running_site

RESULTS = Path(__file__).parent / "results"
UNDER_WAY_MOST = 300
SAMPLE_EVERY = 2.0  # seconds
GROWTH_MOST = 1.10
MEMORY_SLACK = 8.0  # MB: arenas and caches that fill once
DESCRIPTORS_SLACK = 6.0  # a connection opened at need
SPARED = "worker-1"


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one moment: seconds since the start of the run, MB resident, open descriptors."""

    at: float
    role: str
    pid: int
    memory: float
    descriptors: int


@dataclass(frozen=True, slots=True)
class Trend:
    """The median of the second quarter of a life, and of its last."""

    who: str
    what: str
    lived: float  # seconds
    early: float
    late: float
    is_flat: bool


@dataclass
class Soak:
    minutes: float = 0.0
    messages: int = 0
    kills: int = 0
    waiting: int = -1
    balances: bool = False
    journal_is_whole: bool = False
    peaks: dict[str, float] = field(default_factory=dict)  # role -> MB
    trends: list[Trend] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)  # processes that ended by themselves

    @property
    def holds(self) -> bool:
        return (
            self.balances
            and self.journal_is_whole
            and self.waiting == 0
            and self.messages > 0
            and bool(self.trends)
            and all(trend.is_flat for trend in self.trends)
            and not self.ended
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--kill-every", type=float, default=20.0, help="seconds, on the average")
    parser.add_argument("--database", default="sqlite:///hub.db", help="database_url of the site")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-soak-") as folder:
        soak, samples = run(Path(folder), told.minutes * 60, told.kill_every, told.seed, told.database)
    tell(soak)
    RESULTS.mkdir(exist_ok=True)
    written = asdict(soak) | {"samples": [asdict(sample) for sample in samples]}
    (RESULTS / "soak.json").write_text(json.dumps(written))
    sys.exit(0 if soak.holds else 1)


def run(
    folder: Path, seconds: float, kill_every: float, seed: int, database_url: str = "sqlite:///hub.db"
) -> tuple[Soak, list[Sample]]:
    history, soak = History(folder / "history.jsonl"), Soak(minutes=round(seconds / 60, 1))
    with running_site(folder, usagers_csv(), database_url=database_url) as site:
        _patient(site)
        crew, postman, stop = Crew(site, history, workers=2), Postman(site, history), threading.Event()
        samples: list[Sample] = []
        began = time.monotonic()
        threads = [
            threading.Thread(target=postman.flow, args=(letters(seed), UNDER_WAY_MOST, stop)),
            threading.Thread(target=_sample, args=(crew, samples, began, stop)),
        ]
        crew.start()
        try:
            for thread in threads:
                thread.start()
            _kill_now_and_then(crew, random.Random(seed), began, seconds, kill_every)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            postman.wait_until_settled()
            soak.messages, (_, soak.waiting) = len(postman.delivered), met_and_waiting(site)
            crew.stop()
        soak.kills = sum(len(event["pids"]) for event in history.of("kill"))
        soak.ended = [f"{event['name']}: exit code {event['code']}" for event in history.of("ended")]
        soak.balances = site.command("ledger").returncode == 0
        soak.journal_is_whole = site.command("journal", "verify").returncode == 0
    soak.peaks = {role: max(one.memory for one in ofs) for role, ofs in _grouped(samples, by_pid=False).items()}
    soak.trends = [*trends(samples, seconds)]
    return soak, samples


def _patient(site: Site) -> None:
    """A message that is killed with its worker three times would be held: here it is not its fault."""
    file = site.folder / "hub.yaml"
    file.write_text(file.read_text().replace("spooling: {", "spooling: {deaths: 1000, attempts: 1000, "))


def _kill_now_and_then(crew: Crew, chance: random.Random, began: float, seconds: float, every: float) -> None:
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, chance.uniform(0, 2 * every)))
        is_first_half = time.monotonic() - began < seconds / 2
        spared = [crew.pid_of(SPARED), *([crew.pid_of("serve")] if is_first_half else [])]
        crew.kill(chance.choice(("worker", "worker", "reader", "serve")), chance, spared)


def _sample(crew: Crew, samples: list[Sample], began: float, stop: threading.Event) -> None:
    while not stop.wait(SAMPLE_EVERY):
        for role, pids in crew.by_role().items():
            for pid in pids:
                try:
                    process = psutil.Process(pid)
                    memory, descriptors = process.memory_info().rss / 1024**2, process.num_fds()
                except psutil.Error:
                    continue
                samples.append(Sample(time.monotonic() - began, role, pid, memory, descriptors))


def trends(samples: Sequence[Sample], seconds: float) -> Iterable[Trend]:
    """Of each process that lived for a quarter of the run, and of each role."""
    for name, ofs in {**_grouped(samples, by_pid=True), **_grouped(samples, by_pid=False)}.items():
        lived = ofs[-1].at - ofs[0].at
        if lived < seconds / 4 or len(ofs) < 8:
            continue
        second = [one for one in ofs if 0.25 <= (one.at - ofs[0].at) / lived <= 0.5]
        last = [one for one in ofs if (one.at - ofs[0].at) / lived >= 0.75]
        if not second or not last:
            continue
        for what, slack in (("memory", MEMORY_SLACK), ("descriptors", DESCRIPTORS_SLACK)):
            early, late = (statistics.median(getattr(one, what) for one in some) for some in (second, last))
            flat = late <= max(early * GROWTH_MOST, early + slack)
            yield Trend(name, what, round(lived, 1), round(early, 1), round(late, 1), flat)


def _grouped(samples: Iterable[Sample], *, by_pid: bool) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        found[f"{one.role} {one.pid}" if by_pid else one.role].append(one)
    return found


def tell(soak: Soak) -> None:
    print(f"{soak.minutes} minutes, {soak.messages} messages, {soak.kills} kills; peak MB: "
          + ", ".join(f"{role} {peak:.0f}" for role, peak in soak.peaks.items()))  # fmt: skip
    for trend in soak.trends:
        sign = "ok" if trend.is_flat else "!!"
        print(
            f"{sign:<3} {trend.who:<14} {trend.what:<12} {trend.early:8.1f} -> {trend.late:8.1f}  ({trend.lived:.0f} s)"
        )
    print(
        f"messages left to carry {soak.waiting}; ledger balances {soak.balances}, "
        f"journal is whole {soak.journal_is_whole}"
    )
    for line in soak.ended:
        print(f"  ended by itself: {line}")
    print("it holds" if soak.holds else "IT DOES NOT HOLD")


if __name__ == "__main__":
    main()
