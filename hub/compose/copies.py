"""The PDF/A copies beside the archive: one for each piece (ECO.2.1.1, ECO.2.1.5).

The copy of an N1 around a PDF is that PDF, byte for byte, when it claims PDF/A; else its conversion without loss; else
the PDF as it is, and a remark says so. The copy of a text or a form has a heading (title, type, date, author,
organisation, usager) and the words of the document. Opening a foreign PDF is for a process with limits: `archived`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from hub import pdf
from hub.cda.codes import Codes
from hub.cda.stated import identity_of
from hub.cda.writing import Block as Written
from hub.cda.writing import FormBody, Items, Paragraph, PdfBody, Piece, Professional, Signatory, Table, TextBody
from hub.message import Identity, Reason
from hub.pdf.paper import Block, Bullets, Grid, Heading, Words

_SEXED = {"M": "né le", "F": "née le"}
_REMARKS = {
    "pdf-encrypted": "la copie PDF est protégée par un mot de passe : elle part telle quelle, sans être un PDF/A",
    "pdf-unreadable": "la copie PDF est mal formée : elle part telle quelle, sans être un PDF/A",
    "pdfa-loss": "convertir la copie en PDF/A en perdrait une partie : elle part telle quelle",
    "pdfa-not-possible": "la copie PDF n'a pas pu être convertie en PDF/A sans perte : elle part telle quelle",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """`claim` is the PDF/A that the copy claims, "" when it is none and `remark` says why. `is_the_one_inside`: its
    bytes are those embedded in the CDA."""

    raw: bytes = field(repr=False)
    claim: str = ""
    is_the_one_inside: bool = False
    remark: Reason | None = None


Archivist = Callable[[bytes, datetime], pdf.Archived]


def copy_of(piece: Piece, codes: Codes, faces: pdf.Typefaces, archived: Archivist = pdf.archival) -> Copied:
    """The copy of a piece. `archived` opens the PDF that somebody sent. Raises Misconfigured (fonts)."""
    match piece.body:
        case PdfBody(raw):
            return _archival(archived(raw, piece.created_at))
        case FormBody() as form if form.pdf:
            return _archival(archived(form.pdf, piece.created_at))
        case _:
            return Copied(raw=pdf.write_paper(paper_of(piece, codes), faces, piece.created_at), claim="1B")


def with_copy_inside(piece: Piece, codes: Codes, faces: pdf.Typefaces) -> Piece:
    """A form with its PDF for human eyes inside (FR-Document-PDF-copie); any other piece as it is."""
    if not isinstance(piece.body, FormBody) or piece.body.pdf:
        return piece
    copy = pdf.write_paper(paper_of(piece, codes), faces, piece.created_at)
    return replace(piece, body=replace(piece.body, pdf=copy))


def paper_of(piece: Piece, codes: Codes) -> pdf.Paper:
    """What the copy of a text or a form shows. Raises ValueError for a piece whose body is a PDF."""
    match piece.body:
        case TextBody(text):
            blocks: tuple[Block, ...] = (Words(text),)
        case FormBody(sections=sections):
            blocks = tuple(
                block for section in sections for block in (Heading(section.title), *map(_block, section.blocks))
            )
        case PdfBody():
            raise ValueError("a PDF is its own copy")
    label = codes.label(piece.type_code.system, piece.type_code.code) or piece.type_code.label
    facts = (
        pdf.Fact("Type", label),
        pdf.Fact("Date", piece.created_at.strftime("%d/%m/%Y à %H:%M")),
        pdf.Fact("Auteur", " ; ".join(_author(each, codes) for each in piece.authors)),
        pdf.Fact("Organisme", piece.issuer.name),
        pdf.Fact("Usager", _usager(identity_of(piece))),
        *((pdf.Fact("Dossier", piece.usager.record_number),) if piece.usager.record_number else ()),
        *((pdf.Fact("Version", f"{piece.version}, annule et remplace la précédente"),) if piece.replaces else ()),
    )
    title = " ".join(piece.title.split())
    return pdf.Paper(title=title, facts=facts, blocks=blocks, foot=f"{piece.issuer.name} — {title}")


def _archival(found: pdf.Archived) -> Copied:
    remark = Reason(found.reason, _REMARKS[found.reason]) if found.reason else None
    return Copied(raw=found.raw, claim=found.claim, is_the_one_inside=not found.was_converted, remark=remark)


def _block(block: Written) -> Block:
    match block:
        case Paragraph(text):
            return Words(text)
        case Items(items):
            return Bullets(items)
        case Table(head, rows):
            return Grid(head, rows)


def _author(who: Signatory, codes: Codes) -> str:
    if not isinstance(who, Professional):
        return f"{who.name} ({who.maker})"
    role = codes.label(who.role.system, who.role.code) or who.role.label
    return f"{who.given} {who.family}, {role}".strip(", ")


def _usager(who: Identity) -> str:
    name = " ".join(part for part in (who.birth_name, who.first_given or who.given_names) if part)
    day = "/".join(reversed((who.birth_date or "").split("-")))
    return f"{name}, {_SEXED.get(who.sex or '', 'né(e) le')} {day}" if day else name
