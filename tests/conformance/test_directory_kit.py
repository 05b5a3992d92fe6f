"""The extraction of the test kit: 500 invented records with the right counts, and each of its twelve traps."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.directory import Entry, Wanted
from hub.settings import DirectorySettings
from hub.trust.directory import Account, ExtractionIndex
from hub.trust.directory.build import build
from tests.directories import NOW

END = ".exemple.mssante.fr"


@pytest.fixture(scope="module")
def loaded(testkit: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Account, ExtractionIndex]:
    folder = tmp_path_factory.mktemp("directory")
    (file,) = (testkit / "annuaire").glob("Extraction_Correspondance_MSSante_*.txt")
    account = build(file, folder / "directory.db", former=None, at=NOW, settings=DirectorySettings())
    return account, ExtractionIndex(folder)


@pytest.fixture(scope="module")
def rows(testkit: Path) -> list[list[str]]:
    (file,) = (testkit / "annuaire").glob("Extraction_Correspondance_MSSante_*.txt")
    return [line.split("|") for line in file.read_text(encoding="utf-8").splitlines()[1:]]


def at(loaded: tuple[Account, ExtractionIndex], address: str) -> Entry:
    entry = loaded[1].at_now(address)
    assert entry is not None, address
    return entry


def find(loaded: tuple[Account, ExtractionIndex], text: str) -> list[Entry]:
    return list(loaded[1].find_now(Wanted(text=text)).entries)


def test_the_counts_are_right(loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]) -> None:
    account = loaded[0]
    assert (account.lines, account.broken, account.gone) == (500, {}, 0)
    assert (
        account.kinds
        == {"PER": 218, "ORG": 282}
        == {kind: sum(row[0] == kind for row in rows) for kind in ("PER", "ORG")}
    )
    assert account.entries == len({row[1].lower() for row in rows}) == 496
    assert account.at.isoformat() == "2026-01-01T05:00:00+00:00"


def test_everybody_is_found_by_address_name_number_and_place(
    loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]
) -> None:
    for row in rows:
        entry = at(loaded, row[1].upper())
        assert (entry.kind, entry.family, entry.given) == (row[0], row[9], row[10])
        words = [f"{row[10]} {row[9]}", f"{row[9]} {row[27][6:]}", row[3]] if row[9] else [row[18]]
        words += [row[6]] if row[6] else []
        for text in filter(str.strip, words):
            found = loaded[1].find_now(Wanted(text=text, limit=200)).entries
            assert entry.address in {one.address for one in found}, text


def test_one_address_with_a_second_skill(loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]) -> None:
    (trap,) = (row for row in rows[-12:-11])
    activities = at(loaded, trap[1]).activities
    assert len(activities) == 2
    assert activities[1].skill == "Psychiatrie, opt enfant et adolescent (SM)"


def test_one_address_with_a_second_place(loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]) -> None:
    activities = at(loaded, rows[-11][1]).activities
    assert [activity.organisation for activity in activities][1:] == ["CENTRE DE SANTÉ DU QUAI"]
    assert rows[-11][1].lower() in {entry.address.lower() for entry in find(loaded, "centre de sante du quai")}


def test_the_very_same_line_twice_is_one_activity(
    loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]
) -> None:
    assert rows[-10] in rows[:-12]
    assert len(at(loaded, rows[-10][1]).activities) == 1


def test_namesakes_are_told_apart(loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]) -> None:
    found = find(loaded, f"{rows[-9][10]} {rows[-9][9]}")
    assert len({entry.person_id for entry in found if entry.family == rows[-9][9]}) == 2


def test_capitals_in_a_domain_are_the_same_address(
    loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]
) -> None:
    assert rows[-8][1] != rows[-8][1].lower()
    entry = at(loaded, rows[-8][1].lower())
    assert entry.address.partition("@")[2].islower()
    assert len(entry.activities) == 1


def test_a_structure_with_nearly_nothing_is_found(loaded: tuple[Account, ExtractionIndex]) -> None:
    (entry,) = find(loaded, "structure sans numero")
    assert (entry.address, entry.name) == (f"accueil@structure-sans-numero{END}", "STRUCTURE SANS NUMÉRO")


@pytest.mark.parametrize(
    "words", ["dapreval", "d'âpréval", "lheraumont marie", "Noëlle HERAUMONT", "apreval l'heraumont"]
)
def test_apostrophes_and_accents_hide_nobody(loaded: tuple[Account, ExtractionIndex], words: str) -> None:
    assert f"marie.dapreval-lheraumont@medecin{END}" in {entry.address for entry in find(loaded, words)}


def test_an_adeli_number_and_no_structure(loaded: tuple[Account, ExtractionIndex]) -> None:
    (entry,) = find(loaded, "379999991")
    assert (entry.name, entry.activities[0].profession) == ("MME Noémie TROUVALUNEAU", "Psychologue")
    assert find(loaded, "0379999991") == [entry]


def test_a_student_is_one(loaded: tuple[Account, ExtractionIndex], rows: list[list[str]]) -> None:
    assert at(loaded, rows[-4][1]).activities[0].profession == "Médecin (etudiant)"


def test_blanks_a_plus_sign_and_a_foreign_zone(loaded: tuple[Account, ExtractionIndex]) -> None:
    assert at(loaded, f"secretariat@espaces-en-fin{END}").activities[0].service == "SECRÉTARIAT"
    assert at(loaded, f"pole.sante+urgence@adresse-plus{END}").kind == "ORG"
    assert at(loaded, "contact@mssante-exemple.invalid").kind == "ORG"
    assert [entry.address for entry in find(loaded, "contact@mssante-exemple.invalid")] == [
        "contact@mssante-exemple.invalid"
    ]
