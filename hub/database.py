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
import select
import sqlite3
import threading
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

from hub.errors import DiskFailed, Misconfigured, Temporary
from hub.prepared import QuickConnection, quick

T = TypeVar("T")

BUSY_SECONDS = 30  # longer than any transaction of ours; a writer waits instead of failing (complaints.md, row 20)
# Between two tries of a writer that waits for another process. SQLite's own pauses grow to 0.1 s, where a transaction
# of ours takes a millisecond or two: a message would be late, and workers idle, for nothing.
BUSY_LOOK_FIRST, BUSY_LOOK_MOST = 0.0002, 0.002  # seconds
POSTGRES_THREADS = 8
TOGETHER_MOST = 64  # writes in one commit: beyond it the first one would wait too long for the last
HELD_MOST = 1.0  # seconds without use after which a thread's connection goes back to the pool, which looks if it lives

_OPENINGS = ("BEGIN IMMEDIATE", "BEGIN")  # of writes and reads on SQLite

_REPLACED = {0: "\ufffd"}


def storable(text: str, most: int | None = None) -> str:
    """The text as every engine keeps it: no NUL (PostgreSQL), no lone surrogate (both), at most `most` characters."""
    if text.isascii() and "\0" not in text:  # nearly all of it, a dozen times a message
        return text[:most]
    return text[:most].translate(_REPLACED).encode("utf-8", "replace").decode("utf-8")


