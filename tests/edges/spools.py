"""The three spools of the contract tests: in memory, on SQLite, on PostgreSQL. Import the fixture `bench`.

A `Bench` is one store on which any number of processes (`spool(owner)`) work, under a clock that only the test moves.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from sqlalchemy import Table, insert, select
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.message import (
    Classification,
    Done,
    Filing,
    Hold,
    Match,
    MessageClass,
    Outcome,
    Plan,
    Receipt,
    Step,
    Thought,
)
from hub.ports import Accepted, Arrival, BlobSink, Effect, Intake, Spool
from hub.settings import Spooling
from hub.spool import BlobStore, SqlSpool
from hub.spool.statements import MESSAGE, STEP
from hub.tables import WorkRow
from hub.trust.keys import KeyRing
from tests.edges.engines import url_of
from tests.fakes_spool import MemorySpool, MemoryStore

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
WORK: Table = WorkRow.__table__  # type: ignore[attr-defined]
BOX = "secretariat"
EPOCH = 1700000000
FILING = Filing(document=0, unique_id="1.2.3^4", usager_id="u1", kind="crd")
RECEIPT = Receipt(recipient="medecin@exemple.mssante.fr", code=0)
HOLD = Hold(reasons=(), reason="unknown-usager")


class MovableClock:
    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def tick(self, **delta: float) -> None:
        self.now += timedelta(**delta)


class IntakeAndSpool(Intake, Spool, Protocol):
    """Both sides."""


class Bench(Protocol):
    """What a contract test needs of a store."""

    clock: MovableClock

    def spool(self, owner: str = "first", random: Callable[[], float] = ..., **spooling: Any) -> IntakeAndSpool: ...

    async def actions(self, message_id: str) -> list[str]: ...

    async def work(self) -> list[tuple[str, str, str]]: ...

    async def state(self, message_id: str) -> str: ...

    async def step_states(self, message_id: str) -> list[str]: ...


class MemoryBench:
    def __init__(self) -> None:
        self.clock = MovableClock()
        self.store = MemoryStore()

    def spool(self, owner: str = "first", random: Callable[[], float] = lambda: 0.5, **spooling: Any) -> IntakeAndSpool:
        return MemorySpool(self.store, clock=self.clock, spooling=Spooling(**spooling), owner=owner, random=random)

    async def actions(self, message_id: str) -> list[str]:
        return [action for message, action, _ in self.store.kept.deeds if message == message_id]

    async def work(self) -> list[tuple[str, str, str]]:
        return list(self.store.kept.work)

    async def state(self, message_id: str) -> str:
        return self.store.kept.messages[message_id].state

    async def step_states(self, message_id: str) -> list[str]:
        return [str(step.state) for _, step in sorted(self.store.kept.messages[message_id].steps.items())]


class SqlBench:
    def __init__(self, url: str, folder: Path, inline_most: int = 64 * 1024) -> None:
        self.clock = MovableClock()
        self.url = url
        self.folder = folder / "blobs"
        self.keys = KeyRing({"k1": bytes(32)})
        self.inline_most = inline_most
        self.databases: list[Database] = []
        self.database = self.opened()

    def opened(self) -> Database:
        """Another process's connection to the same database."""
        self.databases.append(Database(self.url))
        return self.databases[-1]

    def blobs(self) -> BlobStore:
        return BlobStore(self.folder, self.database, self.keys, inline_most=self.inline_most, clock=self.clock)

    def spool(self, owner: str = "first", random: Callable[[], float] = lambda: 0.5, **spooling: Any) -> SqlSpool:
        return SqlSpool(
            self.opened(),
            self.blobs(),
            self.keys,
            clock=self.clock,
            spooling=Spooling(**spooling),
            owner=owner,
            timezone="Europe/Paris",
            holding=holding,
            random=random,
        )

    async def actions(self, message_id: str) -> list[str]:
        entries = await self.database.read(lambda c: journal.entries(c, message=message_id))
        return [entry.action for entry in entries]

    async def work(self) -> list[tuple[str, str, str]]:
        wanted = select(WORK.c.message, WORK.c.about, WORK.c.codes).order_by(WORK.c.opened_at)
        return await self.database.read(lambda c: [(m, about, codes) for m, about, codes in c.execute(wanted)])

    async def state(self, message_id: str) -> str:
        wanted = select(MESSAGE.c.state).where(MESSAGE.c.id == message_id)
        return await self.database.read(lambda c: str(c.execute(wanted).scalar_one()))

    async def step_states(self, message_id: str) -> list[str]:
        wanted = select(STEP.c.state).where(STEP.c.message == message_id).order_by(STEP.c.number)
        return await self.database.read(lambda c: list(c.execute(wanted).scalars()))

    def close(self) -> None:
        for database in self.databases:
            database.close()


def holding(message_id: str, step: Hold) -> Effect:
    """The smallest work list: one line for each message and `about`, in the caller's transaction."""

    def effect(connection: Connection) -> Outcome:
        there = select(WORK.c.id).where(WORK.c.message == message_id, WORK.c.about == step.about)
        if connection.execute(there).first() is None:
            row = {
                "id": secrets.token_hex(16),
                "message": message_id,
                "about": step.about,
                "codes": " ".join(sorted(reason.code for reason in step.reasons)),
                "reasons": b"",
                "opened_at": START,
                "decision": "",
            }
            connection.execute(insert(WORK), row)
        return Done("held")

    return effect


@pytest.fixture(params=("memory", "sqlite", "postgresql"))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "memory":
        yield MemoryBench()
        return
    with url_of(request.param, request, tmp_path) as url:
        made = SqlBench(url, tmp_path)
        yield made
        made.close()


@pytest.fixture(params=("sqlite", "postgresql"))
def sql_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlBench]:
    with url_of(request.param, request, tmp_path) as url:
        made = SqlBench(url, tmp_path)
        yield made
        made.close()


def arrival(
    uid: int = 1, *, uidvalidity: int = EPOCH, message_id: str | None = "<a@exemple.fr>", **more: Any
) -> Arrival:
    known: dict[str, Any] = {"mailbox": BOX, "received_at": START} | more
    return Arrival(uidvalidity=uidvalidity, uid=uid, message_id=message_id, **known)


async def arriving(spool: Intake, raw: bytes, uid: int) -> tuple[Arrival, BlobSink]:
    """One of several that are accepted together."""
    blob = await spool.new_blob()
    await blob.write(raw)
    return arrival(uid), blob


async def accept(spool: Intake, raw: bytes = b"Subject: essai\r\n\r\nBonjour\r\n", **more: Any) -> Accepted:
    blob = await spool.new_blob()
    await blob.write(raw)
    return await spool.accept(arrival(**more), blob)


def thought(*steps: Step, rule: str = "site") -> Thought:
    classification = Classification(message_class=MessageClass.XDM, kind="crd", confidence=1.0)
    return Thought(classification=classification, match=Match(), plan=Plan(rule=rule, steps=steps))


async def planned(spool: IntakeAndSpool, *steps: Step, uid: int = 1) -> str:
    """A message accepted, leased and planned by this spool."""
    accepted = await accept(spool, f"Subject: {uid}\r\n\r\n".encode(), uid=uid, message_id=f"<{uid}@exemple.fr>")
    assert await spool.load(accepted.id) is not None
    await spool.save_plan(accepted.id, thought(*steps))
    return accepted.id
