"""`make bench`: CPU of one message from the mailbox to the record, as a ratio to the floor; messages a second.

Each round measures the floor and the hub on the same number of like messages (64 KB, all different), floor first, hub
next, so that the machine's mood falls on both. The hub is the real `hub serve` with its worker and reader processes
on a real Dovecot; what is counted is user and system time of all its processes, over the messages only (start-up and
a warm-up are left out). Results also go to bench/results/latest.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.floor import floor_cpu
from bench.letters import letters
from hub.sandbox.people import usagers_csv
from tests.trips.house import HOME, Site, running_site

RESULTS = Path(__file__).parent / "results" / "latest.json"
WARM_UP = 30


@dataclass(frozen=True)
class Row:
    """One measure: CPU milliseconds a message, messages a second, CPU by process."""

    what: str
    cpu_ms: float
    per_second: float
    shares: dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--messages", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", default="sqlite:///hub.db", help="database_url of the site")
    arguments = parser.parse_args()
    floors: list[Row] = []
    filed: list[Row] = []
    answered: list[Row] = []
    for number in range(arguments.rounds):
        floors.append(_floor(arguments.messages))
        filed.append(_hub("filed", arguments.messages, arguments.database, receipts=False))
        answered.append(_hub("filed and answered", arguments.messages, arguments.database, receipts=True))
        _print(number + 1, floors[-1], filed[-1], answered[-1])
    _summary(floors, filed, answered)


def _floor(count: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        cpu = floor_cpu(list(letters(count)), Path(folder))
    return Row("floor (bare calls)", cpu, 0.0, {})


def _hub(what: str, count: int, database: str, *, receipts: bool) -> Row:
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        running_site(Path(folder), usagers_csv(), database_url=database) as site,
    ):
        site.start()
        site.dovecot.deliver(HOME, *letters(WARM_UP, receipts=receipts))
        site.wait_until_settled(WARM_UP)
        time.sleep(1)
        before = _cpu(site)
        began = time.monotonic()
        site.dovecot.deliver(HOME, *letters(count, first=WARM_UP, receipts=receipts))
        counts = site.wait_until_settled(WARM_UP + count, seconds=300)
        wall = time.monotonic() - began
        assert counts["DONE"] == WARM_UP + count, f"not all were filed: {counts}"
        after = _cpu(site)
    shares = {name: (after[name] - before.get(name, 0)) * 1000 / count for name in after}
    return Row(what, sum(shares.values()), count / wall, shares)


def _cpu(site: Site) -> dict[str, float]:
    """User and system seconds so far, by what the process is."""
    total: dict[str, float] = {}
    for process in site.tree():
        try:
            words, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        name = "watcher" if " serve " in words else "worker" if " worker " in words else "reader"
        total[name] = total.get(name, 0) + times.user + times.system
    return total


def _print(number: int, *rows: Row) -> None:
    print(f"round {number}", flush=True)
    for row in rows:
        rate = f"{row.per_second:7.0f} messages/s" if row.per_second else " " * 18
        shares = "  ".join(f"{name} {cpu:.2f}" for name, cpu in sorted(row.shares.items()))
        print(f"  {row.what:<22} {row.cpu_ms:7.2f} CPU ms/message {rate}  {shares}", flush=True)


def _summary(floors: list[Row], *hubs: list[Row]) -> None:
    print("median of the rounds, pair by pair")
    told = {"floor": [asdict(row) for row in floors]}
    for rows in hubs:
        ratios = list(_ratios(rows, floors))
        print(
            f"  {rows[0].what:<22} {statistics.median(ratios):5.2f} times the floor"
            f" ({min(ratios):.2f} to {max(ratios):.2f}), {statistics.median(r.per_second for r in rows):.0f} messages/s"
        )
        told[rows[0].what] = [asdict(row) for row in rows]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(told, indent=1))


def _ratios(rows: list[Row], floors: list[Row]) -> Iterator[float]:
    return (row.cpu_ms / floor.cpu_ms for row, floor in zip(rows, floors, strict=True))


if __name__ == "__main__":
    main()
