"""Fictional people who sign mails: a throw-away authority of three levels, and certificates with any fault wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.smime.signing import tlv

AT = datetime(2026, 6, 15, 9, 30, tzinfo=UTC)
AUTHOR = "secretariat@esms.exemple.mssante.fr"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Kind = Literal["rsa", "ec"]
EMAIL = (ExtendedKeyUsageOID.EMAIL_PROTECTION,)


@dataclass(frozen=True)
class Holder:
    """A certificate with its key and the certificates above it, root left out. A `hub.smime.signing.Signer`."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def certificates(self) -> tuple[bytes, ...]:
        return (self.der, *(one.public_bytes(Encoding.DER) for one in self.above))

    @property
    def kind(self) -> Kind:
        return "rsa" if isinstance(self.key, rsa.RSAPrivateKey) else "ec"

    @classmethod
    def of_pem(cls, pem: bytes, key: Key) -> Holder:
        return cls(x509.load_pem_x509_certificate(pem), key)

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def above_pem(self) -> bytes:
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.above)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, attributes: bytes) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(attributes, ec.ECDSA(hashes.SHA256()))


def new_key(kind: Kind, bits: int = 2048) -> Key:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits) if kind == "rsa" else _curve()


def _curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str, email: str | None = None) -> x509.Name:
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Essai (fictif)"),
        x509.NameAttribute(NameOID.COMMON_NAME, common_name),
    ]
    if email:
        parts.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    return x509.Name(parts)


class Authority:
    """Root, intermediate, and whoever they vouch for."""

    def __init__(self, kind: Kind = "rsa", title: str = "AC") -> None:
        self.kind: Kind = kind
        self.root = _authority(kind, f"{title} RACINE", None)
        self.intermediate = _authority(kind, f"{title} ORGANISATIONS", self.root)

    @property
    def anchors(self) -> tuple[bytes, ...]:
        return (self.root.der,)

    @property
    def root_pem(self) -> bytes:
        return self.root.certificate.public_bytes(Encoding.PEM)

    def lists(self, *revoked: Holder, at: datetime = AT) -> bytes:
        """The revocation lists of root and intermediate as of `at`, PEM; the intermediate's names `revoked`."""
        return _revocations(self.root, (), at) + _revocations(self.intermediate, revoked, at)

    def signer(
        self,
        *addresses: str,
        kind: Kind | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = EMAIL,
        not_before: datetime = AT - timedelta(days=365),
        not_after: datetime = AT + timedelta(days=365),
        signs: bool = True,
        commits: bool = False,
        is_authority: bool = False,
        email_in_subject: str | None = None,
        key: Key | None = None,
        serial: int | None = None,
        issuer: Holder | None = None,
    ) -> Holder:
        """A leaf, right unless told otherwise; for AUTHOR when no address is given, for nobody when "" is."""
        key = key or new_key(kind or self.kind)
        issuer = issuer or self.intermediate
        builder = _builder(
            name("BAL DU SECRETARIAT", email_in_subject), issuer, key, not_before, not_after, serial
        ).add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs=signs, commits=commits, authority=is_authority), critical=True)
        if named := [address for address in addresses or (AUTHOR,) if address]:
            builder = builder.add_extension(_alternative_names(named), critical=False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        above = () if issuer is self.root else (issuer.certificate,)
        return Holder(builder.sign(issuer.key, hashes.SHA256()), key, above)


def _alternative_names(addresses: Sequence[str]) -> x509.UnrecognizedExtension:
    """As a forger writes them: some versions of Python have cryptography refuse what is no address."""
    written = b"".join(tlv(0x81, address.encode("ascii")) for address in addresses)  # rfc822Name, RFC 5280 §4.2.1.6
    return x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, tlv(0x30, written))


def self_signed(address: str = AUTHOR) -> Holder:
    key = new_key("rsa")
    holder = name("SEUL AU MONDE")
    builder = _builder(holder, None, key, AT - timedelta(days=9), AT + timedelta(days=9), None)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
    return Holder(builder.sign(key, hashes.SHA256()), key)


def _revocations(issuer: Holder, revoked: Sequence[Holder], at: datetime) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(at - timedelta(days=9))
        .next_update(at + timedelta(days=9))
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
    )
    for holder in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(holder.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(at - timedelta(days=1)).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _authority(kind: Kind, title: str, issuer: Holder | None) -> Holder:
    key = new_key(kind)
    builder = (
        _builder(name(title), issuer, key, AT - timedelta(days=3650), AT + timedelta(days=3650), None)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if issuer else None), critical=True)
        .add_extension(_usage(signs=False, commits=False, authority=True), critical=True)
    )
    return Holder(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: Holder | None, key: Key, begin: datetime, end: datetime, serial: int | None
) -> x509.CertificateBuilder:
    issuer_key = (issuer.key if issuer else key).public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, signs: bool, commits: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=commits,
        key_encipherment=not signs and not commits and not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


ENTITY = (
    b"Content-Type: multipart/mixed; boundary=dedans\r\n\r\n--dedans\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\nBonjour,\r\n=46rom la part de l'=C3=A9ducatrice.=20\r\n"
    b"--dedans\r\nContent-Type: application/pdf; name=note.pdf\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=note.pdf\r\n\r\nJVBERi0xLjQKJSBlc3NhaQo=\r\n--dedans--\r\n"
)


def head(author: str = AUTHOR, more: str = "") -> bytes:
    """The outer headers of a mail, the X-MSS ones among them (fictional)."""
    return (
        f"From: {author}\r\nTo: ase@cd.exemple.mssante.fr\r\nSubject: Essai\r\nX-MSS-NIL: ESSAI\r\n"
        f"Message-ID: <essai@exemple.mssante.fr>\r\nMIME-Version: 1.0\r\n{more}"
    ).encode()
