"""TLS contexts: towards an operator, who we trust and with which certificate we show ourselves; of our own doors.

An operator and a client certificate from the settings flow in, an `ssl.SSLContext` flows out. Trust is in the anchors
given alone (`hub.trust.authorities`), never in the system store (ECO.1.1.10); TLS >= 1.2 with the operator's suites
(ECO.1.1.1, 1.1.3). The client certificate is PEM or PKCS#12, those encrypted with RC2-40 or 3DES included (mssante.md
§7.4): `cryptography` brings an OpenSSL that still reads them. A file that is absent, wrong or locked raises
Misconfigured, with its name and the reason. Clear keys never reach a disk: OpenSSL wants a path, it gets one in memory
(memfd, Linux).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12
from cryptography.x509.oid import NameOID

from hub.errors import Misconfigured
from hub.settings import Operator, Secret, Trusting
from hub.trust.authorities import authorities_of

_PEM = b"-----BEGIN "
_MOST = 1024**2  # a certificate, a key or a bundle of authorities; the whole IGC-Santé chain has 20 KB


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """What a certificate says of itself. `unit` is the OU: the structure's national id (`3` + SIRET, `1` + FINESS)."""

    common_name: str
    unit: str
    not_before: datetime
    not_after: datetime


def client_context(
    operator: Operator, certificate: Secret | None, anchors: tuple[bytes, ...] | None = None
) -> ssl.SSLContext:
    """The context for connections to `operator`, showing `certificate` (None: no client certificate). `anchors` (DER):
    whom to believe; None: those of the operator for a mailbox that is none of the test branch.

    Raises Misconfigured.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name; trusts nobody yet
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_3 if operator.tls13 else ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # a certificate without SAN is refused, everywhere alike (RH-09)
    # An intermediate authority may be an anchor: "IGC-SANTE ELEMENTAIRE ORGANISATIONS" is believed, and not all that
    # hangs below its root (RH-05).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.set_ciphers(operator.ciphers)  # TLS 1.2 and below; the suites of TLS 1.3 are all sound
    except ssl.SSLError:
        raise Misconfigured(f"operator {operator.name}: ciphers: OpenSSL knows none of these suites") from None
    if anchors is None:
        anchors = authorities_of(operator, Trusting(), is_test=False).anchors
    context.load_verify_locations(cadata=b"".join(anchors))
    if certificate is not None:
        _show(context, certificate)
    return context


def server_context(certificate: Secret) -> ssl.SSLContext:
    """The context of a door of ours that mail programs connect to: TLS >= 1.2, no client certificate asked (they log
    in). Raises Misconfigured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    show_anew(context, certificate)
    return context


def show_anew(context: ssl.SSLContext, certificate: Secret) -> None:
    """Show the certificate as its file has it now; connections that live keep the one they saw. Raises Misconfigured,
    and the context is as it was then."""
    _show(context, certificate)


def certificate_facts(certificate: Secret) -> CertificateFacts:
    """Subject and validity of a client certificate, for alarms before it expires (RH-12). Raises Misconfigured."""
    raw = _read(certificate.file)
    try:
        leaf = x509.load_pem_x509_certificate(raw) if _PEM in raw else _open_pkcs12(certificate, raw)[1]
    except ValueError as error:
        raise _wrong(certificate.file, f"no certificate can be read ({_reason(error)})") from None
    return CertificateFacts(
        common_name=_part(leaf.subject, NameOID.COMMON_NAME),
        unit=_part(leaf.subject, NameOID.ORGANIZATIONAL_UNIT_NAME),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
    )


def _show(context: ssl.SSLContext, certificate: Secret) -> None:
    raw = _read(certificate.file)
    if _PEM in raw:
        _load_chain(context, certificate, str(certificate.file))
        return
    key, leaf, others = _open_pkcs12(certificate, raw)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pem += b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, *others))
    with _in_memory(pem) as path:
        _load_chain(context, certificate, path)


def _load_chain(context: ssl.SSLContext, certificate: Secret, path: str) -> None:
    if certificate.key_file is not None:
        _read(certificate.key_file)  # for a message that names the right file
    password = _password(certificate)
    try:
        # A password is always given: OpenSSL would ask for a missing one on the terminal, and wait.
        context.load_cert_chain(path, certificate.key_file, password=lambda: password)
    except (ssl.SSLError, OSError, ValueError) as error:
        named = certificate.key_file or certificate.file
        raise _wrong(named, f"certificate and key cannot be used ({_reason(error)})") from None


def _open_pkcs12(
    certificate: Secret, raw: bytes
) -> tuple[PrivateKeyTypes, x509.Certificate, tuple[x509.Certificate, ...]]:
    """(key, its certificate, the others) of a PKCS#12 file."""
    try:
        bag = pkcs12.load_pkcs12(raw, _password(certificate))
    except ValueError:
        # OpenSSL says the same for both; CRYPTOGRAPHY_OPENSSL_NO_LEGACY in the environment also ends here.
        raise _wrong(certificate.file, "the password is wrong, or this is no PKCS#12 file") from None
    if bag.key is None or bag.cert is None:
        raise _wrong(certificate.file, "holds no private key with its certificate")
    return bag.key, bag.cert.certificate, tuple(other.certificate for other in bag.additional_certs)


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path to bytes that never touch a disk, for libraries that only read files."""
    descriptor = os.memfd_create("hub-tls", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _password(certificate: Secret) -> bytes:
    """The first line of the password file, b"" without one (an empty password and none are the same to OpenSSL)."""
    if certificate.password_file is None:
        return b""
    return _read(certificate.password_file).split(b"\n", 1)[0].rstrip(b"\r")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    if len(raw) > _MOST:
        raise _wrong(path, "is too large for a certificate or key")
    return raw


def _wrong(path: Path, reason: str) -> Misconfigured:
    return Misconfigured(f"{path}:1 - {reason}", "Un certificat ou une clé du hub ne peut pas être utilisé.")


def _reason(error: Exception) -> str:
    """OpenSSL's own word (`KEY_VALUES_MISMATCH`), else the class: never a text that could quote a key."""
    return str(getattr(error, "reason", None) or type(error).__name__)


def _part(name: x509.Name, oid: x509.ObjectIdentifier) -> str:
    return next((str(part.value) for part in name.get_attributes_for_oid(oid)), "")
