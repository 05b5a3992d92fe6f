"""`latency`: from the server's EXISTS to the document filed and its receipt queued, one message at a time.

The moment of EXISTS is what Dovecot writes to the hub's own connection, by its raw log (its own delay of half a second
before it tells anybody is not the hub's). The end is when another process can read the committed plan with the filing
done in the database, looked at every half millisecond.
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, Options, Result, percentile
from bench.letters import signed_letters
from bench.sites import DONE, Wanted, bench_site, looking
from tests.trips.house import HOME, Site, wait_for

TITLE = "EXISTS to filed and receipt queued"
FILED = "select count(*) from step where type = 'filing' and state = 'DONE'"
_EXISTS = re.compile(rb"^(\d+\.\d+) \* (\d+) EXISTS", re.MULTILINE)


def run(options: Options) -> Result:
    count = (options.messages or 50) * (options.rounds or 1)
    latencies: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), Wanted(rawlog=True)) as site,
        looking(site) as looker,
    ):
        site.start()
        site.dovecot.deliver(HOME, *signed_letters(5))
        wait_for(lambda: looker.count(DONE) >= 5, 60, lambda: site.log()[-3000:])
        time.sleep(2)
        filed = looker.count(FILED)
        for number, raw in enumerate(signed_letters(count, first=5)):
            site.dovecot.deliver(HOME, raw)
            began = time.monotonic()
            while looker.count(FILED) <= filed:
                if time.monotonic() - began > 30:
                    raise AssertionError(site.log()[-3000:])
                time.sleep(0.0005)
            done = time.time()
            filed += 1
            latencies.append((done - _told_at(site, 6 + number)) * 1000)
            time.sleep(0.15)  # the receipt goes out, IDLE is entered again
    figures = (
        Figure("p95", percentile(latencies, 0.95), "ms", 30.0, note=f"{len(latencies)} messages"),
        Figure("median", statistics.median(latencies), "ms"),
        Figure("worst", max(latencies), "ms"),
    )
    return Result("latency", TITLE, figures, tuple(round(one, 2) for one in latencies))


def _told_at(site: Site, exists: int) -> float:
    """When the server told the hub of so many messages."""
    until = time.monotonic() + 3
    while True:
        for file in (site.dovecot.folder / "rawlog").glob("*.out"):
            for at, number in _EXISTS.findall(file.read_bytes()):
                if int(number) == exists:
                    return float(at)
        if time.monotonic() > until:
            raise AssertionError(f"the server never told of {exists} messages")
        time.sleep(0.02)
