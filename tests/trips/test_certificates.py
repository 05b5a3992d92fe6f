"""Certificates at a real operator: the rehearsal of those in use and of the next ones, mails about alerts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from hub.cli.commands import app
from tests.pki import Authority
from tests.signers import Holder
from tests.trips.house import wait_for
from tests.trips.office import SECRETARIAT, TEAM, Office, running_office

pytestmark = pytest.mark.timeout(300)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with running_office(tmp_path_factory.mktemp("office")) as office:
        yield office


@pytest.fixture
def settings(office: Office) -> Iterator[dict[str, Any]]:
    """The tree of hub.yaml, to be changed and given to `write`; as it was again afterwards."""
    file = office.site.folder / "hub.yaml"
    before = file.read_text()
    yield YAML(typ="safe").load(before)
    file.write_text(before)


def write(office: Office, tree: dict[str, Any]) -> None:
    with (office.site.folder / "hub.yaml").open("w") as file:
        YAML().dump(tree, file)


def run(office: Office, *words: str) -> Result:
    return CliRunner().invoke(app, [*words, "--site", str(office.site.folder)])


def scenes(said: str) -> dict[str, bool]:
    """Title -> whether it went well."""
    found = re.findall(r"^(bon   |MANQUÉ)  ([^(:]+?) \(.*?[0-9.]+ s\) :", said, re.MULTILINE)
    return {title: mark == "bon   " for mark, title in found}


def test_the_certificates_in_use_are_tried_and_the_mail_of_the_trial_is_nobodys_work(office: Office) -> None:
    office.site.start()
    result = run(office, "certs", "rehearse", "secretariat")
    assert result.exit_code == 0, result.output
    assert len(scenes(result.output)) == 5
    assert all(scenes(result.output).values())
    assert "contenu : intact ; autorité : reconnue ; expéditeur : c'est le signataire" in result.output
    assert "Essai réussi." in result.output

    office.site.stop()
    assert not office.inbox(SECRETARIAT)  # taken away again
    with office.site.opened() as house:  # the watcher may have met it before
        for message in asyncio.run(house.spool.messages()):
            thought = asyncio.run(house.spool.thought(message.id))
            assert thought is not None
            assert (thought.plan.rule, thought.plan.steps) == ("own-letter", ())


def next_client(office: Office, name: str, authority: Authority | None = None) -> dict[str, str]:
    leaf = (authority or office.authority).issue(name, SECRETARIAT, common_name=SECRETARIAT)
    return {"file": str(leaf.certificate), "key_file": str(leaf.key)}


def next_signing(office: Office, *addresses: str) -> dict[str, str]:
    now = datetime.now(UTC)
    authority, _ = office.signing[SECRETARIAT]
    holder: Holder = authority.signer(*addresses, not_before=now - DAY, not_after=now + 700 * DAY)
    file = office.site.folder / f"suivant-{'-'.join(addresses)}.pem"
    file.write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    return {"file": str(file)}


def box_of(tree: dict[str, Any]) -> dict[str, Any]:
    box: dict[str, Any] = tree["mailboxes"][0]
    assert box["name"] == "secretariat"
    return box


def test_the_next_ones_are_tried_before_their_day(office: Office, settings: dict[str, Any]) -> None:
    assert run(office, "certs", "rehearse", "secretariat", "--next").exit_code == 1
    box = box_of(settings)
    box["next_certificate"] = next_client(office, "suivant")
    box["signing"]["next"] = next_signing(office, SECRETARIAT)
    write(office, settings)
    result = run(office, "certs", "rehearse", "secretariat", "--next")
    assert result.exit_code == 0, result.output
    assert box["next_certificate"]["file"] in result.output
    assert box["signing"]["next"]["file"] in result.output
    listed = [json.loads(line) for line in run(office, "certs", "--json").output.splitlines()]
    states = [(one["holder"], one["place"], one["state"]) for one in listed if "secretariat" in one["holder"]]
    assert states == [
        ("mailbox secretariat", "current", "in-use"),
        ("mailbox secretariat", "next", "next"),
        ("signing secretariat", "current", "in-use"),
        ("signing secretariat", "next", "next"),
    ]


def test_an_operator_that_does_not_know_the_next_one_is_found_out(
    office: Office, settings: dict[str, Any], tmp_path: Path
) -> None:
    box_of(settings)["next_certificate"] = next_client(office, "inconnu", Authority(tmp_path / "other"))
    write(office, settings)
    result = run(office, "certs", "rehearse", "secretariat", "--next")
    assert result.exit_code == 1
    assert scenes(result.output) == {"Ouverture de la boîte": False}
    assert "Essai manqué" in result.output
    assert "l'opérateur refuse l'identification (mot de passe, certificat client" in result.output


def test_a_next_signature_of_another_address_is_found_out(office: Office, settings: dict[str, Any]) -> None:
    before = len(office.inbox(SECRETARIAT))
    box_of(settings)["signing"]["next"] = next_signing(office, "autre@mecs.mssante.example")
    write(office, settings)
    result = run(office, "certs", "rehearse", "secretariat", "--next")
    assert result.exit_code == 1
    assert scenes(result.output)["Certificat de signature"] is False
    assert "est celui de autre@mecs.mssante.example" in result.output
    assert len(office.inbox(SECRETARIAT)) == before  # nothing was sent


def test_a_mailbox_that_does_not_sign_is_tried_without_a_mail(office: Office, settings: dict[str, Any]) -> None:
    before = len(office.inbox(SECRETARIAT))
    del box_of(settings)["signing"]
    write(office, settings)
    result = run(office, "certs", "rehearse", "secretariat")
    assert result.exit_code == 0, result.output
    assert "Cette boîte ne signe rien" in result.output
    assert len(office.inbox(SECRETARIAT)) == before


def test_an_alert_is_mailed_signed_to_people_and_once(office: Office, settings: dict[str, Any]) -> None:
    """The door's certificate ends soon; another thing goes wrong meanwhile."""
    settings["alerting"] = {
        "mail_to": [TEAM],
        "mail_from": "direction",
        "mail_rest": "1s",
        "every": "1s",
        "certificate_notices": ["4000d"],
    }
    write(office, settings)
    office.site.start()
    letters = office.letters(TEAM, at_least=1)
    assert letters[0].get_content_type() == "multipart/signed"
    assert letters[0]["Subject"].startswith("Hub MSSanté : ")
    body = letters[0].get_body(("plain",))
    assert body is not None
    assert "expire le " in str(body.get_content())
    office.site.stop()
    told, begun = len(office.letters(TEAM)), office.site.log().count(" begins: ")
    assert begun
    office.site.start()
    wait_for(lambda: office.site.log().count(" begins: ") >= 2 * begun, 60, office.site.log)
    office.site.stop()
    assert len(office.letters(TEAM)) == told
