"""What may not be written: each fault that the official rules do not see (cda-xdm.md §1) is refused, with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from hub import ins
from hub.cda.codes import Codes
from hub.cda.rules import Unwritable, refusals
from hub.cda.stated import as_written, identity_of
from hub.cda.writer import write_cda
from hub.cda.writing import (
    NORMAL,
    Guardian,
    Observation,
    Paragraph,
    PdfBody,
    Piece,
    Recipient,
    Section,
    Table,
    TextBody,
)
from hub.message import Coded, Identity, LocalId, Usager
from tests.pieces import AT, CODES, DUI, EDUCATOR, LEA, MECS, MINIMAL_PDF, form, piece, with_key


def identity(**changes: Any) -> Piece:
    return piece(usager=replace(LEA, identity=replace(LEA.identity, **changes)))


def author(**changes: Any) -> Piece:
    return piece(authors=(replace(EDUCATOR, **changes),))


def structure(**changes: Any) -> Piece:
    return author(structure=replace(MECS, **changes))


FAULTS: dict[str, tuple[Piece, str]] = {
    # identity
    "13 characters": (identity(ins="2120538001001"), "ins-form"),
    "16 characters": (identity(ins=with_key("2120538001001") + "1"), "ins-form"),
    "letters": (identity(ins="A" * 15), "ins-form"),
    "wrong key": (identity(ins="212053800100199"), "ins-key"),
    "social-security number": (identity(oid="1.2.250.1.213.1.4.13"), "ins-form"),
    "sex against the INS": (identity(sex="M"), "ins-sex"),
    "no birth place": (identity(birth_place=None), "ins-traits"),
    "unknown sex": (identity(sex="U"), "ins-traits"),
    "half a birth date": (identity(birth_date="2012-05"), "ins-traits"),
    "born later": (identity(birth_date="2027-01-01"), "birth-after-creation"),
    "birth date of another form": (identity(birth_date="31/05/2012"), "bad-birth-date"),
    "no birth date": (identity(birth_date=None), "no-birth-date"),
    "no name": (identity(birth_name=None), "no-birth-name"),
    "no given name": (identity(first_given=None, given_names=None), "no-given-name"),
    "another sex": (identity(sex="X"), "bad-sex"),
    "place XX": (identity(birth_place="XX"), "bad-birth-place"),
    "no number at all": (piece(usager=Usager(id="u", identity=replace(LEA.identity, local_ids=()))), "no-patient-id"),
    "an INS in disguise": (identity(local_ids=(LocalId(ins.NIR, LEA.identity.ins or ""),)), "ins-as-local-id"),
    "a number that would be cut": (identity(local_ids=(LocalId("2.25.7", "12^4"),)), "bad-local-id"),
    "a person's number that would be cut": (author(national_id="3990000029/1^2"), "person-id"),
    "a number without authority": (identity(local_ids=(LocalId("", "1"),)), "bad-local-id"),
    # codes
    "unknown type": (piece(type_code=Coded("99999-9", "2.16.840.1.113883.6.1")), "unknown-types"),
    "type of another system": (piece(type_code=Coded("28653-4", "1.2.250.1.213.1.1.4.12")), "unknown-types"),
    "type without system": (piece(type_code=Coded("28653-4")), "unknown-types"),
    "unknown facility": (structure(facility=Coded("SA99", "1.2.250.1.71.4.2.4")), "unknown-facilities"),
    "unknown setting": (structure(setting=Coded("X", "1.2.250.1.213.1.1.4.9")), "unknown-practice_settings"),
    "unknown role": (author(role=Coded("X", "1.2")), "unknown-specialties"),
    "no confidentiality": (piece(confidentiality=()), "confidentiality-absent"),
    "visibility alone": (
        piece(confidentiality=(Coded("INVISIBLE_PATIENT", "1.2.250.1.213.1.1.4.13"),)),
        "confidentiality-absent",
    ),
    "another list": (piece(confidentiality=(NORMAL, Coded("N", "1.2"))), "confidentiality-system"),
    # time and version
    "no zone": (piece(created_at=datetime(2026, 11, 25, 18, 30)), "no-zone"),
    "act without zone": (piece(act_at=datetime(2026, 11, 25)), "no-zone"),
    "reversed period": (piece(act_until=AT.replace(year=2025)), "period-reversed"),
    "version 0": (piece(version=0), "bad-version"),
    "version 2 of nothing": (piece(version=2), "version-chain"),
    "version 1 of something": (piece(replaces="2.25.3"), "version-chain"),
    "replaces nothing": (piece(action="replace"), "replaces-nothing"),
    "replaces itself": (piece(version=2, replaces="2.25.1001", action="replace"), "replaces-itself"),
    "id of no form": (piece(unique_id="abc"), "bad-id-id"),
    "leading zero": (piece(set_id="2.025"), "bad-id-setId"),
    "longer than XDS takes": (piece(unique_id="2.25." + "1" * 60), "bad-id-id"),
    "uuid in small letters": (piece(unique_id="a0000000-0000-8000-a000-000000000000"), "bad-id-id"),
    "id of the set": (piece(unique_id="2.25.1000"), "id-is-set"),
    "no title": (piece(title=" \n"), "title-empty"),
    # people
    "no author": (piece(authors=()), "author-absent"),
    "author without a name": (author(family=" "), "person-unnamed"),
    "RPPS without its first digit": (author(national_id="01234567890"), "person-id"),
    "id of nothing": (author(national_id="12"), "person-id"),
    "software without a maker": (piece(authors=(replace(DUI, maker=""),)), "person-unnamed"),
    "structure without a name": (structure(name=""), "structure-unnamed"),
    "FINESS alone": (structure(national_id="990000029"), "structure-id"),
    "custodian without a name": (piece(custodian=replace(MECS, name="")), "structure-unnamed"),
    "internal id under the national root": (
        structure(internal_ids=(LocalId("1.2.250.1.71.4.2.2", "7"),)),
        "structure-internal-id",
    ),
    "telephone without a scheme": (structure(telecoms=("0400000000",)), "bad-telecom"),
    "signer without a name": (piece(signer=replace(EDUCATOR, family="")), "person-unnamed"),
    "guardian of both sorts": (piece(guardians=(Guardian(family="A", organisation="B"),)), "guardian"),
    "guardian with a wrong id": (piece(guardians=(Guardian(organisation="B", organisation_id="x"),)), "guardian-id"),
    "recipient nobody": (piece(recipients=(Recipient(),)), "recipient-empty"),
    "recipient without a name": (piece(recipients=(Recipient(person=replace(EDUCATOR, family="")),)), "person-unnamed"),
    # body
    "docx": (piece(body=PdfBody(b"PK\x03\x04 word/document.xml")), "not-pdf"),
    "jpeg": (piece(body=PdfBody(b"\xff\xd8\xff\xe0")), "not-pdf"),
    "an EXE": (piece(body=PdfBody(b"MZ\x90\x00")), "not-pdf"),
    "empty": (piece(body=PdfBody(b"")), "not-pdf"),
    "text as PDF": (piece(body=PdfBody(b"Bonjour")), "not-pdf"),
    "cut short": (piece(body=PdfBody(MINIMAL_PDF[:60])), "pdf-cut"),
    "with a password": (piece(body=PdfBody(MINIMAL_PDF + b"/Encrypt 3 0 R %%EOF")), "pdf-encrypted"),
    "a PDF pasted as text": (piece(body=TextBody("%PDF-1.4 …")), "not-text"),
    "NUL in a text": (piece(body=TextBody("a\x00b")), "not-text"),
    "an endless title": (piece(title="x" * 251), "too-long-title"),
    "an endless name": (identity(birth_name="X" * 71), "too-long-name"),
    "endless given names": (identity(given_names="X " * 60), "too-long-name"),
    "an endless number": (identity(local_ids=(LocalId("2.25.7", "1" * 65),)), "too-long-number"),
    "an endless author": (author(given="x" * 71), "too-long-person"),
    "an endless structure": (structure(name="x" * 151), "too-long-structure"),
    "blank text": (piece(body=TextBody(" \n ")), "body-empty"),
    "form without sections": (piece(body=replace(form(), sections=())), "body-empty"),
    "form without a model": (piece(body=replace(form(), model="fiche")), "form-model"),
    "section without content": (
        piece(body=replace(form(), sections=(Section(title="A", blocks=()),))),
        "section-empty",
    ),
    "ragged table": (
        piece(body=replace(form(), sections=(Section(title="A", blocks=(Table(("a",), (("1", "2"),)),)),))),
        "table-ragged",
    ),
    "an empty table": (
        piece(body=replace(form(), sections=(Section(title="A", blocks=(Table((), ()),)),))),
        "table-ragged",
    ),
    "form with a PDF that is none": (piece(body=form(b"GIF89a")), "not-pdf"),
    "unknown format": (piece(body=replace(form(), format_code=Coded("urn:x", "1.2"))), "unknown-formats"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_piece_is_refused_with_its_reason(name: str) -> None:
    faulty, code = FAULTS[name]
    assert code in {fault.code for fault in refusals(faulty, CODES)}
    with pytest.raises(Unwritable) as refused:
        write_cda(faulty, CODES)
    assert code in refused.value.private
    assert "Rien n'a été envoyé." in refused.value.public


def test_the_unchanged_piece_has_no_fault() -> None:
    assert refusals(piece(), CODES) == ()
    assert refusals(piece(body=form(MINIMAL_PDF)), CODES) == ()


def test_no_refusal_speaks_of_a_person() -> None:
    """Neither log nor page shows a name, an INS or a number by way of an error."""
    secret = ("Essai", "ESSAI", "Léa", "BRISSAC", "1234", (LEA.identity.ins or "")[:13])
    for faulty, _ in FAULTS.values():
        for fault in refusals(faulty, CODES):
            assert not any(part in f"{fault.code} {fault.text}" for part in secret)


def test_all_faults_are_told_at_once_and_each_once() -> None:
    faulty = piece(title="", version=0, signer=replace(EDUCATOR, family=""), authors=(replace(EDUCATOR, family=""),))
    codes = [fault.code for fault in refusals(faulty, CODES)]
    assert {"title-empty", "bad-version", "person-unnamed"} <= set(codes)
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("status", ["provisoire", "recuperee", "validee", "", "QUALIFIEE"])
def test_an_ins_that_is_not_qualified_is_never_written(status: str) -> None:
    """INS/va1.53, RH-76."""
    usager = replace(LEA, ins_status=status)
    assert (LEA.identity.ins or "").encode() not in write_cda(piece(usager=usager), CODES)
    assert identity_of(piece(usager=usager)).ins is None
    assert identity_of(piece(usager=usager)).local_ids == LEA.identity.local_ids


def test_an_ins_of_a_doubtful_identity_is_never_written() -> None:
    usager = replace(LEA, doubtful=True)
    assert (LEA.identity.ins or "").encode() not in write_cda(piece(usager=usager), CODES)


def test_a_usager_without_local_id_gets_the_number_of_the_record() -> None:
    usager = Usager(id="u", record_number="77", identity=replace(LEA.identity, ins=None, oid=None, local_ids=()))
    assert as_written(usager, MECS).local_ids == (LocalId("1.2.250.1.71.4.2.2", "3990000029/77"),)


def test_names_are_written_in_the_form_of_the_ins_service() -> None:
    who = as_written(Usager(id="u", identity=Identity(birth_name="d’Œuf-Été", given_names="Zoé  anaïs")), MECS)
    assert (who.birth_name, who.given_names, who.first_given) == ("D'OEUF-ETE", "ZOE ANAIS", None)
    single = as_written(Usager(id="u", identity=Identity(birth_name="A", given_names="Zoé")), MECS)
    assert single.first_given == "ZOE"


def test_labels_are_those_of_the_lists_not_those_of_the_caller() -> None:
    lying = piece(type_code=Coded("28653-4", "2.16.840.1.113883.6.1", "Ordonnance"))
    written = write_cda(lying, CODES).decode()
    assert "Ordonnance" not in written
    assert 'displayName="Document du secteur social / médico-social"' in written


def test_a_code_without_any_label_is_refused() -> None:
    unlabelled = piece(type_code=Coded("28653-4", "2.16.840.1.113883.6.1"))
    assert "unlabelled-types" in {fault.code for fault in refusals(unlabelled, Codes.empty())}


def test_a_secret_address_is_written_nowhere() -> None:
    """CC 375-7, guard G07."""
    secret = replace(MECS, address_is_secret=True)
    written = write_cda(piece(authors=(replace(EDUCATOR, structure=secret),)), CODES).decode()
    for part in ("rue de l'Essai", "VALLOMBRE", "0499000000", "accueil@erables.example"):
        assert part not in written
    assert written.count('nullFlavor="MSK"') >= 6


def test_an_observation_without_value_and_words_with_every_sort_of_line_are_written() -> None:
    section = Section(
        title="A",
        blocks=(Paragraph("un\r\ndeux\x00\x0b"),),
        entries=(Observation(code=Coded("c", "2.25.1", "l"), value=None),),
    )
    written = write_cda(piece(body=replace(form(), sections=(section,))), CODES).decode()
    assert "<paragraph>un<br/>deux" in written
    assert "\x00" not in written
