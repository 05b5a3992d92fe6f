"""The hub's side of the cell: a few children, one message each at a time, replaced when they die, grow or are worn.

`read` and `archival` wait for a free child. Large messages go in, and large documents come out, piece by piece.
Failures: `Damaged` when the message killed two children in a row, `Temporary` when no child can be started. A cancelled
`read` kills its child, since its answer would be taken for the next one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hub.cell.wire import ANSWER, REQUEST, Answered, Orders, Task, Verdict, Words
from hub.encoding import decode, encode
from hub.errors import Damaged, Temporary
from hub.message import Limits, ParsedMessage
from hub.pdf import Archived
from hub.raw import Raw, Whole
from hub.smime import Trust

if TYPE_CHECKING:  # the child imports this package too, and has no use for a database
    from hub.ports import Drafts

START_DEADLINE = 20.0  # seconds; a start takes 0.2 on a quiet machine
DEADLINE = 4.0  # times the processor time: a busy machine is slow, and that is no fault of the message
ALARM_AFTER = 5.0  # seconds after the parent's own deadline
PIECE = 256 * 1024
NAME_MOST = 1_000  # bytes

# -I: no environment, no user site; -S: no `site`, the path is given. The child imports what `parse` needs and no more.
_BOOT = (
    "import os, sys; sys.path[:] = sys.argv[2].split(os.pathsep); "
    "from hub.cell.child import main; main(int(sys.argv[1]))"
)
# Large blocks go back to the system at once: the allocator would learn from the first one to keep them.
_ENVIRONMENT = {"LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "262144"}
_PUBLIC = "Ce message n'a pas pu être lu sans danger. Il est conservé tel quel et mis en attente."


class Cell:
    """A `hub.ports.Reader`. `memory` in bytes of address space a child, `seconds` of processor time an
    attempt, `processes` children, each replaced after `recycle_after` messages; `trust` is by which signatures are
    judged. Belongs to one event loop."""

    def __init__(
        self,
        limits: Limits,
        memory: int,
        seconds: float,
        processes: int,
        recycle_after: int,
        codes_dir: Path,
        trust: Trust = Trust(),
    ) -> None:
        deadline = seconds * DEADLINE
        orders = Orders(
            limits=limits,
            memory=memory,
            processor=seconds,
            alarm=deadline + ALARM_AFTER,
            codes_dir=str(codes_dir),
            anchors=trust.anchors,
            purposes=tuple(sorted(trust.purposes)),
        )
        self._places = [_Place(orders, deadline, recycle_after) for _ in range(processes)]
        self._free: asyncio.Queue[_Place] = asyncio.Queue()
        for place in self._places:
            self._free.put_nowait(place)

    def start(self) -> None:
        """Start the children now, so that the first message does not wait for one. Does not wait either."""
        for place in self._places:
            place.fill()

    async def read(
        self,
        raw: Raw,
        words_for: frozenset[str] | None = None,
        drafts: Drafts | None = None,
        received_at: datetime | None = None,
        clues: bool = False,
    ) -> ParsedMessage:
        """Raises Damaged (unreadable for ever) or Temporary (no child); also what the pieces of `raw` and the drafts
        raise."""
        words = Words.ALL if words_for is None else Words.OF_THESE_TYPES
        task = Task(words=words, types=tuple(words_for or ()), clues=clues, received_at=received_at)
        return await self._read(raw, task, drafts)

    async def read_file(self, raw: bytes, name: str, received_at: datetime | None = None) -> ParsedMessage:
        """A file given by hand (`hub.parse.parse_file`): a mail, a bare archive, CDA or PDF. Raises as `read`."""
        named = name.encode("utf-8", "replace")[:NAME_MOST].decode("utf-8", "replace") or "-"
        return await self._read(Whole(raw), Task(name=named, received_at=received_at), None)

    async def archival(self, raw: bytes, at: datetime) -> Archived:
        """The PDF/A copy of a PDF; the PDF itself when it cannot be opened within the limits. Raises Temporary (no
        child)."""
        place = await self._free.get()
        try:
            made = await place.ask(Whole(raw), Task(copy_at=at), Archived)
        finally:
            self._free.put_nowait(place)
        if isinstance(made, str):
            return Archived(raw=raw, reason="pdf-unreadable")
        return made if made.was_converted else replace(made, raw=raw)

    async def _read(self, raw: Raw, task: Task, drafts: Drafts | None) -> ParsedMessage:
        """With less each time: drawing pages costs more than reading their words, and that more than the rest."""
        task = replace(task, are_wanted=drafts is not None)
        plain = replace(task, clues=False)
        tries = (task, *([plain] if task.clues else []), replace(plain, words=Words.NONE))
        place, failures = await self._free.get(), []
        try:
            for one in tries:
                answered = await place.ask(raw, one, Answered, drafts)
                if not isinstance(answered, str):
                    return answered.message
                failures.append(answered)
            raise Damaged(f"the reader died: {', then '.join(failures)}", _PUBLIC)
        finally:
            self._free.put_nowait(place)

    async def close(self) -> None:
        """End all children, those at work too."""
        children = [child for place in self._places if (child := place.empty())]
        for child in children:
            child.kill()
        for child in children:
            await asyncio.to_thread(child.popen.wait)


T = TypeVar("T")


def _request(size: int, task: bytes) -> bytes:
    return REQUEST.pack(size, len(task)) + task


class _Place:
    """Where one child sits, and the next when it is gone."""

    def __init__(self, orders: Orders, seconds: float, recycle_after: int) -> None:
        self._orders = orders
        self._seconds = seconds
        self._recycle_after = recycle_after
        self._child: _Child | None = None

    def fill(self) -> _Child:
        """The child that sits here; a new one when there is none, or when it died while it had nothing to do."""
        if self._child is not None and self._child.popen.poll() is not None:
            self._drop(self._child)
        if self._child is None:
            self._child = _Child(self._orders)
        return self._child

    def empty(self) -> _Child | None:
        child, self._child = self._child, None
        return child

    async def ask(self, raw: Raw, task: Task, wanted: type[T], drafts: Drafts | None = None) -> T | str:
        """The answer, or why the child could not give it (then the child is gone)."""
        child = await self._ready_child()
        try:
            async with asyncio.timeout(self._seconds):
                verdict, answer = await child.exchange(_request(raw.size, encode(task)), raw)
            if verdict is Verdict.READ:
                answered = decode(answer, wanted)
                del answer
                if isinstance(answered, Answered):
                    await self._take_large(child, answered, drafts)
        except TimeoutError:
            self._drop(child)
            return "deadline"
        except OSError:
            self._drop(child)
            code = await asyncio.to_thread(child.popen.wait)
            return "processor time" if code == -signal.SIGPROF else f"exit {code}"
        except BaseException:  # cancelled: an answer may be under way
            self._drop(child)
            raise
        if verdict is Verdict.READ:
            self._wear(child)
            return answered
        self._drop(child)
        return "memory" if verdict is Verdict.NO_MEMORY else f"exception {answer.decode('ascii', 'replace')[:60]}"

    async def _take_large(self, child: _Child, answered: Answered, drafts: Drafts | None) -> None:
        """The documents that follow the answer, each into its draft. The deadline is one of each piece: a disk may be
        slow, a child that stops in the middle may not."""
        for place, length in answered.large:
            if drafts is None:
                raise OSError("a document that nobody asked for")
            draft, left = drafts.begin(answered.message.documents[place].sha256), length
            while left:
                async with asyncio.timeout(self._seconds):
                    piece = await child.some(min(left, PIECE))
                left -= len(piece)
                await draft.write(piece)

    async def _ready_child(self) -> _Child:
        child = self.fill()
        if child.is_ready:
            return child
        try:
            async with asyncio.timeout(START_DEADLINE):
                orders = encode(self._orders)
                await child.exchange(_request(len(orders), b""), Whole(orders))
        except (TimeoutError, OSError) as error:
            self._drop(child)
            raise Temporary(f"no reader process could be started: {type(error).__name__}") from None
        except BaseException:
            self._drop(child)
            raise
        child.is_ready = True
        return child

    def _drop(self, child: _Child) -> None:
        child.kill()
        if self._child is child:
            self._child = None

    def _wear(self, child: _Child) -> None:
        """Replace a child that has read enough or kept too much; the next one starts while others work."""
        child.served += 1
        if self._child is child and (child.served >= self._recycle_after or child.resident > self._orders.memory // 4):
            self._drop(child)
            self.fill()


class _Child:
    """One child process and the socket to it."""

    def __init__(self, orders: Orders) -> None:
        self.is_ready = False
        self.served = 0
        self.resident = 0
        self._ahead = b""  # received, not yet taken
        self._answer_most = orders.memory  # a longer answer than the child has memory is a lie
        self._wire, theirs = socket.socketpair()
        self._wire.setblocking(False)
        with theirs:
            # sys.executable and constants only: nothing of a message stands on the command line
            self.popen = subprocess.Popen(  # noqa: S603
                [
                    sys.executable,
                    "-I",
                    "-S",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    os.pathsep.join(filter(None, sys.path)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=_ENVIRONMENT,
            )

    def kill(self) -> None:
        """Idempotent. A thread waits for the end, so that nothing else has to."""
        self._wire.close()
        self.popen.kill()
        threading.Thread(target=self.popen.wait, daemon=True).start()

    async def exchange(self, header: bytes, raw: Raw) -> tuple[Verdict, bytes]:
        """Send one request, take one answer. Raises OSError when the child is gone or talks nonsense."""
        loop = asyncio.get_running_loop()
        async for piece in raw.pieces():
            if header and len(piece) < PIECE:
                header, piece = b"", header + piece
            elif header:
                await loop.sock_sendall(self._wire, header)
                header = b""
            await loop.sock_sendall(self._wire, piece)
        first = await self._exactly(ANSWER.size)
        length, verdict, self.resident = ANSWER.unpack(first)
        if length > self._answer_most or verdict not in Verdict.__members__.values():
            raise OSError("nonsense from the reader")
        return Verdict(verdict), await self._exactly(length)

    async def _exactly(self, size: int) -> bytes:
        if size <= max(PIECE, len(self._ahead)):
            while len(self._ahead) < size:
                self._ahead += await self._received()
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken
        buffer = bytearray(size)
        at, view = len(self._ahead), memoryview(buffer)
        buffer[:at], self._ahead = self._ahead, b""
        while at < size:
            got = await asyncio.get_running_loop().sock_recv_into(self._wire, view[at:])
            if not got:
                raise ConnectionResetError
            at += got
        return bytes(buffer)

    async def some(self, most: int) -> bytes:
        """At least one byte of what the child sends, at most `most`."""
        if self._ahead:
            taken, self._ahead = self._ahead[:most], self._ahead[most:]
            return taken
        return await self._received(most)

    async def _received(self, most: int = PIECE) -> bytes:
        piece = await asyncio.get_running_loop().sock_recv(self._wire, most)
        if not piece:
            raise ConnectionResetError
        return piece
