"""Write order, as the kernel sees it (strace on the real `hub serve`, its worker, and Dovecot's own process):

    blob fsync < rename < folder fsync < COMMIT (fsync of the WAL) < the mark reaches the mailbox
    the document's blob fsync < rename < folder fsync < COMMIT of the plan < the first byte to the operator's SMTP

So that a power cut at any line leaves nothing acknowledged that is not on disk (docs/states.md).
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from bench.letters import letters
from hub.sandbox.people import usagers_csv
from tests.edges.traces import DURABLE, Call, Trace, traced
from tests.trips.house import DOMAIN, HOME, Site, running_site, wait_for

pytestmark = pytest.mark.timeout(400)  # a whole site, on a machine that may be busy

SMALL = b"From: a@hopital.mssante.example\r\nMessage-ID: <%s@hopital.mssante.example>\r\n\r\nBonjour\r\n"
OTHER = f"deplaces@mecs.{DOMAIN}"  # a mailbox whose mail is moved, not marked
COMMANDS = {HOME: 1, OTHER: 4}  # from the COMMIT to the mark: STORE; FLAGS, MOVE, CREATE, MOVE


@dataclass(frozen=True)
class Seen:
    """One message's way, traced: the calls of all processes, and which threads are whose."""

    calls: list[Call]
    address: str
    watcher: set[int]
    worker: set[int]
    imap_port: int
    smtp_port: int

    def of(self, threads: set[int], *names: str, on: str = "", arguments: str = "") -> list[Call]:
        return [
            call
            for call in self.calls
            if call.pid in threads
            and call.name in names
            and re.search(on, call.on)
            and re.search(arguments, call.arguments)
        ]

    def commits(self, threads: set[int]) -> list[Call]:
        return self.of(threads, *DURABLE, on=r"hub\.db-wal$")

    def sent(self, threads: set[int], port: int) -> list[Call]:
        return self.of(threads, "sendto", "write", on=rf"TCP:.*->127\.0\.0\.1:{port}\]")

    def mark(self) -> Call:
        """Dovecot writes the keyword into the name of the message's file, or moves it to another folder."""
        others = {call.pid for call in self.calls} - self.watcher - self.worker
        marked = rf'"[^"]*{self.address}/[^"]*:2,[^"]*", "[^"]*(:2,[^"]*[a-z]|\.Traites/[^"]*)"'
        renames = self.of(others, "rename", "link", arguments=marked)
        assert renames, "Dovecot was never asked to mark"
        return renames[0]

    def blob(self, threads: set[int]) -> tuple[Call, Call, Call]:
        """(fsync of the draft, its rename, fsync of its folder) of the first blob that these threads wrote."""
        draft = self.of(threads, *DURABLE, on=r"blobs/incoming/\w+\.part$")[0]
        renamed = self.of(threads, "rename", arguments=re.escape(draft.on))[0]
        shard = re.search(r'"([^"]*/blobs/[0-9a-f]{2})/[0-9a-f]{64}"', renamed.arguments)
        assert shard is not None
        folder = self.of(threads, *DURABLE, on=f"^{re.escape(shard[1])}$")[0]
        assert draft.is_before(renamed)
        assert renamed.is_before(folder)
        written = self.of(threads, "write", on=re.escape(draft.on))
        assert written
        assert all(call.is_before(draft) for call in written)  # nothing is added after the fsync
        return draft, renamed, folder


def test_a_large_message_is_on_disk_before_its_mark(large: Seen) -> None:
    _, _, folder = large.blob(large.watcher)
    commit = next(call for call in large.commits(large.watcher) if folder.is_before(call))
    store = [call for call in large.sent(large.watcher, large.imap_port) if call.is_before(large.mark())][-1]
    assert commit.is_before(store)
    assert commit.is_before(large.mark())


def test_a_new_folder_is_durable_before_anything_is_put_inside(large: Seen) -> None:
    for threads in (large.watcher, large.worker):
        _, renamed, _ = large.blob(threads)
        parent = large.of(threads, *DURABLE, on=r"/blobs$")
        made = large.of(threads, "mkdir", arguments=r'/blobs/[0-9a-f]{2}"')
        assert made or threads is large.worker  # the first blobs of a site: the watcher makes all folders
        assert any(all(one.is_before(call) for one in made) and call.is_before(renamed) for call in parent)


def test_a_small_message_is_on_disk_before_its_mark(small: Seen) -> None:
    """It has no file, its bytes are in the row: the last thing before the mark's own commands is the COMMIT."""
    assert not small.of(small.watcher, "rename", arguments="blobs/")
    mark = small.mark()
    commit = [call for call in small.commits(small.watcher) if call.is_before(mark)][-1]
    sent = [call for call in small.sent(small.watcher, small.imap_port) if call.is_before(mark)]
    assert 1 <= len([call for call in sent if commit.is_before(call)]) <= COMMANDS[small.address]
    fetch = [call for call in sent if call.is_before(commit)][-1]
    written = small.of(small.watcher, "pwrite64", on=r"hub\.db-wal$")
    assert any(fetch.is_before(call) and call.is_before(commit) for call in written)


