"""The database engine: short transactions, in threads of ours, never a network call inside one.

`write` and `read` take a plain function of a SQLAlchemy connection and run it in one transaction in a thread of
ours, so that the event loop never waits for a disk and no transaction can ever await a peer. SQLite (embedded):
WAL, synchronous FULL, `BEGIN IMMEDIATE`, busy timeout, one writer thread that commits all waiting writes together
(one fsync for all, a savepoint for each); PostgreSQL: a small pool.

Failures: a lost, locked or full database raises Temporary; a broken constraint raises IntegrityError to the
caller, who knows its meaning. Nothing is half written.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from hub.errors import Misconfigured, Temporary

T = TypeVar("T")

BUSY_SECONDS = 30  # longer than any transaction of ours; a writer waits instead of failing (complaints.md, row 20)
POSTGRES_THREADS = 8
TOGETHER_MOST = 64  # writes in one commit: beyond it the first one would wait too long for the last

_REPLACED = {0: "\ufffd"}


def storable(text: str, most: int | None = None) -> str:
    """The text as every engine keeps it: no NUL (PostgreSQL), no lone surrogate (both), at most `most` characters."""
    return text[:most].translate(_REPLACED).encode("utf-8", "replace").decode("utf-8")


@dataclass(slots=True)
class _Waiting:
    """A write that waits for the writer thread, and who awaits it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    value: Any = None
    error: Exception | None = None


class Database:
    """One database, by url: `sqlite:////path/hub.db` or `postgresql://user@host/name`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        self._waiting: deque[_Waiting] = deque()
        if self.is_sqlite:
            _make_file(url)
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(url, "BEGIN", "query_only=ON")
            self._write_threads = ThreadPoolExecutor(1, "hub-db-write")
            self._read_threads = ThreadPoolExecutor(2, "hub-db-read")
        elif url.startswith("postgresql"):
            self._writer = self._reader = _postgres_engine(url)
            self._write_threads = self._read_threads = ThreadPoolExecutor(POSTGRES_THREADS, "hub-db")
        else:
            raise Misconfigured("database_url must start with sqlite:/// or postgresql://")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction, in a thread; commit when it returns, roll back when it raises."""
        loop = asyncio.get_running_loop()
        if not self.is_sqlite:
            return await loop.run_in_executor(self._write_threads, self.write_now, work)
        waiting = _Waiting(work, loop.create_future(), loop)
        self._waiting.append(waiting)
        self._write_threads.submit(self._write_waiting)
        written: T = await waiting.future
        return written

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one read transaction, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self.read_now, work)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """`write`, in the calling thread."""
        with _named_failures(), self._writer.begin() as connection:
            return work(connection)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """`read`, in the calling thread."""
        with _named_failures(), self._reader.connect() as connection:
            return work(connection)

    @property
    def engine(self) -> Engine:
        """The engine that writes (for migrations)."""
        return self._writer

    def close(self) -> None:
        """Wait for what runs, then close every connection. Safe to call twice."""
        self._write_threads.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._writer.dispose()
        self._reader.dispose()

    def _write_waiting(self) -> None:
        """In the writer thread: whatever waits by now, in one commit."""
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < TOGETHER_MOST:
            waiting = self._waiting.popleft()
            if not waiting.future.cancelled():
                batch.append(waiting)
        if not batch:
            return
        try:
            if len(batch) == 1:
                batch[0].value = self.write_now(batch[0].work)
            else:
                self._write_together(batch)
        except Exception as error:
            # Not swallowed: it is raised to every caller whose work it undid.
            for waiting in batch:
                waiting.error = error
        _tell(batch)

    def _write_together(self, batch: list[_Waiting]) -> None:
        """One transaction for all, a savepoint for each: one that raises undoes only itself. What fails as a whole
        (the commit, a full disk) raises, and nothing of the batch is written."""
        with _named_failures(), self._writer.begin() as connection:
            for waiting in batch:
                connection.exec_driver_sql("SAVEPOINT one")
                try:
                    with _named_failures():
                        waiting.value = waiting.work(connection)
                except Exception as error:
                    # Raised to its own caller by `_tell`. When SQLite already rolled everything back (disk full),
                    # this ROLLBACK TO fails and the whole batch with it.
                    waiting.error = error
                    connection.exec_driver_sql("ROLLBACK TO one")
                connection.exec_driver_sql("RELEASE one")


def _tell(batch: list[_Waiting]) -> None:
    """Wake the callers, once a loop."""

    def settle(mine: list[_Waiting]) -> None:
        for waiting in mine:
            if waiting.future.cancelled():
                continue
            if waiting.error is not None:
                waiting.future.set_exception(waiting.error)
            else:
                waiting.future.set_result(waiting.value)

    for loop in {waiting.loop for waiting in batch}:
        # A loop that closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, [waiting for waiting in batch if waiting.loop is loop])


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        # The driver's text may quote values: only its class is kept.
        raise Temporary(f"database: {type(error.orig).__name__}") from None
    except PoolTimeoutError:
        raise Temporary("database: no free connection") from None


def _make_file(url: str) -> None:
    """The database file, readable by the hub alone: it holds the traits of usagers."""
    name = make_url(url).database
    if not name or name == ":memory:":
        raise Misconfigured("database_url must name a file: sqlite:///hub.db")
    if not Path(name).parent.is_dir():
        raise Misconfigured(f"database_url: the folder of {name} does not exist")
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # Never open and close an existing database beside SQLite: the close drops every POSIX lock that this process
        # holds on the file, another process then takes itself for the last one, deletes the WAL, and the database is
        # corrupt (sqlite.org, howtocorrupt §2.2).
        return
    except OSError as error:
        raise Misconfigured(f"database_url: {name} cannot be opened: {error.strerror}") from None


def _sqlite_engine(url: str, begin: str, *more: str) -> Engine:
    engine = create_engine(
        url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *more):
            _run_pragma(connection, pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _run_pragma(connection: Any, pragma: str) -> None:
    """The change to WAL does not wait for other processes by itself (busy timeout or not): we do."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA {pragma}").close()
            return
        except connection.OperationalError as error:
            if error.sqlite_errorname not in ("SQLITE_BUSY", "SQLITE_LOCKED") or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _postgres_engine(url: str) -> Engine:
    driver_url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(
        driver_url, pool_size=POSTGRES_THREADS, max_overflow=2, pool_pre_ping=True, hide_parameters=True
    )
