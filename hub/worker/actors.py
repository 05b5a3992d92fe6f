"""The actor, thin: a hint comes in, one message is carried; and the process around it.

A worker process has one event loop (dramatiq's AsyncIO middleware); every message that it carries runs there, up to
`working.threads` at once. Hints may be lost, doubled or late: the spool knows what is due (docs/states.md). So no other
middleware: retry times live in the spool, and a hint whose carrying failed is done with, the sweep gives it again.
A broker that is away is waited for, at the start too, and keeps no process from ending.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware

from hub import trip
from hub.errors import HubError
from hub.settings import Settings
from hub.wiring import House, open_house
from hub.worker.broker import make_broker, queue_of
from hub.worker.hints import CARRY, Hints

__all__ = ["CarryingWorker", "Hints"]

log = logging.getLogger("hub.worker")

CARRY_WITHIN = 3600.0  # seconds; a carry has its own deadlines everywhere: this only ends what no deadline of ours saw
STOP_WITHIN_MS = 60_000


class CarryingWorker:
    """One worker process's house, broker and actors. `start` begins to carry, `stop` ends after what is in hand."""

    def __init__(self, settings: Settings) -> None:
        self._house = house = open_house(settings, migrated=False)
        self._on_loop = _HouseOnTheLoop(house)
        broker = make_broker(settings, house.database, (AsyncIO(), self._on_loop))
        queue_name = queue_of(house.keys)

        async def carry(message_id: str) -> None:
            await _carry(message_id, house)

        dramatiq.actor(carry, actor_name=CARRY, broker=broker, queue_name=queue_name)
        # dramatiq tells a lost broker at each try, every three seconds; `hub.worker.outage` tells it once.
        logging.getLogger(f"dramatiq.worker.ConsumerThread({queue_name})").addFilter(_is_no_lost_connection)
        self._broker = broker
        self._worker = dramatiq.Worker(broker, worker_threads=settings.working.threads)

    def start(self) -> None:
        """Raises what kept the house from starting (Misconfigured): such a worker could carry nothing."""
        self._worker.start()
        if self._on_loop.failure is not None:
            self.stop()
            raise self._on_loop.failure

    def stop(self) -> None:
        """Finish what is in hand, give back the rest, close everything."""
        self._worker.stop(timeout=STOP_WITHIN_MS)
        self._broker.close()


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
    """Builds and closes the house on the loop that carries, and watches the rules' files there.

    Must be added after AsyncIO: dramatiq calls the ends in reverse order, so the loop is still alive then."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._stop = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.failure: Exception | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        try:
            _on_loop(self._begin())
        except Exception as error:  # dramatiq would only log it: `CarryingWorker.start` raises it
            self.failure = error

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        _on_loop(self._end())

    async def _begin(self) -> None:
        self._house.start()
        assert self._house.rules is not None
        self._watching = asyncio.create_task(self._house.rules.watch(self._stop))

    async def _end(self) -> None:
        self._stop.set()
        if self._watching is not None:
            self._watching.cancel()
        await self._house.close()


def _on_loop(work: Coroutine[Any, Any, None]) -> None:
    thread = get_event_loop_thread()
    assert thread is not None  # AsyncIO was added first
    thread.run_coroutine(work)
