"""Sits between a client and a server and notes what the client says: lines in clear, then the kinds of TLS records.

With TLS 1.2 these kinds tell whether the client said anything after its handshake: `application` is clear text sealed,
all else is the handshake itself, or an alert.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_KINDS = {20: "cipher", 21: "alert", 22: "handshake", 23: "application"}


@dataclass
class Tap:
    target: int
    port: int = 0
    heard: list[bytearray] = field(default_factory=list)  # one for each connection

    def in_clear(self) -> list[str]:
        """The commands said in clear, without tags and arguments, over all connections."""
        lines = [line for raw in self.heard for line in _split(raw)[0].decode("latin-1").splitlines()]
        words = [line.split() for line in lines]
        return [next(word for word in said if not any(c.isdigit() for c in word)) for said in words]

    def sealed(self) -> set[str]:
        """The kinds of TLS records that the client sent."""
        found = set()
        for raw in self.heard:
            rest = _split(raw)[1]
            while len(rest) >= 5:
                found.add(_KINDS[rest[0]])
                rest = rest[5 + int.from_bytes(rest[3:5], "big") :]
        return found

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        note = bytearray()
        self.heard.append(note)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # the end of this connection, or of the test
            await asyncio.gather(_pass(reader, far_writer, note), _pass(far_reader, writer, bytearray()))
        for one in (writer, far_writer):
            one.close()


def _split(raw: bytearray) -> tuple[bytes, bytes]:
    """(in clear, TLS records): the first record is that of a handshake."""
    place = raw.find(b"\x16\x03")
    return (bytes(raw), b"") if place < 0 else (bytes(raw[:place]), bytes(raw[place:]))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: bytearray) -> None:
    while piece := await reader.read(64 * 1024):
        note += piece
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


@asynccontextmanager
async def tapped(target: int) -> AsyncIterator[Tap]:
    tap = Tap(target)
    server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    tap.port = server.sockets[0].getsockname()[1]
    try:
        yield tap
    finally:
        server.close()
