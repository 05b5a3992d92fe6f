"""The rows of the embedded broker's queue: add, claim with a lease, renew, remove, give back.

Every removal and renewal names the owner (fencing): a process that slept through its lease changes nothing of what
another has claimed since. Commits are safe against a killed process but do not wait for the disk: a power cut may lose
hints, which is allowed, while an fsync per hint would double the cost of a message. A lost database raises Temporary.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import String, Table, bindparam, case, cast, delete, event, func, or_, select, type_coerce, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.types import NullType

from hub.database import Database
from hub.tables import QueueRow
from hub.worker.bell import bell_of

T = TypeVar("T")

QUEUE: Table = QueueRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that is ours while its lease lives. Its id is another at each claim."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to add: `hint` is its id while it waits, `eta` when it is due (seconds since the epoch)."""

    hint: str
    queue: str
    eta: float
    body: bytes


class QueueRows:
    """The queue table as one process sees it. `owner` names the process; `lease` is in seconds. Any thread."""

    def __init__(self, database: Database, owner: str, lease: float) -> None:
        self._owner = owner
        self._lease = lease
        self._database = Database(database.url)
        if self._database.is_sqlite:
            event.listen(self._database.engine, "connect", _do_not_wait_for_the_disk)
        self._bell = bell_of(self._database)
        self._add = _add_statement(self._database.is_sqlite)
        self._claim = _claim_statement(self._database.is_sqlite)

    def close(self) -> None:
        self._bell.close()
        self._database.close()

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard`, in a thread of ours, whenever another process has put a hint. Once."""
        self._bell.listen(heard)

    def add(self, rows: Iterable[NewRow]) -> None:
        """Rows that wait, all in one transaction; a twin (same `hint`) that waits already keeps the earlier time of
        both."""
        # In one order everywhere: two processes that add the same hints do not lock each other out.
        values = [
            {"id": row.hint, "queue": row.queue, "eta": row.eta, "body": row.body}
            for row in sorted(rows, key=lambda row: row.hint)
        ]
        if not values:
            return

        def work(connection: Connection) -> None:
            connection.execute(self._add, values)
            self._bell.ring_within(connection)

        self._write(work)
        self._bell.ring()

    def turn(self, queue: str, done: Collection[str], held: Collection[str], room: int) -> list[Claimed]:
        """In one transaction: remove the `done` rows, renew the `held` ones, claim up to `room` due ones."""
        now = time.time()
        lease = {"me": self._owner, "until": now + self._lease}

        def work(connection: Connection) -> list[Claimed]:
            if done:
                connection.execute(_REMOVE, {"me": self._owner, "ids": list(done)})
            if held:
                connection.execute(_RENEW, {**lease, "ids": list(held)})
            if room <= 0:
                return []
            rows = connection.execute(self._claim, {**lease, "name": queue, "now": now, "most": room}).all()
            return [Claimed(row.id, row.body) for row in sorted(rows, key=lambda row: row.eta)]

        return self._write(work)

    def give_back(self, ids: Collection[str]) -> None:
        """Make claimed rows free for anybody, at once."""
        self._write(lambda c: c.execute(_GIVE_BACK, {"me": self._owner, "ids": list(ids)}))

    def next_due(self, queue: str) -> float | None:
        """Seconds until the next free row is due (0 or less: now), None when there is none."""
        now = time.time()
        eta = self._database.read_now(lambda c: c.execute(_NEXT, {"name": queue, "now": now}).scalar(), often=True)
        return None if eta is None else float(eta) - now

    def depth(self, queue: str, most: int) -> int:
        """How many rows are free, delayed ones included; counted up to `most`."""
        asked = {"name": queue, "now": time.time(), "most": most}
        return int(self._database.read_now(lambda c: c.execute(_DEPTH, asked).scalar_one()))

    def is_empty(self, queue: str) -> bool:
        """No row at all: neither waiting, nor delayed, nor leased."""
        return self._database.read_now(lambda c: c.execute(_ANY, {"name": queue}).first()) is None

    def flush(self, queue: str) -> None:
        self._write(lambda c: c.execute(_FLUSH, {"name": queue}))

    def _write(self, work: Callable[[Connection], T]) -> T:
        if self._database.is_sqlite:
            return self._database.write_now(work, often=True)

        def hurried(connection: Connection) -> T:
            connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
            return work(connection)

        return self._database.write_now(hurried, often=True)


def _do_not_wait_for_the_disk(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL").close()


_OF_QUEUE = QUEUE.c.queue == bindparam("name")
_IS_FREE = or_(QUEUE.c.lease_until.is_(None), QUEUE.c.lease_until < bindparam("now"))
_MINE = (QUEUE.c.id.in_(bindparam("ids", expanding=True)), QUEUE.c.owner == bindparam("me"))

_ETA = type_coerce(QUEUE.c.eta, NullType()).label("eta")  # the driver's own float, so that statements are made ready

_NEXT = select(_ETA).where(_OF_QUEUE, _IS_FREE).order_by(QUEUE.c.eta).limit(1)
_DEPTH = select(func.count()).select_from(
    select(QUEUE.c.id).where(_OF_QUEUE, _IS_FREE).limit(bindparam("most")).subquery()
)
_ANY = select(QUEUE.c.id).where(_OF_QUEUE).limit(1)
_FLUSH = delete(QUEUE).where(_OF_QUEUE)
_REMOVE = delete(QUEUE).where(*_MINE)
_RENEW = update(QUEUE).where(*_MINE).values(lease_until=bindparam("until"))
_GIVE_BACK = update(QUEUE).where(*_MINE).values(owner=None, lease_until=None)


def _add_statement(is_sqlite: bool) -> Any:
    insert: Any = sqlite.insert(QUEUE) if is_sqlite else postgresql.insert(QUEUE)
    earliest = case((insert.excluded.eta < QUEUE.c.eta, insert.excluded.eta), else_=QUEUE.c.eta)
    return insert.on_conflict_do_update(index_elements=["id"], set_={"eta": earliest})


def _claim_statement(is_sqlite: bool) -> Any:
    # A claimed row takes a fresh id: the next equal hint, which may be about something newer than what the claimer
    # has read, is a row of its own.
    fresh = func.lower(func.hex(func.randomblob(16))) if is_sqlite else cast(func.gen_random_uuid(), String)
    due = (
        select(QUEUE.c.id)
        .where(_OF_QUEUE, QUEUE.c.eta <= bindparam("now"), _IS_FREE)
        .order_by(QUEUE.c.eta)
        .limit(bindparam("most"))
        .with_for_update(skip_locked=True)  # says nothing on SQLite, where a writer is alone anyway
        .cte("due")
    )
    return (
        update(QUEUE)
        .where(QUEUE.c.id.in_(select(due.c.id)))
        .values(id=fresh, owner=bindparam("me"), lease_until=bindparam("until"))
        .returning(QUEUE.c.id, QUEUE.c.body, _ETA)
    )
