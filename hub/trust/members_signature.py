"""Judges the XML signature of the list of member domains, by authorities that are given and no others.

The bytes as published and the anchors flow in; what was signed, and by whom, flows out: nothing else of the file may
be used after that. `ListRefused` with a code: `signature` (anything that does not verify: changed, wrapped, another
authority, self-signed, a weak algorithm, no certificate), `signer` (not the name that is expected), `no-anchors`.
Its profile was never seen (mssante.md §9 [?]): XMLDSig and XAdES-B, enveloped, are both taken.
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import verification
from cryptography.x509.oid import NameOID

from hub.trust.members_reading import NAMESPACE, ListRefused

_ROOT = f"{{{NAMESPACE}}}ListeBlancheMSSante"
_CERTIFICATES = ".//{http://www.w3.org/2000/09/xmldsig#}X509Certificate"
_REFERENCES_MOST = 3  # the list, and with XAdES its signed properties
_METHODS = ("RSA_SHA256", "RSA_SHA384", "RSA_SHA512", "ECDSA_SHA256", "ECDSA_SHA384", "ECDSA_SHA512")
_DIGESTS = ("SHA256", "SHA384", "SHA512")


@dataclass(frozen=True, slots=True)
class Signed:
    """`raw`: what was signed, and only that. `signer`: the CN of the certificate."""

    raw: bytes = field(repr=False)
    signer: str


def signed_part(raw: bytes, anchors: Iterable[bytes], signer: str | None, at: datetime) -> Signed:
    """`raw` was read by `read_members` before: it has no DTD, and is not too large. `anchors`: DER; `signer`: a pattern
    with `*` for the CN, None for any that an anchor vouches for; `at`: when certificates must be valid. Raises
    ListRefused."""
    pem = b"".join(x509.load_der_x509_certificate(one).public_bytes(Encoding.PEM) for one in anchors)
    if not pem:
        raise ListRefused("no-anchors")
    with tempfile.NamedTemporaryFile(prefix="hub-anchors-", suffix=".pem") as file:  # public: no key is in it
        file.write(pem)
        file.flush()
        found = _verified(raw, file.name, at)
    name = _name_of(found.certificates, found.key)
    if signer is not None and not fnmatchcase(name.casefold(), signer.casefold()):
        raise ListRefused("signer")
    return Signed(found.raw, name)


@dataclass(frozen=True, slots=True)
class _Found:
    raw: bytes
    key: bytes
    certificates: tuple[bytes, ...]


def _verified(raw: bytes, anchors_file: str, at: datetime) -> _Found:
    from signxml.algorithms import DigestAlgorithm, SignatureMethod  # 0.1 s: for a list that is signed
    from signxml.verifier import SignatureConfiguration, XMLVerifier

    wanted = SignatureConfiguration(
        location="./",  # a child of the root, nowhere else
        expect_references=False,  # any number: each is looked at below
        signature_methods=frozenset(SignatureMethod[name] for name in _METHODS),
        digest_algorithms=frozenset(DigestAlgorithm[name] for name in _DIGESTS),
        verification_time=at,
    )
    try:
        results = XMLVerifier().verify(raw, ca_pem_file=anchors_file, expect_config=wanted, ee_policy=_of_signers())
    except Exception as error:  # signxml lets errors of lxml, cryptography and Python through: all mean "not proven"
        raise ListRefused("signature", type(error).__name__) from None
    told = results if isinstance(results, list) else [results]
    lists = [one for one in told if one.signed_xml is not None and one.signed_xml.tag == _ROOT]
    if len(lists) != 1 or len(told) > _REFERENCES_MOST:
        raise ListRefused("signature", "not of the list")
    texts = (node.text or "" for node in lists[0].signature_xml.iterfind(_CERTIFICATES))
    return _Found(lists[0].signed_data, lists[0].signature_key or b"", tuple(filter(None, map(_der, texts))))


def _of_signers() -> verification.ExtensionPolicy:
    """What a certificate must be for: signing, or committing to contents, as the seal of an organisation is."""

    def may_sign(policy: verification.Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
        if usage is None or not (usage.digital_signature or usage.content_commitment):
            raise ValueError("this certificate is for no signatures")

    policy = verification.ExtensionPolicy.permit_all()
    return policy.require_present(x509.KeyUsage, verification.Criticality.AGNOSTIC, may_sign)


def _der(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _name_of(certificates: Iterable[bytes], key: bytes) -> str:
    """The CN of the certificate that holds the key by which the signature was verified."""
    for der in certificates:
        try:
            one = x509.load_der_x509_certificate(der)
            public = one.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        except ValueError:
            continue
        if public == key:
            names = one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            return str(names[0].value) if names else ""
    raise ListRefused("signature", "no certificate of the signer")
