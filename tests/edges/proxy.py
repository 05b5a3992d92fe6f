"""A TCP proxy that breaks things on purpose: reset, black holes, cuts after n bytes, delay, slow links.

    async with fault_proxy(port) as proxy:   # listens on proxy.port, forwards to 127.0.0.1:port
        proxy.swallow("down")                # from now on nothing reaches the client, on any connection

Faults hold for all connections, new ones too, until `heal`. Works for any protocol over TCP.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]  # up: client to server


@dataclass
class FaultProxy:
    target: int
    port: int = 0
    connections: int = 0
    refuses: bool = False  # new connections are reset at once
    delay: float = 0.0  # seconds before each piece is passed on
    passed: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    _swallowed: set[Direction] = field(default_factory=set)
    _cut_after: dict[Direction, int] = field(default_factory=dict)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def swallow(self, *directions: Direction) -> None:
        """Black hole: bytes are read and thrown away, both ends see an open connection."""
        self._swallowed.update(directions)

    def cut_after(self, count: int, direction: Direction = "down") -> None:
        """The connection that passes `count` more bytes (over all connections) is reset; once."""
        self._cut_after[direction] = self.passed[direction] + count

    def reset(self) -> None:
        """RST to both ends of all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def forget(self, closing: Callable[[socket.socket], None]) -> None:
        """The clients' connections are gone here, by `closing` their sockets, and nobody is told."""
        for writer in list(self._writers):
            if writer.get_extra_info("sockname")[1] == self.port:
                closing(socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())))

    def heal(self) -> None:
        self._swallowed.clear()
        self._cut_after.clear()
        self.delay, self.refuses = 0.0, False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if self.refuses:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pass(reader, far_writer, "up"), self._pass(far_reader, writer, "down"))
        except (OSError, asyncio.CancelledError):
            pass  # the end of this connection, or of the test
        finally:
            for one in (writer, far_writer):
                self._writers.discard(one)
                with contextlib.suppress(OSError, RuntimeError):
                    one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if direction in self._swallowed:
                    continue
                limit = self._cut_after.get(direction)
                if limit is not None and self.passed[direction] + len(piece) >= limit:
                    writer.write(piece[: limit - self.passed[direction]])
                    self.passed[direction] = limit
                    del self._cut_after[direction]
                    await asyncio.sleep(0.02)  # lets what was passed arrive before the reset
                    reader_side = writer.transport
                    reader_side.abort()
                    raise ConnectionResetError
                self.passed[direction] += len(piece)
                writer.write(piece)
                await writer.drain()
        if direction in self._swallowed:
            await asyncio.Event().wait()  # the end is not told either
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()


@asynccontextmanager
async def fault_proxy(target: int) -> AsyncIterator[FaultProxy]:
    """A proxy in front of 127.0.0.1:target."""
    proxy = FaultProxy(target)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        for task in proxy._tasks:
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
