"""Which host does what: each mailbox is watched by one host of the site, and one host sweeps (docs/adr/0009).

A host that watches has a row (`host`); each duty that it took is a row that goes with it (`duty`). No clock is compared
with another: whoever sees other hosts in a look lets its own `beats` grow, and a host is dead when its beats have stood
still for a whole lease of the looker's own clock, while the looker's looks succeeded. One that surely died on this very
machine is not waited for. A host alone writes nothing.

In flow names of duties; out flows the roll: who lives, who has what. Every write names the beats or the host that it
was decided on, and changes nothing when they moved on. A lost database raises Temporary.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Executable, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hub.database import Database, storable
from hub.ports import Clock
from hub.spool.incarnation import Incarnation, is_surely_dead
from hub.tables import DutyRow, HostRow

SWEEP = "sweep"

_HOST: Table = HostRow.__table__  # type: ignore[attr-defined]
_DUTY: Table = DutyRow.__table__  # type: ignore[attr-defined]
_READ_HOSTS = select(_HOST.c.id, _HOST.c.name, _HOST.c.beats, _HOST.c.started_at)
# The names of a host in one text: the roll of a quiet hub, which did not change, is then compared and not read.
_READ_DUTIES = select(_DUTY.c.host, func.aggregate_strings(_DUTY.c.name, "\n")).group_by(_DUTY.c.host)
_JOIN = insert(_HOST)
_BEAT = update(_HOST).where(_HOST.c.id == bindparam("me")).values(beats=_HOST.c.beats + 1)
_BURY = delete(_HOST).where(_HOST.c.id == bindparam("dead"), _HOST.c.beats == bindparam("seen"))
_LEAVE = delete(_HOST).where(_HOST.c.id == bindparam("me"))
_GIVE_BACK = delete(_DUTY).where(_DUTY.c.name == bindparam("duty"), _DUTY.c.host == bindparam("me"))
_TAKE: dict[str, Executable] = {
    "sqlite": sqlite.insert(_DUTY).on_conflict_do_nothing().returning(_DUTY.c.name),
    "postgresql": postgresql.insert(_DUTY).on_conflict_do_nothing().returning(_DUTY.c.name),
}


def mailbox_duty(name: str) -> str:
    return f"mailbox {name}"


@dataclass(frozen=True, slots=True)
class HostSeen:
    """One host as a look found it."""

    id: str
    name: str
    beats: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Roll:
    """One look: the hosts that are not known to be dead, and who has each duty that is taken."""

    me: str
    hosts: tuple[HostSeen, ...]
    taken: Mapping[str, str]

    @property
    def mine(self) -> frozenset[str]:
        return frozenset(name for name, host in self.taken.items() if host == self.me)

    @property
    def living(self) -> tuple[str, ...]:
        return tuple(sorted(host.id for host in self.hosts))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Who has what, as the database told it: (host, its duties, one a line)."""

    lines: frozenset[tuple[str, str]]
    taken: Mapping[str, str]


def roll_of(connection: Connection, me: str = "") -> Roll:
    return _roll_of(connection, me, None)[0]


def _roll_of(connection: Connection, me: str, before: _Drawn | None) -> tuple[Roll, _Drawn]:
    hosts = tuple(HostSeen(*row) for row in connection.execute(_READ_HOSTS))
    lines = frozenset((host, names) for host, names in connection.execute(_READ_DUTIES))
    if before is not None and before.lines == lines:
        drawn = before
    else:
        drawn = _Drawn(lines, {name: host for host, names in lines for name in names.split("\n")})
    return Roll(me, hosts, drawn.taken), drawn


class Duties:
    """One host's hand on the duties of its site. Used by one task at a time."""

    def __init__(
        self,
        database: Database,
        me: Incarnation,
        lease: timedelta,
        clock: Clock,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.me = me
        self._database = database
        self._lease = lease.total_seconds()
        self._clock = clock
        self._ticks = ticks
        self._met: dict[str, tuple[int, float]] = {}  # host -> its beats, since when they stand still
        self._drawn: _Drawn | None = None

    async def join(self) -> Roll | None:
        """Enter the host's row, and bury those that surely died on this machine; then as `look`."""
        mine = {"id": self.me.id, "name": storable(self.me.name), "beats": 0, "started_at": self._clock()}

        def work(connection: Connection) -> None:
            for host in roll_of(connection).hosts:
                if is_surely_dead(host.id, self.me.id):
                    connection.execute(_BURY, {"dead": host.id, "seen": host.beats})
            connection.execute(_LEAVE, {"me": self.me.id})
            connection.execute(_JOIN, mine)

        self._met.clear()
        await self._database.write(work)
        return await self.look()

    async def look(self) -> Roll | None:
        """Read the roll, beat when others are there, bury the dead. None: this host was taken for dead."""
        try:
            roll = await self._read()
            others = [host for host in roll.hosts if host.id != self.me.id]
            if len(others) == len(roll.hosts):
                return None
            if others:
                await self._database.write(lambda c: c.execute(_BEAT, {"me": self.me.id}).rowcount)
            dead = [host for host in others if self._is_dead(host)]
            if dead:
                await self._database.write(lambda c: _bury(c, dead))
                roll = await self._read()
        except BaseException:
            # While we could not look nobody's beats could be seen, and perhaps none written: count anew.
            self._met.clear()
            raise
        self._met = {host.id: self._met[host.id] for host in roll.hosts if host.id in self._met}
        return roll

    async def _read(self) -> Roll:
        before = self._drawn
        roll, self._drawn = await self._database.read(lambda c: _roll_of(c, self.me.id, before), brief=True)
        return roll

    def _is_dead(self, host: HostSeen) -> bool:
        if is_surely_dead(host.id, self.me.id):
            return True
        now, met = self._ticks(), self._met.get(host.id)
        if met is None or met[0] != host.beats:
            self._met[host.id] = (host.beats, now)
            return False
        return now - met[1] >= self._lease

    async def take(self, *wants: tuple[Sequence[str], int]) -> None:
        """Of each list of duties take up to so many, as far as they are free; the next look tells which. A host that
        was taken for dead gets none."""
        now = self._clock()

        def work(connection: Connection) -> None:
            for names, most in wants:
                room = most
                for name in names:
                    if room > 0:
                        row = {"name": name, "host": self.me.id, "taken_at": now}
                        room -= connection.execute(_TAKE[connection.dialect.name], row).first() is not None

        with contextlib.suppress(IntegrityError):  # our host's row is gone: the next look says so
            await self._database.write(work)

    async def give_back(self, names: Iterable[str]) -> None:
        places = [{"duty": name, "me": self.me.id} for name in names]
        if places:
            await self._database.write(lambda c: c.execute(_GIVE_BACK, places).rowcount)

    async def leave(self) -> None:
        """Give everything back."""
        await self._database.write(lambda c: c.execute(_LEAVE, {"me": self.me.id}).rowcount)


def _bury(connection: Connection, dead: list[HostSeen]) -> None:
    for host in dead:
        connection.execute(_BURY, {"dead": host.id, "seen": host.beats})
