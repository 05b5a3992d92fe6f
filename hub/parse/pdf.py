"""The text of a PDF, for rules that look for words in it; and what makes a PDF suspicious.

pypdfium2 does the reading, which must happen in a child process with limits (`hub.cell`): a bomb of a few KB makes it
swallow hundreds of megabytes (libs.md §6). A failure is "no text" and a doubt, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
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
    return _opened(raw, _text_of)


def _opened(raw: bytes, work: Callable[[object], str]) -> PdfText:
    import pypdfium2

    active = (Defect("pdf-active"),) if _ACTIVE.search(raw) else ()
    try:
        document = pypdfium2.PdfDocument(raw)
        try:
            return PdfText(work(document), active)
        finally:
            document.close()
    except pypdfium2.PdfiumError as error:
        code = "pdf-encrypted" if error.err_code == _WRONG_PASSWORD else "pdf-unreadable"
        return PdfText("", (*active, Defect(code)))
    except (ValueError, AssertionError, OverflowError):  # from its own checks on what the library returned
        return PdfText("", (*active, Defect("pdf-unreadable")))


def check(raw: bytes) -> tuple[Defect, ...]:
    """The doubts of `read_text` that show without reading a page: a seventh of the price or less (PDFium builds the
    glyph names of every font of a page)."""
    return _opened(raw, lambda document: "").defects


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
