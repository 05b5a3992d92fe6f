"""What is shown: the facts and alerts of one moment, looked up at most once in a few seconds however often it is asked.

Failures: a database that is away, or silent for `LOOK_MOST`, is a moment like another: no facts, one alert.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hub.alerts import Alert, Facts, Gatherer, alerts_of, database_away
from hub.errors import Temporary
from hub.ports import Clock
from hub.settings import Settings

FRESH = 5.0  # seconds: two monitors and an impatient sysadmin cost one look
LOOK_MOST = 8.0  # seconds: below the ten of Prometheus' own deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`facts` is None when the database does not answer."""

    at: datetime
    facts: Facts | None
    alerts: tuple[Alert, ...]

    @property
    def urgent(self) -> tuple[str, ...]:
        """The codes of what does not work now, each once."""
        return tuple(sorted({alert.code for alert in self.alerts if alert.is_urgent}))


class Moments:
    """`ticks` gives seconds that never jump."""

    def __init__(self, settings: Settings, gatherer: Gatherer, clock: Clock, ticks: Callable[[], float]) -> None:
        self._settings = settings
        self._gatherer = gatherer
        self._clock = clock
        self._ticks = ticks
        self._kept: Moment | None = None
        self._kept_until = 0.0
        self._looking: asyncio.Task[Facts] | None = None
        self._away_since: datetime | None = None

    async def now(self) -> Moment:
        if self._kept is None or self._ticks() >= self._kept_until:
            self._kept = await self._looked()
            self._kept_until = self._ticks() + FRESH
        return self._kept

    async def _looked(self) -> Moment:
        """One look at a time: one that hangs is waited for by all, and never a second one begun beside it."""
        at = self._clock()
        if self._looking is None:
            self._looking = asyncio.create_task(self._gatherer.facts(at))
        looking = self._looking
        done, _ = await asyncio.wait({looking}, timeout=LOOK_MOST)
        if done and self._looking is looking:
            self._looking = None
        try:
            facts = looking.result() if done else None
        except Temporary:
            facts = None
        if facts is None:
            self._away_since = self._away_since or at
            return Moment(at=at, facts=None, alerts=(database_away(self._away_since, self._settings),))
        self._away_since = None
        return Moment(at=at, facts=facts, alerts=alerts_of(self._settings, facts, at))