@dataclass(slots=True)
class _Waiting:
    """A write that waits for the writer thread, and who awaits it."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    durable: bool
    value: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class _Held:
    connection: QuickConnection
    used_at: float = 0.0


class Database:
    """One database, by url: `sqlite:////path/hub.db` or `postgresql://user@host/name`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:")
        self._waiting: deque[_Waiting] = deque()
        self._is_called = False  # the writer thread will look at what waits
        if self.is_sqlite:
            _make_file(url)
            self._writer = _sqlite_engine(url, _OPENINGS[0])
            self._reader = _sqlite_engine(url, _OPENINGS[1], "query_only=ON")
            self._write_threads = ThreadPoolExecutor(1, "hub-db-write")
            self._read_threads = ThreadPoolExecutor(2, "hub-db-read")
        elif url.startswith("postgresql"):
            self._writer = self._reader = _postgres_engine(url)
            self._write_threads = self._read_threads = ThreadPoolExecutor(POSTGRES_THREADS, "hub-db")
        else:
            raise Misconfigured("database_url must start with sqlite:/// or postgresql://")
        self._connection_type = quick(self._writer.dialect)
        self._write_opening = _begin_writing if self.is_sqlite else None
        self._read_opening = _begin_reading if self.is_sqlite else None
        self._held: dict[tuple[int, Engine], _Held] = {}  # by our threads; each touches its own only

    async def write(self, work: Callable[[Connection], T], *, durable: bool = True) -> T:
        """Run `work` in one write transaction, in a thread; commit when it returns, roll back when it raises.

        Not `durable`: the commit does not wait for the disk. A killed process loses nothing, a power cut may take it
        back, never without what came after it: for what the next start finds out by itself (a lease, a mark)."""
        loop = asyncio.get_running_loop()
        if not self.is_sqlite:
            return await loop.run_in_executor(self._write_threads, self._write_held, work, durable)
        waiting = _Waiting(work, loop.create_future(), loop, durable)
        self._waiting.append(waiting)
        if not self._is_called:
            self._is_called = True
            self._write_threads.submit(self._write_waiting)
        written: T = await waiting.future
        return written

    async def read(self, work: Callable[[Connection], T], *, brief: bool = False) -> T:
        """Run `work` in one read transaction, in a thread.

        `brief`: it looks at a few rows by indexes. SQLite, whose readers wait for nobody, then answers at once in the
        calling thread, in less time than it takes to ask another thread."""
        if brief and self.is_sqlite:
            return self._read_held(work)
        return await asyncio.get_running_loop().run_in_executor(self._read_threads, self._read_held, work)

    def write_now(self, work: Callable[[Connection], T], *, often: bool = False) -> T:
        """`write`, in the calling thread; one that comes `often` keeps its connection, as threads of ours do."""
        if often:
            return self._write_held(work, durable=True)
        with (
            _named_failures(),
            self._connection_type(self._writer) as connection,
            connection.transaction(self._write_opening),
        ):
            return work(connection)

    def read_now(self, work: Callable[[Connection], T], *, often: bool = False) -> T:
        """`read`, in the calling thread; `often` as there."""
        if often:
            return self._read_held(work)
        with (
            _named_failures(),
            self._connection_type(self._reader) as connection,
            connection.transaction(self._read_opening),
        ):
            return work(connection)

    def _write_held(self, work: Callable[[Connection], T], durable: bool) -> T:
        with self._writing(durable) as connection:
            return work(connection)

    @contextmanager
    def _writing(self, durable: bool) -> Iterator[QuickConnection]:
        """A write transaction of a thread of ours, whose commit waits for the disk or not."""
        with _named_failures(), self._holding(self._writer) as connection:
            if durable or not self.is_sqlite:
                with connection.transaction(self._write_opening):
                    if not durable:
                        connection.run("SET LOCAL synchronous_commit = off")
                    yield connection
                return
            try:
                connection.run("PRAGMA synchronous=NORMAL")
                with connection.transaction(self._write_opening):
                    yield connection
                connection.run("PRAGMA synchronous=FULL")
            except BaseException:
                connection.invalidate()  # never back to the pool with the weaker promise
                raise

    def _read_held(self, work: Callable[[Connection], T]) -> T:
        with (
            _named_failures(),
            self._holding(self._reader) as connection,
            connection.transaction(self._read_opening),
        ):
            return work(connection)

    @contextmanager
    def _holding(self, engine: Engine) -> Iterator[QuickConnection]:
        """The connection that this thread of ours keeps from one transaction to the next; a new one after a failure,
        and after a pause in which the server may have gone."""
        key = threading.get_ident(), engine
        held = self._held.pop(key, None)
        if held is not None and not self.is_sqlite and time.monotonic() - held.used_at > HELD_MOST:
            held.connection.close()
            held = None
        if held is None:
            held = _Held(self._connection_type(engine))
        try:
            yield held.connection
        except BaseException:
            held.connection.close()
            raise
        held.used_at = time.monotonic()
        self._held[key] = held

    @property
    def engine(self) -> Engine:
        """The engine that writes (for migrations)."""
        return self._writer

    def close(self) -> None:
        """Wait for what runs, then close every connection. Safe to call twice."""
        self._write_threads.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        while self._held:
            self._held.popitem()[1].connection.close()
        self._writer.dispose()
        self._reader.dispose()

    def _write_waiting(self) -> None:
        """In the writer thread: whatever waits by now, in one commit, until nothing waits."""
        self._is_called = False  # before the look: who comes later calls again, at worst for nothing
        while batch := self._next_batch():
            try:
                if len(batch) == 1:
                    self._write_alone(batch[0])
                else:
                    self._write_together(batch)
            except Exception as error:
                # Not swallowed: it is raised to every caller whose work it undid.
                for waiting in batch:
                    waiting.error = error
            _tell(batch)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < TOGETHER_MOST:
            waiting = self._waiting.popleft()
            if not waiting.future.cancelled():
                batch.append(waiting)
        return batch

    def _write_alone(self, waiting: _Waiting) -> None:
        with self._writing(waiting.durable) as connection:
            waiting.value = waiting.work(connection)

    def _write_together(self, batch: list[_Waiting]) -> None:
        """One transaction for all, a savepoint for each: one that raises undoes only itself. What fails as a whole
        (the commit, a full disk) raises, and nothing of the batch is written."""
        with self._writing(any(waiting.durable for waiting in batch)) as connection:
            for waiting in batch:
                connection.run("SAVEPOINT one")
                try:
                    with _named_failures():
                        waiting.value = waiting.work(connection)
                except Exception as error:
                    # Raised to its own caller by `_tell`; but a full or failing disk undid everything.
                    if isinstance(error, DiskFailed):
                        raise
                    waiting.error = error
                    connection.run("ROLLBACK TO one")
                connection.run("RELEASE one")


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
        # The driver's text may quote values: only its class is kept, and SQLite's code (such as SQLITE_FULL).
        code = getattr(error.orig, "sqlite_errorname", "")
        private = f"database: {type(error.orig).__name__} {code}".strip()
        if code.startswith(("SQLITE_FULL", "SQLITE_IOERR")):
            raise DiskFailed(private, "enospc" if code == "SQLITE_FULL" else "eio") from None
        raise Temporary(private) from None
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
    # A writer waits at its BEGIN, in our own way, and from then on for nobody.
    seconds = 0 if begin == _OPENINGS[0] else BUSY_SECONDS
    engine = create_engine(url, connect_args={"timeout": seconds, "check_same_thread": False}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", *more):
            _run_waiting(connection.execute, f"PRAGMA {pragma}")  # the change to WAL does not wait by itself

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if isinstance(connection, QuickConnection) and connection.is_opened:
            return
        raw: Any = connection.connection.dbapi_connection
        try:
            _run_waiting(raw.execute, begin)
        except raw.Error:
            connection.exec_driver_sql(begin)  # once more, for the error in SQLAlchemy's words

    return engine


def _begin_writing(connection: QuickConnection) -> None:
    _run_waiting(connection.run, _OPENINGS[0])


def _begin_reading(connection: QuickConnection) -> None:
    connection.run(_OPENINGS[1])


def _run_waiting(run: Callable[[str], object], text: str) -> None:
    """Run it as soon as no other process is in the way."""
    until, pause = time.monotonic() + BUSY_SECONDS, BUSY_LOOK_FIRST
    while True:
        try:
            run(text)
            return
        except (DBAPIError, sqlite3.OperationalError) as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
        select.select((), (), (), pause)  # a span, not a moment: `time.sleep` fails when the clock jumps under it
        pause = min(pause * 1.5, BUSY_LOOK_MOST)


def _is_busy(error: Exception) -> bool:
    original = error.orig if isinstance(error, DBAPIError) else error
    return getattr(original, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


# A server that fell silent (its machine died, a firewall forgot us) is given up within half a minute: TCP alone would
# wait a quarter of an hour, and every thread of ours with it. A site may say otherwise in its url.
_SILENCE = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,  # milliseconds
}


def _postgres_engine(url: str) -> Engine:
    driver_url = make_url(url.replace("postgresql://", "postgresql+psycopg://", 1))
    return create_engine(
        driver_url.update_query_dict({name: str(_SILENCE[name]) for name in _SILENCE.keys() - driver_url.query.keys()}),
        pool_size=POSTGRES_THREADS,
        max_overflow=POSTGRES_THREADS,  # the others are kept by our threads
        pool_pre_ping=True,
        hide_parameters=True,
    )
