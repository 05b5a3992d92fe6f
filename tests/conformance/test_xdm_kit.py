"""Every archive of the official kit, against what an independent reader found in it (`xdm/expected.json`)."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hub import ins
from hub.cda import Codes, looks_like_archive, looks_like_cda, read_archive, read_cda
from hub.message import Archive, Coded, Document, DocumentForm, Identity, Limits
from tests.conftest import PROJECT_ROOT

KIT = Path(os.environ.get("HUB_TESTKIT", PROJECT_ROOT / "../shared/testkit")).resolve()
NAMES = sorted(path.name for path in KIT.glob("xdm/*.zip")) or ["kit absent"]
CODES_DIR = PROJECT_ROOT / "config/codes"
FOREIGN = {"BadXHTML.zip", "ToC_Ambulatory.zip"}
ACTIONS = {"C": "replace", "D": "delete", "none": "none"}


@pytest.fixture(scope="module")
def expected(testkit: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((testkit / "xdm/expected.json").read_text("utf-8"))
    return loaded


@cache
def shipped_codes() -> Codes:
    return Codes.from_tables({path.name: path.read_text("utf-8") for path in CODES_DIR.glob("*.csv")})


@cache
def read(name: str) -> Archive:
    raw = (KIT / "xdm" / name).read_bytes()
    assert looks_like_archive(raw, "other.zip", "application/octet-stream")
    return read_archive(raw, name=name, attachment=1, index=0, limits=Limits(), codes=shipped_codes())


def utc(value: str) -> str:
    """The ISO form of a metadata time: UTC when it has a time of day."""
    if len(value) == 8:
        return f"{value[:4]}-{value[4:6]}-{value[6:]}"
    return datetime.strptime(value, "%Y%m%d%H%M%S").strftime("%Y-%m-%dT%H:%M:%SZ")


def coded(found: Coded | None) -> dict[str, str | None] | None:
    return {"code": found.code, "codeSystem": found.system, "display": found.label} if found else None


def graves(archive: Archive) -> set[str]:
    every = [*archive.defects, *(defect for document in archive.documents for defect in document.defects)]
    return {defect.code for defect in every if defect.grave}


def ids_of(patient: Identity) -> set[str]:
    """As `root^extension`."""
    number = {f"{patient.oid}^{patient.ins}"} if patient.ins else set()
    return number | {f"{each.oid}^{each.value}" for each in patient.local_ids}


def name_part(cda: dict[str, Any], part: str, qualifier: str | None) -> str | None:
    return next((n["text"] for n in cda["patientNames"] if (n["part"], n["qualifier"]) == (part, qualifier)), None)


@pytest.mark.parametrize("name", NAMES)
def test_an_official_archive_is_read_as_an_independent_reader_reads_it(name: str, expected: dict[str, Any]) -> None:
    archive, facts = read(name), expected[name]
    assert archive.sha256 == facts["sha256"]
    assert len(archive.documents) == len(facts["documents"]) > 0
    for document, stated in zip(archive.documents, facts["documents"], strict=True):
        compare_metadata(document, stated)
        compare_file(document, stated)
        compare_cda(document, stated["cda"])


def compare_metadata(document: Document, stated: dict[str, Any]) -> None:
    assert document.unique_id == stated["uniqueId"]
    assert document.action == ACTIONS[stated["action"]]
    assert document.created_at == utc(stated["creationTime"])
    assert document.act_at == (utc(stated["serviceStartTime"]) if "serviceStartTime" in stated else document.act_at)
    assert document.media_type == stated["mimeType"]
    assert document.language == stated["languageCode"]
    assert coded(document.type_code) == stated.get("typeCode")
    assert coded(document.format_code) == stated.get("formatCode")
    assert coded(document.facility_code) == stated.get("healthcareFacilityTypeCode")
    assert coded(document.practice_code) == stated.get("practiceSettingCode")
    if "classCode" in stated:
        assert coded(document.class_code) == stated["classCode"]
    confidentiality = [coded(each) for each in document.confidentiality]
    assert confidentiality[: len(stated["confidentialityCode"])] == stated["confidentialityCode"]
    value, oid = stated["patientId"].split("^")[0], stated["patientId"].split("&")[1]
    assert document.patient is not None
    assert f"{oid}^{value}" in ids_of(document.patient)


def compare_file(document: Document, stated: dict[str, Any]) -> None:
    assert document.name == stated["path"].rpartition("/")[2]
    assert document.size == len(document.raw) == stated["file"]["size"]
    assert hashlib.sha1(document.raw).hexdigest() == stated["file"]["sha1"]
    assert document.hash_ok is (stated["hash"] == stated["file"]["sha1"])
    assert document.size_ok is (stated["size"] == stated["file"]["size"])
    assert document.sha256 == hashlib.sha256(document.raw).hexdigest()


def compare_cda(document: Document, cda: dict[str, Any]) -> None:
    assert document.form is DocumentForm.CDA
    assert document.level == cda["level"]
    assert document.title == cda["title"]
    assert (document.set_id, document.version) == (cda["setId"], cda["versionNumber"])
    assert list(document.replaces) == cda["replaces"]
    assert ("self-presenting" in {d.code for d in document.defects}) is (cda["form"] == "self-presenting")
    patient = document.patient
    assert patient is not None
    assert patient.ins == cda["ins"]
    assert ids_of(patient) == set(cda["patientIds"])
    assert patient.birth_name == (name_part(cda, "family", "BR") or name_part(cda, "family", None))
    assert patient.given_names == name_part(cda, "given", None)
    assert patient.first_given == (name_part(cda, "given", "BR") or name_part(cda, "given", None))
    assert patient.used_name in (name_part(cda, "family", "CL"), patient.birth_name)
    assert (patient.sex, patient.birth_date) == (cda["gender"], utc(cda["birthTime"][:8]))
    bodies = [cda["body"]] if "body" in cda else cda.get("pdf_copies", [])
    assert bool(document.body) is bool(bodies)
    for body in bodies:
        assert document.body_type == body["mediaType"]
        assert (len(document.body), hashlib.sha256(document.body).hexdigest()) == (body["size"], body["sha256"])


@pytest.mark.parametrize("name", NAMES)
def test_only_the_foreign_archives_disagree_with_themselves(name: str, expected: dict[str, Any]) -> None:
    disagreements = set()
    for stated in expected[name]["documents"]:
        cda = stated["cda"]
        disagreements |= {"id-differs"} if stated["uniqueId"] != cda["id"] else set()
        disagreements |= {"type-differs"} if stated["typeCode"]["code"] != cda["code"] else set()
        value, oid = stated["patientId"].split("^")[0], stated["patientId"].split("&")[1]
        disagreements |= {"patient-differs"} if f"{oid}^{value}" not in cda["patientIds"] else set()
        time = cda["effectiveTime_utc"] or cda["effectiveTime"]
        disagreements |= {"date-differs"} if stated["creationTime"] != time else set()
    assert graves(read(name)) == disagreements
    assert bool(disagreements) is (name in FOREIGN)


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_key_of_an_official_sample_is_a_warning(name: str, expected: dict[str, Any]) -> None:
    (stated,) = expected[name]["documents"]
    number = stated["cda"]["ins"]
    codes = {defect.code for defect in read(name).documents[0].defects}
    assert ("ins-key" in codes) is (number is not None and not ins.key_is_right(number))


def test_every_loose_example_is_read_as_a_cda(testkit: Path) -> None:
    paths = sorted((testkit / "cda/examples").glob("*.xml"))
    assert len(paths) >= 33
    for path in paths:
        raw = path.read_bytes()
        document = read_cda(raw, name=path.name, attachment=1, limits=Limits(), codes=shipped_codes())
        assert looks_like_cda(raw), path.name
        assert document.form is DocumentForm.CDA, path.name
        assert document.patient is not None, path.name
        assert document.patient.ins, path.name
        assert document.type_code, path.name
        assert document.created_at, path.name
        assert document.authors, path.name
        assert document.custodian_id, path.name
        assert not [defect for defect in document.defects if defect.grave], path.name


def test_the_shipped_code_tables_are_those_of_the_kit(testkit: Path, tmp_path: Path) -> None:
    script = runpy.run_path(str(PROJECT_ROOT / "scripts/make_codes.py"))
    script["main"](testkit, tmp_path)
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_bytes() for path in CODES_DIR.iterdir()}
