"""The writer of signatures: a MIME entity becomes `multipart/signed` (RFC 8551 §3.5.3, RFC 5652), once and for ever.

In: the entity as it will travel, a `Signer`, the moment, a boundary. Out: the bytes from `Content-Type:` to the closing
delimiter; whoever writes the mail puts the other headers (From, To, X-MSS…) before them, never inside. Detached, so
that a reader that knows no S/MIME still sees text and attachments; SHA-256; the whole chain, signer first.

Only what no relay has a reason to change may be signed: `why_not_canonical` says what that is. The entity is digested
where it lies and copied once, into the result; who writes a large mail in pieces uses `opening` and `closing` instead.

asn1crypto writes what is the same for each signature of a signer, once; the few lines that differ are written here,
since to build the whole anew would cost more than the signature itself (libs.md §1).
"""

from __future__ import annotations

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, Protocol

LINE_MOST = 998  # RFC 5322 §2.1.1
BASE64_LINE = 76  # RFC 2045 §6.8
PROTOCOL = b"application/pkcs7-signature"
_BOUNDARY = re.compile(r"[A-Za-z0-9'()+_,./:=?-]{1,69}")  # RFC 2046 §5.1.1, without blanks
_BAD_LINE = re.compile(rb"\n(?:(?<!\r\n)|(?<=[ \t]\r\n)|From )")  # begins with a plain byte: found at memchr's speed
_ENTITY_HEADER = re.compile(rb"Content-[A-Za-z-]+:|[ \t]", re.IGNORECASE)
_SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.47"  # v2, RFC 5035; asn1crypto knows its name by chance of imports
_FIRST_YEAR_OF_GENERALIZED_TIME = 2050  # RFC 5652 §11.3


class Signer(Protocol):
    """A certificate with its key, which stays where it is (`hub.trust.signing`, or a card)."""

    @property
    def certificates(self) -> tuple[bytes, ...]:
        """DER: the signer's, then those of the authorities above it, the root left out."""
        ...

    @property
    def kind(self) -> Literal["rsa", "ec"]: ...

    def sign(self, attributes: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5, or ECDSA as DER, with SHA-256 over `attributes`."""
        ...


class NotCanonical(ValueError):
    """`why` says what is wrong with the entity (`why_not_canonical`)."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the entity cannot be signed: {why}")
        self.why = why


def sign(entity: bytes, signer: Signer, at: datetime, boundary: str) -> bytes:
    """`entity`: headers (`Content-…` only) and body, CRLF line ends. `at`: aware. Raises ValueError for an entity that
    could not arrive as it is (NotCanonical), or in which the boundary stands: a fault of its writer."""
    if why := why_not_canonical(entity):
        raise NotCanonical(why)
    if b"--" + boundary.encode("ascii") in entity:
        raise ValueError("the boundary stands in the entity")
    digest = hashlib.sha256(entity).digest()
    return b"".join((opening(boundary), entity, closing(digest, signer, at, boundary)))


def opening(boundary: str) -> bytes:
    """What stands before the entity: the header of the multipart, the blank line, the first delimiter."""
    if not _BOUNDARY.fullmatch(boundary):
        raise ValueError("this is no boundary")
    quoted = boundary.encode("ascii")
    return (
        b'Content-Type: multipart/signed; protocol="' + PROTOCOL + b'";\r\n micalg=sha-256; boundary="' + quoted + b'"'
        b"\r\n\r\n--" + quoted + b"\r\n"
    )


def closing(digest: bytes, signer: Signer, at: datetime, boundary: str) -> bytes:
    """What stands after the entity, whose SHA-256 is `digest`: the signature as its own part, the last delimiter."""
    quoted = boundary.encode("ascii")
    return (
        b"\r\n--" + quoted + b"\r\nContent-Type: " + PROTOCOL + b'; name="smime.p7s"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n'
        + _lines(binascii.b2a_base64(detached(digest, signer, at), newline=False))
        + b"\r\n\r\n--"
        + quoted
        + b"--\r\n"
    )


def _lines(encoded: bytes) -> bytes:
    return b"\r\n".join([encoded[at : at + BASE64_LINE] for at in range(0, len(encoded), BASE64_LINE)])


