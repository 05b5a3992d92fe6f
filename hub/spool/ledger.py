"""The spool's side of the ledger: what became of each UID that was met in one epoch of a mailbox."""

from __future__ import annotations

from collections import defaultdict
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.engine import Connection

from hub.spool import statements as sql
from hub.spool.states import MessageState, StepState


class Fate(StrEnum):
    """Where a message stands. A DONE message is what the strongest of its deeds made of it."""

    WAITING = "waiting"  # accepted, or some step is still to do
    HELD = "held"  # before a human
    IN_ERROR = "in error"  # before a human, because a deed failed
    FILED = "filed"
    DELIVERED = "delivered"
    REFUSED = "refused"
    NOTED = "noted"  # done without a deed: receipts, auto-replies, what a human dismissed


def fates(connection: Connection, mailbox: str, uidvalidity: int) -> dict[int, Fate]:
    """UID -> fate. A twin has the fate of the message that it stands for."""
    mine = (sql.SEEN.c.mailbox == mailbox, sql.SEEN.c.uidvalidity == uidvalidity)
    done: defaultdict[str, set[str]] = defaultdict(set)
    failed: set[str] = set()
    settled = (
        select(sql.STEP.c.message, sql.STEP.c.type, sql.STEP.c.state)
        .where(sql.STEP.c.message.in_(select(sql.SEEN.c.message).where(*mine)))
        .where(sql.STEP.c.state.in_([StepState.DONE.value, StepState.FAILED.value]))
    )
    for message, kind, state in connection.execute(settled):
        if state == StepState.DONE.value:
            done[message].add(kind)
        else:
            failed.add(message)
    met = (
        select(sql.SEEN.c.uid, sql.SEEN.c.message, sql.MESSAGE.c.state)
        .join(sql.MESSAGE, sql.MESSAGE.c.id == sql.SEEN.c.message)
        .where(*mine)
    )
    return {
        uid: _fate(MessageState(state), done[message], message in failed)
        for uid, message, state in connection.execute(met)
    }


def _fate(state: MessageState, done: set[str], has_failed: bool) -> Fate:
    if state is MessageState.HELD:
        return Fate.IN_ERROR if has_failed else Fate.HELD
    if state is not MessageState.DONE:
        return Fate.WAITING
    for deed, fate in (("filing", Fate.FILED), ("delivery", Fate.DELIVERED), ("refusal", Fate.REFUSED)):
        if deed in done:
            return fate
    return Fate.NOTED
