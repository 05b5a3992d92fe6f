"""Signatures as a forger, or an odd mail program, would make them: every field of the CMS can be bent."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asn1crypto import cms, core, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from tests.signers import AT, Holder, head

HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
BOUNDARY = "=_dehors"


def mail(
    entity: bytes, blob: bytes, more: str = "", author: str | None = None, protocol: str = "pkcs7-signature"
) -> bytes:
    """A signed mail around any signature."""
    outer = head(more=more) if author is None else head(author, more)
    return outer + multipart(entity, blob, protocol)


def multipart(entity: bytes, blob: bytes, protocol: str = "pkcs7-signature") -> bytes:
    quoted = BOUNDARY.encode()
    return (
        f'Content-Type: multipart/signed; protocol="application/{protocol}"; micalg=sha-256;\r\n'
        f' boundary="{BOUNDARY}"\r\n\r\n--{BOUNDARY}\r\n'.encode()
        + entity
        + b"\r\n--" + quoted + b"\r\n" + signature_part(blob, protocol) + b"\r\n--" + quoted + b"--\r\n"
    )  # fmt: skip


def signature_part(blob: bytes, protocol: str = "pkcs7-signature") -> bytes:
    return (
        f'Content-Type: application/{protocol}; name="smime.p7s"\r\nContent-Transfer-Encoding: base64\r\n\r\n'.encode()
        + base64.encodebytes(blob).replace(b"\n", b"\r\n")
    )


def opaque(blob: bytes, author: str | None = None) -> bytes:
    outer = head() if author is None else head(author)
    kind = b'Content-Type: application/pkcs7-mime; smime-type=signed-data; name="smime.p7m"\r\n'
    return (
        outer + kind + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(blob).replace(b"\n", b"\r\n")
    )


def forged(
    content: bytes,
    *holders: Holder,
    digest: str = "sha256",
    named_digest: str | None = None,
    scheme: str = "plain",
    inside: bytes | None = None,
    certificates: Sequence[bytes] | None = None,
    attributes: Sequence[dict[str, Any]] | None = None,
    more: Sequence[dict[str, Any]] = (),
    signed_at: datetime | None = AT,
    is_bare: bool = False,
    content_type: str = "data",
    by_key: bool = False,
    named: Holder | None = None,
) -> bytes:
    """The DER of a signed-data. `inside`: eContent; `is_bare`: no signed attributes; `named`: whose certificate the
    signer is said to have; `named_digest`: the digest that is written, `digest` the one that is used."""
    kept = certificates if certificates is not None else [raw for holder in holders for raw in holder.certificates]
    infos = []
    for holder in holders:
        chosen = attributes
        if chosen is None:
            chosen = [_attribute("content_type", content_type)]
            chosen.append(_attribute("message_digest", hashlib.new(digest, content).digest()))
            if signed_at is not None:
                chosen.append(_attribute("signing_time", cms.Time({"utc_time": core.UTCTime(signed_at)})))
        infos.append(
            _info(holder, content, [*chosen, *more], digest, named_digest or digest, scheme, is_bare, by_key, named)
        )
    encapsulated: dict[str, Any] = {"content_type": content_type}
    if inside is not None:
        encapsulated["content"] = core.OctetString(inside, explicit=0)
    signed = {
        "version": "v1",
        "digest_algorithms": [{"algorithm": named_digest or digest}],
        "encap_content_info": encapsulated,
        "certificates": [x509.Certificate.load(raw) for raw in kept],
        "signer_infos": infos,
    }
    raw: bytes = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)}).dump()
    return raw


def _attribute(kind: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "values": [value]}


attribute = _attribute


def _info(
    holder: Holder,
    content: bytes,
    attributes: list[dict[str, Any]],
    digest: str,
    named_digest: str,
    scheme: str,
    is_bare: bool,
    by_key: bool,
    named: Holder | None,
) -> cms.SignerInfo:
    leaf = x509.Certificate.load((named or holder).der)
    bag = cms.CMSAttributes(attributes)
    value, algorithm = _signed(holder, content if is_bare else bag.dump(), digest, named_digest, scheme)
    by_number = {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
    sid = ("subject_key_identifier", leaf.key_identifier) if by_key else ("issuer_and_serial_number", by_number)
    info = {
        "version": "v3" if by_key else "v1",
        "sid": cms.SignerIdentifier(*sid),
        "digest_algorithm": {"algorithm": named_digest},
        "signature_algorithm": algorithm,
        "signature": value,
    }
    return cms.SignerInfo(info if is_bare else info | {"signed_attrs": bag})


def _signed(holder: Holder, what: bytes, digest: str, named: str, scheme: str) -> tuple[bytes, dict[str, Any]]:
    if isinstance(holder.key, ec.EllipticCurvePrivateKey):
        return holder.key.sign(what, ec.ECDSA(HASHES[digest])), {"algorithm": f"{named}_ecdsa"}
    assert isinstance(holder.key, rsa.RSAPrivateKey)
    if scheme == "pss":
        used = padding.PSS(padding.MGF1(HASHES[digest]), 32)
        parameters = {
            "hash_algorithm": {"algorithm": digest},
            "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": {"algorithm": digest}},
            "salt_length": 32,
        }
        return holder.key.sign(what, used, HASHES[digest]), {"algorithm": "rsassa_pss", "parameters": parameters}
    algorithm = f"{named}_rsa" if scheme == "named" else "rsassa_pkcs1v15"
    return holder.key.sign(what, padding.PKCS1v15(), HASHES[digest]), {"algorithm": algorithm}