def why_not_canonical(entity: bytes) -> str:
    """Why an entity may not be signed, "" when it may: 7-bit, CRLF line ends, lines of 998 at most, nothing that a
    relay or a mailbox file changes (blanks at the end of a line, `From ` at its start), and no header but `Content-…`:
    the others stay outside (RH-75)."""
    if not entity.isascii() or b"\0" in entity:
        return "it is not 7-bit"
    if entity.count(b"\n") != entity.count(b"\r") or _BAD_LINE.search(entity) or entity.endswith((b" ", b"\t")):
        return "a line does not end in CRLF, ends in a blank or begins with From"
    if _has_long_line(entity):
        return "a line is too long"
    if entity.startswith(b"\r\n"):
        return ""  # no header at all: text/plain
    end = entity.find(b"\r\n\r\n")
    if end < 0:
        return "it has no body"
    if not all(_ENTITY_HEADER.match(line) for line in entity[:end].split(b"\r\n")):
        return "a header of the mail stands inside"
    return ""


def _has_long_line(entity: bytes) -> bool:
    """From one line end to the last that is near enough: a look for each KB, not for each line."""
    at, last = -1, len(entity)
    while last - at - 1 > LINE_MOST + 2:
        near = entity.rfind(b"\n", at + 1, at + 1 + LINE_MOST + 2)
        if near < 0:
            return True
        at = near
    return b"\n" not in entity[at + 1 :] and last - at - 1 > LINE_MOST


# --- the CMS


@dataclass(frozen=True, slots=True)
class _Constant:
    """What is the same in all signatures of a signer, DER. `head`: the fields of the signed-data before its signers;
    `begin`: those of the signer before its attributes; `algorithm`: of the signature; `attributes`: two of four. The
    rest are names of types."""

    head: bytes
    begin: bytes
    algorithm: bytes
    attributes: tuple[bytes, ...]
    signed_data: bytes
    signing_time: bytes
    message_digest: bytes


def detached(digest: bytes, signer: Signer, at: datetime) -> bytes:
    """The signed-data of a content with this SHA-256; DER, but for the order of the certificates."""
    constant = _constant(signer.certificates, signer.kind)
    own = (
        _attribute(constant.signing_time, _time(at)),
        _attribute(constant.message_digest, tlv(_OCTETS, digest)),
    )
    attributes = b"".join(sorted((*constant.attributes, *own)))  # what is signed is DER, where a SET OF is sorted
    value = signer.sign(tlv(_SET, attributes))
    info = constant.begin + tlv(_TAG_0, attributes) + constant.algorithm + tlv(_OCTETS, value)
    signed = tlv(_SEQUENCE, constant.head + tlv(_SET, tlv(_SEQUENCE, info)))
    return tlv(_SEQUENCE, constant.signed_data + tlv(_TAG_0, signed))


@lru_cache(maxsize=64)
def _constant(certificates: tuple[bytes, ...], kind: Literal["rsa", "ec"]) -> _Constant:
    from asn1crypto import algos, cms, core, tsp, x509  # the reader's child has no use for them

    leaf = x509.Certificate.load(certificates[0])
    data, attribute = cms.ContentType("data").dump(), cms.CMSAttributeType
    version, sha256 = core.Integer(1).dump(), algos.DigestAlgorithm({"algorithm": "sha256"}).dump()
    named = cms.IssuerAndSerialNumber({"issuer": leaf.issuer, "serial_number": leaf.serial_number}).dump()
    algorithm = {"rsa": "rsassa_pkcs1v15", "ec": "sha256_ecdsa"}[kind]  # rsaEncryption: what every reader knows
    meant = tsp.SigningCertificateV2({"certs": [{"cert_hash": hashlib.sha256(certificates[0]).digest()}]})
    return _Constant(
        # The order of the certificates is ours, signer first: some readers expect it, and the standard has none.
        head=version + tlv(_SET, sha256) + tlv(_SEQUENCE, data) + tlv(_TAG_0, b"".join(certificates)),
        begin=version + named + sha256,
        algorithm=algos.SignedDigestAlgorithm({"algorithm": algorithm}).dump(),
        attributes=(
            _attribute(attribute("content_type").dump(), data),
            _attribute(attribute(_SIGNING_CERTIFICATE).dump(), meant.dump()),
        ),
        signed_data=cms.ContentType("signed_data").dump(),
        signing_time=attribute("signing_time").dump(),
        message_digest=attribute("message_digest").dump(),
    )


_SEQUENCE, _SET, _OCTETS, _TAG_0, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0x31, 0x04, 0xA0, 0x17, 0x18


def _attribute(kind: bytes, value: bytes) -> bytes:
    return tlv(_SEQUENCE, kind + tlv(_SET, value))


def _time(at: datetime) -> bytes:
    moment = at.astimezone(UTC)
    if moment.year < _FIRST_YEAR_OF_GENERALIZED_TIME:
        return tlv(_UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode("ascii"))
    return tlv(_GENERALIZED_TIME, moment.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def tlv(tag: int, content: bytes) -> bytes:
    """DER of one element: tag, shortest length, content (X.690 §10.1)."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content
