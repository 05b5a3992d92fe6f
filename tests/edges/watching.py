"""A watcher under test: mails, quick settings, a mailbox at a private Dovecot. Import the fixtures `dovecot` and
`address`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from hub import settings
from hub.imap.progress import WatcherState
from hub.imap.reader import Watcher
from hub.ports import Intake
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.pki import Authority
from tests.ways import way_to

BOX = "asso"


@pytest.fixture(scope="module")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "certificate") as running:
        yield running


@pytest.fixture
def address(request: pytest.FixtureRequest, dovecot: Dovecot) -> str:
    """A mailbox of its own for each test."""
    return f"{abs(hash(request.node.name))}@asso.mssante.example"


def mail(number: int, size: int = 100, with_id: bool = True) -> bytes:
    head = f"Message-ID: <{number}@expediteur.example>\r\n" if with_id else ""
    return f"{head}Subject: Bilan\r\n\r\nCorps {number:06d}\r\n".encode().ljust(size, b".")


def watching(**more: object) -> settings.Watching:
    quick = {
        "idle_renewal": 5,
        "poll": 5,
        "command_timeout": 5,
        "connect_timeout": 5,
        "backoff_first": timedelta(milliseconds=20),
        "backoff_most": timedelta(milliseconds=100),
    }
    return settings.Watching.model_validate({**quick, **more})


@dataclass
class Watched:
    watcher: Watcher
    task: asyncio.Task[None]
    stop: asyncio.Event
    told: list[str] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain: {self.watcher.progress}"
            await asyncio.sleep(0.01)

    async def compared(self) -> None:
        """Until a look that began after now has ended."""
        before = self.watcher.progress.compared_at
        await self.until(lambda: self.watcher.progress.compared_at not in (None, before))


@asynccontextmanager
async def watched(
    mailbox: settings.Mailbox,
    operator: settings.Operator,
    context: ssl.SSLContext,
    intake: Intake,
    on_accepted: Callable[[str], Awaitable[None] | None] | None = None,
    **more: object,
) -> AsyncIterator[Watched]:
    told: list[str] = []
    watcher = Watcher(
        mailbox,
        operator,
        watching(**more),
        intake,
        way_to(operator.imap, lambda: context),
        on_accepted or told.append,
        lambda: datetime.now(UTC),
        lambda: 0.5,
    )
    stop = asyncio.Event()
    one = Watched(watcher, asyncio.create_task(watcher.run(stop)), stop, told)
    try:
        yield one
    finally:
        stop.set()
        started = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task
        assert time.monotonic() - started < 6
        assert watcher.progress.state is WatcherState.STOPPED


def mailbox_of(address: str, **more: object) -> settings.Mailbox:
    return settings.Mailbox.model_validate({"name": BOX, "address": address, "operator": "operateur", **more})


@asynccontextmanager
async def at_dovecot(
    dovecot: Dovecot,
    address: str,
    intake: Intake,
    box: dict[str, object] | None = None,
    port: int | None = None,
    on_accepted: Callable[[str], Awaitable[None] | None] | None = None,
    **more: object,
) -> AsyncIterator[Watched]:
    mailbox = mailbox_of(address, **(box or {}))
    operator = dovecot.operator(port=port)
    async with watched(mailbox, operator, dovecot.context(address), intake, on_accepted, **more) as one:
        yield one


def flags_of(dovecot: Dovecot, address: str) -> dict[bytes, bytes]:
    """What another client sees: the FETCH lines of all messages, by sequence number."""
    with dovecot.other_client(address) as client:
        client.select("INBOX", readonly=True)
        lines = client.fetch("1:*", "(UID FLAGS)")[1]
        return {line.split(b" ", 1)[0]: line for line in lines if isinstance(line, bytes)}
