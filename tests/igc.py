"""A hierarchy shaped like IGC-Santé's (mssante.md §11.1): a root, an authority of organisations below it that may sign
leaves only, leaves with its names (`C, ST, O, OU=3SIRET, CN`), points for lists and a responder; and what such an
authority publishes, right or wrong in every way that a test needs. Everything in it is fictional.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from tests.pki import Authority, Leaf

SIRET = "339990000000011"  # `3` and a SIRET that nobody has
DAY = timedelta(days=1)
_LDAP = "ldap://annuaire.example/CN=AC?certificaterevocationlist;binary"
Status = Literal["good", "revoked", "unknown"]


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@lru_cache
def _key(name: str) -> rsa.RSAPrivateKey:
    """One for each name and run of the tests: a new one costs a tenth of a second. The real root has 4,096 bits."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class Party:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def files(self, folder: Path, name: str, *chain: Party) -> Leaf:
        """For a server: certificate with its chain, key, both."""
        clear = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        pem = b"".join(one.pem for one in (self, *chain))
        leaf = Leaf(folder / f"{name}.crt", folder / f"{name}.key", folder / f"{name}.pem")
        for path, content in ((leaf.certificate, pem), (leaf.key, clear), (leaf.both, clear + pem)):
            path.write_bytes(content)
            path.chmod(0o600)
        return leaf


