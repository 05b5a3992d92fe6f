"""IHE_XDM archives of many habits: what is found in them, and what is said against them."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace

import pytest

from hub.cda import Codes, read_archive
from hub.message import Archive, Defect, Document, DocumentForm, Limits
from tests.cdamaker import (
    FOLDER,
    LEA,
    NOE,
    Sample,
    archive_files,
    make_archive,
    make_metadata,
    make_pdf,
    with_key,
    zip_of,
)

METADATA = f"{FOLDER}METADATA.XML"
OTHER_GIRL = with_key("2120531555999")


def read(raw: bytes | dict[str, bytes], codes: Codes | None = None, limits: Limits | None = None) -> Archive:
    zipped = raw if isinstance(raw, bytes) else zip_of(raw)
    return read_archive(
        zipped, name="IHE_XDM.ZIP", attachment=2, index=1, limits=limits or Limits(), codes=codes or Codes.empty()
    )


def only(archive: Archive) -> Document:
    assert len(archive.documents) == 1
    return archive.documents[0]


def found(archive: Archive) -> set[tuple[str, bool]]:
    every = [*archive.defects, *(defect for document in archive.documents for defect in document.defects)]
    return {(defect.code, defect.grave) for defect in every}


def test_a_conformant_archive_is_read_without_a_doubt() -> None:
    raw = make_archive()
    archive = read(raw)
    document = only(archive)
    assert found(archive) == set()
    assert (archive.name, archive.attachment, len(archive.sha256)) == ("IHE_XDM.ZIP", 2, 64)
    assert (document.archive, document.attachments, document.name) == (1, (2,), "DOC0001.XML")
    assert (document.unique_id, document.action, document.level) == ("2.25.1000.1", "none", "N1")
    assert (document.hash_ok, document.size_ok) == (True, True)
    assert (document.created_at, document.act_at) == ("2024-03-15T09:15:00Z", "2024-03-14T08:00:00Z")
    assert document.class_code is not None
    assert document.class_code.code == "10"
    assert document.format_code is not None
    assert document.format_code.code == "urn:ihe:iti:xds-sd:pdf:2008"
    assert document.raw == Sample().content()
    assert document.body == make_pdf()


@pytest.mark.parametrize(
    "folder",
    [
        "ihe_xdm/subset01/",
        "IHE_XDM/SUBSET/",
        "ihe_xdm/lucy_0/",
        "samplexdm/IHE_XDM/SUBSET01/",
        "IHE_XDM\\SUBSET01\\",
        "./IHE_XDM//SUBSET01/",
        "Ccda/",
        "",
    ],
)
def test_metadata_are_found_wherever_it_makes_sense(folder: str) -> None:
    assert found(read(make_archive(folder=folder))) == set()


def test_letter_case_of_the_metadata_file_does_not_matter() -> None:
    files = archive_files()
    files[f"{FOLDER}Metadata.xml"] = files.pop(METADATA)
    assert only(read(files)).unique_id == "2.25.1000.1"


def test_metadata_without_a_slash_before_are_not_found() -> None:
    files = archive_files()
    files["IHE_XDM/SUBSET01METADATA.xml"] = files.pop(METADATA)
    assert found(read(files)) == {("no-metadata", True)}


def test_metadata_elsewhere_do_not_count_beside_those_of_ihe_xdm() -> None:
    files = archive_files()
    files["copie/METADATA.XML"] = b"<other/>"
    assert found(read(files)) == set()


def test_leading_blanks_marks_prefixes_and_order_do_not_matter() -> None:
    files = archive_files()
    plain = files[METADATA]
    text = plain.decode()
    bare = re.sub(r"<(/?)rim:", r"<\1", text).replace("xmlns:rim=", "xmlns=")
    other = re.sub(r"<(/?)rim:", r"<\1ns2:", text).replace("xmlns:rim=", "xmlns:ns2=")
    for raw in (
        b"          \n" + plain,
        b"\xef\xbb\xbf" + plain,
        b'<?xml version="1.0"?>' + plain,
        other.encode(),
        text.encode("utf-16"),
        bare.encode(),
        b'<p:Provide xmlns:p="urn:ihe">' + plain + b"</p:Provide>",
    ):
        files[METADATA] = raw
        assert found(read(files)) == set(), raw[:80]


def test_junk_is_ignored_and_counted() -> None:
    files = archive_files()
    for path in (
        "__MACOSX/IHE_XDM/._METADATA.XML",
        "__MACOSX/IHE_XDM/SUBSET01/METADATA.XML",
        f"{FOLDER}.DS_Store",
        f"{FOLDER}.svn/entries",
        f"{FOLDER}.METADATA.XML.swp",
    ):
        files[path] = b"junk"
    archive = read(files)
    assert archive.defects == (Defect("junk", "5"),)
    assert only(archive).defects == ()


# --- finding the document -------------------------------------------------------------------------------------------


def test_a_uri_is_found_without_regard_to_case() -> None:
    document = only(read(make_archive(Sample(uri="doc0001.xml"))))
    assert document.defects == (Defect("uri-case"),)


def test_a_uri_with_blanks_may_be_escaped() -> None:
    assert only(read(make_archive(Sample(file="note de suivi.xml", uri="note%20de%20suivi.xml")))).defects == ()


def test_a_long_uri_is_put_together() -> None:
    raw = zip_of(
        {
            **archive_files(),
            METADATA: make_metadata([Sample()]).replace(
                b"<rim:Value>DOC0001.XML", b"<rim:Value>2|01.XML</rim:Value><rim:Value>1|DOC00"
            ),
        }
    )
    assert only(read(raw)).name == "DOC0001.XML"


@pytest.mark.parametrize(
    "uri",
    [
        "../SUBSET02/DOC0001.XML",
        "/README.TXT",
        "http://127.0.0.1/x.xml",
        "file:///etc/hostname",
        "..\\..\\README.TXT",
        "ABSENT.XML",
        "%2e%2e/%2e%2e/README.TXT",
        "C:\\README.TXT",
    ],
)
def test_a_uri_never_leads_out_of_its_subset(uri: str) -> None:
    files = archive_files(Sample(uri=uri))
    files["IHE_XDM/SUBSET02/DOC0001.XML"] = Sample().content()
    archive = read(files)
    assert archive.documents == ()
    assert found(archive) == {("missing-file", True)}


def test_a_missing_uri_with_one_document_is_that_document() -> None:
    files = archive_files(Sample(uri=None))
    files[f"{FOLDER}STYLE.XSL"] = b"<x/>"
    document = only(read(files))
    assert document.name == "DOC0001.XML"
    assert document.defects == (Defect("uri-absent"),)


def test_a_missing_uri_with_two_files_is_a_missing_file() -> None:
    files = archive_files(Sample(uri=None))
    files[f"{FOLDER}DOC0002.XML"] = Sample(unique_id="2.25.2").content()
    assert found(read(files)) == {("missing-file", True)}


def test_several_documents_and_several_subsets_come_in_order() -> None:
    one = archive_files(Sample(unique_id="2.25.1"), Sample(unique_id="2.25.2", file="DOC0002.XML"))
    two = archive_files(Sample(unique_id="2.25.3"), folder="IHE_XDM/SUBSET02/")
    archive = read(two | one)
    assert [document.unique_id for document in archive.documents] == ["2.25.1", "2.25.2", "2.25.3"]
    assert found(archive) == set()


def test_more_documents_than_entries_allowed_are_refused() -> None:
    files = archive_files()
    entry = files[METADATA].partition(b"<rim:ExtrinsicObject")[2].partition(b"</rim:ExtrinsicObject>")[0]
    whole = b"<rim:ExtrinsicObject" + entry + b"</rim:ExtrinsicObject>"
    files[METADATA] = files[METADATA].replace(whole, whole * 30)
    assert ("too-many-entries", True) in found(read(files, limits=Limits(entries=20)))


# --- integrity and agreement ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"meta_hash": "0" * 40}, "hash-differs"),
        ({"meta_hash": "nonsense"}, "hash-differs"),
        ({"meta_size": "12"}, "size-differs"),
        ({"meta_size": "many"}, "size-differs"),
        ({"meta_id": "2.25.1000.2"}, "id-differs"),
        ({"meta_id": "2.25.1000.1^x"}, "id-differs"),
        ({"meta_code": "11488-4"}, "type-differs"),
        ({"meta_created": "20240315101500"}, "date-differs"),
        ({"meta_created": "20240316"}, "date-differs"),
        ({"meta_person": replace(LEA, birth_name="MARTINET")}, "patient-differs"),
        ({"meta_person": replace(LEA, birth_date="20120513")}, "patient-differs"),
        ({"meta_person": replace(LEA, ins=OTHER_GIRL)}, "patient-differs"),
        ({"meta_person": replace(LEA, oid="1.2.250.1.213.1.4.8")}, "patient-differs"),
        ({"person": replace(LEA, ins=None), "meta_person": LEA}, "patient-differs"),
        ({"meta_patient_id": "77^^^&2.25.99&ISO^PI"}, "patient-differs"),
    ],
)
def test_a_disagreement_between_metadata_and_document_is_grave(change: dict[str, object], code: str) -> None:
    assert found(read(make_archive(replace(Sample(), **change)))) == {(code, True)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"meta_hash": None},
        {"meta_size": None},
        {"meta_created": None},
        {"meta_created": "20240315"},
        {"meta_created": "202403150915"},
        {"meta_code": None},
        {"meta_id": None},
        {"meta_patient_id": None},
        {"meta_patient_id": "DOS-0042^^^&2.25.4242.1&ISO^PI"},
        {"meta_person": replace(LEA, birth_name="Martineau", used_name="DUPUIS")},
        {"meta_person": replace(LEA, birth_date="2012")},
    ],
)
def test_silence_or_another_spelling_is_no_disagreement(change: dict[str, object]) -> None:
    assert found(read(make_archive(replace(Sample(), **change)))) == set()  # type: ignore[arg-type]


def test_a_hash_and_a_size_that_are_not_stated_are_neither_right_nor_wrong() -> None:
    document = only(read(make_archive(Sample(meta_hash=None, meta_size=None))))
    assert (document.hash_ok, document.size_ok) == (None, None)
    wrong = only(read(make_archive(Sample(meta_hash="0" * 40, meta_size="1"))))
    assert (wrong.hash_ok, wrong.size_ok) == (False, False)


def test_metadata_win_for_ids_and_time_and_the_cda_for_traits() -> None:
    sample = Sample(
        meta_id="2.25.77", meta_created="20240316081500", meta_person=replace(LEA, ins=OTHER_GIRL, birth_name="AUTRE")
    )
    document = only(read(make_archive(sample)))
    assert (document.unique_id, document.created_at) == ("2.25.77", "2024-03-16T08:15:00Z")
    assert document.patient is not None
    assert (document.patient.ins, document.patient.birth_name) == (OTHER_GIRL, "MARTINEAU")


def test_traits_that_the_cda_leaves_out_come_from_the_metadata() -> None:
    content = Sample().content().replace(b"<county>31555</county>", b"").replace(b'<birthTime value="20120512"/>', b"")
    patient = only(read(make_archive(Sample(raw=content)))).patient
    assert patient is not None
    assert (patient.birth_place, patient.birth_date) == ("31555", "2012-05-12")


@pytest.mark.parametrize(
    ("action", "replaces", "meaning"),
    [
        (None, (), "none"),
        ("C", ("2.25.1000.0",), "replace"),
        ("c", (), "replace"),
        ("D", ("2.25.1000.0",), "delete"),
        ("F", (), "none"),
        (None, ("2.25.1000.0",), "replace"),
    ],
)
def test_the_action_is_in_the_slot_or_in_the_document(
    action: str | None, replaces: tuple[str, ...], meaning: str
) -> None:
    document = only(read(make_archive(Sample(action=action, replaces=replaces))))
    assert document.action == meaning
    assert document.unique_id == "2.25.1000.1"  # of a deletion: the document to delete
    assert document.replaces == replaces


def test_an_association_rplc_is_a_replacement() -> None:
    files = archive_files()
    association = (
        b'<rim:Association associationType="urn:ihe:iti:2007:AssociationType:RPLC" '
        b'sourceObject="urn:uuid:00000000-0000-4000-8000-000000000001" targetObject="old"/>'
    )
    files[METADATA] = files[METADATA].replace(b"<rim:Association", association + b"<rim:Association", 1)
    assert only(read(files)).action == "replace"


def test_two_patients_in_one_archive_are_said() -> None:
    noe = Sample(person=NOE, unique_id="2.25.2", file="DOC0002.XML")
    assert found(read(make_archive(Sample(), noe))) == {("several-patients", True)}
    files = archive_files()
    files[METADATA] = make_metadata([Sample()], set_person=NOE)
    assert found(read(files)) == {("several-patients", True)}
    subsets = archive_files() | archive_files(noe, folder="IHE_XDM/SUBSET02/")
    assert found(read(subsets)) == {("several-patients", True)}


def test_one_patient_in_two_documents_is_no_doubt() -> None:
    local = replace(LEA, ins=None)
    two = Sample(person=local, unique_id="2.25.2", file="DOC0002.XML")
    assert found(read(make_archive(Sample(), two))) == set()


# --- what cannot be read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        (b"<unfinished", "not-xml"),
        (b"", "not-xml"),
        (b"<!DOCTYPE x><x/>", "doctype"),
        (b"<RegistryResponse/>", "not-xds"),
        (b'<s:SubmitObjectsRequest xmlns:s="urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"/>', "no-document"),
    ],
)
def test_metadata_that_cannot_be_read_leave_no_document(metadata: bytes, code: str) -> None:
    archive = read({**archive_files(), METADATA: metadata})
    assert found(archive) == {(code, True)}
    assert archive.documents == ()


def test_an_archive_without_metadata_is_said() -> None:
    files = archive_files()
    del files[METADATA]
    assert found(read(files)) == {("no-metadata", True)}


@pytest.mark.parametrize(
    ("raw", "code"), [(b"<a><b></a>", "not-xml"), (b"not xml", "not-xml"), (b"<!DOCTYPE a><a/>", "doctype")]
)
def test_a_document_that_cannot_be_read_stays_with_its_metadata(raw: bytes, code: str) -> None:
    archive = read(make_archive(Sample(raw=raw)))
    document = only(archive)
    assert found(archive) == {(code, True)}
    assert (document.form, document.raw, document.unique_id) == (DocumentForm.OTHER, raw, "2.25.1000.1")
    assert document.patient is not None
    assert document.patient.ins == LEA.ins


@pytest.mark.parametrize(
    ("raw", "mime_type", "form"),
    [
        (make_pdf(), "application/pdf", DocumentForm.PDF),
        (b"Rien", "text/plain", DocumentForm.OTHER),
        (b"<ContinuityOfCareRecord xmlns='urn:astm-org:CCR'/>", "text/xml", DocumentForm.OTHER),
        (b"<!DOCTYPE html><html/>", "text/html", DocumentForm.OTHER),
    ],
)
def test_other_sorts_are_opaque_documents(raw: bytes, mime_type: str, form: DocumentForm) -> None:
    archive = read(make_archive(Sample(raw=raw, mime_type=mime_type)))
    document = only(archive)
    assert found(archive) == set()
    assert (document.form, document.level, document.media_type, document.raw) == (form, "other", mime_type, raw)
    assert (document.title, document.hash_ok) == ("Note de suivi éducatif", True)
    assert document.authors[0].name == "Camille OSTERMANN"
    assert document.authors[0].organisation_id == "1310000001"


def test_a_cda_under_a_wrong_media_type_is_a_cda() -> None:
    assert only(read(make_archive(Sample(mime_type="text/plain")))).form is DocumentForm.CDA


def test_unknown_codes_are_warnings_with_the_code() -> None:
    table = "code,system,label,source,date\nX,1.2,Ixe,src,2024-01-01\n"
    codes = Codes.from_tables({"types.csv": table, "facilities.csv": table})
    assert only(read(make_archive(), codes)).defects == (
        Defect("unknown-code", "types 28653-4"),
        Defect("unknown-code", "facilities SA20"),
    )
    spoken = only(read(make_archive(Sample(code="Léa MARTINEAU")), codes))
    assert Defect("unknown-code", "types (other)") in spoken.defects


def test_a_label_that_the_sender_left_out_comes_from_the_tables() -> None:
    table = "code,system,label,source,date\n28653-4,2.16.840.1.113883.6.1,Document social,src,2024-01-01\n"
    codes = Codes.from_tables({"types.csv": table})
    document = only(read(make_archive(Sample(code_label="")), codes))
    assert document.type_code is not None
    assert document.type_code.label == "Document social"


def test_no_name_stands_in_a_defect_of_an_archive() -> None:
    sample = Sample(uri="MARTINEAU.XML", title="MARTINEAU")
    other = Sample(unique_id="MARTINEAU", version="MARTINEAU", file="MARTINEAU2.XML", meta_person=NOE)
    archive = read(make_archive(sample, other))
    assert len(archive.defects) + len(archive.documents[0].defects) >= 3
    assert "MARTINEAU" not in repr(archive.defects)
    assert "MARTINEAU" not in repr(archive.documents[0].defects)


def test_a_uri_from_the_root_of_the_archive_is_found_inside_its_subset() -> None:
    assert only(read(make_archive(Sample(uri=f"{FOLDER}DOC0001.XML")))).unique_id == "2.25.1000.1"


def test_the_metadata_are_never_the_document() -> None:
    archive = read(make_archive(Sample(uri="METADATA.XML", meta_hash=None, meta_size=None)))
    assert archive.documents == ()
    assert found(archive) == {("missing-file", True)}


def test_a_hash_written_in_base64_is_as_good_as_in_hexadecimal() -> None:
    digest = base64.b64encode(hashlib.sha1(Sample().content(), usedforsecurity=False).digest()).decode()
    assert only(read(make_archive(Sample(meta_hash=digest)))).hash_ok is True
