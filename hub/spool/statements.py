"""The spool's statements, made once (SQLAlchemy keeps their compiled form): Core only, no ORM session on a hot path.

A statement that writes a leased message carries the lease's `token`: it changes a row only while this lease lives, so
its row count says whether the lease was lost (fencing). `wanted` is the id of the message or the digest of the blob.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Executable, Table, and_, bindparam, case, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from hub.ids import NAMED_MOST
from hub.spool.states import CARRIED_STATES, OPEN_STATES, StepState
from hub.tables import BlobRow, CursorRow, MessageRow, SeenRow, StepRow

BLOB: Table = BlobRow.__table__  # type: ignore[attr-defined]
MESSAGE: Table = MessageRow.__table__  # type: ignore[attr-defined]
SEEN: Table = SeenRow.__table__  # type: ignore[attr-defined]
CURSOR: Table = CursorRow.__table__  # type: ignore[attr-defined]
STEP: Table = StepRow.__table__  # type: ignore[attr-defined]

# --- blobs

READ_BLOB = select(BLOB.c.sealed, BLOB.c.size).where(BLOB.c.sha256 == bindparam("wanted"))
_INSERT_BLOB: dict[str, Executable] = {
    "sqlite": sqlite.insert(BLOB).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(BLOB).on_conflict_do_nothing(),
}


def insert_new_blob(connection: Connection) -> Executable:
    """Inserts the blob's row unless it is there."""
    return _INSERT_BLOB[connection.dialect.name]


def named_among(connection: Connection, digests: Iterable[str]) -> set[str]:
    """Those of the digests that a row names."""
    return set(connection.execute(select(BLOB.c.sha256).where(BLOB.c.sha256.in_(list(digests)))).scalars())


# --- the door's side

_EPOCH = and_(SEEN.c.mailbox == bindparam("box"), SEEN.c.uidvalidity == bindparam("epoch"))
_THIS_UID = and_(_EPOCH, SEEN.c.uid == bindparam("this_uid"))

READ_CURSOR = select(CURSOR.c.uidvalidity, CURSOR.c.last_uid).where(CURSOR.c.mailbox == bindparam("box"))
READ_SEEN = select(SEEN.c.uid).where(_EPOCH)
READ_UNMARKED = select(SEEN.c.uid).where(_EPOCH, SEEN.c.marked_at.is_(None)).order_by(SEEN.c.uid)
MARK_SEEN = update(SEEN).where(_THIS_UID, SEEN.c.marked_at.is_(None)).values(marked_at=bindparam("now"))
MARK_MESSAGE = (
    update(MESSAGE)
    .where(
        MESSAGE.c.mailbox == bindparam("box"),
        MESSAGE.c.uidvalidity == bindparam("epoch"),
        MESSAGE.c.uid == bindparam("this_uid"),
        MESSAGE.c.marked_at.is_(None),
    )
    .values(marked_at=bindparam("now"))
)
FIND_TWIN = select(MESSAGE.c.id).where(MESSAGE.c.fingerprint == bindparam("print"))
FIND_SEEN = select(SEEN.c.message).where(_THIS_UID)
FIND_SEEN_BETWEEN = select(SEEN.c.uid).where(_EPOCH, SEEN.c.uid.between(bindparam("low"), bindparam("high"))).limit(1)
ADD_MESSAGE = insert(MESSAGE)
ADD_SEEN = insert(SEEN)
MOVE_SEEN = update(SEEN).where(_THIS_UID).values(message=bindparam("to"), seen_at=bindparam("now"), marked_at=None)


def move_cursor(connection: Connection) -> Executable:
    """Sets the cursor; within one epoch it never goes back."""
    return _MOVE_CURSOR[connection.dialect.name]


def _move_cursor(statement: sqlite.Insert | postgresql.Insert) -> Executable:
    new = statement.excluded
    is_back = and_(CURSOR.c.uidvalidity == new.uidvalidity, CURSOR.c.last_uid > new.last_uid)
    last_uid = case((is_back, CURSOR.c.last_uid), else_=new.last_uid)
    return statement.on_conflict_do_update(
        index_elements=[CURSOR.c.mailbox],
        set_={"uidvalidity": new.uidvalidity, "last_uid": last_uid, "compared_at": new.compared_at},
    )


_MOVE_CURSOR = {"sqlite": _move_cursor(sqlite.insert(CURSOR)), "postgresql": _move_cursor(postgresql.insert(CURSOR))}

# --- the carrier's side

