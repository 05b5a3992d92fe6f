"""Whether whoever holds a lease still lives, by a clock that never jumps.

The end of a lease is a wall-clock time, and wall clocks jump: one is put right, a machine slept, another host is an
hour ahead. So an end that has passed, or lies further ahead than any lease is long, is only a suspicion. A lease is
over when, besides, nobody has renewed it for half its length by our own monotonic clock (holders renew it every third).
In flows a suspected lease, each time that it is met; out flows whether it is over. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

WATCHED_MOST = 1_000  # beyond it the watch begins again: it costs seconds, no lease that lives


@dataclass(frozen=True, slots=True)
class _Met:
    owner: str
    until: datetime
    at: float


class Watch:
    """`ticks` gives seconds that never jump (`time.monotonic`); without it a suspicion is believed at once."""

    def __init__(self, lease: timedelta, ticks: Callable[[], float] | None) -> None:
        self._patience = lease.total_seconds() / 2
        self._ticks = ticks
        self._met: dict[str, _Met] = {}

    def forget(self) -> None:
        """Begin again: for a while nobody could be seen renewing."""
        self._met.clear()

    def is_over(self, message_id: str, owner: str, until: datetime) -> bool:
        if self._ticks is None:
            return True
        now, met = self._ticks(), self._met.get(message_id)
        if met is None or (met.owner, met.until) != (owner, until):
            if len(self._met) >= WATCHED_MOST:
                self._met.clear()
            self._met[message_id] = _Met(owner, until, now)
            return False
        if now - met.at < self._patience:
            return False
        del self._met[message_id]
        return True
