"""`hub web` and `hub certs`: the inventory as people and programs see it, whatever a certificate says of itself."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from hub.alerts import Facts
from hub.alerts.inventory_words import MOODS
from hub.cli.commands import app
from hub.settings import load_settings
from hub.spool.lookout import Crowd, Look
from hub.trust.inventory import Inventory
from hub.trust.keys import KeyRing
from hub.web.app import make_app
from hub.web.metrics import exposition
from hub.web.moments import Moment
from hub.wiring import House
from tests.signers import AUTHOR, Authority, new_key

DAY = timedelta(days=1)
AC, KEY = Authority("ec"), new_key("ec")
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A client certificate that has ended with a next one, a signing one that ends in 12 days, one with a hostile
    name."""
    now = datetime.now(UTC)
    for name, begins, ends, address in (
        ("old", -300, -1, ""),
        ("new", -9, 700, ""),
        ("signature", -300, 12, AUTHOR),
    ):
        holder = AC.signer(address, not_before=now + begins * DAY, not_after=now + ends * DAY, key=KEY)
        (tmp_path / f"{name}.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    (tmp_path / "evil.pem").write_bytes(hostile())
    (tmp_path / "ca.pem").write_bytes(AC.root_pem)
    KeyRing.create(tmp_path / "data.keys")
    (tmp_path / "hub.yaml").write_text(
        f"""\
site: {{product_reference: ESSAI1, name: "<b>MECS</b>", finess: "690000001"}}
key_file: data.keys
operators:
  - name: op
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: ca.pem
    certificate: {{file: old.pem}}
    next_certificate: {{file: new.pem}}
mailboxes:
  - {{name: secretariat, address: {AUTHOR}, operator: op, signing: {{certificate: {{file: signature.pem}}}}}}
  - {{name: autre, address: a@b.example, operator: op, certificate: {{file: evil.pem}}}}
"""
    )
    return tmp_path


def hostile() -> bytes:
    now = datetime.now(UTC)
    units = ((NameOID.COMMON_NAME, EVIL), (NameOID.ORGANIZATIONAL_UNIT_NAME, "1690000002"))
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in units])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(now - DAY)
        .not_valid_after(now + 300 * DAY)
    )
    certificate = builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.PEM)
    return certificate + KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


async def asked(site: Path, path: str) -> httpx.Response:
    house = SimpleNamespace(settings=load_settings(site / "hub.yaml"), spool=None, records=None)
    transport = httpx.ASGITransport(make_app(cast(House, house)))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.get(path)


async def test_the_page_needs_no_database_and_says_everything_in_words(site: Path) -> None:
    answer = await asked(site, "/certificates")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = answer.text
    assert '<html lang="fr">' in text
    assert re.findall(r"aria-hidden=\"true\">. </span>([^<]+)</span></td>", text) == [
        MOODS[mood] for mood in ("idle", "good", "soon", "soon", "good", "good")
    ]
    assert "dans 11 jour(s)" in text
    assert "remplacé" in text
    assert text.count('<th scope="row">') == 6


async def test_the_page_runs_no_script_loads_nothing_from_elsewhere_and_escapes_what_a_certificate_says(
    site: Path,
) -> None:
    answer = await asked(site, "/certificates")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "unsafe" not in policy
    assert "<script" not in answer.text
    assert "style=" not in answer.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text
    assert "&lt;b&gt;MECS&lt;/b&gt;" in answer.text
    (sheet,) = re.findall(r'<link rel="stylesheet" href="([^"]+)">', answer.text)
    style = await asked(site, sheet)
    assert (style.status_code, style.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "url(" not in style.text
    assert not re.search(r"https?:", answer.text)


def test_the_command_lists_the_same_for_people_and_programs(site: Path) -> None:
    result = CliRunner().invoke(app, ["certs", "--site", str(site)])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[1].split("  ")[0] == "rien à faire"
    assert any("autre structure (attendu : 1690000001)" in line for line in lines)
    assert "SHA-256" not in result.output
    assert "SHA-256 : " in CliRunner().invoke(app, ["certs", "--details", "--site", str(site)]).output
    listed = [
        json.loads(line)
        for line in CliRunner().invoke(app, ["certs", "--json", "--site", str(site)]).output.splitlines()
    ]
    assert [(one["what"], one["holder"], one["place"], one["state"], one["verdict"]) for one in listed] == [
        ("client", "operator op", "current", "replaced", "idle"),
        ("client", "operator op", "next", "in-use", "good"),
        ("client", "mailbox autre", "current", "in-use", "soon"),
        ("signing", "signing secretariat", "current", "in-use", "soon"),
        ("authority", "operator op", "current", "in-use", "good"),
        ("key", "keys", "current", "in-use", "good"),
    ]
    assert listed[3]["days_left"] == 11
    assert listed[2]["is_foreign"] is True
    assert listed[2]["serial"] == "7"
    assert not [value for one in listed for value in one.values() if "PRIVATE" in str(value)]


def test_the_command_fails_when_something_does_not_work(site: Path) -> None:
    (site / "signature.pem").unlink()
    result = CliRunner().invoke(app, ["certs", "--site", str(site)])
    assert result.exit_code == 1
    assert re.search(r"^à corriger +boîte secretariat +certificat de signature +illisible", result.output, re.MULTILINE)


def test_the_metric_counts_the_days_of_each_holder_and_place(site: Path) -> None:
    settings, at = load_settings(site / "hub.yaml"), datetime.now(UTC)
    nothing = Look(
        due=Crowd(), late=Crowd(), long=Crowd(), carried_at=None, journal=0,
        cursors={}, accepted_at={}, unmarked={}, told={}, reckoned={},
    )  # fmt: skip
    known = Facts(look=nothing, decisions=0, inventory=Inventory(settings).items(at))
    text = exposition(settings, Moment(at=at, facts=known, alerts=())).decode()
    (family,) = (one for one in text_string_to_metric_families(text) if one.name == "hub_certificate_days_left")
    days = {tuple(sample.labels.values()): round(sample.value) for sample in family.samples}
    assert {key: days[key] for key in days if key[1] != "authority"} == {
        ("operator op", "current"): -1,
        ("operator op", "next"): 700,
        ("mailbox autre", "current"): 300,
        ("signing secretariat", "current"): 12,
    }
    assert days["operator op", "authority"] > 1_000
