"""Keeps the directory fresh in the background of the service: looks every minute whether something is due, and lets a
child do it (`hub directory refresh`), so that half a million lines weigh on no watcher.

Every host looks; a lock in `data_dir` makes one of them do it. Failures harm nobody: they are remembered there, told by
the alerts, and waited out. A child that dies is started again later and later.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("hub.directory")

FIRST_LOOK = 20.0  # seconds: the mailboxes come first
LOOK_EVERY = 60.0
LATEST = 3600.0


async def keep_fresh(
    is_due: Callable[[], bool], settings_file: Path, within: float, stop: asyncio.Event, first_look: float = FIRST_LOOK
) -> None:
    """Until `stop`. `within`: seconds for one refresh; a child that takes longer is ended."""
    delay = first_look
    while not await _stopped(stop, delay):
        delay = LOOK_EVERY
        try:
            if not await asyncio.to_thread(is_due):
                continue
            code = await _refresh(settings_file, within, stop)
        except OSError as error:  # the disk, or no memory for a child
            log.warning("directory: %s", error.strerror)
            code = -1
        if code and not stop.is_set():  # else the child has written down what is next
            delay = LATEST
            log.error("directory: its refresh ended with code %s; again in %.0f s", code, delay)


async def _refresh(settings_file: Path, within: float, stop: asyncio.Event) -> int | None:
    words = ("-m", "hub", "directory", "refresh", "--background", "--site", str(settings_file))
    child = await asyncio.create_subprocess_exec(sys.executable, *words, env=dict(os.environ))
    ended = asyncio.create_task(child.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({ended, stopping}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not ended.done():
            with contextlib.suppress(ProcessLookupError):
                child.kill()  # what it left is cleared away by the next one
            await ended
    return child.returncode


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
    return stop.is_set()
