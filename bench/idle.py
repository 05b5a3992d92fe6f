"""`idle`: what the hub costs when nothing comes: memory of a watched mailbox, CPU, footprint, and how soon it watches.

Real IDLE connections to a real Dovecot, settings as shipped. CPU is that of the whole tree (service, worker, reader)
over two quiet minutes, which hold neither a poll (every five minutes) nor an account (every hour, told apart). The
first IDLE is what Dovecot's raw log of the connection says.
"""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from bench.figures import Figure, Options, Result, median_of
from bench.letters import letters
from bench.probes import proportional, resident, role_of, spent, time_by_role, whole
from bench.sites import DONE, Wanted, bench_site, looking
from tests.trips.house import HOME, Site, wait_for

TITLE = "a quiet hub: memory, CPU, start"
FEW, MANY = 20, 200
QUIET = 120.0  # Dovecot says every two minutes, at each connection, that it is still there
_IDLE = re.compile(rb"^(\d+\.\d+) \S+ IDLE\r?$", re.MULTILINE)


def run(options: Options) -> Result:
    starts = [_start() for _ in range(options.rounds or 3)]
    few = _quiet(FEW)
    many = _quiet(MANY)
    each = (many["service pss"] - few["service pss"]) / (MANY - FEW) * 1024
    figures = (
        median_of("start to first IDLE", starts, "s", 1.6),
        Figure(f"memory a watched mailbox ({FEW} to {MANY} in IDLE, PSS)", each, "KiB", 305.0, note="aim 64"),
        Figure(f"idle CPU, {FEW} mailboxes, whole tree", few["cpu"], "ms/s", 1.0),
        Figure(f"idle CPU, {MANY} mailboxes, whole tree", many["cpu"], "ms/s", 1.0),
        *(
            Figure(f"idle CPU, {FEW} mailboxes, {role}", few[f"{role} cpu"], "ms/s")
            for role in ("service", "worker", "reader")
        ),
        Figure(f"account of a mailbox, once an hour, of {MANY}", many["account"], "ms"),
        Figure(f"resident, {FEW} mailboxes: sum of RSS", few["rss"], "MiB", note="goal 110"),
        Figure(f"resident, {FEW} mailboxes: sum of PSS", few["pss"], "MiB"),
    )
    return Result("idle", TITLE, figures, ({"starts": starts, "few": few, "many": many},))


def _start() -> float:
    """Seconds from the start of `hub serve` to the first IDLE of its mailbox."""
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), Wanted(usagers=12, rawlog=True)) as site,
    ):
        began = time.time()
        site.start()
        return _first_idle(site) - began


def _first_idle(site: Site) -> float:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for file in (site.dovecot.folder / "rawlog").glob("*.in"):
            if found := _IDLE.search(file.read_bytes()):
                return float(found[1])
        time.sleep(0.02)
    raise AssertionError(f"no IDLE\n{site.log()[-3000:]}")


def _quiet(mailboxes: int) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), Wanted(usagers=12, mailboxes=mailboxes, passwords=True)) as site,
        looking(site) as looker,
    ):
        site.start()
        compared = "select count(*) from cursor"
        wait_for(lambda: looker.count(compared) >= mailboxes, 120, lambda: site.log()[-3000:])
        # One message, so that the reader's process is there as on any hub that has worked.
        site.dovecot.deliver(HOME, *letters(1, receipts=False))
        wait_for(lambda: looker.count(DONE) >= 1, 60, lambda: site.log()[-3000:])
        # The first account of each mailbox is made within minutes of the start, the next one an hour later.
        uncounted = time_by_role(site.tree())
        wait_for(lambda: looker.count("select count(*) from reckoning") >= mailboxes, 240, lambda: site.log()[-3000:])
        accounts = whole(spent(uncounted, time_by_role(site.tree())))
        time.sleep(5)
        before, began = time_by_role(site.tree()), time.monotonic()
        time.sleep(QUIET)
        seconds = time.monotonic() - began
        shares = spent(before, time_by_role(site.tree()))
        service = [process for process in site.tree() if role_of(process) == "service"]
        told = {
            "cpu": whole(shares).all * 1000 / seconds,
            "account": accounts.all * 1000 / mailboxes,
            "rss": resident(site.tree()),
            "pss": proportional(site.tree()),
            "service pss": proportional(service),
        }
        return told | {f"{role} cpu": cpu.all * 1000 / seconds for role, cpu in shares.items()}
