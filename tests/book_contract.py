"""What the address book owes, said once for the real one and the fake: contacts, and who holds which role for whom.

All people are fictional."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import pytest

from hub.errors import Permanent
from hub.message import Contact, HeldRole, MailboxType
from hub.records.contacts import Described
from hub.records.held_roles_read import For
from tests.records_contract import LEA, TOM

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TODAY = NOW.date()
GARNIER, LOPEZ, BUREAU = (f"{name}@ase-exemple.mssante.fr" for name in ("garnier", "lopez", "secretariat.nord"))
OUTSIDE = "garnier@exemple.com"
REFERENT = "referent_ase"
OF_LEA, OF_TOM = For(usager_id=LEA.id), For(usager_id=TOM.id)


def is_member(address: str) -> bool:
    return address.endswith(".mssante.fr")


class AnyContacts(Protocol):
    async def find(
        self, words: str, type: MailboxType | None = None, departement: str = "", limit: int = 50
    ) -> tuple[Contact, ...]: ...
    async def contact(self, address: str) -> Contact | None: ...
    async def add(self, address: str, described: Described, by: str) -> Contact: ...
    async def change(self, address: str, described: Described, by: str) -> Contact: ...


class AnyHeldRoles(Protocol):
    async def of(self, whom: For) -> tuple[HeldRole, ...]: ...
    async def say(
        self, whom: For, role: str, address: str, since: date, until: date | None, by: str
    ) -> tuple[HeldRole, ...]: ...
    async def end(self, whom: For, role: str, address: str, until: date, by: str) -> tuple[HeldRole, ...]: ...
    async def withdraw(self, whom: For, role: str, address: str, by: str) -> tuple[HeldRole, ...]: ...


class AnyRecords(Protocol):
    async def held_roles(self, usager_id: str) -> tuple[HeldRole, ...]: ...


class BookRoom:
    """A book with three contacts, and records with Léa (territory `Vallée du Nord`) and Tom (none)."""

    def __init__(self, contacts: AnyContacts, roles: AnyHeldRoles, records: AnyRecords) -> None:
        self.contacts = contacts
        self.roles = roles
        self.records = records

    async def fill(self) -> BookRoom:
        ase = Described(type="PER", organisation="Département fictif", service="ASE", departement="38")
        await self.contacts.add(f" {GARNIER.upper()} ", replace(ase, name="Garnier Élise"), "essai")
        await self.contacts.add(LOPEZ, replace(ase, name="Lopez Ana", note="le mardi"), "essai")
        await self.contacts.add(
            BUREAU, Described(type="ORG", organisation="Département fictif", service="Secrétariat Nord"), "essai"
        )
        return self

    async def say(
        self, address: str, since: int, until: int | None = None, whom: For = OF_LEA, role: str = REFERENT
    ) -> None:
        last = None if until is None else TODAY + timedelta(days=until)
        await self.roles.say(whom, role, address, TODAY + timedelta(days=since), last, "essai")

    async def holders(self, usager: str, day: int = 0, role: str = REFERENT) -> list[tuple[str, str]]:
        on = TODAY + timedelta(days=day)
        held = await self.records.held_roles(usager)
        return sorted((one.level, one.contact.address) for one in held if one.role == role and one.is_held(on))


class BookContract:
    async def test_a_contact_is_kept_as_it_was_said(self, book_room: BookRoom) -> None:
        found = await book_room.contacts.contact(GARNIER)
        assert found is not None
        assert (found.address, found.type, found.name, found.departement) == (GARNIER, "PER", "Garnier Élise", "38")
        assert (found.changed_by, found.changed_at) == ("essai", NOW)
        assert await book_room.contacts.contact("personne@ase-exemple.mssante.fr") is None

    @pytest.mark.parametrize(
        "address",
        [GARNIER, OUTSIDE, "élise@ase-exemple.mssante.fr", "garnier", "a b@ase-exemple.mssante.fr",
         "x@ase-exemple.mssante.fr\r\nRCPT TO:<y@ase-exemple.mssante.fr>", "180067512300182@patient.mssante.fr", ""],
    )  # fmt: skip
    async def test_what_may_not_stand_in_the_book(self, book_room: BookRoom, address: str) -> None:
        with pytest.raises(Permanent):
            await book_room.contacts.add(address, Described(type="PER"), "essai")

    async def test_days_in_the_wrong_order_are_refused(self, book_room: BookRoom) -> None:
        backwards = Described(type="PER", since=TODAY, until=TODAY - timedelta(days=1))
        with pytest.raises(Permanent):
            await book_room.contacts.add("x@ase-exemple.mssante.fr", backwards, "essai")
        with pytest.raises(Permanent):
            await book_room.contacts.change(GARNIER, backwards, "essai")

    async def test_a_change_says_everything_anew_and_is_signed(self, book_room: BookRoom) -> None:
        changed = await book_room.contacts.change(GARNIER, Described(type="ORG", name="Accueil"), "Mme Essai")
        assert (changed.type, changed.name, changed.service, changed.changed_by) == ("ORG", "Accueil", "", "Mme Essai")
        with pytest.raises(Permanent):
            await book_room.contacts.change("personne@ase-exemple.mssante.fr", Described(type="PER"), "essai")

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("garnier", [GARNIER]),
            ("ELISE garnier", [GARNIER]),
            ("departement fictif garnier", [GARNIER]),
            ("nord secretariat", [BUREAU]),
            ("ase-exemple", [GARNIER, LOPEZ, BUREAU]),
            ("", [GARNIER, LOPEZ, BUREAU]),
            ("garnier lopez", []),
            ("100%", []),
            ("mardi", []),  # a note is no name
        ],
    )
    async def test_a_search_wants_every_word_in_any_order(
        self, book_room: BookRoom, words: str, expected: list[str]
    ) -> None:
        assert sorted(one.address for one in await book_room.contacts.find(words)) == expected

    async def test_a_search_may_be_narrowed(self, book_room: BookRoom) -> None:
        find = book_room.contacts.find
        assert [one.address for one in await find("", type="ORG")] == [BUREAU]
        assert {one.address for one in await find("", departement="38")} == {GARNIER, LOPEZ}
        assert len(await find("", limit=1)) == 1
        (found,) = await find("garnier")
        assert found == await book_room.contacts.contact(GARNIER)
        assert (found.type, found.name, found.organisation) == ("PER", "Garnier Élise", "Département fictif")
        assert (found.service, found.departement) == ("ASE", "38")

    async def test_who_left_is_found_as_such(self, book_room: BookRoom) -> None:
        await book_room.contacts.change(GARNIER, Described(type="PER", until=TODAY - timedelta(days=1)), "essai")
        (found,) = await book_room.contacts.find("garnier")
        assert not found.is_active(TODAY)

    async def test_a_role_is_held_from_its_first_day_to_its_last(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, -5, 5)
        assert [await book_room.holders(LEA.id, day) for day in (-6, -5, 5, 6)] == [
            [],
            [("usager", GARNIER)],
            [("usager", GARNIER)],
            [],
        ]
        assert await book_room.holders(TOM.id) == []

    async def test_the_next_holder_ends_the_former_on_the_eve_and_history_stays(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, -5)
        await book_room.say(LOPEZ, 0)
        assert [await book_room.holders(LEA.id, day) for day in (-1, 0)] == [[("usager", GARNIER)], [("usager", LOPEZ)]]
        said = await book_room.roles.of(OF_LEA)
        assert [(one.contact.address, one.until, one.withdrawn_at is None) for one in said if one.role == REFERENT] == [
            (GARNIER, None, False),  # what was said first is still there, and who took it back
            (GARNIER, TODAY - timedelta(days=1), True),
            (LOPEZ, None, True),
        ]
        assert said[0].withdrawn_by == "essai"

    async def test_two_holders_at_once_are_refused_and_nothing_changes(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, 5)
        before = await book_room.roles.of(OF_LEA)
        with pytest.raises(Permanent):
            await book_room.say(LOPEZ, 0)
        assert await book_room.roles.of(OF_LEA) == before
        await book_room.say(LOPEZ, 0, 4)
        assert [await book_room.holders(LEA.id, day) for day in (4, 5)] == [[("usager", LOPEZ)], [("usager", GARNIER)]]

    async def test_other_roles_and_other_usagers_are_not_in_the_way(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, 0)
        await book_room.say(LOPEZ, 0, role="medecin_traitant")
        await book_room.say(LOPEZ, 0, whom=OF_TOM)
        assert await book_room.holders(LEA.id) == [("usager", GARNIER)]
        assert await book_room.holders(TOM.id) == [("usager", LOPEZ)]

    async def test_a_territory_and_the_site_hold_roles_for_their_usagers(self, book_room: BookRoom) -> None:
        await book_room.say(BUREAU, 0, whom=For(territory="vallee du  nord"))
        await book_room.say(LOPEZ, 0, whom=For())
        assert await book_room.holders(LEA.id) == [("site", LOPEZ), ("territory", BUREAU)]
        assert await book_room.holders(TOM.id) == [("site", LOPEZ)]

    async def test_an_end_and_a_mistake(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, -5)
        await book_room.roles.end(OF_LEA, REFERENT, GARNIER, TODAY, "essai")
        assert [await book_room.holders(LEA.id, day) for day in (0, 1)] == [[("usager", GARNIER)], []]
        with pytest.raises(Permanent):
            await book_room.roles.end(OF_LEA, REFERENT, GARNIER, TODAY, "essai")
        await book_room.roles.withdraw(OF_LEA, REFERENT, GARNIER, "essai")
        assert await book_room.holders(LEA.id) == []
        with pytest.raises(Permanent):
            await book_room.roles.withdraw(OF_LEA, REFERENT, GARNIER, "essai")

    async def test_saying_it_again_changes_nothing(self, book_room: BookRoom) -> None:
        await book_room.say(GARNIER, -5)
        before = await book_room.roles.of(OF_LEA)
        await book_room.say(GARNIER, -5)
        assert await book_room.roles.of(OF_LEA) == before

    @pytest.mark.parametrize(
        ("role", "address"),
        [
            ("referant_ase", GARNIER),
            (REFERENT, OUTSIDE),
            (REFERENT, "personne@ase-exemple.mssante.fr"),
        ],
    )
    async def test_only_a_contact_holds_a_role_of_the_site(self, book_room: BookRoom, role: str, address: str) -> None:
        with pytest.raises(Permanent):
            await book_room.say(address, 0, role=role)

    async def test_a_role_that_would_end_before_it_begins_is_refused(self, book_room: BookRoom) -> None:
        with pytest.raises(Permanent):
            await book_room.say(GARNIER, 0, -1)
