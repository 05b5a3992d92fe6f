"""Sends a command that ends with a large literal (APPEND), piece by piece: memory does not follow its size.

The literal is synchronizing (RFC 3501 §4.3): a server that refuses says so before a byte of it has left. Each piece has
a deadline, and so has the answer after the last one. Failures: whatever breaks off a literal that has begun closes the
connection, and the server keeps nothing of it; a refusal in the middle of it is told as such, on a closed connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar
from typing import Protocol as Port

from hub.errors import Damaged
from hub.imap.failures import ConnectionLost
from hub.imap.protocol import Asked, Protocol
from hub.raw import Raw

SLICE = 32 * 1024  # bytes written before the socket is waited for
# Servers that scan or index what they store take minutes over a large one. Who gives up sooner and comes back puts it
# there twice (OfflineIMAP left 119 copies of one mail that took longer than its 120 seconds).
ANSWER_WITHIN = 300.0  # seconds

T = TypeVar("T")


class Deadline(Port):
    """Awaits within so many seconds (None: those of the session); late or cancelled, the connection is closed."""

    def __call__(self, awaited: Awaitable[T], seconds: float | None = None) -> Awaitable[T]: ...


async def send(protocol: Protocol, asked: Asked, literal: Raw, within: Deadline) -> None:
    """Run `asked`, whose last word announces `literal.size` bytes; its answer is then in it. Raises ConnectionLost, and
    what the pieces raise."""
    invited = protocol.invite()
    running: asyncio.Future[Any] = asyncio.ensure_future(protocol.execute(asked))
    try:
        await within(asyncio.wait({running, invited}, return_when=asyncio.FIRST_COMPLETED))
        if invited.done():
            await _stream(protocol, running, literal, within)
        await within(asyncio.shield(running), ANSWER_WITHIN)
    except BaseException:  # where the dialogue stands is not known any more
        protocol.fail(ConnectionLost("literal-cut"))
        raise
    finally:
        protocol.invited = None
        running.cancel()


async def _stream(protocol: Protocol, running: asyncio.Future[Any], literal: Raw, within: Deadline) -> None:
    left = literal.size
    async for piece in literal.pieces():
        left -= len(piece)
        if left < 0:
            raise Damaged("more bytes than were announced")
        view = memoryview(piece)
        for start in range(0, len(piece), SLICE):
            if running.done() or protocol.lost is not None:
                break
            protocol.write(bytes(view[start : start + SLICE]))
            await within(protocol.flows.wait())
        # Refused in the middle, or lost: what is left of the literal would be read as commands.
        if running.done() or protocol.lost is not None:
            protocol.fail(ConnectionLost("literal-refused"))
            return
    if left:
        raise Damaged("fewer bytes than were announced")
    protocol.write(b"\r\n")
