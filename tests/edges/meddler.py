"""A man in the middle of STARTTLS: a proxy that hears what is said in clear and changes what it likes.

    async with meddling(port, Meddling(down=lambda said: said.replace(b" STARTTLS", b""))) as man:   # on man.port

`down` changes what the server says in clear, `up` what the client says; `impostor` (a context of the server's side)
makes it take the client's TLS itself, with a certificate of its own, while it speaks TLS to the server as a client.
`man.clear` is what the client said in clear, `man.has_tls` whether a TLS handshake came. Works for SMTP and IMAP.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

TLS_RECORD = b"\x16\x03"  # how a ClientHello begins

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Meddling:
    down: Change = lambda said: said
    up: Change = lambda said: said
    impostor: ssl.SSLContext | None = None
    upstream: ssl.SSLContext | None = None  # how it trusts the server behind, for `impostor`


@dataclass
class Man:
    target: int
    meddling: Meddling
    port: int = 0
    clear: bytes = b""
    has_tls: bool = False
    read_under_tls: bytes = b""  # by the impostor, of what the client said
    _yes: asyncio.Future[bytes] | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def commands(self) -> list[str]:
        """First words in clear, without the tags of IMAP."""
        lines = [line.split(b" ") for line in self.clear.split(b"\r\n") if line]
        return [(words[1] if words[0][-1:].isdigit() and len(words) > 1 else words[0]).decode() for words in lines]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pumps = [
            asyncio.ensure_future(self._up(reader, writer, far_writer)),
            asyncio.ensure_future(self._down(far_reader, writer)),
        ]
        try:
            await pumps[0]
            await asyncio.wait(pumps, timeout=1)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for pump in pumps:
                pump.cancel()
            for one in (writer, far_writer):
                with contextlib.suppress(OSError, RuntimeError):
                    one.transport.abort()

    async def _up(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far_writer: asyncio.StreamWriter
    ) -> None:
        while said := await reader.read(65536):
            if not self.has_tls and said.startswith(TLS_RECORD):
                self.has_tls = True
            if not self.has_tls:
                self.clear += said
                if self.meddling.impostor is not None and b"STARTTLS" in said.upper():
                    await self._pretend(said, reader, writer, far_writer)
                    return
                said = self.meddling.up(said)
            far_writer.write(said)
            await far_writer.drain()

    async def _down(self, far_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await far_reader.read(65536):
            if self._yes is not None and not self._yes.done():
                self._yes.set_result(said)
                continue
            writer.write(said if self.has_tls else self.meddling.down(said))
            await writer.drain()
        writer.close()

    async def _pretend(
        self,
        said: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        """The server's own yes reaches the client; then there are two TLS connections instead of one."""
        assert self.meddling.impostor is not None
        self._yes = asyncio.get_running_loop().create_future()
        far_writer.write(said)
        yes = await self._yes
        await far_writer.start_tls(self.meddling.upstream or ssl.create_default_context(), server_hostname="localhost")
        self.has_tls = True
        writer.write(yes)
        await writer.start_tls(self.meddling.impostor)  # nothing is read between the two
        while said := await reader.read(65536):
            self.read_under_tls += said
            far_writer.write(said)
            await far_writer.drain()


@asynccontextmanager
async def meddling(target: int, how: Meddling) -> AsyncIterator[Man]:
    """In front of 127.0.0.1:target."""
    man = Man(target, how)
    listener = await asyncio.start_server(man.serve, "127.0.0.1", 0)
    man.port = listener.sockets[0].getsockname()[1]
    try:
        yield man
    finally:
        listener.close()
        for task in man._tasks:
            task.cancel()
        await asyncio.gather(*man._tasks, return_exceptions=True)
