"""Runs the watchers of the mailboxes that this host has, and says whether it sweeps (docs/adr/0009-hosts-share.md).

In: the duties of the site and one watcher a mailbox. Every few seconds a look: watchers of mailboxes that became ours
begin, those of mailboxes that are no longer ours end. A look that does not succeed (database away, process stopped,
machine asleep) makes this host let go by itself well before another may take over. It joins again when the database
is back. An orderly stop gives everything back at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from hub.errors import HubError
from hub.settings import Hosts
from hub.spool.duties import SWEEP, Duties, Roll
from hub.worker.shares import Moves, moves

T = TypeVar("T")

log = logging.getLogger("hub.watching")

LEAVE_WITHIN = 5.0  # seconds for giving back at the end; else the lease ends by itself


class Runs(Protocol):
    """A watcher (`hub.imap.reader.Watcher`)."""

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True, slots=True)
class _Running:
    task: asyncio.Task[None]
    stop: asyncio.Event


def boot_time() -> float:
    """Seconds that never jump and go on while the machine sleeps, as those of other hosts do."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Watching:
    """`watchers`: duty -> its watcher. `run` it as a task of its own."""

    def __init__(
        self,
        duties: Duties,
        hosts: Hosts,
        watchers: Mapping[str, Runs],
        ticks: Callable[[], float] = boot_time,
    ) -> None:
        self.sweeps = asyncio.Event()  # set while this host is the one that sweeps
        self._duties = duties
        self._look_every = hosts.look_every.total_seconds()
        self._lease = hosts.lease.total_seconds()
        # Let go with time left for the watchers to end, whatever they are at (`reader.STOP_GRACE`).
        self._hold_most = max(self._lease / 2, self._lease - 10)
        # Alone, half as often: only a host that joins waits for it.
        self._look_alone = max(self._look_every, min(2 * self._look_every, self._hold_most / 2))
        self._watchers = watchers
        self._ticks = ticks
        self._joined = self._is_alone = False
        self._valid_until = 0.0
        self._running: dict[str, _Running] = {}
        self._free_since: dict[str, float] = {}
        self._given: dict[str, float] = {}
        self._kept: set[str] = set()
        self._living: tuple[str, ...] = ()
        self._settled: tuple[tuple[str, ...], Mapping[str, str]] | None = None  # who lives, who has what: nothing to do

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        looking = asyncio.create_task(self._looking())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({looking, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (looking, stopping):
                task.cancel()
            await asyncio.gather(looking, stopping, return_exceptions=True)
            await self._let_go_all()
            with contextlib.suppress(HubError, TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN):
                    await self._duties.leave()

    async def _looking(self) -> None:
        while True:
            if not await self._turn():
                await asyncio.sleep(self._look_alone if self._is_alone else self._look_every)

    async def _turn(self) -> bool:
        """One look and what follows from it; whether to look again at once."""
        try:
            began = self._ticks()
            roll = await self._in_time(self._duties.look if self._joined else self._duties.join)
            self._joined = roll is not None
            self._is_alone = roll is not None and len(roll.hosts) == 1
            if roll is None:
                log.warning("this host was taken for dead; it begins again")
                await self._let_go_all()
                return True
            self._valid_until = began + self._hold_most
            if self._is_settled(roll):
                return False
            await self._follow(roll)
            return await self._in_time(lambda: self._move(roll))
        except Exception as error:
            # The database is away or silent; or a fault of ours, which must not end the watchers.
            self._is_alone = False  # nobody knows
            why = error.private if isinstance(error, HubError) else type(error).__name__
            log.warning("the roll of the hosts cannot be read: %s", why)
            if self._holds_anything() and self._ticks() >= self._valid_until - self._look_every:
                log.error("no roll for too long: let go of %s mailbox(es)", len(self._running))
                await self._let_go_all()
        return False

    async def _in_time(self, deed: Callable[[], Awaitable[T]]) -> T:
        """Not longer than what we hold stays ours; when that is past already, let go before anything else."""
        left = self._valid_until - self._ticks()
        if self._holds_anything() and left <= 0:
            log.error("this host was stopped or slept: let go of %s mailbox(es)", len(self._running))
            await self._let_go_all()
        async with asyncio.timeout(left if self._holds_anything() else self._hold_most):
            return await deed()

    def _holds_anything(self) -> bool:
        return bool(self._running) or self.sweeps.is_set()

    def _is_settled(self, roll: Roll) -> bool:
        """As at the last look, after which nothing was left to do."""
        is_same = self._settled == (roll.living, roll.taken)
        return is_same and not any(running.task.done() for running in self._running.values())

    async def _follow(self, roll: Roll) -> None:
        """Run what is ours, no more and no less."""
        mine = roll.mine
        await self._let_go(self._running.keys() - mine)
        for duty, running in list(self._running.items()):
            if running.task.done():  # never seen: a watcher outlives its errors
                log.error("%s: its watcher ended; begun again", duty)
                del self._running[duty]
        for duty in self._watchers:
            if duty in mine and duty not in self._running:
                stop = asyncio.Event()
                task = asyncio.create_task(self._watchers[duty].run(stop), name=duty)
                self._running[duty] = _Running(task, stop)
                log.info("%s: watched here", duty)
        if SWEEP in mine:
            self.sweeps.set()
        else:
            self.sweeps.clear()

    async def _move(self, roll: Roll) -> bool:
        """Take and give back by the rule of `shares`; whether the roll is another now."""
        decided = self._decided(roll)
        self._settled = None
        wants = [(decided.wanted, decided.most)] if decided.wanted else []
        if SWEEP not in roll.taken:
            wants.append(((SWEEP,), 1))
        if wants:
            await self._duties.take(*wants)
            return True
        if decided.returned:
            await self._let_go(decided.returned)
            await self._duties.give_back(decided.returned)
            self._given |= dict.fromkeys(decided.returned, self._ticks())
        elif not self._free_since:  # else it is a question of time
            self._settled = roll.living, roll.taken
        return False

    def _decided(self, roll: Roll) -> Moves:
        now = self._ticks()
        if roll.living != self._living:
            self._living = roll.living
            self._kept.clear()
            self._given.clear()
        free = [duty for duty in self._watchers if duty not in roll.taken]
        self._free_since = {duty: self._free_since.get(duty, now) for duty in free}
        self._given = {duty: at for duty, at in self._given.items() if now - at < self._lease}
        left = {duty for duty, since in self._free_since.items() if now - since >= self._lease}
        decided = moves(
            tuple(self._watchers), roll.taken, roll.me, roll.living, kept=self._kept, left=left, given=self._given
        )
        self._kept |= left & set(decided.wanted)
        return decided

    async def _let_go(self, duties: Iterable[str]) -> None:
        """End these watchers, all at once."""
        ending = [self._running.pop(duty) for duty in list(duties)]
        for running in ending:
            running.stop.set()
        await asyncio.gather(*(running.task for running in ending), return_exceptions=True)

    async def _let_go_all(self) -> None:
        self.sweeps.clear()
        self._settled = None
        await self._let_go(self._running)
