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
from hub.cda.body import Body, read_body
from hub.cda.codes import Codes
from hub.cda.doubts import Unreadable, grave, mild, shown
from hub.cda.header import ClinicalHeader, read_header
from hub.cda.identity import NOBODY, V3, doubts_of, merged
from hub.cda.metadata import Entry
from hub.cda.oddities import oddities
from hub.cda.xml import Element, parse_lifting, plain
from hub.message import Coded, Defect, Document, DocumentForm, Identity, Limits, comparable

_CLINICAL = f"{V3}ClinicalDocument"
_SIGNATURE = "{http://www.w3.org/2000/09/xmldsig#}Signature"
_STYLE_SHEET = "{http://www.w3.org/1999/XSL/Transform}"
_START_TAG = re.compile(rb"<(?:[\w.-]{1,40}:)?ClinicalDocument[\s>]")
_XML_TYPES = ("text/xml", "application/xml", "text/xsl")
_NOT_FOR_US = ("application/xhtml+xml", "image/svg+xml")
_USUAL = {DocumentForm.CDA: "text/xml", DocumentForm.PDF: "application/pdf"}
# What a loose document, and one that is no CDA, have in the place of their sources.
_NO_ENTRY, _NO_HEADER, _NO_BODY = Entry(), ClinicalHeader(), Body("other")


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
    if next(root.iter(_SIGNATURE), None) is not None and b"Signature" in raw:
        defects.append(mild("signed-document"))
    return Clinical(read_header(cda), read_body(cda, raw, lifted), (*defects, *oddities(cda)))


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
    document = _stated(contents, entry or _NO_ENTRY, name, attachment, archive, codes)
    clinical = contents.clinical
    found = [*defects, *_integrity(document)]
    if contents.defect is not None:
        found.append(contents.defect)
    if entry is not None:
        found += entry.patient.defects
    if clinical is not None:
        found += _doubts_of_clinical(clinical)
        found += disagreements(entry, clinical.header) if entry is not None else []
    found += _unknown_codes(document, codes)
    if document.patient is not None:
        found += doubts_of(document.patient, document.created_at)
    return replace(document, defects=tuple(dict.fromkeys(found))) if found else document


def _stated(
    contents: Contents, entry: Entry, name: str | None, attachment: int, archive: int | None, codes: Codes
) -> Document:
    """What the sources say, without a doubt yet. Built in one go: it is the largest value there is, and each copy of it
    costs as much as reading a dozen elements."""
    header, body = (contents.clinical.header, contents.clinical.body) if contents.clinical else (_NO_HEADER, _NO_BODY)
    form = _form(contents)
    type_code = entry.type_code or header.type_code
    class_code = entry.class_code or (codes.class_of(type_code.code, type_code.system) if type_code else None)
    created, act = entry.created or header.created, entry.act or header.act
    return Document(
        form=form,
        unique_id=_unique_id(contents, entry, header),
        sha256=contents.sha256,
        size=len(contents.raw),
        media_type=entry.mime_type or _USUAL.get(form, "application/octet-stream"),
        title=header.title or entry.title,
        name=name,
        type_code=_labelled(type_code, codes),
        class_code=_labelled(class_code, codes),
        format_code=_labelled(entry.format_code, codes),
        facility_code=_labelled(entry.facility_code or header.facility_code, codes),
        practice_code=_labelled(entry.practice_code or header.practice_code, codes),
        confidentiality=_confidentiality(entry, header),
        patient=_patient(entry, header),
        authors=header.authors or entry.authors,
        custodian_id=header.custodian_id,
        created_at=created.iso if created else None,
        act_at=act.iso if act else None,
        language=entry.language or header.language,
        action="replace" if entry.action == "none" and header.replaces else entry.action,
        level=body.level,
        set_id=header.set_id,
        version=header.version,
        replaces=header.replaces,
        archive=archive,
        attachments=(attachment,),
        hash_ok=None if entry.hash is None else _is_digest(entry.hash, contents),
        size_ok=None if entry.size is None else (entry.size.lstrip("0") or "0") == str(len(contents.raw)),
        body_type=body.media_type,
        body=body.raw,
        text=body.text,
        raw=contents.raw,
    )


def _form(contents: Contents) -> DocumentForm:
    if contents.clinical:
        return DocumentForm.CDA
    return DocumentForm.PDF if contents.raw[:1024].lstrip().startswith(b"%PDF-") else DocumentForm.OTHER


def _unique_id(contents: Contents, entry: Entry, header: ClinicalHeader) -> str:
    named = entry.unique_id if entry.unique_id and not entry.unique_id.startswith("sha256:") else None
    return named or header.unique_id or entry.unique_id or f"sha256:{contents.sha256}"


def _confidentiality(entry: Entry, header: ClinicalHeader) -> tuple[Coded, ...]:
    if header.confidentiality and header.confidentiality.code not in {each.code for each in entry.confidentiality}:
        return (*entry.confidentiality, header.confidentiality)
    return entry.confidentiality


def _patient(entry: Entry, header: ClinicalHeader) -> Identity | None:
    """The traits of the CDA, completed from the metadata, and the INS of the metadata when they have one."""
    stated = None if entry.patient.identity == NOBODY.identity else entry.patient.identity
    if header.patient is None or stated is None:
        return header.patient.identity if header.patient else stated
    patient = header.patient.identity
    whole, number = merged(patient, stated), stated if stated.ins else patient
    if (whole.ins, whole.oid) == (number.ins, number.oid):
        return whole
    return replace(whole, ins=number.ins, oid=number.oid)


def _is_digest(stated: str, contents: Contents) -> bool:
    """SHA-1 in hexadecimal is the rule (ITI TF-3 4.2.3.2.10); FHIR writes it in base64, some write SHA-256."""
    if stated.lower() in (contents.sha1, contents.sha256):
        return True
    return stated == base64.b64encode(bytes.fromhex(contents.sha1)).decode("ascii")


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


def _labelled(coded: Coded | None, codes: Codes) -> Coded | None:
    """With the label that the sender left out."""
    if coded is None or coded.label:
        return coded
    return replace(coded, label=codes.label(coded.system, coded.code) or "")


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
    return [*found, *_other_label(document.type_code, codes)]


def _other_label(coded: Coded | None, codes: Codes) -> list[Defect]:
    """A type that is called by another name than its code has: one of the two is not meant (cda-xdm.md §1.6)."""
    official = codes.label(coded.system, coded.code) if coded else None
    if coded is None or not official or coded.label == official or comparable(coded.label) == comparable(official):
        return []
    return [mild("label-differs", shown(coded.code))]
