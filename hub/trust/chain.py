"""The chain of a certificate: from itself up to the highest authority that is known, at one moment.

In: a leaf and the known authorities, DER. Out: certificates, the leaf first, each issued by the next. OpenSSL builds it
and checks signatures, dates, and that each authority may be one (RFC 5280 §6). Whatever the peer sent beside its leaf
is not looked at. Failures: `Untrusted`, with its code.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from OpenSSL import crypto

from hub.errors import Untrusted

_PARTIAL = crypto.X509StoreFlags.PARTIAL_CHAIN
# X509_V_ERR_…, <openssl/x509_vfy.h>
_UNKNOWN = frozenset({2, 19, 20, 21})
_CODES = {9: "peer-not-yet-valid", 10: "peer-expired", 18: "peer-self-signed"}
_REFUSED = (
    "Le certificat de l'opérateur n'est pas reconnu : le hub ne lui transmet rien et réessaiera de lui-même. "
    "L'administrateur doit joindre l'opérateur avant de changer quoi que ce soit."
)


def chain_of(leaf: bytes, anchors: Iterable[bytes], known: Iterable[bytes], at: datetime) -> tuple[bytes, ...]:
    """One of `anchors` stands in it. Ends with a root, or with the highest that is known. Raises Untrusted."""
    try:
        company = [crypto.load_certificate(crypto.FILETYPE_ASN1, raw) for raw in known]
        found = _built(leaf, company, at, 0) or _built(leaf, company, at, _PARTIAL)
    except crypto.Error:
        raise _unreadable() from None
    if found is None:
        raise issuer_unknown(read_certificate(leaf))
    if not set(found) & set(anchors):
        raise _refused("peer-wrong-authority", "issued by an authority that may not vouch for servers")
    return found


def _built(leaf: bytes, company: list[crypto.X509], at: datetime, flags: int) -> tuple[bytes, ...] | None:
    """None: an authority is not known."""
    store = crypto.X509Store()  # a new one each time: OpenSSL keeps the first time that a store was given, silently
    for one in company:
        store.add_cert(one)
    store.set_flags(flags)
    store.set_time(at.astimezone(UTC))
    try:
        certificate = crypto.load_certificate(crypto.FILETYPE_ASN1, leaf)
        chain = crypto.X509StoreContext(store, certificate).get_verified_chain()
    except crypto.X509StoreContextError as error:
        number = error.errors[0] if error.errors else None
        if number in _UNKNOWN:
            return None
        code = _CODES.get(number, "peer-chain") if isinstance(number, int) else "peer-chain"
        raise _refused(code, f"the chain does not hold (OpenSSL {number})") from None
    return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, one) for one in chain)


# What the library raises for a certificate that it cannot read.
UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


def read_certificate(raw: bytes) -> x509.Certificate:
    """With extensions that can be read. Raises Untrusted."""
    try:
        certificate = x509.load_der_x509_certificate(raw)
        _ = certificate.extensions, certificate.subject, certificate.issuer  # read only when asked for
    except UNREADABLE:
        raise _unreadable() from None
    return certificate


def issuer_unknown(leaf: x509.Certificate) -> Untrusted:
    """Its root may be known, and what the server sends beside it is not looked at."""
    issuer = leaf.issuer.rfc4514_string()
    return Untrusted(
        "peer-unknown-authority",
        f"no known authority has issued it; its issuer is {issuer}",
        f"Le certificat du serveur a été émis par une autorité que le hub ne connaît pas ({issuer}) : le hub ne lui "
        "transmet rien. Si c'est bien l'une des vôtres, ajoutez son certificat, intermédiaires compris, à ca_file.",
    )


def _unreadable() -> Untrusted:
    return _refused("peer-unreadable", "the certificate cannot be read")


def _refused(code: str, private: str) -> Untrusted:
    return Untrusted(code, private, _REFUSED)


def has_issued(above: x509.Certificate, below: x509.Certificate) -> bool:
    """Name and signature fit; a root has issued itself."""
    if above.subject != below.issuer:
        return False
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
