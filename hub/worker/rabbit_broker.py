"""RabbitMQ: dramatiq's broker, with deadlines everywhere and without the queues that hints never need.

One durable queue a site, persistent hints, each confirmed by the server (`confirm_delivery`). A worker that dies gives
its hints back as its connection closes. No delay queue, since the spool is the only clock, and no dead letters: each
would cost every worker process a second connection, or fill for ever.

Failures: what a library error means is told by `hub.worker.outage`; `enqueue_all`, `depth` and `check` raise Temporary.
A queue that somebody deleted is declared again. A publisher that RabbitMQ blocks (memory, disk) gives up after a while.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import dramatiq
import pika
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.errors import BrokerConnectionError
from pika.adapters.utils.connection_workflow import AMQPConnectorException
from pika.exceptions import AMQPError, ChannelClosedByBroker

from hub.errors import Temporary
from hub.worker.broker import Address
from hub.worker.outage import CLOSE_WITHIN, Broken, Outage, SteadyConsumer, reason_of, within

ANSWER_WITHIN = 5.0  # seconds: to connect, to say hello, to be unblocked
END_SEEN_WITHIN = 1_000  # milliseconds: nothing but its own clock wakes a consumer that shall end
HEARTBEAT = 20  # seconds: a peer that vanished without a word is noticed within two of them

# The library asserts where a connection was lost under its feet; a hello that is not answered has a tree of its own.
BROKEN: Broken = (AMQPError, AMQPConnectorException, OSError, AssertionError)

# It tells each failure several times, with tracebacks; what fails is told once, by us.
logging.getLogger("pika").setLevel(logging.CRITICAL)


class RabbitBroker(RabbitmqBroker):  # type: ignore[misc]
    def __init__(self, address: Address, middleware: list[dramatiq.Middleware]) -> None:
        chosen: dict[str, Any] = {"port": address.port} if address.port else {}
        if address.tls is not None:
            chosen["ssl_options"] = pika.SSLOptions(address.tls, address.host)
        if address.user is not None:
            chosen["credentials"] = pika.PlainCredentials(address.user, address.password or "")
        super().__init__(
            confirm_delivery=True,
            middleware=middleware,
            host=address.host,
            virtual_host=address.place or "/",
            heartbeat=HEARTBEAT,
            socket_timeout=ANSWER_WITHIN,
            stack_timeout=2 * ANSWER_WITHIN,
            blocked_connection_timeout=ANSWER_WITHIN,
            connection_attempts=1,
            **chosen,
        )
        self._outage = Outage("broker")

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.queues_pending.add(queue_name)
            self.emit_after("declare_queue", queue_name)
        if ensure:
            self._ensure_queue(queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        def make() -> _RabbitmqConsumer:
            try:
                self.declare_queue(queue_name, ensure=True)
            finally:
                del self.connection  # the consumer has its own; nobody would answer the heartbeats of this one
            return _Consumer(self, queue_name, prefetch, min(timeout, END_SEEN_WITHIN))

        return SteadyConsumer(make, BROKEN, self._outage)

    def enqueue_all(self, messages: Sequence[dramatiq.Message[Any]]) -> None:
        """Each is on the server's disk when this returns. Raises Temporary: some of them may be."""
        try:
            for message in messages:
                self.enqueue(message)
        except (*BROKEN, BrokerConnectionError) as error:
            raise Temporary(reason_of(error)) from None

    def depth(self, queue_name: str) -> int:
        for is_last in (False, True):
            try:
                return int(self.channel.queue_declare(queue_name, passive=True).method.message_count)
            except ChannelClosedByBroker as error:
                del self.channel
                if error.reply_code != 404:
                    raise Temporary(reason_of(error)) from None
                self.queues_pending.add(queue_name)  # deleted: the next hint declares it again
                return 0
            except BROKEN as error:  # the server closed a connection that was silent for long: once more
                del self.connection
                if is_last:
                    raise Temporary(reason_of(error)) from None
        raise AssertionError("not reached")

    def check(self) -> None:
        try:
            assert self.channel.is_open
        except BROKEN as error:
            raise Temporary(reason_of(error)) from None

    def close(self) -> None:
        within(CLOSE_WITHIN, super().close)

    def _build_queue_arguments(self, _queue_name: str) -> dict[str, Any]:
        return {}

    def _declare_dq_queue(self, queue_name: str) -> None:
        """No delay queue."""

    def _declare_xq_queue(self, queue_name: str) -> None:
        """No dead letters."""


class _Consumer(_RabbitmqConsumer):  # type: ignore[misc]
    """Settles only what it handed out itself: delivery tags begin at 1 again on each connection, and a hint of a lost
    connection, which RabbitMQ has given back already, would settle another one."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._handed_out: set[str] = set()

    def __next__(self) -> Any:
        message = super().__next__()
        if message is not None:
            self._handed_out.add(message.message_id)
        return message

    def ack(self, message: Any) -> None:
        if message.message_id in self._handed_out:
            self._handed_out.discard(message.message_id)
            super().ack(message)
