"""The kinds as shipped, what a wrong file says, and that the schemas for editors are fresh."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from hub.errors import Misconfigured
from hub.routing.catalogue import load_catalogue
from tests.unit.routing_samples import CONFIG, rulebook

SHIPPED = (CONFIG / "document_types.yaml").read_text(encoding="utf-8")
CATALOGUE = rulebook().catalogue

KIND = """
  - id: {id}
    label: "Note"
    titles: ["Note"]
    content: social
    sensitivity: S2
    dmp: never
    urgency: P1
    guards: [G01]
    conf: D
"""


def file_of(*kinds: str, head: str = 'version: "1"') -> str:
    return head + "\ndocument_types:" + "".join(kinds) + '\nguards: {G01: "Destinataire habilité"}\n'


GOOD = file_of(KIND.format(id="note"), KIND.format(id="indetermine"))


def refused(text: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load_catalogue(text, "types.yaml")
    return caught.value.private


# --- as shipped ---------------------------------------------------------------------------------------------------


def test_all_kinds_of_the_field_are_there() -> None:
    assert len(CATALOGUE.kinds) == 43
    assert {"fiche_navette", "protocole_actions", "opp", "cr_medical", "indetermine"} <= set(CATALOGUE.kinds)


def test_what_no_rule_recognised_is_treated_as_the_most_sensitive() -> None:
    unknown = CATALOGUE.kinds["indetermine"]
    assert (unknown.sensitivity, CATALOGUE.urgency(None), CATALOGUE.label(None)) == ("S4", "P1", "Document non reconnu")


def test_health_is_a_medical_secret_and_social_never_goes_to_the_dmp() -> None:
    for kind in CATALOGUE.kinds.values():
        if kind.content == "health":
            assert kind.sensitivity == "S4", kind.id
    for block in SHIPPED.split("\n  - id: ")[1:]:
        if "content: judicial" in block or "content: social" in block:
            assert "dmp: never" in block or block.startswith("projet_personnalise"), block[:40]


def test_a_code_that_names_a_kind_is_not_a_general_one() -> None:
    for general in ("28653-4", "51851-4"):
        assert general not in CATALOGUE.by_code
        assert len(CATALOGUE.by_carrier[general]) > 10
    for code, kinds in CATALOGUE.by_code.items():
        assert len(kinds) == 1, code


def test_codes_are_those_of_the_official_list(testkit: Path) -> None:
    """JDV_J07 of the kit, and those that it got since (cda-xdm.md §3.8)."""
    listed = (testkit / "cda/valuesets/JDV_J07_XdsTypeCode_CISIS.xml").read_text(encoding="utf-8")
    for code in (*CATALOGUE.by_code, *CATALOGUE.by_carrier):
        assert f'code="{code}"' in listed, code


# --- what is refused ----------------------------------------------------------------------------------------------


def test_a_small_catalogue_of_a_site_is_taken() -> None:
    assert set(load_catalogue(GOOD, "types.yaml").kinds) == {"note", "indetermine"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("urgency: P1", "urgency: P4", 1), "types.yaml:9 document_types.0.urgency"),
        (GOOD.replace("    dmp: never", "    dpm: never", 1), "document_types.0.dpm Extra inputs are not permitted"),
        (GOOD.replace("[G01]", "[G02]", 1), "types.yaml:10 document_types.0.guards G02 is not in guards"),
        (GOOD.replace("[G01]", "[X1]", 1), "document_types.0.guards.0"),
        (
            file_of(KIND.format(id="note"), KIND.format(id="note"), KIND.format(id="indetermine")),
            "types.yaml:13 document_types.1.id note is given twice",
        ),
        (file_of(KIND.format(id="note")), "document_types has no kind indetermine"),
        (GOOD.replace('["Note"]', '["—…"]', 1), "types.yaml:5 document_types.0.titles '—…' has no word"),
        (file_of(head=""), "version Field required"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_its_line(text: str, message: str) -> None:
    assert message in refused(text)


# --- schemas ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    script: dict[str, Any] = runpy.run_path(str(CONFIG.parent / "scripts/make_schemas.py"))
    texts: dict[str, str] = script["schemas"]()
    return texts


def test_the_published_schemas_are_fresh(made: dict[str, str]) -> None:
    for name, text in made.items():
        assert (CONFIG / "schemas" / name).read_text(encoding="utf-8") == text, "run scripts/make_schemas.py"
    assert {file.name for file in (CONFIG / "schemas").iterdir()} == set(made)


def test_the_schemas_know_what_the_files_allow(made: dict[str, str]) -> None:
    routes = json.loads(made["routes.schema.json"])
    assert "class" in routes["$defs"]["When"]["properties"]
    assert "copy" in routes["$defs"]["Then"]["properties"]
    assert routes["$defs"]["When"]["additionalProperties"] is False
    settings = json.loads(made["hub.schema.json"])
    assert settings["$defs"]["Watching"]["properties"]["poll"]["anyOf"][0]["pattern"] == "^[0-9]+[smhd]$"
    assert settings["$defs"]["Watching"]["properties"]["piece"]["anyOf"][0]["pattern"] == "^[0-9]+ ?(KB|MB|GB)$"


@pytest.mark.parametrize("name", ["hub", "routes", "document_types"])
def test_each_file_names_its_schema_for_editors(name: str) -> None:
    first = (CONFIG / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema=schemas/{name}.schema.json"
