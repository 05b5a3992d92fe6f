"""An IMAP proxy that ends TLS on both sides, so that a fault begins at a named command of the client's.

    async with tapped(dovecot, "STORE", "hole-down", times=2) as tap:   # listens on tap.port

The first `times` connections that come to the phase suffer; `tap.hits` counts them. Phases are those of `imap_shop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from tests.edges.dovecot import Dovecot
from tests.edges.imap_shop import Shop
from tests.edges.scripted_imap import server_context

Act = Literal["reset", "fin", "hole-up", "hole-down", "hole-both", "half-line", "cut", "bye", "late"]
ACTS: tuple[Act, ...] = ("reset", "fin", "hole-up", "hole-down", "hole-both", "half-line", "cut", "bye", "late")


@dataclass
class Tap:
    target: int
    upstream: ssl.SSLContext
    phase: str
    act: Act
    times: int
    late: float  # seconds
    cut_after: int  # bytes of the answer that are still passed
    port: int = 0
    hits: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            far_reader, far_writer = await asyncio.open_connection(
                "localhost", self.target, ssl=self.upstream, limit=2**20
            )
        except OSError:
            writer.transport.abort()
            return
        wire = _Wire(self, reader, writer, far_reader, far_writer)
        try:
            await wire.run()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for one in (writer, far_writer):
                with contextlib.suppress(OSError, RuntimeError):
                    one.transport.abort()


@dataclass
class _Wire:
    """One connection. `room` bytes are still passed down, None: all; `hears`: whether anything is passed up."""

    tap: Tap
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    far_reader: asyncio.StreamReader
    far_writer: asyncio.StreamWriter
    hears: bool = True
    room: int | None = None
    resets_after_room: bool = False
    wait: float = 0.0

    async def run(self) -> None:
        if self.tap.phase == "GREETING":
            await self._suffer()
        pumps = [asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _up(self) -> None:
        while line := await self.reader.readline():
            words = line.decode().rstrip("\r\n")
            rest = words if words == "DONE" else words.partition(" ")[2]
            phase = "DONE" if words == "DONE" else Shop._phase(rest)
            if phase == self.tap.phase:
                await self._suffer()
            if self.hears:
                self.far_writer.write(line)
                await self.far_writer.drain()

    async def _down(self) -> None:
        while piece := await self.far_reader.read(16_384):
            if self.wait:
                await asyncio.sleep(self.wait)
            if self.room is not None:
                piece, self.room = piece[: self.room], max(0, self.room - len(piece))
            if piece:
                self.writer.write(piece)
                await self.writer.drain()
            if self.room == 0 and self.resets_after_room:
                await asyncio.sleep(0.02)  # what was passed arrives first
                return
        self.writer.write_eof() if self.writer.can_write_eof() else self.writer.close()

    async def _suffer(self) -> None:
        tap = self.tap
        if tap.hits >= tap.times:
            return
        tap.hits += 1
        match tap.act:
            case "reset":
                self.writer.transport.abort()
                raise ConnectionResetError
            case "fin":
                self.writer.close()
                await asyncio.Event().wait()
            case "hole-up":
                self.hears = False
            case "hole-down":
                self.room = 0
            case "hole-both":
                self.hears, self.room = False, 0
            case "half-line":
                self.room = 9
            case "cut":
                self.room, self.resets_after_room = tap.cut_after, True
            case "bye":
                self.hears, self.room = False, 0
                self.writer.write(b"* BYE [UNAVAILABLE] maintenance\r\n")
                await self.writer.drain()
            case "late":
                self.wait = tap.late


@asynccontextmanager
async def tapped(
    dovecot: Dovecot, phase: str, act: Act, times: int = 1, late: float = 2.0, cut_after: int = 200
) -> AsyncIterator[Tap]:
    """In front of a Dovecot in password mode."""
    tap = Tap(dovecot.imaps_port, dovecot.authority.client_context(), phase, act, times, late, cut_after)
    context = server_context(dovecot.server_leaf)
    listener = await asyncio.start_server(tap.serve, "127.0.0.1", 0, ssl=context, limit=2**20)
    tap.port = listener.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        listener.close()
        for task in tap._tasks:
            task.cancel()
        await asyncio.gather(*tap._tasks, return_exceptions=True)
