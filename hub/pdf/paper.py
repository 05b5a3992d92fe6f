"""A text or a form as PDF/A-1b, for human eyes: a heading, the facts about the document, its words (ECO.2.1.5).

`Paper` in, bytes out, the same for the same paper. The fonts are files that the site names (`Typefaces`; DejaVu of
Debian, free to embed) and stand in the PDF, as PDF/A wants it. Raises Misconfigured when a font cannot be read.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from hub.errors import Misconfigured

if TYPE_CHECKING:
    from fpdf import FPDF

FAMILY = "Hub"
_PRODUCER = "hub, fpdf2"
_MARGIN, _TEXT, _LINE = 20.0, 10.5, 5.4  # mm, points, mm
_TITLE, _HEADING, _SMALL = 16, 12, 8
_LABEL_WIDTH = 42.0
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


@dataclass(frozen=True, slots=True)
class Typefaces:
    """Two TrueType files. They are opened at each paper, read only."""

    regular: Path
    bold: Path


@dataclass(frozen=True, slots=True)
class Fact:
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Words:
    text: str


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells; `head` may be empty."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Words | Heading | Bullets | Grid


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """`facts` stand under the title (type, date, author, organisation, usager); `foot` at the end of every page."""

    title: str
    facts: tuple[Fact, ...]
    blocks: tuple[Block, ...]
    foot: str = ""


def write_paper(paper: Paper, faces: Typefaces, at: datetime) -> bytes:
    """The PDF. `at` (aware) is its date. Raises Misconfigured."""
    try:
        pdf = _opened(paper, faces, at)
        _heading(pdf, paper)
        for block in paper.blocks:
            _block(pdf, block)
        return bytes(pdf.output())
    except OSError as error:
        raise Misconfigured(f"font file not readable: {error.strerror or type(error).__name__}") from error


def _opened(paper: Paper, faces: Typefaces, at: datetime) -> FPDF:
    import fpdf

    foot = _shown(paper.foot)

    class Sheet(fpdf.FPDF):
        def footer(self) -> None:
            self.set_y(-15)
            self.set_font(FAMILY, size=_SMALL)
            self.set_text_color(90)
            half = self.epw * 0.8
            self.cell(half, 5, _drawable(self, foot)[:95])
            self.cell(self.epw - half, 5, f"page {self.page_no()}", align="R")
            self.set_text_color(0)

    sheet = Sheet(format="A4", enforce_compliance="PDF/A-1B")
    sheet.set_margin(_MARGIN)
    sheet.set_auto_page_break(True, margin=20)
    sheet.add_font(FAMILY, "", faces.regular)
    sheet.add_font(FAMILY, "B", faces.bold)
    sheet.set_creation_date(at)
    sheet.set_title(_shown(paper.title))
    sheet.set_producer(_PRODUCER)
    sheet.set_lang("fr-FR")
    sheet.set_xmp_metadata(_metadata(_shown(paper.title), at))
    sheet.add_page()
    return sheet


def _metadata(title: str, at: datetime) -> str:
    """The XMP of a PDF/A-1b that agrees with its document information (ISO 19005-1 §6.7.3). fpdf2's own says when it
    was written by its clock: the same paper would have other bytes a second later."""
    date = at.astimezone(UTC).isoformat(timespec="seconds")
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:pdf="http://ns.adobe.com/pdf/1.3/"
   xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
  <rdf:Description rdf:about="" xmp:CreateDate="{date}" xmp:ModifyDate="{date}" xmp:MetadataDate="{date}"
    pdf:Producer="{_PRODUCER}">
   <pdfaid:part>1</pdfaid:part>
   <pdfaid:conformance>B</pdfaid:conformance>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>"""


def _heading(pdf: FPDF, paper: Paper) -> None:
    pdf.set_font(FAMILY, "B", _TITLE)
    pdf.multi_cell(0, 8, _drawable(pdf, paper.title), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)
    for fact in paper.facts:
        _fact(pdf, fact)
    pdf.ln(1)
    pdf.set_draw_color(120)
    pdf.line(pdf.l_margin, pdf.get_y(), pdf.w - pdf.r_margin, pdf.get_y())
    pdf.ln(5)


def _fact(pdf: FPDF, fact: Fact) -> None:
    pdf.set_font(FAMILY, "B", _TEXT)
    pdf.cell(_LABEL_WIDTH, _LINE, _drawable(pdf, fact.label))
    pdf.set_font(FAMILY, "", _TEXT)
    pdf.multi_cell(0, _LINE, _drawable(pdf, fact.value), align="L", new_x="LMARGIN", new_y="NEXT")


def _block(pdf: FPDF, block: Block) -> None:
    match block:
        case Heading(text):
            pdf.ln(2)
            pdf.set_font(FAMILY, "B", _HEADING)
            pdf.multi_cell(0, 6.5, _drawable(pdf, text), align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(1)
        case Words(text):
            pdf.set_font(FAMILY, "", _TEXT)
            pdf.multi_cell(0, _LINE, _drawable(pdf, text), align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(2)
        case Bullets(items):
            _bullets(pdf, items)
        case Grid(head, rows):
            _grid(pdf, head, rows)


def _bullets(pdf: FPDF, items: tuple[str, ...]) -> None:
    pdf.set_font(FAMILY, "", _TEXT)
    for item in items:
        pdf.cell(6, _LINE, "•")
        pdf.multi_cell(0, _LINE, _drawable(pdf, item), align="L", new_x="LMARGIN", new_y="NEXT")
    pdf.ln(2)


def _grid(pdf: FPDF, head: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> None:
    from fpdf.fonts import FontFace

    pdf.set_font(FAMILY, "", _TEXT)
    bold = FontFace(emphasis="BOLD", fill_color=235)
    with pdf.table(
        first_row_as_headings=bool(head), headings_style=bold, line_height=_LINE, text_align="LEFT", padding=1
    ) as table:
        for cells in (*((head,) if head else ()), *rows):
            row = table.row()
            for cell in cells:
                row.cell(_drawable(pdf, cell))
    pdf.ln(3)


def _drawable(pdf: FPDF, text: str) -> str:
    """The text with a question mark for every character that the font does not have: fpdf2 would leave it out, and
    write it to the log."""
    known = getattr(pdf.fonts[FAMILY.lower()], "cmap", {})
    return "".join(c if c == "\n" or ord(c) in known else "?" for c in _shown(text))


def _shown(text: str) -> str:
    """Composed letters, no control or direction marks, tabulators as blanks."""
    kept = _CONTROLS.sub("", unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")))
    return kept.expandtabs(4).strip("\n")
