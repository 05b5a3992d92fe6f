"""What was sent, to whom, and what became of it: rows of `sending`, `sent_to` and `news`.

Written by effects, in the transaction that records the step: a composition once for each id, a piece of news once for
each report that tells it. The rule of the ladder is the mind's and comes as an argument. Failures: Permanent for news
of a recipient that is none; StalePlan when the recipient no longer stands where the plan saw it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.engine import Connection

from hub.errors import Damaged, Permanent, StalePlan
from hub.ids import new_id
from hub.message import Done, News, Outcome, Rung, Sending, SentTo
from hub.ports import Blobs, Effect, LadderRule, StoredBlob
from hub.tables import NewsRow, SendingRow, SentToRow

SENDING = SendingRow.__table__  # type: ignore[attr-defined]
SENT_TO = SentToRow.__table__  # type: ignore[attr-defined]
NEWS = NewsRow.__table__  # type: ignore[attr-defined]

_COMPARED_MOST = 320  # characters, those of the column; no address that a server takes is longer

_ADD = insert(SENDING)
_ADD_TO = insert(SENT_TO)
_ADD_NEWS = insert(NEWS)
_IS_THERE = select(SENDING.c.id).where(SENDING.c.id == bindparam("wanted"))
_STANDS = (
    select(SENT_TO)
    .where(SENT_TO.c.sending == bindparam("of"), SENT_TO.c.compared == bindparam("who"))
    .with_for_update()
)
_IS_TOLD = select(NEWS.c.id).where(
    NEWS.c.message == bindparam("by"),
    NEWS.c.sending == bindparam("of"),
    NEWS.c.number == bindparam("nth"),
    NEWS.c.rung == bindparam("to"),
    NEWS.c.status == bindparam("code"),
    NEWS.c.message != "",
)
_MOVE = update(SENT_TO).where(SENT_TO.c.sending == bindparam("of"), SENT_TO.c.number == bindparam("nth"))


# --- effects


def composing(sending: Sending, blobs: Blobs, blob: StoredBlob) -> Effect:
    """Each recipient stands where `sending.sent_to` says. `Done("already composed")` when the id is there. Raises
    Damaged when the blob does not have the digest of the mail."""
    if blob.sha256 != sending.sha256:
        raise Damaged("a composed mail: its bytes do not have its digest")

    def effect(connection: Connection) -> Outcome:
        if connection.execute(_IS_THERE, {"wanted": sending.id}).first():
            return Done("already composed")
        blobs.name(connection, blob)
        connection.execute(_ADD, _values(sending))
        for number, one in enumerate(sending.sent_to):
            connection.execute(_ADD_TO, _values_to(sending.id, number, one))
        return Done("composed")

    return effect


def telling(news: News, report: str, at: datetime, rule: LadderRule, outcome: Outcome) -> Effect:
    """`outcome` is what the effect gives, told now or before."""

    def effect(connection: Connection) -> Outcome:
        row = connection.execute(_STANDS, {"of": news.sending, "who": _compared(news.recipient)}).first()
        if row is None:
            raise Permanent("news of somebody to whom this was not sent")
        key = {"by": report, "of": news.sending, "nth": row.number, "to": news.rung.value, "code": news.status}
        if connection.execute(_IS_TOLD, key).first():
            return outcome
        stands = sent_to_of(row)
        if news.stood is not None and news.stood is not stands.rung:
            raise StalePlan("the recipient stands on another rung than when the plan was made")
        connection.execute(_ADD_NEWS, _values_of_news(news, row.number, report, at))
        now = rule(stands, news, at, report)
        if now != stands:
            moved = {"rung": now.rung.value, "at": now.at, "status": now.status, "report": now.report}
            place = {"of": news.sending, "nth": row.number}
            connection.execute(_MOVE.values(**moved, answered_at=now.answered_at), place)
        return outcome

    return effect


# --- rows


def sending_of(row: Row[Any], recipients: Sequence[Row[Any]]) -> Sending:
    return Sending(
        id=row.id,
        message=row.message,
        mailbox=row.mailbox,
        message_id=row.message_id,
        composed_at=row.composed_at,
        sha256=row.sha256,
        size=row.size,
        by=row.by,
        usager_id=row.usager,
        kind=row.kind,
        urgency=row.urgency,
        wants_receipt=row.wants_receipt,
        record_number=row.record_number,
        submitted_as=row.submitted_as,
        sent_to=tuple(sent_to_of(one) for one in recipients),
    )


def sent_to_of(row: Row[Any]) -> SentTo:
    return SentTo(
        recipient=row.recipient,
        rung=Rung(row.rung),
        at=row.at,
        status=row.status,
        report=row.report,
        answered_at=row.answered_at,
    )


def _values(sending: Sending) -> dict[str, Any]:
    return {
        "id": sending.id,
        "message": sending.message,
        "mailbox": sending.mailbox,
        "message_id": sending.message_id,
        "usager": sending.usager_id,
        "kind": sending.kind,
        "urgency": sending.urgency,
        "by": sending.by,
        "wants_receipt": sending.wants_receipt,
        "sha256": sending.sha256,
        "size": sending.size,
        "composed_at": sending.composed_at,
    }


def _values_to(sending_id: str, number: int, one: SentTo) -> dict[str, Any]:
    return {
        "sending": sending_id,
        "number": number,
        "recipient": one.recipient,
        "compared": _compared(one.recipient),
        "rung": one.rung.value,
        "at": one.at,
        "status": one.status,
        "report": one.report,
        "answered_at": one.answered_at,
    }


def _values_of_news(news: News, number: int, report: str, at: datetime) -> dict[str, Any]:
    return {
        "id": new_id(at),
        "sending": news.sending,
        "number": number,
        "rung": news.rung.value,
        "at": at,
        "source": news.source,
        "message": report,
        "status": news.status,
    }


def _compared(recipient: str) -> str:
    return recipient.casefold()[:_COMPARED_MOST]
