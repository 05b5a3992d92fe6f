"""The lines of a CSV file as people export it from a spreadsheet: bytes in, cells and their line numbers out.

UTF-8 (with or without BOM) or Windows-1252; separated by `;`, `,` or tabulations. What is wrong is a `Problem` that
names a line and a column, never what stands in the cell. Raises Damaged for bytes that are no text, or too many.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from hub.errors import Damaged

_BYTES_MOST = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, in French, without personal content; `line` counts from 1, the headers included."""

    line: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"ligne {self.line}, colonne {self.column} : {self.text}"


def text_of(raw: bytes) -> str:
    """The text of a file in UTF-8, else in Windows-1252. Raises Damaged, with a text for the user."""
    if len(raw) > _BYTES_MOST:
        raise Damaged("CSV file too large", "Le fichier dépasse 64 Mo : découpez-le en plusieurs fichiers.")
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Damaged(
        "CSV file in an unknown encoding",
        "Le fichier n'est ni en UTF-8 ni en Windows-1252 : enregistrez-le depuis le tableur au format « CSV UTF-8 ».",
    )


def plain(header: str) -> str:
    """The compared form of a header: small letters without accents, anything else is an underline."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", header.lower()) if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_")


def delimiter_of(text: str) -> str:
    headers = next((line for line in text.splitlines() if line.strip()), "")
    return max(";,\t", key=headers.count)


def lines_of(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | Problem]]:
    """(line where it begins, cells) of each line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield line, Problem(line, "-", "guillemets mal fermés : le reste du fichier n'a pas été lu")
            return
        if any(cell.strip() for cell in cells):
            yield line, cells
