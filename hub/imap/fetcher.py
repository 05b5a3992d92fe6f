"""Brings messages of a folder into blobs: short ones several to a command, long ones piece by piece.

In: messages as listed. Out: `Loaded` ones, whose bytes are in a sealed blob that nothing names yet: `accept` it or
`discard` it. Failures: a message that cannot be had gets its strike (`doubts`) and is left out; what broke the
connection or the blob store is raised, and no blob is left behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from hub import settings
from hub.imap.doubts import Doubts
from hub.imap.failures import CommandRefused, ConnectionLost, MessageGone, MessageTooLarge, spool_deadline
from hub.imap.folder import Folder, Listed
from hub.imap.grammar import message_id_in
from hub.ports import BlobSink, Intake

PIECE_LEAST = 64 * 1024  # a slow or broken line still brings so much within a deadline
BATCH_MESSAGES = 50  # short messages in one FETCH: one a command costs 35 % of the rate (performance.md §4)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A message whose bytes are in a blob, not yet accepted."""

    listed: Listed
    blob: BlobSink
    message_id: str | None


class Fetcher:
    """`on_gone` is told the UID of each message that was no longer there."""

    def __init__(
        self, intake: Intake, watching: settings.Watching, doubts: Doubts, on_gone: Callable[[int], None]
    ) -> None:
        self._intake = intake
        self._watching = watching
        self._doubts = doubts
        self._on_gone = on_gone

    def batches(self, listed: Iterable[Listed]) -> Iterator[tuple[Listed, ...]]:
        """Neighbours whose sizes add up to less than a piece; a long message alone; one too long is skipped."""
        batch: list[Listed] = []
        size = 0
        for item in listed:
            if item.size > self._watching.message_most:
                self._doubts.skip(item.uid, MessageTooLarge.code, asyncio.get_running_loop().time())
                continue
            if batch and (size + item.size >= self._watching.piece or len(batch) >= BATCH_MESSAGES):
                yield tuple(batch)
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield tuple(batch)

    async def load(self, folder: Folder, batch: tuple[Listed, ...]) -> list[Loaded]:
        """The messages of a batch, each in a blob. Raises what broke the connection or the blob store."""
        loaded: list[Loaded] = []
        try:
            raws = await self._short_ones(folder, batch) if len(batch) > 1 else {}
            whole = [item for item in batch if item.uid in raws and len(raws[item.uid]) == item.size]
            await self._in_blobs([(item, raws.pop(item.uid)) for item in whole], loaded)
            for item in batch:  # of those that are not whole the server's word on their end is asked for
                if item not in whole and (one := await self._long_one(folder, item)) is not None:
                    loaded.append(one)
        except BaseException as error:
            for one in loaded:
                await one.blob.discard()
            if isinstance(error, ConnectionLost) and error.code != "cancelled":
                for item in batch:  # one of them may be what breaks the connection
                    self._strike(item.uid, error.code)
            raise
        return loaded

    async def _short_ones(self, folder: Folder, batch: tuple[Listed, ...]) -> dict[int, bytes]:
        try:
            return await folder.raws([item.uid for item in batch], self._watching.piece)
        except CommandRefused as refused:
            if refused.is_passing:
                raise folder.session.surprise(refused.code) from None
            return {}  # one of them: ask for each alone

    async def _in_blobs(self, raws: Iterable[tuple[Listed, bytes]], loaded: list[Loaded]) -> None:
        """Add each to `loaded`, before its blob may fail: whoever made the list discards it."""
        async with spool_deadline():
            for item, raw in raws:
                one = Loaded(item, await self._intake.new_blob(), message_id_in(raw))
                loaded.append(one)
                await one.blob.write(raw)

    async def _long_one(self, folder: Folder, item: Listed) -> Loaded | None:
        """A message of any length, streamed into its blob; None when it is gone, refused or too large."""
        head = b""

        async def write(piece: bytes) -> None:
            nonlocal head
            head = head or piece
            async with spool_deadline():
                await blob.write(piece)

        blob = await self._intake.new_blob()
        try:
            await folder.raw(item.uid, write, self._piece(item.uid), self._watching.message_most, item.size)
            return Loaded(item, blob, message_id_in(head))
        except BaseException as error:
            await blob.discard()
            match error:
                case MessageGone():
                    if await folder.still_there([item.uid]):
                        self._strike(item.uid, "fetch-nothing")
                    else:
                        self._on_gone(item.uid)
                case MessageTooLarge():
                    self._doubts.skip(item.uid, error.code, asyncio.get_running_loop().time())
                case CommandRefused() if error.is_passing:
                    raise folder.session.surprise(error.code) from None
                case CommandRefused():
                    self._strike(item.uid, error.code)
                case _:
                    raise
            return None

    def _piece(self, uid: int) -> int:
        """A message that timed out, or was cut, is asked for in smaller pieces: each has a deadline of its own."""
        piece = self._watching.piece
        return max(min(piece, PIECE_LEAST), piece >> 2 * self._doubts.strikes(uid))

    def _strike(self, uid: int, code: str) -> None:
        self._doubts.strike(uid, code, asyncio.get_running_loop().time())


async def abandon(ahead: asyncio.Task[list[Loaded]] | None) -> None:
    """What was still on its way is not wanted any more: stop it, forget its blobs."""
    if ahead is None:
        return
    ahead.cancel()
    (result,) = await asyncio.gather(ahead, return_exceptions=True)
    if isinstance(result, list):
        for one in result:
            await one.blob.discard()
