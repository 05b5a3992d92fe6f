"""A whole hub on real servers, for the trips: a private Dovecot, a private Postfix that delivers into it, a site in a
folder, and the real `hub` command in processes of its own. Mail for `mssante.example` arrives in that Dovecot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from hub import journal
from hub.settings import load_settings
from hub.wiring import House, open_house
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.postfix import Postfix, running_postfix
from tests.listening import EARS
from tests.pki import Authority

DOMAIN = "mssante.example"
HOME = f"dossiers@mecs.{DOMAIN}"
SENDER = f"courrier@hopital.{DOMAIN}"

_SETTINGS = """\
site: {{name: "MECS d'essai (fictive)", finess: "690000001", product_reference: ESSAI1}}
database_url: {database_url}
broker_url: {broker_url}
operators:
  - name: operateur
    imap: {{host: localhost, port: {imap}, tls: implicit}}
    smtp: {{host: localhost, port: {smtp}, tls: implicit}}
    ca_file: {ca}
    certificate: {{file: {certificate}, key_file: {key}}}
    sasl: external
mailboxes:
  - {{name: dossiers, address: "{address}", operator: operateur, test: true}}
{boxes}watching: {{poll: 5s, backoff_first: 1s, backoff_most: 3s}}
spooling: {{sweep_every: 1s, retry_first: 1s, retry_most: 5s, lease: {lease}s}}
working: {{processes: {processes}, threads: 4}}
log_level: debug
"""


@dataclass
class Site:
    """One site: its folder, its servers, the `hub serve` that runs on it (one at a time)."""

    folder: Path
    dovecot: Dovecot
    postfix: Postfix
    service: subprocess.Popen[bytes] | None = field(default=None)

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `hub WORDS --site FOLDER` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "hub", *words, "--site", str(self.folder)],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def start(self) -> None:
        log = (self.folder / "serve.log").open("ab")
        self.service = subprocess.Popen(
            [sys.executable, "-m", "hub", "serve", "--site", str(self.folder)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def spawn(
        self, *words: str, host: str | None = None, user: int | None = None, python: str = sys.executable
    ) -> subprocess.Popen[bytes]:
        """`hub WORDS` beside the service, as another host or as another user; the caller ends it."""
        name = "-".join((host or "more", words[0]))
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [python, "-m", "hub", *words, "--site", str(self.folder)],
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": packages()} | ({"HUB_HOST_NAME": host} if host else {}),
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else [],
            )

    def tree(self) -> list[psutil.Process]:
        """The service and all that it started."""
        if self.service is None:
            return []
        with contextlib.suppress(psutil.NoSuchProcess):
            top = psutil.Process(self.service.pid)
            return [top, *top.children(recursive=True)]
        return []

    def kill(self) -> None:
        """kill -9 of the service and of all that it started, at once."""
        assert self.service is not None
        os.killpg(self.service.pid, signal.SIGKILL)
        self.service.wait()
        self.service = None

    def end(self, seconds: float = 60) -> int:
        """Ask the service to end, and its exit code. When it is late: fails with the log, where each process has
        written where its threads stand."""
        assert self.service is not None
        self.service.terminate()
        try:
            code = self.service.wait(seconds)
        except subprocess.TimeoutExpired:
            for process in self.tree():
                if "hub" in process.cmdline():  # the readers of mail would die of it
                    process.send_signal(signal.SIGUSR1)
            time.sleep(2)
            raise AssertionError(f"not ended after {seconds} s\n{self.log()}") from None
        self.service = None
        return code

    def stop(self) -> None:
        if self.service is not None:
            self.service.terminate()
            try:
                self.service.wait(90)
            except subprocess.TimeoutExpired:
                os.killpg(self.service.pid, signal.SIGKILL)
                self.service.wait()
            self.service = None

    def log(self) -> str:
        path = self.folder / "serve.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @contextmanager
    def opened(self) -> Iterator[House]:
        house = open_house(load_settings(self.folder / "hub.yaml"), migrated=False)
        try:
            yield house
        finally:
            house.database.close()

    def counts(self) -> dict[str, int]:
        with self.opened() as house:
            return asyncio.run(house.spool.counts())

    def wait_until_settled(self, messages: int, seconds: float = 120) -> dict[str, int]:
        """Until so many messages are DONE or HELD; the counts by state. Fails with the log after `seconds`."""

        def settled() -> bool:
            counts = self.counts()
            return counts["DONE"] + counts["HELD"] >= messages

        wait_for(settled, seconds, lambda: f"{self.counts()}\n{self.log()[-4000:]}")
        return self.counts()

    def mails_to(self, address: str, at_least: int = 0, seconds: float = 60) -> list[bytes]:
        """What Postfix delivered into the mailbox of an address; waits until there are so many (a mail that Postfix
        took is still on its way), or until the time is over."""
        maildir = self.dovecot.home(address) / "Maildir"
        until = time.monotonic() + seconds
        while True:
            paths = [path for part in ("new", "cur") for path in sorted((maildir / part).glob("*"))]
            if len(paths) >= at_least or time.monotonic() > until:
                return [path.read_bytes() for path in paths]
            time.sleep(0.2)


def wait_for(condition: Callable[[], bool], seconds: float, told: Callable[[], str]) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(told())
        time.sleep(0.2)


@contextmanager
def running_site(
    folder: Path,
    usagers_csv: bytes,
    *,
    database_url: str = "sqlite:///hub.db",
    broker_url: str = "sql://",
    processes: int = 1,
    lease: int = 5,
    boxes: Sequence[str] = (),
    more: str = "",
) -> Iterator[Site]:
    """`boxes`: more mailboxes, by the first part of their address. `more`: more lines of hub.yaml.

    A site with its usagers, its servers running, its service not yet started; all stopped at the end."""
    authority = Authority(folder / "pki")
    with (
        running_dovecot(authority) as dovecot,
        running_postfix(
            authority,
            domains=(DOMAIN, *(f"{name}.{DOMAIN}" for name in ("mecs", "hopital", "ch-trois-rivieres"))),
            transport=f"lmtp:inet:[127.0.0.1]:{dovecot.lmtp_port}",
        ) as postfix,
    ):
        leaf = dovecot.leaf(HOME)
        site = Site(folder / "site", dovecot, postfix)
        site.folder.mkdir(parents=True)
        (site.folder / "hub.yaml").write_text(
            _SETTINGS.format(
                database_url=database_url,
                broker_url=broker_url,
                imap=dovecot.imaps_port,
                smtp=postfix.implicit_port,
                ca=authority.ca_file,
                certificate=leaf.certificate,
                key=leaf.key,
                address=HOME,
                processes=processes,
                lease=lease,
                boxes="".join(_box(dovecot, name) for name in boxes),
            )
            + more
        )
        (site.folder / "usagers.csv").write_bytes(usagers_csv)
        for words in (("init", str(site.folder)), ("usagers", "import", str(site.folder / "usagers.csv")), ("check",)):
            done = _hub(site, *words)
            assert done.returncode == 0, f"hub {words[0]}: {done.stdout}{done.stderr}"
        try:
            yield site
        finally:
            site.stop()
            if not database_url.startswith("sqlite"):
                _hear_journal(site)


def _hear_journal(site: Site) -> None:
    """What the ears of the suite cannot find in a file of the test's folder."""
    with site.opened() as house:
        entries = house.database.read_now(lambda c: journal.entries(c, last=100_000))
    EARS.hear("journal of a site", "\n".join(f"{entry.action} {entry.request} {entry.answer}" for entry in entries))


def packages() -> str:
    """Where this Python finds the hub and its libraries, for another one of the same version."""
    return os.pathsep.join(path for path in (*sys.path, os.getcwd()) if path and Path(path).is_dir())


def address_of(box: str) -> str:
    return f"{box}@mecs.{DOMAIN}"


def _box(dovecot: Dovecot, name: str) -> str:
    leaf = dovecot.leaf(address_of(name))
    certificate = f"{{file: {leaf.certificate}, key_file: {leaf.key}}}"
    known = f"name: {name}, address: {address_of(name)}, operator: operateur, test: true"
    return f"  - {{{known}, certificate: {certificate}}}\n"


def _hub(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    if words[0] == "init":
        return subprocess.run([sys.executable, "-m", "hub", *words], capture_output=True, text=True, timeout=120)
    return site.command(*words)
