"""What the API of the directory answers, read: only mailboxes of MSSanté, whose they are, nothing that is not
published."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hub.directory import Entry
from hub.trust.directory.bundle import Unreadable, page_of
from hub.trust.directory.fhir import entries_of, missing_organisations
from tests.directories import OUTCOME, bundle, house, mailbox, practitioner, role

AT = datetime(2026, 11, 26, tzinfo=UTC)
PERSONAL, AT_WORK = "lea.exemple@medecin.mssante.fr", "lea.exemple@CH-brest.mssante.fr"
LEA = practitioner("99900000001", "EXEMPLE", "Léa", mailbox(PERSONAL))
CLINIC = house(
    "990000001",
    "CENTRE HOSPITALIER",
    mailbox("pmi@ch-brest.mssante.fr", "ORG", service="PMI", description="Accueil"),
    mailbox("hub@ch-brest.mssante.fr", "APP", description="Logiciel"),
    {"system": "email", "value": "contact@ch-brest.example"},
    {"system": "phone", "value": "0200000000"},
)


def read(*resources: Any) -> dict[str, Entry]:
    return {entry.address: entry for entry in entries_of(page_of(bundle(*resources)).resources, AT)}


def test_a_person_has_a_mailbox_of_her_own_and_one_at_work() -> None:
    found = read(LEA, role("1", "003-99900000001", "001-990000001", mailbox(AT_WORK, "PER")), CLINIC)
    own, work = found[PERSONAL], found["lea.exemple@ch-brest.mssante.fr"]
    for entry in (own, work):
        assert (entry.kind, entry.title, entry.given, entry.family) == ("PER", "DR", "Léa", "EXEMPLE")
        assert (entry.person_id, entry.source, entry.seen_at) == ("99900000001", "api", AT)
        (only,) = entry.activities
        assert (only.profession, only.organisation, only.structure_id) == (
            "Médecin",
            "CENTRE HOSPITALIER",
            "FINESS 990000001",
        )
        assert (only.street, only.town, only.department) == ("1 RUE DU PORT", "BREST", "29")


def test_an_organisation_has_mailboxes_of_services_and_of_applications_and_ordinary_ones_are_none() -> None:
    found = read(CLINIC)
    assert set(found) == {"pmi@ch-brest.mssante.fr", "hub@ch-brest.mssante.fr"}
    assert found["pmi@ch-brest.mssante.fr"].name == "CENTRE HOSPITALIER - PMI"
    application = found["hub@ch-brest.mssante.fr"]
    assert (application.kind, application.description) == ("APP", "Logiciel")


def test_a_mailbox_without_metadata_is_one_by_its_mark() -> None:
    found = read(practitioner("99900000002", "AUTRE", "Paul", mailbox("p@medecin.mssante.fr", None)))
    assert found["p@medecin.mssante.fr"].kind == "PER"


def test_what_is_not_to_be_published_or_not_in_force_is_left_out() -> None:
    red = practitioner("99900000003", "ROUGE", "Zoé", mailbox("z@medecin.mssante.fr", red=True))
    closed = {**LEA, "active": False}
    ended = role("1", "003-99900000001", "001-990000001", mailbox(AT_WORK), active=False)
    assert read(red, closed, ended) == {}


def test_a_role_whose_organisation_did_not_come_names_it() -> None:
    resources = page_of(bundle(LEA, role("1", "003-99900000001", "001-990000001"), role("2", "x", "001-2"))).resources
    assert missing_organisations(resources) == ("001-990000001", "001-2")
    assert entries_of(resources, AT)[0].activities[0].profession == "Médecin"
    assert missing_organisations((*resources, *page_of(bundle(CLINIC)).resources)) == ("001-2",)


def test_a_broken_resource_harms_no_other() -> None:
    page = page_of(bundle({"resourceType": "Practitioner", "telecom": "?"}, None, LEA))
    assert (page.broken, len(page.resources)) == (2, 1)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (OUTCOME, "outcome"),
        (b"<html>", "broken"),
        (b"[]", "broken"),
        (b'{"resourceType":"Patient"}', "broken"),
        (b"[" * 99_999, "broken"),
    ],
)
def test_what_is_no_answer_has_a_code(raw: bytes, code: str) -> None:
    with pytest.raises(Unreadable) as raised:
        page_of(raw)
    assert raised.value.code == code


def test_no_control_character_comes_through() -> None:
    evil = house("990000002", "CH \x1b[2J", mailbox("a@b.mssante.fr", "ORG", service="S\r\nT"))
    entry = read(evil)["a@b.mssante.fr"]
    assert entry.name == "CH  [2J - S  T"
    assert read(house("3", "X", mailbox("a\x1b@b.fr", "ORG"))) == {}


def test_pages_follow_each_other() -> None:
    assert page_of(bundle(LEA, following="https://x/next")).following == "https://x/next"
    assert page_of(json.dumps({"resourceType": "Bundle"}).encode()).following == ""
