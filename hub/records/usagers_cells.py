"""The cells of one line of the CSV of usagers: each trait read and checked (see `usagers_csv` for the forms).

Out: the usager as far as it was understood, and the bad cells with a French sentence that never quotes the cell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from hub import ins as ins_facts
from hub.message import Identity, Usager, comparable

STATUSES = ("provisoire", "recuperee", "validee", "qualifiee")  # RNIV
_SEXES = {
    "M": ("M", "MASCULIN", "HOMME", "H", "GARCON"),
    "F": ("F", "FEMININ", "FEMME", "FILLE"),
    "U": ("U", "I", "INDETERMINE", "INCONNU", "UNKNOWN"),
}
_SEX_OF = {word: sex for sex, words in _SEXES.items() for word in words}
_YES = {"OUI", "O", "VRAI", "TRUE", "YES", "Y", "1", "X"}
_NO = {"NON", "N", "FAUX", "FALSE", "NO", "0"}

_FRENCH_DATE = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_ISO_DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
_PLACE = re.compile(r"(?:[0-9]{2}|2[AB])[0-9]{3}")
_FINESS = re.compile(r"[0-9][0-9AB][0-9]{7}")
_SPREADSHEET_NUMBER = re.compile(r"[0-9]([.,][0-9]+)?E\+?[0-9]+", re.IGNORECASE)

_NAME_MOST = 100
_NUMBER_MOST = 64
TERRITORY_MOST = 64


@dataclass(frozen=True, slots=True)
class BadCell:
    column: str
    text: str


class Cells:
    """The cells of a line by column of the usager table; a column that the file lacks is like an empty cell."""

    def __init__(self, cells: dict[str, str], today: date) -> None:
        self._cells = cells
        self._today = today
        self._bad: list[BadCell] = []

    def read(self) -> tuple[Usager, tuple[BadCell, ...]]:
        ins = self._one("ins", _ins)
        oid = self._one("ins_oid", _oid)
        status = self._one("ins_status", _status) or "provisoire"
        given_names = self._one("given_names", _name)
        first_given = self._one("first_given", _name) or (given_names.split()[0] if given_names else None)
        identity = Identity(
            ins=ins,
            oid=oid,
            birth_name=self._needed("birth_name", self._one("birth_name", _name)),
            first_given=self._needed("first_given", first_given),
            given_names=given_names,
            used_name=self._one("used_name", _name),
            used_given=self._one("used_given", _name),
            birth_date=self._needed("birth_date", self._one("birth_date", self._date)),
            sex=self._needed("sex", self._one("sex", _sex)),
            birth_place=self._one("birth_place", _place),
        )
        usager = Usager(
            id="",
            identity=identity,
            ins_status=status,
            doubtful=self._one("doubtful", _yes_or_no) == "oui",
            record_number=self._needed("record_number", self._one("record_number", _number)),
            facility=self._one("facility", _finess),
            territory=self._one("territory", territory),
        )
        self._check_ins(identity, status)
        return usager, tuple(self._bad)

    def _one(self, column: str, reader: Callable[[str], str]) -> str | None:
        """The cell as `reader` gives it; None when it is empty or bad (ValueError: the sentence to show)."""
        cell = " ".join(self._cells.get(column, "").split())
        if not cell:
            return None
        try:
            return reader(cell)
        except ValueError as error:
            self._bad.append(BadCell(column, str(error)))
            return None

    def _needed(self, column: str, value: str | None) -> str | None:
        if value is None and not any(bad.column == column for bad in self._bad):
            self._bad.append(BadCell(column, "cette cellule est obligatoire"))
        return value

    def _check_ins(self, identity: Identity, status: str) -> None:
        bad = {cell.column for cell in self._bad}
        if bad & {"ins", "ins_oid"}:
            return
        if identity.ins and not identity.oid:
            self._bad.append(BadCell("ins_oid", "un INS est donné sans son OID"))
        if identity.oid and not identity.ins:
            self._bad.append(BadCell("ins", "un OID est donné sans INS"))
        if status in {"recuperee", "qualifiee"} and not identity.ins:
            self._bad.append(BadCell("ins_status", "ce statut suppose un INS : donnez l'INS, ou corrigez le statut"))
        # Test matricules often have a wrong key (mssante.md §13); a real one never.
        if identity.ins and identity.oid in ins_facts.PRODUCTION_OIDS and not ins_facts.key_is_right(identity.ins):
            self._bad.append(BadCell("ins", "la clé (deux derniers chiffres) est fausse : vérifiez la saisie de l'INS"))

    def _date(self, cell: str) -> str:
        year, month, day = _date_parts(cell)
        if month == 0 or day == 0:  # given and wrong: not the same as unknown
            raise ValueError("cette date n'existe pas")
        try:
            whole = date(year, month or 1, day or 1)
        except ValueError:
            raise ValueError("cette date n'existe pas") from None
        if whole > self._today:
            raise ValueError("cette date est dans l'avenir")
        if year < 1880:
            raise ValueError("cette date est trop ancienne")
        return whole.isoformat()[: 10 if day else 7 if month else 4]


def _date_parts(cell: str) -> tuple[int, int | None, int | None]:
    if french := _FRENCH_DATE.fullmatch(cell):
        return int(french[3]), int(french[2]), int(french[1])
    if iso := _ISO_DATE.fullmatch(cell):
        month, day = (int(part) if part is not None else None for part in iso.group(2, 3))
        return int(iso[1]), month, day
    raise ValueError("date attendue sous la forme JJ/MM/AAAA ou AAAA-MM-JJ")


def _name(cell: str) -> str:
    if len(cell) > _NAME_MOST:
        raise ValueError(f"plus de {_NAME_MOST} caractères")
    if not any(c.isalpha() for c in cell) or any(c.isdigit() or not c.isprintable() for c in cell):
        raise ValueError("un nom est fait de lettres")
    if comparable(cell) is None:
        raise ValueError("un nom est fait de lettres")
    return cell


def _number(cell: str) -> str:
    if len(cell) > _NUMBER_MOST or not cell.isprintable():
        raise ValueError(f"{_NUMBER_MOST} caractères imprimables au plus")
    if _SPREADSHEET_NUMBER.fullmatch(cell) and not cell.isdigit():
        raise ValueError("nombre abrégé par le tableur : mettez la colonne au format texte et exportez de nouveau")
    return cell


def _ins(cell: str) -> str:
    ins = cell.replace(" ", "").upper()
    if _SPREADSHEET_NUMBER.fullmatch(ins):
        raise ValueError("nombre abrégé par le tableur : mettez la colonne au format texte et exportez de nouveau")
    if len(ins) == 13:
        raise ValueError("15 caractères attendus : il manque la clé (deux derniers chiffres)")
    if not ins_facts.is_well_formed(ins):
        raise ValueError("15 caractères attendus, clé comprise, dont le premier va de 1 à 8")
    return ins


def _oid(cell: str) -> str:
    if not ins_facts.is_ins_oid(cell):
        raise ValueError("OID d'INS attendu : 1.2.250.1.213.1.4.8 (NIR), .9 (NIA), .10 (test) ou .11 (démonstration)")
    return cell


def _status(cell: str) -> str:
    status = (comparable(cell) or "").lower()
    if status not in STATUSES:
        raise ValueError(f"statut attendu : {', '.join(STATUSES)}")
    return status


def _sex(cell: str) -> str:
    sex = _SEX_OF.get(comparable(cell) or "")
    if sex is None:
        raise ValueError("M, F ou I (indéterminé) attendu")
    return sex


def _place(cell: str) -> str:
    place = cell.replace(" ", "").upper()
    if place.isdigit() and len(place) == 4:
        raise ValueError("code INSEE sur 5 caractères attendu : le tableur a-t-il ôté le zéro du début ?")
    if _PLACE.fullmatch(place) is None:
        raise ValueError("code INSEE sur 5 caractères attendu (pas le nom de la commune ni son code postal)")
    return place


def _finess(cell: str) -> str:
    finess = cell.replace(" ", "").upper()
    if _FINESS.fullmatch(finess) is None:
        raise ValueError("numéro FINESS sur 9 caractères attendu")
    return finess


def territory(cell: str) -> str:
    if len(cell) > TERRITORY_MOST or not cell.isprintable() or comparable(cell) is None:
        raise ValueError(f"{TERRITORY_MOST} caractères imprimables au plus")
    return cell


def _yes_or_no(cell: str) -> str:
    word = comparable(cell) or ""
    if word in _YES:
        return "oui"
    if word in _NO:
        return "non"
    raise ValueError("oui ou non attendu")
