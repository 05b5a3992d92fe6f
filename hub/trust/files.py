"""The files that hold certificates and keys: PEM (one file, or certificate and key apart), DER, PKCS#12.

A `Secret` of the settings flows in, certificates and key flow out. `cryptography` brings an OpenSSL that still reads
the PKCS#12 files of the field, encrypted with RC2-40 or 3DES (mssante.md §7.4, RH-12). A file that is absent, locked,
too large or wrong raises Misconfigured, in French, with its name; no text ever quotes a key or a password.

The files are read whenever they are needed, and opened once for what they hold: OpenSSL tests the numbers of a key for
40 ms, a PKCS#12 costs a tenth of a second, and every connection shows a certificate.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from hub.errors import Misconfigured
from hub.settings import Secret
from hub.trust.chain import UNREADABLE

PEM = b"-----BEGIN "
MOST = 1024**2  # bytes of one file: a certificate, a key or a bundle of authorities; the IGC-Santé chain has 20 KB
_CERTIFICATE = b"-BEGIN CERTIFICATE-"
_PUBLIC = "Un certificat ou une clé du hub ne peut pas être utilisé."
_OPENED_MOST = 256  # more than a site has mailboxes with a certificate of their own
_OPENING = threading.Lock()


@dataclass(frozen=True, slots=True)
class Opened:
    """A certificate, its key, and the others that stand in the same file."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes = field(repr=False)


def open_secret(secret: Secret) -> Opened:
    """Raises Misconfigured; also when the key is not that of the certificate."""
    held = _held(secret)
    with _OPENING:  # those who come meanwhile want the same one
        return _opened(secret, held)


def leaf_of(secret: Secret) -> x509.Certificate:
    """The certificate alone: that of a PEM file is read without its key. Raises Misconfigured."""
    raw = read(secret.file)
    return _first(secret.file, raw)[0] if PEM in raw else open_secret(secret).leaf


def certificates_in(file: Path, raw: bytes) -> tuple[x509.Certificate, ...]:
    """All of a PEM file, or the one of a DER file. Raises Misconfigured."""
    try:
        if PEM in raw:
            return tuple(x509.load_pem_x509_certificates(raw)) if _CERTIFICATE in raw else ()
        return (x509.load_der_x509_certificate(raw),)
    except UNREADABLE:
        raise wrong(file, "ce fichier n'est pas un certificat lisible") from None


def read(path: Path) -> bytes:
    """Raises Misconfigured."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST + 1)
    except OSError as error:
        raise wrong(path, f"ce fichier ne peut pas être lu ({error.strerror})") from None
    if len(raw) > MOST:
        raise wrong(path, "ce fichier est trop gros pour un certificat ou une clé")
    return raw


def stamp_of(secret: Secret) -> tuple[tuple[int, int, int], ...]:
    """Changes when one of the files does."""
    files = (secret.file, secret.key_file, secret.password_file)
    return tuple(file_stamp(file) for file in files if file is not None)


def file_stamp(file: Path) -> tuple[int, int, int]:
    """Changes when the file does; zeros when there is none."""
    try:
        facts = file.stat()
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


def wrong(path: Path, reason: str) -> Misconfigured:
    return Misconfigured(f"{path}:1 - {reason}.", _PUBLIC)


# --- forms


@dataclass(frozen=True, slots=True)
class _Held:
    """What the files of a secret hold; `key` where it stands, in PEM, which may be the certificate's own file. Each of
    them may hold the key: none is ever shown."""

    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
    password: bytes = field(repr=False)


def _held(secret: Secret) -> _Held:
    raw = read(secret.file)
    key = read(secret.key_file) if secret.key_file is not None and PEM in raw else raw
    return _Held(raw, key, _password(secret))


@lru_cache(maxsize=_OPENED_MOST)
def _opened(secret: Secret, held: _Held) -> Opened:
    opened = _from_pem(secret, held) if PEM in held.certificate else _from_pkcs12(secret, held)
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if opened.key.public_key().public_bytes(*form) != opened.leaf.public_key().public_bytes(*form):
        why = "la clé privée n'est pas celle du certificat : prenez la clé livrée avec lui"
        raise wrong(secret.key_file or secret.file, why)
    return opened


def _from_pem(secret: Secret, held: _Held) -> Opened:
    """The certificate is the first of the file."""
    leaf, others = _first(secret.file, held.certificate)
    return Opened(leaf, others, _key(secret.key_file or secret.file, held.key, held.password))


def _first(file: Path, raw: bytes) -> tuple[x509.Certificate, tuple[x509.Certificate, ...]]:
    found = certificates_in(file, raw)
    if not found:
        raise wrong(file, "ce fichier ne contient pas de certificat")
    return found[0], found[1:]


def _from_pkcs12(secret: Secret, held: _Held) -> Opened:
    try:
        bag = pkcs12.load_pkcs12(held.certificate, held.password)
    except (ValueError, UnsupportedAlgorithm):
        # OpenSSL says the same for both; CRYPTOGRAPHY_OPENSSL_NO_LEGACY in the environment also ends here.
        why = "le mot de passe est faux, ou ce fichier n'est pas un PKCS#12 (.p12)"
        raise wrong(secret.file, f"{why} : vérifiez password_file") from None
    if bag.key is None or bag.cert is None:
        raise wrong(secret.file, "ce fichier ne contient pas de clé privée avec son certificat")
    return Opened(bag.cert.certificate, tuple(other.certificate for other in bag.additional_certs), bag.key)


def _key(file: Path, raw: bytes, password: bytes) -> PrivateKeyTypes:
    load = load_pem_private_key if PEM in raw else load_der_private_key
    try:
        try:
            return load(raw, password or None)
        except TypeError:  # a password for a key that has none
            return load(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise wrong(file, "la clé privée manque, ou son mot de passe est faux : vérifiez password_file") from None


def _password(secret: Secret) -> bytes:
    """The first line of the password file, b"" without one (an empty password and none are the same to OpenSSL)."""
    if secret.password_file is None:
        return b""
    return read(secret.password_file).split(b"\n", 1)[0].rstrip(b"\r")
