"""The two CSV files of the address book: text in, contacts or roles and problems out; touches nothing.

As for usagers (`csv_lines`): UTF-8 or Windows-1252, `;`, `,` or tabulations, one line of headers in any order, capitals
and accents without meaning; days as 31/05/2026 or 2026-05-31, both ends included. `*`: needed.

Contacts (`hub contacts import`)            Roles (`hub usagers role import`)
    adresse *       the key of a later import    numero_dossier   of an usager, or
    type *          APP, ORG, PER or CAB         territoire       of all usagers of a territory: exactly one of both
    nom                                          role *           referent_ase, or its French name
    organisation                                 adresse *        of a contact
    service         or role: `ASE territoire N`  du *             first day
    departement     38, 2A, 974                  au               last day
    note
    du, au          may be written to

An empty cell empties what it is about, a column that is absent leaves it. Other columns are ignored and counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from hub.errors import Damaged
from hub.message import MailboxType, Role, comparable
from hub.records.addresses import normal_form
from hub.records.contacts import MAILBOX_TYPES, ContactsRead, Described
from hub.records.csv_lines import Problem, delimiter_of, lines_of, plain, text_of
from hub.records.held_roles import RoleSaid, RolesRead
from hub.records.usagers_cells import territory

T = TypeVar("T")

_FRENCH = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DEPARTEMENT = re.compile(r"[0-9]{2,3}|2[AB]")
TEXT_MOST = 200

_CONTACT_HEADERS = {
    "adresse": "adresse",
    "adresse_mssante": "adresse",
    "courriel": "adresse",
    "address": "adresse",
    "type": "type",
    "type_de_boite": "type",
    "nom": "nom",
    "name": "nom",
    "organisation": "organisation",
    "structure": "organisation",
    "service": "service",
    "role": "service",
    "fonction": "service",
    "departement": "departement",
    "note": "note",
    "du": "du",
    "depuis": "du",
    "au": "au",
    "jusqu_au": "au",
}
_FIELDS = {  # header: field of `Described`
    "type": "type",
    "nom": "name",
    "organisation": "organisation",
    "service": "service",
    "departement": "departement",
    "note": "note",
    "du": "since",
    "au": "until",
}
_ROLE_HEADERS = {
    "numero_dossier": "numero_dossier",
    "n_dossier": "numero_dossier",
    "numero_de_dossier": "numero_dossier",
    "dossier": "numero_dossier",
    "record_number": "numero_dossier",
    "territoire": "territoire",
    "secteur": "territoire",
    "role": "role",
    "adresse": "adresse",
    "adresse_mssante": "adresse",
    "address": "adresse",
    "du": "du",
    "depuis": "du",
    "since": "du",
    "au": "au",
    "jusqu_au": "au",
    "until": "au",
}


def parse_contacts(raw: bytes) -> ContactsRead:
    """The contacts of a file's bytes, every problem told."""
    sheet = _sheet(raw, _CONTACT_HEADERS, ("adresse", "type"))
    read: list[tuple[str, Described]] = []
    lines: list[int] = []
    for row in sheet.rows:
        contact = row.needed("adresse", normal_form), _described(row)
        since, until = contact[1].since, contact[1].until
        row.check_days(since, until)
        first = sheet.met.setdefault((contact[0] or "",), row.line)
        if first != row.line and contact[0]:
            row.problem("adresse", f"cette adresse figure déjà à la ligne {first}")
        read.append((contact[0] or "", contact[1]))
        lines.append(row.line)
    return ContactsRead(
        contacts=tuple(read),
        lines=tuple(lines),
        columns=frozenset(_FIELDS[name] for name in sheet.columns if name in _FIELDS),
        ignored=sheet.ignored,
        problems=tuple(sheet.problems),
    )


def parse_roles(raw: bytes, roles: tuple[Role, ...]) -> RolesRead:
    """The roles of a file's bytes, every problem told. `roles` are those of the settings."""
    sheet = _sheet(raw, _ROLE_HEADERS, ("role", "adresse", "du"))
    known = {comparable(word) or "": one.name for one in roles for word in (one.name, one.label)}
    said: list[RoleSaid] = []
    lines: list[int] = []
    for row in sheet.rows:
        number, place = row.one("numero_dossier", str), row.one("territoire", territory)
        if (number is None) == (place is None) and not row.has_problem("territoire"):
            row.problem("numero_dossier", "donnez un numéro de dossier ou un territoire, et pas les deux")
        one = RoleSaid(
            role=row.needed("role", lambda cell: _role(cell, known)) or "",
            address=row.needed("adresse", normal_form) or "",
            since=row.needed("du", day) or date.min,
            until=row.one("au", day),
            record_number=number,
            territory=place,
        )
        row.check_days(one.since, one.until)
        said.append(one)
        lines.append(row.line)
    return RolesRead(roles=tuple(said), lines=tuple(lines), ignored=sheet.ignored, problems=tuple(sheet.problems))


