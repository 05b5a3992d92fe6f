"""The real authorities of IGC-Santé as anchors: read, and strict enough for the rules by which chains are followed."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from hub.settings import default_config_dir
from hub.smime.chain import follow
from hub.smime.trusted import EMAIL_PROTECTION
from hub.trust.authorities import PINS, igc_sante
from hub.trust.chain import chain_of
from hub.trust.crl import named_points
from hub.trust.signing import load_anchors

AT = datetime(2026, 6, 15, tzinfo=UTC)
PURPOSES = frozenset({EMAIL_PROTECTION})
# mssante.md §11.1
ROOT = "2d9e22ca19f777c6b745257c723ecb8df3c35fa6f1f6ec36b83600c97346967f"
ORGANISATIONS = "d834ee5b40686b73573f60547bf6052c6d404d942a5665cdb2c0b9137b5d27b2"


def test_the_two_authorities_are_read_from_the_folder(testkit: Path) -> None:
    found = {hashlib.sha256(raw).hexdigest() for raw in load_anchors(testkit / "pki")}
    assert found == {ROOT, ORGANISATIONS}


def test_the_authority_of_organisations_leads_to_the_root(testkit: Path) -> None:
    (root,) = load_anchors(testkit / "pki" / "ACR-EL.pem")
    (organisations,) = load_anchors(testkit / "pki" / "ACI-EL-ORG.pem")
    path = follow(organisations, (), (root,), AT, PURPOSES)
    assert path.chain == (ORGANISATIONS, ROOT)
    assert (path.time, path.codes) == ("good", ("wrong-usage",))  # an authority signs no mail


def test_what_comes_with_the_hub_is_what_was_published(testkit: Path) -> None:
    for name in PINS:
        assert (default_config_dir() / "igc-sante" / name).read_bytes() == (testkit / "pki" / name).read_bytes()
    assert set(PINS.values()) == {ROOT, ORGANISATIONS}


def test_the_organisations_vouch_for_servers_and_the_root_for_them_alone() -> None:
    found = igc_sante()
    (anchor,) = found.anchors
    assert hashlib.sha256(anchor).hexdigest() == ORGANISATIONS
    chain = chain_of(anchor, found.anchors, found.known, AT)
    assert [hashlib.sha256(raw).hexdigest() for raw in chain] == [ORGANISATIONS, ROOT]


def test_the_authority_of_organisations_says_where_the_roots_list_is() -> None:
    """One point by HTTP, which is asked, and one by LDAP, which is not."""
    organisations = x509.load_der_x509_certificate(igc_sante().anchors[0])
    http, ldap = named_points(organisations)
    assert http == "http://igc-sante.esante.gouv.fr/CRL/ACR-EL.crl"
    assert ldap.startswith("ldap://annuaire-igc.esante.gouv.fr/")


def test_openssl_agrees(tmp_path: Path) -> None:
    """Another reader of the same files, with the dates of this day."""
    folder = default_config_dir() / "igc-sante"
    command = ["openssl", "verify", "-CAfile", str(folder / "ACR-EL.pem"), str(folder / "ACI-EL-ORG.pem")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.endswith(": OK\n")
