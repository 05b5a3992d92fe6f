"""What people and reports ask about what was sent: which sendings, where each recipient stands, what was heard.

Reads only. A list is bounded by its caller; what needs a person is found by the index on rungs and times, reports that
are about nothing by an index of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, func, or_, select, true
from sqlalchemy.engine import Connection

from hub.ids import NAMED_MOST
from hub.message import Rung, Sending
from hub.records.sendings import NEWS, SENDING, SENT_TO, sending_of
from hub.settings import URGENT
from hub.tables import MessageRow, UsagerRow

_MESSAGE: Table = MessageRow.__table__  # type: ignore[attr-defined]
_USAGER: Table = UsagerRow.__table__  # type: ignore[attr-defined]

KEYS_MOST = 64
_SILENCEABLE = tuple(
    rung.value for rung in (Rung.PREPARED, Rung.SUBMITTED, Rung.DELIVERED, Rung.DELAYED, Rung.UNCERTAIN)
)
_TO_LOOK_AT = (Rung.FAILED.value, Rung.UNCERTAIN.value)
# Written out in the statement: an index on some rows (ix_message_reports) is not chosen for values that come later.
_IS_REPORT = _MESSAGE.c.message_class.in_(
    bindparam("reports", ("dsn", "mdn", "auto_reply"), expanding=True, literal_execute=True)
)
_NEWEST_FIRST = (SENDING.c.composed_at.desc(), SENDING.c.id)
_WITH_ITS_ORIGIN = (
    select(SENDING, _USAGER.c.record_number, _MESSAGE.c.message_id.label("submitted_as"))
    .join(_MESSAGE, _MESSAGE.c.id == SENDING.c.message)
    .outerjoin(_USAGER, _USAGER.c.id == SENDING.c.usager)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One piece of news as it was written down. `report` is the id of the message that told it, "" for none."""

    recipient: str
    rung: Rung
    at: datetime
    source: str
    status: str = ""
    report: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LooseReport:
    """A report or an automatic answer that is about no sending of ours. `state` is that of the message."""

    message: str
    mailbox: str | None
    message_class: str
    received_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Overdue:
    """Where a recipient who stands since before `before` is without news: `urgent_before` for urgent kinds."""

    before: datetime
    urgent_before: datetime


@dataclass(frozen=True, slots=True)
class Silence:
    """How many recipients are without news, the oldest since when."""

    count: int = 0
    since: datetime | None = None


def of_ids(connection: Connection, ids: Iterable[str]) -> tuple[Sending, ...]:
    return _whole(connection, SENDING.c.id.in_(list(ids)))


def beginning(connection: Connection, prefix: str) -> tuple[Sending, ...]:
    """Those whose id (hexadecimal) begins so, a few of them."""
    return _whole(connection, and_(SENDING.c.id >= prefix, SENDING.c.id < f"{prefix}g"), NAMED_MOST)


def of_message(connection: Connection, message_id: str) -> tuple[Sending, ...]:
    """What was made of a submission."""
    return _whole(connection, SENDING.c.message == message_id)


def of_report(connection: Connection, message_id: str) -> tuple[Sending, ...]:
    """What a report told news of."""
    told = select(NEWS.c.sending).where(NEWS.c.message == message_id, NEWS.c.message != "")
    return _whole(connection, SENDING.c.id.in_(told))


def find(connection: Connection, keys: Iterable[str]) -> tuple[Sending, ...]:
    """Those that the keys of a report name (`hub.receipts.keys_of`), at most `KEYS_MOST` keys."""
    asked = tuple(keys)[:KEYS_MOST]
    message_ids = [key for key in asked if key.startswith("<")]
    ids = [key.partition(".")[0].lower() for key in asked if not key.startswith("<")]
    if not asked:
        return ()
    return _whole(connection, or_(SENDING.c.message_id.in_(message_ids), SENDING.c.id.in_(ids)))


def sent(
    connection: Connection,
    since: datetime | None,
    usager: str | None,
    mailbox: str | None,
    overdue: Overdue | None,
    limit: int,
) -> tuple[Sending, ...]:
    """The newest first. With `overdue`, only what somebody should look at: a recipient failed, is uncertain, or is
    without news."""
    wanted: list[ColumnElement[bool]] = []
    if since is not None:
        wanted.append(SENDING.c.composed_at >= since)
    if usager is not None:
        wanted.append(SENDING.c.usager == usager)
    if mailbox is not None:
        wanted.append(SENDING.c.mailbox == mailbox)
    if overdue is not None:
        looked_at = or_(SENT_TO.c.rung.in_(_TO_LOOK_AT), _is_silent(overdue))
        recipients = select(SENT_TO.c.sending).join(SENDING, SENDING.c.id == SENT_TO.c.sending).where(looked_at)
        wanted.append(SENDING.c.id.in_(recipients))
    return _whole(connection, and_(true(), *wanted), limit)


