"""Several hosts on one site, as docker/compose.yml has them: two that watch, two that carry, one PostgreSQL, run as a
user of their own. One host is killed, the database falls over in the middle of the work: nothing is lost, nothing is
filed or counted twice, and the mailboxes of the dead move."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bench.letters import letters
from bench.torture.ground import running_cluster
from hub import journal
from hub.sandbox.people import HOSPITAL, usagers_csv
from hub.spool.duties import SWEEP, mailbox_duty, roll_of
from hub.tables import DocumentRow
from tests.conftest import missing
from tests.trips.house import HOME, Site, address_of, packages, running_site, wait_for

BOXES = ("b2", "b3", "b4")
ADDRESSES = {"dossiers": HOME, **{box: address_of(box) for box in BOXES}}
EACH = 2  # letters a mailbox and round


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that another user may enter, which a folder of pytest is not."""
    made = Path(tempfile.mkdtemp(prefix="hub-hosts-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True)
class User:
    uid: int | None
    python: str


def _user() -> User:
    """As root: a user who owns nothing else, with a Python that he may run (root's own may be in its home)."""
    if os.geteuid() != 0:
        return User(None, sys.executable)
    nobody = pwd.getpwnam("nobody").pw_uid
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        with contextlib.suppress(OSError):
            words = [python, "-c", "import hub.cli.commands"]
            env = os.environ | {"PYTHONPATH": packages()}
            if subprocess.run(words, user=nobody, group=nobody, extra_groups=[], env=env, cwd="/").returncode == 0:
                return User(nobody, python)
    missing(f"no Python 3.{sys.version_info.minor} that the user nobody may run")
    raise AssertionError


def _give(folder: Path, user: int | None) -> None:
    if user is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)


class Hosts:
    """The processes of the site, by host."""

    def __init__(self, site: Site, user: User) -> None:
        self._site, self._user = site, user
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, host: str, role: str) -> None:
        self.running[host] = self._site.spawn(role, host=host, user=self._user.uid, python=self._user.python)

    def kill(self, host: str) -> None:
        process = self.running.pop(host)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)

    def log(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-2000:] for path in self._site.folder.glob("*.log"))


@contextmanager
def started(site: Site, user: User) -> Iterator[Hosts]:
    hosts = Hosts(site, user)
    try:
        for host, role in (("h1", "watch"), ("h2", "watch"), ("w1", "worker"), ("w2", "worker")):
            hosts.start(host, role)
        yield hosts
    finally:
        hosts.stop()


def watched(site: Site) -> Counter[str]:
    """Host -> how many mailboxes it has."""
    with site.opened() as house:
        roll = house.database.read_now(roll_of)
    names = {host.id: host.name for host in roll.hosts}
    return Counter(names[roll.taken[duty]] for duty in map(mailbox_duty, ADDRESSES) if duty in roll.taken)


@pytest.mark.timeout(400)
def test_a_dead_host_and_a_database_that_falls_over_cost_time_and_nothing_else(folder: Path) -> None:
    more = "hosts: {look_every: 1s, lease: 10s}\n"
    with (
        running_cluster() as cluster,
        running_site(
            folder, usagers_csv(), database_url=cluster.url, processes=0, lease=30, boxes=BOXES, more=more
        ) as site,
    ):
        user = _user()
        _give(site.folder, user.uid)
        _give(folder / "pki", user.uid)
        sent = list(letters(3 * EACH * len(ADDRESSES)))
        mails = iter(sent)

        def deliver() -> None:
            for address in ADDRESSES.values():
                site.dovecot.deliver(address, *(next(mails) for _ in range(EACH)))

        with started(site, user) as hosts:
            wait_for(lambda: watched(site) == {"h1": 2, "h2": 2}, 90, hosts.log)
            deliver()
            site.wait_until_settled(len(sent) // 3, 180)

            deliver()
            hosts.kill("h1")
            killed = time.monotonic()
            wait_for(lambda: watched(site) == {"h2": 4}, 90, hosts.log)
            assert time.monotonic() - killed < 60
            site.wait_until_settled(2 * len(sent) // 3, 180)

            hosts.start("h1", "watch")
            wait_for(lambda: watched(site) == {"h1": 2, "h2": 2}, 90, hosts.log)
            deliver()
            wait_for(lambda: sum(site.counts().values()) > 2 * len(sent) // 3, 60, hosts.log)
            cluster.restart()
            counts = site.wait_until_settled(len(sent), 180)

            shown = site.command("hosts")
            assert (shown.returncode, shown.stdout.count("h1"), shown.stdout.count("h2")) == (0, 3, 3)
            assert shown.stdout.count("relance ce qui attend") == 1
            assert all(process.poll() is None for process in hosts.running.values())

        assert counts == {"ACCEPTED": 0, "PLANNED": 0, "HELD": 0, "DONE": len(sent)}
        _nothing_is_missing_or_twice(site, sent)
        # An orderly stop left nothing behind: the next start waits for nobody.
        assert not watched(site)


def _nothing_is_missing_or_twice(site: Site, sent: list[bytes]) -> None:
    with site.opened() as house:
        filed = house.database.read_now(
            lambda c: c.execute(select(func.count(), func.count(DocumentRow.unique_id.distinct()))).one()  # type: ignore[attr-defined]
        )
        entries = house.database.read_now(lambda c: journal.entries(c, action="death", last=100))
        assert house.database.read_now(journal.verify).broken_at is None
        roll = house.database.read_now(roll_of)
        assert SWEEP not in roll.taken
    assert tuple(filed) == (len(sent), len(sent))
    assert entries == ()  # no worker died
    receipts = site.mails_to(HOSPITAL.address, at_least=len(sent))
    answered = [message_from_bytes(raw)["Message-ID"] for raw in receipts]
    assert len(set(answered)) == len(sent)  # a twin of an uncertain delivery carries the same Message-ID
