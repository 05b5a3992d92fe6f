"""What the records owe to the search for the usager of a submission, said once for the real ones and the fake. All
people are fictional."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import pytest

from hub.birthdates import near_dates
from hub.message import Asked, Clue, Identity, Subjects, Usager
from tests.records_contract import ANA, LEA, TOM, a_usager


class AnySubjects(Protocol):
    async def subjects(self, asked: Asked) -> Subjects: ...


class SubjectsRoom:
    """Records with Léa, Tom (same surname) and Ana (born the same day as Léa). `answer` makes a mail with this
    Message-ID that was about an usager: one that came and was filed, one of ours as submitted, or as sent."""

    def __init__(
        self, records: AnySubjects, add: Callable[[list[Usager]], None], answer: Callable[[str, str, str], None]
    ) -> None:
        self.records = records
        self.add = add
        self.answer = answer

    async def ids(self, *clues: Clue, near: tuple[str, ...] = ()) -> list[str]:
        found = await self.records.subjects(Asked(clues=clues, near_dates=near))
        return sorted(one.id for one in found.usagers)


def by_name(name: str | None, given: str | None, born: str | None) -> Clue:
    reading = Identity(birth_name=name, first_given=given, birth_date=born)
    return Clue(way="name", place="subject", readings=(reading,))


def by_number(*numbers: str) -> Clue:
    return Clue(way="number", place="subject", numbers=numbers)


class SubjectsContract:
    async def test_nothing_asked_finds_nobody(self, subjects_room: SubjectsRoom) -> None:
        assert await subjects_room.records.subjects(Asked()) == Subjects()

    async def test_an_usager_is_found_by_record_number_with_who_bears_the_same_name(
        self, subjects_room: SubjectsRoom
    ) -> None:
        assert await subjects_room.ids(by_number("D-3")) == ["u3"]
        assert await subjects_room.ids(by_number("d-1", "D-1")) == ["u1", "u2"]
        assert await subjects_room.ids(by_number("D-9", "1")) == []

    async def test_an_usager_is_found_whole(self, subjects_room: SubjectsRoom) -> None:
        found = await subjects_room.records.subjects(Asked(clues=(by_number("D-1"),)))
        assert found.usagers[0] == LEA
        assert found.is_whole

    async def test_an_usager_is_found_by_ins(self, subjects_room: SubjectsRoom) -> None:
        clue = Clue(way="datamatrix", place="pdf", readings=(Identity(ins=ANA.identity.ins),))
        assert await subjects_room.ids(clue) == ["u3"]

    @pytest.mark.parametrize(
        ("name", "born", "found"),
        [
            ("DUBREUIL-SANCHEZ", "2012-05-31", ["u1", "u3"]),  # Ana is born that day too
            ("oeuvrard", "2012-05-31", ["u1", "u3"]),  # a used name
            ("Dubreuil-Sanchez", "2012-05-13", ["u1"]),  # a slip in the date
            ("Dubreuil-Sanchez", "2014-02-01", ["u2"]),  # day and month swapped
            ("Dubreuil-Sanchez", "1999-12-24", []),
            ("Dubreuil-Sanchez", None, ["u1", "u2"]),
            ("Personne", "2014-01-02", ["u2"]),
            ("Personne", None, []),
        ],
    )
    async def test_who_has_a_name_or_a_date_or_nearly_is_found(
        self, subjects_room: SubjectsRoom, name: str, born: str | None, found: list[str]
    ) -> None:
        near = near_dates(born) if born else ()
        assert await subjects_room.ids(by_name(name, "Léa", born), near=near) == found

    async def test_who_has_no_known_date_may_be_meant(self, subjects_room: SubjectsRoom) -> None:
        subjects_room.add([a_usager(7, birth_name="Kerguelen", birth_date=None)])
        clue = by_name("Kerguelen", "Ana", "2012-05-31")
        assert "u7" in await subjects_room.ids(clue, near=near_dates("2012-05-31"))

    @pytest.mark.parametrize("how", ["filed", "submitted", "sent"])
    async def test_a_thread_names_whom_its_mails_were_about(self, subjects_room: SubjectsRoom, how: str) -> None:
        subjects_room.answer("<a@exemple.fr>", ANA.id, how)
        clue = Clue(way="thread", place="headers", message_ids=("<z@exemple.fr>", "<a@exemple.fr>"))
        found = await subjects_room.records.subjects(Asked(clues=(clue,)))
        assert found.thread == ("u3",)
        assert found.usagers == (ANA,)
        other = Clue(way="thread", place="headers", message_ids=("<z@exemple.fr>",))
        assert await subjects_room.records.subjects(Asked(clues=(other,))) == Subjects()

    async def test_a_thread_of_several_usagers_names_them_all(self, subjects_room: SubjectsRoom) -> None:
        subjects_room.answer("<a@exemple.fr>", TOM.id, "filed")
        subjects_room.answer("<a@exemple.fr>", ANA.id, "filed")
        subjects_room.answer("<b@exemple.fr>", ANA.id, "sent")
        clue = Clue(way="thread", place="headers", message_ids=("<a@exemple.fr>", "<b@exemple.fr>"))
        found = await subjects_room.records.subjects(Asked(clues=(clue,)))
        assert found.thread == ("u2", "u3")
