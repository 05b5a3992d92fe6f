"""All that a document mail carries, from its pieces: the archive and the PDF copies, rightly named, with the remarks.

Pure. PDFs that somebody sent are opened by `archived` alone. Raises Unwritable with all that must be corrected, before
anything is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hub import pdf
from hub.cda.archive_writer import ArchiveWritten, must_be_writable, write_archive
from hub.cda.codes import Codes
from hub.cda.writing import Lot, PdfBody, Piece
from hub.compose.attached import Attached
from hub.compose.copies import Archivist, Copied, copy_of, with_copy_inside
from hub.compose.naming import Discretion, file_names
from hub.message import Reason
from hub.pdf import Typefaces


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """`remarks`: what the sender is to be told (a copy that is no PDF/A)."""

    archive: ArchiveWritten
    files: tuple[Attached, ...]
    remarks: tuple[Reason, ...] = ()


def pack(
    pieces: tuple[Piece, ...],
    lot: Lot,
    codes: Codes,
    faces: Typefaces,
    discretion: Discretion,
    embeds_the_copy: bool = False,
    archived: Archivist = pdf.archival,
) -> Packed:
    """`archived` gives the PDF/A copy of a PDF: a process with limits is asked for it where the PDF is foreign. With
    `embeds_the_copy` a PDF that had to be converted is so inside the CDA too, and both are the same bytes (ECO.2.1.5 to
    the letter); without, the CDA keeps the PDF as it came. Raises Unwritable, Misconfigured (fonts)."""
    must_be_writable(pieces, lot, codes)
    pieces = tuple(with_copy_inside(piece, codes, faces) for piece in pieces)
    copies = [copy_of(piece, codes, faces, archived) for piece in pieces]
    if embeds_the_copy:
        pieces = tuple(_embedding(piece, copy) for piece, copy in zip(pieces, copies, strict=True))
    archive = write_archive(pieces, lot, codes)
    names = file_names(pieces, codes, discretion)
    return Packed(
        archive=archive,
        files=tuple(Attached(name, "application/pdf", copy.raw) for name, copy in zip(names, copies, strict=True)),
        remarks=tuple(dict.fromkeys(copy.remark for copy in copies if copy.remark is not None)),
    )


def _embedding(piece: Piece, copy: Copied) -> Piece:
    is_converted = isinstance(piece.body, PdfBody) and not copy.is_the_one_inside
    return replace(piece, body=PdfBody(copy.raw)) if is_converted else piece
