"""The database engine: one transaction at a time, in a thread, never a network call inside it.

`write` and `read` take a plain function of a SQLAlchemy connection and run it in one transaction in a thread of
ours, so that the event loop never waits for a disk and no transaction can ever await a peer. SQLite (embedded):
WAL, synchronous FULL, one writer thread, `BEGIN IMMEDIATE`, busy timeout; PostgreSQL: a small pool.

Failures: a lost, locked or full database raises Temporary; a broken constraint raises IntegrityError to the
caller, who knows its meaning. Nothing is half written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from hub.errors import Misconfigured, Temporary

T = TypeVar("T")

BUSY_SECONDS = 30  # longer than any transaction of ours; a writer waits instead of failing (complaints.md, row 20)
POSTGRES_THREADS = 8


class Database:
    """One database, by url: `sqlite:////path/hub.db` or `postgresql://user@host/name`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(url, "BEGIN")
            self._write_threads = ThreadPoolExecutor(1, "hub-db-write")
            self._read_threads = ThreadPoolExecutor(2, "hub-db-read")
        elif url.startswith("postgresql"):
            self._writer = self._reader = _postgres_engine(url)
            self._write_threads = self._read_threads = ThreadPoolExecutor(POSTGRES_THREADS, "hub-db")
        else:
            raise Misconfigured("database_url must start with sqlite:/// or postgresql://")

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one write transaction, in a thread; commit when it returns, roll back when it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._write_threads, self.write_now, work)

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
        """Wait for what runs, then close every connection."""
        self._write_threads.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._writer.dispose()
        self._reader.dispose()


@contextmanager
def _named_failures() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (OperationalError, DBAPIError) as error:
        # The driver's text may quote values: only its class is kept.
        raise Temporary(f"database: {type(error.orig).__name__}") from None


def _sqlite_engine(url: str, begin: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgres_engine(url: str) -> Engine:
    driver_url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(driver_url, pool_size=POSTGRES_THREADS, max_overflow=2, pool_pre_ping=True)
