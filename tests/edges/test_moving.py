"""From SQLite to PostgreSQL: every row, whole or not at all. (tests/trips/test_move.py does it with a living site.)"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Damaged, Misconfigured
from hub.migrations import moving
from hub.tables import BlobRow, ContactRow, DocumentRow, HeldRoleRow, HostRow, MessageRow, QueueRow, UsagerRow
from tests.edges.engines import migrated, postgres_database, sqlite_template

__all__ = ["sqlite_template"]

AT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)
DOCUMENTS = 3 * moving.BATCH + 7


def _fill(connection: Connection) -> None:
    """Values of every type, text beyond ASCII, rows that name later rows, more than three batches."""

    def add(row: Any, *values: dict[str, Any]) -> None:
        connection.execute(insert(row.__table__), list(values))

    digest = "a" * 64
    add(BlobRow, {"sha256": digest, "size": 3, "key_id": "k1", "sealed": bytes(range(256)), "created_at": AT})
    message = {
        "state": "PLANNED",
        "door": "imap",
        "mailbox": "é" * 40,
        "test": True,
        "fingerprint": "f",
        "sha256": digest,
    }
    times = {"received_at": AT, "accepted_at": AT, "set_out_at": AT - timedelta(days=400), "due_at": AT}
    add(MessageRow, {"id": "m1", "size": 3, "uid": 2**32 - 1, "uidvalidity": 1, "recipients": "à\nb"} | message | times)
    add(UsagerRow, {"id": "u1", "doubtful": False, "birth_name": "Élodie 🌱", "updated_at": AT})
    document = {"usager": "u1", "message": "m1", "sha256": digest, "title": b"\0\xff", "form": "cda", "filed_at": AT}
    # Each names the one that follows: SQLite minds only at the commit.
    connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    rows = [
        document | {"id": f"d{n}", "unique_id": f"1.2.{n}", "live": n == 0, "deleted": False, "supersedes": f"d{n + 1}"}
        for n in range(DOCUMENTS)
    ]
    add(DocumentRow, *rows[:-1], rows[-1] | {"supersedes": None})
    for number in range(5):
        journal.append(connection, AT, "hub", "accept", f"é {number}", message="m1")
    contact = {"id": "c1", "address": "a@ase-exemple.mssante.fr", "type": "PER", "changed_at": AT, "changed_by": "é"}
    add(ContactRow, contact | dict.fromkeys(("name", "organisation", "service", "departement", "note", "words"), "é"))
    held = {"role": "crip", "contact": "c1", "since": "2026-03-01", "said_at": AT, "said_by": "é"}
    add(HeldRoleRow, held | {"id": "r1", "usager": "u1", "until": "2026-03-31", "withdrawn_at": AT})
    add(HeldRoleRow, held | {"id": "r2", "territory": "Vallée", "territory_key": "VALLEE"})
    add(QueueRow, {"id": "q", "queue": "default", "eta": 1.5, "body": b"x"})
    add(HostRow, {"id": "h", "name": "h", "beats": 3, "started_at": AT})


@pytest.fixture
def source(tmp_path: Path, sqlite_template: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    database = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    database.write_now(_fill)
    database.close()
    return database.url


@pytest.fixture
def target() -> Iterator[Database]:
    with postgres_database() as url, migrated(url) as database:
        yield database


def _is_whole(connection: Connection) -> None:
    assert journal.verify(connection).broken_at is None


def _counts(database: Database) -> dict[str, int]:
    return {
        table.name: database.read_now(lambda c, t=table: c.execute(select(func.count()).select_from(t)).scalar_one())  # type: ignore[misc]
        for table in moving.tables()
    }


def test_every_row_arrives_as_it_was(source: str, target: Database) -> None:
    before = Path(source.removeprefix("sqlite:///")).read_bytes()
    told: list[moving.Moved] = []
    moved = moving.move(source, target, _is_whole, told.append)
    assert tuple(told) == moved
    assert {one.table: one.rows for one in moved if one.rows} == {
        "blob": 1,
        "message": 1,
        "usager": 1,
        "document": DOCUMENTS,
        "contact": 1,
        "held_role": 2,
        "journal": 5,
        "journal_head": 1,
    }
    assert Path(source.removeprefix("sqlite:///")).read_bytes() == before
    old = Database(source)
    for table in moving.tables():
        key = list(table.primary_key.columns)
        rows = [sorted(d.read_now(lambda c, t=table: c.execute(select(t)).all()), key=repr) for d in (old, target)]  # type: ignore[misc]
        assert rows[0] == rows[1], (table.name, key)
    old.close()
    left = target.read_now(
        lambda c: c.execute(text("SELECT (SELECT count(*) FROM queue) + (SELECT count(*) FROM host)")).scalar()
    )
    assert left == 0


def test_the_journal_goes_on_and_numbers_that_the_engine_gives_follow(source: str, target: Database) -> None:
    moving.move(source, target, _is_whole)
    assert target.write_now(lambda c: journal.append(c, AT, "hub", "next")) == 6
    target.read_now(_is_whole)
    column = "pg_get_serial_sequence('journal', 'number')"
    given = target.read_now(lambda c: c.execute(text(f"SELECT nextval({column})")).scalar())
    assert given == 6


def test_what_the_check_refuses_leaves_nothing_and_can_be_done_again(source: str, target: Database) -> None:
    def refuse(_: Connection) -> None:
        raise Damaged("the chain is broken")

    with pytest.raises(Damaged, match="chain"):
        moving.move(source, target, refuse)
    assert set(_counts(target).values()) == {0, 1}  # the journal's head of an empty schema
    moving.move(source, target, _is_whole)


def test_a_row_that_arrives_otherwise_is_found(source: str, target: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with target.engine.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN NEW.title = '\\x00'::bytea; RETURN NEW; END $$"
            )
        )
        connection.execute(
            text(
                "CREATE TRIGGER spoil BEFORE INSERT ON document FOR EACH ROW "
                "WHEN (NEW.id = 'd500') EXECUTE FUNCTION spoil()"
            )
        )
    with pytest.raises(Damaged, match="document"):
        moving.move(source, target, _is_whole)
    assert _counts(target)["message"] == 0


def test_a_database_that_is_not_empty_is_refused(source: str, target: Database) -> None:
    target.write_now(lambda c: journal.append(c, AT, "hub", "something"))
    with pytest.raises(Misconfigured, match="not empty"):
        moving.move(source, target, _is_whole)


def test_an_open_database_is_refused(source: str, target: Database) -> None:
    reader = sqlite3.connect(source.removeprefix("sqlite:///"))
    reader.execute("SELECT count(*) FROM message").fetchone()  # idle since: nothing is locked as far as it knows
    with pytest.raises(Misconfigured, match="another process has the SQLite database open"):
        moving.move(source, target, _is_whole)
    reader.close()
    moving.move(source, target, _is_whole)


def test_an_older_schema_is_refused(source: str, target: Database) -> None:
    database = Database(source)
    database.write_now(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '0001'")))
    database.close()
    with pytest.raises(Misconfigured, match="0001"):
        moving.move(source, target, _is_whole)


def test_a_value_that_has_no_place_there_is_named_by_its_code_only(source: str, target: Database) -> None:
    database = Database(source)
    database.write_now(lambda c: c.execute(text("UPDATE usager SET ins = '1234567890123456 Nom'")))
    database.close()
    with pytest.raises(Damaged, match=r"table usager: .*22001") as refused:
        moving.move(source, target, _is_whole)
    assert "Nom" not in refused.value.private
