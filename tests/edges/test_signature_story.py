"""What people are told of signatures by the commands: `hub explain`, `hub check`, and a rule that asks for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.cli.commands import app
from hub.smime import sign
from tests.pki import Authority as TlsAuthority
from tests.signers import AUTHOR, ENTITY, Authority, Holder, head

RSA = Authority("rsa")
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
SIGNER = RSA.signer(not_before=NOW - DAY, not_after=NOW + 300 * DAY)
RULES = """\
rules:
  - name: signature-refusee
    when: {signature: [invalid, unproven]}
    then:
      hold: "La signature de ce message n'est pas bonne."
  - name: sinon
    then:
      hold: "Ce message attend une personne."
"""


def run(*words: str, site: Path | None = None) -> Result:
    return CliRunner().invoke(app, [*words, *(["--site", str(site)] if site else [])])


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    assert run("init", str(folder)).exit_code == 0
    (folder / "ac.pem").write_bytes(RSA.root_pem)
    (folder / "routes.yaml").write_text(RULES, encoding="utf-8")
    (folder / "hub.yaml").write_text("signatures: {anchors: ac.pem}\n", encoding="utf-8")
    return folder


def kept(folder: Path, raw: bytes) -> str:
    file = folder / "recu.eml"
    file.write_bytes(raw)
    return str(file)


def test_explain_tells_a_valid_signature_with_its_evidence(site: Path, tmp_path: Path) -> None:
    told = run("explain", kept(tmp_path, head() + sign(ENTITY, SIGNER, NOW, "=_b")), site=site)
    assert told.exit_code == 0, told.output
    for words in ("signature valable", "oui contenu : intact", "BAL DU SECRETARIAT", AUTHOR, "révocation", "sinon"):
        assert words in told.output, told.output


def test_explain_tells_an_altered_mail_and_a_rule_may_ask_for_it(site: Path, tmp_path: Path) -> None:
    raw = (head() + sign(ENTITY, SIGNER, NOW, "=_b")).replace(b"Bonjour", b"Bonsoir")
    told = run("explain", "--json", kept(tmp_path, raw), site=site)
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    verdict = found["signature"]["verdict"]
    assert (verdict["outcome"], verdict["integrity"], verdict["chain"]) == ("invalid", "bad", "good")
    assert verdict["reasons"] == ["altered"]
    assert verdict["evidence"]["addresses"] == [AUTHOR]
    assert found["plan"]["rule"] == "signature-refusee"
    assert found["plan"]["tried"][0]["conditions"][0]["seen"] == "invalid"


def test_a_mail_without_signature_has_none(site: Path, tmp_path: Path) -> None:
    found = json.loads(run("explain", "--json", kept(tmp_path, head() + ENTITY), site=site).output)
    assert found["signature"]["verdict"] is None
    assert found["plan"]["tried"][0]["conditions"][0]["seen"] == "absent"


def test_a_rule_with_a_word_that_no_signature_has_is_refused(site: Path, tmp_path: Path) -> None:
    (site / "routes.yaml").write_text(RULES.replace("unproven", "perhaps"), encoding="utf-8")
    told = run("explain", kept(tmp_path, head() + ENTITY), site=site)
    assert told.exit_code != 0
    assert "perhaps is no known signature" in told.output + str(told.exception)


def signing(site: Path, holder: Holder, more: str = "") -> str:
    """What `hub check` says of a mailbox that signs with this certificate."""
    (site / "s.pem").write_bytes(holder.certificate_pem + holder.above_pem + holder.key_pem)
    tls = TlsAuthority(site / "tls")
    leaf = tls.issue("bal", AUTHOR)
    (site / "hub.yaml").write_text(
        f"""\
site: {{product_reference: ESSAI1}}
signatures: {{anchors: ac.pem}}
operators:
  - name: operateur
    imap: {{host: localhost, port: 1, tls: implicit}}
    smtp: {{host: localhost, port: 1, tls: implicit}}
    ca_file: {tls.ca_file}
    certificate: {{file: {leaf.certificate}, key_file: {leaf.key}}}
mailboxes:
  - {{name: secretariat, address: {AUTHOR}, operator: operateur, signing: {{certificate: {{file: s.pem}}{more}}}}}
""",
        encoding="utf-8",
    )
    return run("check", site=site).output


def test_check_is_content_with_a_right_signing_certificate(site: Path) -> None:
    told = signing(site, SIGNER)
    assert "signature" not in told
    assert "s.pem" not in told


def test_check_names_what_is_wrong_with_a_signing_certificate(site: Path) -> None:
    told = signing(site, RSA.signer("autre@exemple.mssante.fr", not_before=NOW - 9 * DAY, not_after=NOW - DAY))
    assert "Configuration à corriger" in told
    assert "s.pem:1 - boîte secretariat : ce certificat de signature a expiré" in told
    assert "s.pem:1 - boîte secretariat : ce certificat est celui de autre@exemple.mssante.fr" in told


def test_check_warns_of_the_certificate_of_an_organisation(site: Path) -> None:
    told = signing(site, RSA.signer("", not_before=NOW - DAY, not_after=NOW + 99 * DAY), ", address_required: false")
    assert "À prévoir" in told
    assert "ne porte aucune adresse" in told


def test_check_names_anchors_that_cannot_be_read(site: Path) -> None:
    (site / "ac.pem").write_bytes(b"rien")
    told = run("check", site=site).output
    assert "ac.pem:1 - ce fichier n'est pas un certificat lisible" in told
