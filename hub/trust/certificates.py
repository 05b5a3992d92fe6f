"""What a certificate says of itself: whose it is, what it may be used for, until when.

In: a `Secret` of the settings, or a file of authorities. Out: `CertificateFacts`; nothing of a key. Raises
Misconfigured as `hub.trust.files` does. `Certificates` remembers what it read until the files change: to open a PKCS#12
costs a tenth of a second.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub.errors import Misconfigured
from hub.settings import Secret
from hub.trust.chain import UNREADABLE
from hub.trust.files import certificates_in, file_stamp, leaf_of, read, stamp_of, wrong

STRUCTURE = re.compile(r"3[0-9]{14}|1[0-9A-Z]{9}")  # 3 + SIRET, 1 + FINESS (mssante.md §11.2)

# Names of RFC 5280 §4.2.1.3 and §4.2.1.12.
_USAGES = {
    "digital_signature": "digitalSignature",
    "content_commitment": "nonRepudiation",
    "key_encipherment": "keyEncipherment",
    "data_encipherment": "dataEncipherment",
    "key_agreement": "keyAgreement",
    "key_cert_sign": "keyCertSign",
    "crl_sign": "cRLSign",
}
_PURPOSES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """`unit` is the OU: the structure's national id (`3` + SIRET, `1` + FINESS). `serial` and `sha256` in small
    hexadecimal letters; `usages` (KU) and `purposes` (EKU) by their names in RFC 5280, a purpose without one by its
    number, both empty when the certificate does not say. Times are aware UTC."""

    common_name: str
    unit: str
    not_before: datetime
    not_after: datetime
    organisation: str = ""
    issuer: str = ""
    serial: str = ""
    sha256: str = ""
    usages: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    is_authority: bool = False

    @property
    def structure(self) -> str:
        """The OU when it is a structure's national id, else ""."""
        return self.unit if STRUCTURE.fullmatch(self.unit) else ""


def certificate_facts(secret: Secret) -> CertificateFacts:
    """Raises Misconfigured."""
    return _facts(leaf_of(secret), secret.file)


def authority_facts(file: Path) -> tuple[CertificateFacts, ...]:
    """Those of each certificate of a file of authorities. Raises Misconfigured; also when it holds none."""
    found = certificates_in(file, read(file))
    if not found:
        raise wrong(file, "ce fichier ne contient aucun certificat d'autorité")
    return tuple(_facts(one, file) for one in found)


class Certificates:
    """What was read, or why it could not be, until the files change."""

    def __init__(self) -> None:
        self._known: dict[Secret | Path, tuple[object, tuple[CertificateFacts, ...] | Misconfigured]] = {}

    def facts(self, secret: Secret) -> CertificateFacts:
        """Raises Misconfigured."""
        return self._remembered(secret, stamp_of(secret), lambda: (certificate_facts(secret),))[0]

    def authorities(self, file: Path) -> tuple[CertificateFacts, ...]:
        """Raises Misconfigured."""
        return self._remembered(file, file_stamp(file), lambda: authority_facts(file))

    def _remembered(
        self, place: Secret | Path, stamp: object, look: Callable[[], tuple[CertificateFacts, ...]]
    ) -> tuple[CertificateFacts, ...]:
        known = self._known.get(place)
        if known is None or known[0] != stamp:
            try:
                known = (stamp, look())
            except Misconfigured as error:
                known = (stamp, error)
            self._known[place] = known
        found = known[1]
        if isinstance(found, Misconfigured):
            raise Misconfigured(found.private, found.public)
        return found


def _facts(certificate: x509.Certificate, file: Path) -> CertificateFacts:
    try:
        return CertificateFacts(
            common_name=_part(certificate.subject, NameOID.COMMON_NAME),
            unit=_part(certificate.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
            organisation=_part(certificate.subject, NameOID.ORGANIZATION_NAME),
            issuer=_part(certificate.issuer, NameOID.COMMON_NAME),
            serial=f"{certificate.serial_number:x}",
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            usages=_usages(certificate),
            purposes=_purposes(certificate),
            is_authority=_is_authority(certificate),
        )
    except UNREADABLE:  # cryptography reads names and extensions when they are asked for
        raise wrong(file, "ce fichier n'est pas un certificat lisible") from None


def _usages(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(name for attribute, name in _USAGES.items() if getattr(usage, attribute))


def _purposes(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(_PURPOSES.get(one, one.dotted_string) for one in purposes)


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return bool(certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    """Each character of it was chosen by whoever made the certificate: what cannot be shown is replaced."""
    text = next((str(part.value) for part in name.get_attributes_for_oid(oid)), "")
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
