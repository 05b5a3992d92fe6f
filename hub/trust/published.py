"""One statement of an authority (a list, an answer): fetched rarely, judged, kept, and used until its end.

`Published` is one of them. `current` gives the kept one while it counts, without asking anybody; `refreshed` asks when
it is time to, one process of the site at a time, and gives what counts after that. A point that is down, slow or
answers nonsense leaves the kept one as it is, and is left alone for a wait that doubles (`Kept`). An older statement
never takes the place of a newer one: whoever sits on the way could give back a list from before a revocation.
Failures: OSError (the disk).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from hub.settings import Fetching
from hub.trust.fetching import FetchFailed
from hub.trust.kept import Kept, Trouble
from hub.trust.statements import Statement, StatementRefused, fault_of

S = TypeVar("S", bound=Statement)


@dataclass(frozen=True, slots=True)
class _Read(Generic[S]):
    """What a copy says; None: it cannot be used."""

    stamp: tuple[int, int]
    fetched_at: datetime
    statement: S | None


class Published(Generic[S]):
    """`ask` fetches it and reads it (raises FetchFailed, StatementRefused); `judge` reads the bytes that were kept
    (raises StatementRefused)."""

    def __init__(
        self,
        kept: Kept,
        ask: Callable[[], Awaitable[tuple[bytes, S]]],
        judge: Callable[[bytes], S],
        fetching: Fetching,
        refresh_every: timedelta,
    ) -> None:
        self._kept = kept
        self._ask = ask
        self._judge = judge
        self._fetching = fetching
        self._refresh_every = refresh_every
        self._read: _Read[S] | None = None

    async def current(self, at: datetime) -> S | None:
        """The kept one, if it counts at that moment."""
        read = await asyncio.to_thread(self._latest)
        if read is None or read.statement is None or fault_of(read.statement, at):
            return None
        return read.statement

    async def is_due(self, at: datetime) -> bool:
        """Whether it is time to ask again, and the point has not to be left alone."""
        return await asyncio.to_thread(self._is_due, at)

    def _is_due(self, at: datetime) -> bool:
        read = self._latest()
        counts = read is not None and read.statement is not None and not fault_of(read.statement, at)
        is_young = counts and read is not None and abs(at - read.fetched_at) < self._refresh_every
        return not is_young and self._kept.may_try(at, self._fetching)

    async def refreshed(self, at: datetime) -> S | None:
        """What counts, after asking if it is time to."""
        patience = 3 * self._fetching.answer_within.total_seconds()
        try:
            async with asyncio.timeout(patience):
                return await self._refreshed(at)
        except TimeoutError:  # another process holds the turn and does not go on
            return await self.current(at)

    async def _refreshed(self, at: datetime) -> S | None:
        async with self._kept.alone():  # whoever waited here finds what the other one has fetched
            found = await self.current(at)
            if not await self.is_due(at):
                return found
            try:
                raw, statement = await self._ask()
                self._check(statement, at)
            except (FetchFailed, StatementRefused) as error:
                await asyncio.to_thread(self._kept.failed, error.code, at, self._fetching)
                return found
            await asyncio.to_thread(self._kept.replace, raw, at)
        return statement

    def trouble(self) -> Trouble:
        return self._kept.trouble()

    def _check(self, statement: S, at: datetime) -> None:
        fault = fault_of(statement, at)
        if fault:
            raise StatementRefused(fault)
        before = self._read.statement if self._read is not None else None
        if before is not None and statement.this_update < before.this_update:
            raise StatementRefused("older")

    def _latest(self) -> _Read[S] | None:
        """What the disk has, read again only when it has changed."""
        stamp = self._kept.stamp()
        if stamp is None:
            self._read = None
        elif self._read is None or self._read.stamp != stamp:
            copy = self._kept.read()
            self._read = None if copy is None else _Read(stamp, copy.fetched_at, self._judged(copy.raw))
        return self._read

    def _judged(self, raw: bytes) -> S | None:
        try:
            return self._judge(raw)
        except StatementRefused:
            return None
