"""A bound on calls a second that all tasks and processes of a site keep together: each takes the next free moment from
a file in `data_dir` that they share, and waits for it.

Failures: OSError of the disk. A moment far ahead was left by a clock that has been put back: it counts for nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import time

_AHEAD_MOST = 60.0  # seconds; whoever would wait longer gives up long before


class Pace:
    def __init__(
        self,
        file: Path,
        calls_a_second: int,
        clock: Callable[[], float] = time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._file = file
        self._step = 1.0 / calls_a_second
        self._clock = clock
        self._sleep = sleep

    async def turn(self) -> None:
        """Returns when this call may be made."""
        wait = await asyncio.to_thread(self._take)
        if wait > 0:
            await self._sleep(wait)

    def _take(self) -> float:
        """Takes the next moment; seconds until then."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # held for microseconds
            now = self._clock()
            try:
                free = float(os.read(descriptor, 64))
            except ValueError:
                free = now
            mine = free if now < free <= now + _AHEAD_MOST else now
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, repr(mine + self._step).encode("ascii"), 0)
            return mine - now
        finally:
            os.close(descriptor)
