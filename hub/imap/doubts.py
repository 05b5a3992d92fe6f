"""Messages that made trouble, so that one of them never blocks its mailbox (complaints.md, row 7).

A UID gets a strike each time that fetching or accepting it failed, whether the server said no or the connection died
on it. It is then tried alone and after the others. When its strikes are used up it rests until the next poll, for
ever: it is reported as skipped, never given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub.imap.progress import Skipped

STRIKES_MOST = 3


@dataclass(slots=True)
class _Doubt:
    strikes: int = 0
    reason: str = ""
    not_before: float = 0.0


class Doubts:
    """Times are those of the event loop, in seconds; `rest` is how long a skipped message is left alone."""

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._doubts: dict[int, _Doubt] = {}

    def __contains__(self, uid: int) -> bool:
        return uid in self._doubts

    def strike(self, uid: int, reason: str, now: float) -> None:
        doubt = self._doubts.setdefault(uid, _Doubt())
        doubt.strikes += 1
        doubt.reason = reason
        if doubt.strikes >= STRIKES_MOST:
            doubt.not_before = now + self._rest

    def strikes(self, uid: int) -> int:
        return self._doubts[uid].strikes if uid in self._doubts else 0

    def skip(self, uid: int, reason: str, now: float) -> None:
        """Report it at once: there is nothing to try before the next poll."""
        self._doubts[uid] = _Doubt(STRIKES_MOST, reason, now + self._rest)

    def forget(self, uids: Iterable[int]) -> None:
        """They were accepted, or they are gone."""
        for uid in uids:
            self._doubts.pop(uid, None)

    def clear(self) -> None:
        self._doubts.clear()

    def may_try(self, uid: int, now: float) -> bool:
        return uid not in self._doubts or now >= self._doubts[uid].not_before

    def skipped(self) -> tuple[Skipped, ...]:
        tired = ((uid, doubt) for uid, doubt in sorted(self._doubts.items()) if doubt.strikes >= STRIKES_MOST)
        return tuple(Skipped(uid, doubt.reason) for uid, doubt in tired)
