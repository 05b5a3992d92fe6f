"""Whom a submission may be about: the records' side of `hub.message.Asked`. Compares and decides nothing.

Every question is answered by an index and bounded, so that the cost stays flat with the number of usagers. A bound that
is reached is told (`Subjects.is_whole`): the mind then takes nobody for the only one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, bindparam, or_, select, union
from sqlalchemy.engine import Connection

from hub.message import Asked, Identity, Subjects, Usager, comparable
from hub.records.usagers import ALL_USAGERS, USAGER, usager_of
from hub.tables import DocumentRow, MessageRow, SendingRow

DOCUMENT = DocumentRow.__table__  # type: ignore[attr-defined]
MESSAGE = MessageRow.__table__  # type: ignore[attr-defined]
SENDING = SendingRow.__table__  # type: ignore[attr-defined]

FOUND_MOST = 50  # by number, INS, thread, or name and date together
ALIKE_MOST = 200  # by a name alone
BORN_MOST = 1_000  # by a date alone: many children without papers are born on a first of January
VALUES_MOST = 400  # asked in one question


def _asked(name: str) -> Any:
    return bindparam(name, expanding=True)


def _has_name(parameter: str) -> ColumnElement[bool]:
    return or_(USAGER.c.birth_name_key.in_(_asked(parameter)), USAGER.c.used_name_key.in_(_asked(parameter)))


def _up_to(most: int, condition: ColumnElement[bool]) -> Any:
    return ALL_USAGERS.where(condition).limit(most)


_BY_INS = _up_to(FOUND_MOST, USAGER.c.ins.in_(_asked("ins")))
_BY_NUMBER = _up_to(FOUND_MOST, USAGER.c.record_number.in_(_asked("numbers")))
_BY_ID = _up_to(FOUND_MOST, USAGER.c.id.in_(_asked("ids")))
_BY_NAME_AND_DATE = _up_to(FOUND_MOST, USAGER.c.birth_date.in_(_asked("dates")) & _has_name("names"))
_BY_NAME_AND_NEAR_DATE = _up_to(
    FOUND_MOST, or_(USAGER.c.birth_date.in_(_asked("near")), USAGER.c.birth_date.is_(None)) & _has_name("names")
)
_BY_DATE = _up_to(BORN_MOST, USAGER.c.birth_date.in_(_asked("dates")))
_BY_NAME = _up_to(ALIKE_MOST, _has_name("names"))

_MESSAGE_ID = MESSAGE.c.message_id.in_(_asked("message_ids"))
_THREAD = union(
    select(DOCUMENT.c.usager).join(MESSAGE, MESSAGE.c.id == DOCUMENT.c.message).where(_MESSAGE_ID),
    # what one of ours submitted before, as it left their mail program, and as we sent it
    select(SENDING.c.usager).join(MESSAGE, MESSAGE.c.id == SENDING.c.message).where(_MESSAGE_ID),
    select(SENDING.c.usager).where(SENDING.c.message_id.in_(_asked("message_ids"))),
).limit(FOUND_MOST)


def subjects(connection: Connection, asked: Asked) -> Subjects:
    """See `hub.ports.Records.subjects`."""
    look = _Look(connection)
    readings = [reading for clue in asked.clues for reading in clue.readings]
    thread = look.thread({one for clue in asked.clues for one in clue.message_ids})
    named = [
        *look.usagers(_BY_NUMBER, FOUND_MOST, numbers={number for clue in asked.clues for number in clue.numbers}),
        *look.usagers(_BY_INS, FOUND_MOST, ins={one.ins for one in readings if one.ins}),
        *look.usagers(_BY_ID, FOUND_MOST, ids=set(thread)),
    ]
    stated = {one.birth_date for one in readings if one.birth_date}
    names = _names(readings)
    alike = [
        *look.usagers(_BY_NAME_AND_DATE, FOUND_MOST, dates=stated, names=names),
        *look.usagers(_BY_NAME_AND_NEAR_DATE, FOUND_MOST, near=set(asked.near_dates), names=names),
        *look.usagers(_BY_DATE, BORN_MOST, dates=stated),
    ]
    undated = _names(one for one in readings if not one.birth_date)
    siblings = _names(one.identity for one in named)
    more = look.usagers(_BY_NAME, ALIKE_MOST, names=undated | siblings)
    return Subjects(
        usagers=tuple({one.id: one for one in (*named, *alike, *more)}.values()),
        thread=thread,
        is_whole=look.is_whole,
    )


def _names(identities: Iterable[Identity]) -> set[str]:
    stated = (name for one in identities for name in (comparable(one.birth_name), comparable(one.used_name)))
    return {name for name in stated if name}


class _Look:
    """Asks, and remembers whether every answer was whole."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.is_whole = True

    def usagers(self, statement: Any, most: int, **asked: set[str]) -> list[Usager]:
        """Nobody when one of the sets is empty."""
        if not all(asked.values()):
            return []
        rows = self._connection.execute(statement, {name: self._bounded(of) for name, of in asked.items()}).all()
        self.is_whole = self.is_whole and len(rows) < most
        return [usager_of(row) for row in rows]

    def thread(self, message_ids: set[str]) -> tuple[str, ...]:
        """Ids of usagers, in order."""
        if not message_ids:
            return ()
        asked = {"message_ids": self._bounded(message_ids)}
        rows = [row.usager for row in self._connection.execute(_THREAD, asked)]
        self.is_whole = self.is_whole and len(rows) < FOUND_MOST
        return tuple(sorted(one for one in rows if one is not None))

    def _bounded(self, values: set[str]) -> list[str]:
        self.is_whole = self.is_whole and len(values) <= VALUES_MOST
        return sorted(values)[:VALUES_MOST]
