"""A loose CDA: its header, its body, its wrappings, and what is no CDA."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from hub.cda import Codes, looks_like_cda, read_cda, xml
from hub.message import Author, Coded, Defect, Document, DocumentForm, Identity, Limits, LocalId
from tests.cdamaker import LEA, NOE, Sample, make_cda, make_pdf, with_key

PRODUCTION = "1.2.250.1.213.1.4.8"


def read(raw: bytes | Sample, limits: Limits | None = None) -> Document:
    content = raw.content() if isinstance(raw, Sample) else raw
    return read_cda(content, name="note.xml", attachment=3, limits=limits or Limits(), codes=Codes.empty())


def codes_of(document: Document) -> set[str]:
    return {defect.code for defect in document.defects}


def test_a_loose_cda_tells_all_that_its_header_says() -> None:
    raw = Sample(version="2", replaces=("2.25.1000.0^a",), unique_id="2.25.1000.1^b").content()
    document = read(raw)
    assert document.form is DocumentForm.CDA
    assert document.unique_id == "2.25.1000.1^b"
    assert document.title == "Note de suivi éducatif"
    assert document.type_code == Coded("28653-4", "2.16.840.1.113883.6.1", "Document du secteur social / médico-social")
    assert document.facility_code == Coded("SA20", "1.2.250.1.71.4.2.4")
    assert document.practice_code == Coded("ESSMS", "1.2.250.1.213.1.1.4.9")
    assert document.confidentiality == (Coded("N", "2.16.840.1.113883.5.25"),)
    assert document.created_at == "2024-03-15T09:15:00Z"
    assert document.act_at == "2024-03-14T08:00:00Z"
    assert (document.set_id, document.version, document.replaces) == ("2.25.1000", "2", ("2.25.1000.0^a",))
    assert document.action == "replace"
    assert document.custodian_id == "1310000001"
    assert document.language == "fr-FR"
    assert (document.archive, document.attachments, document.name) == (None, (3,), "note.xml")
    assert (document.hash_ok, document.size_ok) == (None, None)
    assert document.raw == raw
    assert document.defects == ()


def test_its_author_has_a_name_a_structure_and_national_ids() -> None:
    (author,) = read(Sample()).authors
    assert author == Author(
        name="Camille OSTERMANN",
        person_id="3310000001/12",
        organisation="Maison des Tilleuls",
        organisation_id="1310000001",
        role=Coded("326", "1.2.250.1.213.1.6.1.107", "Educateur spécialisé"),
    )


def test_an_author_with_another_id_keeps_it_with_its_root_and_an_ins_is_left_out() -> None:
    raw = make_cda(Sample()).replace(
        b'<id root="1.2.250.1.71.4.2.1" extension="3310000001/12"/>', b'<id root="2.25.7" extension="x"/>', 1
    )
    assert read(raw).authors[0].person_id == "2.25.7^x"
    raw = raw.replace(b'<id root="2.25.7" extension="x"/>', f'<id root="{LEA.oid}" extension="{LEA.ins}"/>'.encode())
    assert read(raw).authors[0].person_id is None


def test_a_program_as_author_is_named() -> None:
    start, end = b"<assignedPerson>", b"</assignedPerson>"
    raw = make_cda(Sample())
    person = raw[raw.index(start) : raw.index(end) + len(end)]
    device = b"<assignedAuthoringDevice><softwareName>DUI Alpha</softwareName></assignedAuthoringDevice>"
    assert read(raw.replace(person, device, 1)).authors[0].name == "DUI Alpha"


def test_the_patient_has_his_traits() -> None:
    person = replace(NOE, used_name="BLANC", used_given="PAUL")
    assert read(Sample(person=person)).patient == Identity(
        ins=NOE.ins,
        oid=NOE.oid,
        local_ids=(LocalId("2.25.4242.1", "DOS-0077"),),
        birth_name="D'ARCY-BLANC",
        first_given="NOE",
        given_names="NOE PAUL",
        used_name="BLANC",
        used_given="PAUL",
        birth_date="2015-09-04",
        sex="M",
        birth_place="69123",
    )


@pytest.mark.parametrize("last", [13, 14, 2])
def test_a_social_security_number_is_a_local_id(last: int) -> None:
    patient = read(Sample(person=replace(LEA, oid=f"1.2.250.1.213.1.4.{last}"))).patient
    assert patient is not None
    assert patient.ins is None
    assert LocalId(f"1.2.250.1.213.1.4.{last}", str(LEA.ins)) in patient.local_ids


@pytest.mark.parametrize("number", ["2120531555012", "2120531555012320", "21205315550123X", "INCONNU"])
def test_an_ins_without_its_form_is_a_local_id_with_a_warning(number: str) -> None:
    document = read(Sample(person=replace(LEA, ins=number)))
    assert document.patient is not None
    assert document.patient.ins is None
    assert LocalId(LEA.oid, number) in document.patient.local_ids
    assert document.defects == (Defect("ins-form"),)


def test_a_wrong_key_is_a_warning_and_the_number_stays() -> None:
    number = f"{str(LEA.ins)[:13]}{(int(str(LEA.ins)[13:]) % 97) + 1:02d}"
    document = read(Sample(person=replace(LEA, ins=number, oid=PRODUCTION)))
    assert document.patient is not None
    assert document.patient.ins == number
    assert document.defects == (Defect("ins-key"),)


def test_a_corsican_ins_is_read_in_small_letters_and_with_blanks() -> None:
    number = with_key("212052A004012")
    spaced = f"{number[:7].lower()} {number[7:]}"
    document = read(Sample(person=replace(LEA, ins=spaced)))
    assert document.patient is not None
    assert document.patient.ins == number
    assert document.defects == ()


def test_two_different_ins_are_a_grave_doubt() -> None:
    more = f'<id root="{PRODUCTION}" extension="{NOE.ins}"/>'.encode()
    raw = make_cda(Sample()).replace(b"<patientRole>", b"<patientRole>" + more, 1)
    assert Defect("several-ins", grave=True) in read(raw).defects


def test_two_record_targets_are_several_patients() -> None:
    raw = make_cda(Sample())
    start, end = raw.index(b"<recordTarget>"), raw.index(b"</recordTarget>") + len(b"</recordTarget>")
    assert "several-patients" in codes_of(read(raw[:end] + raw[start:end] + raw[end:]))


def test_names_without_qualifier_are_taken_for_those_of_birth() -> None:
    raw = (
        make_cda(Sample())
        .replace(b'<family qualifier="BR">', b"<family>")
        .replace(b'<given qualifier="BR">LEA</given>', b"")
    )
    patient = read(raw).patient
    assert patient is not None
    assert (patient.birth_name, patient.given_names) == ("MARTINEAU", "LEA ROSE")
    assert patient.first_given is None  # LEA or LEA ROSE: nobody said


@pytest.mark.parametrize(("code", "sex"), [("M", "M"), ("F", "F"), ("UN", "U"), ("U", "U"), ("X", None)])
def test_a_sex_is_m_f_u_or_nothing(code: str, sex: str | None) -> None:
    patient = read(Sample(person=replace(LEA, sex=code))).patient
    assert patient is not None
    assert patient.sex == sex


@pytest.mark.parametrize(
    ("person", "code"),
    [
        (replace(LEA, birth_place="XX"), "birth-place"),
        (replace(LEA, sex="M"), "ins-sex"),
        (replace(LEA, birth_date="20250101"), "birth-after-creation"),
        (replace(LEA, birth_date="2025"), "birth-after-creation"),
    ],
)
def test_what_does_not_fit_in_an_identity_is_a_warning(person: object, code: str) -> None:
    document = read(Sample(person=person))  # type: ignore[arg-type]
    assert document.defects == (Defect(code, document.defects[0].detail),)


@pytest.mark.parametrize(
    ("effective", "created"), [("20240315101500", "2024-03-15T10:15:00"), ("20240315", "2024-03-15")]
)
def test_a_time_without_zone_is_kept_as_it_is_with_a_warning(effective: str, created: str) -> None:
    document = read(Sample(effective=effective))
    assert document.created_at == created
    assert document.defects == (Defect("no-zone"),)


@pytest.mark.parametrize(
    ("version", "replaces", "code"),
    [
        ("2", (), "version-without-replaces"),
        ("0", (), "bad-version"),
        ("deux", (), "bad-version"),
        ("²", (), "bad-version"),
        ("2", ("2.25.1",), None),
        ("1", (), None),
        (None, (), None),
    ],
)
def test_a_version_is_asked_for_what_it_replaces(
    version: str | None, replaces: tuple[str, ...], code: str | None
) -> None:
    document = read(Sample(version=version, replaces=replaces))
    assert codes_of(document) == ({code} if code else set())


def test_null_flavors_state_nothing_and_are_named() -> None:
    raw = make_cda(Sample(effective=None, unique_id="2.25.5"))
    raw = raw.replace(b'<id root="2.25.5"/>', b'<id nullFlavor="UNK"/>').replace(
        b"<confidentialityCode", b'<effectiveTime nullFlavor="UNK"/><confidentialityCode', 1
    )
    raw = raw.replace(b'<birthTime value="20120512"/>', b'<birthTime nullFlavor="UNK"/>')
    document = read(raw)
    assert document.unique_id == f"sha256:{document.sha256}"
    assert document.created_at is None
    assert document.patient is not None
    assert document.patient.birth_date is None
    assert document.defects == (Defect("nul-flavor", "id, effectiveTime, birthTime"),)


# --- the body -------------------------------------------------------------------------------------------------------


def test_an_n1_gives_its_pdf() -> None:
    document = read(Sample())
    assert (document.level, document.body_type, document.body) == ("N1", "application/pdf", make_pdf())


def test_blanks_in_the_base64_are_no_fault() -> None:
    letters = base64.b64encode(make_pdf()).decode()
    document = read(
        Sample(encoded="\n  " + "\r\n\t".join(letters[i : i + 76] for i in range(0, len(letters), 76)) + "\n")
    )
    assert document.body == make_pdf()
    assert document.defects == ()


def test_an_n3_gives_its_pdf_copy_when_it_has_one() -> None:
    document = read(Sample(body=None, pdf_copy=make_pdf("copie")))
    assert (document.level, document.body_type, document.body) == ("N3", "application/pdf", make_pdf("copie"))
    bare = read(Sample(body=None))
    assert (bare.level, bare.body_type, bare.body, bare.defects) == ("N3", None, b"", ())


def test_an_n1_text_is_read_in_its_own_charset() -> None:
    for raw in ("Élève suivi".encode(), "Élève suivi".encode("cp1252"), "Élève suivi".encode("utf-16")):
        document = read(Sample(body=raw, media_type="text/plain"))
        assert (document.body_type, document.body, document.text) == ("text/plain", raw, "Élève suivi")
        assert document.defects == ()


def test_a_text_may_stand_there_in_clear() -> None:
    document = read(Sample(encoded="Rien à signaler.", media_type="text/plain", representation=None))
    assert (document.body_type, document.text, document.defects) == ("text/plain", "Rien à signaler.", ())


@pytest.mark.parametrize(
    "change",
    [
        {"encoded": ""},
        {"encoded": "   "},
        {"encoded": "JVBERi0xLjUNC"},
        {"encoded": "JVBERi0x!jUN"},
        {"encoded": "é" * 8},
        {"body": b""},
        {"body": b"MZ\x90\x00\x03\x00\x00\x00\x04"},
        {"body": make_pdf()[:200]},
        {"encoded": '<reference value="autre.pdf"/>'},
    ],
)
def test_a_body_that_nobody_can_read_is_a_grave_doubt(change: dict[str, object]) -> None:
    document = read(replace(Sample(), **change))  # type: ignore[arg-type]
    assert document.level == "N1"
    assert "bad-body" in {defect.code for defect in document.defects if defect.grave}


@pytest.mark.parametrize(
    ("change", "body_type"),
    [
        ({"media_type": None}, "application/pdf"),
        ({"media_type": "image/jpeg"}, "application/pdf"),
        ({"body": b"\xff\xd8\xff\xe0 picture"}, "image/jpeg"),
        ({"body": b"du texte"}, "text/plain"),
        ({"representation": None}, "application/pdf"),
        ({"representation": "TXT"}, "application/pdf"),
    ],
)
def test_a_body_that_is_not_what_it_claims_is_a_warning(change: dict[str, object], body_type: str) -> None:
    document = read(replace(Sample(), **change))  # type: ignore[arg-type]
    assert document.body_type == body_type
    assert {(defect.code, defect.grave) for defect in document.defects} == {("body-type", False)}


def test_a_pdf_of_12_megabytes_is_read() -> None:
    pdf = make_pdf() + b"%" + b"x" * 12 * 1024**2 + b"\n%%EOF"
    assert read(Sample(body=pdf)).body == pdf


# --- XML ------------------------------------------------------------------------------------------------------------


def test_any_prefix_any_mark_and_leading_blanks_are_read() -> None:
    plain = make_cda(Sample())
    text = plain.decode()
    prefixed = text.replace('xmlns="urn:hl7-org:v3"', 'xmlns:c="urn:hl7-org:v3"')
    import re

    prefixed = re.sub(r"<(/?)([A-Za-z])", r"<\1c:\2", prefixed)
    for raw in (
        b"\xef\xbb\xbf" + plain,
        b"  \r\n\t" + plain,
        prefixed.encode(),
        text.replace("UTF-8", "UTF-16").encode("utf-16"),
        text.replace("UTF-8", "utf-16").encode(),  # says UTF-16, is not: a common mistake
        text.replace("UTF-8", "ISO-8859-1").encode("latin-1"),
    ):
        document = read(raw)
        assert looks_like_cda(raw)
        assert document.title == "Note de suivi éducatif", raw[:60]
        assert document.defects == ()


def test_comments_and_instructions_do_not_cut_a_text() -> None:
    raw = make_cda(Sample()).replace(
        "suivi éducatif</title>".encode(), "sui<!-- x -->vi <?y z?>édu<![CDATA[catif]]></title>".encode()
    )
    assert read(raw).title == "Note de suivi éducatif"


@pytest.mark.parametrize(
    "doctype",
    [
        b"<!DOCTYPE ClinicalDocument>",
        b'<!DOCTYPE c [<!ENTITY a "b">]>',
        b'<!DOCTYPE c SYSTEM "http://127.0.0.1:9/x.dtd">',
        b"<!-- <x> --><?y?>\n<!DOCTYPE c>",
    ],
)
def test_a_doctype_is_refused_and_the_bytes_are_kept(doctype: bytes) -> None:
    raw = make_cda(Sample())
    raw = raw.replace(b"?>\n", b"?>" + doctype, 1)
    document = read(raw)
    assert (document.form, document.raw, document.unique_id) == (DocumentForm.OTHER, raw, f"sha256:{document.sha256}")
    assert document.defects == (Defect("doctype", grave=True),)


def test_a_doctype_in_utf_16_is_refused_too() -> None:
    raw = make_cda(Sample()).replace(b'encoding="UTF-8"?>', b"?><!DOCTYPE c>").decode().encode("utf-16")
    assert read(raw).defects == (Defect("doctype", grave=True),)


@pytest.mark.parametrize(
    "raw",
    [b"", b"   ", b"pas du XML", b"<a><b></a>", b"<a", b'<?xml version="1.0" encoding="UTF-7"?><a/>', b"\xff\xfe<"],
)
def test_what_is_not_xml_is_a_document_with_a_grave_doubt(raw: bytes) -> None:
    document = read(raw)
    assert document.form is DocumentForm.OTHER
    assert [(defect.code, defect.grave) for defect in document.defects] == [("not-xml", True)]


def test_xml_of_another_sort_is_no_cda() -> None:
    assert read(b"<ContinuityOfCareRecord/>").defects == (Defect("not-cda", grave=True),)


def test_a_document_over_the_limit_is_not_parsed() -> None:
    assert read(make_cda(Sample()), Limits(message=100)).defects == (Defect("too-large", grave=True),)


def test_deep_nesting_is_refused() -> None:
    assert read(b"<a>" * 100_000).defects == (Defect("not-xml", grave=True),)


def test_a_self_presenting_document_is_taken_out_of_its_style_sheet() -> None:
    inner = make_cda(Sample()).partition(b"?>")[2]
    raw = (
        b'<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:d="urn:d"><d:d>'
        + inner
        + b'</d:d><xsl:template match="c:ClinicalDocument"/></xsl:stylesheet>'
    )
    document = read(raw)
    assert looks_like_cda(raw)
    assert (document.form, document.unique_id, document.level) == (DocumentForm.CDA, "2.25.1000.1", "N1")
    assert document.defects == (Defect("self-presenting"),)


def test_a_signed_document_is_recognised_enveloped_or_enveloping() -> None:
    signature = b'<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">%s</ds:Signature>'
    inner = make_cda(Sample()).partition(b"?>")[2]
    enveloping = signature % (b"<ds:Object>" + inner + b"</ds:Object>")
    enveloped = inner.replace(b"</ClinicalDocument>", signature % b"" + b"</ClinicalDocument>")
    for raw in (enveloping, enveloped):
        document = read(raw)
        assert document.unique_id == "2.25.1000.1"
        assert document.defects == (Defect("signed-document"),)


def test_two_documents_in_one_wrapper_are_a_grave_doubt() -> None:
    inner = make_cda(Sample()).partition(b"?>")[2]
    assert Defect("several-cda", grave=True) in read(b"<w>" + inner + inner + b"</w>").defects


def test_a_style_sheet_that_speaks_of_a_cda_is_none() -> None:
    raw = b'<xsl:stylesheet xmlns:c="urn:hl7-org:v3"><xsl:template match="c:ClinicalDocument"/></xsl:stylesheet>'
    assert not looks_like_cda(raw)
    assert not looks_like_cda(b"%PDF-1.4 <ClinicalDocument urn:hl7-org:v3")
    assert not looks_like_cda(b"")


def test_no_detail_of_a_defect_repeats_what_the_document_says() -> None:
    document = read(
        Sample(person=replace(LEA, birth_place="MARTINEAU", ins="MARTINEAU"), version="MARTINEAU", effective="2024")
    )
    assert len(document.defects) >= 4
    assert not any("MARTINEAU" in defect.detail for defect in document.defects)


@pytest.mark.parametrize("qualifier", ["br", "BR CL", "CL BR", " BR "])
def test_a_qualifier_is_a_set_of_codes_whatever_the_case(qualifier: str) -> None:
    raw = make_cda(Sample()).replace(b'qualifier="BR"', f'qualifier="{qualifier}"'.encode())
    patient = read(raw).patient
    assert patient is not None
    assert (patient.birth_name, patient.first_given, patient.given_names) == ("MARTINEAU", "LEA", "LEA ROSE")


def test_an_undetermined_sex_of_the_insi_is_u() -> None:
    patient = read(Sample(person=replace(LEA, sex="I"))).patient
    assert patient is not None
    assert patient.sex == "U"


@pytest.mark.parametrize(
    "sample", [Sample(effective="20261399"), Sample(effective=""), Sample(person=replace(LEA, birth_date="20121399"))]
)
def test_a_date_that_is_none_is_a_warning(sample: Sample) -> None:
    assert Defect("bad-date") in [replace(defect, detail="") for defect in read(sample).defects]


def test_a_page_for_browsers_is_no_body_of_a_document() -> None:
    assert "body-type" in codes_of(read(Sample(body=b"<html><script/></html>", media_type="text/html")))


LONG = b"%PDF-1.4\n" + bytes(range(256)) * 6_000 + b"\n%%EOF\n"


@pytest.mark.parametrize(
    "sample",
    [
        Sample(body=LONG),
        Sample(encoded=base64.encodebytes(LONG).decode()),
        Sample(encoded=base64.encodebytes(LONG).decode().replace("\n", "\r\n")),
        Sample(encoded=base64.b64encode(LONG).decode()[:-5]),
        Sample(body=None, pdf_copy=LONG),
        Sample(encoded="mot " * 400_000, media_type="text/plain", representation="TXT"),
        Sample(title="titre " * 300_000),
        Sample(encoded=f"<!-- {'A' * 2_000_000} -->{base64.b64encode(LONG).decode()}"),
    ],
    ids=["one-line", "lines", "crlf", "cut", "pdf-copy", "text", "title", "comment"],
)
def test_a_body_cut_out_before_the_parser_reads_the_same(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = make_cda(sample)
    lifted = read_cda(raw, name=None, attachment=1, limits=Limits(), codes=Codes.empty())
    monkeypatch.setattr(xml, "_LIFTED_FROM", 10**9)
    assert lifted == read_cda(raw, name=None, attachment=1, limits=Limits(), codes=Codes.empty())
