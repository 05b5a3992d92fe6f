"""An Intake in memory, for tests of the door in. It keeps what a spool would: blobs, messages, seen UIDs, marks.

`events` is the order of deeds, as `("accept", uid)`, `("marked", uid)`, `("discard",)`. `failing` maps a number of an
`accept` call (from 1) to the exception that it raises; `before_accept` is awaited first.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hub.ports import Accepted, Arrival, BlobSink


class FakeBlob:
    def __init__(self, intake: FakeIntake) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self.raw = bytearray()
        self._intake = intake
        self.is_open = True

    async def write(self, piece: bytes) -> None:
        assert self.is_open
        self.size += len(piece)
        self.digest.update(piece)
        if self._intake.keeps_bytes:
            self.raw += piece

    async def discard(self) -> None:
        if self.is_open:
            self.is_open = False
            self._intake.events.append(("discard", 0))


@dataclass
class FakeIntake:
    keeps_bytes: bool = True
    failing: dict[int, Exception] = field(default_factory=dict)
    before_accept: Callable[[Arrival], Awaitable[None]] | None = None
    events: list[tuple[str, int]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    raws: dict[str, bytes] = field(default_factory=dict)  # new messages, by id
    sizes: dict[str, int] = field(default_factory=dict)
    blobs: list[FakeBlob] = field(default_factory=list)
    cursors: dict[str, tuple[int, int]] = field(default_factory=dict)
    met: dict[tuple[str, int], dict[int, str]] = field(default_factory=dict)
    marks: set[tuple[str, int, int]] = field(default_factory=set)
    _fingerprints: dict[tuple[str, str | None, str], str] = field(default_factory=dict)
    tell_fails: bool = False
    connections: list[tuple[str, str]] = field(default_factory=list)  # journaled: request, answer
    _calls: int = 0

    async def cursor(self, mailbox: str) -> tuple[int, int] | None:
        return self.cursors.get(mailbox)

    async def seen(self, mailbox: str, uidvalidity: int) -> frozenset[int]:
        return frozenset(self.met.get((mailbox, uidvalidity), {}))

    async def new_blob(self) -> BlobSink:
        blob = FakeBlob(self)
        self.blobs.append(blob)
        return blob

    async def accept(self, arrival: Arrival, blob: BlobSink) -> Accepted:
        if self.before_accept is not None:
            await self.before_accept(arrival)
        self._calls += 1
        if self._calls in self.failing:
            raise self.failing[self._calls]
        assert isinstance(blob, FakeBlob)
        assert blob.is_open
        blob.is_open = False
        self.events.append(("accept", arrival.uid))
        self.arrivals.append(arrival)
        fingerprint = (arrival.mailbox, arrival.message_id, blob.digest.hexdigest())
        is_new = fingerprint not in self._fingerprints
        id = self._fingerprints.setdefault(fingerprint, f"m{len(self._fingerprints) + 1}")
        if is_new:
            self.raws[id] = bytes(blob.raw)
            self.sizes[id] = blob.size
        self.met.setdefault((arrival.mailbox, arrival.uidvalidity), {})[arrival.uid] = id
        return Accepted(id, is_new)

    async def accept_all(self, arrived: Sequence[tuple[Arrival, BlobSink]]) -> Sequence[Accepted | BaseException]:
        each = (self.accept(arrival, blob) for arrival, blob in arrived)
        return await asyncio.gather(*each, return_exceptions=True)

    async def unmarked(self, mailbox: str, uidvalidity: int) -> tuple[int, ...]:
        met = self.met.get((mailbox, uidvalidity), {})
        return tuple(uid for uid in sorted(met) if (mailbox, uidvalidity, uid) not in self.marks)

    async def marked(self, mailbox: str, uidvalidity: int, uids: Iterable[int]) -> None:
        for uid in sorted(uids):
            self.events.append(("marked", uid))
            self.marks.add((mailbox, uidvalidity, uid))

    async def told(self, mailbox: str, request: str, answer: str) -> None:
        if self.tell_fails:
            raise RuntimeError("the journal is broken")
        self.connections.append((request, answer))

    async def advance(self, mailbox: str, uidvalidity: int, last_uid: int) -> None:
        self.cursors[mailbox] = (uidvalidity, last_uid)