_IS_WANTED = MESSAGE.c.id == bindparam("wanted")
_IS_OURS = and_(_IS_WANTED, MESSAGE.c.lease_owner == bindparam("token"))
_IS_CARRIED = MESSAGE.c.state.in_(CARRIED_STATES)
# Wall clocks jump. What waits for nothing has been due since it set out; what is due later than any wait is long, or
# leased longer than any lease is, was written by a clock that has been put back since.
_IS_DUE = or_(
    MESSAGE.c.due_at <= bindparam("now"),
    MESSAGE.c.due_at > bindparam("wait_end"),
    MESSAGE.c.due_at <= MESSAGE.c.set_out_at,
)
_IS_SUSPECT = and_(
    MESSAGE.c.lease_owner.is_not(None),
    or_(MESSAGE.c.lease_until < bindparam("now"), MESSAGE.c.lease_until > bindparam("lease_end")),
)

ENVELOPE_COLUMNS = (
    MESSAGE.c.id,
    MESSAGE.c.door,
    MESSAGE.c.mailbox,
    MESSAGE.c.test,
    MESSAGE.c.peer,
    MESSAGE.c.sender,
    MESSAGE.c.recipients,
    MESSAGE.c.sha256,
    MESSAGE.c.size,
    MESSAGE.c.received_at,
    MESSAGE.c.submitted_by,
)
TAKE_LEASE = (
    update(MESSAGE)
    .where(_IS_WANTED, _IS_CARRIED, _IS_DUE, MESSAGE.c.lease_owner.is_(None))
    .values(lease_owner=bindparam("token"), lease_until=bindparam("lease_end"))
    .returning(*ENVELOPE_COLUMNS, MESSAGE.c.state, MESSAGE.c.set_out_at, MESSAGE.c.attempts, MESSAGE.c.plan_first)
)
READ_SUSPECT = select(MESSAGE.c.id, MESSAGE.c.lease_owner, MESSAGE.c.lease_until).where(
    _IS_WANTED, _IS_CARRIED, _IS_SUSPECT
)
BURY = (
    update(MESSAGE)
    .where(_IS_OURS, _IS_CARRIED, MESSAGE.c.lease_until == bindparam("until"))
    .values(lease_owner=None, lease_until=None, deaths=MESSAGE.c.deaths + 1, last_error="worker died")
    .returning(MESSAGE.c.deaths)
)
RENEW_LEASE = update(MESSAGE).where(_IS_OURS).values(lease_until=bindparam("until"))
GIVE_BACK = update(MESSAGE).where(_IS_OURS).values(lease_owner=None, lease_until=None)
PLAN = (
    update(MESSAGE)
    .where(_IS_OURS, MESSAGE.c.state == "ACCEPTED")
    .values(
        state=bindparam("to_state"),
        due_at=bindparam("due"),
        closed_at=bindparam("closed"),
        kind=bindparam("to_kind"),
        message_class=bindparam("to_class"),
        thought=bindparam("to_thought"),
    )
)
PLAN_AND_SETTLE = PLAN.values(lease_owner=None, lease_until=None)  # all is done with the plan: the lease ends
PROGRESS = (
    update(MESSAGE)
    .where(_IS_OURS)
    .values(state=bindparam("to_state"), due_at=bindparam("due"), closed_at=bindparam("closed"))
)
SETTLE = (  # the same, and nothing is left to carry: the lease ends
    update(MESSAGE)
    .where(_IS_OURS)
    .values(
        state=bindparam("to_state"),
        due_at=bindparam("due"),
        closed_at=bindparam("closed"),
        lease_owner=None,
        lease_until=None,
    )
)
FORGET_PLAN = (
    update(MESSAGE)
    .where(_IS_OURS)
    .values(
        state="ACCEPTED", due_at=MESSAGE.c.set_out_at, plan_first=bindparam("first"), attempts=bindparam("to_attempts")
    )
)
POSTPONE = (
    update(MESSAGE)
    .where(_IS_OURS)
    .values(
        due_at=bindparam("due"),
        attempts=bindparam("to_attempts"),
        last_error=bindparam("why"),
        lease_owner=None,
        lease_until=None,
    )
)
HOLD = (
    update(MESSAGE)
    .where(_IS_OURS)
    .values(state="HELD", due_at=None, last_error=bindparam("why"), lease_owner=None, lease_until=None)
)
HOLD_BURIED = (
    update(MESSAGE)
    .where(_IS_WANTED, MESSAGE.c.lease_owner.is_(None))
    .values(state="HELD", due_at=None, last_error=bindparam("why"))
)
LOCK_MESSAGE = select(MESSAGE.c.state).where(_IS_WANTED).with_for_update()
RELEASE = (
    update(MESSAGE)
    .where(_IS_WANTED)
    .values(
        state=bindparam("to_state"),
        due_at=bindparam("due"),
        closed_at=bindparam("closed"),
        kind=bindparam("to_kind"),
        message_class=bindparam("to_class"),
        thought=bindparam("to_thought"),
        plan_first=bindparam("first"),
        set_out_at=bindparam("now"),
        attempts=0,
        deaths=0,
        last_error="",
        lease_owner=None,
        lease_until=None,
    )
)
DUE = (
    select(MESSAGE.c.id, MESSAGE.c.lease_owner, MESSAGE.c.lease_until)
    .where(_IS_CARRIED, _IS_DUE, or_(MESSAGE.c.lease_owner.is_(None), _IS_SUSPECT))
    .order_by(MESSAGE.c.due_at, MESSAGE.c.id)
    .limit(bindparam("most"))
)