def test_a_document_is_on_disk_before_it_is_filed_and_the_stage_before_the_sending(large: Seen) -> None:
    """The plan's transaction files the document and writes the receipt's stage and Message-ID."""
    _, _, folder = large.blob(large.worker)
    plan = next(call for call in large.commits(large.worker) if folder.is_before(call))
    said = large.sent(large.worker, large.smtp_port)
    assert said, "nothing was sent to the operator"
    assert plan.is_before(said[0])
    assert any(said[0].is_before(call) for call in large.commits(large.worker)), "the answer was not committed"


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """A letter, whose blobs are files, then a small mail in each of two mailboxes."""
    with running_site(tmp_path_factory.mktemp("order"), usagers_csv()) as site:
        _with_two_mailboxes(site)
        site.start()
        wait_for(lambda: len(_at_work(site)) == 2 and len(_imap_of(site)) == 2, 90, site.log)
        top, worker = _at_work(site)
        with traced([top.pid, worker.pid, *_imap_of(site)], site.folder / "order.trace") as trace:
            seen = {
                name: _seen(site, trace, number, address, raw, top, worker)
                for number, (name, address, raw) in enumerate(
                    [
                        ("large", HOME, next(letters(1))),
                        ("marked", HOME, SMALL % b"un"),
                        ("moved", OTHER, SMALL % b"deux"),
                    ],
                    1,
                )
            }
        yield seen


@pytest.fixture
def large(ways: dict[str, Seen]) -> Seen:
    return ways["large"]


@pytest.fixture(params=["marked", "moved"])
def small(ways: dict[str, Seen], request: pytest.FixtureRequest) -> Seen:
    return ways[request.param]


def _with_two_mailboxes(site: Site) -> None:
    """Everything beyond 4 KB is a file; no poll comes between."""
    leaf = site.dovecot.leaf(OTHER)
    line = f'  - {{name: deplaces, address: "{OTHER}", operator: operateur, test: true, after: move, certificate: '
    line += f"{{file: {leaf.certificate}, key_file: {leaf.key}}}}}\n"
    file = site.folder / "hub.yaml"
    text = file.read_text().replace("watching:", f"{line}watching:").replace("poll: 5s", "poll: 10m")
    file.write_text(text.replace("spooling: {", "spooling: {inline_most: 4KB, "))
    site.dovecot.maildir(OTHER)


def _seen(
    site: Site, trace: Trace, number: int, address: str, raw: bytes, top: psutil.Process, worker: psutil.Process
) -> Seen:
    place = trace.place()
    threads: tuple[set[int], set[int]] = set(), set()

    def is_over() -> bool:
        for found, one in zip(threads, (top, worker), strict=True):
            found.update(thread.id for thread in one.threads())
        counts = site.counts()
        return counts["DONE"] + counts["HELD"] == number and not _has_unmarked(site)

    site.dovecot.deliver(address, raw)
    wait_for(is_over, 60, site.log)
    ports = site.dovecot.imaps_port, site.postfix.implicit_port
    return Seen(trace.calls(place), address, *threads, *ports)


def _at_work(site: Site) -> list[psutil.Process]:
    """`hub serve` and its worker, once both carry or watch."""
    top = site.tree()[:1]
    return top + [one for one in site.tree()[1:] if "worker" in one.cmdline() and one.num_threads() > 4]


def _imap_of(site: Site) -> list[int]:
    """Dovecot's processes that serve a logged-in session of this private server."""
    conf = str(site.dovecot.folder / "dovecot.conf")
    masters = {one.pid for one in psutil.process_iter(["cmdline"]) if conf in (one.info["cmdline"] or [])}
    running = psutil.process_iter(["name", "ppid"])
    return [one.pid for one in running if one.info["ppid"] in masters and one.info["name"] == "imap"]


def _has_unmarked(site: Site) -> bool:
    with site.opened() as house:
        return any(one.marked_at is None for one in asyncio.run(house.spool.messages()))


# --- every commit, not only these


def test_each_commit_of_the_hub_waits_for_the_disk(tmp_path: Path) -> None:
    """synchronous=FULL in WAL mode is more than a setting: SQLite syncs the WAL once for each commit."""
    code = (
        "import sys\n"
        "from hub.database import Database\n"
        "database = Database(sys.argv[1])\n"
        "database.write_now(lambda c: c.exec_driver_sql('CREATE TABLE t (n INTEGER)'))\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for n in range(7):\n"
        "    database.write_now(lambda c: c.exec_driver_sql(f'INSERT INTO t VALUES ({n})'))\n"
        "print('written', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, f"sqlite:///{tmp_path}/x.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"ready\n"
        with traced([writer.pid], tmp_path / "x.trace") as trace:
            writer.stdin.write(b"\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == b"written\n"
        calls = [call for call in trace.calls() if call.on.endswith("x.db-wal")]
    finally:
        writer.communicate(b"\n", timeout=20)
    written, synced = ([call for call in calls if call.name in names] for names in (("pwrite64",), DURABLE))
    assert len(synced) == 7
    assert all(any(one.is_before(sync) for one in written) for sync in synced)
    assert all(any(write.is_before(sync) for sync in synced) for write in written)  # nothing is left unsynced
