"""Who vouches for a signer's certificate: the chain up to a trust anchor, at one moment, and whether it may sign mail.

In: the certificate, those that came with it, the anchors (all DER), the moment. Out: a `Path`. OpenSSL builds and
checks the chain (RFC 5280, strict); the anchors given are all that is trusted, an intermediate authority may be one.
What OpenSSL does not ask is asked here: that no certificate of the chain is weak, and that each may be used for mail
(RFC 8550 §4.4). Revocation is not looked at.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID
from OpenSSL import crypto

from hub.message import Finding

_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME; pyOpenSSL has no name for it
_FLAGS = crypto.X509StoreFlags.X509_STRICT | crypto.X509StoreFlags.PARTIAL_CHAIN
_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_…, <openssl/x509_vfy.h>
_CODES = {
    _NOT_YET: "not-yet-valid",
    _EXPIRED: "expired",
    7: "chain-broken",
    18: "self-signed",
    19: "unknown-authority",
    2: "unknown-authority",
    20: "unknown-authority",
    21: "unknown-authority",
    24: "not-an-authority",
    25: "not-an-authority",
    32: "not-an-authority",
    79: "not-an-authority",
}
_ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
RSA_LEAST = 2048  # bits (RGS B1; RFC 8551 §4)
EC_LEAST = 256


@dataclass(frozen=True, slots=True)
class Path:
    """`chain` holds fingerprints, from the signer to the anchor; empty when there is no whole chain."""

    finding: Finding
    time: Finding
    codes: tuple[str, ...] = ()
    chain: tuple[str, ...] = ()


def follow(
    signer: bytes,
    others: tuple[bytes, ...],
    anchors: tuple[bytes, ...],
    at: datetime,
    purposes: frozenset[str],
) -> Path:
    """`purposes`: dotted extended key usages, one of which must stand in a certificate that names any."""
    if not anchors:
        leaf = loaded(signer).certificate
        time: Finding = "good" if leaf.not_valid_before_utc <= at <= leaf.not_valid_after_utc else "bad"
        return Path("unknown", time, ("no-anchors", *(("expired",) if time == "bad" else ())))
    timing: tuple[str, ...] = ()
    found, code = _whenever(signer, others, anchors)
    if found is None or not all(_is_valid(raw, at) for raw in found):
        found, code = _built(signer, others, anchors, at)
        if code in ("expired", "not-yet-valid"):  # is it a good chain otherwise? A human wants to know
            timing = (code,)
            found, code = _whenever(signer, others, anchors)
    if found is None:
        return Path("bad", "bad" if timing else "unknown", (*timing, code))
    last = len(found) - 1
    each = (_faults(raw, purposes, place == 0, 0 < place == last) for place, raw in enumerate(found))
    faults = tuple(dict.fromkeys(fault for faults in each for fault in faults))
    fingerprints = tuple(loaded(raw).fingerprint for raw in found)
    return Path("bad" if faults else "good", "bad" if timing else "good", (*timing, *faults), fingerprints)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A certificate in the two forms that the libraries want, its key, and its SHA-256 in hexadecimal."""

    certificate: x509.Certificate
    for_openssl: crypto.X509
    key: CertificatePublicKeyTypes
    fingerprint: str


# What is said of a certificate is kept, since the same correspondents write again.
_KEPT = 128


@lru_cache(_KEPT)
def loaded(raw: bytes) -> Loaded:
    """From DER. Raises ValueError, UnsupportedAlgorithm, crypto.Error."""
    certificate = x509.load_der_x509_certificate(raw)
    for_openssl = crypto.load_certificate(crypto.FILETYPE_ASN1, raw)
    return Loaded(certificate, for_openssl, certificate.public_key(), hashlib.sha256(raw).hexdigest())


@lru_cache(_KEPT)
def _whenever(
    signer: bytes, others: tuple[bytes, ...], anchors: tuple[bytes, ...]
) -> tuple[tuple[bytes, ...] | None, str]:
    """`_built` without a look at the clock: such a chain is good at each moment at which all its certificates are."""
    return _built(signer, others, anchors, None)


def _is_valid(raw: bytes, at: datetime) -> bool:
    """Surely valid; at the very second of its end OpenSSL decides."""
    certificate = loaded(raw).certificate
    return certificate.not_valid_before_utc <= at < certificate.not_valid_after_utc


def _built(
    signer: bytes, others: tuple[bytes, ...], anchors: tuple[bytes, ...], at: datetime | None
) -> tuple[tuple[bytes, ...] | None, str]:
    """The chain from signer to anchor, DER, or None and why. `at` None: whenever."""
    store = crypto.X509Store()  # a new one each time: OpenSSL keeps the first time that a store was given, silently
    for raw in anchors:
        store.add_cert(loaded(raw).for_openssl)
    store.set_flags(_FLAGS if at is not None else _FLAGS | _NO_CHECK_TIME)
    if at is not None:
        store.set_time(at.astimezone(UTC))
    company = [loaded(raw).for_openssl for raw in others]
    try:
        chain = crypto.X509StoreContext(store, loaded(signer).for_openssl, company).get_verified_chain()
    except crypto.X509StoreContextError as error:
        number = error.errors[0] if error.errors else None
        return None, _CODES.get(number, "chain-refused") if isinstance(number, int) else "chain-refused"
    return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, one) for one in chain), ""


@lru_cache(_KEPT)
def _faults(raw: bytes, purposes: frozenset[str], is_signer: bool, is_anchor: bool) -> tuple[str, ...]:
    """What OpenSSL does not mind in a certificate of a chain. An anchor is trusted for itself, whoever signed it."""
    certificate, faults = loaded(raw).certificate, []
    has_sound_signature = is_anchor or isinstance(certificate.signature_hash_algorithm, _HASHES)
    if is_weak(loaded(raw).key) or not has_sound_signature:
        faults.append("weak-certificate")
    if not may_sign_mail(certificate, purposes, is_signer=is_signer):
        faults.append("wrong-usage")
    return tuple(faults)


def is_weak(key: object) -> bool:
    """Whether a public key is too short, or of a kind that mail programs do not know."""
    match key:
        case rsa.RSAPublicKey():
            return key.key_size < RSA_LEAST
        case ec.EllipticCurvePublicKey():
            return key.key_size < EC_LEAST
        case _:
            return True


def may_sign_mail(certificate: x509.Certificate, purposes: frozenset[str], *, is_signer: bool) -> bool:
    """The usages that a certificate names, if any, allow it (RFC 8550 §4.4.2, §4.4.4)."""
    extensions = certificate.extensions
    try:
        named = {usage.dotted_string for usage in extensions.get_extension_for_class(x509.ExtendedKeyUsage).value}
        if not named & (purposes | {_ANY_PURPOSE}):
            return False
    except x509.ExtensionNotFound:
        pass
    if not is_signer:
        return True
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False  # an authority signs certificates, not mails
    except x509.ExtensionNotFound:
        pass
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.digital_signature or usage.content_commitment
