"""The spool's side of the lookout: far-end marks, from which alerts and metrics are made (`hub.alerts`).

A process that lives proves nothing (complaints.md, row 1): what counts is what reached the database, and when. In flows
what the watchers tell of themselves; out flows one `Look`, read in one transaction whose cost does not grow with what
was ever received.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Row, Table, bindparam, func, or_, select
from sqlalchemy.engine import Connection

from hub import journal
from hub.spool import statements as sql
from hub.spool.kept import KeptTable
from hub.spool.ledger import Reckoned
from hub.spool.side import Side
from hub.spool.states import CARRIED_STATES
from hub.tables import ProgressRow, ReckoningRow

# What workers journal: any of these shows that one of them lives and gets somewhere.
CARRYING_DEEDS = ("plan", "filing", "delivery", "handover", "receipt", "refusal", "hold", "postpone", "rethink")

_PROGRESS: Table = ProgressRow.__table__  # type: ignore[attr-defined]
_RECKONING: Table = ReckoningRow.__table__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the watcher of a mailbox last told of itself (`hub.imap.progress`). `skipped`: (UID, why)."""

    mailbox: str
    began_at: datetime
    told_at: datetime
    uidvalidity: int | None = None
    failures: int = 0
    last_error: str = ""
    failing_since: datetime | None = None
    skipped: tuple[tuple[int, str], ...] = ()
    mark_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """`last_uid` of this epoch is compared; `compared_at`: when a comparison last came to its end."""

    mailbox: str
    uidvalidity: int
    last_uid: int
    compared_at: datetime


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many messages, the oldest since when."""

    count: int = 0
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """All marks at one moment. Mailboxes are named as in the settings. `late`: due and in nobody's hands before
    `late_before`; `long`: set out before `long_before`, still under way; `carried_at`: the last deed of any worker
    (None when it is not among the last deeds of the hub)."""

    due: Crowd
    late: Crowd
    long: Crowd
    carried_at: datetime | None
    journal: int
    cursors: Mapping[str, Cursor]
    accepted_at: dict[str, datetime]  # of the newest message of the present epoch
    unmarked: dict[str, int]
    told: Mapping[str, Told]
    reckoned: Mapping[str, Reckoned]


_IS_CARRIED = sql.MESSAGE.c.state.in_(CARRIED_STATES)
_DUE = select(func.count(), func.min(sql.MESSAGE.c.due_at)).where(_IS_CARRIED, sql.MESSAGE.c.due_at <= bindparam("now"))
_LATE = select(func.count(), func.min(sql.MESSAGE.c.due_at)).where(
    _IS_CARRIED,
    sql.MESSAGE.c.due_at < bindparam("before"),
    or_(sql.MESSAGE.c.lease_owner.is_(None), sql.MESSAGE.c.lease_until < bindparam("before")),
)
_LONG = select(func.count(), func.min(sql.MESSAGE.c.set_out_at)).where(
    _IS_CARRIED, sql.MESSAGE.c.set_out_at < bindparam("before")
)
_UNMARKED = select(sql.SEEN.c.mailbox, func.count()).where(sql.SEEN.c.marked_at.is_(None)).group_by(sql.SEEN.c.mailbox)
_TOLD = select(_PROGRESS).where(_PROGRESS.c.mailbox == bindparam("mailbox"))
# UIDs are taken in ascending order: the highest of an epoch is the newest, and the primary key finds it.
_NEWEST = select(
    _PROGRESS.c.mailbox,
    select(sql.SEEN.c.seen_at)
    .where(sql.SEEN.c.mailbox == _PROGRESS.c.mailbox, sql.SEEN.c.uidvalidity == _PROGRESS.c.uidvalidity)
    .order_by(sql.SEEN.c.uid.desc())
    .limit(1)
    .scalar_subquery()
    .label("seen_at"),
)


class LookoutSide(Side):
    @cached_property
    def _cursors(self) -> KeptTable[Cursor]:
        return KeptTable(sql.CURSOR, lambda row: Cursor(**row._asdict()))

    @cached_property
    def _all_told(self) -> KeptTable[Told]:
        return KeptTable(_PROGRESS, _told)

    @cached_property
    def _reckoned(self) -> KeptTable[Reckoned]:
        return KeptTable(_RECKONING, lambda row: Reckoned(**row._asdict()))

    async def tell(self, told: Iterable[Told]) -> None:
        """Keep what watchers tell, each in the place of what it told before."""
        rows = [_row(one) for one in told]
        if not rows:
            return

        def work(connection: Connection) -> None:
            for row in rows:
                mine = _PROGRESS.c.mailbox == row["mailbox"]
                if connection.execute(_PROGRESS.update().where(mine), row).rowcount == 0:
                    connection.execute(_PROGRESS.insert(), row)

        await self._database.write(work)

    async def told_by_watcher(self, mailbox: str) -> Told | None:
        """What it last told."""
        row = await self._database.read(lambda c: c.execute(_TOLD, {"mailbox": mailbox}).first())
        return _told(row) if row is not None else None

    async def look(self, now: datetime, late_before: datetime, long_before: datetime) -> Look:
        def work(connection: Connection) -> Look:
            return Look(
                due=Crowd(*connection.execute(_DUE, {"now": now}).one()),
                late=Crowd(*connection.execute(_LATE, {"before": late_before}).one()),
                long=Crowd(*connection.execute(_LONG, {"before": long_before}).one()),
                carried_at=journal.newest(connection, CARRYING_DEEDS),
                journal=journal.length(connection),
                cursors=self._cursors.read(connection),
                accepted_at={box: at for box, at in connection.execute(_NEWEST) if at is not None},
                unmarked={box: count for box, count in connection.execute(_UNMARKED) if box is not None},
                told=self._all_told.read(connection),
                reckoned=self._reckoned.read(connection),
            )

        return await self._database.read(work)


def _row(told: Told) -> dict[str, object]:
    return asdict(told) | {"skipped": "\n".join(f"{uid} {reason}" for uid, reason in told.skipped)}


def _told(row: Row[Any]) -> Told:
    known = row._asdict()
    pairs = (line.partition(" ") for line in known["skipped"].splitlines())
    return Told(**known | {"skipped": tuple((int(uid), reason) for uid, _, reason in pairs)})
