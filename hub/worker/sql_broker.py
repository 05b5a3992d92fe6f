"""The embedded broker: dramatiq's queue as a table of the hub's own database (libs.md §4).

In: hints (an actor and an id). Out: the same hints, each to one worker of several processes and hosts. The spool is the
truth (house.md, States): a hint may be lost, doubled or late, so that acknowledgements are written in batches and a
rejected hint is removed. A message that kills its worker is counted by the spool's leases, not here.

Failures: a worker that dies leaves its rows leased, the next one takes them when the lease ends. A lost database makes
`enqueue` raise Temporary, and the consumers start again by themselves.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import uuid4

import dramatiq
from dramatiq.errors import ConnectionFailed, DecodeError, QueueJoinTimeout, QueueNotFound

from hub.database import Database
from hub.errors import Temporary
from hub.worker.outage import Outage, SteadyConsumer
from hub.worker.queue_rows import Claimed, NewRow, QueueRows

Millis = int

LEASE = 30.0  # seconds; renewed every third of it, so that two renewals may fail
# Seconds between two looks at an empty queue, doubled from one to the other: for leases that end and rings unheard.
IDLE_FIRST, IDLE_MOST = 0.05, 6.0
# Seconds that a done hint may keep its row, so that it goes with the next claim, and not in a transaction of its own
# that the message just begun would wait for.
SETTLE_WITHIN = 0.25
ENDING_LOOK = 0.05  # seconds: how soon a consumer sees that it shall end, once the worker is ending
JOIN_LOOK = 0.01
DEPTH_MOST = 1_000  # whoever asks wants to know whether there is enough to do


class _Line:
    """One queue as this process sees it: rows claimed and not yet handed out, rows at work, rows done.

    Shared by the queue's consumer thread, the worker threads that settle, and whoever enqueues here. It belongs to the
    broker and not to a consumer: dramatiq replaces a failed consumer while its messages are still at work."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.waiting: deque[Claimed] = deque()
        self.at_work: set[str] = set()
        self.done: set[str] = set()
        self.settle_by = float("inf")  # monotonic
        self.next_look = 0.0  # monotonic
        self.idle = IDLE_FIRST
        self.is_ending = False  # of the worker: whoever waits here returns soon
        self.is_flowing = False  # the last claim got all that it asked for: more is likely due, no look is needed
        self.renewed = 0.0  # monotonic: since then every lease of ours has been renewed or begun

    def held(self) -> list[str]:
        return [*(row.id for row in self.waiting), *self.at_work]

    def look_at(self, moment: float) -> None:
        with self.changed:
            self.idle = IDLE_FIRST
            self.next_look = min(self.next_look, moment)
            self.changed.notify_all()

    def ends(self, is_ending: bool) -> None:
        with self.changed:
            self.is_ending = is_ending
            self.changed.notify_all()


