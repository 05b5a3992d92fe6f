"""What a PDF says of whom it is: DataMatrix INS and filled forms. All people are fictional."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import ins
from hub.message import Clue, Document, Identity
from hub.parse.clues import DOCUMENTS_MOST, add_clues, read_clues, read_data_matrix
from tests.pdfmaker import a_pdf, drawn, ins_payload
from tests.unit.routing_samples import LOU_INS, mail, pdf

BLOCKS = {
    "S1": LOU_INS,
    "S2": ins.NIR,
    "S3": "LOU ANNE",
    "S4": "MARTINEAU",
    "S5": "F",
    "S6": "14-03-2015",
    "S7": "69123",
}
LOU = Identity(
    ins=LOU_INS,
    oid=ins.NIR,
    birth_name="MARTINEAU",
    given_names="LOU ANNE",
    birth_date="2015-03-14",
    sex="F",
    birth_place="69123",
)
PAYLOAD = ins_payload(**BLOCKS)


def test_the_blocks_of_a_data_matrix_are_the_traits() -> None:
    assert read_data_matrix(PAYLOAD) == LOU


def test_blocks_of_full_length_have_no_separator() -> None:
    name, given_names = "N" * 100, "P" * 100
    text = ins_payload(**BLOCKS | {"S2": ins.TEST, "S3": given_names, "S4": name})
    assert len(ins.TEST) == 20
    assert read_data_matrix(text) == replace(LOU, oid=ins.TEST, birth_name=name, given_names=given_names)


def test_blocks_in_another_order_or_absent_are_borne() -> None:
    turned = ins_payload(**{name: BLOCKS[name] for name in ("S1", "S2", "S3", "S5", "S6", "S4")})
    assert read_data_matrix(turned) == replace(LOU, birth_place=None)


def test_a_separator_that_is_missing_or_written_out_is_borne() -> None:
    assert read_data_matrix(PAYLOAD.replace("\x1d", "<GS>")) == LOU
    assert read_data_matrix(PAYLOAD.replace("4.8\x1d", "4.8")) == LOU


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DC04FR0000011AFA1AFA0128FR",  # another code of the State, a 2D-Doc
        PAYLOAD[:26],
        PAYLOAD.replace(LOU_INS, "X" * 15),
        PAYLOAD.replace(LOU_INS, LOU_INS[:14]),
        "https://exemple.fr/",
    ],
)
def test_what_is_no_data_matrix_ins_says_nobody(text: str) -> None:
    assert read_data_matrix(text) is None


def test_a_wrong_trait_is_not_stated() -> None:
    text = ins_payload(**BLOCKS | {"S5": "X", "S6": "2015-03-14"})
    assert read_data_matrix(text) == replace(LOU, sex=None, birth_date=None)


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(rest: str) -> None:
    read_data_matrix("IS01" + "0" * 22 + rest)


@pytest.mark.parametrize("module", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_a_data_matrix_is_read_on_the_page(module: float, slope: float) -> None:
    page = drawn(PAYLOAD, module=module, x=100, y=300, slope=slope)
    assert read_clues(a_pdf(page)) == (Clue(way="datamatrix", place="page 1", readings=(LOU,)),)


def test_codes_of_other_sorts_are_left_out_and_only_the_first_pages_are_looked_at() -> None:
    other = drawn("https://exemple.fr/")
    assert [clue.place for clue in read_clues(a_pdf(other, b"", drawn(PAYLOAD), drawn(PAYLOAD)))] == ["page 3"]


def test_two_codes_of_two_persons_are_both_told() -> None:
    tom = ins_payload(**BLOCKS | {"S3": "TOM"})
    found = read_clues(a_pdf(drawn(PAYLOAD) + b"\n" + drawn(tom, x=60, y=100)))
    assert {clue.readings[0].given_names for clue in found} == {"LOU ANNE", "TOM"}


def test_a_huge_page_is_drawn_small() -> None:
    huge = a_pdf(drawn(PAYLOAD, module=60.0, x=100, y=100), size=(14_000, 14_000))
    assert read_clues(huge) == (Clue(way="datamatrix", place="page 1", readings=(LOU,)),)


# --- forms


def test_a_form_gives_its_record_number_and_its_identity() -> None:
    fields = {
        "enfant.nom_naissance": "Dupont",
        "enfant.prenoms": "Léa Marie",
        "enfant.date_naissance": "12/03/2012",
        "enfant.sexe": "F",
        "enfant.identifiant_interne_esms": " D-12 ",
        "description": "une demande",
    }
    assert read_clues(a_pdf(b"", fields=fields)) == (
        Clue(way="form", place="form", numbers=("D-12",)),
        Clue(
            way="form",
            place="form",
            readings=(Identity(birth_name="Dupont", given_names="Léa Marie", birth_date="2012-03-12", sex="F"),),
        ),
    )


@pytest.mark.parametrize(
    "name",
    ["Numéro de dossier", "N° dossier", "numero_dossier", "topmostSubform[0].Page1[0].Dossier[0]", "NUMERO-DOSSIER"],
)
def test_a_field_is_known_by_the_names_that_people_give_it(name: str) -> None:
    assert read_clues(a_pdf(b"", fields={name: "12"})) == (Clue(way="form", place="form", numbers=("12",)),)


def test_an_ins_without_its_authority_is_told_apart() -> None:
    spaced = f"{LOU_INS[0]} {LOU_INS[1:]}"
    found = read_clues(a_pdf(b"", fields={"ins": spaced, "nom de naissance": "Dupont", "né(e) le": "12/03/2012"}))
    assert found == (
        Clue(way="form", place="form", readings=(Identity(ins=LOU_INS),), is_clear=False),
        Clue(way="form", place="form", readings=(Identity(birth_name="Dupont", birth_date="2012-03-12"),)),
    )
    (whole,) = read_clues(a_pdf(b"", fields={"ins": LOU_INS, "oid": ins.NIR}))
    assert whole.readings == (Identity(ins=LOU_INS, oid=ins.NIR),)


@pytest.mark.parametrize(
    "fields",
    [{}, {"description": "12"}, {"numero_dossier": "  "}, {"nom_naissance": "Dupont"}, {"date_naissance": "1/1/12"}],
)
def test_a_form_that_says_nobody_gives_no_clue(fields: dict[str, str]) -> None:
    assert read_clues(a_pdf(b"", fields=fields)) == ()


def test_a_form_for_two_persons_gives_both_numbers_and_no_identity() -> None:
    fields = {"a.numero_dossier": "12", "b.numero_dossier": "13", "a.nom_naissance": "Un", "b.nom_naissance": "Deux"}
    found = read_clues(a_pdf(b"", fields=fields | {"date_naissance": "12/03/2012"}))
    assert found == tuple(Clue(way="form", place="form", numbers=(number,)) for number in ("12", "13"))
    assert len(read_clues(a_pdf(b"", fields={"a.numero_dossier": "12", "b.numero_dossier": "12"}))) == 1


@pytest.mark.parametrize("raw", [b"", b"%PDF-1.4\n%%EOF", b"no pdf", a_pdf(drawn(PAYLOAD))[:2000]])
def test_what_is_no_whole_pdf_gives_no_clue(raw: bytes) -> None:
    assert read_clues(raw) == ()


# --- the message


def loose(raw: bytes, number: int = 0) -> Document:
    return pdf(raw=raw, sha256=f"{number:064d}")


def test_only_loose_pdfs_are_looked_at_and_not_too_many() -> None:
    raw = a_pdf(b"", fields={"numero_dossier": "12"})
    message = mail(pdf(raw=raw, archive=0), *(loose(raw, n) for n in range(DOCUMENTS_MOST + 2)))
    found = add_clues(message).documents
    assert [bool(document.clues) for document in found] == [False] + [True] * DOCUMENTS_MOST + [False] * 2
    assert [replace(document, clues=()) for document in found] == list(message.documents)
