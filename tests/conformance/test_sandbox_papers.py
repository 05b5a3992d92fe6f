"""The documents and archives of the sandbox against the official schemas (their header rules: `validate-cda`)."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from hub.message import Usager
from hub.sandbox import people
from hub.sandbox.archives import archive
from hub.sandbox.papers import DISCHARGE, LABORATORY_REPORT, SOCIAL, Paper

NOW = datetime(2026, 11, 25, 9, 30, tzinfo=ZoneInfo("Europe/Paris"))


def _paper(structure: people.Structure, usager: Usager, version: int = 1) -> Paper:
    types = {people.HOSPITAL.name: DISCHARGE, people.LABORATORY.name: LABORATORY_REPORT}
    return Paper(
        name=f"essai-{usager.id}",
        structure=structure,
        patient=usager.identity,
        type_code=types.get(structure.name, SOCIAL),
        title="Été",
        lines=("Texte.",),
        created_at=NOW,
        version=version,
        action="replace" if version > 1 else "none",
    )


PAPERS = (
    _paper(people.HOSPITAL, people.LINA),
    _paper(people.LABORATORY, people.ZOE, version=2),
    _paper(people.ASE, people.ADAM),
    _paper(people.TILLEULS, people.ELOISE),
)


@pytest.fixture(scope="module")
def opened() -> list[zipfile.ZipFile]:
    return [zipfile.ZipFile(io.BytesIO(archive([paper]))) for paper in PAPERS]


def test_metadata_are_valid_under_the_ebxml_schema(testkit: Path, opened: list[zipfile.ZipFile]) -> None:
    schema = etree.XMLSchema(etree.parse(str(testkit / "ebxml-xsd/lcm.xsd")))
    for file in opened:
        schema.assertValid(etree.fromstring(file.read("IHE_XDM/SUBSET01/METADATA.XML")))


def test_documents_are_valid_under_the_cda_schema(testkit: Path, opened: list[zipfile.ZipFile]) -> None:
    schema = etree.XMLSchema(etree.parse(str(testkit / "cda/xsd/CDA_extended.xsd")))
    for file in opened:
        schema.assertValid(etree.fromstring(file.read("IHE_XDM/SUBSET01/DOC0001.XML")))
