"""By what a PDF says of whom it is: the fields of a filled form, and the INS that a DataMatrix holds.

The bytes of a PDF in, `Clue`s out. Costly (pages are drawn): only what somebody of ours submits is looked at, in the
child process with its limits (`hub.cell`). A PDF that cannot be read gives no clue; `hub.parse.pdf` says why.

A DataMatrix INS (ANS, « INS - Format datamatrix », 2.2; mssante.md §13) begins with `IS01` and 22 characters more, then
blocks in any order: `S1` matricule (15 characters), `S2` OID, `S3` all birth given names, `S4` birth name, `S5` sex,
`S6` birth date (day-month-year), `S7` INSEE code of the birth place. A block that may be shorter ends with the group
separator (0x1D), which is absent where the block has its full length; a missing separator before the next block is
borne where nothing else can be meant.
"""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hub import ins
from hub.birthdates import iso_of
from hub.message import Clue, DocumentForm, Identity, ParsedMessage

DOCUMENTS_MOST = 10  # PDFs of one mail
PAGES_MOST = 3  # the first ones: the INS stands on the first page (guide d'implémentation INS)
PIXELS_MOST = 4_200_000  # of one page: A4 at 200 dots an inch has 3.9 million
DOTS = 200 / 72  # a point
FIELDS_MOST = 500
VALUE_MOST = 200  # characters
CODES_MOST = 10  # on one page
FORM_PAGES_MOST = 20

_HEADER = re.compile(r"IS\d{2}.{22}", re.DOTALL)
_SEPARATOR = "\x1d"
_SHOWN_SEPARATOR = "<GS>"  # as some programs write it out
_FIXED = {"S1": 15, "S5": 1, "S6": 10, "S7": 5}
_LONGEST = {"S2": 20, "S3": 100, "S4": 100}
_BORN = re.compile(r"(\d{2})-(\d{2})-(\d{4})")

# Names of form fields, without accents, capitals and signs: those of the forms of the field (forms.yaml), and what
# people call them.
_FIELDS = {
    "number": (
        "numerodossier",
        "numerodedossier",
        "ndedossier",
        "ndossier",
        "nodossier",
        "numdossier",
        "dossier",
        "numerousager",
        "identifiantinterne",
        "identifiantinterneesms",
        "recordnumber",
    ),
    "ins": ("ins", "matriculeins", "insmatricule", "numeroins"),
    "oid": ("oid", "oidins", "insoid"),
    "birth_name": ("nomnaissance", "nomdenaissance", "birthname"),
    "used_name": ("nomutilise", "nomusage", "nomdusage"),
    "given_names": ("prenoms", "prenomsnaissance", "prenomsdenaissance"),
    "first_given": ("prenom", "prenomnaissance", "premierprenom", "premierprenomnaissance"),
    "birth_date": ("datenaissance", "datedenaissance", "neele", "birthdate"),
    "sex": ("sexe", "sex"),
    "birth_place": ("lieunaissanceinsee", "codeinseenaissance", "lieunaissance"),
}
_MEANINGS = {name: meaning for meaning, names in _FIELDS.items() for name in names}


def add_clues(message: ParsedMessage) -> ParsedMessage:
    """The message with what its loose PDFs, at most `DOCUMENTS_MOST`, say of whom they are."""
    documents = list(message.documents)
    places = [place for place, one in enumerate(documents) if one.form is DocumentForm.PDF and one.archive is None]
    for place in places[:DOCUMENTS_MOST]:
        documents[place] = replace(documents[place], clues=read_clues(documents[place].raw))
    return replace(message, documents=tuple(documents))


