"""What no official rule sees is shown by the reader (cda-xdm.md §1.6, §7 item 17): mild doubts, no reason to hold."""

from __future__ import annotations

import re

import pytest

from hub.cda import read_cda
from hub.cda.writer import write_cda
from hub.message import Document, Limits
from tests.pieces import CODES, DUI, piece

WRITTEN = write_cda(piece(version=2, replaces="2.25.3", action="replace"), CODES).decode()
PERSONS, STRUCTURES = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"


def read(text: str) -> Document:
    return read_cda(text.encode(), name=None, attachment=1, limits=Limits(), codes=CODES)


def changed(before: str, after: str, within: str = "ClinicalDocument") -> str:
    """The document with the first `before` inside the first such element replaced."""
    element = re.search(rf"<{within}[ >].*?</{within}>", WRITTEN, re.DOTALL)
    assert element is not None
    assert before in element[0]
    return WRITTEN.replace(element[0], element[0].replace(before, after, 1), 1)


ODD = {
    "another name for its type": (
        changed('displayName="Document du secteur social / médico-social"', 'displayName="Ordonnance"'),
        "label-differs",
        "28653-4",
    ),
    "typeId extension": (changed("POCD_HD000040", "POCD_HD000099"), "type-id", ""),
    "typeId root": (changed('root="2.16.840.1.113883.1.3"', 'root="2.16"'), "type-id", ""),
    "appended": (changed('typeCode="RPLC"', 'typeCode="APND"'), "related-document", "APND"),
    "transformed": (changed('typeCode="RPLC"', 'typeCode="XFRM"'), "related-document", "XFRM"),
    "family in small letters": (changed(">D'ESSAI-ELU<", ">d'Essai-Elu<"), "name-form", "family"),
    "family with an accent": (changed(">D'ESSAI-ELU<", ">D'ESSAI-ÉLU<"), "name-form", "family"),
    "author under another root": (changed(f'root="{PERSONS}"', 'root="1.2.3"', "author"), "id-authority", "author"),
    "RPPS without its first digit": (changed("3990000029/12", "01234567890", "author"), "id-form", "author"),
    "organisation under another root": (
        changed(f'root="{STRUCTURES}"', 'root="1.2.3"', "author"),
        "id-authority",
        "author organisation",
    ),
    "FINESS alone": (changed("1990000029", "990000029", "author"), "id-form", "author organisation"),
    "authenticator under another root": (
        changed(f'root="{PERSONS}"', 'root="1.2.3"', "legalAuthenticator"),
        "id-authority",
        "legalAuthenticator",
    ),
    "author nobody": (
        re.sub(r"<assignedPerson>.*?</representedOrganization>", "", WRITTEN, count=1, flags=re.DOTALL),
        "author-empty",
        "",
    ),
    "custodian without a name": (
        changed("<name>MECS Les Érables &amp; Cie (fictive)</name>", "", "custodian"),
        "custodian-unnamed",
        "",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_oddity_is_shown_and_holds_nothing(name: str) -> None:
    text, code, detail = ODD[name]
    defects = read(text).defects
    assert (code, detail) in {(defect.code, defect.detail) for defect in defects}
    assert not any(defect.grave for defect in defects)


def test_what_the_hub_writes_is_not_odd() -> None:
    assert read(WRITTEN).defects == ()
    assert read(write_cda(piece(authors=(DUI,)), CODES).decode()).defects == ()


def test_a_detail_shows_no_foreign_text() -> None:
    text = changed('typeCode="RPLC"', 'typeCode="un nom, Léa"')
    assert ("related-document", "(other)") in {(defect.code, defect.detail) for defect in read(text).defects}


def test_a_document_written_by_the_usager_is_not_odd_for_its_ins() -> None:
    text = changed(f'root="{PERSONS}"', 'root="1.2.250.1.213.1.4.10"', "author")
    assert "id-authority" not in {d.code for d in read(text).defects if d.detail == "author"}
