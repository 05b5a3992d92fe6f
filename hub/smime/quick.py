"""A second reading of a signature, for the one shape that nearly all have, at a tenth of the price of the first.

In: the bytes of a detached signature. Out: the `Signature` that `cms.read_signature` gives, or None. That one stays the
judge: it alone refuses, and it alone reads what is BER, opaque, RSA-PSS, old or odd. So this one has no opinion of its
own: where it could be wrong about what asn1crypto makes of the bytes, it says None, and costs a hundredth of a
millisecond. A test bends real signatures in all ways and holds the two answers side by side.

cryptography decodes: strict DER, checked in Rust against the types below, in which a field more is a refusal.
"""

from __future__ import annotations

import hashlib
from datetime import UTC
from typing import Annotated

from cryptography.hazmat.asn1 import (
    TLV,
    Explicit,
    Implicit,
    Null,
    SetOf,
    UTCTime,
    decode_der,
    sequence,
)
from cryptography.x509 import ObjectIdentifier

from hub.smime.cms import CERTIFICATES_MOST, SIGNATURE_MOST, UNREADABLE, Refused, Scheme, Signature, signers_own
from hub.smime.signing import tlv

_SIGNED_DATA, _DATA = ObjectIdentifier("1.2.840.113549.1.7.2"), ObjectIdentifier("1.2.840.113549.1.7.1")
_CONTENT_TYPE, _MESSAGE_DIGEST = ObjectIdentifier("1.2.840.113549.1.9.3"), ObjectIdentifier("1.2.840.113549.1.9.4")
_SIGNING_TIME, _PROTECTION = ObjectIdentifier("1.2.840.113549.1.9.5"), ObjectIdentifier("1.2.840.113549.1.9.52")
_OLD_CERTIFICATE = ObjectIdentifier("1.2.840.113549.1.9.16.2.12")
_CERTIFICATE = ObjectIdentifier("1.2.840.113549.1.9.16.2.47")
_DIGESTS = {
    ObjectIdentifier("2.16.840.1.101.3.4.2.1"): "sha256",
    ObjectIdentifier("2.16.840.1.101.3.4.2.2"): "sha384",
    ObjectIdentifier("2.16.840.1.101.3.4.2.3"): "sha512",
}
_RSA = ObjectIdentifier("1.2.840.113549.1.1.1")
_SCHEMES: dict[tuple[str, ObjectIdentifier], Scheme] = {
    ("sha256", _RSA): "rsa",
    ("sha384", _RSA): "rsa",
    ("sha512", _RSA): "rsa",
    ("sha256", ObjectIdentifier("1.2.840.113549.1.1.11")): "rsa",
    ("sha384", ObjectIdentifier("1.2.840.113549.1.1.12")): "rsa",
    ("sha512", ObjectIdentifier("1.2.840.113549.1.1.13")): "rsa",
    ("sha256", ObjectIdentifier("1.2.840.10045.4.3.2")): "ecdsa",
    ("sha384", ObjectIdentifier("1.2.840.10045.4.3.3")): "ecdsa",
    ("sha512", ObjectIdentifier("1.2.840.10045.4.3.4")): "ecdsa",
}
_INTEGER, _SEQUENCE, _SET = 0x02, 0x30, 0x31


# --- the shape (RFC 5652 §5.1, §5.3); a list where a SET OF is often written out of order


@sequence
class _Algorithm:
    type: ObjectIdentifier
    parameters: Null | None


@sequence
class _Attribute:
    type: ObjectIdentifier
    values: SetOf[TLV]


@sequence
class _Number:
    issuer: TLV
    serial: TLV


@sequence
class _Signer:
    version: int
    named: _Number | Annotated[bytes, Implicit(0)]
    digest: _Algorithm
    attributes: Annotated[list[_Attribute], Implicit(0)]
    scheme: _Algorithm
    value: bytes


@sequence
class _SignerAsWritten:
    version: TLV
    named: TLV
    digest: TLV
    attributes: TLV
    scheme: TLV
    value: TLV


@sequence
class _Content:
    type: ObjectIdentifier


