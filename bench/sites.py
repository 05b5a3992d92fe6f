"""A site of the bench: the real `hub` command on private servers (Dovecot, Postfix, PostgreSQL, a broker).

As `tests/trips/house.py`, whose `Site` it gives, with what the bench varies: engines, worker processes, mailboxes, the
number of usagers, further settings. Periods are those of the shipped configuration unless a row says otherwise.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from ruamel.yaml import YAML

from bench.letters import usagers_csv_of
from hub.sandbox.people import HOSPITAL, usagers_csv
from tests.edges.dovecot import Dovecot, Mode, running_dovecot
from tests.edges.engines import postgres_database
from tests.edges.postfix import running_postfix
from tests.edges.rabbitmq import running_rabbitmq
from tests.edges.redis import running_redis
from tests.pki import Authority
from tests.trips.house import DOMAIN, HOME, Site

_LARGE_MAIL = "message_size_limit = 300000000"  # more than any operator takes
_RAWLOG = """protocol imap {
  rawlog_dir = %{home}/../../rawlog
}
"""
_DOMAINS = (DOMAIN, *(f"{name}.{DOMAIN}" for name in ("mecs", "hopital", "ch-trois-rivieres")))


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a row wants of its site. `more` is merged over the settings; `rule` stands before the shipped rules."""

    database: str = "sqlite"
    broker: str = "sql"
    processes: int = 1
    usagers: int = 10_000
    mailboxes: int = 1
    more: dict[str, dict[str, object]] = field(default_factory=dict)
    rule: str = ""
    rawlog: bool = False  # Dovecot writes every connection's lines with their times
    passwords: bool = False  # instead of client certificates


def address_of(number: int) -> str:
    """Of the mailbox with this number, from 0; the first is that of the letters."""
    return HOME if number == 0 else f"boite-{number}@mecs.{DOMAIN}"


@contextmanager
def bench_site(folder: Path, wanted: Wanted) -> Iterator[Site]:
    """A site with its usagers and servers; its service is not started. All is stopped at the end."""
    with ExitStack() as stack:
        authority = Authority(folder / "pki")
        dovecot = stack.enter_context(_dovecot(authority, wanted))
        postfix = stack.enter_context(
            running_postfix(authority, domains=_DOMAINS, transport=_into(dovecot), more=_LARGE_MAIL)
        )
        url = "sqlite:///hub.db" if wanted.database == "sqlite" else stack.enter_context(postgres_database())
        broker = stack.enter_context(broker_url(wanted.broker))
        site = Site(folder / "site", dovecot, postfix)
        site.folder.mkdir(parents=True)
        leaf = dovecot.leaf(HOME)
        certificate = {"file": str(leaf.certificate), "key_file": str(leaf.key)}
        settings: dict[str, object] = {
            "site": {"name": "MECS du banc (fictive)", "finess": "690000001", "product_reference": "ESSAI1"},
            "database_url": url,
            "broker_url": broker,
            "operators": [
                {
                    "name": "operateur",
                    "imap": {"host": "localhost", "port": dovecot.imaps_port, "tls": "implicit"},
                    "smtp": {"host": "localhost", "port": postfix.implicit_port, "tls": "implicit"},
                    "ca_file": str(authority.ca_file),
                    "certificate": certificate,
                    "sasl": "plain" if wanted.passwords else "external",
                }
            ],
            "mailboxes": [_mailbox(site, number) for number in range(wanted.mailboxes)],
            "working": {"processes": wanted.processes, "threads": 4},
            "log_level": "warning",
        }
        for section, values in wanted.more.items():
            known = settings.get(section, {})
            assert isinstance(known, dict)
            settings[section] = known | values
        with (site.folder / "hub.yaml").open("w") as file:
            YAML(typ="safe").dump(settings, file)
        people = usagers_csv_of(wanted.usagers) if wanted.usagers > 12 else usagers_csv()
        (site.folder / "usagers.csv").write_bytes(people)
        _run("init", str(site.folder))
        if wanted.rule:
            routes = site.folder / "routes.yaml"
            routes.write_text(routes.read_text().replace("rules:\n", f"rules:\n{wanted.rule}\n", 1))
        _run("usagers", "import", str(site.folder / "usagers.csv"), "--site", str(site.folder))
        try:
            yield site
        finally:
            site.stop()


@contextmanager
def _dovecot(authority: Authority, wanted: Wanted) -> Iterator[Dovecot]:
    mode: Mode = "password" if wanted.passwords else "certificate"
    with running_dovecot(authority, mode, _RAWLOG if wanted.rawlog else "") as dovecot:
        if wanted.rawlog:
            folder = dovecot.folder / "rawlog"
            folder.mkdir()
            folder.chmod(0o777)
            dovecot.maildir(HOME)  # the log's folder is named from the user's, which must be there
        yield dovecot


def _into(dovecot: Dovecot) -> str:
    return f"lmtp:inet:[127.0.0.1]:{dovecot.lmtp_port}"


def _mailbox(site: Site, number: int) -> dict[str, object]:
    address = address_of(number)
    known: dict[str, object] = {
        "name": "dossiers" if number == 0 else f"boite-{number}",
        "address": address,
        "operator": "operateur",
        "test": True,
    }
    if site.dovecot.mode == "password":
        return known | {"password_file": str(site.dovecot.password_file())}
    leaf = site.dovecot.leaf(address)
    return known | {"certificate": {"file": str(leaf.certificate), "key_file": str(leaf.key)}}


def _run(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "hub", *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"hub {words[0]}: {done.stdout}{done.stderr}"


@contextmanager
def broker_url(name: str) -> Iterator[str]:
    """The url of a private broker of this sort."""
    if name == "sql":
        yield "sql://"
    elif name == "amqp":
        with running_rabbitmq() as rabbitmq:
            yield rabbitmq.url
    else:
        with running_redis() as redis:
            yield redis.url


SENDER = HOSPITAL.address


class Looker:
    """Looks into a site's database from outside, cheaply and as often as a row wants."""

    def __init__(self, url: str, folder: Path) -> None:
        self._is_sqlite = url.startswith("sqlite:")
        if self._is_sqlite:
            file = folder / url.removeprefix("sqlite:///")
            self._sqlite = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None, timeout=30)
        else:
            self._postgres = psycopg.connect(url, autocommit=True)

    def one(self, query: str) -> object:
        """The first value of the first row."""
        row = (self._sqlite if self._is_sqlite else self._postgres).execute(query).fetchone()
        return row[0] if row else None

    def count(self, query: str) -> int:
        found = self.one(query)
        return int(str(found)) if found is not None else 0

    def rows(self, query: str) -> list[tuple[object, ...]]:
        return list((self._sqlite if self._is_sqlite else self._postgres).execute(query).fetchall())

    def close(self) -> None:
        (self._sqlite if self._is_sqlite else self._postgres).close()


@contextmanager
def looking(site: Site) -> Iterator[Looker]:
    with (site.folder / "hub.yaml").open() as file:
        url = str(YAML(typ="safe").load(file)["database_url"])
    looker = Looker(url, site.folder)
    try:
        yield looker
    finally:
        looker.close()


SETTLED = "select count(*) from message where state in ('DONE', 'HELD')"
DONE = "select count(*) from message where state = 'DONE'"
ACCEPTED = "select count(*) from message"
