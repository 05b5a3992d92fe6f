"""Full and failing disks under the real `hub serve`: blobs and database each on a small disk of its own, libfiu between
SQLite and the kernel.

Whatever fails, nothing is marked in the mailbox that is not on disk, the log says why without a word of the mail, the
other commands answer, no process dies, and everything is filed by itself when the disk is good again.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from bench.letters import BALLAST, letters
from hub.message import Receipt
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.edges.disks import Disk, FailingCalls, failing_calls, small_disk
from tests.trips.house import HOME, Site, running_site, wait_for

pytestmark = pytest.mark.timeout(400)  # a whole site, on a machine that may be busy

SYNCS = ("posix/io/sync/fsync", "posix/io/sync/fdatasync")
LARGE = 40_000  # bytes of ballast that make a letter too long for its row
EACH = 3  # letters a case


@dataclass
class Place:
    """A site that serves all the time. `sent` counts letters; every one must be DONE in the end."""

    site: Site
    blobs: Disk
    database: Disk
    calls: FailingCalls
    sent: int = 0
    started: int = 1  # times

    def deliver(self, *, large: bool) -> None:
        ballast = LARGE if large else BALLAST
        self.site.dovecot.deliver(HOME, *letters(EACH, first=self.sent, ballast=ballast))
        self.sent += EACH

    def pids(self) -> list[int]:
        """The service and its workers."""
        return [one.pid for one in self.site.tree() if {"serve", "worker"} & set(one.cmdline())]

    def marks(self) -> int:
        with self.site.dovecot.other_client(HOME) as client:
            client.select("INBOX", readonly=True)
            return len(client.search(None, "KEYWORD", "$HubAccepted")[1][0].split())

    def fill_database(self) -> None:
        """The WAL too: one that had grown before would go on taking commits on a full disk."""
        with contextlib.closing(sqlite3.connect(self.database.folder / "hub.db", timeout=30)) as connection:
            truncate = "PRAGMA wal_checkpoint(TRUNCATE)"
            wait_for(lambda: connection.execute(truncate).fetchone()[0] == 0, 30, lambda: "the WAL is always in use")
            self.database.fill()

    def log_since(self, before: int) -> str:
        return self.site.log()[before:]

    def wait_for_log(self, words: str, before: int) -> None:
        wait_for(lambda: re.search(words, self.log_since(before)) is not None, 60, lambda: self.log_since(before))

    def wait_for_alarm(self, because: str = "") -> None:
        def is_raised() -> bool:
            status = self.site.command("status")
            silent = "ALARME : La boîte dossiers n'est plus relevée" in status.stdout
            return status.returncode == 1 and silent and because in status.stdout

        wait_for(is_raised, 60, lambda: self.site.command("status").stdout)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("disks")
    with (
        small_disk(folder / "database", 24) as database,
        running_site(folder, usagers_csv(), database_url=f"sqlite:///{folder}/database/hub.db", lease=3) as site,
    ):
        settings = site.folder / "hub.yaml"
        settings.write_text(settings.read_text().replace("poll: 5s", "poll: 2s, silence_most: 5s"))
        kept = folder / "blobs-before"
        blobs_folder = site.folder / "blobs"
        if blobs_folder.exists():
            shutil.copytree(blobs_folder, kept)
        with small_disk(blobs_folder, 16) as blobs, failing_calls(folder) as calls:
            if kept.exists():
                shutil.copytree(kept, blobs_folder, dirs_exist_ok=True)
            site.start()
            place = Place(site, blobs, database, calls)
            place.deliver(large=True)
            site.wait_until_settled(place.sent)
            try:
                yield place
                status = partial(site.command, "status")
                wait_for(lambda: status().returncode == 0, 60, lambda: status().stdout)
                assert site.command("ledger").returncode == 0
                assert site.command("journal", "verify").returncode == 0
            finally:
                site.stop()


@pytest.fixture(autouse=True)
def _ends_well(place: Place) -> Iterator[None]:
    """The end of every case: without a restart all is filed and answered (after the last, every account balances)."""
    before, pids, started = len(place.site.log()), place.pids(), place.started
    yield
    for disk in (place.blobs, place.database):
        disk.free()
    counts = place.site.wait_until_settled(place.sent, 60)
    assert counts == {"ACCEPTED": 0, "PLANNED": 0, "HELD": 0, "DONE": place.sent}
    wait_for(lambda: place.marks() == place.sent, 20, place.site.log)
    assert place.pids() == pids or place.started > started  # nobody died, nobody was started again
    log = place.log_since(before)
    assert "ended with code" not in log
    assert not re.search(r"Traceback|INSERT|UPDATE|mssante|fictive", log), log  # causes only (RH-81)


def test_a_full_disk_of_blobs_stops_the_reading_and_loses_nothing(place: Place) -> None:
    before = len(place.site.log())
    place.blobs.fill()
    accepted = sum(place.site.counts().values())
    place.deliver(large=True)
    place.wait_for_log("mailbox dossiers: .*ENOSPC", before)
    place.wait_for_alarm(because="disque plein")
    assert (sum(place.site.counts().values()), place.marks()) == (accepted, accepted)
    assert place.site.command("held").returncode == 0
    assert place.site.command("ledger").returncode == 0
    assert not list((place.site.folder / "blobs" / "incoming").iterdir())  # nothing is left behind of what failed


def test_a_full_disk_of_the_database_stops_the_reading_and_loses_nothing(place: Place) -> None:
    before = len(place.site.log())
    accepted = sum(place.site.counts().values())
    place.fill_database()
    place.deliver(large=False)
    place.wait_for_log(r"SQLITE_(FULL|IOERR)", before)
    place.wait_for_alarm()
    assert (sum(place.site.counts().values()), place.marks()) == (accepted, accepted)


def test_a_database_that_fills_up_while_messages_are_carried_holds_none(place: Place) -> None:
    """Their receipts wait for the operator; each try ends at a disk that takes nothing. One may go out twice, under one
    Message-ID."""
    _postfix(place.site, "stop")
    place.deliver(large=False)
    wait_for(lambda: _deferred(place.site) == EACH, 60, place.site.log)
    before = len(place.site.log())
    place.fill_database()
    _postfix(place.site, "start")
    place.wait_for_log(r"SQLITE_(FULL|IOERR)", before)
    time.sleep(4)  # longer than a lease
    place.database.free()
    place.site.wait_until_settled(place.sent, 60)
    receipts = place.site.mails_to(HOSPITAL.address, at_least=place.sent)
    ids = {re.search(rb"(?im)^Message-ID: *(\S+)", mail)[1] for mail in receipts}  # type: ignore[index]
    assert len(ids) == place.sent


@pytest.mark.parametrize("large", [True, False], ids=["blob", "row"])
def test_after_a_failed_fsync_nothing_is_believed_and_the_bytes_are_written_anew(place: Place, large: bool) -> None:
    """The kernel may have dropped the pages that it could not write: a second fsync of the same file would succeed, and
    mean nothing. The draft is thrown away; SQLite rolls back, and writes its frames again."""
    before = len(place.site.log())
    accepted = sum(place.site.counts().values())
    service = place.pids()[0]
    place.calls.fail(service, *SYNCS)
    try:
        place.deliver(large=large)
        place.wait_for_log("EIO|SQLITE_IOERR_FSYNC", before)
        time.sleep(3)
        assert (sum(place.site.counts().values()), place.marks()) == (accepted, accepted)
        assert not list((place.site.folder / "blobs" / "incoming").iterdir())
    finally:
        place.calls.heal(service, *SYNCS)


def test_a_hub_starts_on_full_disks_and_works_when_there_is_space(place: Place) -> None:
    """The janitor and the first look at the mailbox too."""
    place.site.stop()
    place.blobs.fill()
    place.database.fill()
    place.deliver(large=True)
    place.site.start()
    place.started += 1
    time.sleep(6)
    assert place.site.service is not None
    assert place.site.service.poll() is None, place.site.log()[-2000:]
    assert place.marks() == place.sent - EACH


def _postfix(site: Site, verb: str) -> None:
    subprocess.run(["postfix", "-c", str(site.postfix.folder / "etc"), verb], check=True, capture_output=True)


def _deferred(site: Site) -> int:
    with site.opened() as house:
        messages = asyncio.run(house.spool.messages("PLANNED"))
        steps = [asyncio.run(house.spool.steps(one.id)) for one in messages]
    return sum(any(isinstance(step.step, Receipt) and step.state == "DEFERRED" for step in one) for one in steps)
