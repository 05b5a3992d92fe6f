"""Whom the hub believes: what comes with it, unchanged; the test branch for test mailboxes; a site's own file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hub.errors import Misconfigured
from hub.settings import Endpoint, Operator, Trusting, default_config_dir
from hub.trust.authorities import PINS, authorities_of, fingerprint, igc_sante, lowest
from tests.igc import Igc

SHIPPED = default_config_dir() / "igc-sante"
TEST_BRANCH = Igc(branch="TEST")


def operator(**more: Any) -> Operator:
    endpoint = Endpoint(host="localhost", port=143, tls="starttls")
    return Operator(name="operateur", imap=endpoint, smtp=endpoint, **more)


@pytest.fixture
def test_branch(tmp_path: Path) -> Trusting:
    folder = tmp_path / "branche-test"
    folder.mkdir()
    (folder / "ACR-EL-TEST.cer").write_bytes(TEST_BRANCH.root.der)
    (folder / "ACI-EL-ORG-TEST.cer").write_bytes(TEST_BRANCH.organisations.der)
    return Trusting(test_authorities=folder)


def test_by_default_only_the_organisations_of_igc_sante_vouch_for_a_server() -> None:
    found = authorities_of(operator(), Trusting(), is_test=False)
    assert [fingerprint(raw) for raw in found.anchors] == [PINS["ACI-EL-ORG.pem"]]
    assert {fingerprint(raw) for raw in found.known} == set(PINS.values())
    assert found.others == ()


def test_the_test_branch_is_believed_for_test_mailboxes_alone(test_branch: Trusting) -> None:
    assert authorities_of(operator(), test_branch, is_test=False) == igc_sante()
    found = authorities_of(operator(), test_branch, is_test=True)
    assert found.anchors == (*igc_sante().anchors, TEST_BRANCH.organisations.der)
    assert set(found.others) == {TEST_BRANCH.root.der, TEST_BRANCH.organisations.der}
    assert authorities_of(operator(), Trusting(), is_test=True) == igc_sante()


def test_a_file_of_the_sites_own_stands_alone(test_branch: Trusting, tmp_path: Path) -> None:
    own = Igc(branch="PROPRE")
    found = authorities_of(operator(ca_file=own.ca_file(tmp_path)), test_branch, is_test=True)
    assert found.anchors == found.known == (own.organisations.der, own.root.der)
    assert found.others == found.known


def test_a_root_alone_is_an_anchor() -> None:
    assert lowest((TEST_BRANCH.root.der,)).anchors == (TEST_BRANCH.root.der,)


@pytest.mark.parametrize("change", ["another", "one more", "cut", "exchanged", "absent"])
def test_what_comes_with_the_hub_may_not_be_changed(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "igc-sante"
    shutil.copytree(SHIPPED, folder)
    file = folder / "ACI-EL-ORG.pem"
    pem = file.read_bytes()
    changed = {
        "another": TEST_BRANCH.organisations.pem,
        "one more": pem + TEST_BRANCH.organisations.pem,
        "cut": pem[: len(pem) // 2],
        "exchanged": (folder / "ACR-EL.pem").read_bytes(),
    }
    if change == "absent":
        file.unlink()
    else:
        file.write_bytes(changed[change])
    with pytest.raises(Misconfigured, match=r"ACI-EL-ORG\.pem:1 - "):
        igc_sante(folder)
