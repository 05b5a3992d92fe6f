"""What a client sent and nobody took yet: lines of commands, then pieces of a mail, then lines again.

Instead of aiosmtpd's stream, which would wake its reader for each 4 KB of a mail. Whoever sends faster than is taken is
no longer read after a while, until something is taken.
"""

from __future__ import annotations

import asyncio

from hub.smtp import lines
from hub.smtp.dots import span_of_dots
from hub.smtp.lines import Refused

LINE_MOST = 12_288 + 16  # bytes; a first AUTH line (RFC 4954 §4)
PIECE = 64 * 1024  # bytes of a mail taken at once: clients write 4 KB at a time, and each turn of the loop costs
UNTAKEN_MOST = 4 * PIECE


class Inflow:
    def __init__(self) -> None:
        self.transport: asyncio.ReadTransport | None = None
        self._ahead = bytearray()  # lines; PIPELINING (RFC 2920): what was sent ahead waits here for its turn
        self._is_mail = False
        self._pieces: list[bytes] = []  # of the mail, as they came: a large one is not copied
        self._size = 0  # of the pieces
        self._tail = b""  # the last two bytes received
        self._came: asyncio.Future[None] | None = None  # somebody waits for more
        self._is_paused = False

    @property
    def has_line(self) -> bool:
        return b"\n" in self._ahead

    @property
    def is_empty(self) -> bool:
        return not self._ahead and not self._pieces

    def add(self, received: bytes) -> None:
        may_end = self._is_mail and self._may_end(received)
        self._tail = (self._tail + received[-2:])[-2:]
        if self._is_mail:
            self._pieces.append(received)
            self._size += len(received)
        else:
            self._ahead += received
        is_enough = may_end or self._size >= PIECE or not self._is_mail
        if is_enough and self._came is not None and not self._came.done():
            self._came.set_result(None)
        if len(self._ahead) + self._size > UNTAKEN_MOST and not self._is_paused and self.transport is not None:
            self._is_paused = True
            self.transport.pause_reading()

    def forget(self) -> None:
        """What nobody took yet was never sent."""
        self._ahead.clear()
        self._pieces, self._size, self._tail = [], 0, b""
        self._resume()

    async def line(self) -> bytes:
        """The next line without its end. Raises Refused: it ends in a bare LF, holds a bare CR, or is too long."""
        searched = 0
        while (end := self._ahead.find(b"\n", searched)) < 0:
            searched = len(self._ahead)
            if searched > LINE_MOST:
                raise Refused(f"421 {lines.STRAY[4:]}")
            await self._more()
        line = bytes(self._ahead[: end + 1])
        del self._ahead[: end + 1]
        if not line.endswith(b"\r\n") or line.count(b"\r") > 1 or b"\0" in line or len(line) > LINE_MOST:
            raise Refused(f"421 {lines.STRAY[4:]}")  # both sides would disagree about what comes next
        return line[:-2]

    def begin_mail(self) -> None:
        self._is_mail = True

    async def piece(self) -> bytes:
        """Some of the mail: a good piece of it, or what may be its end."""
        if self._ahead:  # sent with DATA, not waiting for 354
            piece = bytes(self._ahead)
            self._ahead.clear()
            return piece
        if not self._pieces:
            await self._more()
        piece = b"".join(self._pieces)
        self._pieces, self._size = [], 0
        self._resume()  # what is done with this piece may take a while: the next one comes meanwhile
        return piece

    def end_mail(self, rest: bytes = b"") -> None:
        """Lines again: `rest` of the last piece is the first."""
        self._is_mail = False
        self._ahead += rest + b"".join(self._pieces)
        self._pieces, self._size = [], 0

    def _may_end(self, received: bytes) -> bool:
        first, after = span_of_dots(received)
        return received.find(b".\r\n", first, after + 2) >= 0 or b".\r\n" in self._tail + received[:2]

    async def _more(self) -> None:
        self._came = asyncio.get_running_loop().create_future()
        self._resume()
        try:
            await self._came
        finally:
            self._came = None

    def _resume(self) -> None:
        if self._is_paused and self.transport is not None:
            self._is_paused = False
            self.transport.resume_reading()
