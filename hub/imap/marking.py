"""Marks or moves what was accepted, reads it back, notes it in the spool.

The mark is the keyword `mailbox.mark`. A server that keeps no keywords gets \\Flagged instead; one that keeps neither
(a read-only folder) leaves the messages unmarked: they are accepted all the same and `progress.mark_error` says so.
A refusal blocks nothing: it is shown, and tried again at the next poll. Raises what broke the connection or the spool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from hub import settings
from hub.imap.failures import CommandRefused, spool_deadline
from hub.imap.folder import Folder
from hub.ports import Intake

logger = logging.getLogger("hub.imap")

TOGETHER_MOST = 100  # messages marked by one command; as many may be accepted and not yet marked
WAIT_MOST = 1.0  # seconds: on a slow line each batch is marked by itself


class Marker:
    """Of one mailbox. `show` is told `unmarked` and `mark_error` (see `Progress`)."""

    def __init__(self, mailbox: settings.Mailbox, intake: Intake, show: Callable[..., None]) -> None:
        self.unmarked: set[int] = set()
        self._mailbox = mailbox
        self._intake = intake
        self._show = show
        self._error = ""
        self._epoch = 0
        self._waiting: set[int] = set()  # accepted, to be marked with others
        self._waiting_since = 0.0
        self._copied: set[int] = set()  # to the target folder, the original not yet marked \Deleted

    def begin(self, epoch: int, unmarked: Iterable[int]) -> None:
        """A connection begins: what the spool knows of it."""
        if epoch != self._epoch:
            self._copied.clear()
        self._epoch, self.unmarked = epoch, set(unmarked)
        self._waiting.clear()  # they are among `unmarked`

    def await_turn(self, uids: Iterable[int]) -> None:
        """To be settled with those that come soon: two commands for many cost the server, and us, no more than for
        one, and meanwhile no message is on the wire."""
        if not self._waiting:
            self._waiting_since = asyncio.get_running_loop().time()
        self._waiting.update(uids)

    async def settle_waiting(self, folder: Folder, *, at_once: bool) -> None:
        """Once so many wait, or the first one waits so long; `at_once`: now."""
        waits = asyncio.get_running_loop().time() - self._waiting_since
        if at_once or len(self._waiting) >= TOGETHER_MOST or waits >= WAIT_MOST:
            uids, self._waiting = self._waiting, set()
            await self.settle(folder, uids)

    async def settle(self, folder: Folder, uids: Iterable[int]) -> None:
        wanted = set(uids)
        if not wanted:
            return
        try:
            verified = await self._settled(folder, wanted)
            error = "" if verified == wanted else "mark-not-kept"
        except CommandRefused as refused:
            verified, error = frozenset(), refused.code
        if verified:
            async with spool_deadline():
                await self._intake.marked(self._mailbox.name, self._epoch, verified)
        self.unmarked -= verified
        self._copied -= verified
        if error and error != self._error:
            logger.warning("mailbox %s: accepted messages cannot be marked: %s", self._mailbox.name, error)
        self._error = error
        self._show(unmarked=len(self.unmarked), mark_error=error)

    async def _settled(self, folder: Folder, uids: set[int]) -> frozenset[int]:
        if self._mailbox.after == "move":
            return await folder.moved(uids, self._mailbox.move_to, self._copied)
        for flag in (self._mailbox.mark, "\\Flagged"):
            if folder.selected.takes(flag):
                return await folder.flagged(uids, flag)
        raise CommandRefused("store-no-permanent-flag")
