"""The broker of a site: what carries hints (the ids of messages to carry) from doors and sweep to the workers.

`broker_url` names it: the embedded one (a table of the hub's own database), RabbitMQ or Redis, each with its file and
all with the same contract (tests/edges/broker_contract.py). The spool is the truth: a broker may lose, double or delay
every hint, be flushed, restarted, or be away for hours. RabbitMQ and Redis are imported only where they are used.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import dramatiq

from hub.database import Database
from hub.errors import Misconfigured
from hub.settings import Settings
from hub.trust.keys import KeyRing
from hub.wiring import password_of
from hub.worker.sql_broker import SqlBroker

Middlewares = Sequence[dramatiq.Middleware]


class HintBroker(Protocol):
    """A `dramatiq.Broker`, with what the hub needs beside. Each call is bounded in time and raises Temporary when the
    broker is away."""

    def enqueue_all(self, messages: Sequence[dramatiq.Message[Any]]) -> None: ...

    def depth(self, queue_name: str) -> int:
        """How many hints wait that no worker has taken yet (a bounded count will do)."""
        ...

    def check(self) -> None:
        """It can be reached and lets us in."""
        ...

    def declare_queue(self, queue_name: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker is, and who we are there."""

    host: str
    port: int | None
    user: str | None
    password: str | None = field(repr=False)
    place: str  # RabbitMQ: the virtual host; Redis: the number of the database; "" for the usual one
    tls: ssl.SSLContext | None
    ca_file: Path | None


def make_broker(settings: Settings, database: Database, middleware: Middlewares = ()) -> Any:
    """The broker (dramatiq's and ours, `HintBroker`) that the settings name, with this middleware only; it connects at
    its first use. Raises Misconfigured (a password file that cannot be read, a library that is not installed)."""
    return _BROKERS[urlsplit(settings.broker_url).scheme](settings, database, list(middleware))


def queue_of(keys: KeyRing) -> str:
    """The queue of this site's hints. All hosts of a site share its key file, and no other site does: two sites on one
    RabbitMQ or Redis never take each other's hints, whatever their settings."""
    return f"hub-{keys.oldest_id}"


def _embedded(_settings: Settings, database: Database, middleware: list[dramatiq.Middleware]) -> SqlBroker:
    return SqlBroker(database, middleware=middleware)


def _rabbitmq(settings: Settings, _database: Database, middleware: list[dramatiq.Middleware]) -> dramatiq.Broker:
    try:
        from hub.worker.rabbit_broker import RabbitBroker
    except ModuleNotFoundError:
        raise _not_installed("RabbitMQ", "rabbitmq") from None
    return RabbitBroker(_address(settings), middleware)


def _redis(settings: Settings, _database: Database, middleware: list[dramatiq.Middleware]) -> dramatiq.Broker:
    try:
        from hub.worker.redis_broker import HintRedisBroker
    except ModuleNotFoundError:
        raise _not_installed("Redis", "redis") from None
    return HintRedisBroker(_address(settings), middleware)


# Scheme of `broker_url` (hub.settings knows the same ones) -> how its broker is built.
_BROKERS: dict[str, Callable[[Settings, Database, list[dramatiq.Middleware]], dramatiq.Broker]] = {
    "sql": _embedded,
    "amqp": _rabbitmq,
    "amqps": _rabbitmq,
    "redis": _redis,
    "rediss": _redis,
}


def _not_installed(what: str, extra: str) -> Misconfigured:
    return Misconfigured(
        f"broker_url: {what} needs a library that is not installed: pip install 'hub[{extra}]'",
        f"Le réglage broker_url demande une bibliothèque absente : pip install 'hub[{extra}]'.",
    )


def _address(settings: Settings) -> Address:
    url = urlsplit(settings.broker_url)
    assert url.hostname  # hub.settings refuses a URL without one
    return Address(
        host=url.hostname,
        port=url.port,
        user=unquote(url.username) if url.username else None,
        password=password_of(settings.broker_password_file) or None,
        place=unquote(url.path.removeprefix("/")),
        tls=_tls(settings) if url.scheme in ("amqps", "rediss") else None,
        ca_file=settings.broker_ca_file,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Certificate and host name are always checked."""
    try:
        return ssl.create_default_context(cafile=settings.broker_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Misconfigured(
            f"broker_ca_file: {settings.broker_ca_file} cannot be read: {error.strerror or 'no certificate in it'}"
        ) from None
