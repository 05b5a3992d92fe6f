"""The actors, thin: a hint comes in, one message is carried. And the sweep, which gives the hints again.

A worker process has one event loop (dramatiq's AsyncIO middleware); every message that it carries runs there, up to
`working.threads` at once. Hints may be lost, doubled or late: the spool knows what is due (docs/states.md). Actors
have no retries of their own: retry times live in the spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import dramatiq
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.middleware import AsyncIO, Middleware
from dramatiq.middleware.current_message import CurrentMessage

from hub import trip
from hub.errors import HubError
from hub.settings import Settings
from hub.wiring import House, open_house
from hub.worker.broker import enqueue_together, make_broker

log = logging.getLogger("hub.worker")

CARRY = "carry"
TIME_LIMIT_MS = 3_600_000  # a carry has its own deadlines everywhere; this only ends what no deadline of ours saw


class Hints:
    """Sends hints: what a door, the sweep and a human's release do after the spool has committed."""

    def __init__(self, house: House) -> None:
        self.broker = make_broker(house.settings.broker_url, house.database)
        self.broker.declare_queue("default")

    def send(self, *message_ids: str) -> None:
        """A lost hint costs a sweep, never a message: failures are logged, not raised."""
        hints: list[dramatiq.Message[Any]] = [
            dramatiq.Message(queue_name="default", actor_name=CARRY, args=(message_id,), kwargs={}, options={})
            for message_id in message_ids
        ]
        try:
            enqueue_together(self.broker, hints)
        except (HubError, dramatiq.errors.BrokerError) as error:
            why = error.private if isinstance(error, HubError) else type(error).__name__
            log.warning("message(s) %s: no hint sent (%s); the sweep will", " ".join(message_ids), why)

    async def sweep(self, house: House) -> int:
        """Send a hint for everything that is due; how many there were."""
        due = await house.spool.due()
        if due:
            await asyncio.to_thread(self.send, *due)
        return len(due)


class CarryingWorker:
    """One worker process's house, broker and actors. `start` begins to carry, `stop` ends after what is in hand."""

    def __init__(self, settings: Settings) -> None:
        self._house = house = open_house(settings, migrated=False)
        broker = make_broker(settings.broker_url, house.database)
        self._on_loop = _HouseOnTheLoop(house)
        for middleware in (AsyncIO(), CurrentMessage(), self._on_loop):
            broker.add_middleware(middleware)

        async def carry(message_id: str) -> None:
            await trip.carry(message_id, house.start())

        dramatiq.actor(
            carry, actor_name=CARRY, broker=broker, queue_name="default", max_retries=0, time_limit=TIME_LIMIT_MS
        )
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
        self._worker.stop(timeout=60_000)
        self._broker.close()


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
