"""Write the code tables of `config/codes/` from the official value sets of the test kit.

Codes and labels are facts; the layout is ours: one CSV a list with the columns code, system (OID), label, source, date.
`type_class.csv` adds the class that each type belongs to (ASS_X04). Run it again when the value sets of the kit
are renewed; the results are kept under version control. Usage: `python scripts/make_codes.py [KIT] [OUT]`.
"""

from __future__ import annotations

import csv
import os
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SVS = "{urn:ihe:iti:svs:2008}"
COLUMNS = ("code", "system", "label", "source", "date")
CLASS_COLUMNS = ("class_code", "class_system", "class_label")


@dataclass(frozen=True)
class Wanted:
    """One table: its name here, the official list, and what a CSV of the kit does not say of itself (OID, date)."""

    name: str
    file: str
    oid: str = ""
    date: str = ""


# OID and date of the XML lists stand in the files; those of the CSV lists in the kit's README (sources of the CSV).
LISTS = (
    Wanted("types", "JDV_J07_XdsTypeCode_CISIS.xml"),
    Wanted("classes", "JDV_J06_XdsClassCode_CISIS.csv", "1.2.250.1.213.1.1.5.462", "2023-09-22"),
    Wanted("facilities", "JDV_J02_XdsHealthcareFacilityTypeCode_CISIS.xml"),
    Wanted("practice_settings", "JDV_J04_XdsPracticeSettingCode_CISIS.xml"),
    Wanted("confidentiality", "JDV_J08_XdsConfidentialityCode_CISIS.xml"),
    Wanted("specialties", "JDV_J01_XdsAuthorSpecialty_CISIS.xml"),
    Wanted("formats", "JDV_J10_XdsFormatCode_CISIS.csv", "1.2.250.1.213.1.1.5.465", "2024-04-26"),
    Wanted("content_types", "JDV_J03_XdsContentTypeCode_CISIS.csv", "1.2.250.1.213.1.1.5.464", "2024-12-13"),
    Wanted("genders", "JDV_J143_AdministrativeGender_CISIS.xml"),
    Wanted("functions", "JDV_J47_FunctionCode_CISIS.xml"),
    Wanted("participations", "JDV_J144_ParticipationType_CISIS.xml"),
    Wanted("type_class", "ASS_X04-CorrespondanceType-Classe-CISIS.csv", "ASS_X04", "2024-09-27"),
)


@dataclass
class Table:
    source: str
    date: str
    rows: list[dict[str, str]] = field(default_factory=list)


def read_list(path: Path, wanted: Wanted) -> Table:
    return _read_svs(path) if path.suffix == ".xml" else _read_csv(path, wanted)


def _read_svs(path: Path) -> Table:
    value_set = next(ET.parse(path).iter(f"{SVS}ValueSet"))
    name = (value_set.get("displayName") or path.stem).removesuffix(".tabs")
    table = Table(f"{name} {value_set.get('id')}", (value_set.get("revisionDate") or "")[:10])
    for concept in value_set.iter(f"{SVS}Concept"):
        table.rows.append(
            {
                "code": concept.get("code") or "",
                "system": concept.get("codeSystem") or "",
                "label": concept.get("displayName") or "",
            }
        )
    return table


def _read_csv(path: Path, wanted: Wanted) -> Table:
    table = Table(" ".join(dict.fromkeys((path.stem.partition("-Corr")[0], wanted.oid))), wanted.date)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            line = {"code": row["code"], "system": row["codeSystem"], "label": row["display"]}
            if "target_code" in row:
                line["class_code"] = row["target_code"]
                line["class_system"] = row["target_codeSystem"]
                line["class_label"] = row["target_display"]
            table.rows.append(line)
    return table


def write(path: Path, table: Table) -> None:
    """Rows sorted by system and code, each once, so that a renewed list shows as a small difference."""
    columns = COLUMNS + (CLASS_COLUMNS if "class_code" in table.rows[0] else ())
    rows = {(row["system"], row["code"]): row for row in table.rows}
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for key in sorted(rows):
            writer.writerow({**rows[key], "source": table.source, "date": table.date})


def readme(tables: dict[str, Table]) -> str:
    lines = [
        "# Code tables",
        "",
        "Made by `scripts/make_codes.py` from the value sets of the test kit (`HUB_TESTKIT`, folder `cda/valuesets`):",
        "do not edit by hand. Columns: code, system (OID), label, source (official list, OID), date of that list;",
        "`type_class.csv` adds the class that a type of document belongs to. An unknown code in a received document is",
        "a warning, never a refusal: lists are older than life.",
        "",
        "| file | official list | date | codes |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{name}.csv` | {t.source} | {t.date} | {len(t.rows)} |" for name, t in sorted(tables.items())]
    return "\n".join([*lines, ""])


def main(kit: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tables: dict[str, Table] = {}
    for wanted in LISTS:
        table = read_list(kit / "cda/valuesets" / wanted.file, wanted)
        write(out / f"{wanted.name}.csv", table)
        tables[wanted.name] = table
        print(f"{wanted.name}.csv: {len(table.rows)} codes, {table.source}, {table.date}")
    (out / "README.md").write_text(readme(tables), encoding="utf-8")


if __name__ == "__main__":
    given = sys.argv[1:]
    default_kit = os.environ.get("HUB_TESTKIT", str(ROOT / "../shared/testkit"))
    main(Path(given[0] if given else default_kit), Path(given[1]) if len(given) > 1 else ROOT / "config/codes")