class Igc:
    """`points`: where the lists and the responder are, such as `http://127.0.0.1:12345`; None: certificates name none.
    `branch` goes into the names: another branch is another authority altogether."""

    def __init__(self, points: str | None = None, branch: str = "ESSAI") -> None:
        self.points = points
        self.branch = branch
        self._serial = 1000
        self.root = self._authority("AC RACINE ELEMENTAIRE", None, None)
        self.organisations = self._authority("AC ELEMENTAIRE ORGANISATIONS", self.root, 0)

    def ca_file(self, folder: Path, *parties: Party) -> Path:
        path = folder / f"igc-{self.branch}.pem"
        path.write_bytes(b"".join(one.pem for one in parties or (self.organisations, self.root)))
        return path

    def leaf(
        self,
        common_name: str = "localhost",
        names: Sequence[str] | None = None,
        *,
        days: tuple[int, int] = (-30, 700),
        issuer: Party | None = None,
        client: bool = False,
        points: str | None = None,
        has_points: bool = True,
        unit: str = SIRET,
    ) -> Party:
        """A server's certificate (`client`: AUTH_CLI) for host names or addresses; `names` empty: no SAN at all.
        Valid from and until so many days from today."""
        above, at, key = issuer or self.organisations, now(), _key(f"leaf {common_name}")
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = self._builder(_name(common_name, unit), above.certificate.subject, key, at, days)
        builder = builder.add_extension(_usage(digital_signature=True, key_encipherment=not client), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        named = [common_name] if names is None else names
        if named:
            builder = builder.add_extension(x509.SubjectAlternativeName([_san(one) for one in named]), critical=False)
        if has_points:
            builder = self._with_points(builder, "ORG", points or self.points, with_responder=True)
        return Party(_signed(builder, above.key), key)

    def responder(self, *, issuer: Party | None = None, days: tuple[int, int] = (-1, 30), may: bool = True) -> Party:
        """Whom the authority lets answer in its name; `may` False: a certificate of hers for something else."""
        above, key = issuer or self.organisations, _key("responder")
        usage = ExtendedKeyUsageOID.OCSP_SIGNING if may else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_name(f"REPONDEUR {self.branch}", SIRET), above.certificate.subject, key, now(), days)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Party(_signed(builder.add_extension(x509.OCSPNoCheck(), critical=False), above.key), key)

    # --- what it publishes

    def crl(
        self,
        *revoked: Party,
        issuer: Party | None = None,
        key: rsa.RSAPrivateKey | None = None,
        made: datetime | None = None,
        life: timedelta = DAY,
        extensions: Iterable[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        """The list of `issuer` (the organisations' authority), DER; `key`: signed by somebody else."""
        above, made = issuer or self.organisations, made or now() - timedelta(hours=1)
        builder = x509.CertificateRevocationListBuilder().issuer_name(above.certificate.subject)
        builder = builder.last_update(made).next_update(made + life)
        builder = builder.add_extension(x509.CRLNumber(int(made.timestamp())), critical=False)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(made)
            reason = x509.CRLReason(x509.ReasonFlags.key_compromise)
            builder = builder.add_revoked_certificate(entry.add_extension(reason, critical=False).build())
        for extension, is_critical in extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        return builder.sign(key or above.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def large_crl(self, entries: int) -> bytes:
        """A list of so many certificates of others, with the serials of 18 bytes that IGC-Santé gives."""
        made, name = now() - timedelta(hours=1), self.organisations.certificate.subject
        builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(made).next_update(made + DAY)
        entry = x509.RevokedCertificateBuilder().revocation_date(made)
        # At once: to add them one by one copies the list each time.
        builder._revoked_certificates = [entry.serial_number(2**140 + number).build() for number in range(entries)]
        return builder.sign(self.organisations.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def answer(
        self,
        asked: bytes,
        leaf: Party,
        status: Status = "good",
        *,
        issuer: Party | None = None,
        signer: Party | None = None,
        made: datetime | None = None,
        life: timedelta | None = timedelta(hours=12),
        nonce: bytes | None = None,
        echoes: bool = True,
    ) -> bytes:
        """A responder's answer to a question (DER) about `leaf`; `signer`: the responder when it is not the issuer,
        `nonce`: another than that of the question."""
        above, made = issuer or self.organisations, made or now() - timedelta(minutes=1)
        by = signer or above
        is_revoked = status == "revoked"
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=leaf.certificate,
            issuer=above.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus[status.upper()],
            this_update=made,
            next_update=None if life is None else made + life,
            revocation_time=made if is_revoked else None,
            revocation_reason=x509.ReasonFlags.key_compromise if is_revoked else None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, by.certificate)
        if signer is not None:
            builder = builder.certificates([signer.certificate])
        if echoes:
            request = ocsp.load_der_ocsp_request(asked)
            said = nonce or request.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
            builder = builder.add_extension(x509.OCSPNonce(said), critical=False)
        return builder.sign(by.key, hashes.SHA256()).public_bytes(Encoding.DER)

    # --- certificates

    def _authority(self, common_name: str, above: Party | None, path_length: int | None) -> Party:
        name, key = _authority_name(f"{common_name} {self.branch}"), _key(f"{common_name} {self.branch}")
        issuer = above.certificate.subject if above else name
        builder = self._builder(name, issuer, key, now(), (-3650, 3650), authority=path_length)
        builder = builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        if above is not None:
            builder = self._with_points(builder, "RACINE", self.points, with_responder=False)
        return Party(_signed(builder, above.key if above else key), key)

    def _builder(
        self,
        subject: x509.Name,
        issuer: x509.Name,
        key: rsa.RSAPrivateKey,
        at: datetime,
        days: tuple[int, int],
        authority: int | Literal["none"] | None = "none",
    ) -> x509.CertificateBuilder:
        self._serial += 1
        constraints = (
            x509.BasicConstraints(ca=False, path_length=None)
            if authority == "none"
            else x509.BasicConstraints(ca=True, path_length=authority)
        )
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(self._serial)
            .not_valid_before(at + days[0] * DAY)
            .not_valid_after(at + days[1] * DAY)
            .add_extension(constraints, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )

    def _with_points(
        self, builder: x509.CertificateBuilder, which: str, points: str | None, *, with_responder: bool
    ) -> x509.CertificateBuilder:
        """By HTTP and LDAP, as IGC-Santé names them."""
        if points is None:
            return builder
        urls = [f"{points}/CRL/{which}.crl", _LDAP]
        named = [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
        builder = builder.add_extension(x509.CRLDistributionPoints(named), critical=False)
        if not with_responder:
            return builder
        place = x509.UniformResourceIdentifier(f"{points}/ocsp")
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        return builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)


class IgcAuthority(Authority):
    """The same in the place of the tests' usual authority, for the servers that they start."""

    def __init__(self, igc: Igc, folder: Path) -> None:
        self.igc = igc
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca_file = igc.ca_file(folder)

    def issue(self, name: str, *identities: str, common_name: str | None = None) -> Leaf:
        """For host names; or, for a mail address, a client's certificate (AUTH_CLI), which bears no name (SAN)."""
        is_client = "@" in identities[0]
        party = self.igc.leaf(common_name or identities[0], () if is_client else identities, client=is_client)
        return party.files(self.folder, name, self.igc.organisations)


def _signed(builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def _name(common_name: str, unit: str) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "FR"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Rhône (69)"),
        (NameOID.ORGANIZATION_NAME, "OPERATEUR FICTIF"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, common_name),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _authority_name(common_name: str) -> x509.Name:
    parts = (
        (NameOID.COUNTRY_NAME, "FR"),
        (NameOID.ORGANIZATION_NAME, "AGENCE FICTIVE"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "0002 999999999"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "IGC FICTIVE"),
        (NameOID.COMMON_NAME, common_name),
    )
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    key_cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
