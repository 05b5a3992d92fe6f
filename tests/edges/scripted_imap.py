"""A fake IMAP server that says what a test tells it to, in clear or over TLS, for hostile and broken answers.

    async with scripted(script) as server:   # script: async (Peer) -> None, run once a connection
        … connect to server.port …

`Peer.expect` reads one line and checks its words; `server.heard` are all lines that clients sent in clear or sealed.
When a script ends, its connection is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.pki import Leaf


@dataclass
class Peer:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    heard: list[str]
    number: int  # of the connection, from 1
    tag: str = ""
    line: str = ""

    async def expect(self, pattern: str) -> str:
        """Read a line; the part after the tag must match. Its tag is then `tag`, the line `line`."""
        raw = await self.reader.readline()
        if not raw:
            raise ConnectionResetError("the client left")
        self.line = raw.decode().rstrip("\r\n")
        self.heard.append(self.line)
        self.tag, _, rest = self.line.partition(" ")
        assert re.match(pattern, rest or self.line, re.IGNORECASE), f"heard {self.line!r}, expected {pattern!r}"
        return rest

    def say(self, raw: str | bytes) -> None:
        """Untagged answers and others; the line end is added to text, not to bytes."""
        self.writer.write(raw if isinstance(raw, bytes) else raw.encode() + b"\r\n")

    async def ok(self, text: str = "done") -> None:
        self.say(f"{self.tag} OK {text}")
        await self.writer.drain()

    async def no(self, text: str) -> None:
        self.say(f"{self.tag} NO {text}")
        await self.writer.drain()

    async def select(self, exists: int = 0, uidvalidity: int = 7, uidnext: int = 1, flags: str = r"\*") -> None:
        """Answer one SELECT."""
        await self.expect("SELECT")
        self.say(f"* {exists} EXISTS")
        self.say(f"* OK [UIDVALIDITY {uidvalidity}] valid")
        self.say(f"* OK [UIDNEXT {uidnext}] next")
        self.say(f"* OK [PERMANENTFLAGS (\\Seen {flags})] kept")
        await self.ok("[READ-WRITE] selected")

    async def capability(self, words: str) -> None:
        await self.expect("CAPABILITY")
        self.say(f"* CAPABILITY IMAP4rev1 {words}")
        await self.ok()

    async def log_in(self, words: str = "IDLE UIDPLUS MOVE SASL-IR AUTH=PLAIN") -> None:
        """Greeting, capabilities, authentication."""
        self.say("* OK ready")
        await self.capability(words)
        await self.expect("AUTHENTICATE|LOGIN")
        await self.ok()
        await self.capability(words)

    async def silence(self) -> None:
        """Read on, say nothing, until the client leaves."""
        while raw := await self.reader.readline():
            self.heard.append(raw.decode().rstrip("\r\n"))

    def reset(self) -> None:
        """RST instead of FIN."""
        self.writer.transport.abort()


@dataclass
class Scripted:
    port: int = 0
    heard: list[str] = field(default_factory=list)
    connections: int = 0
    failures: list[Exception] = field(default_factory=list)


def server_context(leaf: Leaf) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(leaf.certificate, leaf.key)
    return context


@asynccontextmanager
async def scripted(
    script: Callable[[Peer], Awaitable[None]], context: ssl.SSLContext | None = None
) -> AsyncIterator[Scripted]:
    """The server; a script that failed makes the test fail at the end."""
    server = Scripted()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        try:
            await script(Peer(reader, writer, server.heard, server.connections))
        except (OSError, asyncio.CancelledError):
            pass
        except Exception as error:
            server.failures.append(error)
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, limit=2**20)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if server.failures:
        raise server.failures[0]
