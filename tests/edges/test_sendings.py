"""What was sent, on both engines: the contract, then what only the real ones owe (loose reports, silence, cost)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import insert, text, update
from sqlalchemy.engine import Connection

from hub.database import Database
from hub.errors import Permanent, StalePlan
from hub.message import Done, News, Outcome, Rung
from hub.receipts import heard
from hub.records import Silence, SqlRecords
from hub.records.sendings import NEWS, SENDING, SENT_TO
from hub.records.sendings_read import loose
from hub.records.usagers import USAGER
from hub.spool.blobs import BlobStore
from hub.tables import BlobRow, Instant, MessageRow
from hub.trust.keys import KeyRing
from tests.edges import engines
from tests.records_contract import USAGERS, Clock
from tests.sendings_contract import ASE, AT, DOCTOR, HOUR, MAIL, AnySendings, Room, SendingsContract, a_sending, since

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template

MESSAGE = MessageRow.__table__  # type: ignore[attr-defined]


def _add_message(database: Database, **given: Any) -> str:
    number = uuid4().hex
    dates = [column.name for column in MESSAGE.c if not column.nullable and isinstance(column.type, Instant)]
    row = {"id": number, "state": "DONE", "door": "imap", "fingerprint": number, "sha256": "0" * 64, "size": 0}
    database.write_now(lambda c: c.execute(insert(MESSAGE), {**row, **dict.fromkeys(dates, AT), **given}))
    return number


@pytest.fixture
def records(database: Database, tmp_path: Path) -> SqlRecords:
    keys = KeyRing.create(tmp_path / "data.keys")
    blobs = BlobStore(tmp_path / "blobs", database, keys, inline_most=4_096, clock=Clock())
    blob = {"sha256": "0" * 64, "size": 0, "key_id": "k", "created_at": AT}
    usager = {"id": USAGERS[0].id, "updated_at": AT, "ins_status": "provisoire", "doubtful": False}
    database.write_now(lambda c: c.execute(insert(BlobRow.__table__), blob))  # type: ignore[attr-defined]
    database.write_now(lambda c: c.execute(insert(USAGER), usager))
    return SqlRecords(database, blobs, keys, Clock())


@pytest.fixture
def room(records: SqlRecords, database: Database) -> Room:
    return Room(cast(AnySendings, records), database.write, lambda: _add_message(database), records._blobs.put)


class TestSqlSendings(SendingsContract):
    pass


# --- what only the real ones owe


async def test_reports_about_nothing_are_listed_newest_first(
    room: Room, records: SqlRecords, database: Database
) -> None:
    old, new, answer = (
        _add_message(database, message_class=name, accepted_at=AT + n * HOUR, mailbox="secretariat")
        for n, name in enumerate(("dsn", "mdn", "auto_reply"))
    )
    known = _add_message(database, message_class="dsn")
    _add_message(database, message_class="xdm")
    _add_message(database, message_class="letter")
    made = await room.compose()
    await room.tell(made, Rung.DELIVERED, report=known)
    await room.tell(made, Rung.SUBMITTED, "smtp")  # tells of no report
    assert [one.message for one in await records.unmatched()] == [answer, new, old]
    assert [one.message for one in await records.unmatched(since=AT + HOUR)] == [answer, new]
    (first,) = await records.unmatched(limit=1)
    assert (first.message_class, first.mailbox, first.state) == ("auto_reply", "secretariat", "DONE")


async def test_silence_is_counted_between_two_moments(room: Room, records: SqlRecords) -> None:
    assert await records.silence(AT - HOUR, since(AT)) == Silence()
    await room.compose()
    late = await room.compose(at=AT + 3 * HOUR)
    await room.tell(late, Rung.READ, "mdn", at=AT + 3 * HOUR)
    assert await records.silence(AT - HOUR, since(AT)) == Silence(2, AT)
    assert await records.silence(AT - HOUR, since(AT + 3 * HOUR)) == Silence(3, AT)
    assert await records.silence(AT + HOUR, since(AT + 3 * HOUR)) == Silence(1, AT + 3 * HOUR)


async def test_rungs_are_counted(room: Room, records: SqlRecords) -> None:
    made = await room.compose()
    await room.tell(made, Rung.FAILED, status="5.1.1")
    counts = await records.standing(AT)
    assert {rung: count for rung, count in counts.items() if count} == {"prepared": 1, "failed": 1}
    assert set(counts) == {rung.value for rung in Rung}


async def test_a_sending_is_named_by_the_beginning_of_its_id(room: Room, records: SqlRecords) -> None:
    made = await room.compose(id="abc" + "0" * 29)
    await room.compose(id="abd" + "0" * 29)
    assert await records.sending_named("ABC") == made
    for prefix in ("f", "", "abc%", "x" * 99):
        with pytest.raises(Permanent):
            await records.sending_named(prefix)
    with pytest.raises(Permanent) as several:
        await records.sending_named("ab")
    assert "abc00000, abd00000" in several.value.public


async def test_two_reports_at_once_do_not_both_move_a_recipient(
    room: Room, records: SqlRecords, database: Database
) -> None:
    """Each saw the recipient submitted: one of them must think again, so that its author is told once."""
    made = await room.compose()
    await room.tell(made, Rung.SUBMITTED, "smtp")
    bounce = News(sending=made.id, recipient=ASE, rung=Rung.FAILED, source="dsn", status="5.1.1", stood=Rung.SUBMITTED)
    effects = [records.telling(bounce, room.new_message(), AT + 2 * HOUR, heard) for _ in range(8)]

    def tell(number: int) -> Outcome | None:
        try:
            return database.write_now(effects[number])
        except StalePlan:
            return None

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(tell, range(8)))
    assert [one for one in outcomes if one is not None] == [Done("told")]


async def test_a_deed_that_fails_with_it_leaves_nothing(room: Room, records: SqlRecords, database: Database) -> None:
    made = a_sending(room.new_message(), ASE)
    effect = records.composing(made, await room.store(MAIL))

    def work(connection: Connection) -> None:
        effect(connection)
        raise RuntimeError("the step could not be recorded")

    with pytest.raises(RuntimeError):
        database.write_now(work)
    assert await records.sending(made.id) is None


async def test_lists_cost_what_they_show(room: Room, records: SqlRecords, database: Database) -> None:
    """With many sendings and reports settled long ago, what waits is found by an index."""
    made = await room.compose()
    message, many = made.message, 3_000
    row = {"message": message, "mailbox": "b", "by": "", "wants_receipt": False, "sha256": made.sha256, "size": 1}
    ids = [uuid4().hex for _ in range(many)]
    sendings = [
        {**row, "id": one, "message_id": f"<{one}@x.example>", "composed_at": AT - timedelta(days=9)} for one in ids
    ]
    sent_to = [
        {
            "sending": one,
            "number": 0,
            "recipient": DOCTOR,
            "compared": DOCTOR,
            "rung": "read",
            "at": AT,
            "status": "",
            "report": "",
        }
        for one in ids
    ]
    database.write_now(lambda c: c.execute(insert(SENDING), sendings))
    database.write_now(lambda c: c.execute(insert(SENT_TO), sent_to))
    database.write_now(lambda c: c.execute(text("ANALYZE")))
    began = datetime.now()
    assert [one.id for one in await records.sent(overdue=since(AT))] == [made.id]
    assert (await records.silence(AT - HOUR, since(AT))).count == 2
    assert (datetime.now() - began).total_seconds() < 0.5


async def test_loose_reports_are_found_by_their_own_index(records: SqlRecords, database: Database) -> None:
    ids = [uuid4().hex for _ in range(3_000)]
    dates = [column.name for column in MESSAGE.c if not column.nullable and isinstance(column.type, Instant)]
    row = {"state": "DONE", "door": "imap", "sha256": "0" * 64, "size": 0, "message_class": "xdm"}
    many = [{**row, **dict.fromkeys(dates, AT), "id": one, "fingerprint": one} for one in ids]
    database.write_now(lambda c: c.execute(insert(MESSAGE), many))
    report = _add_message(database, message_class="dsn")
    database.write_now(lambda c: c.execute(text("ANALYZE")))

    def plan(connection: Connection) -> str:
        options = {"literal_binds": True, "render_postcompile": True}
        statement = str(loose(AT, 5).compile(dialect=connection.dialect, compile_kwargs=options))
        words = "EXPLAIN QUERY PLAN " if connection.dialect.name == "sqlite" else "EXPLAIN "
        return "\n".join(str(row) for row in connection.exec_driver_sql(words + statement))

    assert [one.message for one in await records.unmatched()] == [report]
    assert "ix_message_reports" in await database.read(plan)


async def test_what_one_report_told_is_unique_in_the_table_too(room: Room, database: Database) -> None:
    made, report = await room.compose(), room.new_message()
    await room.tell(made, Rung.DELIVERED, report=report)
    row = {
        "id": uuid4().hex,
        "sending": made.id,
        "number": 0,
        "rung": "delivered",
        "at": AT,
        "source": "dsn",
        "status": "",
    }
    with pytest.raises(Exception, match=r"(?i)unique"):
        database.write_now(lambda c: c.execute(insert(NEWS), {**row, "message": report}))
    for number in ("a", "b"):
        database.write_now(lambda c, n=number: c.execute(insert(NEWS), {**row, "id": n, "message": ""}))  # type: ignore[misc]
    database.write_now(lambda c: c.execute(update(NEWS).values(status="x")))
