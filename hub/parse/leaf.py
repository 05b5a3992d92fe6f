"""One leaf of a mail, decoded, and what its bytes say that they are.

Names and declared types come from the sender and are often wrong (`application/octet-stream`, no name); what decides
is the content where it has a mark, then the name, then the declared type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256

from hub.message import Attachment

OCTETS = "application/octet-stream"

_TYPES = {
    "pdf": "application/pdf",
    "zip": "application/zip",
    "xml": "application/xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "webp": "image/webp",
    "heic": "image/heic",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "txt": "text/plain",
    "csv": "text/csv",
    "rtf": "application/rtf",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "eml": "message/rfc822",
    "vcf": "text/vcard",
    "ics": "text/calendar",
    "htm": "text/html",
    "html": "text/html",
    "dat": OCTETS,
}
_PDF_WITHIN = 1024  # bytes before `%PDF-` that readers forgive (ISO 32000-1, annex H.3.4.1)
_HEADER_LINE = re.compile(rb"(?:\xef\xbb\xbf)?(?:From [^\n]*\n)?[!-9;-~]{2,76}[ \t]*:")
_TNEF_SIGNATURE = b"\x78\x9f\x3e\x22"


@dataclass(frozen=True, slots=True)
class Around:
    """Where a part stands: how deep, and inside what.

    `forwarded`: inside a mail that is carried by this one. `returned`: that mail is what a receipt gives back.
    `related`: it belongs to an HTML page. `boundaries`: those of the multiparts around it.
    """

    depth: int = 0
    forwarded: bool = False
    returned: bool = False
    related: bool = False
    default_type: str = "text/plain"
    boundaries: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """`media_type` as declared, `content` decoded, `charset` as declared; the rest as in `hub.message.Attachment`."""

    number: int
    path: str
    media_type: str
    content: bytes
    name: str | None = None
    charset: str | None = None
    disposition: str | None = None
    content_id: str | None = None
    around: Around = Around()

    def extension(self) -> str:
        """Lower case, without its dot, empty when there is none."""
        stem, dot, extension = (self.name or "").rpartition(".")
        return extension.lower().strip() if dot and stem else ""

    def is_pdf(self) -> bool:
        """By its mark; bytes before it are forgiven only when the sender calls it a PDF (a zip may hold one)."""
        if self.content.startswith(b"%PDF-"):
            return True
        called = "pdf" in self.media_type or self.extension() == "pdf"
        return called and b"%PDF-" in self.content[:_PDF_WITHIN]

    def is_tnef(self) -> bool:
        """winmail.dat, whatever it is called."""
        return "ms-tnef" in self.media_type or self.content.startswith(_TNEF_SIGNATURE)

    def is_opaque_cms(self) -> bool:
        """A `p7m`: signed or encrypted, the content inside."""
        named = self.media_type == OCTETS and self.extension() == "p7m"
        return named or self.media_type in ("application/pkcs7-mime", "application/x-pkcs7-mime")

    def is_mail_file(self) -> bool:
        """A mail saved as a file (`message_original.eml`)."""
        named = self.extension() == "eml" and self.media_type.split("/")[0] in ("application", "text", "message")
        return named and looks_like_mail(self.content)

    def described(self, digest: str) -> Attachment:
        """What the message shows of it. The bytes stay behind: the mind needs those of documents only."""
        return Attachment(
            number=self.number,
            path=self.path,
            name=self.name,
            media_type=self.media_type,
            size=len(self.content),
            sha256=digest,
            disposition=self.disposition,
            content_id=self.content_id,
        )

    def digest(self) -> str:
        return sha256(self.content).hexdigest()

    def filed_type(self) -> str:
        """The media type under which it is filed: the declared one unless it says nothing."""
        if self.is_pdf():
            return "application/pdf"
        return self.media_type if self.media_type != OCTETS else type_of_name(self.name)

    def unsealed(self, content: bytes) -> Leaf:
        """The file inside a signed file: `contrat.pdf.p7m` holds `contrat.pdf`."""
        name = self.name[:-4] if self.name and self.extension() == "p7m" else self.name
        return replace(self, content=content, name=name, media_type=type_of_name(name))


def type_of_name(name: str | None) -> str:
    """The media type that a name speaks of, else `application/octet-stream`."""
    return _TYPES.get((name or "").rpartition(".")[2].lower(), OCTETS)


def looks_like_mail(raw: bytes) -> bool:
    """Whether it begins with a header line."""
    return _HEADER_LINE.match(raw.lstrip(b"\r\n")[:4096]) is not None
