"""The actor, thin: a hint comes in, its messages are carried; and the process around it.

A worker process has one event loop (dramatiq's AsyncIO middleware); every message that it carries runs there, up to
`working.threads` at once. One dramatiq thread takes the hints and gives each to the loop, which begins one message as
another ends: a thread that waited for its message would be two more turns of a thread for each, and one more clock that
ticks when nothing comes. Hints may be lost, doubled or late: the spool knows what is due (docs/states.md). So a hint is
done with when the loop has it, and there is no other middleware: retry times live in the spool, the sweep gives hints
again. A broker that is away is waited for, at the start too, and keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from queue import PriorityQueue
from typing import Any

import dramatiq
from dramatiq.asyncio import EventLoopThread, get_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware

from hub import trip
from hub.errors import HubError
from hub.settings import Settings
from hub.wiring import House, open_house
from hub.worker.broker import make_broker, queue_of
from hub.worker.hints import CARRY, Hints
from hub.worker.sql_broker import IDLE_MOST

__all__ = ["CarryingWorker", "Hints"]

log = logging.getLogger("hub.worker")

CARRY_WITHIN = 3600.0  # seconds; a carry has its own deadlines everywhere: this only ends what no deadline of ours saw
STOP_WITHIN = 60.0  # seconds: for what is in hand
# Seconds that a stop gives each of dramatiq's threads. None of them carries: one that waits for room, or for a broker
# that is away, is left, and the hint that it holds goes back as the connection closes.
THREADS_WITHIN = 10.0
HINTS_AHEAD = 2  # that the loop has and has not begun wholly: one to go on with, one beside it
# Milliseconds in which dramatiq's consumer looks at itself: as often as the embedded broker looks for hints unheard.
QUIET = int(IDLE_MOST * 1000)
END_SEEN_WITHIN = 0.01  # seconds


class CarryingWorker:
    """One worker process's house, broker and actors. `start` begins to carry, `stop` ends after what is in hand."""

    def __init__(self, settings: Settings) -> None:
        house = open_house(settings, migrated=False)
        self._on_loop = _HouseOnTheLoop(house, settings.working.threads)
        broker = make_broker(settings, house.database, (AsyncIO(), self._on_loop))
        queue_name = queue_of(house.keys)
        dramatiq.actor(self._on_loop.carry, actor_name=CARRY, broker=broker, queue_name=queue_name)
        # dramatiq tells a lost broker at each try, every three seconds; `hub.worker.outage` tells it once.
        logging.getLogger(f"dramatiq.worker.ConsumerThread({queue_name})").addFilter(_is_no_lost_connection)
        self._broker = broker
        self._worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=QUIET)
        self._worker.work_queue = self._handover = _Handover()
        self._worker.queue_prefetch = settings.working.threads  # a few hints ahead; the others are for other workers

    def start(self) -> None:
        """Raises what kept the house from starting (Misconfigured): such a worker could carry nothing."""
        self._worker.start()
        if self._on_loop.failure is not None:
            self.stop()
            raise self._on_loop.failure

    def stop(self) -> None:
        """Finish what is in hand, give back the rest, close everything: a little over `STOP_WITHIN` at most, whatever
        the broker does."""
        self._handover.end()
        self._worker.stop(timeout=int(THREADS_WITHIN * 1000))
        self._broker.close()


class _Handover(PriorityQueue[Any]):
    """dramatiq's queue from the thread that takes hints to the one that begins them, which a hint or the end wakes: by
    itself it would look at its queue once a second, for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False

    def end(self) -> None:
        with self.not_empty:
            self._is_ending = True
            self.not_empty.notify_all()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if block:
            with self.not_empty:
                self.not_empty.wait_for(lambda: self._is_ending or self._qsize())
        return super().get(block, END_SEEN_WITHIN if self._is_ending else timeout)


async def _carry(message_id: str, house: House) -> None:
    """Raises nothing: dramatiq would log a foreign exception whole, and its text may quote what it choked on."""
    try:
        async with asyncio.timeout(CARRY_WITHIN):
            await trip.carry(message_id, house.start())
    except HubError as error:
        log.warning("message %s: not carried now: %s", message_id, error.private)
    except Exception as error:
        log.error("message %s: not carried now: %s", message_id, type(error).__name__)


def _is_no_lost_connection(record: logging.LogRecord) -> bool:
    return not record.msg.startswith("Consumer encountered a connection error")


class _HouseOnTheLoop(Middleware):  # type: ignore[misc]
    """Builds and closes the house on the loop that carries, carries there, and watches the rules' files there.

    Must be added after AsyncIO: dramatiq calls the beginnings in order and the ends in reverse: the loop is alive."""

    def __init__(self, house: House, at_once: int) -> None:
        self._house = house
        self._at_once = at_once
        self._room = threading.Semaphore(HINTS_AHEAD)
        self._hints: deque[Iterator[str]] = deque()  # those that the loop has, each with its messages not begun
        self._carried: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._stop_by = 0.0  # monotonic
        self._watching: asyncio.Task[None] | None = None
        self.failure: Exception | None = None

    def carry(self, *message_ids: str) -> None:
        """The actor: gives the messages to the loop as soon as that has begun with those before, and waits for no end.
        In dramatiq's thread."""
        self._room.acquire()
        _loop_thread().loop.call_soon_threadsafe(self._take, message_ids)

    def _take(self, message_ids: tuple[str, ...]) -> None:
        self._hints.append(iter(message_ids))
        self._begin_more()

    def _begin_more(self) -> None:
        while len(self._carried) < self._at_once and (message_id := self._next()) is not None:
            task = asyncio.get_running_loop().create_task(_carry(message_id, self._house))
            self._carried.add(task)
            task.add_done_callback(self._is_carried)

    def _next(self) -> str | None:
        while self._hints:
            message_id = next(self._hints[0], None)
            if message_id is not None:
                return message_id
            self._hints.popleft()
            self._room.release()
        return None

    def _is_carried(self, task: asyncio.Task[None]) -> None:
        self._carried.discard(task)
        self._begin_more()

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        self._stop_by = time.monotonic() + STOP_WITHIN

    def before_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Before the threads that take hints: a hint is not for a worker that still reads its rules."""
        try:
            _loop_thread().run_coroutine(self._begin())
        except Exception as error:  # dramatiq would only log it: `CarryingWorker.start` raises it
            self.failure = error

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        _loop_thread().run_coroutine(self._end())

    async def _begin(self) -> None:
        self._house.start()
        assert self._house.rules is not None
        gc.collect()
        gc.freeze()  # what is loaded by now stays: to look through it again would stop a message for 50 ms
        self._watching = asyncio.create_task(self._house.rules.watch(self._stop))

    async def _end(self) -> None:
        self._stop.set()
        if self._watching is not None:
            self._watching.cancel()
        while self._carried and (left := self._stop_by - time.monotonic()) > 0:
            await asyncio.wait(self._carried, timeout=left)
        self._at_once = 0  # a thread that a stop left may still give a hint: nothing begins in a house that is closed
        self._hints.clear()  # what is left of them, a sweep will give again
        await self._house.close()


def _loop_thread() -> EventLoopThread:
    thread = get_event_loop_thread()
    assert thread is not None  # AsyncIO was added first
    return thread
