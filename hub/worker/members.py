"""Keeps the list of member domains fresh, in the background of `hub serve` and `hub watch`.

Every host looks once a minute whether the list is due, or whether a copy was put there by hand; one at a time asks for
it (`hub.trust.members`). All processes of the site then see the new one by themselves (`hub.wiring.members`). Failures
are kept for the alerts, and the next look is the retry.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from hub.ports import Clock
from hub.settings import Settings
from hub.trust.members import Tried
from hub.wiring import now
from hub.wiring.members import make_refresher

log = logging.getLogger("hub.members")

LOOK_EVERY = 60.0  # seconds


async def keep_members_fresh(settings: Settings, stop: asyncio.Event, clock: Clock = now) -> None:
    """Until `stop`; nothing when no list is to be had."""
    if not settings.members.is_listed:
        return
    refresher = make_refresher(settings)
    while not stop.is_set():
        try:
            for tried in await refresher.refresh(clock()):
                _tell(tried)
        except Exception as error:  # the disk, or our fault: the watchers must not suffer
            log.error("list of member domains: %s", type(error).__name__)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_EVERY)


def _tell(tried: Tried) -> None:
    if tried.outcome == "taken":
        log.info("list of member domains taken: %d added, %d removed", len(tried.added), len(tried.removed))
    elif tried.outcome in ("refused", "unreachable"):
        log.warning("list of member domains (%s) %s: %s %s", tried.source, tried.outcome, tried.code, tried.detail)
