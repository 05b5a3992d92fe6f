"""Small extractions of the directory and answers of its API, all invented, for the tests."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.settings import DirectorySettings, Fetching
from hub.trust.directory import Account
from hub.trust.directory.build import build
from hub.trust.directory.columns import NAMES

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
NAME = "Extraction_Correspondance_MSSante_202611250600.txt"
HEADER = "|".join(NAMES)
FETCHING = Fetching()


def person(mail: str = "lea.exemple@medecin.mssante.fr", **changes: str) -> str:
    """A line of a fictional doctor; `changes` by the first word or two of the column, lower case."""
    said = {
        "Type de BAL": "PER",
        "Adresse BAL": mail,
        "Type Identifiant PP": "8",
        "Identifiant PP": "99900000001",
        "Identification nationale PP": "899900000001",
        "Civilité d'exercice": "DR",
        "Nom d'exercice": "EXEMPLE",
        "Prénom d'exercice": "Léa",
        "Catégorie profession": "C",
        "Libellé de catégorie profession": "Civil",
        "Code Profession": "10",
        "Libellé Profession": "Médecin",
        "Libellé savoir-faire": "Pédiatrie (SM)",
        "L6LIGNEACHEMINEMENT": "29200 BREST",
        "Code postal": "29200",
        "Département": "Finistère",
    }
    return line(said, changes)


def organisation(mail: str = "secretariat@mecs-exemple.mssante.fr", **changes: str) -> str:
    said = {
        "Type de BAL": "ORG",
        "Adresse BAL": mail,
        "Type identifiant structure": "FINESS",
        "Identification Structure": "990000001",
        "Service de rattachement": "SECRÉTARIAT",
        "Raison Sociale structure BAL": "MECS L'ARBRE BLEU",
        "L6LIGNEACHEMINEMENT": "75011 PARIS",
        "Code postal": "75011",
    }
    return line(said, changes)


COLUMNS = {
    "kind": "Type de BAL",
    "family": "Nom d'exercice",
    "given": "Prénom d'exercice",
    "profession": "Libellé Profession",
    "category": "Catégorie profession",
    "category_label": "Libellé de catégorie profession",
    "skill": "Libellé savoir-faire",
    "house": "Raison Sociale structure BAL",
    "service": "Service de rattachement",
    "rpps": "Identifiant PP",
    "town": "L6LIGNEACHEMINEMENT",
    "postal_code": "Code postal",
}


def line(said: Mapping[str, str], changes: Mapping[str, str]) -> str:
    known = {**said, **{COLUMNS[name]: value for name, value in changes.items()}}
    return "|".join(known.get(name, "") for name in NAMES)


def text_of(*lines: str | bytes, header: str = HEADER) -> bytes:
    raws = [one if isinstance(one, bytes) else one.encode("utf-8") for one in (header, *lines)]
    return b"".join(raw + b"\n" for raw in raws)


def zip_of(text: bytes, name: str = NAME, **more: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
        for other, raw in more.items():
            archive.writestr(other, raw)
    return packed.getvalue()


def imported(folder: Path, raw: bytes, name: str = NAME, **settings: Any) -> Account:
    """Builds the database of `folder` from the bytes of an extraction, over the one that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    source, made, draft = folder / name, folder / "directory.db", folder / "draft"
    source.write_bytes(raw)
    accepts = settings.pop("accepts_smaller", False)
    former = made if made.exists() else None
    account = build(
        source, draft, former=former, at=NOW, settings=DirectorySettings(**settings), accepts_smaller=accepts
    )
    draft.replace(made)
    return account


# --- the API

_SITE = "https://interop.esante.gouv.fr/ig/fhir/annuaire/StructureDefinition/"


def mailbox(address: str, kind: str | None = "PER", *, red: bool = False, **texts: str) -> dict[str, Any]:
    """A `telecom` with the metadata of a mailbox; without `kind` only marked as one of MSSanté."""
    mark = {"system": "https://mos.esante.gouv.fr/NOS/TRE_R256-TypeMessagerie/FHIR/X", "code": "MSSANTE"}
    extensions: list[dict[str, Any]] = [
        {
            "url": "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-contact-point-email-type",
            "valueCoding": mark,
        }
    ]
    if kind is not None:
        code = {"coding": [{"system": "https://mos.esante.gouv.fr/NOS/TRE_R257-TypeBAL", "code": kind}]}
        inner = [{"url": "type", "valueCodeableConcept": code}, {"url": "listeRouge", "valueBoolean": red}]
        inner += [{"url": name, "valueString": value} for name, value in texts.items()]
        extensions.append({"url": f"{_SITE}as-ext-mailbox-mss-metadata", "extension": inner})
    return {"system": "email", "value": address, "extension": extensions}


def practitioner(number: str, family: str, given: str, *telecom: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Practitioner",
        "id": f"003-{number}",
        "meta": {"lastUpdated": "2026-11-20T10:00:00.000+01:00"},
        "active": True,
        "identifier": [
            {"system": "urn:oid:1.2.250.1.71.4.2.1", "value": f"8{number}"},
            {"system": "https://rpps.esante.gouv.fr", "value": number},
        ],
        "name": [{"family": family, "given": [given], "prefix": ["MME"], "suffix": ["DR"]}],
        "telecom": list(telecom),
        "qualification": [
            {
                "code": {
                    "coding": [{"system": "https://mos/TRE-G15-ProfessionSante", "code": "10", "display": "Médecin"}]
                }
            }
        ],
    }


def role(number: str, person_id: str, house_id: str, *telecom: dict[str, Any], active: bool = True) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole",
        "id": f"005-{number}",
        "active": active,
        "practitioner": {"reference": f"Practitioner/{person_id}"},
        "organization": {"reference": f"Organization/{house_id}"},
        "code": [{"coding": [{"system": "https://mos/TRE-R23-ModeExercice", "code": "S"}]}],
        "telecom": list(telecom),
    }


def house(number: str, name: str, *telecom: dict[str, Any], postal_code: str = "29200") -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "id": f"001-{number}",
        "active": True,
        "identifier": [{"system": "https://finess.esante.gouv.fr", "value": number}],
        "name": name,
        "telecom": list(telecom),
        "address": [{"line": ["1 RUE DU PORT", None], "city": "BREST", "postalCode": postal_code}],
    }


def bundle(*resources: Any, following: str = "") -> bytes:
    told: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": len(resources),
        "entry": [{"resource": resource, "search": {"mode": "match"}} for resource in resources],
    }
    if following:
        told["link"] = [{"relation": "self", "url": "x"}, {"relation": "next", "url": following}]
    return json.dumps(told, ensure_ascii=False).encode("utf-8")


OUTCOME = json.dumps(
    {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing", "diagnostics": "x"}]}
).encode("ascii")
