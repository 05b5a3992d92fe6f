"""The quick reading of a signature answers as asn1crypto does, or not at all."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import algos, cms, core, tsp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.smime.cms import SIGNATURE_MOST, Refused, Signature, read_signature
from hub.smime.quick import read_quickly
from hub.smime.signing import detached
from tests.amounts import examples
from tests.forger import attribute, forged
from tests.signers import AT, ENTITY, Authority, Holder

RSA, EC = Authority("rsa"), Authority("ec")
SIGNER, CURVE = RSA.signer(), EC.signer()
DIGEST = hashlib.sha256(ENTITY).digest()


def slowly(blob: bytes) -> Signature | None:
    try:
        return read_signature(blob, is_detached=True)
    except Refused:
        return None


def of_another_library(holder: Holder) -> bytes:
    """As cryptography signs: with S/MIME capabilities."""
    builder = pkcs7.PKCS7SignatureBuilder().set_data(ENTITY)
    builder = builder.add_signer(holder.certificate, holder.key, hashes.SHA256())
    return builder.sign(Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature])


def protection(digest: str = "sha256", signature: str = "rsassa_pkcs1v15") -> dict[str, Any]:
    stated = {"digest_algorithm": {"algorithm": digest}, "signature_algorithm": {"algorithm": signature}}
    return attribute("cms_algorithm_protection", cms.CMSAlgorithmProtection(stated))


def certificate_meant(holder: Holder, digest: str = "sha256", more: int = 0) -> dict[str, Any]:
    one: dict[str, Any] = {"cert_hash": hashlib.new(digest, holder.der).digest()}
    if digest != "sha256":
        one["hash_algorithm"] = {"algorithm": digest}
    return attribute("signing_certificate_v2", tsp.SigningCertificateV2({"certs": [one] * (1 + more)}))


def unknown(size: int) -> dict[str, Any]:
    return attribute("1.2.250.1.999.1", core.Any(core.OctetString(bytes(size))))


def with_attributes(size: int) -> bytes:
    """Signed attributes that are `size` bytes long, all together."""
    blob = b""
    for filling in range(size):
        blob = forged(ENTITY, SIGNER, more=[unknown(filling)])
        if len(signer_of(cms.ContentInfo.load(blob))["signed_attrs"].contents) >= size:
            break
    return blob


def signer_of(info: Any) -> Any:
    return info["content"]["signer_infos"][0]


USUAL = {
    "ours": detached(DIGEST, SIGNER, AT),
    "ours, curve": detached(DIGEST, CURVE, AT),
    "another library": of_another_library(SIGNER),
    "another library, curve": of_another_library(CURVE),
    "named by key": forged(ENTITY, SIGNER, by_key=True),
    "no time": forged(ENTITY, SIGNER, signed_at=None),
    "protected": forged(ENTITY, SIGNER, more=[protection()]),
    "certificate meant": forged(ENTITY, SIGNER, more=[certificate_meant(SIGNER)]),
    "unknown attribute": forged(ENTITY, SIGNER, more=[unknown(9)]),
    "certificate twice": forged(ENTITY, SIGNER, certificates=[SIGNER.der, *SIGNER.certificates]),
    "last century": forged(ENTITY, SIGNER, signed_at=datetime(1950, 1, 1, tzinfo=UTC)),
    **{digest: forged(ENTITY, SIGNER, digest=digest) for digest in ("sha256", "sha384", "sha512")},
    **{f"{digest}, named": forged(ENTITY, SIGNER, digest=digest, scheme="named") for digest in ("sha384", "sha512")},
    **{f"{digest}, curve": forged(ENTITY, CURVE, digest=digest) for digest in ("sha384", "sha512")},
}


@pytest.mark.parametrize("blob", USUAL.values(), ids=USUAL.keys())
def test_what_nearly_all_write_is_read_quickly_and_alike(blob: bytes) -> None:
    quick = read_quickly(blob)
    assert quick is not None
    assert quick == slowly(blob)
    assert quick.signed_at is None or quick.signed_at.tzinfo is UTC


# --- what is left to the judge


def changed(**fields: Any) -> bytes:
    """A usual signature with fields of its signed-data set anew."""
    info = cms.ContentInfo.load(USUAL["sha256"])
    for name, value in fields.items():
        info["content"][name] = value
    raw: bytes = info.dump(force=True)
    return raw


def signed_by(**fields: Any) -> bytes:
    info = cms.ContentInfo.load(USUAL["sha256"])
    for name, value in fields.items():
        signer_of(info)[name] = value
    raw: bytes = info.dump(force=True)
    return raw


def stated(*attributes: dict[str, Any]) -> bytes:
    return forged(ENTITY, SIGNER, attributes=attributes)


TYPE, TOLD = attribute("content_type", "data"), attribute("message_digest", DIGEST)
LATE = attribute("signing_time", cms.Time({"generalized_time": core.GeneralizedTime(datetime(2051, 1, 1, tzinfo=UTC))}))
TWO_TIMES = {"type": "signing_time", "values": [cms.Time({"utc_time": core.UTCTime(AT)})] * 2}
OLD = attribute(
    "signing_certificate", tsp.SigningCertificate({"certs": [{"cert_hash": hashlib.sha1(SIGNER.der).digest()}]})
)
USUAL_DER = USUAL["sha256"]
SHA_256 = algos.DigestAlgorithm({"algorithm": "sha256"}).dump()
BEFORE, NAMED_DIGEST, AFTER = USUAL_DER.rpartition(SHA_256)
ODD = {
    "empty": b"",
    "bytes behind": USUAL_DER + b"\0",
    "cut": USUAL_DER[:-1],
    "too large": forged(ENTITY, SIGNER, more=[unknown(SIGNATURE_MOST)]),
    "BER": b"\x30\x80" + cms.ContentInfo.load(USUAL_DER).contents + b"\0\0",
    "a length in more bytes than it needs": b"\x30\x83\x00" + USUAL_DER[2:],
    "opaque": forged(ENTITY, SIGNER, inside=ENTITY),
    "another content": forged(ENTITY, SIGNER, content_type="signed_data"),
    "RSA-PSS": forged(ENTITY, SIGNER, scheme="pss"),
    "SHA-1": forged(ENTITY, SIGNER, digest="sha1"),
    "no attributes": forged(ENTITY, SIGNER, is_bare=True),
    "no digest": stated(TYPE),
    "no type": stated(TOLD),
    "attribute twice": stated(TYPE, TOLD, TOLD),
    "two values": stated(TYPE, {"type": "message_digest", "values": [DIGEST, DIGEST[::-1]]}),
    "two times": stated(TYPE, TOLD, TWO_TIMES),
    "another type": stated(attribute("content_type", "signed_data"), TOLD),
    "a time in four digits": stated(TYPE, TOLD, LATE),
    "old certificate meant": forged(ENTITY, SIGNER, more=[OLD]),
    "certificate meant by SHA-512": forged(ENTITY, SIGNER, more=[certificate_meant(SIGNER, "sha512")]),
    "several certificates meant": forged(ENTITY, SIGNER, more=[certificate_meant(SIGNER, more=1)]),
    "another certificate meant": forged(ENTITY, SIGNER, more=[certificate_meant(CURVE)]),
    "another digest protected": forged(ENTITY, SIGNER, more=[protection("sha512")]),
    "another scheme protected": forged(ENTITY, SIGNER, more=[protection(signature="sha256_rsa")]),
    "no signer": forged(ENTITY),
    "two signers": forged(ENTITY, SIGNER, CURVE),
    "no certificate": forged(ENTITY, SIGNER, certificates=[]),
    "another's certificate": forged(ENTITY, SIGNER, certificates=[CURVE.der]),
    "many certificates": forged(ENTITY, SIGNER, certificates=[RSA.signer(f"{n}@x.fr").der for n in range(21)]),
    "digests disagree": signed_by(signature_algorithm={"algorithm": "sha512_rsa"}),
    "a digest with odd parameters": BEFORE + NAMED_DIGEST[:-2] + b"\x04\x00" + AFTER,
    "unsigned attributes": signed_by(unsigned_attrs=[unknown(3)]),
    "revocation lists": changed(crls=[]),
    "a length that asn1crypto takes for BER": with_attributes(128 + 256),
}


@pytest.mark.parametrize("blob", ODD.values(), ids=ODD.keys())
def test_what_is_odd_is_left_to_the_judge(blob: bytes) -> None:
    assert read_quickly(blob) is None


def test_the_odd_length_is_the_only_thing_odd_about_it() -> None:
    for size in (127 + 256, 129 + 256):
        blob = with_attributes(size)
        assert read_quickly(blob) == slowly(blob) is not None


# --- the two side by side


ALL = [*USUAL.values(), *(blob for name, blob in ODD.items() if name != "too large" and name != "many certificates")]


@settings(max_examples=examples(2_000), deadline=None)
@given(st.data())
def test_whatever_is_done_to_a_signature_both_say_the_same_of_it(data: st.DataObject) -> None:
    blob = bytearray(data.draw(st.sampled_from(ALL)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(blob)))
        blob[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    quick = read_quickly(bytes(blob))
    assert quick is None or quick == slowly(bytes(blob))


@pytest.mark.parametrize("name", ["named by key", "protected", "certificate meant", "another library"])
def test_any_byte_outside_the_certificates_may_be_wrong(name: str) -> None:
    blob = USUAL[name]
    begin = blob.index(SIGNER.der) + len(b"".join(SIGNER.certificates)) if name != "another library" else 60
    for at in [*range(min(80, begin)), *range(begin, len(blob) - 256)]:
        for value in {
            0x00,
            0x02,
            0x04,
            0x05,
            0x17,
            0x18,
            0x30,
            0x31,
            0x80,
            0xA0,
            0xFF,
            blob[at] ^ 1,
            blob[at] + 1 & 0xFF,
        }:
            bent = blob[:at] + bytes((value,)) + blob[at + 1 :]
            quick = read_quickly(bent)
            assert quick is None or quick == slowly(bent), (at, value)