_MINE = MESSAGE.alias("mine")
_OLDER = MESSAGE.alias("older")
OLDER_OPEN = (
    select(_OLDER.c.id)
    .join(_MINE, _MINE.c.mailbox == _OLDER.c.mailbox)
    .where(
        _MINE.c.id == bindparam("wanted"),
        _OLDER.c.state.in_(CARRIED_STATES),
        _OLDER.c.received_at >= bindparam("since"),
        or_(
            _OLDER.c.received_at < _MINE.c.received_at,
            # INTERNALDATE counts whole seconds: within one, the order of arrival in the mailbox decides.
            and_(
                _OLDER.c.received_at == _MINE.c.received_at,
                _OLDER.c.uidvalidity == _MINE.c.uidvalidity,
                _OLDER.c.uid < _MINE.c.uid,
            ),
        ),
    )
    .limit(1)
)

# --- steps

_THIS_STEP = and_(STEP.c.message == bindparam("wanted"), STEP.c.number == bindparam("this"))

ADD_STEP = insert(STEP)
READ_STEPS = (
    select(STEP)
    .where(STEP.c.message == bindparam("wanted"), STEP.c.number >= bindparam("first"))
    .order_by(STEP.c.number)
)
LAST_STEP = select(func.max(STEP.c.number)).where(STEP.c.message == bindparam("wanted"))
SETTLE_STEP = (
    update(STEP)
    .where(_THIS_STEP)
    .values(
        state=bindparam("to_state"),
        attempts=bindparam("to_attempts"),
        due_at=bindparam("due"),
        answer=bindparam("to_answer"),
        settled_at=bindparam("settled"),
    )
)
STAGE_STEP = (
    update(STEP)
    .where(
        _THIS_STEP,
        STEP.c.state.in_(OPEN_STATES),
        or_(STEP.c.outgoing_id.is_(None), STEP.c.outgoing_id == bindparam("sent_as")),
        select(MESSAGE.c.id).where(_IS_OURS).exists(),
    )
    .values(stage=bindparam("to_stage"), outgoing_id=bindparam("sent_as"))
)
DROP_OPEN_STEPS = (
    update(STEP)
    .where(STEP.c.message == bindparam("wanted"), STEP.c.state.in_(OPEN_STATES))
    .values(state=StepState.DROPPED, due_at=None, settled_at=bindparam("now"))
)

# --- the reader's side

# A range, which every engine looks up by the primary key (LIKE reads the whole table on most): ids are hex digits.
FIND_IDS = (
    select(MESSAGE.c.id).where(MESSAGE.c.id >= bindparam("start"), MESSAGE.c.id < bindparam("end")).limit(NAMED_MOST)
)
COUNT_STATES = select(MESSAGE.c.state, func.count()).group_by(MESSAGE.c.state)
READ_THOUGHT = select(MESSAGE.c.thought).where(_IS_WANTED)
READ_RECEIVED = select(MESSAGE.c.received_at).where(_IS_WANTED)
FIND_SENT = (
    select(STEP, MESSAGE.c.mailbox, MESSAGE.c.state.label("message_state"))
    .join(MESSAGE, MESSAGE.c.id == STEP.c.message)
    .where(STEP.c.outgoing_id.in_(bindparam("sent_as", expanding=True)))
    .order_by(STEP.c.message, STEP.c.number)
    .limit(bindparam("most"))
)
