"""The PDF/A copy of a PDF that somebody else made (ECO.2.1.1, ECO.2.1.5).

What claims PDF/A is kept byte for byte. Another is converted when that can be done without loss: metadata, colour
intent and what no reader shows are changed, never a page. pikepdf's validator then approves only what it knows to
conform (an approval is sure, a refusal may be over-cautious); PDF/A-1b, which MSSanté wants, is tried first, then 2b.
All else is kept as it is, and the reason is told.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pikepdf

Reason = Literal["", "pdf-encrypted", "pdf-unreadable", "pdfa-loss", "pdfa-not-possible"]

# The metadata of a PDF/A lie in clear in the file (ISO 19005-1 §6.7.2: no filter), as attributes or elements.
_PART = re.compile(rb"pdfaid:part(?:>|\s*=\s*[\"'])\s*([1-4])")
_LEVEL = re.compile(rb"pdfaid:conformance(?:>|\s*=\s*[\"'])\s*([ABUEF])")
_ENCRYPTED = re.compile(rb"/Encrypt[ \t\r\n]*[0-9<]")
_FLAVOURS: tuple[tuple[Literal["1b", "2b"], str], ...] = (("1b", "1B"), ("2b", "2B"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """`raw` is the copy; `claim` what it claims (`1B`, `2B`…), "" when it is no PDF/A, and then `reason` says why.
    `was_converted`: its bytes are not those that came in."""

    raw: bytes = field(repr=False)
    claim: str = ""
    was_converted: bool = False
    reason: Reason = ""


def claim(raw: bytes) -> str:
    """What a PDF says that it conforms to: `1B`, `2U`, `3A`…; "" for nothing, or for an encrypted file."""
    part = _PART.search(raw)
    if part is None or _ENCRYPTED.search(raw):
        return ""
    level = _LEVEL.search(raw)
    return (part[1] + (level[1] if level else b"")).decode("ascii")


def archival(raw: bytes, at: datetime) -> Archived:
    """The copy of a PDF for the archive. `at` (aware) is when it is made; same input, same bytes."""
    stated = claim(raw)
    if stated:
        return Archived(raw=raw, claim=stated)
    reason: Reason = "pdfa-not-possible"
    for flavour, conforms_to in _FLAVOURS:
        copy, reason = _converted(raw, flavour, at)
        if copy:
            return Archived(raw=copy, claim=conforms_to, was_converted=True)
        if reason in ("pdf-encrypted", "pdf-unreadable"):
            break
    return Archived(raw=raw, reason=reason)


def _converted(raw: bytes, flavour: Literal["1b", "2b"], at: datetime) -> tuple[bytes, Reason]:
    """The conforming bytes, or b"" and why not."""
    import pikepdf
    from pikepdf import pdfa

    try:
        with pikepdf.open(io.BytesIO(raw)) as pdf:
            if pdf.is_encrypted:
                return b"", "pdf-encrypted"
            _without_what_nobody_sees(pdf, flavour)
            prepared = pdfa.prepare(pdf, flavour)
            if prepared.annotations_removed:
                return b"", "pdfa-loss"
            _dated(pdf, at)
            written = io.BytesIO()
            pdf.save(written, **pdfa.resolve_save_kwargs(flavour, deterministic_id=True))
    except pikepdf.PasswordError:
        return b"", "pdf-encrypted"
    except (pikepdf.PdfError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RuntimeError):
        return b"", "pdf-unreadable"  # what a library of 10,000 lines raises on a PDF that is none
    is_sure = pdfa.validate_written(io.BytesIO(written.getvalue()), flavour).passed
    return (written.getvalue(), "") if is_sure else (b"", "pdfa-not-possible")


def _without_what_nobody_sees(pdf: pikepdf.Pdf, flavour: str) -> None:
    """How a viewer opens the file and turns a page, and which way the tabulator goes. For PDF/A-1 also the transparency
    group that Word and others give to every page: it changes nothing where nothing is transparent, and where something
    is, the validator still refuses the page."""
    for key in ("/OpenAction", "/AA"):
        if key in pdf.Root:
            del pdf.Root[key]
    for page in pdf.pages:
        for key in ("/Tabs", "/AA", "/Trans", "/Dur"):
            if key in page.obj:
                del page.obj[key]
        if flavour == "1b" and "/Group" in page.obj:
            del page.obj["/Group"]


def _dated(pdf: pikepdf.Pdf, at: datetime) -> None:
    """pikepdf writes the time of its clock: ours instead, so that the same input gives the same bytes."""
    with pdf.open_metadata(set_pikepdf_as_editor=False, update_docinfo=False) as metadata:
        metadata["xmp:MetadataDate"] = at.isoformat(timespec="seconds")