def heard_of(connection: Connection, sending_id: str) -> tuple[Heard, ...]:
    """All news of a sending, oldest first."""
    wanted = (
        select(NEWS, SENT_TO.c.recipient)
        .join(SENT_TO, and_(SENT_TO.c.sending == NEWS.c.sending, SENT_TO.c.number == NEWS.c.number))
        .where(NEWS.c.sending == sending_id)
        .order_by(NEWS.c.at, NEWS.c.id)
    )
    return tuple(
        Heard(
            recipient=row.recipient,
            rung=Rung(row.rung),
            at=row.at,
            source=row.source,
            status=row.status,
            report=row.message,
        )
        for row in connection.execute(wanted)
    )


def loose(since: datetime | None, limit: int) -> Select[Any]:
    wanted = (
        select(_MESSAGE.c.id, _MESSAGE.c.mailbox, _MESSAGE.c.message_class, _MESSAGE.c.received_at, _MESSAGE.c.state)
        .where(_IS_REPORT)
        .where(~select(NEWS.c.id).where(NEWS.c.message == _MESSAGE.c.id, NEWS.c.message != "").exists())
        .order_by(_MESSAGE.c.accepted_at.desc())
        .limit(limit)
    )
    return wanted if since is None else wanted.where(_MESSAGE.c.accepted_at >= since)


def unmatched(connection: Connection, since: datetime | None, limit: int) -> tuple[LooseReport, ...]:
    """Reports and automatic answers that told news of nothing, the newest first."""
    return tuple(
        LooseReport(
            message=row.id,
            mailbox=row.mailbox,
            message_class=row.message_class,
            received_at=row.received_at,
            state=row.state,
        )
        for row in connection.execute(loose(since, limit))
    )


def silence(connection: Connection, since: datetime, overdue: Overdue) -> Silence:
    """Recipients without news, who came to where they stand since then."""
    wanted = (
        select(func.count(), func.min(SENT_TO.c.at))
        .join(SENDING, SENDING.c.id == SENT_TO.c.sending)
        .where(_is_silent(overdue), SENT_TO.c.at >= since)
    )
    return Silence(*connection.execute(wanted).one())


def _is_silent(overdue: Overdue) -> ColumnElement[bool]:
    """Of a recipient and its sending, joined. The first two conditions are for the index on rungs and times."""
    latest = max(overdue.before, overdue.urgent_before)
    is_urgent = SENDING.c.urgency.in_(URGENT)
    return and_(
        SENT_TO.c.rung.in_(_SILENCEABLE),
        SENT_TO.c.at <= latest,
        or_(
            and_(is_urgent, SENT_TO.c.at <= overdue.urgent_before),
            and_(~is_urgent, SENT_TO.c.at <= overdue.before),
        ),
    )


def standing(connection: Connection, since: datetime) -> dict[str, int]:
    """How many recipients came since then to the rung on which they stand; every rung is there."""
    counted = (
        select(SENT_TO.c.rung, func.count())
        .where(SENT_TO.c.rung.in_([rung.value for rung in Rung]), SENT_TO.c.at >= since)
        .group_by(SENT_TO.c.rung)
    )
    return {rung.value: 0 for rung in Rung} | {rung: count for rung, count in connection.execute(counted)}


def _whole(connection: Connection, wanted: ColumnElement[bool], limit: int = KEYS_MOST) -> tuple[Sending, ...]:
    rows = connection.execute(_WITH_ITS_ORIGIN.where(wanted).order_by(*_NEWEST_FIRST).limit(limit)).all()
    if not rows:
        return ()
    ids = [row.id for row in rows]
    recipients = connection.execute(
        select(SENT_TO).where(SENT_TO.c.sending.in_(ids)).order_by(SENT_TO.c.sending, SENT_TO.c.number)
    ).all()
    return tuple(sending_of(row, [one for one in recipients if one.sending == row.id]) for row in rows)
