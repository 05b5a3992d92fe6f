"""The spool's side of the ledger: what became of each UID that was met in one epoch of a mailbox.

Out flow pages of `Met`, by UID: short reads and little memory however many messages a mailbox ever had. The last
account of each mailbox (`Reckoned`) is kept here too. Failures: Temporary (database away).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Table, and_, bindparam, case, func, select
from sqlalchemy.engine import Connection

from hub.spool import statements as sql
from hub.spool.side import Side
from hub.spool.states import MessageState, StepState
from hub.tables import ReckoningRow

PAGE = 2_000  # UIDs in one read: short for the database, and for the event loop that counts them
RANGES_MOST = 2_000  # characters of `Reckoned.unknown`

_RECKONING: Table = ReckoningRow.__table__  # type: ignore[attr-defined]


class Fate(StrEnum):
    """Where a message stands. A DONE message is what the strongest of its deeds made of it."""

    FILED = "filed"
    DELIVERED = "delivered"
    REFUSED = "refused"
    NOTED = "noted"  # done without a deed: receipts, auto-replies, what a human dismissed
    WAITING = "waiting"  # accepted, or some step is still to do
    HELD = "held"  # before a human
    IN_ERROR = "in_error"  # before a human, because a deed failed


@dataclass(frozen=True, slots=True)
class Met:
    """One UID that was accepted. A twin has the fate of the message that it stands for."""

    uid: int
    fate: Fate
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoned:
    """One whole account of a mailbox, as it is kept (the columns of `hub.tables.ReckoningRow`)."""

    mailbox: str
    at: datetime
    uidvalidity: int
    uidnext: int | None
    announced: int
    filed: int
    delivered: int
    refused: int
    noted: int
    waiting: int
    held: int
    in_error: int
    fresh: int
    skipped: int
    gone: int
    differences: int
    unknown: str
    differs_since: datetime | None = None


# The strongest deed has the highest rank; 0 is NOTED.
_RANKED = (Fate.NOTED, Fate.REFUSED, Fate.DELIVERED, Fate.FILED)
_RANKS = {"refusal": 1, "handover": 2, "delivery": 2, "filing": 3}

_PAGE = (
    select(sql.SEEN.c.uid, sql.SEEN.c.message)
    .where(
        sql.SEEN.c.mailbox == bindparam("box"),
        sql.SEEN.c.uidvalidity == bindparam("epoch"),
        sql.SEEN.c.uid > bindparam("above"),
        sql.SEEN.c.uid <= bindparam("until"),
    )
    .order_by(sql.SEEN.c.uid)
    .limit(bindparam("most"))
    .subquery()
)
_RANK = case(
    *(
        (and_(sql.STEP.c.state == StepState.DONE.value, sql.STEP.c.type == kind), rank)
        for kind, rank in sorted(_RANKS.items(), key=lambda item: -item[1])
    ),
    else_=0,
)
_HAS_FAILED = case((sql.STEP.c.state == StepState.FAILED.value, 1), else_=0)
_READ_PAGE = (
    select(
        _PAGE.c.uid,
        sql.MESSAGE.c.state,
        sql.MESSAGE.c.received_at,
        func.max(_RANK).label("rank"),
        func.max(_HAS_FAILED).label("has_failed"),
    )
    .join(sql.MESSAGE, sql.MESSAGE.c.id == _PAGE.c.message)
    .outerjoin(sql.STEP, sql.STEP.c.message == _PAGE.c.message)
    .group_by(_PAGE.c.uid, sql.MESSAGE.c.state, sql.MESSAGE.c.received_at)
    .order_by(_PAGE.c.uid)
)
_READ_ONE = select(_RECKONING).where(_RECKONING.c.mailbox == bindparam("box"))
_READ_ALL = select(_RECKONING)


class LedgerSide(Side):
    async def met(self, mailbox: str, uidvalidity: int, above: int, until: int, most: int = PAGE) -> tuple[Met, ...]:
        """The accepted UIDs of this epoch above `above`, up to `until`, ascending; at most `most` of them."""
        asked = {"box": mailbox, "epoch": uidvalidity, "above": above, "until": until, "most": most}

        def work(connection: Connection) -> tuple[Met, ...]:
            return tuple(
                Met(uid, _fate(MessageState(state), rank, bool(has_failed)), received_at)
                for uid, state, received_at, rank, has_failed in connection.execute(_READ_PAGE, asked)
            )

        return await self._database.read(work)

    async def reckoned(self, account: Reckoned) -> None:
        """Keep the account in the place of the last one; since when it differs is kept too."""

        def work(connection: Connection) -> None:
            before = connection.execute(_READ_ONE, {"box": account.mailbox}).first()
            row = asdict(account)
            row["unknown"] = account.unknown[:RANGES_MOST]
            row["differs_since"] = None
            if account.differences:
                row["differs_since"] = (before.differs_since if before else None) or account.at
            if before is None:
                connection.execute(_RECKONING.insert(), row)
            else:
                connection.execute(_RECKONING.update().where(_RECKONING.c.mailbox == account.mailbox), row)

        await self._database.write(work)

    async def reckonings(self) -> dict[str, Reckoned]:
        """Mailbox -> its last whole account."""
        rows = await self._database.read(lambda c: c.execute(_READ_ALL).all())
        return {row.mailbox: Reckoned(**row._asdict()) for row in rows}


def _fate(state: MessageState, rank: int, has_failed: bool) -> Fate:
    if state is MessageState.HELD:
        return Fate.IN_ERROR if has_failed else Fate.HELD
    if state is not MessageState.DONE:
        return Fate.WAITING
    return _RANKED[rank]
