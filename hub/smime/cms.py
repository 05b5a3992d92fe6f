"""One CMS signed-data (RFC 5652 §5) taken apart as far as a verdict needs it; DER or BER.

In: the decoded bytes of an `application/pkcs7-signature` or `application/pkcs7-mime` part. Out: a `Signature`, the one
signer's certificate and what was signed with it. Everything that could be read in two ways, or that a forger used once
(libs.md §1), raises `Refused` with a stable code: no signer or several, no signed attributes, an attribute twice, a
content where none may be, two certificates for one signer. Nothing is verified here.

asn1crypto reads the structure; what would cost it quadratic time is bounded first (`SIGNATURE_MOST`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

from asn1crypto import (
    cms,
    core,
    tsp,  # noqa: F401  (registers the attributes signing_certificate and signing_certificate_v2)
    x509,
)

# A long OID costs asn1crypto quadratic time: 100 KB take it two seconds. A chain of four RSA-4096 certificates, twice
# over, has 16 KB.
SIGNATURE_MOST = 48 * 1024
CERTIFICATES_MOST = 20

_DIGESTS = frozenset({"sha256", "sha384", "sha512"})
_SIGNED_DIGESTS = frozenset(f"{digest}_{kind}" for digest in _DIGESTS for kind in ("rsa", "ecdsa"))
_SHORT = frozenset({"md2", "md4", "md5", "sha1", "sha224"})
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError, RecursionError)

Scheme = Literal["rsa", "rsa-pss", "ecdsa"]
# How a signer names its certificate: issuer and serial number as they are written, or the id of its key.
Named = tuple[bytes, bytes] | bytes


class Refused(Exception):
    """Why a signature is worth nothing: a stable code of `hub.smime.words`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """`attributes` are the bytes that `value` signs; among them stands `digest`, that of the content, made with
    `digest_name` (sha256, sha384, sha512). `certificate` is the signer's, `others` came with it (DER). `salt` is for
    rsa-pss. `signed_at` is the signer's word."""

    certificate: bytes
    others: tuple[bytes, ...]
    attributes: bytes
    digest: bytes
    digest_name: str
    scheme: Scheme
    value: bytes
    salt: int
    signed_at: datetime | None


def read_signature(blob: bytes, *, is_detached: bool) -> Signature:
    """Raises Refused, nothing else."""
    try:
        if is_detached and len(blob) > SIGNATURE_MOST:
            raise Refused("signature-too-large")
        info = cms.ContentInfo.load(blob, strict=True)
        if info["content_type"].native != "signed_data":
            raise Refused("not-a-signature")
        return _read(info["content"], is_detached)
    except UNREADABLE:  # what asn1crypto raises on bytes that are no CMS (fuzzed in the unit tests)
        raise Refused("signature-unreadable") from None


def _read(signed: Any, is_detached: bool) -> Signature:
    if len(signed["signer_infos"].contents) + len(signed["certificates"].contents or b"") > SIGNATURE_MOST:
        raise Refused("signature-too-large")
    encapsulated = signed["encap_content_info"]
    if encapsulated["content_type"].native != "data":
        raise Refused("odd-content-type")
    if is_detached and encapsulated["content"].native is not None:
        raise Refused("content-twice")  # one that is shown, another that is signed
    signers = signed["signer_infos"]
    if len(signers) != 1:
        raise Refused("no-signer" if not len(signers) else "several-signers")
    signer = signers[0]
    # Before anything in it is looked at: asn1crypto completes what it reads (a default, a NULL) and dumps that.
    attributes_as_signed = b"\x31" + signer["signed_attrs"].dump()[1:]  # as the SET that it is, RFC 5652 §5.4
    certificate, others = _certificates(signed["certificates"], signer["sid"])
    digest_name = signer["digest_algorithm"]["algorithm"].native
    if digest_name not in _DIGESTS:
        raise Refused("weak-digest" if digest_name in _SHORT else "odd-algorithm")
    attributes = _attributes(signer["signed_attrs"])
    _agree(signer, attributes)
    _is_that_certificate(attributes, certificate)
    scheme, salt = _scheme(signer["signature_algorithm"], digest_name)
    return Signature(
        certificate=certificate,
        others=others,
        attributes=attributes_as_signed,
        digest=_only(attributes["message_digest"]).native,
        digest_name=digest_name,
        scheme=scheme,
        value=signer["signature"].native,
        salt=salt,
        signed_at=_moment(attributes["signing_time"]) if "signing_time" in attributes else None,
    )


def _moment(values: Any) -> datetime:
    stated = _only(values).native
    if not isinstance(stated, datetime) or stated.tzinfo is None:  # asn1crypto has a type of its own for the year 0
        raise ValueError
    return stated.astimezone(UTC)


