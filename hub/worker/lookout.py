"""The lookout of a host: tells the database how far its watchers are, counts their mailboxes, and tells the log what
must alert (`hub.alerts`); it also renews what the DNS says of operators.

In: the watchers of the site (those that are not ours are stopped). Out: rows of progress when they change, an account
of each mailbox every hour, lines of the log, mails about alerts (`hub.worker.postman`). Failures harm nobody else: the
next turn is the retry. A database that is away is itself an alert.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

from hub.alerts import Alert, AlertLog, Gatherer, alerts_of, database_away, database_full
from hub.errors import HubError, Temporary
from hub.imap.progress import Progress, WatcherState
from hub.ports import Clock
from hub.reckoning import Reckoner
from hub.settings import Mailbox
from hub.spool.lookout import Told
from hub.wiring import House, now
from hub.worker.postman import Postman, make_alert_sender, make_postman

log = logging.getLogger("hub.alerts")

TELL_EVERY = 5.0  # seconds: only what changed is written
TURN_MOST = 60.0  # seconds between two looks for accounts that are due
RETRY = timedelta(minutes=5)  # of an account that could not be made


class Watches(Protocol):
    """A watcher (`hub.imap.reader.Watcher`)."""

    @property
    def progress(self) -> Progress: ...


class Lookout:
    """`watchers`: mailbox name -> its watcher. `leads`: whether this host is the one that tells the log (as for the
    sweep, one of the site's); all of them tell it when the database is away."""

    def __init__(
        self, house: House, watchers: Mapping[str, Watches], leads: Callable[[], bool], clock: Clock = now
    ) -> None:
        self._house = house
        self._settings = house.settings
        self._spool = house.spool
        self._watchers = watchers
        self._leads = leads
        self._clock = clock
        self._ways = house.ways
        self._gatherer = Gatherer(house.settings, house.spool, house.records)
        self._reckoner = Reckoner(house.settings, house.spool, house.ways.imap, clock)
        self._postman: Postman | None = None
        self._seen: tuple[tuple[Alert, ...], bool] | None = None  # what there is to mail; whether it is all
        self._log = AlertLog(house.settings.alerting.remind_every)
        self._told: dict[str, Told] = {}
        self._looked_at: dict[str, Progress] = {}  # and what it says is told
        self._tried: dict[str, datetime] = {}
        # Whose accounts are all young, seen when, until when: nothing is read before.
        self._counted: tuple[frozenset[str], datetime, datetime] | None = None
        self._away_since: datetime | None = None
        self._full_since: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        every = self._settings.alerting.every.total_seconds()
        ledger_every = self._settings.alerting.ledger_every.total_seconds()
        sender = make_alert_sender(self._house)
        self._postman = make_postman(self._house, sender, self._clock) if sender is not None else None
        turning = [
            asyncio.create_task(self._again_and_again(self.tell, min(TELL_EVERY, every))),
            asyncio.create_task(self._again_and_again(self.look, every)),
            asyncio.create_task(self._again_and_again(self.mail, every)),
            asyncio.create_task(self._again_and_again(self.reckon_what_is_due, min(TURN_MOST, ledger_every))),
            asyncio.create_task(self._again_and_again(self._ways.look_again, TURN_MOST)),
        ]
        try:
            await stop.wait()
        finally:
            for task in turning:
                task.cancel()
            await asyncio.gather(*turning, return_exceptions=True)
            if sender is not None:
                await sender.close()

    async def _again_and_again(self, turn: Callable[[], Awaitable[object]], seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            try:
                await turn()
            except Exception as error:  # our fault: the next turn is the retry, the watchers must not suffer
                log.error("lookout: %s", type(error).__name__)

    # --- alerts

    async def look(self) -> tuple[Alert, ...]:
        """One look: what the watchers tell, then what follows from all that is known."""
        await self.tell()
        at = self._clock()
        try:
            facts = await self._gatherer.facts(at, counted=False)
        except Temporary:
            self._away_since = self._away_since or at
            alerts: tuple[Alert, ...] = (database_away(self._away_since, self._settings),)
            self._seen = (alerts, False)
        else:
            self._away_since, leads = None, self._leads()
            alerts = alerts_of(self._settings, facts, at) if leads else ()
            if self._full_since is not None:
                alerts = (database_full(self._full_since, self._settings), *alerts)
            self._seen = (alerts, leads)
        for line in self._log.lines(alerts, at):
            log.log(logging.ERROR if line.is_urgent else logging.WARNING, "%s", line.text)
        return alerts

    async def mail(self) -> None:
        """What was seen last, to whom the settings say: apart from the looks, which must not wait for an operator."""
        if self._postman is not None and self._seen is not None:
            alerts, is_whole = self._seen
            await self._postman.tell(alerts, is_whole=is_whole)

    async def tell(self) -> None:
        """Write what changed. A database that can be read and not written is an alert of its own."""
        try:
            await self._tell(self._clock())
        except Temporary:
            self._full_since = self._full_since or self._clock()
        else:
            self._full_since = None

    async def _tell(self, at: datetime) -> None:
        changed, looked_at = {}, {}
        for name, watcher in self._watchers.items():
            progress = watcher.progress
            if progress is self._looked_at.get(name):  # it is replaced as a whole
                continue
            if progress.state is WatcherState.STOPPED:
                self._told.pop(name, None)
                continue
            before = self._told.get(name)
            told = _told(name, progress, before, at)
            if before is None or replace(told, told_at=before.told_at) != before:
                changed[name] = told
            looked_at[name] = progress
        await self._spool.tell(changed.values())
        self._told |= changed
        self._looked_at |= looked_at

    # --- accounts

    async def reckon_what_is_due(self) -> None:
        """Count each mailbox of ours whose last account is too old, one after the other."""
        read = [box for box in self._settings.mailboxes if self._is_read(box)]
        names, at = frozenset(box.name for box in read), self._clock()
        if self._counted is not None and self._counted[0] == names and self._counted[1] <= at < self._counted[2]:
            return
        kept = await self._spool.reckonings()
        last = {box.name: kept[box.name].at if box.name in kept else None for box in read}
        due = [box for box in read if self._is_due(box, last[box.name])]
        for box in due:
            self._tried[box.name] = self._clock()
            await self._reckon(box)
        oldest = min((moment for moment in last.values() if moment is not None), default=at)
        is_young = not due and None not in last.values() and oldest <= at
        self._counted = (names, at, oldest + self._settings.alerting.ledger_every) if is_young else None

    def _is_read(self, box: Mailbox) -> bool:
        """Ours, and its server answers: one that is down would only hold up the others."""
        watcher = self._watchers.get(box.name)
        progress = watcher.progress if watcher is not None else Progress()
        return progress.state in (WatcherState.COMPARING, WatcherState.WAITING) and not progress.failures

    def _is_due(self, box: Mailbox, last: datetime | None) -> bool:
        at, every = self._clock(), self._settings.alerting.ledger_every
        tried = self._tried.get(box.name)
        rested = tried is None or abs(at - tried) >= min(RETRY, every)
        return rested and (last is None or abs(at - last) >= every)  # a time ahead: the clock was put back since

    async def _reckon(self, box: Mailbox) -> None:
        try:
            account = await self._reckoner.reckon(box)
        except HubError as error:
            log.warning("mailbox %s: not counted: %s", box.name, error.private)
            return
        if not account.balances:
            log.info("mailbox %s: its account shows %d difference(s)", box.name, account.differences)


def _told(name: str, progress: Progress, before: Told | None, at: datetime) -> Told:
    failing_since = None
    if progress.failures:
        failing_since = (before.failing_since if before else None) or progress.failed_at or at
    return Told(
        mailbox=name,
        began_at=before.began_at if before else at,
        told_at=at,
        uidvalidity=progress.uidvalidity,
        failures=progress.failures,
        last_error=progress.last_error if progress.failures else "",
        failing_since=failing_since,
        skipped=tuple((skipped.uid, skipped.reason) for skipped in progress.skipped),
        mark_error=progress.mark_error,
    )
