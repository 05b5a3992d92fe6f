"""Gathers what the alerts and the metrics are made of.

In: the spool, the records, the inventory of what expires, what `hub.trust` keeps. Out: `Facts`, one moment. Failures:
Temporary (database away); a certificate that cannot be read is a fact like another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from hub.alerts.dns import Stale, StaleGatherer
from hub.alerts.mailed import Unmailed, kept_in, unmailed_in
from hub.alerts.peers import Met, MetGatherer
from hub.records import Overdue, Silence, SqlRecords
from hub.settings import Settings
from hub.spool import SqlSpool
from hub.spool.lookout import Look
from hub.trust.directory import DirectoryStanding, Standings
from hub.trust.inventory import Inventory, Item
from hub.trust.members_kept import KeptMembers, Standing

NO_SILENCE = Silence()
NOBODY_MET = Met()
NO_DIRECTORY = DirectoryStanding(is_set=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`decisions`: open lines of the work list; `inventory`: all that expires; `met`: servers, and lists of their
    authorities; `unmailed`: why mails about alerts do not leave, None when they do; `silence`: recipients without news;
    `counts`: messages by state and `sent`: recipients by rung, both empty when not asked for."""

    look: Look
    decisions: int
    inventory: tuple[Item, ...]
    met: Met = NOBODY_MET
    members: Standing | None = None  # of the list of member domains
    stale: tuple[Stale, ...] = ()
    unmailed: Unmailed | None = None
    silence: Silence = NO_SILENCE
    counts: Mapping[str, int] = field(default_factory=dict)
    directory: DirectoryStanding = NO_DIRECTORY
    sent: Mapping[str, int] = field(default_factory=dict)


class _OnDisk(TypedDict):
    inventory: tuple[Item, ...]
    met: Met
    members: Standing | None
    directory: DirectoryStanding
    stale: tuple[Stale, ...]
    unmailed: Unmailed | None


class Gatherer:
    def __init__(self, settings: Settings, spool: SqlSpool, records: SqlRecords) -> None:
        self._alerting = settings.alerting
        self._sending = settings.sending
        self._spool = spool
        self._records = records
        self._inventory = Inventory(settings)
        self._met = MetGatherer(settings.data_dir / "trust")
        self._members = KeptMembers(settings.data_dir / "trust") if settings.members.is_listed else None
        self._directory = Standings(settings.directory, settings.data_dir / "trust")
        self._stale = StaleGatherer(settings)
        self._mailed = kept_in(settings)

    async def facts(self, at: datetime, *, counted: bool = True) -> Facts:
        """To count the messages by state costs 0.1 s for a million of them; no alert needs it."""
        sending = self._sending
        since = at - sending.silence_most
        overdue = Overdue(at - sending.silence_after, at - sending.silence_after_urgent)
        return Facts(
            look=await self._spool.look(at, at - self._alerting.carried_within, at - self._alerting.finished_within),
            decisions=await self._records.decisions(),
            silence=await self._records.silence(since, overdue),
            **await asyncio.to_thread(self._on_disk, at),
            counts=await self._spool.counts() if counted else {},
            sent=await self._records.standing(since) if counted else {},
        )

    def _on_disk(self, at: datetime) -> _OnDisk:
        """All that stands in files, in one thread at once."""
        return {
            "inventory": self._inventory.items(at),
            "met": self._met.gather(at),
            "members": self._members.standing() if self._members is not None else None,
            "directory": self._directory.now(),
            "stale": self._stale.gather(),
            "unmailed": unmailed_in(self._mailed) if self._alerting.mail_to else None,
        }
