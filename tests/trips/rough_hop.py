"""A next hop that does what a test wants at each stage of the dialogue, in a thread of its own; it wants a client
certificate, as an operator does. See `tests/edges/scripted_smtp.py` for scripts and stages.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage

from tests.edges.scripted_smtp import Script, ScriptedServer, scripted_smtp
from tests.pki import Authority
from tests.trips.office import parsed


@dataclass
class RoughHop:
    server: ScriptedServer
    _loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        return self.server.port

    def follow(self, script: Script) -> None:
        """From now on, on connections that are open too."""

        def turn() -> None:
            self.server.script = script
            self.server.turn_bad(script)

        self._loop.call_soon_threadsafe(turn)

    def taken(self, recipient: str = "") -> list[EmailMessage]:
        """The mails whose final dot came, for this recipient."""
        both = zip(self.server.recipients, self.server.mails, strict=False)
        return [parsed(_undotted(raw)) for to, raw in both if recipient in (*to, "")]

    def copies(self) -> Counter[tuple[str, str, bytes]]:
        """How often each was taken: (recipient, Message-ID, all its bytes)."""
        both = zip(self.server.recipients, self.server.mails, strict=False)
        return Counter((to[0], str(parsed(raw)["Message-ID"]), raw) for to, raw in both)


def _undotted(raw: bytes) -> bytes:
    return raw.replace(b"\r\n..", b"\r\n.")


@contextmanager
def running_rough_hop(authority: Authority) -> Iterator[RoughHop]:
    """Well-behaved until it is told otherwise."""
    leaf = authority.issue("rough-hop", "localhost", "127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_file))
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.verify_mode = ssl.CERT_REQUIRED
    ready, stop = threading.Event(), asyncio.Event()
    made: list[RoughHop] = []

    async def serve() -> None:
        async with scripted_smtp(context, Script()) as server:
            made.append(RoughHop(server, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield made[0]
    finally:
        made[0]._loop.call_soon_threadsafe(stop.set)
        thread.join(10)
