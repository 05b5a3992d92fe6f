"""The text of a PDF, for rules that look for words in it; and what makes a PDF suspicious.

pypdfium2 does the reading, which must happen in a child process with limits (`hub.cell`): a bomb of a few KB makes it
swallow hundreds of megabytes (libs.md §6). A failure is "no text" and a doubt, never an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.message import Defect

PAGES_MOST = 5
TEXT_MOST = 20_000  # characters

_WRONG_PASSWORD = 4  # FPDF_ERR_PASSWORD
# Cheap and incomplete on purpose: names inside compressed object streams are not seen. A script that is found is
# shown to the human; the hub itself runs none.
_ACTIVE = re.compile(rb"/(?:JavaScript|JS|Launch)[ \t\r\n]*[/(<\[0-9]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class PdfText:
    text: str
    defects: tuple[Defect, ...] = ()


def read_text(raw: bytes) -> PdfText:
    """The text of the first pages, and the doubts `pdf-active`, `pdf-encrypted`, `pdf-unreadable`."""
    import pypdfium2

    active = _active(raw)
    try:
        document = pypdfium2.PdfDocument(raw)
        try:
            return PdfText(_text_of(document), active)
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        return PdfText("", (*active, _refused(error.err_code)))
    except (ValueError, AssertionError, OverflowError):  # from its own checks on what the library returned
        return PdfText("", (*active, _refused(None)))


def check(raw: bytes) -> tuple[Defect, ...]:
    """The doubts of `read_text` that show without reading a page: a seventh of the price or less (PDFium builds the
    glyph names of every font of a page). Asks PDFium itself: the objects around it cost more than this opening."""
    from pypdfium2 import raw as pdfium

    active = _active(raw)
    document = pdfium.FPDF_LoadMemDocument64(raw, len(raw), None)
    if not document:
        return (*active, _refused(pdfium.FPDF_GetLastError()))
    try:
        is_empty = pdfium.FPDF_GetPageCount(document) < 1
        return (*active, _refused(pdfium.FPDF_GetLastError())) if is_empty else active
    finally:
        pdfium.FPDF_CloseDocument(document)


def _active(raw: bytes) -> tuple[Defect, ...]:
    return (Defect("pdf-active"),) if _ACTIVE.search(raw) else ()


def _refused(error: int | None) -> Defect:
    return Defect("pdf-encrypted" if error == _WRONG_PASSWORD else "pdf-unreadable")


def _text_of(document: object) -> str:
    pages: list[str] = []
    left = TEXT_MOST
    for number in range(min(len(document), PAGES_MOST)):  # type: ignore[arg-type]
        page = document[number]  # type: ignore[index]
        words = page.get_textpage()
        text = words.get_text_range(0, min(words.count_chars(), left)) if words.count_chars() else ""
        words.close()
        page.close()
        pages.append(_CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
        left -= len(text)
        if left <= 0:
            break
    return "\n".join(pages)[:TEXT_MOST].strip()
