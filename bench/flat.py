"""`flat`: what one filing costs in the database with 1,000, 100,000 and 1,000,000 documents and usagers; slow queries.

One filing here is the database's part of a message: accepted, lease taken, candidates and versions looked up, plan and
filing committed, by the real spool and records (no MIME, no network). The three databases are measured in turn. CPU is
this process's and, on PostgreSQL, its server's. Every query that a person, a probe or the sweep waits for is then
timed on the largest one.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import psutil

from bench.bulk import NAMES, birth_date_of, fill, id_of, scattered
from bench.figures import Figure, Options, Result, ratio_of
from hub import journal, migrations
from hub.database import Database
from hub.ins import TEST
from hub.message import (
    Classification,
    Document,
    DocumentForm,
    Filing,
    Identity,
    Match,
    MessageClass,
    Plan,
    Thought,
    Usager,
)
from hub.ports import Arrival, Ready
from hub.records import SqlRecords
from hub.routing.match import Demands, match_one
from hub.settings import Spooling
from hub.spool import BlobStore, SqlSpool
from hub.trust.keys import KeyRing
from tests.edges.engines import postgres_database

TITLE = "cost of a filing as the database grows; slow queries"
QUERY_MOST = 5.0  # ms
COUNTED_WHOLE = {"counts by state (status, metrics)"}  # grows with the messages by its nature; nobody waits for it


@dataclass(frozen=True)
class Cost:
    cpu: float  # ms a filing
    wall: float  # ms, the median


def run(options: Options) -> Result:
    figures: list[Figure] = []
    told: list[object] = []
    for engine in options.databases:
        rounds, count = options.rounds or 5, options.messages or 100
        sizes = [size for size in (1_000, 100_000) if size < options.largest] + [options.largest]
        with ExitStack() as stack:
            sites = [stack.enter_context(_site(engine, size)) for size in sizes]
            costs: list[list[Cost]] = [[] for _ in sizes]
            for site in sites:  # caches and prepared statements warm
                site.file(count)
            for _ in range(rounds):
                for site, kept in zip(sites, costs, strict=True):
                    kept.append(site.file(count))
            queries = sites[-1].queries()
        for size, kept in zip(sizes[1:], costs[1:], strict=True):
            for what in ("cpu", "wall"):
                these, those = [getattr(c, what) for c in kept], [getattr(c, what) for c in costs[0]]
                figures.append(ratio_of(f"{engine}: {what} of a filing, {size:,} over {sizes[0]:,}", these, those, 1.2))
        now = statistics.median(cost.cpu for cost in costs[-1])
        figures.append(Figure(f"{engine}: CPU of a filing at {sizes[-1]:,}", now, "ms"))
        for name, milliseconds in sorted(queries.items(), key=lambda item: -item[1]):
            gate = None if name in COUNTED_WHOLE else QUERY_MOST
            figures.append(Figure(f"{engine}: {name}", milliseconds, "ms", gate))
        told.append({"engine": engine, "sizes": sizes, "costs": costs, "queries": queries})
    return Result("flat", TITLE, tuple(figures), tuple(told))


class _Site:
    """The spool and the records of one database."""

    def __init__(self, database: Database, folder: Path, size: int) -> None:
        self._database = database
        self._size = size
        keys = KeyRing({"k1": bytes(32)})
        blobs = BlobStore(folder, database, keys, inline_most=64 * 1024, clock=_now)
        self.records = SqlRecords(database, blobs, keys, _now)
        self.spool = SqlSpool(
            database,
            blobs,
            keys,
            clock=_now,
            spooling=Spooling(),
            owner="bench",
            timezone="Europe/Paris",
            holding=self.records.holding,
        )
        self._chance = random.Random(size)
        self._uid = 10_000_000
        self._server = _postgres_backends(database)

    def file(self, count: int) -> Cost:
        walls: list[float] = []

        async def all_of_them() -> None:
            for _ in range(count):
                began = time.perf_counter()
                await self._one()
                walls.append((time.perf_counter() - began) * 1000)

        before = self._cpu()
        asyncio.run(all_of_them())
        return Cost((self._cpu() - before) * 1000 / count, statistics.median(walls))

    def _cpu(self) -> float:
        own = time.process_time()
        if self._database.is_sqlite:
            return own
        backends = [process for process in self._server() if process.is_running()]
        return own + sum(sum(process.cpu_times()[:2]) for process in backends)

    def person(self) -> tuple[str, Identity]:
        """(row id, identity) of an usager of the database."""
        number = self._chance.randrange(1, self._size + 1)
        usager = "u" + f"{scattered(number):08x}{number:024x}"[1:]
        name = f"NOM{number * 48271 % NAMES:05d}"
        date = birth_date_of(number)
        return usager, Identity(
            ins=f"1{number:012d}42", oid=TEST, birth_name=name, first_given="ALIX", birth_date=date, sex="F"
        )

    async def _one(self) -> None:
        usager, identity = self.person()
        self._uid += 1
        raw = secrets.token_bytes(300)
        digest = sha256(raw).hexdigest()
        document = Document(
            form=DocumentForm.CDA,
            unique_id=f"2.25.{secrets.randbits(100)}",
            set_id=f"2.25.{secrets.randbits(100)}",
            sha256=digest,
            size=len(raw),
            media_type="text/xml",
            title="Essai",
            raw=raw,
        )
        blob = await self.spool.new_blob()
        await blob.write(raw)
        arrival = Arrival(
            mailbox="dossiers",
            uidvalidity=2,
            uid=self._uid,
            received_at=_now(),
            message_id=f"<{secrets.token_hex(16)}@banc.example>",
        )
        accepted = await self.spool.accept(arrival, blob)
        envelope = await self.spool.load(accepted.id)
        assert envelope is not None
        await self.records.look_up([identity], [document], _suffices)
        step = Filing(document=0, unique_id=document.unique_id, usager_id=usager, kind="crd")
        effect = await self.records.filing(accepted.id, step, document)
        await self.spool.save_plan(accepted.id, _thought(step), Ready(deeds={0: effect}))

    def queries(self) -> dict[str, float]:
        """Milliseconds of each, the median of several."""
        return asyncio.run(self._queries())

    async def _queries(self) -> dict[str, float]:
        usager, identity = self.person()
        document = Document(form=DocumentForm.CDA, unique_id="2.25.1", sha256="0" * 64, size=1, media_type="text/xml")
        soon = _now() - timedelta(minutes=5)
        asked: dict[str, Callable[[], Awaitable[object]]] = {
            "due queue (sweep)": lambda: self.spool.due(),
            "marks of everything (status, metrics)": lambda: self.spool.look(_now(), soon, soon),
            "counts by state (status, metrics)": lambda: self.spool.counts(),
            "newest messages": lambda: self.spool.messages(),
            "newest messages held": lambda: self.spool.messages("HELD"),
            "newest messages of a mailbox": lambda: self.spool.messages(mailbox="dossiers"),
            "message by the start of its id": lambda: self.spool.find(id_of(7)[:12]),
            "work list, open": lambda: self.records.work(),
            "work list, closed too": lambda: self.records.work(open_only=False),
            "record of an usager": lambda: self.records.documents_of(usager),
            "documents of a message": lambda: self.records.documents_of_message(id_of(7)),
            "usager by record number": lambda: self.records.usager("BANC-0000007"),
            "usagers by the start of a name": lambda: self.records.usagers("NOM00"),
            "usagers, everybody": lambda: self.records.usagers(""),
            "candidates and versions (look-up)": lambda: self.records.look_up([identity], [document]),
            "journal of a message": lambda: self._journal(message=id_of(7)),
            "journal, last entries": lambda: self._journal(),
        }
        times = {}
        for name, ask in asked.items():
            walls = []
            for _ in range(7):
                began = time.perf_counter()
                await ask()
                walls.append((time.perf_counter() - began) * 1000)
            times[name] = statistics.median(walls)
        return times

    async def _journal(self, message: str | None = None) -> object:
        return await self._database.read(lambda c: journal.entries(c, message=message))


def _suffices(identity: Identity, usager: Usager) -> bool:
    """As the trip asks (`hub.routing.certain_alone`), with the rules of a production mailbox."""
    demands = Demands(qualified_statuses=frozenset({"qualifiee"}), birth_place_required=False, test=True)
    return match_one(identity, (usager,), (), demands).outcome == "certain"


def _thought(step: Filing) -> Thought:
    classification = Classification(message_class=MessageClass.XDM, kind="crd", confidence=1.0)
    return Thought(classification=classification, match=Match(), plan=Plan(rule="banc", steps=(step,)))


def _now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _site(engine: str, size: int) -> Iterator[_Site]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hub-bench-")))
        url = f"sqlite:///{folder / 'hub.db'}" if engine == "sqlite" else stack.enter_context(postgres_database())
        filled = Database(url)
        migrations.upgrade(filled)
        fill(filled, size)
        filled.close()  # the write-ahead file of the filling goes with its last connection
        database = Database(url)
        stack.callback(database.close)
        yield _Site(database, folder / "blobs", size)


def _postgres_backends(database: Database) -> Callable[[], list[psutil.Process]]:
    """The server's processes that work for this database."""
    if database.is_sqlite:
        return list
    with database.engine.connect() as connection:
        name = connection.exec_driver_sql("select current_database()").scalar_one()

    def found() -> list[psutil.Process]:
        with database.engine.connect() as connection:
            pids = connection.exec_driver_sql("select pid from pg_stat_activity where datname = %s", (name,)).scalars()
            return [psutil.Process(pid) for pid in pids]

    return found