class SqlBroker(dramatiq.Broker):  # type: ignore[misc]
    """`lease` in seconds: how long a dead worker's hints stay away. One broker a process, built after any fork."""

    def __init__(
        self, database: Database, *, lease: float = LEASE, middleware: list[dramatiq.Middleware] | None = None
    ) -> None:
        super().__init__(middleware=middleware)
        self.add_middleware(_WokenAtTheEnd())
        self.queues: dict[str, _Line] = {}
        self.lease = lease
        self._listens = threading.Lock()
        self._outage = Outage("broker")
        self.rows = QueueRows(database, f"{socket.gethostname()[:24]}:{os.getpid()}:{uuid4().hex[:12]}", lease)

    def close(self) -> None:
        self.rows.close()

    def declare_queue(self, queue_name: str) -> None:
        # No delay queues: a delayed hint waits in its row, not in a worker's memory.
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = _Line()
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: Millis = 30_000) -> dramatiq.Consumer:
        seconds = timeout / 1_000
        consumer = SteadyConsumer(lambda: _SqlConsumer(self, queue_name, prefetch, seconds), (), self._outage)
        if self._listens.acquire(blocking=False):  # the first one; never given back
            self.rows.listen(self._look)
        return consumer

    def enqueue(self, message: dramatiq.Message[Any], *, delay: Millis | None = None) -> dramatiq.Message[Any]:
        """One row for all equal hints that wait, due at the earliest of their times. Raises Temporary."""
        self.enqueue_all([message], delay=delay)
        return message

    def enqueue_all(self, messages: Sequence[dramatiq.Message[Any]], *, delay: Millis | None = None) -> None:
        """`enqueue` for each, in one transaction. Raises Temporary."""
        lines = {self.line(message.queue_name) for message in messages}
        for message in messages:
            self.emit_before("enqueue", message, delay)
        seconds = (delay or 0) / 1_000
        eta = time.time() + seconds
        self.rows.add(NewRow(_hint_of(one), one.queue_name, eta, one.encode()) for one in messages)
        for line in lines:
            line.look_at(time.monotonic() + seconds)
        for message in messages:
            self.emit_after("enqueue", message, delay)

    def depth(self, queue_name: str) -> int:
        """How many hints wait, up to `DEPTH_MOST`. Raises Temporary."""
        return self.rows.depth(queue_name, DEPTH_MOST)

    def check(self) -> None:
        self.rows.depth("", 1)

    def flush(self, queue_name: str) -> None:
        """Drop the queue's hints, those in this process' memory too, except what is at work."""
        line = self.line(queue_name)
        with line.changed:
            line.waiting.clear()
        self.rows.flush(queue_name)

    def flush_all(self) -> None:
        for queue_name in self.queues:
            self.flush(queue_name)

    def join(self, queue_name: str, *, timeout: Millis | None = None) -> None:
        """Wait until the queue has no row, delayed and leased ones included (for tests). Raises QueueJoinTimeout."""
        self.line(queue_name)
        until = time.monotonic() + timeout / 1_000 if timeout else None
        while not self.rows.is_empty(queue_name):
            if until is not None and time.monotonic() > until:
                raise QueueJoinTimeout(queue_name)
            time.sleep(JOIN_LOOK)

    def _look(self) -> None:
        for line in list(self.queues.values()):
            line.look_at(time.monotonic())

    def line(self, queue_name: str) -> _Line:
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
        return self.queues[queue_name]


class _WokenAtTheEnd(dramatiq.Middleware):  # type: ignore[misc]
    """Consumers sleep until their next look: dramatiq's end wakes them."""

    def before_worker_boot(self, broker: SqlBroker, worker: dramatiq.Worker) -> None:
        for line in broker.queues.values():
            line.ends(False)

    def before_worker_shutdown(self, broker: SqlBroker, worker: dramatiq.Worker) -> None:
        for line in broker.queues.values():
            line.ends(True)


class _Hint(dramatiq.MessageProxy):  # type: ignore[misc]
    """A message with the id of its row."""

    def __init__(self, row_id: str, message: dramatiq.Message[Any]) -> None:
        super().__init__(message)
        self.row_id = row_id


