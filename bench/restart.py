"""`restart`: kill -9 with 10,000 messages queued; from the start of `hub serve` to the first message carried.

Compared with the normal start of the same site (stopped in peace, one message waiting). The queue was being carried
when everything was killed: leases and hints of dead processes are left behind.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Options, Result, median_of, ratio_of
from bench.letters import letters
from bench.sites import DONE, Wanted, bench_site, looking
from hub.ports import Arrival
from tests.trips.house import Site, wait_for

TITLE = "start after kill -9 with 10,000 queued, to the first message carried"


def run(options: Options) -> Result:
    rounds, count = options.rounds or 2, options.messages or 10_000
    normal, killed, overload = [], [], []
    for _ in range(rounds):
        with (
            tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
            bench_site(Path(folder), Wanted(usagers=100)) as site,
        ):
            _queue(site, 0, 1)
            normal.append(_first_carried(site))
            site.stop()
            _queue(site, 1, count)
            site.start()
            _wait_for_some(site, _done(site) + 20)
            site.kill()
            left = count - _done(site)
            killed.append(_first_carried(site))
            overload.append(float(left))
            site.kill()
    figures = (
        ratio_of("first carried after kill -9, over a normal start", killed, normal, 2.0),
        median_of("normal start to first carried", normal, "s"),
        median_of("after kill -9", killed, "s"),
        median_of("left in the queue by the kill", overload, "messages"),
    )
    return Result("restart", TITLE, figures, ({"normal": normal, "killed": killed, "left": overload},))


def _wait_for_some(site: Site, done: int) -> None:
    wait_for(lambda: _done(site) > done, 60, lambda: site.log()[-3000:])


def _queue(site: Site, first: int, count: int) -> None:
    """Accepted messages, as a watcher leaves them; a small letter each, so that filling takes seconds."""

    async def fill() -> None:
        with site.opened() as house:
            spool = house.spool
            now = datetime.now(UTC)
            for start in range(first, first + count, 50):
                numbers = range(start, min(start + 50, first + count))

                async def one(number: int, raw: bytes) -> None:
                    blob = await spool.new_blob()
                    await blob.write(raw)
                    arrival = Arrival(
                        mailbox="dossiers",
                        uidvalidity=1,
                        uid=number + 1,
                        received_at=now,
                        message_id=f"<{number}@b>",
                        test=True,
                    )
                    await spool.accept(arrival, blob)

                raws = letters(len(numbers), first=start, receipts=False, ballast=200)
                await asyncio.gather(*(one(number, raw) for number, raw in zip(numbers, raws, strict=True)))

    asyncio.run(fill())


def _done(site: Site) -> int:
    with looking(site) as looker:
        return looker.count(DONE)


def _first_carried(site: Site) -> float:
    """Seconds from the start of the service until one more message is done."""
    with looking(site) as looker:
        before = looker.count(DONE)
        began = time.monotonic()
        site.start()
        while looker.count(DONE) <= before:
            if time.monotonic() - began > 90:
                raise AssertionError(site.log()[-3000:])
            time.sleep(0.01)
        return time.monotonic() - began
