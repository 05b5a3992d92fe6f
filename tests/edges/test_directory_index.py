"""What was typed finds who was meant: without accents, in any order, by beginnings; and a new database is taken up."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hub.directory import Wanted
from hub.trust.directory import DirectoryAway, ExtractionIndex
from tests.directories import imported, organisation, person, text_of

LINES = (
    person("lea.apreval@medecin.mssante.fr", family="D'ÂPREVAL-L'HÉRAUMONT", given="Léa Noëlle"),
    person("jl.martin@infirmier.mssante.fr", family="MARTIN", given="Jean-Loup", profession="Infirmier", skill=""),
    person("zoe.martinet@medecin.mssante.fr", family="MARTINET", given="Zoé", rpps="99900000077"),
    person("c.deba@medecin.mssante.fr", family="DEBAPEL", given="Cœur", town="44600 ST NAZAIRE", postal_code="44600"),
    organisation("secretariat@mecs-martin.mssante.fr", house="MECS MARTIN"),
    organisation("ase.brest@cd29.mssante.fr", house="CONSEIL DÉPARTEMENTAL (29)", service="AIDE SOCIALE À L'ENFANCE"),
    organisation("vide@structure.mssante.fr", house="", service="SŒURS", town="", postal_code=""),
    person("interne@medecin.mssante.fr", family="JEUNE", category="E", category_label="Etudiant"),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ExtractionIndex:
    folder = tmp_path_factory.mktemp("directory")
    imported(folder, text_of(*LINES))
    return ExtractionIndex(folder)


def found(index: ExtractionIndex, words: str, **more: str) -> list[str]:
    wanted = Wanted(text=words, kind=more.get("kind"), department=more.get("department"))
    return [entry.address.partition("@")[0] for entry in index.find_now(wanted).entries]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("apreval", "lea.apreval"),
        ("Dapreval", "lea.apreval"),
        ("d'apreval", "lea.apreval"),
        ("lhéraumont noelle", "lea.apreval"),
        ("noëlle D'APR", "lea.apreval"),
        ("l’heraumont", "lea.apreval"),
        ("jean loup martin", "jl.martin"),
        ("martin jeanloup", "jl.martin"),
        ("infirmier brest", "jl.martin"),
        ("INFIRM martin", "jl.martin"),
        ("de bapel", "c.deba"),
        ("de-bapel", "c.deba"),
        ("coeur", "c.deba"),
        ("saint nazaire", "c.deba"),
        ("SOEURS", "vide"),
        ("99900000077", "zoe.martinet"),
        ("zoe 29", "zoe.martinet"),
        ("zoe finistere", "zoe.martinet"),
        ("aide sociale enfance", "ase.brest"),
        ("ase.brest@cd29.mssante.fr", "ase.brest"),
        ("ASE.brest@", "ase.brest"),
        ("structure vide", "vide"),
        ("mecs secretariat", "secretariat"),
    ],
)
def test_words_find_who_was_meant(index: ExtractionIndex, words: str, expected: str) -> None:
    assert found(index, words) == [expected]


def test_whole_names_come_first(index: ExtractionIndex) -> None:
    assert found(index, "martin") == ["jl.martin", "secretariat", "zoe.martinet"]


def test_kind_and_departement_narrow(index: ExtractionIndex) -> None:
    assert found(index, "martin", kind="ORG") == ["secretariat"]
    assert found(index, "martin", department="29") == ["jl.martin", "zoe.martinet"]
    assert found(index, "martin", kind="PER", department="75") == []


@pytest.mark.parametrize(
    "words", ["", "  ", "- *", '"', "zzz", 'martin" OR "zoe', "names:martin", "NEAR(a b)", "%", "'; --"]
)
def test_nothing_that_is_typed_is_a_command(index: ExtractionIndex, words: str) -> None:
    assert found(index, words) == []


def test_what_is_said_of_one(index: ExtractionIndex) -> None:
    entry = index.at_now("Interne@MEDECIN.mssante.fr")
    assert entry is not None
    assert entry.activities[0].profession == "Médecin (etudiant)"
    assert (entry.activities[0].town, entry.activities[0].department) == ("BREST", "29")
    assert index.at_now("interne@medecin.mssante") is None
    assert index.at_now("") is None


def test_more_than_wanted_is_told(tmp_path: Path) -> None:
    imported(tmp_path, text_of(*(person(f"p{number}@x.mssante.fr") for number in range(300))))
    answer = ExtractionIndex(tmp_path).find_now(Wanted(text="exemple", limit=200))
    assert (len(answer.entries), answer.is_whole) == (200, False)
    assert ExtractionIndex(tmp_path).find_now(Wanted(text="p7", limit=200)).is_whole


def test_a_new_database_is_taken_up_and_the_old_one_serves_until_then(tmp_path: Path) -> None:
    index = ExtractionIndex(tmp_path)
    with pytest.raises(DirectoryAway) as raised:
        index.find_now(Wanted(text="x"))
    assert raised.value.code == "never-loaded"
    imported(tmp_path, text_of(person()))
    assert len(index.find_now(Wanted(text="exemple")).entries) == 1
    (tmp_path / "directory.db.0a.new").write_bytes(b"half of a new one, left by a crash")
    assert len(index.find_now(Wanted(text="exemple")).entries) == 1
    imported(tmp_path, text_of(person(), person("b@x.mssante.fr")))
    assert len(index.find_now(Wanted(text="exemple")).entries) == 2
    (tmp_path / "directory.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(DirectoryAway) as raised:
        index.account()
    assert raised.value.code == "unreadable"
    imported(tmp_path, text_of(person()))
    assert index.account().entries == 1
    index.close()


def test_many_ask_at_once_while_it_is_replaced(tmp_path: Path) -> None:
    imported(tmp_path, text_of(person()))
    index, wrong, stop = ExtractionIndex(tmp_path), list[object](), threading.Event()

    def ask() -> None:
        while not stop.is_set():
            try:
                entries = index.find_now(Wanted(text="exemple")).entries
            except Exception as error:
                wrong.append(error)
                return
            if len(entries) != 1:
                wrong.append(entries)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        imported(tmp_path, text_of(person()))
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_very_common_words_are_met_whole_and_their_beginnings_too(tmp_path: Path) -> None:
    crowd = [person(f"p{number}@x.mssante.fr", family=f"NOM{number}") for number in range(2100)]
    rare = person(
        "medecin@x.mssante.fr", profession="Infirmier", family="MEDECINOU", town="44000 NANTES", postal_code="44000"
    )
    imported(tmp_path, text_of(*crowd, rare))
    index = ExtractionIndex(tmp_path)
    assert found(index, "medecin nom77")[0] == "p77"
    assert found(index, "medec nom77")[0] == "p77"
    assert found(index, "medecinou") == ["medecin"]
    assert len(found(index, "medecin")) == len(found(index, "medec")) == 20
