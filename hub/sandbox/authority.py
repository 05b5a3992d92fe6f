"""A throw-away certificate authority in a folder, shaped like IGC-Santé: one root, leaves for servers and structures.

Flows in: a folder. Flows out: PEM certificates and keys, and a PKCS#12 for each leaf with its password in a file, all
keys readable by their owner only. What is there already is kept as long as it is valid, so that a sandbox started again
still knows its clients. Nothing here protects anything: the root's key lies beside the certificates.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Paths of one leaf: certificate, key, both in a PKCS#12 file, and the file that holds its password."""

    certificate: Path
    key: Path
    pkcs12: Path
    password_file: Path


class Authority:
    """Opens the authority of a folder, or makes one. `ca_file` is the PEM that both sides must trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ac-bac-a-sable.pem"
        self._key_file = folder / "ac-bac-a-sable.key"
        folder.mkdir(parents=True, exist_ok=True)
        if not (self.ca_file.is_file() and self._key_file.is_file() and _is_fresh(self.ca_file)):
            self._make_root()
        self._certificate = x509.load_pem_x509_certificate(self.ca_file.read_bytes())
        key = serialization.load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        self._key = key

    def server(self, *hosts: str) -> Leaf:
        """The leaf of the operator's servers, for `localhost`, 127.0.0.1, ::1 and the given host names."""
        names = [_host(host) for host in ("localhost", "127.0.0.1", "::1", *hosts)]
        subject = _subject("Opérateur bac à sable (fictif)", "3999000000000001", "localhost")
        return self._leaf("operateur", subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def door(self, organisation: str, structure: str) -> Leaf:
        """The leaf of a site's submission door, for this machine."""
        names = [_host(host) for host in ("localhost", "127.0.0.1", "::1")]
        subject = _subject(organisation, structure, "localhost")
        return self._leaf("porte-d-envoi", subject, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, structure: str, organisation: str, service: str = "BAL APPLICATIVE") -> Leaf:
        """The leaf of a structure, like an `ORG AUTH_CLI` certificate (mssante.md §11.2): `structure` is its national
        id (`1` + FINESS, `3` + SIRET) and becomes the OU."""
        if not re.fullmatch(r"[0-9A-Z]{10,15}", structure):
            raise ValueError("a structure id is 10 to 15 digits or capitals")
        return self._leaf(
            f"client-{structure}", _subject(organisation, structure, service), ExtendedKeyUsageOID.CLIENT_AUTH, []
        )

    def signing(self, address: str, organisation: str, structure: str) -> Leaf:
        """The leaf with which a mailbox signs what it sends, like a SERV certificate of usage S/MIME."""
        name = re.sub(r"[^a-z0-9.-]", "-", address.lower())
        subject = _subject(organisation, structure, address)
        return self._leaf(
            f"signature-{name}", subject, ExtendedKeyUsageOID.EMAIL_PROTECTION, [x509.RFC822Name(address)]
        )

    def _make_root(self) -> None:
        for stale in self.folder.glob("*.pem"):
            stale.unlink()  # leaves of a root that is gone or expired are worth nothing
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = _subject("Autorité du bac à sable (fictive)", "BAC A SABLE", "AC RACINE BAC A SABLE")
        usage = _usage(signs_certificates=True)
        certificate = (
            _builder(subject, subject, key.public_key(), 2 * LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        _write_secret(self._key_file, _pem(key))
        self.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def _leaf(
        self, name: str, subject: x509.Name, purpose: x509.ObjectIdentifier, names: list[x509.GeneralName]
    ) -> Leaf:
        leaf = Leaf(*(self.folder / f"{name}.{end}" for end in ("pem", "key", "p12", "motdepasse")))
        if leaf.certificate.is_file() and leaf.key.is_file() and _is_fresh(leaf.certificate):
            return leaf
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        issuer_key = self._certificate.public_key()
        assert isinstance(issuer_key, rsa.RSAPublicKey)
        builder = (
            _builder(subject, self._certificate.subject, key.public_key(), LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(leaf, name, key, builder.sign(self._key, hashes.SHA256()))
        return leaf

    def _write(self, leaf: Leaf, name: str, key: rsa.RSAPrivateKey, certificate: x509.Certificate) -> None:
        password = secrets.token_urlsafe(12)
        bundle = pkcs12.serialize_key_and_certificates(
            name.encode(),
            key,
            certificate,
            [self._certificate],
            serialization.BestAvailableEncryption(password.encode()),
        )
        _write_secret(leaf.key, _pem(key))
        _write_secret(leaf.pkcs12, bundle)
        _write_secret(leaf.password_file, password.encode())
        leaf.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: rsa.RSAPublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(organisation: str, unit: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "Vallombre (990)"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64]),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, name[:64]),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=not signs_certificates,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_fresh(certificate_file: Path) -> bool:
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    return certificate.not_valid_after_utc > datetime.now(UTC) + RENEW_BEFORE


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write_secret(path: Path, content: bytes) -> None:
    """Never readable by others, not even for a moment."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
