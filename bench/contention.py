"""`make contention`: SQLite under everybody at once: the watcher, eight worker processes and readers in loops (status,
held, ledger, show, journal verify), mail all the time. Nobody may ever hear that the database is locked.

Every log line and everything that a command prints is searched for the ways in which SQLite says "busy"; every command
must end with a code that it means. Then the books must balance. Exit code 1 when one of it is not so.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import select

from bench.torture.crew import Crew
from bench.torture.history import History
from bench.torture.post import letters
from bench.torture.postman import Postman, met_and_waiting
from hub.sandbox.people import usagers_csv
from hub.spool.statements import MESSAGE
from tests.trips.house import Site, running_site

RESULTS = Path(__file__).parent / "results"
WORKERS = 8
UNDER_WAY_MOST = 400  # letters that the hub has not yet carried, before the postman pauses
OVERTIME = 180.0  # seconds that a slow machine gets beyond the asked ones, until every reader has run once
BUSY = re.compile(r"locked|SQLITE_BUSY|OperationalError|database: |Traceback", re.IGNORECASE)
# Which exit codes a reader means: status says 1 when something waits for a human.
READERS: dict[tuple[str, ...], tuple[int, ...]] = {
    ("status",): (0, 1),
    ("held",): (0,),
    ("ledger",): (0,),
    ("show",): (0,),
    ("journal", "verify"): (0,),
}


@dataclass
class Found:
    """What was seen. `complaints`: lines that speak of a busy database; `wrong`: commands that did not end well."""

    minutes: float = 0.0
    messages: int = 0
    commands: dict[str, int] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    waiting: int = -1
    balances: bool = False
    journal_is_whole: bool = False

    @property
    def holds(self) -> bool:
        return (
            not self.complaints
            and not self.wrong
            and self.waiting == 0
            and self.messages > 0
            and self.balances
            and self.journal_is_whole
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.contention", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hub-contention-") as folder:
        found = run(Path(folder), told.minutes * 60, told.workers, told.seed)
    tell(found)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "contention.json").write_text(json.dumps(asdict(found), indent=1))
    sys.exit(0 if found.holds else 1)


def run(folder: Path, seconds: float, workers: int, seed: int) -> Found:
    """Serve, deliver and read for so long, and until every reader has run once; drain; look."""
    found = Found(minutes=round(seconds / 60, 1))
    history = History(folder / "history.jsonl")
    with running_site(folder, usagers_csv(), processes=workers, lease=60) as site:
        postman, stop = Postman(site, history), threading.Event()
        crew = Crew(site, history, workers=0)
        threads = [
            threading.Thread(target=postman.flow, args=(letters(seed), UNDER_WAY_MOST, stop)),
            *(threading.Thread(target=_read, args=(site, words, found, stop)) for words in READERS),
        ]
        crew.start()
        try:
            for thread in threads:
                thread.start()
            time.sleep(seconds)
            give_up = time.monotonic() + OVERTIME
            while len(found.commands) < len(READERS) and time.monotonic() < give_up:
                time.sleep(0.2)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            postman.wait_until_settled()
            found.messages, (_, found.waiting) = len(postman.delivered), met_and_waiting(site)
            crew.stop()
        found.complaints += _complaints(crew.logs())
        found.wrong += [f"{event['name']}: exit code {event['code']}" for event in history.of("ended")]
        found.balances = site.command("ledger").returncode == 0
        found.journal_is_whole = site.command("journal", "verify").returncode == 0
    return found


def _read(site: Site, words: tuple[str, ...], found: Found, stop: threading.Event) -> None:
    """One command again and again."""
    chance = random.Random(str(words))
    while not stop.is_set():
        asked = (*words, *_one_of(site, chance)) if words == ("show",) else words
        if asked == ("show",):  # nothing to show yet
            stop.wait(0.5)
            continue
        try:
            done = site.command(*asked)
        except subprocess.TimeoutExpired:
            found.wrong.append(f"hub {' '.join(words)}: no end")
            continue
        name = " ".join(words)
        found.commands[name] = found.commands.get(name, 0) + 1
        found.complaints += _complaints(done.stdout + done.stderr)
        if done.returncode not in READERS[words]:
            found.wrong.append(f"hub {name}: exit code {done.returncode}: {(done.stdout + done.stderr)[-300:]}")


def _one_of(site: Site, chance: random.Random) -> list[str]:
    with site.opened() as house:
        ids = house.database.read_now(lambda c: list(c.execute(select(MESSAGE.c.id).limit(500)).scalars()))
    return [chance.choice(ids)] if ids else []


def _complaints(text: str) -> list[str]:
    return list(itertools.islice((line.strip()[:200] for line in text.splitlines() if BUSY.search(line)), 50))


def tell(found: Found) -> None:
    print(f"{found.minutes} minutes, {found.messages} messages; commands run beside: {found.commands}")
    print(f"a busy database was heard of                {len(found.complaints):6} times")
    print(f"commands or processes that did not end well {len(found.wrong):6}")
    print(f"messages left to carry                      {found.waiting:6}")
    print(f"ledger balances {found.balances}, journal is whole {found.journal_is_whole}")
    for line in [*found.complaints, *found.wrong][:20]:
        print(f"  {line}")
    print("it holds" if found.holds else "IT DOES NOT HOLD")


if __name__ == "__main__":
    main()
