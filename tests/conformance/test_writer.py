"""What the hub writes, against the official rules: XSD and header rules of the CDA, the ebXML schema of the metadata.

`validate-cda` of the kit's folder is the judge: 0 errors, 0 warnings, and rules that fired (a document on which none
fires was not judged). The requirements that these tests cover stand in docs/requirements.md.
"""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from hub.cda.archive_writer import write_archive
from hub.cda.rules import GIVEN_MOST, ID_MOST, NAME_MOST, PERSON_MOST, STRUCTURE_MOST, TITLE_MOST
from hub.cda.writer import write_cda
from hub.cda.writing import ANY_ACTIVITY, NORMAL, VISIBILITY, PdfBody, Piece, TextBody, internal_id
from hub.compose.copies import with_copy_inside
from hub.message import Coded, Identity, LocalId, Usager
from tests.conftest import missing
from tests.pieces import (
    ASE,
    AT,
    CODES,
    DUI,
    EDUCATOR,
    GUARDIANS,
    LEA,
    LOT,
    MECS,
    OFFICER,
    RECIPIENTS,
    archival_pdf,
    faces,
    form,
    piece,
)

UNQUALIFIED = Usager(id="u", identity=LEA.identity, ins_status="validee", record_number="9")
BARE = Usager(id="u", identity=Identity(birth_name="X", given_names="Y Z", birth_date="2012"), record_number="9")
FOREIGN = Usager(
    id="u",
    identity=Identity(birth_name="X", first_given="Y", birth_date="2012-05", local_ids=(LocalId("2.25.7", "é<1>"),)),
)
SHAPES: dict[str, Piece] = {
    "n1-pdf": piece(),
    "n1-text": piece(body=TextBody("Bonjour,\nÉté.")),
    "n3": piece(body=form()),
    "record-software": piece(authors=(DUI,)),
    "person-and-software": piece(authors=(EDUCATOR, DUI), signer=EDUCATOR),
    "officer-signs": piece(signer=OFFICER, custodian=ASE),
    "ins-not-qualified": piece(usager=UNQUALIFIED),
    "number-only": piece(usager=BARE),
    "month-of-birth": piece(usager=FOREIGN),
    "new-version": piece(version=2, replaces="2.25.1000.1", action="replace"),
    "deletion": piece(action="delete"),
    "guardians": piece(guardians=GUARDIANS),
    "recipients": piece(recipients=RECIPIENTS),
    "period": piece(act_at=AT - timedelta(days=3), act_until=AT),
    "invisible": piece(confidentiality=(NORMAL, Coded("INVISIBLE_REPRESENTANTS_LEGAUX", VISIBILITY))),
    "project": piece(type_code=Coded("80788-3", "2.16.840.1.113883.6.1")),
    "authorisation": piece(type_code=Coded("AUTORIS-SOINS", "1.2.250.1.213.1.1.4.12")),
    "longest": piece(
        title="T" * TITLE_MOST,
        usager=replace(
            LEA,
            identity=replace(
                LEA.identity,
                birth_name="N" * NAME_MOST,
                first_given="P" * NAME_MOST,
                given_names="P" * GIVEN_MOST,
                used_name="U" * NAME_MOST,
                used_given="V" * NAME_MOST,
                local_ids=(LocalId("2.25.7", "1" * ID_MOST),),
            ),
        ),
        authors=(
            replace(
                EDUCATOR,
                family="F" * PERSON_MOST,
                given="G" * PERSON_MOST,
                national_id=internal_id("990000029", "1" * 40),
                structure=replace(MECS, name="S" * STRUCTURE_MOST),
            ),
        ),
    ),
    "extension-in-ids": piece(unique_id="2.25.1001^a-1", set_id="2.25.1000^a"),
}


def _shapes() -> dict[str, Piece]:
    real = {"n1-real-pdf": piece(body=PdfBody(archival_pdf())), "n3-with-copy": piece(body=form())}
    return SHAPES | {name: with_copy_inside(each, CODES, faces()) for name, each in real.items()}


@pytest.fixture(scope="module")
def verdicts(testkit: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """What the official rules say of each shape; one process for all."""
    judge = testkit.parent / "bin" / "validate-cda"
    if not judge.is_file() or importlib.util.find_spec("saxonche") is None:
        missing(f"{judge} or the package saxonche is not there: the official rules cannot be run")
    folder = tmp_path_factory.mktemp("cda")
    for name, each in _shapes().items():
        (folder / f"{name}.xml").write_bytes(write_cda(each, CODES))
    command = [sys.executable, str(judge), "--json", "--rules", "all", "--kit", str(testkit)]
    done = subprocess.run([*command, *map(str, sorted(folder.glob("*.xml")))], capture_output=True, text=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(_shapes()), done.stderr
    return {Path(each["file"]).stem: each for each in told}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", [*SHAPES, "n1-real-pdf", "n3-with-copy"])
def test_a_written_cda_passes_the_official_rules(verdicts: dict[str, dict[str, object]], name: str) -> None:
    verdict = verdicts[name]
    assert (verdict["status"], verdict["errors"], verdict["warnings"]) == ("valid", [], [])
    fired = verdict["fired"]
    assert isinstance(fired, dict)
    assert fired["header"] > 90


@pytest.mark.parametrize("name", SHAPES)
def test_written_metadata_are_valid_under_the_ebxml_schema(testkit: Path, name: str) -> None:
    schema = etree.XMLSchema(etree.parse(str(testkit / "ebxml-xsd/lcm.xsd")))
    schema.assertValid(_metadata(write_archive((SHAPES[name],), LOT, CODES).raw))


def test_metadata_of_several_documents_are_valid_too(testkit: Path) -> None:
    schema = etree.XMLSchema(etree.parse(str(testkit / "ebxml-xsd/lcm.xsd")))
    several = (piece(), piece(unique_id="2.25.5", body=TextBody("Été")), piece(unique_id="2.25.6", body=form()))
    schema.assertValid(_metadata(write_archive(several, LOT, CODES).raw))


def test_every_object_that_metadata_point_to_is_there() -> None:
    """The official samples get this wrong, all 110 of them (cda-xdm.md §2.2)."""
    root = _metadata(write_archive((piece(), piece(unique_id="2.25.5")), LOT, CODES).raw)
    for node in root.iter():
        parent = node.getparent()
        for name in ("classifiedObject", "registryObject"):
            assert parent is None or node.get(name) in (None, parent.get("id"))
    ids = [node.get("id") for node in root.iter() if node.get("id")]
    assert len(ids) == len(set(ids))
    for association in root.iter("{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}Association"):
        assert {association.get("sourceObject"), association.get("targetObject")} <= set(ids)


def test_codes_of_the_defaults_are_in_the_official_lists() -> None:
    assert CODES.knows("facilities", MECS.facility.code, MECS.facility.system)
    assert CODES.knows("practice_settings", MECS.setting.code, MECS.setting.system)
    assert CODES.knows("content_types", ANY_ACTIVITY.code, ANY_ACTIVITY.system)
    assert CODES.knows("formats", form().format_code.code, form().format_code.system)
    assert CODES.knows("confidentiality", NORMAL.code, NORMAL.system)


def _metadata(raw: bytes) -> etree._Element:
    return etree.fromstring(zipfile.ZipFile(io.BytesIO(raw)).read("IHE_XDM/SUBSET01/METADATA.XML"))