@sequence
class _Signed:
    version: int
    digests: SetOf[TLV]
    content: _Content
    certificates: Annotated[list[TLV], Implicit(0)]
    signers: SetOf[TLV]


@sequence
class _Whole:
    type: ObjectIdentifier
    signed: Annotated[_Signed, Explicit(0)]


@sequence
class _Protected:  # RFC 6211
    digest: _Algorithm
    scheme: Annotated[_Algorithm, Implicit(1)]


@sequence
class _Meant:  # RFC 5035, its digest SHA-256 and therefore not named
    digest: bytes


@sequence
class _AllMeant:
    certificates: list[_Meant]


# --- the reading


class _Unusual(ValueError):
    """Not for this reading."""


def read_quickly(blob: bytes) -> Signature | None:
    """What `read_signature` says of a detached signature; None: ask it. Raises nothing."""
    if len(blob) > SIGNATURE_MOST:
        return None
    try:
        whole = decode_der(_Whole, blob)
        _only_if(whole.type == _SIGNED_DATA and whole.signed.content.type == _DATA)
        return _read(whole.signed)
    except (*UNREADABLE, Refused):
        return None


def _read(signed: _Signed) -> Signature:
    (one,) = signed.signers.as_list()
    signer = one.parse(_Signer)
    digest_name = _DIGESTS[signer.digest.type]
    scheme = _SCHEMES[digest_name, signer.scheme.type]
    certificate, others = _certificates(signed.certificates, signer.named)
    stated = _attributes(signer.attributes)
    _only_if(stated[_CONTENT_TYPE].parse(ObjectIdentifier) == _DATA)
    if _PROTECTION in stated:
        protected = stated[_PROTECTION].parse(_Protected)
        _only_if((protected.digest.type, protected.scheme.type) == (signer.digest.type, signer.scheme.type))
    if _CERTIFICATE in stated:
        (meant,) = stated[_CERTIFICATE].parse(_AllMeant).certificates
        _only_if(meant.digest == hashlib.sha256(certificate).digest())
    signed_at = stated[_SIGNING_TIME].parse(UTCTime).as_datetime() if _SIGNING_TIME in stated else None
    return Signature(
        certificate=certificate,
        others=others,
        attributes=_element(_SET, one.parse(_SignerAsWritten).attributes.data),  # as the SET that it is, §5.4
        digest=stated[_MESSAGE_DIGEST].parse(bytes),
        digest_name=digest_name,
        scheme=scheme,
        value=signer.value,
        salt=0,
        signed_at=signed_at.replace(tzinfo=UTC) if signed_at else None,
    )


def _certificates(kept: list[TLV], named: _Number | bytes) -> tuple[bytes, tuple[bytes, ...]]:
    _only_if(len(kept) <= CERTIFICATES_MOST)
    each = [_element(_SEQUENCE, _content(_SEQUENCE, one)) for one in kept]
    if isinstance(named, bytes):
        return signers_own(each, named)
    issuer = _element(_SEQUENCE, _content(_SEQUENCE, named.issuer))
    return signers_own(each, (issuer, bytes(_content(_INTEGER, named.serial))))


def _attributes(attributes: list[_Attribute]) -> dict[ObjectIdentifier, TLV]:
    """Type -> its only value. Types that no reading looks at are there too."""
    stated = {each.type: each.values.as_list() for each in attributes}
    _only_if(len(stated) == len(attributes) and _OLD_CERTIFICATE not in stated)
    _only_if(all(len(values) == 1 for values in stated.values()))
    return {kind: values[0] for kind, values in stated.items()}


def _content(tag: int, one: TLV) -> memoryview:
    _only_if(one.tag_bytes == bytes((tag,)))
    return one.data


def _element(tag: int, content: memoryview) -> bytes:
    """An element as it is written, which in DER is the only way. asn1crypto takes a length that ends in 0x80 for one
    that is not known before the end (BER), and may give other bytes."""
    _only_if(len(content) % 256 != 128)
    return tlv(tag, bytes(content))


def _only_if(is_usual: bool) -> None:
    if not is_usual:
        raise _Unusual
