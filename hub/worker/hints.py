"""Hints to the workers: "carry these messages". Sent once the spool has committed; the sweep sends again what was lost.

A few messages are a hint each, so that all workers share them; many go in parcels, which cost a worker less. Nobody
waits for the broker: a thread of ours sends, all that gathered while it sent before in one go. A hint that cannot be
sent is forgotten, told once in the log, and costs a sweep: the spool knows what is due (docs/states.md).

The sweep keeps the queue from running dry rather than saying everything again: RabbitMQ and Redis keep each copy of a
hint, so that ten thousand messages that wait their turn would become ten thousand more at each sweep. Only when few
hints are left in the queue it adds the messages that are due longest; while there are more of them it looks again
within a second. So workers whose broker was flushed are busy again after one sweep, with whatever number is due.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import dramatiq

from hub.errors import HubError
from hub.wiring import House
from hub.worker.broker import HintBroker, make_broker, queue_of
from hub.worker.outage import Outage, within

CARRY = "carry"  # the actor

WAITING_MOST = 10_000  # ids; more are left to the sweep
PAGE = 500  # messages that one sweep hints
FEW = 100  # messages in the queue, were every hint a whole parcel, under which it does; over it there is enough to do
PARCEL = 8  # messages in one hint, at most
SHARES = 8  # parcels that messages which come together make, at least: one for each worker of a large site
ANSWER_WITHIN = 15.0  # seconds: longer than the deadlines of a broker's library together
CLOSE_WITHIN = 5.0

log = logging.getLogger("hub.worker")


class Hints:
    """What a door, the sweep and a human's release send. Any thread. `close` it, or it ends with the process."""

    def __init__(self, house: House) -> None:
        self._queue = queue_of(house.keys)
        self._broker: HintBroker = make_broker(house.settings, house.database)
        self._broker.declare_queue(self._queue)
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._asked: list[Future[int]] = []
        self._is_closing = False
        self._outage = Outage("hints to the workers (the sweep will give them)")
        # Its connection, too, belongs to this thread: that is what the libraries ask for.
        self._thread = threading.Thread(target=self._send_on, name="hub-hints", daemon=True)
        self._thread.start()

    def send(self, *message_ids: str) -> None:
        """Returns at once and raises nothing: a lost hint costs a sweep, never a message."""
        with self._changed:
            self._waiting += message_ids[: WAITING_MOST - len(self._waiting)]
            self._changed.notify()

    async def sweep(self, house: House) -> bool:
        """Hint what is due, if the queue holds few hints. Whether to look again soon: more is due, or may be.
        Raises Temporary (database away)."""
        depth = await self._depth()
        if depth is None:  # nothing could be sent now
            return False
        if depth * PARCEL >= FEW:
            return True
        due = await house.spool.due(PAGE)
        self.send(*due)
        return len(due) >= FEW  # not only for a full page: dead leases take places in it

    def close(self) -> None:
        """Send what waits, as far as it can be sent quickly, and close the connection."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(CLOSE_WITHIN)
        within(CLOSE_WITHIN, self._broker.close)

    async def _depth(self) -> int | None:
        """How many hints wait in the broker; None when it does not answer."""
        answer: Future[int] = Future()
        with self._changed:
            self._asked.append(answer)
            self._changed.notify()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), ANSWER_WITHIN)
        except TimeoutError:
            self._outage.began("no answer")
        except HubError:  # told by the thread
            pass
        return None

    def _send_on(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._asked or self._is_closing):
                    self._changed.wait()
                message_ids, self._waiting = self._waiting, []
                asked, self._asked = self._asked, []
                if not message_ids and not asked:
                    return
            self._send_now(message_ids)
            for answer in asked:
                self._answer(answer)

    def _send_now(self, message_ids: list[str]) -> None:
        if not message_ids:
            return
        try:
            self._broker.enqueue_all([self._hint(parcel) for parcel in parcels(message_ids)])
        except HubError as error:
            self._outage.began(error.private)
        except Exception as error:  # our fault: the next hint must still have its thread
            self._outage.began(type(error).__name__)
        else:
            self._outage.ended()

    def _answer(self, answer: Future[int]) -> None:
        if not answer.set_running_or_notify_cancel():  # whoever asked waits no more
            return
        try:
            depth = self._broker.depth(self._queue)
        except HubError as error:
            self._outage.began(error.private)
            answer.set_exception(error)
        except Exception as error:
            self._outage.began(type(error).__name__)
            answer.set_exception(HubError(type(error).__name__))
        else:
            self._outage.ended()
            answer.set_result(depth)

    def _hint(self, parcel: tuple[str, ...]) -> dramatiq.Message[None]:
        return dramatiq.Message(queue_name=self._queue, actor_name=CARRY, args=parcel, kwargs={}, options={})


def parcels(message_ids: Sequence[str]) -> list[tuple[str, ...]]:
    """The messages of each hint, in order."""
    size = min(PARCEL, max(1, len(message_ids) // SHARES))
    return [tuple(message_ids[at : at + size]) for at in range(0, len(message_ids), size)]
