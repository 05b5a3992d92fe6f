"""The real authorities of IGC-Santé as anchors: read, and strict enough for the rules by which chains are followed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from hub.smime.chain import follow
from hub.smime.trusted import EMAIL_PROTECTION
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
