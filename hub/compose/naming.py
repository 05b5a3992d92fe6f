"""How a document mail and its files are called (ECO.2.1.3, ECO.2.1.6; mssante.md §4.2 to §4.4), and how discreetly.

For social and judicial documents the subject shows the number of the record and no name (guard G14): a subject stands
on every screen and in every notification. The receiver finds the usager by the metadata, never by the subject
(ECO.2.1.2), so nothing is lost. The names of the files keep to ECO.2.1.6 unless the site hides them too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum

from hub.cda.archive_writer import ArchiveWritten
from hub.cda.codes import Codes
from hub.cda.writing import SOCIAL_DOCUMENT, Piece
from hub.message import Coded
from hub.routing.catalogue import Catalogue

LABEL_MOST = 40  # characters (ECO.2.1.3, ECO.2.1.6)
MARKER = "XDM/1.0/DDM"
_SEPARATORS = re.compile(r"[_\s]+")
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]')  # what a file name may not hold on Windows
_DISCREET = frozenset({"social", "judicial", "mixed"})


class Discretion(StrEnum):
    """Where a name of the usager may not stand (guard G14)."""

    NONE = "none"
    SUBJECT = "subject"
    SUBJECT_AND_NAMES = "subject_and_names"


def discretion_for(contents: Sequence[str], setting: Discretion) -> Discretion:
    """The site's setting for documents of these contents (`Kind.content`); none needed when all of them are
    administrative or of health. Unknown contents count as social."""
    return Discretion.NONE if contents and set(contents) <= {"admin", "health"} else setting


def type_code_of(kind: str | None, catalogue: Catalogue, codes: Codes) -> Coded:
    """The type code under which a kind is written: `write_as` of the catalogue, else the general one of the sector."""
    found = catalogue.kinds.get(kind or "")
    wanted = found.write_as if found else ""
    types = codes.tables.get("types")
    known = (
        [Coded(code, system, label) for (code, system), label in types.labels.items() if code == wanted]
        if types
        else []
    )
    return known[0] if known else SOCIAL_DOCUMENT


def personal_name(given: str, family: str, entity: str = "", title: str = "") -> str:
    """The shown name of a personal mailbox: `Dr_Marie_MARTIN_Cabinet médical` (§4.4)."""
    parts = (title, given, without_accents(family).upper(), entity)
    return "_".join(_SEPARATORS.sub(" ", part).strip() for part in parts if part.strip())


def subject(archive: ArchiveWritten, codes: Codes, discretion: Discretion, record_number: str | None) -> str:
    """`XDM/1.0/DDM+<label> <NOM> <prenom> <JJ/MM/AAAA>`; with discretion the number of the record instead of the
    name."""
    if len(archive.types) == 1:
        one = archive.types[0]
        label = (codes.label(one.system, one.code) or one.label)[:LABEL_MOST].strip()
    else:
        label = f"{len(archive.types)} documents"
    if discretion is not Discretion.NONE:
        return " ".join([f"{MARKER}+{label}", *([f"dossier {record_number}"] if record_number else [])])
    who = archive.identity
    parts = (
        f"{MARKER}+{label}",
        without_accents(who.birth_name or "").upper(),
        without_accents(archive.shown_given),
        _french_day(who.birth_date),
    )
    return " ".join(part for part in parts if part)


def ordinary_subject(text: str) -> str:
    """Without the marker of a document mail: a mail that carries no archive must not be taken for one."""
    return re.sub(rf"{re.escape(MARKER)}\+?", "", text).strip()


def file_names(pieces: Sequence[Piece], codes: Codes, discretion: Discretion) -> tuple[str, ...]:
    """`<AAAAMMJJ>_<type>_<NOM>_<prenom>[_<number>].pdf` for each piece; no two are the same."""
    given: list[str] = []
    for piece in pieces:
        label = _part(codes.label(piece.type_code.system, piece.type_code.code) or piece.type_code.label)
        number = 1
        while (name := _file_name(piece, _cut(label, number), discretion)) in given:
            number += 1
        given.append(name)
    return tuple(given)


def _file_name(piece: Piece, label: str, discretion: Discretion) -> str:
    who, day = piece.usager.identity, piece.began_at.strftime("%Y%m%d")
    number = _part(piece.usager.record_number or "")
    if discretion is Discretion.SUBJECT_AND_NAMES:
        parts = [day, label, f"dossier {number}" if number else ""]
    else:
        given = who.first_given or (who.given_names or "").split(" ")[0]
        names = [without_accents(who.birth_name or "").upper(), without_accents(given)]
        parts = [day, label, *map(_part, names), number]
    return "_".join(part for part in parts if part) + ".pdf"


def _cut(label: str, number: int) -> str:
    """At most 40 characters, with a number when the same name is taken."""
    end = f" {number}" if number > 1 else ""
    return label[: LABEL_MOST - len(end)].strip(" .") + end


def _part(text: str) -> str:
    """A part of a file name: no separator, no path, no character that a system refuses."""
    spaced = _SEPARATORS.sub(" ", _NOT_IN_NAMES.sub("-", text.replace(" / ", " - ")))
    return spaced.replace(".", " ").strip(" .-")


def without_accents(text: str) -> str:
    """The same letters, case kept; ligatures opened, `’` as `'`, one blank between words."""
    opened = text.replace("œ", "oe").replace("Œ", "OE").replace("æ", "ae").replace("Æ", "AE").replace("’", "'")
    bare = "".join(c for c in unicodedata.normalize("NFKD", opened) if not unicodedata.combining(c))
    return " ".join(bare.split())


def _french_day(day: str | None) -> str:
    if day is None or len(day) != 10:
        return ""
    year, month, dated = day.split("-")
    return f"{dated}/{month}/{year}"
