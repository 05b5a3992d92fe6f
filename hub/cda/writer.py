"""The writer of CDA R2 documents: N1 around a PDF or a text, N3 for forms.

A `Piece` in, the bytes of a document that passes the official XSD and header rules out (cda-xdm.md §4), the same bytes
for the same piece. Raises `Unwritable` with every fault of the hub's own rules at once; writes nothing then.
"""

from __future__ import annotations

import binascii
import hashlib
from datetime import datetime

from hub.cda.body import PDF_COPY
from hub.cda.codes import Codes
from hub.cda.header_writer import Write, coded_with, header, stamp
from hub.cda.markup import DECLARATION, escaped, tag, text_tag
from hub.cda.rules import Unwritable, refusals
from hub.cda.writing import Block, FormBody, Items, Observation, Paragraph, PdfBody, Piece, Section, Table, TextBody
from hub.message import Coded

_OPENING = '<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
_LOINC = "2.16.840.1.113883.6.1"
_COPY = Coded("55108-5", _LOINC, "Copie du document")
_ATTACHED = Coded("55107-7", _LOINC, "Document attaché")
_TYPE_OF_DOCUMENT = Coded("69764-9", _LOINC, "Type de document")
_HERE = "\x00"  # where base64 goes: a character that no markup holds


def write_cda(piece: Piece, codes: Codes) -> bytes:
    """The document. Raises Unwritable."""
    faults = refusals(piece, codes)
    if faults:
        raise Unwritable(faults)
    body, carried = _body(piece, coded_with(codes))
    text = f"{_OPENING}{header(piece, codes)}<component>{body}</component></ClinicalDocument>"
    if not carried:
        return DECLARATION + text.encode()
    before, _, after = text.partition(_HERE)
    return b"".join((DECLARATION, before.encode(), binascii.b2a_base64(carried, newline=False), after.encode()))


def _body(piece: Piece, coded: Write) -> tuple[str, bytes]:
    """The markup, with a mark where the base64 of the bytes goes."""
    match piece.body:
        case PdfBody(raw):
            return _unstructured("application/pdf"), raw
        case TextBody(text):
            return _unstructured("text/plain"), text.encode("utf-8", "replace")
        case FormBody() as form:
            parts = [_section(section, f"{piece.unique_id}/{n}", coded) for n, section in enumerate(form.sections, 1)]
            if form.pdf:
                parts.append(_pdf_copy(piece.unique_id, coded))
            return tag("structuredBody", *parts), form.pdf


def _unstructured(media_type: str) -> str:
    return tag("nonXMLBody", tag("text", _HERE, mediaType=media_type, representation="B64"))


# --- N3 -------------------------------------------------------------------------------------------------------------


def _section(section: Section, key: str, coded: Write) -> str:
    inner = tag(
        "section",
        tag("id", root=_uuid(key)),
        coded("code", section.code) if section.code else "",
        text_tag("title", section.title),
        tag("text", *(_block(block) for block in section.blocks)),
        *(_entry(entry, f"{key}/{n}", coded) for n, entry in enumerate(section.entries, 1)),
    )
    return tag("component", inner)


def _block(block: Block) -> str:
    match block:
        case Paragraph(text):
            return tag("paragraph", _lines(text))
        case Items(items):
            return tag("list", *(tag("item", _lines(item)) for item in items))
        case Table(head, rows):
            top = tag("thead", _row("th", head)) if head else ""
            return tag("table", top, tag("tbody", *(_row("td", row) for row in rows)))


def _row(name: str, cells: tuple[str, ...]) -> str:
    return tag("tr", *(tag(name, _lines(cell)) for cell in cells))


def _lines(text: str) -> str:
    return "<br/>".join(escaped(line) for line in text.strip().splitlines())


def _entry(entry: Observation, key: str, coded: Write) -> str:
    when = tag("effectiveTime", value=stamp(entry.at)) if entry.at else ""
    observation = tag(
        "observation",
        tag("id", root=_uuid(key)),
        coded("code", entry.code),
        tag("statusCode", code="completed"),
        when,
        _value(entry.value, coded),
        classCode="OBS",
        moodCode="EVN",
    )
    return tag("entry", observation)


def _value(value: Coded | str | bool | int | datetime | None, coded: Write) -> str:
    match value:
        case None:
            return ""
        case Coded():
            return coded("value", value).replace("<value", '<value xsi:type="CD"', 1)
        case bool():
            return f'<value xsi:type="BL" value="{str(value).lower()}"/>'
        case int():
            return f'<value xsi:type="INT" value="{value}"/>'
        case datetime():
            return f'<value xsi:type="TS" value="{stamp(value)}"/>'
        case str():
            return f'<value xsi:type="ST">{escaped(value)}</value>'


def _pdf_copy(key: str, coded: Write) -> str:
    """The section FR-Document-PDF-copie: a consumer shows and prints this PDF first (cda-xdm.md §4.4)."""
    kind = tag(
        "observation",
        *(tag("templateId", root=root) for root in _SIMPLE_OBSERVATION),
        tag("id", root=_uuid(f"{key}/copy/kind")),
        coded("code", _TYPE_OF_DOCUMENT),
        tag("text", tag("reference", value="#copie-pdf")),
        tag("statusCode", code="completed"),
        tag("effectiveTime", nullFlavor="NA"),
        _value(_COPY, coded),
        classCode="OBS",
        moodCode="EVN",
    )
    media = tag(
        "observationMedia",
        tag("value", _HERE, mediaType="application/pdf", representation="B64"),
        classCode="OBS",
        moodCode="EVN",
        ID="copie-pdf",
    )
    organizer = tag(
        "organizer",
        tag("templateId", root="1.2.250.1.213.1.1.3.18"),
        tag("id", root=_uuid(f"{key}/copy/file")),
        coded("code", _ATTACHED),
        tag("statusCode", code="completed"),
        tag("component", kind),
        tag("component", media),
        classCode="CLUSTER",
        moodCode="EVN",
    )
    section = tag(
        "section",
        tag("templateId", root=PDF_COPY),
        tag("id", root=_uuid(f"{key}/copy")),
        coded("code", _COPY),
        text_tag("title", _COPY.label),
        tag("text", tag("paragraph", tag("renderMultiMedia", referencedObject="copie-pdf"))),
        tag("entry", organizer),
    )
    return tag("component", section)


# Simple Observation (IHE PCC), FR-Simple-Observation, FR-Type-document-attache (CI-SIS).
_SIMPLE_OBSERVATION = ("1.3.6.1.4.1.19376.1.5.3.1.4.13", "1.2.250.1.213.1.1.3.48", "1.2.250.1.213.1.1.3.48.18")


def _uuid(key: str) -> str:
    """Always the same for a key (the form of a UUID of version 8, RFC 9562), in capitals as CI-SIS wants it."""
    digits = hashlib.sha256(key.encode()).hexdigest().upper()
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-A{digits[17:20]}-{digits[20:32]}"
