"""Subjects, file names and shown names, as the Référentiel wants them (ECO.2.1.3, ECO.2.1.6, §4.4), and discretion."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cda.archive_writer import ArchiveWritten, write_archive
from hub.cda.writing import SOCIAL_DOCUMENT
from hub.compose.naming import (
    Discretion,
    discretion_for,
    file_names,
    ordinary_subject,
    personal_name,
    subject,
    type_code_of,
)
from hub.message import Coded, Identity, Usager
from tests.amounts import examples
from tests.pieces import AT, CODES, LEA, LOT, piece
from tests.unit.routing_samples import rulebook

LOINC = "2.16.840.1.113883.6.1"
VIAL = Identity(birth_name="Vial", first_given="Paul", given_names="Paul Henri", birth_date="1978-11-26", sex="M")
PAUL = Usager(id="p", identity=VIAL, record_number="12150302014578")
LABORATORY = Coded("11502-2", LOINC, "CR d'examens biologiques")
CATALOGUE = rulebook().catalogue
NAMED = re.compile(
    r"(?P<date>\d{8})_(?P<type>[^_]{1,40})_(?P<nom>[^_]+)_(?P<prenom>[^_.]+)(?:_(?P<num>[^_.]+))?\.pdf"
)  # mssante.md §4.3


def of(*types: Coded, usager: Usager = PAUL) -> ArchiveWritten:
    made = [piece(usager=usager, type_code=code, unique_id=f"2.25.{n}1") for n, code in enumerate(types, 1)]
    return write_archive(tuple(made), LOT, CODES)


def named(**changes: Any) -> str:
    return file_names([piece(usager=PAUL, type_code=LABORATORY, **changes)], CODES, Discretion.NONE)[0]


# --- subject (ECO.2.1.3) ----------------------------------------------------------------------------------------------


def test_the_subject_is_that_of_the_examples() -> None:
    """mssante.md §4.2, both examples."""
    one = subject(of(LABORATORY), CODES, Discretion.NONE, None)
    assert one == "XDM/1.0/DDM+CR d'examens biologiques VIAL Paul 26/11/1978"
    two = subject(of(LABORATORY, LABORATORY), CODES, Discretion.NONE, None)
    assert two == "XDM/1.0/DDM+2 documents VIAL Paul 26/11/1978"


def test_the_label_has_40_characters_at_most() -> None:
    label = subject(of(SOCIAL_DOCUMENT), CODES, Discretion.NONE, None).partition("+")[2].partition(" VIAL")[0]
    assert label == "Document du secteur social / médico-soci"
    assert len(label) == 40


def test_names_have_no_accents_and_half_a_date_is_left_out() -> None:
    usager = replace(PAUL, identity=replace(VIAL, birth_name="d’Œuvré-Bîn", first_given="Zoé", birth_date="1978-11"))
    assert subject(of(LABORATORY, usager=usager), CODES, Discretion.NONE, None).endswith("biologiques D'OEUVRE-BIN Zoe")


def test_discretion_puts_the_number_in_the_place_of_the_name() -> None:
    """Guard G14."""
    said = subject(of(SOCIAL_DOCUMENT, usager=LEA), CODES, Discretion.SUBJECT, "1234")
    assert said == "XDM/1.0/DDM+Document du secteur social / médico-soci dossier 1234"
    without = subject(of(SOCIAL_DOCUMENT, usager=LEA), CODES, Discretion.SUBJECT, None)
    assert without == "XDM/1.0/DDM+Document du secteur social / médico-soci"


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (["social"], Discretion.SUBJECT),
        (["judicial"], Discretion.SUBJECT),
        (["mixed"], Discretion.SUBJECT),
        (["health", "social"], Discretion.SUBJECT),
        (["unheard of"], Discretion.SUBJECT),
        ([], Discretion.SUBJECT),
        (["health"], Discretion.NONE),
        (["admin", "health"], Discretion.NONE),
    ],
)
def test_discretion_is_for_social_and_judicial_documents_and_for_the_unknown(
    contents: list[str], expected: Discretion
) -> None:
    assert discretion_for(contents, Discretion.SUBJECT) is expected


def test_a_site_may_do_without_discretion() -> None:
    assert discretion_for(["social"], Discretion.NONE) is Discretion.NONE


def test_an_ordinary_mail_never_looks_like_a_document_mail() -> None:
    assert ordinary_subject("Re: XDM/1.0/DDM+Lettre") == "Re: Lettre"
    assert ordinary_subject("Bonjour") == "Bonjour"


# --- file names (ECO.2.1.6) -------------------------------------------------------------------------------------------


def test_the_file_name_is_that_of_the_example() -> None:
    assert named(act_at=AT.replace(year=2015, month=8, day=2)) == (
        "20150802_CR d'examens biologiques_VIAL_Paul_12150302014578.pdf"
    )


def test_a_file_name_holds_no_path_and_no_more_separators_than_the_rule() -> None:
    usager = replace(PAUL, record_number="12/3_4.5", identity=replace(VIAL, birth_name="DE_LA COUR", first_given="A.B"))
    name = file_names([piece(usager=usager)], CODES, Discretion.NONE)[0]
    assert name == "20261125_Document du secteur social - médico-soci_DE LA COUR_A B_12-3 4 5.pdf"
    assert NAMED.fullmatch(name)


def test_two_documents_of_a_day_have_two_names() -> None:
    names = file_names([piece(usager=PAUL) for _ in range(3)], CODES, Discretion.NONE)
    assert len(set(names)) == 3
    assert all(NAMED.fullmatch(name) for name in names)


def test_the_names_of_files_are_discreet_only_when_the_site_wants_it() -> None:
    assert "ESSAI" in file_names([piece()], CODES, Discretion.SUBJECT)[0]
    hidden = file_names([piece()], CODES, Discretion.SUBJECT_AND_NAMES)[0]
    assert hidden == "20261125_Document du secteur social - médico-soci_dossier 1234.pdf"


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30), st.text(max_size=20))
@settings(max_examples=examples(150))
def test_a_file_name_is_one_whatever_the_names(family: str, given_name: str, number: str) -> None:
    usager = Usager(id="u", identity=Identity(birth_name=family, first_given=given_name), record_number=number)
    name = file_names([piece(usager=usager)], CODES, Discretion.NONE)[0]
    assert not set(name) & set('/\\:*?"<>|\r\n\x00')
    assert name.endswith(".pdf")
    assert name.count("_") <= 4


# --- shown names and types --------------------------------------------------------------------------------------------


def test_the_shown_name_of_a_personal_mailbox() -> None:
    assert personal_name("Marie", "Martin", "Cabinet Médical", "Dr") == "Dr_Marie_MARTIN_Cabinet Médical"
    assert personal_name("Marie", "Élu") == "Marie_ELU"
    assert personal_name("Ma_rie", "A") == "Ma rie_A"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("fiche_navette", "28653-4"),
        ("protocole_actions", "28653-4"),
        ("signalement_judiciaire", "28653-4"),
        ("projet_personnalise", "80788-3"),
        ("autorisation_soins", "AUTORIS-SOINS"),
        ("pieces_admission", "51851-4"),
        ("indetermine", "28653-4"),
        ("of no catalogue", "28653-4"),
        (None, "28653-4"),
    ],
)
def test_the_type_code_comes_from_the_catalogue(kind: str | None, code: str) -> None:
    """cda-xdm.md §4.6."""
    found = type_code_of(kind, CATALOGUE, CODES)
    assert found.code == code
    assert CODES.knows("types", found.code, found.system)


def test_every_kind_of_the_catalogue_can_be_written() -> None:
    for kind in CATALOGUE.kinds:
        written = type_code_of(kind, CATALOGUE, CODES)
        assert CODES.class_of(written.code, written.system), kind
        assert write_archive((piece(type_code=written, kind=kind),), LOT, CODES).types == (written,)