class _SqlConsumer(dramatiq.Consumer):  # type: ignore[misc]
    """Hands out claimed rows, at most `prefetch` at once. All its database work is done in the consumer's thread;
    worker threads only note what is done."""

    def __init__(self, broker: SqlBroker, queue_name: str, prefetch: int, timeout: float) -> None:
        self._broker = broker
        self._rows = broker.rows
        self._queue_name = queue_name
        self._line = broker.line(queue_name)
        self._prefetch = prefetch
        self._timeout = timeout
        self._patience = 0.0  # the first time: whoever waits for the database hears at once that it is back

    def __next__(self) -> _Hint | None:
        until = time.monotonic() + (min(ENDING_LOOK, self._timeout) if self._line.is_ending else self._patience)
        self._patience = self._timeout
        while True:
            self._catch_up()
            row = self._take_or_wait(until)
            if row is not None:
                try:
                    return _Hint(row.id, dramatiq.Message.decode(row.body))
                except DecodeError:  # written by another version of the hub: the sweep says it again
                    self._broker.logger.warning("a hint on queue %r cannot be read: removed", self._queue_name)
                    self._note_done(row.id)
            elif self._line.is_ending or time.monotonic() >= until:
                return None

    def ack(self, message: _Hint) -> None:
        """Noted; the row goes with the next transaction. A crash before it means a second, harmless, run."""
        self._note_done(message.row_id)

    def nack(self, message: _Hint) -> None:
        """Removed like a done one: what is left to do stands in the spool, and the sweep says it again."""
        self._note_done(message.row_id)

    def requeue(self, messages: Iterable[_Hint]) -> None:
        self._give_back([message.row_id for message in messages])

    def close(self) -> None:
        """Settle what is done and free what was not handed out; what is at work keeps its lease."""
        self._give_back([row.id for row in self._line.waiting])

    def _note_done(self, row_id: str) -> None:
        with self._line.changed:
            self._line.at_work.discard(row_id)
            if not self._line.done:
                self._line.settle_by = time.monotonic() + SETTLE_WITHIN
            self._line.done.add(row_id)
            self._line.changed.notify_all()

    def _give_back(self, ids: list[str]) -> None:
        line = self._line
        if line.done:
            self._turn(room=0, renew=False)
        if ids:
            try:
                self._rows.give_back(ids)
            except Temporary as error:
                raise ConnectionFailed(error.private) from None
            with line.changed:
                line.waiting = deque(row for row in line.waiting if row.id not in ids)
                line.at_work.difference_update(ids)

    def _take_or_wait(self, until: float) -> Claimed | None:
        """A claimed row; without one, None after a change, a deed's moment, or `until`."""
        line = self._line
        with line.changed:
            if line.waiting:
                row = line.waiting.popleft()
                line.at_work.add(row.id)
                return row
            pause = min(until, self._next_deed()) - time.monotonic()
            if pause > 0:
                line.changed.wait(pause)
        return None

    def _catch_up(self) -> None:
        """One transaction when there is something to settle, to renew or to claim, after a look for the latter."""
        line = self._line
        with line.changed:
            now = time.monotonic()
            room = 0 if line.waiting else self._room()
            renew = bool(line.held()) and now >= self._renewal()
            settle = bool(line.done) and room > 0 and now >= line.settle_by
            look = room > 0 and now >= line.next_look
            is_flowing = line.is_flowing
            if look:
                line.next_look = float("inf")  # whoever enqueues during the look makes it earlier: nothing is missed
        if look and is_flowing:
            line.look_at(now)
        elif look and not self._is_something_due(now):
            room = 0
        if settle or renew or (look and room > 0):
            self._turn(room, renew)

    def _is_something_due(self, now: float) -> bool:
        line = self._line
        try:
            due_in = self._rows.next_due(self._queue_name)
        except Temporary as error:
            line.look_at(now)
            raise ConnectionFailed(error.private) from None
        if due_in is not None and due_in <= 0:
            line.look_at(now)
            return True
        with line.changed:
            pause = min(line.idle, IDLE_MOST if due_in is None else due_in)
            line.next_look = min(line.next_look, now + pause)
            line.idle = min(line.idle * 2, IDLE_MOST)
            return False

    def _turn(self, room: int, renew: bool) -> None:
        line = self._line
        with line.changed:
            done = set(line.done)
            held = line.held() if renew else []
        began = time.monotonic()
        try:
            claimed = self._rows.turn(self._queue_name, done, held, room)
        except Temporary as error:
            raise ConnectionFailed(error.private) from None
        with line.changed:
            line.done -= done
            line.is_flowing = len(claimed) == room > 0
            if renew or not line.held():
                line.renewed = began
            line.waiting.extend(claimed)

    def _room(self) -> int:
        """How many rows to claim: none before half of the places are free, so that one transaction serves several
        hints. The other half is more than what the worker threads have in hand (dramatiq prefetches twice as many)."""
        room = self._prefetch - len(self._line.held())
        return room if room * 2 >= self._prefetch else 0

    def _renewal(self) -> float:
        return self._line.renewed + self._broker.lease / 3

    def _next_deed(self) -> float:
        """When this thread must renew or look again, if nobody wakes it."""
        line = self._line
        moments = [self._renewal()] if line.held() else []
        if self._room():
            moments += [line.next_look, line.settle_by] if line.done else [line.next_look]
        return min(moments, default=float("inf"))


def _hint_of(message: dramatiq.Message[Any]) -> str:
    """The row id of a message that waits: the same for equal hints."""
    said = (message.queue_name, message.actor_name, message.args, message.kwargs, message.options)
    return hashlib.sha256(dramatiq.get_encoder().encode({"hint": said})).hexdigest()[:32]
