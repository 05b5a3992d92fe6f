"""The address book on both engines: the contract, then what only the real one owes (files, journal, two at once)."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.message import HeldRole
from hub.records import SqlRecords
from hub.records import held_roles_read as module
from hub.records.book_csv import parse_contacts, parse_roles
from hub.records.contacts import ContactsRead, Described, SqlContacts
from hub.records.held_roles import SqlHeldRoles
from hub.records.held_roles_read import For
from tests.book_contract import (
    BUREAU,
    GARNIER,
    LOPEZ,
    NOW,
    OF_TOM,
    REFERENT,
    TODAY,
    BookContract,
    BookRoom,
    is_member,
)
from tests.edges import engines
from tests.edges.test_records import real
from tests.fakes_book import ROLES
from tests.records_contract import LEA, TOM

database, database_url = engines.database, engines.database_url
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template

__all__ = ["real"]


class RealRoom(BookRoom):
    contacts: SqlContacts
    roles: SqlHeldRoles
    records: SqlRecords


@pytest.fixture
async def book_room(real: tuple[SqlRecords, Database]) -> BookRoom:
    records, database = real
    await records.settle_territory(LEA.record_number or "", "Vallée du Nord", "essai")
    contacts = SqlContacts(database, lambda: NOW, is_member)
    roles = SqlHeldRoles(database, lambda: NOW, ROLES, is_member)
    return await RealRoom(contacts, roles, records).fill()


@pytest.fixture
def real_room(book_room: RealRoom) -> RealRoom:
    return book_room


class TestSqlBook(BookContract):
    pass


def written(database: Database) -> str:
    entries = database.read_now(lambda c: list(journal.entries(c, last=500)))
    return "\n".join(f"{one.author} {one.action} {one.request} {one.answer}" for one in entries)


async def test_the_journal_tells_who_and_what_without_names_or_addresses(
    real_room: RealRoom, database: Database
) -> None:
    await real_room.say(GARNIER, 0)
    await real_room.say(BUREAU, 0, whom=For(territory="Vallée du Nord"))
    await real_room.contacts.change(GARNIER, Described(type="PER", note="rappeler"), "Mme Essai")
    told = written(database)
    contact = await real_room.contacts.contact(GARNIER)
    assert contact is not None
    assert f"essai contact added {contact.id} type PER" in told
    assert f"Mme Essai contact changed {contact.id}" in told
    assert "note" in told
    assert f"role held {REFERENT} of usager {LEA.id}" in told
    assert "role held referent_ase of territory" in told
    for word in ("garnier", "@", "Élise", "rappeler", "Vallée", "Département"):
        assert word.casefold() not in told.casefold(), word
    assert database.read_now(journal.verify).broken_at is None


async def test_two_who_say_it_at_once_leave_one_holder(real_room: RealRoom) -> None:
    async def say(address: str) -> bool:
        try:
            await real_room.say(address, 0)
        except Permanent:
            return False
        return True

    outcomes = await asyncio.gather(*(say(address) for address in (GARNIER, LOPEZ, BUREAU)))
    assert sum(outcomes) == 1
    assert len(await real_room.holders(LEA.id)) == 1


async def test_one_leaves_and_another_takes_everything(real_room: RealRoom) -> None:
    await real_room.say(GARNIER, -30)
    await real_room.say(GARNIER, 10, whom=OF_TOM)
    await real_room.say(GARNIER, -60, -31, whom=OF_TOM)
    await real_room.say(GARNIER, -5, whom=For(territory="Nord"))
    handed = await real_room.roles.hand_over(GARNIER, LOPEZ, TODAY, "essai")
    assert {one.record_number for one in handed} == {LEA.record_number, TOM.record_number, None}
    assert [await real_room.holders(LEA.id, day) for day in (-1, 0)] == [[("usager", GARNIER)], [("usager", LOPEZ)]]
    assert [await real_room.holders(TOM.id, day) for day in (-31, 0, 10)] == [
        [("usager", GARNIER)],
        [],
        [("usager", LOPEZ)],
    ]
    (of_nord,) = still(await real_room.roles.of(For(territory="NORD")), 0)
    assert of_nord.contact.address == LOPEZ


def still(held: tuple[HeldRole, ...], day: int) -> list[HeldRole]:
    return [one for one in held if one.is_held(TODAY + timedelta(days=day))]


# --- files


CONTACTS = """adresse;type;nom;service;departement;du;au
{lopez};per;Lopez Anaïs;;38;;
neuf@ase-exemple.mssante.fr;APP;Portail;CRIP;1;01/01/2026;31/12/2026
"""


async def test_a_file_of_contacts_adds_changes_and_leaves_what_it_has_no_column_for(real_room: RealRoom) -> None:
    read = parse_contacts(CONTACTS.format(lopez=LOPEZ).encode())
    rehearsed = await real_room.contacts.store(read, "essai", rehearsal=True)
    assert (rehearsed.added, rehearsed.changed, rehearsed.problems) == (1, 1, ())
    assert await real_room.contacts.contact("neuf@ase-exemple.mssante.fr") is None
    assert await real_room.contacts.store(read, "essai") == rehearsed
    lopez, new = [await real_room.contacts.contact(one) for one in (LOPEZ, "neuf@ase-exemple.mssante.fr")]
    assert lopez is not None
    assert (lopez.name, lopez.note, lopez.organisation, lopez.service) == (
        "Lopez Anaïs",
        "le mardi",
        "Département fictif",
        "",
    )
    assert new is not None
    assert (new.type, new.departement, new.until) == ("APP", "01", TODAY.replace(month=12, day=31))
    again = await real_room.contacts.store(read, "essai")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 2)


async def test_a_file_of_contacts_with_a_stranger_changes_nothing(real_room: RealRoom) -> None:
    read = parse_contacts((CONTACTS.format(lopez=LOPEZ) + "x@exemple.com;PER;;;;;\n").encode())
    result = await real_room.contacts.store(read, "essai")
    assert [(one.line, one.column) for one in result.problems] == [(4, "adresse")]
    assert await real_room.contacts.contact("neuf@ase-exemple.mssante.fr") is None


ROLES_FILE = f"""dossier;territoire;role;adresse;depuis;jusqu'au
{{lea}};;Référent ASE;{GARNIER};01/03/2026;
{{tom}};;referent_ase;{LOPEZ};2026-03-01;2026-12-31
;Vallée du Nord;secretariat_territoire;{BUREAU.upper()};01/03/2026;
"""


def roles_file(more: str = "") -> Any:
    text = ROLES_FILE.format(lea=LEA.record_number, tom=TOM.record_number) + more
    return parse_roles(text.encode(), ROLES)


async def test_a_file_of_roles_for_the_whole_site(real_room: RealRoom) -> None:
    rehearsed = await real_room.roles.store(roles_file(), "essai", rehearsal=True)
    assert (rehearsed.added, rehearsed.problems) == (3, ())
    assert await real_room.holders(LEA.id) == []
    assert await real_room.roles.store(roles_file(), "essai") == rehearsed
    assert await real_room.holders(LEA.id) == [("usager", GARNIER)]
    assert await real_room.holders(LEA.id, role="secretariat_territoire") == [("territory", BUREAU)]
    assert await real_room.holders(TOM.id, 60) == []
    again = await real_room.roles.store(roles_file(), "essai")
    assert (again.added, again.changed, again.unchanged) == (0, 0, 3)


async def test_a_file_of_roles_with_a_fault_changes_nothing_and_tells_each_line(real_room: RealRoom) -> None:
    result = await real_room.roles.store(
        roles_file(
            f"inconnu;;referent_ase;{GARNIER};01/03/2026;\n"
            f"{LEA.record_number};;crip;personne@ase-exemple.mssante.fr;01/03/2026;\n"
            f"{TOM.record_number};;referent_ase;{BUREAU};01/01/2026;\n"
        ),
        "essai",
    )
    assert [(one.line, one.column) for one in result.problems] == [
        (5, "numero_dossier"),
        (6, "adresse"),
        (7, "du"),
    ]
    assert await real_room.holders(LEA.id) == []


async def test_a_territory_is_noted_once_and_journaled_by_id(
    real: tuple[SqlRecords, Database], database: Database
) -> None:
    records, _ = real
    for _ in range(2):
        await records.settle_territory(TOM.record_number or "", "Sud", "essai")
    found = await records.usager(TOM.id)
    assert found is not None
    assert replace(found, territory=None) == replace(TOM, territory=None)
    assert found.territory == "Sud"
    assert written(database).count("territory settled") == 1
    assert "Sud" not in written(database)
    with pytest.raises(Permanent):
        await records.settle_territory("inconnu", "Sud", "essai")


async def test_the_roles_of_an_usager_are_found_by_index(database: Database) -> None:
    """They are asked for each submission whose usager is certain: the cost must not grow with the book."""
    if not database.is_sqlite:
        pytest.skip("the plan is read on SQLite")
    asked = {"wanted": "u1", "place": "NORD"}
    for statement in (module._TERRITORY, module._OF_USAGER, module._BY_DEFAULT):
        told = statement.params(asked).compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        with database.engine.connect() as connection:
            steps = [row[-1] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {told}"))]
        assert steps
        assert not [step for step in steps if step.startswith("SCAN")], steps


async def test_a_search_in_a_large_book_is_quick(database: Database) -> None:
    """10,000 contacts; the limit is ten times what it takes, for a busy machine."""
    book = SqlContacts(database, lambda: NOW, is_member)
    known = tuple(
        (f"p{n}@ase{n % 101}.mssante.fr", Described(type="PER", name=f"Nom{n} Éloi{n % 977}", service="ASE Nord"))
        for n in range(10_000)
    )
    columns = frozenset({"type", "name", "service"})
    read = ContactsRead(contacts=known, lines=tuple(range(2, 10_002)), columns=columns)
    assert (await book.store(read, "essai")).added == 10_000
    began = time.perf_counter()
    assert len(await book.find("nord eloi500")) == 10
    assert time.perf_counter() - began < 0.5
