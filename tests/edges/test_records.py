"""The records on both engines: the contract, then what only the real ones owe (sealing, transactions, import, cost)."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from hub import ins, journal
from hub.database import Database
from hub.errors import Damaged, StalePlan
from hub.message import (
    Done,
    Filing,
    Identity,
    Outcome,
    Usager,
)
from hub.ports import Effect
from hub.records import SqlRecords, usagers, worklist
from hub.records.documents import _VERSIONS, DOCUMENT, UNREADABLE_TITLE
from hub.records.filing import _KNOWN
from hub.records.usagers import _CANDIDATES, USAGER
from hub.records.usagers_csv import UsagersRead, read_usagers
from hub.spool.blobs import BlobStore
from hub.tables import BlobRow, Instant, MessageRow
from hub.trust.keys import KeyRing
from tests.edges import engines
from tests.records_contract import (
    UNSURE,
    USAGERS,
    AnyRecords,
    Clock,
    RecordsContract,
    Room,
    a_document,
    a_usager,
    a_version,
    candidates_of,
)

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template

TODAY = date(2026, 9, 1)


def _row_of(usager: Usager) -> dict[str, Any]:
    return {**usagers._values(usager), "id": usager.id, "updated_at": datetime.now(UTC)}


def _blob_of_message() -> dict[str, Any]:
    return {"sha256": "0" * 64, "size": 0, "key_id": "k", "created_at": datetime.now(UTC)}


def _add_message(database: Database) -> str:
    number = uuid4().hex
    message = MessageRow.__table__  # type: ignore[attr-defined]
    dates = [column.name for column in message.c if not column.nullable and isinstance(column.type, Instant)]
    row = {"id": number, "state": "PLANNED", "door": "imap", "fingerprint": number, "sha256": "0" * 64, "size": 0}
    database.write_now(lambda c: c.execute(insert(message), row | dict.fromkeys(dates, datetime.now(UTC))))
    return number


@pytest.fixture
def real(database: Database, tmp_path: Path) -> tuple[SqlRecords, Database]:
    keys = KeyRing.create(tmp_path / "data.keys")
    blobs = BlobStore(tmp_path / "blobs", database, keys, inline_most=4_096, clock=Clock())
    database.write_now(lambda c: c.execute(insert(BlobRow.__table__), _blob_of_message()))  # type: ignore[attr-defined]
    database.write_now(lambda c: c.execute(insert(USAGER), [_row_of(one) for one in USAGERS]))
    return SqlRecords(database, blobs, keys, Clock()), database


@pytest.fixture
def real_room(real: tuple[SqlRecords, Database]) -> Room:
    records, database = real

    def add(more: list[Usager]) -> None:
        database.write_now(lambda c: c.execute(insert(USAGER), [_row_of(one) for one in more]))

    return Room(cast(AnyRecords, records), database.write, lambda: _add_message(database), add)


class TestSqlRecords(RecordsContract):
    @pytest.fixture
    def room(self, real_room: Room) -> Room:
        return real_room


# --- what only the real ones owe ---


async def test_titles_and_reasons_are_sealed_and_bound_to_their_row(real_room: Room, database: Database) -> None:
    message = real_room.new_message()
    await real_room.file(a_document("1", "a"), message)
    await real_room.file(a_document("2", "b", title="Autre titre"), message)
    await real_room.run(real_room.records.holding(message, UNSURE))
    with database.engine.connect() as connection:
        titles = [row.title for row in connection.execute(select(DOCUMENT.c.title).order_by(DOCUMENT.c.filed_at))]
        line = connection.execute(select(worklist._WORK)).one()
    assert all(b"Bilan" not in title for title in titles)
    assert b"usagers" not in line.reasons
    database.write_now(lambda c: c.execute(update(DOCUMENT).values(title=titles[0])))
    changed = line.reasons[:-1] + bytes([line.reasons[-1] ^ 1])
    database.write_now(lambda c: c.execute(update(worklist._WORK).values(reasons=changed)))
    assert [row.title for row in await real_room.filed()] == ["Bilan éducatif", UNREADABLE_TITLE]
    (item,) = await real_room.records.work()
    assert (item.hold.reasons, item.codes) == ((worklist.UNREADABLE,), ("homonym", "no-ins", "903"))


async def test_bytes_that_do_not_have_their_digest_are_not_filed(real_room: Room) -> None:
    with pytest.raises(Damaged):
        await real_room.file(replace(a_document(), sha256="1" * 64))


async def test_a_transaction_that_fails_files_nothing(real_room: Room, database: Database) -> None:
    await real_room.file(a_version(1))
    (one,) = await real_room.filed()
    step = Filing(document=0, unique_id="1.2.2", usager_id="u1", kind=None, action="replace", supersedes=one.id)
    effect = await real_room.records.filing(real_room.new_message(), step, a_version(2))

    def cut(connection: Connection) -> Outcome:
        effect(connection)
        raise RuntimeError("the spool could not record the step")

    with pytest.raises(RuntimeError):
        await database.write(cut)
    assert await real_room.filed() == (one,)
    assert await real_room.run(effect) == Done("filed")


async def test_two_first_versions_at_the_same_instant_leave_one_live(real_room: Room, database: Database) -> None:
    both_ready = threading.Barrier(2)
    effects = [
        await real_room.records.filing(
            real_room.new_message(), Filing(document=0, unique_id=f"1.2.{n}", usager_id="u1", kind=None), a_version(n)
        )
        for n in (1, 2)
    ]
    ends: list[str] = []

    def run(effect: Effect) -> None:
        both_ready.wait(10)
        try:
            ends.append(str(database.write_now(effect)))
        except StalePlan:
            ends.append("stale")

    threads = [threading.Thread(target=run, args=(effect,)) for effect in effects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(ends) == [str(Done("filed")), "stale"]
    assert [row.live for row in await real_room.filed()] == [True]


HEADERS = "numero_dossier;nom_naissance;prenom_naissance;date_naissance;sexe;ins;oid;statut_ins"


def an_import(*lines: str, headers: str = HEADERS) -> UsagersRead:
    return read_usagers("\n".join((headers, *lines)), TODAY)


def an_ins(number: int) -> str:
    body = f"21205751{number:05d}"
    return f"{body}{ins.key_of(body):02d}"


async def test_an_import_adds_updates_and_leaves_alone(real: tuple[SqlRecords, Database]) -> None:
    records, database = real
    lines = [f"E-{n};Ruiz;Mia;2012-05-0{n};F;{an_ins(n)};{ins.NIR};qualifiee" for n in range(1, 4)]
    first = await records.import_usagers(an_import(*lines), by="m.dupuis")
    assert (first.added, first.changed, first.unchanged) == (3, 0, 0)
    before = await records.usager("E-2")
    again = await records.import_usagers(an_import(lines[0], lines[1].replace("Ruiz", "Ruíz-Le Goff")), by="m.dupuis")
    assert (again.added, again.changed, again.unchanged) == (0, 1, 1)
    after = await records.usager("E-2")
    assert before is not None
    assert after == replace(before, identity=replace(before.identity, birth_name="Ruíz-Le Goff"))
    assert [u.record_number for u in await candidates_of(records, (Identity(birth_name="RUIZ-LE GOFF"),))] == ["E-2"]
    entries = database.read_now(lambda c: journal.entries(c))
    assert [entry.answer for entry in entries] == ["added 3, changed 0, unchanged 0", "added 0, changed 1, unchanged 1"]
    assert "Ruiz" not in str(entries)


async def test_a_column_absent_from_the_file_keeps_what_is_known(real: tuple[SqlRecords, Database]) -> None:
    records, _ = real
    await records.import_usagers(an_import(f"E-1;Ruiz;Mia;2012-05-01;F;{an_ins(1)};{ins.NIR};qualifiee"), by="x")
    headers = "numero_dossier;nom_naissance;prenom_naissance;date_naissance;sexe;finess"
    result = await records.import_usagers(an_import("E-1;Ruiz;Mia;2012-05-01;F;920000123", headers=headers), by="x")
    assert result.changed == 1
    usager = await records.usager("E-1")
    assert usager is not None
    assert (usager.identity.ins, usager.ins_status, usager.facility) == (an_ins(1), "qualifiee", "920000123")


async def test_an_import_with_a_problem_writes_nothing(real: tuple[SqlRecords, Database]) -> None:
    records, database = real
    good = f"E-1;Ruiz;Mia;2012-05-01;F;{an_ins(1)};{ins.NIR};qualifiee"
    await records.import_usagers(an_import(good), by="x")
    taken = await records.import_usagers(
        an_import("E-8;Abel;Noé;2013;M;;;", f"E-9;Ruiz;Mia;2012-05-01;F;{an_ins(1)};{ins.NIR};validee"), by="x"
    )
    assert [str(problem) for problem in taken.problems] == [
        "ligne 3, colonne ins : cet INS appartient déjà à un autre dossier de la base"
    ]
    bad = await records.import_usagers(an_import("E-7;Abel;Noé;2013;?;;;"), by="x")
    assert len(bad.problems) == 1
    assert await records.usager("E-8") is None
    assert len(database.read_now(lambda c: journal.entries(c))) == 1


async def test_an_ins_given_to_the_wrong_child_can_be_moved_in_one_file(real: tuple[SqlRecords, Database]) -> None:
    records, _ = real
    await records.import_usagers(an_import(f"E-1;Ruiz;Mia;2012;F;{an_ins(1)};{ins.NIR};validee"), by="x")
    moved = an_import("E-1;Ruiz;Mia;2012;F;;;", f"E-2;Ruiz;Eva;2012;F;{an_ins(1)};{ins.NIR};validee")
    result = await records.import_usagers(moved, by="x")
    assert (result.problems, result.added, result.changed) == ((), 1, 1)


async def test_people_find_usagers_by_number_ins_or_beginning_of_a_name(real: tuple[SqlRecords, Database]) -> None:
    records, _ = real
    for query, found in (("D-2", ["u2"]), ("1" * 15, ["u2"]), ("dubreuil", ["u1", "u2"]), ("œuv", ["u1"]), ("%", [])):
        assert [usager.id for usager in await records.usagers(query)] == found
    assert len(await records.usagers()) == 3


def _plan_of(database: Database, connection: Connection, statement: Any, values: dict[str, Any]) -> str:
    word = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    text = str(statement.params(**values).compile(connection, compile_kwargs={"literal_binds": True}))
    return "\n".join(" ".join(map(str, row)) for row in connection.exec_driver_sql(f"{word} {text}"))


async def test_every_search_of_the_trip_goes_by_indexes_whatever_the_number_of_usagers(
    real: tuple[SqlRecords, Database],
) -> None:
    records, database = real
    many = [_row_of(_one_of_many(n)) for n in range(10, 20_010)]
    database.write_now(lambda c: c.execute(insert(USAGER), many))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
        asked = {"ins": "2" * 15, "name": "NOM 0042", "other_name": "MARTIN", "date": "2012-05-31"}
        plans = [
            _plan_of(database, connection, _CANDIDATES, asked),
            _plan_of(database, connection, _KNOWN, {"usager": "u1", "unique": "1", "set": "2", "supersedes": "3"}),
            _plan_of(database, connection, _VERSIONS, {"unique_ids": ["1"], "set_ids": ["2"], "digests": ["3"]}),
        ]
    assert not re.search(r"SCAN (usager|document)|Seq Scan on usager", "\n".join(plans)), plans
    began = time.process_time()
    for n in range(100):
        await candidates_of(records, (Identity(ins="2" * 15, birth_name=f"Nom {n:04d}", birth_date=_some_date(n)),))
    print(f"candidates among 20,000: {(time.process_time() - began) * 10:.2f} ms of processor each")


def _one_of_many(number: int) -> Usager:
    used_name = None if number % 20 else f"Usage {number:05d}"
    return a_usager(number, birth_name=f"Nom {number % 9_000:04d}", birth_date=_some_date(number), used_name=used_name)


def _some_date(number: int) -> str:
    return (date(2005, 1, 1) + timedelta(days=number % 6_000)).isoformat()


async def test_the_cost_of_a_filing_is_printed(real_room: Room, database: Database) -> None:
    message = real_room.new_message()
    await real_room.file(a_document(), message)  # the statements are compiled once a process
    effects = [
        await real_room.records.filing(
            message, Filing(document=0, unique_id=f"5.{n}", usager_id="u1", kind=None), a_document(f"5.{n}", f"n {n}")
        )
        for n in range(200)
    ]

    def work(connection: Connection) -> float:
        began = time.process_time()
        for effect in effects:
            effect(connection)
        return (time.process_time() - began) / len(effects)

    seconds = database.write_now(work)
    print(f"{database.url.split(':')[0]}: {seconds * 1000:.3f} ms of processor a filing, beyond the commit")
