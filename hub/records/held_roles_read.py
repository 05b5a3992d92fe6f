"""The reading side of held roles: rows out of the database as `hub.message.HeldRole`, with their contacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, String, and_, bindparam, or_, select
from sqlalchemy.engine import Connection

from hub.message import HeldRole, RoleLevel, comparable
from hub.records.contacts import CONTACT, contact_of, day_of
from hub.records.tenures import Tenure
from hub.records.usagers import USAGER
from hub.tables import HeldRoleRow

HELD = HeldRoleRow.__table__  # type: ignore[attr-defined]

HELD_MOST = 2_000  # of one usager, territory or site, history included

_COLUMNS = [HELD.c[name].label(f"held_{name}") for name in HELD.columns.keys()]  # noqa: SIM118 (no dict)
_HELD = (
    select(*_COLUMNS, USAGER.c.record_number, CONTACT)
    .join(CONTACT, CONTACT.c.id == HELD.c.contact)
    .outerjoin(USAGER, USAGER.c.id == HELD.c.usager)
)
_IN_ORDER = (HELD.c.role, HELD.c.since, HELD.c.said_at, HELD.c.withdrawn_at.is_(None), HELD.c.id)
_TRUE = HELD.c.withdrawn_at.is_(None)
EVERYWHERE = ""  # the territory of what is held for the whole site


@dataclass(frozen=True, slots=True, kw_only=True)
class For:
    """For whom a role is held: an usager (id), a territory, or, with neither, the whole site."""

    usager_id: str | None = None
    territory: str | None = None

    @property
    def level(self) -> RoleLevel:
        return "usager" if self.usager_id else "territory" if self.territory else "site"

    @property
    def territory_key(self) -> str | None:
        """The compared form; that of the whole site, or None for an usager."""
        return None if self.usager_id else comparable(self.territory) or EVERYWHERE


# Asked together, the two would read the whole table.
_TERRITORY = select(USAGER.c.territory).where(USAGER.c.id == bindparam("wanted"))
_OF_USAGER = _HELD.where(and_(HELD.c.usager == bindparam("wanted"), _TRUE)).order_by(*_IN_ORDER).limit(HELD_MOST)
_BY_DEFAULT = (
    _HELD.where(and_(HELD.c.territory_key.in_((bindparam("place", type_=String), EVERYWHERE)), _TRUE))
    .order_by(*_IN_ORDER)
    .limit(HELD_MOST)
)


_TENURES = select(HELD.c.id, HELD.c.contact, HELD.c.since, HELD.c.until).where(
    and_(HELD.c.role == bindparam("which"), _TRUE)
)
_TENURES_OF_USAGER = _TENURES.where(HELD.c.usager == bindparam("wanted"))
_TENURES_OF_PLACE = _TENURES.where(HELD.c.territory_key == bindparam("wanted"))


def held_roles(connection: Connection, usager_id: str) -> tuple[HeldRole, ...]:
    """See `hub.ports.Records.held_roles`."""
    lives = connection.execute(_TERRITORY, {"wanted": usager_id}).first()
    place = comparable(lives.territory) if lives is not None else None
    rows = (
        *connection.execute(_OF_USAGER, {"wanted": usager_id}).all(),
        *connection.execute(_BY_DEFAULT, {"place": place or EVERYWHERE}).all(),
    )
    return tuple(_held_role_of(row) for row in rows)


def is_for(whom: For) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = HELD.c.territory_key == whom.territory_key
    if whom.usager_id is not None:
        condition = HELD.c.usager == whom.usager_id
    return condition


def read_roles(connection: Connection, condition: ColumnElement[bool]) -> tuple[HeldRole, ...]:
    """In the order of the days."""
    rows = connection.execute(_HELD.where(condition).order_by(*_IN_ORDER).limit(HELD_MOST))
    return tuple(_held_role_of(row) for row in rows.all())


def still_true(connection: Connection, whom: For, role: str) -> tuple[HeldRole, ...]:
    """What is true of one role of somebody, whatever the day."""
    return read_roles(connection, and_(is_for(whom), HELD.c.role == role, _TRUE))


def tenures_of(connection: Connection, whom: For, role: str) -> dict[Tenure, str]:
    """The same as tenures, with the id of the row of each. Asked for each line of a file: by statements made once."""
    statement = _TENURES_OF_PLACE if whom.usager_id is None else _TENURES_OF_USAGER
    rows = connection.execute(statement, {"wanted": whom.usager_id or whom.territory_key, "which": role}).all()
    return {Tenure(row.contact, date.fromisoformat(row.since), day_of(row.until)): row.id for row in rows}


def to_hand_over(connection: Connection, contact_id: str, since: date) -> list[tuple[For, HeldRole]]:
    """What a contact holds on a day, or will hold after it, and for whom."""
    goes_on = or_(HELD.c.until.is_(None), HELD.c.until >= since.isoformat())
    rows = connection.execute(_HELD.where(and_(HELD.c.contact == contact_id, goes_on, _TRUE)).order_by(*_IN_ORDER))
    return [(For(usager_id=row.held_usager, territory=row.held_territory), _held_role_of(row)) for row in rows.all()]


def _held_role_of(row: Any) -> HeldRole:
    since = day_of(row.held_since)
    assert since is not None
    return HeldRole(
        id=row.held_id,
        role=row.held_role,
        contact=contact_of(row),
        level=For(usager_id=row.held_usager, territory=row.held_territory).level,
        since=since,
        until=day_of(row.held_until),
        territory=row.held_territory,
        record_number=row.record_number,
        said_at=row.held_said_at,
        said_by=row.held_said_by,
        withdrawn_at=row.held_withdrawn_at,
        withdrawn_by=row.held_withdrawn_by,
    )
