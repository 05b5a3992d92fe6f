"""The CSV of usagers (`hub usagers import FILE.csv`): text in, usagers and problems out; touches nothing.

UTF-8 (with or without BOM) or Windows-1252; separated by `;`, `,` or tabulations; one line of headers, in any order,
capitals and accents without meaning:

    numero_dossier *      record_number    unique; the key of a later import
    nom_naissance *       birth_name
    prenom_naissance *    first_given      the first one (else the first word of `prenoms`)
    prenoms               given_names      all birth given names, in order
    nom_utilise           used_name
    prenom_utilise        used_given
    date_naissance *      birth_date       31/05/2012 or 2012-05-31 (2012-05 and 2012 when no more is known)
    sexe *                sex              M, F or I (undetermined)
    lieu_naissance        birth_place      INSEE code, 5 characters (99… abroad)
    ins                   ins              15 characters, key included
    oid                   ins_oid          needed with an INS (mssante.md §13)
    statut_ins            ins_status       provisoire, recuperee, validee or qualifiee; provisoire when absent
    finess                facility         9 characters
    territoire            territory        of the ASE, as the address book words it (docs/addressbook.md)
    douteux               doubtful         oui or non

`*`: needed. Other columns are ignored and counted. A column absent from the file says nothing about it (the records
keep what they know); an empty cell empties it. Problems name a line and a column, never what stands in the cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from hub.errors import Damaged
from hub.message import Usager
from hub.records.csv_lines import Problem, delimiter_of, lines_of, plain, text_of
from hub.records.usagers_cells import BadCell, Cells

_LABELS = {  # column of the usager table: the French header shown to people
    "record_number": "numero_dossier",
    "birth_name": "nom_naissance",
    "first_given": "prenom_naissance",
    "given_names": "prenoms",
    "used_name": "nom_utilise",
    "used_given": "prenom_utilise",
    "birth_date": "date_naissance",
    "sex": "sexe",
    "birth_place": "lieu_naissance",
    "ins": "ins",
    "ins_oid": "oid",
    "ins_status": "statut_ins",
    "facility": "finess",
    "territory": "territoire",
    "doubtful": "douteux",
}
_ALSO_CALLED = {
    "n_dossier": "record_number",
    "numero_de_dossier": "record_number",
    "dossier": "record_number",
    "nom_de_naissance": "birth_name",
    "prenom_de_naissance": "first_given",
    "premier_prenom": "first_given",
    "premier_prenom_naissance": "first_given",
    "first_given_name": "first_given",
    "prenoms_naissance": "given_names",
    "prenoms_de_naissance": "given_names",
    "liste_prenoms": "given_names",
    "nom_usage": "used_name",
    "nom_d_usage": "used_name",
    "prenom_usage": "used_given",
    "date_de_naissance": "birth_date",
    "lieu_de_naissance": "birth_place",
    "code_insee": "birth_place",
    "code_insee_naissance": "birth_place",
    "matricule_ins": "ins",
    "oid_ins": "ins_oid",
    "identite_douteuse": "doubtful",
    "secteur": "territory",
    "territoire_ase": "territory",
    "secteur_ase": "territory",
}
_HEADERS = _ALSO_CALLED | {label: name for name, label in _LABELS.items()} | {name: name for name in _LABELS}
_NEEDED = ("record_number", "birth_name", "first_given", "birth_date", "sex")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsagersRead:
    """A file as it was understood. `usagers` (ids still empty) and `lines` go together; with `problems`, nothing is
    to be stored. `columns` names the columns of the usager table that the file speaks of; `ignored` counts others."""

    usagers: tuple[Usager, ...] = ()
    lines: tuple[int, ...] = ()
    columns: frozenset[str] = frozenset()
    ignored: int = 0
    problems: tuple[Problem, ...] = ()


def parse_usagers(raw: bytes, today: date | None = None) -> UsagersRead:
    """The usagers of a file's bytes. `today` bounds the birth dates (default: the day of the call, UTC)."""
    try:
        text = text_of(raw)
    except Damaged as error:
        return UsagersRead(problems=(Problem(1, "-", error.public),))
    return read_usagers(text, today or datetime.now(UTC).date())


def read_usagers(text: str, today: date) -> UsagersRead:
    """Every usager of the file and every problem; all lines are read, so that one run shows all there is to mend."""
    delimiter = delimiter_of(text)
    lines = lines_of(text, delimiter)
    first = next(lines, None)
    if first is None:
        return UsagersRead(problems=(Problem(1, "-", "le fichier est vide"),))
    _, headers = first
    if isinstance(headers, Problem):
        return UsagersRead(problems=(headers,))
    names = [_HEADERS.get(plain(header)) for header in headers]
    if problems := tuple(_header_problems(names)):
        return UsagersRead(problems=problems)
    return _Reading(names, today).read(lines)


def _header_problems(names: list[str | None]) -> Iterator[Problem]:
    if not any(names):
        yield Problem(1, "-", "aucun en-tête connu : la première ligne doit nommer les colonnes")
        return
    for name, label in _LABELS.items():
        if names.count(name) > 1:
            yield Problem(1, label, "cette colonne figure plusieurs fois")
        if name in _NEEDED and name not in names and not (name == "first_given" and "given_names" in names):
            yield Problem(1, label, "cette colonne est obligatoire et manque")


class _Reading:
    """One file being read: the lines understood so far, and what must be unique among them."""

    def __init__(self, names: list[str | None], today: date) -> None:
        self._names = names
        self._today = today
        self._usagers: list[Usager] = []
        self._lines: list[int] = []
        self._problems: list[Problem] = []
        self._met: dict[tuple[str, str], int] = {}  # (column, value): the line where it was first met

    def read(self, lines: Iterator[tuple[int, list[str] | Problem]]) -> UsagersRead:
        for line, cells in lines:
            if isinstance(cells, Problem):
                self._problems.append(cells)
            else:
                self._read_line(line, cells)
        columns = {name for name in self._names if name}
        if "given_names" in columns:
            columns.add("first_given")
        return UsagersRead(
            usagers=tuple(self._usagers),
            lines=tuple(self._lines),
            columns=frozenset(columns),
            ignored=self._names.count(None),
            problems=tuple(self._problems),
        )

    def _read_line(self, line: int, cells: list[str]) -> None:
        while len(cells) > len(self._names) and not cells[-1].strip():
            cells = cells[:-1]
        if len(cells) > len(self._names):
            text = f"{len(cells)} cellules pour {len(self._names)} en-têtes : une cellule contient le séparateur ?"
            self._problems.append(Problem(line, "-", text))
            return
        pairs = zip(self._names, cells, strict=False)
        usager, bad = Cells({name: cell for name, cell in pairs if name}, self._today).read()
        bad = (*bad, *self._twice(line, usager))
        self._problems.extend(Problem(line, _LABELS[cell.column], cell.text) for cell in bad)
        self._usagers.append(usager)
        self._lines.append(line)

    def _twice(self, line: int, usager: Usager) -> Iterator[BadCell]:
        for column, value, what in (
            ("record_number", usager.record_number, "ce numéro de dossier"),
            ("ins", usager.identity.ins, "cet INS"),
        ):
            if value is None:
                continue
            first = self._met.setdefault((column, value), line)
            if first != line:
                yield BadCell(column, f"{what} figure déjà à la ligne {first}")
