"""The field's code tables (types of document, facilities, classes…) as data with source and date.

`Codes` is made from the text of the project's own CSV files (`config/codes/NAME.csv`, written by
`scripts/make_codes.py`); reading the files is done by callers. Tables are older than life: an unknown code of a
received document is a warning, never an error. A malformed table raises Misconfigured with `file:line`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from hub.errors import Misconfigured
from hub.message import Coded

COLUMNS = ("code", "system", "label", "source", "date")
TARGET_COLUMNS = ("class_code", "class_system", "class_label")

Key = tuple[str, str]  # (code, OID of its system)


@dataclass(frozen=True, slots=True)
class Table:
    """One list: its labels by (code, system), the codes alone, where it comes from (OID and version) and its date."""

    labels: Mapping[Key, str]
    bare: frozenset[str]
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Codes:
    """All tables by name (`types`, `classes`, `facilities`…) and the class that each type of document belongs to."""

    tables: Mapping[str, Table] = field(default_factory=dict)
    classes_of_types: Mapping[Key, Coded] = field(default_factory=dict)
    labels: Mapping[Key, str] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Codes:
        """No table at all: every code is known, no code has a label."""
        return cls()

    @classmethod
    def from_tables(cls, tables: Mapping[str, str]) -> Codes:
        """From file name (`types.csv`) to CSV text. Raises Misconfigured."""
        read: dict[str, Table] = {}
        classes: dict[Key, Coded] = {}
        labels: dict[Key, str] = {}
        for file_name in sorted(tables):
            rows = _rows(file_name, tables[file_name])
            for row in rows:
                if row.get("class_code"):
                    classes[row["code"], row["system"]] = Coded(
                        row["class_code"], row.get("class_system", ""), row.get("class_label", "")
                    )
            table = _table(rows)
            read[PurePath(file_name).stem] = table
            for key, label in table.labels.items():
                if label:
                    labels.setdefault(key, label)
        return cls(MappingProxyType(read), MappingProxyType(classes), MappingProxyType(labels))

    def knows(self, set_name: str, code: str, system: str = "") -> bool:
        """Whether the table holds the code; without a system, under any. A table that is not there has nothing to
        object: True."""
        table = self.tables.get(set_name)
        if table is None:
            return True
        return (code, system) in table.labels if system else code in table.bare

    def label(self, system: str, code: str) -> str | None:
        """The French label of a code, from whichever table holds it."""
        return self.labels.get((code, system))

    def class_of(self, code: str, system: str) -> Coded | None:
        """The class of a type of document (ASS_X04)."""
        return self.classes_of_types.get((code, system))

    def source(self, set_name: str) -> str:
        """Where a table comes from: name and OID of the official list. Empty when unknown."""
        return self.tables[set_name].source if set_name in self.tables else ""

    def date(self, set_name: str) -> str:
        """The ISO date of the official list. Empty when unknown."""
        return self.tables[set_name].date if set_name in self.tables else ""


def _rows(file_name: str, text: str) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    absent = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if absent:
        raise Misconfigured(f"{file_name}:1 missing columns: {', '.join(absent)}")
    rows = []
    for row in reader:
        if None in row or None in row.values() or not row["code"]:
            raise Misconfigured(
                f"{file_name}:{reader.line_num} a row needs a code and as many cells as there are columns"
            )
        rows.append(row)
    return rows


def _table(rows: list[dict[str, str]]) -> Table:
    labels = {(row["code"], row["system"]): row["label"] for row in rows}
    first = rows[0] if rows else {}
    bare = frozenset(code for code, _ in labels)
    return Table(MappingProxyType(labels), bare, first.get("source", ""), first.get("date", ""))
