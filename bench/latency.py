"""`latency`: from the server's EXISTS to the document filed and its receipt queued, one message at a time.

The moment of EXISTS is what Dovecot writes to the hub's own connection, by its raw log (its own delay of half a second
before it tells anybody is not the hub's). The end is when another process can read the committed plan with the filing
done in the database, looked at every half millisecond. The stages between are told by the hub's own times: accepted
(fetched, about to commit), planned (read and thought about, about to commit).
"""

from __future__ import annotations

import re
import statistics
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from bench.figures import Figure, Options, Result, percentile
from bench.letters import signed_letters
from bench.sites import DONE, Wanted, bench_site, looking
from tests.trips.house import HOME, Site, wait_for

TITLE = "EXISTS to filed and receipt queued"
FILED = "select count(*) from step where type = 'filing' and state = 'DONE'"
TIMES = (
    "select m.accepted_at, s.settled_at from message m join step s on s.message = m.id and s.type = 'filing' "
    "order by m.accepted_at desc limit 1"
)
STAGES = ("EXISTS to accepted", "accepted to planned", "planned to seen")
_EXISTS = re.compile(rb"^(\d+\.\d+) \* (\d+) EXISTS", re.MULTILINE)


def run(options: Options) -> Result:
    count = (options.messages or 50) * (options.rounds or 1)
    latencies: list[float] = []
    stages: list[tuple[float, ...]] = []
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
            told = _told_at(site, 6 + number)
            latencies.append((done - told) * 1000)
            time.sleep(0.15)  # the receipt goes out, IDLE is entered again
            moments = (told, *map(_moment, looker.rows(TIMES)[0]), done)
            stages.append(tuple((after - before) * 1000 for before, after in pairwise(moments)))
    figures = (
        Figure("p95", percentile(latencies, 0.95), "ms", 30.0, note=f"{len(latencies)} messages"),
        Figure("median", statistics.median(latencies), "ms"),
        Figure("worst", max(latencies), "ms"),
        *_stage_figures(stages),
    )
    return Result("latency", TITLE, figures, tuple(tuple(round(one, 2) for one in stage) for stage in stages))


def _stage_figures(stages: list[tuple[float, ...]]) -> list[Figure]:
    """Each stage on all messages, and on the slowest tenth: what makes those slow."""
    slowest = sorted(stages, key=sum)[-max(1, len(stages) // 10) :]
    figures = []
    for place, name in enumerate(STAGES):
        figures.append(Figure(f"{name}, median", statistics.median(stage[place] for stage in stages), "ms"))
        figures.append(
            Figure(f"{name}, of the slowest tenth", statistics.median(stage[place] for stage in slowest), "ms")
        )
    return figures


def _moment(value: object) -> float:
    """Seconds since the epoch."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


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
