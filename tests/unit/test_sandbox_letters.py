"""Papers, archives and mails of the sandbox: conformant where they say so, spoiled where they say so."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import io
import re
import zipfile
from dataclasses import replace
from datetime import datetime
from email.message import EmailMessage
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pypdfium2
import pytest

from hub.sandbox import people
from hub.sandbox.archives import BOMB_SIZE, RIM, Fault, archive
from hub.sandbox.letters import document_mail, parameter, subject_of, twin_name
from hub.sandbox.papers import DISCHARGE, Paper, cda_n1
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.scenario import Sample, samples

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=ZoneInfo("Europe/Paris"))
PAPER = Paper(
    name="essai",
    structure=people.HOSPITAL,
    patient=people.LINA.identity,
    type_code=DISCHARGE,
    title="Lettre de sortie",
    lines=("L'été d'Éloïse, ça va (œuvre à 3 €).",),
    created_at=NOW,
)
METADATA = "IHE_XDM/SUBSET01/METADATA.XML"
DOCUMENT = "IHE_XDM/SUBSET01/DOC0001.XML"
CDA = "{urn:hl7-org:v3}"


def _opened(raw: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(raw))


def _mail(raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def _slots(metadata: bytes) -> dict[str, list[str]]:
    entry = ElementTree.fromstring(metadata).find(f".//{{{RIM}}}ExtrinsicObject")
    assert entry is not None
    return {
        slot.attrib["name"]: [value.text or "" for value in slot.iter(f"{{{RIM}}}Value")]
        for slot in entry.findall(f"{{{RIM}}}Slot")
    }


def test_french_text_is_read_back_from_the_pdf() -> None:
    document = pypdfium2.PdfDocument(one_page_pdf("Été (1)", PAPER.lines))
    text = document[0].get_textpage().get_text_range()
    assert text.split("\r\n") == ["Été (1)", *PAPER.lines]


def test_a_page_too_full_is_refused() -> None:
    with pytest.raises(ValueError, match="40 lines"):
        one_page_pdf("trop", ["ligne"] * 41)


def test_the_archive_has_the_names_of_the_standard_and_a_seven_bit_readme() -> None:
    with _opened(archive([PAPER])) as opened:
        assert opened.namelist() == ["INDEX.HTM", "README.TXT", METADATA, DOCUMENT]
        assert opened.read("README.TXT").isascii()
        assert b"README.TXT" in opened.read("INDEX.HTM")


def test_hash_size_and_uri_are_those_of_the_document() -> None:
    with _opened(archive([PAPER])) as opened:
        slots, document = _slots(opened.read(METADATA)), opened.read(DOCUMENT)
    assert slots["hash"] == [hashlib.sha1(document).hexdigest()]
    assert slots["size"] == [str(len(document))]
    assert slots["URI"] == ["DOC0001.XML"]
    assert slots["creationTime"] == ["20261125083000"]  # UTC


def test_metadata_carry_every_required_attribute_of_an_entry() -> None:
    with _opened(archive([PAPER])) as opened:
        root = ElementTree.fromstring(opened.read(METADATA))
    entry = root.find(f".//{{{RIM}}}ExtrinsicObject")
    assert entry is not None
    schemes = {item.attrib["classificationScheme"] for item in entry.findall(f"{{{RIM}}}Classification")}
    identifiers = {item.attrib["identificationScheme"] for item in entry.findall(f"{{{RIM}}}ExternalIdentifier")}
    assert len(schemes) == 7  # author, class, type, confidentiality, format, facility, practice
    assert len(identifiers) == 2  # patientId, uniqueId
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    assert len(ids) == len(set(ids))


def test_a_wrong_hash_is_the_only_fault_of_that_archive() -> None:
    good, bad = archive([PAPER]), archive([PAPER], Fault.WRONG_HASH)
    with _opened(good) as first, _opened(bad) as second:
        one, other = _slots(first.read(METADATA)), _slots(second.read(METADATA))
        assert first.read(DOCUMENT) == second.read(DOCUMENT)
    assert {name for name in one if one[name] != other[name]} == {"hash"}


def test_a_truncated_archive_is_no_zip_any_more() -> None:
    with pytest.raises(zipfile.BadZipFile):
        _opened(archive([PAPER], Fault.TRUNCATED))


def test_the_bomb_is_small_outside_and_large_inside() -> None:
    raw = archive([PAPER], Fault.BOMB)
    assert len(raw) < 512 * 1024
    with _opened(raw) as opened:
        assert sum(entry.file_size for entry in opened.infolist()) > BOMB_SIZE


def test_the_pdf_twin_is_the_body_of_the_document() -> None:
    found = _mail(document_mail("essai", [PAPER], sent_at=NOW))
    parts = {part.get_filename(): part.get_payload(decode=True) for part in found.iter_attachments()}
    packed = parts["IHE_XDM.ZIP"]
    assert isinstance(packed, bytes)
    with _opened(packed) as opened:
        text = ElementTree.fromstring(opened.read(DOCUMENT)).find(f".//{CDA}nonXMLBody/{CDA}text")
    assert text is not None
    assert base64.b64decode(text.text or "") == parts[twin_name(PAPER)] == PAPER.pdf


def test_headers_of_a_document_mail_are_those_of_the_reference() -> None:
    found = _mail(document_mail("essai", [PAPER], sent_at=NOW))
    assert found["Subject"] == "XDM/1.0/DDM+Lettre de liaison à la sortie d'un établ MARCHETERRE Lina 12/03/2014"
    assert found["X-MSS-CODECDA"] == "11490-0"
    assert found["X-MSS-INS"] == "O"
    assert found["X-MSS-NIL"] == "BACASABLE1"
    assert found["Disposition-Notification-To"] == found["Return-Path"] == f"<{people.HOSPITAL.address}>"


def test_an_identity_without_its_traits_is_not_announced_as_qualified() -> None:
    poor = replace(PAPER, patient=replace(PAPER.patient, birth_date=None))
    assert _mail(document_mail("essai", [poor], sent_at=NOW))["X-MSS-INS"] == "N"
    assert subject_of([poor]).endswith("MARCHETERRE Lina")


def test_a_new_version_has_a_new_id_in_the_same_set_and_names_the_former() -> None:
    second = replace(PAPER, version=2, action="replace")
    root = ElementTree.fromstring(cda_n1(second))
    parent = root.find(f"{CDA}relatedDocument/{CDA}parentDocument/{CDA}id")
    assert second.set_id == PAPER.set_id
    assert second.unique_id != PAPER.unique_id
    assert parent is not None
    assert parent.attrib["root"] == PAPER.unique_id


def test_an_accented_name_is_written_by_rfc_2231() -> None:
    assert parameter("name", "L'été.pdf") == "name*=utf-8''L%27%C3%A9t%C3%A9.pdf"
    assert parameter("name", "a.pdf") == 'name="a.pdf"'


@pytest.fixture(scope="module")
def all_samples() -> tuple[Sample, ...]:
    return samples(NOW)


def test_the_same_moment_gives_the_same_bytes(all_samples: tuple[Sample, ...]) -> None:
    assert all_samples == samples(NOW)


def test_samples_are_clean_mail(all_samples: tuple[Sample, ...]) -> None:
    for sample in all_samples:
        head, _, body = sample.raw.partition(b"\r\n\r\n")
        assert body
        assert head.isascii()
        assert b"\n" not in sample.raw.replace(b"\r\n", b"")
        assert max(len(line) for line in sample.raw.split(b"\r\n")) <= 998


def test_samples_differ_save_for_the_duplicate(all_samples: tuple[Sample, ...]) -> None:
    by_key = {sample.key: sample for sample in all_samples}
    assert len(by_key) >= 20
    ids = [re.search(rb"^Message-ID: (.+)\r$", s.raw, re.M) for s in by_key.values() if not s.expected.twin_of]
    assert len({found.group(1) for found in ids if found}) == len(ids)
    for sample in by_key.values():
        if sample.expected.twin_of:
            assert sample.raw == by_key[sample.expected.twin_of].raw


def test_only_document_mails_expect_a_receipt(all_samples: tuple[Sample, ...]) -> None:
    for sample in all_samples:
        asked = b"\r\nDisposition-Notification-To:" in sample.raw.partition(b"\r\n\r\n")[0]
        assert (sample.expected.receipt is not None) == (asked and sample.expected.twin_of is None), sample.key
