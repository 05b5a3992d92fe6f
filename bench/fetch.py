"""`fetch`: a mailbox of 60 KB messages to durable spool, against `mbsync` (isync, `FSync yes`) on the same mailbox.

Both read the same messages over the same IMAPS server; the hub's watcher runs alone in a process (`bench.fetch_one`)
and is done when every message is accepted (durable) and marked in the mailbox, mark read back; mbsync is done when it
ends: its messages are in a Maildir, fsynced. The hub's figure includes what mbsync does not do: sealing, its journal,
the marks. Start-up of Python is left out (mbsync has none), connecting is not.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Options, Result, median_of, ratio_of
from bench.letters import letters
from bench.sites import Wanted, address_of, bench_site
from tests.conftest import missing
from tests.trips.house import Site

TITLE = "a mailbox to durable spool, against mbsync with FSync"

_MBSYNC = """\
FSync yes
IMAPAccount banc
Host localhost
Port {port}
User {address}
SSLType IMAPS
CertificateFile {ca}
ClientCertificate {certificate}
ClientKey {key}
AuthMechs EXTERNAL

IMAPStore loin
Account banc

MaildirStore pres
Path {folder}/
Inbox {folder}/INBOX

Channel banc
Far :loin:
Near :pres:
Patterns INBOX
Create Near
Sync Pull New
SyncState *
"""


@dataclass(frozen=True)
class Fetched:
    seconds: float
    user: float
    system: float

    @property
    def cpu(self) -> float:
        return self.user + self.system


def run(options: Options) -> Result:
    rounds, count = options.rounds or 3, options.messages or 2_000
    hub, mbsync = [], []
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), Wanted(usagers=12, mailboxes=rounds, processes=0)) as site,
    ):
        for number in range(rounds):
            address = address_of(number)
            site.dovecot.deliver(address, *letters(count, first=number * count))
            with site.dovecot.other_client(address) as client:  # the server's index of the new mail is made once
                client.select("INBOX")
                client.fetch("1:*", "(UID RFC822.SIZE)")
            for who in ("mbsync", "hub") if number % 2 == 0 else ("hub", "mbsync"):
                if who == "hub":
                    hub.append(_hub(site, number, count))
                else:
                    mbsync.append(_mbsync(site, address, count))
            shutil.rmtree(site.dovecot.home(address), ignore_errors=True)
    figures = (
        ratio_of(
            "messages a second, over mbsync's",
            [count / one.seconds for one in hub],
            [count / one.seconds for one in mbsync],
            1.0,
            "least",
            note="aim 1.3",
        ),
        ratio_of(
            "client CPU, over mbsync's", [one.cpu for one in hub], [one.cpu for one in mbsync], 1.2, note="aim 0.8"
        ),
        median_of("hub", [count / one.seconds for one in hub], "/s"),
        median_of("mbsync", [count / one.seconds for one in mbsync], "/s"),
        median_of("hub, client CPU a message", [one.cpu * 1000 / count for one in hub], "ms"),
        median_of("mbsync, client CPU a message", [one.cpu * 1000 / count for one in mbsync], "ms"),
    )
    return Result("fetch", TITLE, figures, tuple({"hub": h, "mbsync": m} for h, m in zip(hub, mbsync, strict=True)))


def _hub(site: Site, number: int, count: int) -> Fetched:
    words = [sys.executable, "-m", "bench.fetch_one", str(site.folder / "hub.yaml"), str(number), str(count)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return Fetched(**json.loads(done.stdout))


def _mbsync(site: Site, address: str, count: int) -> Fetched:
    if shutil.which("mbsync") is None:
        missing("mbsync is not installed (Debian package isync)")
    folder = Path(tempfile.mkdtemp(prefix="hub-mbsync-", dir=site.folder))
    leaf = site.dovecot.leaf(address)
    configuration = folder / "mbsyncrc"
    configuration.write_text(
        _MBSYNC.format(
            port=site.dovecot.imaps_port,
            address=address,
            ca=site.dovecot.authority.ca_file,
            certificate=leaf.certificate,
            key=leaf.key,
            folder=folder,
        )
    )
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        ["mbsync", "-c", str(configuration), "-q", "banc"],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"HOME": str(folder)},
    )
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    got = sum(1 for part in ("new", "cur") for _ in (folder / "INBOX" / part).iterdir())
    assert got == count, f"mbsync fetched {got} of {count}"
    shutil.rmtree(folder)
    return Fetched(seconds, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)
