"""What a human reads of a CDA: the encapsulated body of an N1, or the PDF copy that an N3 carries.

Base64 is decoded strictly once blanks are gone, then the first bytes are asked what they are: the declared media type
is a claim. A body that cannot be decoded, is empty, cut short or of no known sort is a grave doubt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from hub.base64 import strict
from hub.cda.doubts import grave, mild
from hub.cda.identity import V3
from hub.cda.xml import Element, attribute, children, first
from hub.message import Defect, Level

Lifted = Mapping[str, memoryview]
PDF_COPY = "1.2.250.1.213.1.1.2.243"  # templateId of the section FR-Document-PDF-copie
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"{\\rtf", "text/rtf"),
)
_SAME = {"application/rtf": "text/rtf", "image/jpg": "image/jpeg"}
# CI-SIS: PDF and plain text; ASS_A12 still knows the others. A page for browsers (scripts) is no body.
_ACCEPTED = frozenset({"application/pdf", "text/plain", "text/rtf", "image/jpeg", "image/tiff", "image/png"})
_TEXTS = ("text/plain", "text/html", "text/xml", "application/xml", "text/rtf")


@dataclass(frozen=True, slots=True)
class Body:
    """The level, the decoded bytes with their real media type, their text when they are one."""

    level: Level
    media_type: str | None = None
    raw: bytes = b""
    text: str = ""
    defects: tuple[Defect, ...] = ()


def read_body(cda: Element, written: bytes, lifted: Lifted = MappingProxyType({})) -> Body:
    """`lifted` are the texts that were cut out before the parsing (`cda.xml`); `written`, the bytes of the file, spare
    the search for the PDF copy where they do not even name its template."""
    component = first(cda, f"{V3}component")
    unstructured = first(component, f"{V3}nonXMLBody")
    if unstructured is not None:
        return _decoded("N1", first(unstructured, f"{V3}text"), lifted)
    structured = first(component, f"{V3}structuredBody")
    if structured is None:
        return Body("other")
    may_have_copy = PDF_COPY.encode() in written or written[:1] != b"<"
    copy = _pdf_copy(structured) if may_have_copy else None
    return Body("N3") if copy is None else _decoded("N3", copy, lifted)


def _pdf_copy(structured: Element) -> Element | None:
    for section in structured.iter(f"{V3}section"):
        if any(template.get("root") == PDF_COPY for template in children(section, f"{V3}templateId")):
            values = [v for v in section.iter(f"{V3}value") if v.get("mediaType") or v.get("representation") == "B64"]
            return next((v for v in values if v.get("mediaType") == "application/pdf"), values[0] if values else None)
    return None


def _decoded(level: Level, node: Element | None, lifted: Lifted) -> Body:
    written = "" if node is None or node.get("nullFlavor") else (node.text or "")
    if not written or written.isspace():
        return Body(level, defects=(grave("bad-body", "empty"),))
    declared = attribute(node, "mediaType").split(";")[0].strip().lower()
    declared = _SAME.get(declared, declared)
    representation = attribute(node, "representation")
    defects: list[Defect] = []
    if representation != "B64":
        if representation in ("", "TXT") and declared in ("", *_TEXTS):
            text = bytes(_unlifted(written, lifted)).decode()
            return Body(level, declared or "text/plain", text.encode(), text.strip())
        defects.append(mild("body-type", "representation"))
    raw = strict(_unlifted(written, lifted))
    if raw is None:
        return Body(level, defects=(grave("bad-body", "base64"),))
    return _judged(level, declared, raw, defects)


def _unlifted(written: str, lifted: Lifted) -> memoryview:
    is_lifted = bool(lifted) and written in lifted  # not asked for nothing: a text of a megabyte would be hashed
    return lifted[written] if is_lifted else memoryview(written.encode())


def _judged(level: Level, declared: str, raw: bytes, defects: list[Defect]) -> Body:
    found = sort_of(raw)
    text = ""
    if found is None:
        return Body(level, declared or None, raw, defects=(*defects, grave("bad-body", "unknown content")))
    if found == "text/plain" and declared in _TEXTS:
        found = declared
    if found in _TEXTS:
        text = _text(raw)
    if not declared or found != declared or found not in _ACCEPTED:
        defects.append(mild("body-type", "media type"))
    if found == "application/pdf" and raw.rfind(b"%%EOF") < 0:
        defects.append(grave("bad-body", "cut short"))
    return Body(level, found, raw, text if found == "text/plain" else "", tuple(defects))


def sort_of(raw: bytes) -> str | None:
    """The media type that the bytes speak for; text/plain when nothing speaks against it; None for bytes that are none
    of what a document may be."""
    if b"%PDF-" in raw[:1024]:
        return "application/pdf"
    for magic, media_type in _MAGIC:
        if raw.startswith(magic):
            return media_type
    if raw[:4] == b"PK\x03\x04":
        return "application/zip"
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text/plain"
    return None if not raw or b"\x00" in raw[:4096] else "text/plain"


def _text(raw: bytes) -> str:
    """The encapsulated text keeps its own charset (CI-SIS): its mark, else UTF-8, else the usual one of its makers."""
    charset = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(charset)
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
