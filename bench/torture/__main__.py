"""`python -m bench.torture`: campaigns on pairs of database and broker; prints what was checked; exit code 1 when
anything does not balance (docs/torture.md).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import select

from bench.torture.campaign import Campaign, Done, Size
from bench.torture.crew import Crew
from bench.torture.ground import PAIRS, Ground, laid
from bench.torture.history import History, passages
from bench.torture.points import Point, required
from bench.torture.verdict import SHOWN_MOST, Verdict, judge
from hub.sandbox.people import usagers_csv
from hub.spool.statements import MESSAGE
from tests.trips.house import Site, running_site

RESULTS = Path(__file__).parent.parent / "results" / "torture"
# The kills themselves must not use up the patience of the hub (a message that kills its worker three times is held:
# here the worker is killed for no fault of the message).
_PATIENT = "spooling: {deaths: 1000, attempts: 1000, sweep_every: 1s, retry_first: 1s, retry_most: 3s, lease: 6s}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.torture", description=__doc__)
    parser.add_argument("--pairs", default="all", help=f"all, or some of {','.join(PAIRS)}")
    parser.add_argument("--messages", type=int, default=Size.messages)
    parser.add_argument("--kills", type=int, default=Size.kills, help="at each point")
    parser.add_argument("--chances", type=int, default=Size.chances, help="kills at a random moment")
    parser.add_argument("--flushes", type=int, default=Size.flushes)
    parser.add_argument("--restarts", type=int, default=Size.restarts)
    parser.add_argument("--workers", type=int, default=1, help="beside the one of the service")
    parser.add_argument("--exec", action="store_true", help="start every process anew (slow) instead of forking it")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    told = parser.parse_args()
    pairs = PAIRS if told.pairs == "all" else tuple(told.pairs.split(","))
    if unknown := set(pairs) - set(PAIRS):
        parser.error(f"unknown pair: {', '.join(unknown)}")
    size = Size(told.messages, told.kills, told.chances, told.flushes, told.restarts)
    verdicts = {pair: run(pair, size, told.seed, told.workers, forks=not told.exec) for pair in pairs}
    print("\n" + "\n".join(f"{pair:<20} {'holds' if one.holds else 'DOES NOT HOLD'}" for pair, one in verdicts.items()))
    sys.exit(0 if all(one.holds for one in verdicts.values()) else 1)


def run(
    pair: str,
    size: Size,
    seed: int,
    workers: int = 1,
    results: Path = RESULTS,
    points: tuple[Point, ...] | None = None,
    forks: bool = True,
) -> Verdict:
    """One campaign. Its site is kept when the verdict does not hold. `points`: all that the pair must be killed at, or
    some of them. `forks`: see `bench.torture.nursery`."""
    print(f"\n=== {pair}: {size.messages} messages, seed {seed}", flush=True)
    history = History(results / f"{pair}-{seed}.jsonl")
    folder = Path(tempfile.mkdtemp(prefix=f"hub-torture-{pair.replace('+', '-')}-"))
    began = time.monotonic()
    with laid(pair) as ground, running_site(folder, usagers_csv(), database_url=ground.database_url) as site:
        make_patient(site, ground)
        points = required(pair.partition("+")[2]) if points is None else points
        crew = Crew(site, history, workers=workers, wounds=site.folder / "wounds", forks=forks)
        try:
            done = Campaign(site, ground, crew, history, size, seed, points).run()
        finally:
            crew.stop()
        for one in passages(site.folder / "wounds"):
            if one.what in ("KILLED", "READER-KILLED"):
                point = one.detail if one.what == "KILLED" else "reader.dies"
                history.note("killed at", t=one.at, pid=one.pid, role=one.role, point=point)
        verdict = judge(site, history, done, points)
        _tell(history, verdict, site, points, done)
    took = time.monotonic() - began
    print(f"{took:.0f} s; history: {history.file}", flush=True)
    history.note("verdict", holds=verdict.holds, seconds=round(took), **verdict.figures)
    for check in verdict.checks:
        history.note("check", **asdict(check))
    if verdict.holds:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept: {folder}")
    return verdict


def make_patient(site: Site, ground: Ground) -> None:
    """The site's settings for a campaign: the broker, and a patience that no number of kills uses up."""
    file = site.folder / "hub.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(("spooling:", "broker_url:"))]
    file.write_text("\n".join([*lines, f"broker_url: {ground.broker_url}", _PATIENT, ""]))


def _tell(history: History, verdict: Verdict, site: Site, points: tuple[Point, ...], done: Done) -> None:
    began = history.events[0]["t"]
    print("--- history (kills, flushes, restarts, releases, ends)")
    for event in sorted(history.events, key=lambda one: one["t"]):
        if event["what"] not in ("acknowledged", "start", "stopped"):
            facts = " ".join(f"{name}={value}" for name, value in event.items() if name not in ("t", "what"))
            print(f"{event['t'] - began:8.2f} s  {event['what']:<12} {facts}")
    print("--- points: passages, kills")
    passed = Counter(one.what for one in passages(site.folder / "wounds"))
    known = {point.name for point in points}
    for point in points:
        print(f"{passed[point.name]:8} {done.fired.get(point.name, 0):4}  {point.name:<28} {point.says}")
    for name in sorted(passed.keys() - known - {"KILLED", "READER-KILLED", "DOT"}):
        print(f"{passed[name]:8}    -  {name}")
    print("--- " + ", ".join(f"{number} {name}" for name, number in verdict.figures.items()))
    for check in verdict.checks:
        print(f"{'ok' if not check.differences else '!!':<3} {check.name}{': ' if check.told else ''}{check.told}")
        for difference in check.differences[:SHOWN_MOST]:
            print(f"      {difference}")
        if len(check.differences) > SHOWN_MOST:
            print(f"      … {len(check.differences)} in all")
    _tell_journal(verdict, site)


def _tell_journal(verdict: Verdict, site: Site) -> None:
    """What the journal says of the messages that differ, the first ones."""
    told = " ".join(one for check in verdict.checks for one in check.differences[:SHOWN_MOST])
    if not told:
        return
    with site.opened() as house:
        rows = house.database.read_now(lambda c: list(c.execute(select(MESSAGE.c.id, MESSAGE.c.message_id)).all()))
    named = [row.id for row in rows if row.id in told or (row.message_id and row.message_id in told)]
    for message_id in named[:SHOWN_MOST]:
        print(f"--- journal of {message_id}")
        print(site.command("journal", "show", "--message", message_id, "--json", "--last", "100").stdout, end="")


if __name__ == "__main__":
    main()
