"""Redis: dramatiq's broker, with deadlines, and with values that bring a dead worker's hints back within seconds.

dramatiq notices a dead worker 60 s after its last heartbeat, and then only in one command of a thousand: measured, its
hints were not back after five minutes. Here: five seconds, one command in five (libs.md §4). No delay queue, since the
spool is the only clock.

Failures: what a library error means is told by `hub.worker.outage`; `enqueue_all`, `depth` and `check` raise Temporary.
Redis is asked for hints at least every `ASK_EVERY` seconds, so that is how late an idle worker is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hub.errors import Temporary
from hub.worker.broker import Address
from hub.worker.outage import Broken, Outage, SteadyConsumer, reason_of

NAMESPACE = "hub"
HEARTBEAT_TIMEOUT = 5_000  # milliseconds
MAINTENANCE_CHANCE = 200_000  # of a million
ANSWER_WITHIN = 5.0  # seconds: to connect, to answer a command
ASK_EVERY = 0.25  # seconds

BROKEN: Broken = (RedisError, OSError)


class HintRedisBroker(RedisBroker):  # type: ignore[misc]
    def __init__(self, address: Address, middleware: list[dramatiq.Middleware]) -> None:
        super().__init__(
            client=_client(address),
            middleware=middleware,
            namespace=NAMESPACE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            maintenance_chance=MAINTENANCE_CHANCE,
        )
        self._outage = Outage("broker")

    def declare_queue(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues.add(queue_name)
            self.emit_after("declare_queue", queue_name)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> dramatiq.Consumer:
        ask_every = min(timeout, int(ASK_EVERY * 1000))
        return SteadyConsumer(lambda: _Consumer(self, queue_name, prefetch, ask_every), BROKEN, self._outage)

    def enqueue_all(self, messages: Sequence[dramatiq.Message[Any]]) -> None:
        """Raises Temporary: some of them may be there."""
        try:
            for message in messages:
                self.enqueue(message)
        except BROKEN as error:
            raise Temporary(reason_of(error)) from None

    def depth(self, queue_name: str) -> int:
        try:
            return int(self.client.llen(f"{self.namespace}:{queue_name}"))
        except BROKEN as error:
            raise Temporary(reason_of(error)) from None

    def check(self) -> None:
        try:
            self.client.ping()
        except BROKEN as error:
            raise Temporary(reason_of(error)) from None

    def close(self) -> None:
        self.client.close()


class _Consumer(_RedisConsumer):  # type: ignore[misc]
    def __next__(self) -> Any:
        if not self.message_cache and self.outstanding_message_count >= self.prefetch:
            # Every place is taken, so dramatiq asks for nothing: but a worker that says nothing is a dead one, and its
            # hints would be given to another while it works.
            self.broker.do_fetch(self.queue_name, 0)
        return super().__next__()


def _client(address: Address) -> redis.Redis:
    return redis.Redis(
        host=address.host,
        port=address.port or 6379,
        db=int(address.place or 0),
        username=address.user,
        password=address.password,
        socket_connect_timeout=ANSWER_WITHIN,
        socket_timeout=ANSWER_WITHIN,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that the server closed meanwhile
        ssl=address.tls is not None,  # it makes a context of its own, as strict as ours
        ssl_ca_certs=str(address.ca_file) if address.ca_file else None,
    )
