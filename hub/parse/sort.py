"""What a leaf is for: an archive, a CDA, a PDF, another file that can be filed, or nothing to file.

Filed: pictures, office and text files that were attached. Not filed: texts of the mail itself, pictures that belong
to an HTML page or a signature block (inline, below `DECORATION_MOST`), visiting cards, calendars, signatures, receipts.
An attached file of any other type is not filed either, and says so (`unread-attachment`): a human looks.
"""

from __future__ import annotations

import re
from enum import Enum, auto

from hub.cda import looks_like_archive, looks_like_cda
from hub.parse.leaf import OCTETS, Leaf, type_of_name

DECORATION_MOST = 64 * 1024  # bytes; logos and portraits in signatures are smaller, scans are larger
DIRECTORY_MOST = 256 * 1024  # bytes at the end of a zip where its directory is looked for

_OFFICE = ("application/vnd.openxmlformats-officedocument.", "application/vnd.oasis.opendocument.")
_FILED = frozenset(
    {"application/msword", "application/vnd.ms-excel", "application/vnd.ms-powerpoint", "application/rtf", "text/rtf"}
    | {"text/plain", "text/csv", "application/xml", "text/xml", "application/vnd.ms-outlook"}
)
_SILENT = ("message/", "text/vcard", "text/x-vcard", "text/directory", "text/calendar", "application/ics")
_SILENT_TYPES = frozenset(
    {
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
        "application/applefile",
    }
    | {"application/pgp-keys", "text/rfc822-headers", "application/pgp-encrypted"}
)
_NESTED = re.compile(rb"ihe_xdm\.zip", re.IGNORECASE)
_WIDE = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")  # how UTF-16 begins, with its mark or without


class Sort(Enum):
    ARCHIVE = auto()
    CDA = auto()
    PDF = auto()
    OTHER = auto()
    NOTHING = auto()
    UNREAD = auto()  # attached on purpose, and of no type that the hub files
    NESTED = auto()  # a zip that holds an IHE_XDM.zip


def sort_of(leaf: Leaf) -> Sort:
    if leaf.around.returned or not leaf.content or leaf.media_type.startswith("multipart/"):
        return Sort.NOTHING
    if looks_like_archive(leaf.content, leaf.name, leaf.media_type):
        return Sort.ARCHIVE
    if leaf.is_pdf():
        return Sort.PDF
    if _may_be_cda(leaf) and looks_like_cda(leaf.content):
        return Sort.CDA
    return _other(leaf)


def is_attached(leaf: Leaf) -> bool:
    return leaf.name is not None or leaf.disposition == "attachment"


def _may_be_cda(leaf: Leaf) -> bool:
    return b"urn:hl7-org:v3" in leaf.content or leaf.content.startswith(_WIDE)


def _other(leaf: Leaf) -> Sort:
    media_type = leaf.filed_type()
    if leaf.media_type in _SILENT_TYPES or media_type.startswith(_SILENT) or leaf.is_tnef() or leaf.is_opaque_cms():
        return Sort.NOTHING
    if media_type.startswith("image/"):
        return Sort.NOTHING if _is_decoration(leaf) else Sort.OTHER
    if leaf.content.startswith(b"PK\x03\x04") and _NESTED.search(
        leaf.content, max(0, len(leaf.content) - DIRECTORY_MOST)
    ):
        return Sort.NESTED
    if media_type == "application/pdf" or is_attached(leaf):
        return Sort.OTHER if _is_filed(media_type, leaf) else Sort.UNREAD
    return Sort.NOTHING if media_type.startswith("text/") or leaf.around.related else Sort.UNREAD


def _is_filed(media_type: str, leaf: Leaf) -> bool:
    return any(
        known in _FILED or known.startswith((*_OFFICE, "image/")) or known == "application/pdf"
        for known in (media_type, type_of_name(leaf.name))
        if known != OCTETS
    )


def _is_decoration(leaf: Leaf) -> bool:
    if len(leaf.content) >= DECORATION_MOST:
        return False
    return leaf.around.related or (
        leaf.disposition != "attachment" and (leaf.content_id is not None or leaf.disposition == "inline")
    )