def _attributes(signed_attributes: Any) -> dict[str, Any]:
    """Type -> values. Without them the signature is over the content itself, and the attributes of an old signature
    could be served as a content: mandatory (RFC 8551 §2.5)."""
    if not isinstance(signed_attributes, core.SetOf) or not len(signed_attributes):
        raise Refused("no-signed-attributes")
    found: dict[str, Any] = {}
    for attribute in signed_attributes:  # by type: `.native` of the whole raises on types that it does not know
        name = attribute["type"].native
        if name in found:
            raise Refused("attribute-twice")
        found[name] = attribute["values"]
    if "content_type" not in found or "message_digest" not in found:
        raise Refused("no-signed-attributes")
    if _only(found["content_type"]).native != "data":
        raise Refused("odd-content-type")
    return found


def _only(values: Any) -> Any:
    if len(values) != 1:
        raise Refused("attribute-twice")
    return values[0]


def _agree(signer: Any, attributes: dict[str, Any]) -> None:
    """The algorithms that the signer protects are those that are named (RFC 6211)."""
    protection = attributes.get("cms_algorithm_protection")
    if protection is None:
        return
    named = _only(protection)
    if (
        named["digest_algorithm"]["algorithm"].native != signer["digest_algorithm"]["algorithm"].native
        or named["signature_algorithm"]["algorithm"].native != signer["signature_algorithm"]["algorithm"].native
    ):
        raise Refused("algorithms-differ")


def _is_that_certificate(attributes: dict[str, Any], certificate: bytes) -> None:
    """The certificate is the one that the signer meant, when it said so (RFC 5035): else a second certificate of the
    same key could take its place."""
    for name, default in (("signing_certificate", "sha1"), ("signing_certificate_v2", "sha256")):
        if name not in attributes:
            continue
        stated = _only(attributes[name])["certs"][0]
        digest = stated["hash_algorithm"]["algorithm"].native if name.endswith("v2") else default
        if digest not in _DIGESTS | {"sha1"}:
            raise Refused("odd-algorithm")
        if hashlib.new(digest, certificate).digest() != stated["cert_hash"].native:
            raise Refused("other-certificate")


def _certificates(kept: Any, wanted: Any) -> tuple[bytes, tuple[bytes, ...]]:
    """(the signer's, the others), DER. Two of them that the signer could mean are two readings."""
    if not isinstance(kept, core.SetOf) or len(kept) > CERTIFICATES_MOST:
        raise Refused("no-certificate" if not isinstance(kept, core.SetOf) else "signature-too-large")
    certificates = [one.chosen.dump() for one in kept if one.name == "certificate"]  # as they came
    if wanted.name == "subject_key_identifier":
        return signers_own(certificates, wanted.chosen.native)
    return signers_own(certificates, (wanted.chosen["issuer"].dump(), wanted.chosen["serial_number"].contents))


def signers_own(certificates: Iterable[bytes], named: Named) -> tuple[bytes, tuple[bytes, ...]]:
    """(the signer's, the others). Raises Refused; and what asn1crypto raises on bytes that are no certificate."""
    each = dict.fromkeys(certificates)
    fitting = [raw for raw in each if named in _names(raw)]
    if len(fitting) != 1:
        raise Refused("several-certificates" if fitting else "no-certificate")
    return fitting[0], tuple(raw for raw in each if raw != fitting[0])


@lru_cache(maxsize=128)
def _names(raw: bytes) -> tuple[Named, Named | None]:
    """By what a signer can name a certificate. Kept, since the same correspondents write again."""
    certificate = x509.Certificate.load(raw)
    body = certificate["tbs_certificate"]
    return (body["issuer"].dump(), body["serial_number"].contents), certificate.key_identifier


def _scheme(algorithm: Any, digest_name: str) -> tuple[Scheme, int]:
    """(scheme, length of the salt). One digest for all (RFC 5754): two of them are one too many."""
    name = algorithm["algorithm"].native
    if name == "rsassa_pss":
        parameters = algorithm["parameters"]
        mask = parameters["mask_gen_algorithm"]
        digests = {
            parameters["hash_algorithm"]["algorithm"].native,
            mask["parameters"]["algorithm"].native,
            digest_name,
        }
        if len(digests) != 1 or mask["algorithm"].native != "mgf1":
            raise Refused("algorithms-differ")
        return "rsa-pss", parameters["salt_length"].native
    if name == "rsassa_pkcs1v15":  # rsaEncryption, named without a digest
        return "rsa", 0
    if name in (f"{digest_name}_rsa", f"{digest_name}_ecdsa"):
        return ("rsa" if name.endswith("_rsa") else "ecdsa"), 0
    if name.partition("_")[0] in _SHORT:
        raise Refused("weak-digest")
    raise Refused("algorithms-differ" if name in _SIGNED_DIGESTS else "odd-algorithm")