def read_clues(raw: bytes) -> tuple[Clue, ...]:
    """What a PDF says of whom it is; nothing when it cannot be read."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(raw)
    except (pypdfium2.PdfiumError, ValueError, OverflowError):
        return ()
    try:
        return (*_filled_form(document), *_data_matrices(document))
    except (pypdfium2.PdfiumError, ValueError, AssertionError, OverflowError, IndexError, RuntimeError):
        return ()
    finally:
        document.close()


# --- DataMatrix


def _data_matrices(document: Any) -> Iterator[Clue]:
    for number in range(min(len(document), PAGES_MOST)):
        for text in _codes_on(document[number]):
            identity = read_data_matrix(text)
            if identity is not None:
                yield Clue(way="datamatrix", place=f"page {number + 1}", readings=(identity,))


def _codes_on(page: Any) -> list[str]:
    """The texts of the DataMatrix codes drawn on a page."""
    import zxingcpp

    width, height = page.get_size()
    if width <= 0 or height <= 0:
        return []
    scale = min(DOTS, (PIXELS_MOST / (width * height)) ** 0.5)
    picture = page.render(scale=scale, grayscale=True, may_draw_forms=False)
    # Rows padded to whole words are shown as they are: a few columns more. (zxing-cpp 3.1's own ImageView does not keep
    # the memory that it looks at.)
    rows = memoryview(bytes(picture.buffer)).cast("B", shape=(picture.height, picture.stride))
    codes = zxingcpp.read_barcodes(
        rows, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.DataMatrix), text_mode=zxingcpp.TextMode.Plain
    )
    texts = [code.text for code in codes[:CODES_MOST]]
    picture.close()
    page.close()
    return texts


def read_data_matrix(text: str) -> Identity | None:
    """The identity that a DataMatrix INS states, None when it is another code or has no matricule of the right form."""
    text = text.replace(_SHOWN_SEPARATOR, _SEPARATOR)
    header = _HEADER.match(text)
    if header is None:
        return None
    blocks = dict(_blocks(text[header.end() :]))
    matricule = blocks.get("S1", "").upper()
    if not ins.is_well_formed(matricule):
        return None
    born = _BORN.fullmatch(blocks.get("S6", ""))
    given = blocks.get("S3", "").strip()
    return Identity(
        ins=matricule,
        oid=blocks.get("S2", "").strip() or None,
        birth_name=blocks.get("S4", "").strip() or None,
        given_names=given or None,
        birth_date=f"{born[3]}-{born[2]}-{born[1]}" if born else None,
        sex=blocks["S5"] if blocks.get("S5") in ("M", "F") else None,
        birth_place=blocks.get("S7") or None,
    )


def _blocks(rest: str) -> Iterator[tuple[str, str]]:
    """(identifier, value) of each block; what is not understood ends the reading."""
    while rest:
        name, rest = rest[:2], rest[2:]
        if name in _FIXED:
            yield name, rest[: _FIXED[name]]
            rest = rest[_FIXED[name] :].removeprefix(_SEPARATOR)
        elif name in _LONGEST:
            value = rest[: _LONGEST[name]].partition(_SEPARATOR)[0]
            if name == "S2":  # digits and points: the next block cannot be taken for a part of it
                value = re.match(r"[0-9.]*", value)[0]  # type: ignore[index]
            yield name, value
            rest = rest[len(value) :].removeprefix(_SEPARATOR)
        else:
            return


# --- forms


def _filled_form(document: Any) -> tuple[Clue, ...]:
    """The record numbers and the identity that the fields of a form hold, each when it is there. A trait that two
    fields state differently is that of two persons: no identity is taken."""
    meant: dict[str, list[str]] = {}
    for name, value in _fields(document):
        meaning = _MEANINGS.get(_plain(name))
        if meaning is not None and value.strip() and value.strip() not in meant.setdefault(meaning, []):
            meant[meaning].append(value.strip())
    numbers = [Clue(way="form", place="form", numbers=(number,)) for number in meant.pop("number", [])]
    if any(len(values) > 1 for values in meant.values()):
        return tuple(numbers)
    return (*numbers, *_identity_clues({meaning: values[0] for meaning, values in meant.items()}))


def _identity_clues(meant: Mapping[str, str]) -> Iterator[Clue]:
    """`meant`: what a field means -> what stands in it."""
    identity = Identity(
        ins="".join(meant.get("ins", "").split()).upper() or None,
        oid=meant.get("oid"),
        birth_name=meant.get("birth_name"),
        used_name=meant.get("used_name"),
        given_names=meant.get("given_names"),
        first_given=meant.get("first_given"),
        birth_date=iso_of(meant.get("birth_date", "")),
        sex=meant["sex"] if meant.get("sex") in ("M", "F") else None,
        birth_place=meant.get("birth_place"),
    )
    if identity.ins and not identity.oid:  # without its authority an INS decides nothing (RH-41)
        yield Clue(way="form", place="form", readings=(Identity(ins=identity.ins),), is_clear=False)
        identity = replace(identity, ins=None)
    if identity.ins or ((identity.birth_name or identity.used_name) and identity.birth_date):
        yield Clue(way="form", place="form", readings=(identity,))


def _fields(document: Any) -> Iterator[tuple[str, str]]:
    """(name, value) of the fields of the document, at most `FIELDS_MOST`."""
    import pypdfium2.raw as pdfium

    if document.get_formtype() != pdfium.FORMTYPE_ACRO_FORM:
        return
    document.init_forms()
    if document.formenv is None:
        return
    left = FIELDS_MOST
    for number in range(min(len(document), FORM_PAGES_MOST)):
        page = document[number]
        for index in range(min(pdfium.FPDFPage_GetAnnotCount(page), left)):
            annotation = pdfium.FPDFPage_GetAnnot(page, index)
            if not annotation:
                continue
            name = _said(pdfium.FPDFAnnot_GetFormFieldName, document.formenv, annotation)
            if name:
                left -= 1
                yield name, _said(pdfium.FPDFAnnot_GetFormFieldValue, document.formenv, annotation)
            pdfium.FPDFPage_CloseAnnot(annotation)
        page.close()


def _said(ask: Any, environment: Any, annotation: Any) -> str:
    """A text of PDFium: asked first for its length in bytes, UTF-16 with its end."""
    import pypdfium2.raw as pdfium

    length = ask(environment, annotation, None, 0)
    if not 2 < length <= 2 * (VALUE_MOST + 1):
        return ""
    buffer = ctypes.create_string_buffer(length)
    ask(environment, annotation, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), length)
    return buffer.raw[: length - 2].decode("utf-16-le", "replace")


def _plain(name: str) -> str:
    """`enfant.nom_naissance[0]` is `nomnaissance`: the last part, without accents and signs."""
    last = re.sub(r"\[\d+\]", "", name).rpartition(".")[2]
    bare = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", bare.lower())
