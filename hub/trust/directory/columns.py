"""The 31 columns of the extraction `Extraction_Correspondance_MSSante` (mssante.md §10.3): a line flows in, an `Entry`
or the words under which it is found flow out. Columns are read by position; their names are checked once, in the
header, with or without the ending ` structure BAL` that some of them have. What is wrong raises `Broken`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from hub.directory import KINDS, Activity, Entry, department_of, folded, unligatured

SEPARATOR = "|"
NAMES = (
    "Type de BAL|Adresse BAL|Type Identifiant PP|Identifiant PP|Identification nationale PP|Type identifiant structure|"
    "Identification Structure|Service de rattachement|Civilité d'exercice|Nom d'exercice|Prénom d'exercice|"
    "Catégorie profession|Libellé de catégorie profession|Code Profession|Libellé Profession|Code savoir-faire|"
    "Libellé savoir-faire|Dématérialisation|Raison Sociale structure BAL|Enseigne commerciale structure BAL|"
    "L2COMPLEMENTLOCALISATION|L3COMPLEMENTDISTRIBUTION|L4NUMEROVOIE|L4COMPLEMENTNUMEROVOIE|NL4TYPEVOIE|L4LIBELLEVOIE|"
    "L5LIEUDITMENTION|L6LIGNEACHEMINEMENT|Code postal|Département|Pays"
).split(SEPARATOR)
_ENDING = " structure bal"
_ADDRESS_MOST = 320  # RFC 5321 §4.5.3.1: 64 + 1 + 255
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")
_PARTS = re.compile(r"[\s-]+")
_COMMON_ENDING = ".mssante.fr"  # of nearly every address: it finds nothing


class Broken(Exception):
    """`code`: `columns`, `type`, `address`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def is_header(line: str) -> bool:
    return [_bare(name) for name in line.split(SEPARATOR)] == [_bare(name) for name in NAMES]


def _bare(name: str) -> str:
    return folded(name.strip()).removesuffix(_ENDING)


def fields_of(line: str) -> list[str]:
    """The values of a line, blanks around them taken away. Raises Broken."""
    fields = [field.strip() for field in line.split(SEPARATOR)]
    if len(fields) != len(NAMES):
        raise Broken("columns")
    if fields[0] not in KINDS:
        raise Broken("type")
    local, at, domain = fields[1].partition("@")
    if not (local and at and domain) or "@" in domain or " " in fields[1] or len(fields[1]) > _ADDRESS_MOST:
        raise Broken("address")
    return fields


def indexed(fields: list[str]) -> tuple[str, str]:
    """(the name of whose it is, all else by which it is found). Accents and case are left to the index."""
    is_person = bool(fields[9] or fields[10])
    organisation = f"{_with_joined(fields[18])} {_with_joined(fields[19])} {_with_joined(fields[7])}"
    names = f"{_with_joined(fields[9])} {_with_joined(fields[10])}" if is_person else organisation
    postal_code = fields[28]
    rest = (
        fields[1].lower().removesuffix(_COMMON_ENDING),
        *(fields[3], fields[4], fields[6], fields[14], fields[16]),
        *(fields[25], fields[26], fields[27], postal_code, fields[29], department_of(postal_code)),
        kind_word(fields[0]),
        department_word(department_of(postal_code)),
        organisation if is_person else "",
    )
    return names, unligatured(" ".join(rest))


def kind_word(kind: str) -> str:
    """The word by which all of a kind are found: nobody types it."""
    return f"xx{kind.lower()}xx"


def department_word(department: str) -> str:
    return f"xx{department.lower()}xx"


def _with_joined(name: str) -> str:
    """A name, and as it is written without blanks, hyphens and apostrophes: `D'APREVEL-MARIN`, `DAPREVELMARIN`,
    `DAPREVEL`."""
    if not name or (name.isascii() and name.isalnum()):
        return name
    name = unligatured(name)
    joined = _NOT_ALPHANUMERIC.sub("", name)
    if len(joined) == len(name):
        return name
    elided = [_NOT_ALPHANUMERIC.sub("", part) for part in _PARTS.split(name) if "'" in part]
    return " ".join((name, joined, *elided))


def entry_of(lines: Iterable[str], seen_at: datetime, gone_at: datetime | None) -> Entry:
    """The mailbox of one or more lines with the same address: the first says whose it is, each adds an activity."""
    all_fields = [[field.strip() for field in line.split(SEPARATOR)] for line in lines]
    first = all_fields[0]
    local, _, domain = first[1].partition("@")
    return Entry(
        address=f"{local}@{domain.lower()}",
        kind=first[0],
        source="extraction",
        seen_at=seen_at,
        gone_at=gone_at,
        title=first[8],
        family=first[9],
        given=first[10],
        person_id=first[3] or first[4],
        activities=tuple(dict.fromkeys(map(_activity, all_fields))),
    )


def _activity(fields: list[str]) -> Activity:
    category = folded(fields[12]) if fields[14] and fields[11] != "C" else ""
    return Activity(
        profession=f"{fields[14]} ({fields[12].lower()})" if category else fields[14],
        skill=fields[16],
        service=fields[7],
        organisation=fields[18],
        sign=fields[19],
        structure_id=" ".join(filter(None, (fields[5], fields[6]))),
        street=" ".join(filter(None, (*fields[20:27],))),
        postal_code=fields[28],
        town=fields[27].removeprefix(fields[28]).strip(),
        department=department_of(fields[28]),
    )
