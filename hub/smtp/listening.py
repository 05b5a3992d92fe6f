"""The submission door itself: its listeners, its certificate, and how it closes without losing a word.

`open` listens; `close` stops listening, says 421 to whoever is between two mails, lets those in the middle of one
finish for a while, and waits for every commit: a client has its 250, or an answer that makes it send again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from hub.errors import Misconfigured
from hub.smtp import lines
from hub.smtp.desk import SubmissionDesk
from hub.smtp.server import Conversation, Tls

log = logging.getLogger("hub.smtp")

BACKLOG = 128  # connections that the system keeps until they are taken
COMMIT_WITHIN = 60.0  # seconds; a database that is away has given up by then
LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Listener:
    host: str
    port: int
    tls: Tls


class SubmissionDoor:
    """`name` is said in greetings. Raises Misconfigured from `open` when an address cannot be listened on."""

    def __init__(
        self,
        desk: SubmissionDesk,
        listeners: Sequence[Listener],
        name: str,
        context: ssl.SSLContext | None,
        conversation: type[Conversation] = Conversation,
    ) -> None:
        self._desk = desk
        self._listeners = listeners
        self._name = name
        self._context = context
        self._conversation = conversation
        self._servers: list[asyncio.Server] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for one in self._listeners:
            make = partial(self._conversation, self._desk, self._name, one.tls, self._context)
            context = self._context if one.tls == "implicit" else None
            try:
                server = await loop.create_server(make, one.host, one.port, ssl=context, backlog=BACKLOG)
            except OSError as error:
                await self.close(timedelta(0))
                where = f"submission: {one.host} port {one.port}"
                raise Misconfigured(f"{where} cannot be listened on: {error.strerror}") from None
            self._servers.append(server)

    async def close(self, within: timedelta) -> None:
        """`within`: how long a mail that is being received may still take."""
        self._desk.is_closing = True
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        receiving_until = loop.time() + within.total_seconds()
        until = receiving_until + COMMIT_WITHIN
        while (self._desk.talks or self._desk.commits) and loop.time() < until:
            for one in tuple(self._desk.talks):
                if one.phase == "talking" or (one.phase == "receiving" and loop.time() >= receiving_until):
                    one.hang_up(lines.STOPPING)
            await asyncio.sleep(LOOK_EVERY)
        self._servers.clear()
