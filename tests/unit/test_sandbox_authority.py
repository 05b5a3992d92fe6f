"""Certificates of the sandbox: right purposes, closed keys, kept from one start to the next."""

from __future__ import annotations

import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from hub.sandbox.authority import Authority
from hub.settings import Secret
from hub.smime import Trust
from hub.smime.fitness import fitness
from hub.trust.signing import load_anchors, load_signing_key


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_server_leaf_is_trusted_for_localhost_and_loopback(authority: Authority) -> None:
    store = Store([_certificate(authority.ca_file)])
    leaf = _certificate(authority.server().certificate)
    PolicyBuilder().store(store).build_server_verifier(x509.DNSName("localhost")).verify(leaf, [])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "127.0.0.1" in [str(address) for address in names.get_values_for_type(x509.IPAddress)]


def test_the_client_leaf_names_its_structure_in_the_ou(authority: Authority) -> None:
    leaf = _certificate(authority.client("1990000029", "MECS Les Tilleuls (fictive)").certificate)
    leaf.verify_directly_issued_by(_certificate(authority.ca_file))
    assert [item.value for item in leaf.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)] == [
        "1990000029"
    ]
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_the_signing_leaf_signs_for_its_mailbox_and_is_trusted(authority: Authority) -> None:
    address = "secretariat@mecs.exemple.mssante.fr"
    leaf = authority.signing(address, "MECS Les Tilleuls (fictive)", "1990000029")
    key = load_signing_key(Secret(file=leaf.pkcs12, password_file=leaf.password_file))
    found = fitness(
        key.certificates, address, datetime.now(UTC), Trust(load_anchors(authority.ca_file)), address_required=True
    )
    assert (found.faults, found.warnings) == ((), ())


def test_keys_are_readable_by_their_owner_only(authority: Authority) -> None:
    authority.client("1990000029", "MECS Les Tilleuls (fictive)")
    secret = [path for path in authority.folder.iterdir() if path.suffix in {".key", ".p12", ".motdepasse"}]
    assert len(secret) >= 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}


def test_the_pkcs12_opens_with_the_password_of_its_file(authority: Authority) -> None:
    leaf = authority.client("1990000029", "MECS Les Tilleuls (fictive)")
    key, certificate, chain = pkcs12.load_key_and_certificates(
        leaf.pkcs12.read_bytes(), leaf.password_file.read_bytes()
    )
    assert key is not None
    assert certificate == _certificate(leaf.certificate)
    assert chain == [_certificate(authority.ca_file)]


def test_a_second_start_keeps_what_is_there(authority: Authority) -> None:
    before = authority.client("1990000045", "CH (fictif)").certificate.read_bytes()
    again = Authority(authority.folder)
    assert again.ca_file.read_bytes() == authority.ca_file.read_bytes()
    assert again.client("1990000045", "CH (fictif)").certificate.read_bytes() == before


def test_a_structure_id_cannot_name_another_file(authority: Authority) -> None:
    with pytest.raises(ValueError, match="structure id"):
        authority.client("../../etc/x", "?")