def day(cell: str) -> date:
    """`31/05/2026` or `2026-05-31`. Raises ValueError, with a sentence for people."""
    text = cell.strip()
    french = _FRENCH.fullmatch(text)
    if french is None and _ISO.fullmatch(text) is None:
        raise ValueError("date attendue sous la forme JJ/MM/AAAA ou AAAA-MM-JJ")
    try:
        return date(int(french[3]), int(french[2]), int(french[1])) if french else date.fromisoformat(text)
    except ValueError:
        raise ValueError("cette date n'existe pas") from None


def mailbox_type(cell: str) -> MailboxType:
    """Raises ValueError, with a sentence for people."""
    found = next((one for one in MAILBOX_TYPES if one == (comparable(cell) or "").removeprefix("BAL ")), None)
    if found is None:
        raise ValueError(f"type attendu : {', '.join(MAILBOX_TYPES)}")
    return found


def departement(cell: str) -> str:
    """Raises ValueError, with a sentence for people."""
    code = cell.strip().upper()
    code = code.zfill(2) if code.isdigit() else code
    if _DEPARTEMENT.fullmatch(code) is None:
        raise ValueError("numéro de département attendu, comme 38, 2A ou 974")
    return code


def short_text(cell: str) -> str:
    """Raises ValueError, with a sentence for people."""
    text = " ".join(cell.split())
    if len(text) > TEXT_MOST or not text.isprintable():
        raise ValueError(f"{TEXT_MOST} caractères imprimables au plus")
    return text


# --- the lines of a file


class _Row:
    """The cells of one line by header, and where its problems go."""

    def __init__(self, line: int, cells: dict[str, str], problems: list[Problem]) -> None:
        self.line = line
        self._cells = cells
        self._problems = problems

    def one(self, column: str, reader: Callable[[str], T]) -> T | None:
        """The cell as `reader` gives it; None when it is empty, absent or bad."""
        cell = " ".join(self._cells.get(column, "").split())
        if not cell:
            return None
        try:
            return reader(cell)
        except ValueError as error:
            self.problem(column, str(error))
            return None

    def needed(self, column: str, reader: Callable[[str], T]) -> T | None:
        value = self.one(column, reader)
        if value is None and not self.has_problem(column):
            self.problem(column, "cette cellule est obligatoire")
        return value

    def problem(self, column: str, text: str) -> None:
        self._problems.append(Problem(self.line, column, text))

    def has_problem(self, column: str) -> bool:
        return any((one.line, one.column) == (self.line, column) for one in self._problems)

    def check_days(self, since: date | None, until: date | None) -> None:
        if since is not None and until is not None and until < since:
            self.problem("au", "le dernier jour est avant le premier")


@dataclass(slots=True)
class _Sheet:
    columns: tuple[str, ...]
    rows: list[_Row]
    ignored: int
    problems: list[Problem]
    met: dict[tuple[str, ...], int]


def _sheet(raw: bytes, headers: dict[str, str], needed: tuple[str, ...]) -> _Sheet:
    sheet = _Sheet((), [], 0, [], {})
    try:
        text = text_of(raw)
    except Damaged as error:
        sheet.problems.append(Problem(1, "-", error.public))
        return sheet
    lines = lines_of(text, delimiter_of(text))
    first = next(lines, (1, Problem(1, "-", "le fichier est vide")))[1]
    if isinstance(first, Problem):
        sheet.problems.append(first)
        return sheet
    names = [headers.get(plain(cell)) for cell in first]
    sheet.columns = tuple(name for name in names if name)
    sheet.ignored = names.count(None)
    for name in dict.fromkeys((*needed, *sheet.columns)):
        if names.count(name) > 1:
            sheet.problems.append(Problem(1, name, "cette colonne figure plusieurs fois"))
        if name not in names:
            sheet.problems.append(Problem(1, name, "cette colonne est obligatoire et manque"))
    if not sheet.problems:
        sheet.rows = list(_rows(lines, names, sheet.problems))
    return sheet


def _rows(
    lines: Iterator[tuple[int, list[str] | Problem]], names: list[str | None], problems: list[Problem]
) -> Iterator[_Row]:
    for line, cells in lines:
        if isinstance(cells, Problem):
            problems.append(cells)
        elif any(cell.strip() for cell in cells[len(names) :]):
            text = f"{len(cells)} cellules pour {len(names)} en-têtes : une cellule contient le séparateur ?"
            problems.append(Problem(line, "-", text))
        else:
            yield _Row(line, {name: cell for name, cell in zip(names, cells, strict=False) if name}, problems)


def _described(row: _Row) -> Described:
    return Described(
        type=row.needed("type", mailbox_type) or "ORG",
        name=row.one("nom", short_text) or "",
        organisation=row.one("organisation", short_text) or "",
        service=row.one("service", short_text) or "",
        departement=row.one("departement", departement) or "",
        note=row.one("note", short_text) or "",
        since=row.one("du", day),
        until=row.one("au", day),
    )


def _role(cell: str, known: dict[str, str]) -> str:
    found = known.get(comparable(cell) or "") or known.get((comparable(cell) or "").replace("-", "_").replace(" ", "_"))
    if found is None:
        raise ValueError(f"rôle inconnu ; ceux du site : {', '.join(dict.fromkeys(known.values()))}")
    return found
