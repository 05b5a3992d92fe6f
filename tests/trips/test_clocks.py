"""Wall clocks that jump by a year under the real `hub serve` (libfaketime): nothing is lost, given up, counted as a
death or sent twice for it, and what waits is tried again within its normal delay.

The clock is read from a file at each call; the monotonic clock stays true, as it does when a real clock is put right.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.letters import letters
from hub import journal
from hub.message import Receipt
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.conftest import missing
from tests.trips.house import HOME, Site, running_site, wait_for

pytestmark = pytest.mark.timeout(700)  # a whole site, on a machine that may be busy

LEASE = 16  # seconds: renewed after a third, given up after a half; a busy machine must be able to do it in between
STALLED = "sending: {connect_timeout: 10m}\n"  # a server that says nothing is waited for as long as the test needs
YEAR = 366
PATIENCE = 180  # seconds: on two busy cores, two workers under libfaketime take half a minute to start


class Clock:
    """What the site's processes believe, in days from the truth."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, days: int) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{days:+d}d\n")
        draft.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """For the processes started while the test runs: servers, the hub and its workers."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("libfaketime is not installed (Debian package faketime)")
    clock = Clock(tmp_path / "clock")
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(tmp_path / "clock"))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    monkeypatch.setenv("NO_FAKE_STAT", "1")
    monkeypatch.setenv("FAKETIME_LIBRARY", str(found[0]))  # ours: `_start` preloads it
    return clock


@pytest.fixture
def site(tmp_path: Path, clock: Clock) -> Iterator[Site]:
    with running_site(tmp_path, usagers_csv(), processes=2, lease=LEASE, more=STALLED) as site:
        yield site


def test_a_year_forth_and_back_costs_no_message_no_lease_and_no_patience(site: Site, clock: Clock) -> None:
    _start(site)
    with _stalled(site):  # every receipt hangs in the middle of its carry, its lease renewed
        site.dovecot.deliver(HOME, *letters(4))
        wait_for(lambda: _carried(site) == 4, PATIENCE, site.log)
        for days in (YEAR, -YEAR, 0, YEAR):
            clock.jump(days)
            time.sleep(LEASE)
        site.dovecot.deliver(HOME, *letters(2, first=4))  # what comes a year from now is read all the same
        wait_for(lambda: sum(site.counts().values()) == 6, PATIENCE, site.log)
    site.wait_until_settled(6, PATIENCE)

    _postfix(site, "stop")  # now they are deferred, a year from now
    site.dovecot.deliver(HOME, *letters(3, first=6))
    wait_for(lambda: _deferred(site) == 3, PATIENCE, site.log)
    clock.jump(-YEAR)  # their retries are due in two years
    time.sleep(LEASE)
    _postfix(site, "start")
    counts = site.wait_until_settled(9, PATIENCE)

    assert counts == {"ACCEPTED": 0, "PLANNED": 0, "HELD": 0, "DONE": 9}
    receipts = site.mails_to(HOSPITAL.address, at_least=9)
    assert len(receipts) == 9
    with site.opened() as house:
        deeds = Counter(entry.action for entry in house.database.read_now(lambda c: journal.entries(c, last=10_000)))
        filed = [
            document.unique_id
            for usager in asyncio.run(house.records.usagers())
            for document in asyncio.run(house.records.documents_of(usager.id))
        ]
    assert deeds["death"] == 0
    assert len(filed) == len(set(filed)) == 9
    assert site.command("journal", "verify").returncode == 0


def _start(site: Site) -> None:
    """`hub serve` and all that it starts, under the clock of the file."""
    os.environ["LD_PRELOAD"] = os.environ["FAKETIME_LIBRARY"]
    try:
        site.start()
    finally:
        del os.environ["LD_PRELOAD"]


def _carried(site: Site) -> int:
    """Messages in the hands of a worker, their receipt about to be sent."""
    with site.opened() as house:
        messages = asyncio.run(house.spool.messages())
        steps = [asyncio.run(house.spool.steps(one.id)) for one in messages if one.lease_until is not None]
    return sum(any(isinstance(step.step, Receipt) and step.stage == "sending" for step in one) for one in steps)


def _deferred(site: Site) -> int:
    with site.opened() as house:
        messages = asyncio.run(house.spool.messages("PLANNED"))
        steps = [asyncio.run(house.spool.steps(one.id)) for one in messages]
    return sum(any(step.state == "DEFERRED" for step in one) for one in steps)


def _postfix(site: Site, verb: str) -> None:
    subprocess.run(["postfix", "-c", str(site.postfix.folder / "etc"), verb], check=True, capture_output=True)


class _stalled:
    """The operator's SMTP takes connections and says nothing: its processes are stopped, not killed."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._stopped: list[psutil.Process] = []

    def __enter__(self) -> None:
        pid = int((self._site.postfix.folder / "queue/pid/master.pid").read_text())
        master = psutil.Process(pid)
        self._stopped = [master, *master.children(recursive=True)]
        for one in self._stopped:
            one.send_signal(signal.SIGSTOP)

    def __exit__(self, *_: object) -> None:
        for one in self._stopped:
            one.send_signal(signal.SIGCONT)
