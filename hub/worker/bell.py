"""The bell of the embedded queue: wakes the worker processes that sleep, so that they need not look all the time.

In: somebody put a hint in the queue. Out: every process that listens looks at once. SQLite: a folder of FIFOs beside
the database, one a listener, into which a byte is written; PostgreSQL: NOTIFY. A ring may be lost (a full disk, a
folder without FIFOs, a broken connection): whoever listens still looks now and then, so it costs seconds, no hint.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from hub.database import Database

log = logging.getLogger("hub.worker")

CHANNEL = "hub_queue"
MADE_AGAIN_MOST = 10
LISTEN_AGAIN = 5.0  # seconds after a broken connection


class Bell(Protocol):
    def ring_within(self, connection: Connection) -> None:
        """In the transaction that puts the hint."""
        ...

    def ring(self) -> None:
        """After its commit. Never raises."""
        ...

    def listen(self, heard: Callable[[], None]) -> None:
        """Call `heard` at each ring, in a thread of ours, until `close`. Once a bell."""
        ...

    def close(self) -> None: ...


def bell_of(database: Database) -> Bell:
    return FifoBell(database) if database.is_sqlite else NotifyBell(database)


class _Listening:
    """A thread that waits for a file to become readable, or for the end."""

    def __init__(self, loop: Callable[[int], None]) -> None:
        self._stop, self._end = os.pipe()
        self._thread = threading.Thread(target=loop, args=(self._stop,), name="hub-bell", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._end, b"!")
        self._thread.join()
        os.close(self._stop)
        os.close(self._end)


class FifoBell:
    def __init__(self, database: Database) -> None:
        file = make_url(database.url).database
        self._folder = Path(f"{file}-bells")
        self._mine = self._folder / f"{os.getpid()}-{uuid4().hex[:8]}"
        self._listening: _Listening | None = None

    def ring_within(self, connection: Connection) -> None:
        """Too early for a process that would look before the commit."""

    def ring(self) -> None:
        try:
            names = os.listdir(self._folder)
        except OSError:  # nobody ever listened here
            return
        for name in names:
            if name != self._mine.name:
                self._ring_one(self._folder / name)

    def _ring_one(self, fifo: Path) -> None:
        try:
            end = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # its listener died
                with contextlib.suppress(OSError):
                    fifo.unlink()
            return
        with contextlib.suppress(OSError):  # full: it is ringing already
            os.write(end, b"!")
        os.close(end)

    def listen(self, heard: Callable[[], None]) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            fifo = self._opened()
        except OSError as error:
            log.warning("no bell here (%s): hints of other processes wait for the next look", type(error).__name__)
            return

        def loop(stop: int) -> None:
            with contextlib.closing(os.fdopen(fifo, "rb", buffering=0)):
                while stop not in select.select([fifo, stop], [], [])[0]:
                    with contextlib.suppress(BlockingIOError):
                        os.read(fifo, 65_536)
                    heard()

        self._listening = _Listening(loop)

    def _opened(self) -> int:
        """Whoever rings between the making and the opening takes us for dead and removes it: made again."""
        for _ in range(MADE_AGAIN_MOST):
            os.mkfifo(self._mine, 0o600)
            with contextlib.suppress(FileNotFoundError):
                # Open for writing too: else it would be at its end whenever no other process holds it open.
                return os.open(self._mine, os.O_RDWR | os.O_NONBLOCK)
        raise FileNotFoundError

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
            self._mine.unlink(missing_ok=True)


class NotifyBell:
    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._listening: _Listening | None = None

    def ring_within(self, connection: Connection) -> None:
        connection.exec_driver_sql(f"NOTIFY {CHANNEL}")

    def ring(self) -> None:
        """PostgreSQL does it at the commit."""

    def listen(self, heard: Callable[[], None]) -> None:
        broken: tuple[type[Exception], ...] = (SQLAlchemyError, self._engine.dialect.loaded_dbapi.Error)

        def loop(stop: int) -> None:
            while True:
                try:
                    if self._heard_until(stop, heard):
                        return
                except broken as error:
                    log.warning("the bell's connection broke (%s): listening again soon", type(error).__name__)
                if stop in select.select([stop], [], [], LISTEN_AGAIN)[0]:
                    return

        self._listening = _Listening(loop)

    def _heard_until(self, stop: int, heard: Callable[[], None]) -> bool:
        """Listen on a connection of our own until it breaks (raises) or the end (True)."""
        with contextlib.closing(self._engine.raw_connection()) as pooled:
            pooled.detach()  # ours for good: closed at the end, never given to another
            connection: Any = pooled.dbapi_connection
            connection.autocommit = True
            connection.execute(f"LISTEN {CHANNEL}")
            heard()  # what rang before we listened
            while stop not in select.select([connection.fileno(), stop], [], [])[0]:
                if list(connection.notifies(timeout=0)):
                    heard()
        return True

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
            self._listening = None
