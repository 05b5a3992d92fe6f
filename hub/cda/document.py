"""One document from its bytes, what its metadata announce, and what its CDA header says.

The two sources are compared: a disagreement on patient, id, type or date is a grave doubt. Metadata win for unique id,
patient id, type and creation time, the CDA for traits, versions, authors. A file that is no CDA is an opaque document;
one that cannot be read stays a document too, with its bytes and a grave doubt. Nothing raises.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hub.cda.agreement import disagreements
from hub.cda.body import PDF_COPY, Body, read_body
from hub.cda.codes import Codes
from hub.cda.doubts import Unreadable, grave, mild, shown
from hub.cda.header import ClinicalHeader, read_header
from hub.cda.identity import V3, doubts_of, merged
from hub.cda.metadata import Entry
from hub.cda.xml import Element, parse_lifting, plain
from hub.message import Coded, Defect, Document, DocumentForm, Identity, Limits

_CLINICAL = f"{V3}ClinicalDocument"
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_STYLE_SHEET = "{http://www.w3.org/1999/XSL/Transform}"
_START_TAG = re.compile(rb"<(?:[\w.-]{1,40}:)?ClinicalDocument[\s>]")
_XML_TYPES = ("text/xml", "application/xml", "text/xsl")
_NOT_FOR_US = ("application/xhtml+xml", "image/svg+xml")


@dataclass(frozen=True, slots=True)
class Clinical:
    """A CDA as read: its header, its body, doubts about its wrapping."""

    header: ClinicalHeader
    body: Body
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """The bytes of one file and what they are: a CDA, nothing that is read further, or unreadable (`defect`)."""

    raw: bytes
    sha256: str
    sha1: str
    clinical: Clinical | None = None
    defect: Defect | None = None


def looks_like_cda(raw: bytes) -> bool:
    """Whether the bytes hold a ClinicalDocument element, wrapped or not (a style sheet that only speaks of one does
    not); in a charset that is not read, as far as they can be looked at: it is then held as the CDA that it is."""
    try:
        text, _ = plain(raw)
    except Unreadable:
        text = raw
    return text[:1] == b"<" and b"urn:hl7-org:v3" in text and _START_TAG.search(text) is not None


def read_cda(raw: bytes, *, name: str | None, attachment: int, limits: Limits, codes: Codes) -> Document:
    """A loose CDA. What is none, or cannot be read, is a document of form OTHER with a grave defect."""
    contents = read_contents(raw, limits, claims_xml=True)
    if contents.clinical is None and contents.defect is None:
        contents = replace(contents, defect=grave("not-cda"))
    return compose(contents, None, name=name, attachment=attachment, archive=None, codes=codes)


def read_contents(raw: bytes, limits: Limits, claims_xml: bool) -> Contents:
    """The bytes with their digests, read as CDA when they claim to be XML or hold one."""
    sha256 = hashlib.sha256(raw).hexdigest()
    sha1 = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    clinical, defect = None, None
    if claims_xml or looks_like_cda(raw):
        try:
            clinical = _read_clinical(raw, limits)
        except Unreadable as refused:
            defect = refused.defect
    return Contents(raw, sha256, sha1, clinical, defect)


def is_xml(media_type: str, name: str) -> bool:
    """Whether a file claims to be XML that this room reads, by its media type, or by its name when it has none."""
    if media_type in ("", "application/octet-stream"):
        return name.lower().endswith(".xml")
    return media_type in _XML_TYPES or (media_type.endswith("+xml") and media_type not in _NOT_FOR_US)


def _read_clinical(raw: bytes, limits: Limits) -> Clinical | None:
    """None for well-formed XML that holds no CDA. Raises Unreadable."""
    if len(raw) > limits.message:
        raise Unreadable("too-large")
    root, lifted = parse_lifting(raw)
    cda, defects = (root, []) if root.tag == _CLINICAL else _unwrapped(root)
    if cda is None:
        return None
    if b"Signature" in raw and next(root.iter(_SIGNATURE), None) is not None:
        defects.append(mild("signed-document"))
    may_have_copy = PDF_COPY.encode() in raw or raw[:1] != b"<"
    return Clinical(read_header(cda), read_body(cda, may_have_copy, lifted), tuple(defects))


def _unwrapped(root: Element) -> tuple[Element | None, list[Defect]]:
    """The one ClinicalDocument inside a style sheet (self-presenting) or another wrapper (signature), as mere data."""
    found = list(root.iter(_CLINICAL))
    if not found:
        return None, []
    defects = [grave("several-cda")] if len(found) > 1 else []
    if str(root.tag).startswith(_STYLE_SHEET):
        defects.append(mild("self-presenting"))
    return found[0], defects


def compose(
    contents: Contents,
    entry: Entry | None,
    *,
    name: str | None,
    attachment: int,
    archive: int | None,
    codes: Codes,
    defects: Iterable[Defect] = (),
) -> Document:
    """The document, from its bytes and its metadata (None for a loose one)."""
    header = contents.clinical.header if contents.clinical else None
    document = _base(contents, name, attachment, archive)
    if entry is not None:
        document = _with_entry(document, entry, contents)
    if header is not None and contents.clinical is not None:
        document = _with_header(document, header, contents.clinical.body)
    found = [*defects, *_integrity(document)]
    if contents.defect is not None:
        found.append(contents.defect)
    if entry is not None:
        found += entry.patient.defects
    if contents.clinical is not None and header is not None:
        found += _doubts_of_clinical(contents.clinical)
        found += disagreements(entry, header) if entry is not None else []
    document = _with_labels(document, codes)
    found += _unknown_codes(document, codes)
    if document.patient is not None:
        found += doubts_of(document.patient, document.created_at)
    return replace(document, defects=tuple(dict.fromkeys(found)))


def _base(contents: Contents, name: str | None, attachment: int, archive: int | None) -> Document:
    pdf = contents.raw[:1024].lstrip().startswith(b"%PDF-")
    form = DocumentForm.CDA if contents.clinical else DocumentForm.PDF if pdf else DocumentForm.OTHER
    usual = {DocumentForm.CDA: "text/xml", DocumentForm.PDF: "application/pdf"}
    return Document(
        form=form,
        unique_id=f"sha256:{contents.sha256}",
        sha256=contents.sha256,
        size=len(contents.raw),
        media_type=usual.get(form, "application/octet-stream"),
        name=name,
        archive=archive,
        attachments=(attachment,),
        raw=contents.raw,
    )


def _with_entry(document: Document, entry: Entry, contents: Contents) -> Document:
    patient = entry.patient.identity
    return replace(
        document,
        unique_id=entry.unique_id or document.unique_id,
        media_type=entry.mime_type or document.media_type,
        title=entry.title,
        type_code=entry.type_code,
        class_code=entry.class_code,
        format_code=entry.format_code,
        facility_code=entry.facility_code,
        practice_code=entry.practice_code,
        confidentiality=entry.confidentiality,
        patient=None if patient == Identity() else patient,
        authors=entry.authors,
        created_at=entry.created.iso if entry.created else None,
        act_at=entry.act.iso if entry.act else None,
        language=entry.language,
        action=entry.action,
        hash_ok=None if entry.hash is None else _is_digest(entry.hash, contents),
        size_ok=None if entry.size is None else (entry.size.lstrip("0") or "0") == str(len(contents.raw)),
    )


def _is_digest(stated: str, contents: Contents) -> bool:
    """SHA-1 in hexadecimal is the rule (ITI TF-3 4.2.3.2.10); FHIR writes it in base64, some write SHA-256."""
    in_base64 = base64.b64encode(bytes.fromhex(contents.sha1)).decode("ascii")
    return stated.lower() in (contents.sha1, contents.sha256) or stated == in_base64


def _with_header(document: Document, header: ClinicalHeader, body: Body) -> Document:
    """What the CDA adds: everything when the document is loose."""
    named = document.unique_id if not document.unique_id.startswith("sha256:") else None
    patient = header.patient.identity if header.patient else None
    if patient is not None and document.patient is not None:
        stated = document.patient
        number = stated if stated.ins else patient
        patient = replace(merged(patient, stated), ins=number.ins, oid=number.oid)
    confidentiality = document.confidentiality
    if header.confidentiality and header.confidentiality.code not in {each.code for each in confidentiality}:
        confidentiality = (*confidentiality, header.confidentiality)
    return replace(
        document,
        unique_id=named or header.unique_id or document.unique_id,
        title=header.title or document.title,
        type_code=document.type_code or header.type_code,
        facility_code=document.facility_code or header.facility_code,
        practice_code=document.practice_code or header.practice_code,
        confidentiality=confidentiality,
        patient=patient or document.patient,
        authors=header.authors or document.authors,
        custodian_id=header.custodian_id,
        created_at=document.created_at or (header.created.iso if header.created else None),
        act_at=document.act_at or (header.act.iso if header.act else None),
        language=document.language or header.language,
        action="replace" if document.action == "none" and header.replaces else document.action,
        level=body.level,
        set_id=header.set_id,
        version=header.version,
        replaces=header.replaces,
        body_type=body.media_type,
        body=body.raw,
        text=body.text,
    )


def _integrity(document: Document) -> list[Defect]:
    wrong = [("hash-differs", document.hash_ok), ("size-differs", document.size_ok)]
    return [grave(code) for code, right in wrong if right is False]


def _doubts_of_clinical(clinical: Clinical) -> list[Defect]:
    found = [*clinical.defects, *clinical.header.defects, *clinical.body.defects]
    if clinical.header.patient is not None:
        found += clinical.header.patient.defects
    if clinical.header.patients > 1:
        found.append(grave("several-patients", "recordTarget"))
    return found


def _with_labels(document: Document, codes: Codes) -> Document:
    """Labels that the sender left out, and the class that a type belongs to when nobody stated one."""

    def labelled(coded: Coded | None) -> Coded | None:
        if coded is None or coded.label:
            return coded
        return replace(coded, label=codes.label(coded.system, coded.code) or "")

    type_code = document.type_code
    class_code = document.class_code or (codes.class_of(type_code.code, type_code.system) if type_code else None)
    return replace(
        document,
        type_code=labelled(type_code),
        class_code=labelled(class_code),
        format_code=labelled(document.format_code),
        facility_code=labelled(document.facility_code),
        practice_code=labelled(document.practice_code),
    )


def _unknown_codes(document: Document, codes: Codes) -> list[Defect]:
    asked = [
        ("types", document.type_code),
        ("classes", document.class_code),
        ("facilities", document.facility_code),
        ("practice_settings", document.practice_code),
        *(("confidentiality", each) for each in document.confidentiality),
        *(("specialties", author.role) for author in document.authors),
    ]
    found = [
        mild("unknown-code", f"{table} {shown(each.code)}")
        for table, each in asked
        if each is not None and not codes.knows(table, each.code, each.system)
    ]
    # The code system of the N1 formats has two values in the official material itself: the code alone counts (§3.5).
    coded = document.format_code
    if coded is not None and not codes.knows("formats", coded.code):
        found.append(mild("unknown-code", f"formats {shown(coded.code)}"))
    return found
