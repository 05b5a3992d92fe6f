"""The work list: what a human must decide, one open line for each message and subject.

In: the Hold steps of a plan. Out: lines for `hub held` and the pages, closed when somebody decided. Reasons may quote
traits and are sealed; their codes stand in clear and may be logged. A line whose reasons were altered is still shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select, update
from sqlalchemy.engine import Connection

from hub.encoding import decode, encode
from hub.errors import Damaged
from hub.ids import new_id
from hub.message import Done, Hold, Outcome, Reason
from hub.ports import Effect, Sealer
from hub.tables import WorkRow

_WORK = WorkRow.__table__  # type: ignore[attr-defined]

UNREADABLE = Reason("unreadable", "Les motifs de cette ligne ne peuvent plus être relus : ouvrez le message d'origine.")

_OPEN = select(_WORK.c.id).where(
    _WORK.c.message == bindparam("of"), _WORK.c.about == bindparam("subject"), _WORK.c.closed_at.is_(None)
)
_ADD = insert(_WORK)
_CLOSE = (
    update(_WORK)
    .where(_WORK.c.message == bindparam("of"), _WORK.c.closed_at.is_(None))
    .values(closed_at=bindparam("at"), closed_by=bindparam("by"), decision=bindparam("decided"))
)
_ALL = select(_WORK).order_by(_WORK.c.opened_at.desc(), _WORK.c.id).limit(bindparam("most"))
_ALL_OPEN = (
    select(_WORK).where(_WORK.c.closed_at.is_(None)).order_by(_WORK.c.opened_at, _WORK.c.id).limit(bindparam("most"))
)
_OF_MESSAGE = select(_WORK).where(_WORK.c.message == bindparam("of")).order_by(_WORK.c.opened_at, _WORK.c.id)

_COUNT_OPEN = select(func.count()).where(_WORK.c.closed_at.is_(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One line: `codes` may be logged, `hold` may not (it quotes traits). Open while `closed_at` is None."""

    id: str
    message: str
    about: str
    codes: tuple[str, ...]
    hold: Hold
    opened_at: datetime
    closed_at: datetime | None = None
    closed_by: str | None = None
    decision: str = ""


def codes_of(hold: Hold) -> tuple[str, ...]:
    """Each code once, in order; the official one of the match (902 to 906) included."""
    codes = [reason.code for reason in hold.reasons]
    if hold.match is not None and hold.match.code is not None:
        codes.append(str(hold.match.code))
    return tuple(dict.fromkeys(codes))


def holding(message_id: str, hold: Hold, sealer: Sealer, now: datetime) -> Effect:
    line = new_id(now)
    row = {
        "id": line,
        "message": message_id,
        "about": hold.about,
        "codes": " ".join(codes_of(hold)),
        "reasons": sealer.seal(encode(hold), _aad(line)),
        "opened_at": now,
        "decision": "",
    }

    def effect(connection: Connection) -> Outcome:
        if connection.execute(_OPEN, {"of": message_id, "subject": hold.about}).first():
            return Done("already held")
        connection.execute(_ADD, row)
        return Done("held")

    return effect


def closing(message_id: str, by: str, decision: str, now: datetime) -> Effect:
    def effect(connection: Connection) -> Outcome:
        connection.execute(_CLOSE, {"of": message_id, "at": now, "by": by, "decided": decision})
        return Done("closed")

    return effect


def work(connection: Connection, sealer: Sealer, open_only: bool, limit: int) -> tuple[WorkItem, ...]:
    """Open lines oldest first; with the closed ones, newest first."""
    statement = _ALL_OPEN if open_only else _ALL
    return tuple(_item(row, sealer) for row in connection.execute(statement, {"most": limit}))


def count_open(connection: Connection) -> int:
    return connection.execute(_COUNT_OPEN).scalar_one()


def work_of(connection: Connection, sealer: Sealer, message_id: str) -> tuple[WorkItem, ...]:
    return tuple(_item(row, sealer) for row in connection.execute(_OF_MESSAGE, {"of": message_id}))


def _aad(line: str) -> bytes:
    return f"work:{line}:reasons".encode()


def _item(row: Row[Any], sealer: Sealer) -> WorkItem:
    try:
        hold = decode(sealer.open(row.reasons, _aad(row.id)), Hold)
    except Damaged:
        hold = Hold(about=row.about, reasons=(UNREADABLE,))
    return WorkItem(
        id=row.id,
        message=row.message,
        about=row.about,
        codes=tuple(row.codes.split()),
        hold=hold,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        closed_by=row.closed_by,
        decision=row.decision,
    )
