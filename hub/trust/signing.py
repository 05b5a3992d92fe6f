"""The certificates with which mails are signed: read from their files, with key and chain; and the anchors by which
signatures of others are judged.

In: a `Signing` section of the settings. Out: `SigningKey`s (`hub.smime.signing.Signer`): the key stays in here. PEM or
PKCS#12, those with RC2-40 or 3DES included (mssante.md §7.4). A file that is absent, locked or wrong, a key that is
another's, a chain with a gap raise Misconfigured, in French, with the file. Whether a certificate is fit to sign for a
mailbox is for `hub.smime.fitness` to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_pem_private_key,
    pkcs12,
)

from hub.errors import Misconfigured
from hub.settings import Secret
from hub.trust.chain import has_issued

_PUBLIC = "Un certificat de signature du hub ne peut pas être utilisé."
_PEM = b"-----BEGIN "
_MOST = 1024**2  # bytes of one file
_DEEPEST = 8  # certificates of a chain; IGC-Santé has three
_ENDS = ("*.pem", "*.crt", "*.cer", "*.der")

_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One certificate that can sign. `certificates`: DER, the signer's first, then the authorities above it up to the
    root, which is left out: whoever trusts it has it."""

    file: Path
    certificates: tuple[bytes, ...]
    kind: Literal["rsa", "ec"]
    _key: _Key = field(repr=False)

    def sign(self, attributes: bytes) -> bytes:
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(attributes, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(attributes, ec.ECDSA(hashes.SHA256()))


def load_signing_key(secret: Secret, chain_file: Path | None = None) -> SigningKey:
    """`chain_file`: certificates of the authorities, when they are not in the file of the certificate.
    Raises Misconfigured."""
    raw = _read(secret.file)
    key, leaf, others = _from_pem(secret, raw) if _PEM in raw else _from_pkcs12(secret, raw)
    if chain_file is not None:
        others += _certificates(chain_file, _read(chain_file))
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        file = secret.key_file or secret.file
        raise _wrong(file, "la clé n'est ni RSA ni à courbe elliptique : elle ne peut pas signer")
    _same(key, leaf, secret)
    chain = _chain(leaf, others, chain_file or secret.file)
    kind: Literal["rsa", "ec"] = "rsa" if isinstance(key, rsa.RSAPrivateKey) else "ec"
    return SigningKey(secret.file, tuple(one.public_bytes(Encoding.DER) for one in (leaf, *chain)), kind, key)


def load_anchors(place: Path) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM or DER file, or of all such files of a folder. Raises Misconfigured."""
    files = sorted(file for end in _ENDS for file in place.glob(end)) if place.is_dir() else [place]
    found = [one for file in files for one in _certificates(file, _read(file))]
    if not found:
        raise _wrong(place, "aucun certificat d'autorité ici : mettez-y ceux de l'IGC-Santé (.pem, .crt, .cer ou .der)")
    return tuple(dict.fromkeys(one.public_bytes(Encoding.DER) for one in found))


# --- files


def _from_pem(secret: Secret, raw: bytes) -> tuple[object, x509.Certificate, tuple[x509.Certificate, ...]]:
    """(key, its certificate, the others): the certificate is the first of the file."""
    leaf, *others = _certificates(secret.file, raw) or (None,)
    if leaf is None:
        raise _wrong(secret.file, "ce fichier ne contient pas de certificat")
    key_file = secret.key_file or secret.file
    return _key(key_file, _read(key_file), _password(secret)), leaf, tuple(others)


def _from_pkcs12(secret: Secret, raw: bytes) -> tuple[object, x509.Certificate, tuple[x509.Certificate, ...]]:
    password = _password(secret)
    try:
        bag = pkcs12.load_pkcs12(raw, password)
    except (ValueError, UnsupportedAlgorithm):
        why = "le mot de passe est faux, ou ce fichier n'est pas un PKCS#12 (.p12)"
        raise _wrong(secret.file, f"{why} : vérifiez password_file") from None
    if bag.key is None or bag.cert is None:
        raise _wrong(secret.file, "ce fichier ne contient pas de clé privée avec son certificat")
    return bag.key, bag.cert.certificate, tuple(other.certificate for other in bag.additional_certs)


def _key(file: Path, raw: bytes, password: bytes) -> object:
    load = load_pem_private_key if _PEM in raw else load_der_private_key
    try:
        try:
            return load(raw, password or None)
        except TypeError:  # a password for a key that has none
            return load(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _wrong(file, "la clé privée manque, ou son mot de passe est faux : vérifiez password_file") from None


def _certificates(file: Path, raw: bytes) -> tuple[x509.Certificate, ...]:
    try:
        if _PEM in raw:
            return tuple(x509.load_pem_x509_certificates(raw)) if b"-BEGIN CERTIFICATE-" in raw else ()
        return (x509.load_der_x509_certificate(raw),)
    except ValueError:
        raise _wrong(file, "ce fichier n'est pas un certificat lisible") from None


def _password(secret: Secret) -> bytes:
    """The first line of the password file, b"" without one."""
    if secret.password_file is None:
        return b""
    return _read(secret.password_file).split(b"\n", 1)[0].rstrip(b"\r")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST + 1)
    except OSError as error:
        raise _wrong(path, f"ce fichier ne peut pas être lu ({error.strerror})") from None
    if len(raw) > _MOST:
        raise _wrong(path, "ce fichier est trop gros pour un certificat ou une clé")
    return raw


def _wrong(path: Path, reason: str) -> Misconfigured:
    return Misconfigured(f"{path}:1 - {reason}.", _PUBLIC)


# --- what belongs together


def _same(key: _Key, leaf: x509.Certificate, secret: Secret) -> None:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != leaf.public_key().public_bytes(*form):
        why = "la clé privée n'est pas celle du certificat de signature"
        raise _wrong(secret.key_file or secret.file, f"{why} : prenez la clé livrée avec lui")


def _chain(leaf: x509.Certificate, others: tuple[x509.Certificate, ...], file: Path) -> tuple[x509.Certificate, ...]:
    """The authorities from the one that issued `leaf` up to below the root. The one that issued it must be there; that
    the root itself is not in the files is usual."""
    chain: list[x509.Certificate] = []
    below = leaf
    while below.issuer != below.subject and len(chain) < _DEEPEST:
        above = next((one for one in others if has_issued(one, below)), None)
        if above is None:
            break
        chain.append(above)
        below = above
    if leaf.issuer == leaf.subject:
        raise _wrong(file, "le certificat de signature s'est signé lui-même : aucun destinataire ne le reconnaîtra")
    if not chain:
        why = f"il manque le certificat de l'autorité qui a émis celui-ci ({leaf.issuer.rfc4514_string()})"
        raise _wrong(file, f"{why} : ajoutez-le à chain_file, sinon les destinataires ne pourront rien vérifier")
    return tuple(one for one in chain if one.issuer != one.subject)
