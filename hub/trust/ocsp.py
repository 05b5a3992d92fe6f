"""Questions to the responders of an authority about one certificate, and their answers (OCSP, RFC 6960). Pure.

In: a certificate, its issuer, the bytes of an answer. Out: the bytes of a question, an `OcspAnswer`. An answer counts
when it is about this certificate and signed by the issuer, or by a responder whom the issuer has named for that
(§4.2.2.2). Whether that responder itself was revoked is not asked: it would be the same question again, of the same
authority, when its lists are just not to be had. Failures: `StatementRefused`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from hub.trust.chain import UNREADABLE, has_issued
from hub.trust.statements import SKEW, SOUND, StatementRefused


@dataclass(frozen=True, slots=True)
class OcspAnswer:
    """`status`: `good`, `revoked`, `unknown` (the responder does not know this certificate)."""

    this_update: datetime
    next_update: datetime
    status: str


def question(certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes) -> bytes:
    """DER. The certificate is named by SHA-1, the only way that every responder understands (RFC 5019 §2.1.1): it
    proves nothing and hides nothing."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, hashes.SHA1())  # noqa: S303
    return builder.add_extension(x509.OCSPNonce(nonce), critical=False).build().public_bytes(Encoding.DER)


def named_responders(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs at which a certificate says that its authority answers."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ()
    places = [one.access_location for one in access if one.access_method == AuthorityInformationAccessOID.OCSP]
    return tuple(str(place.value) for place in places if isinstance(place, x509.UniformResourceIdentifier))


def read_answer(
    raw: bytes, certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes | None = None
) -> OcspAnswer:
    """`nonce`: that of the question, None when it is no longer known (an answer that was kept). Raises
    StatementRefused: `not-der`, `ocsp-STATUS`, `other-certificate`, `other-nonce`, `not-its-signature`,
    `weak-signature`, `critical-extension`."""
    try:
        response = ocsp.load_der_ocsp_response(raw)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            raise StatementRefused(f"ocsp-{response.response_status.name.lower().replace('_', '-')}")
        _check_extensions(response, nonce)
        signer = _signer(response, issuer)
        about = _about(response.responses, certificate, issuer)
    except UNREADABLE:
        raise StatementRefused("not-der") from None
    made, ends = about.this_update_utc, about.next_update_utc
    if ends is None:  # it counts for the moment of its making: newer ones are always to be had (§4.2.2.1)
        made, ends = response.produced_at_utc, response.produced_at_utc + SKEW
    return OcspAnswer(made, min(ends, signer.not_valid_after_utc), about.certificate_status.name.lower())


def _check_extensions(response: ocsp.OCSPResponse, nonce: bytes | None) -> None:
    for extension in response.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            if nonce is not None and extension.value.nonce != nonce:
                raise StatementRefused("other-nonce")
        elif extension.critical:
            raise StatementRefused("critical-extension")


def _about(
    answers: Iterable[ocsp.OCSPSingleResponse], certificate: x509.Certificate, issuer: x509.Certificate
) -> ocsp.OCSPSingleResponse:
    for answer in answers:
        asked = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, answer.hash_algorithm).build()
        ours = (asked.serial_number, asked.issuer_name_hash, asked.issuer_key_hash)
        if ours == (answer.serial_number, answer.issuer_name_hash, answer.issuer_key_hash):
            return answer
    raise StatementRefused("other-certificate")


def _signer(response: ocsp.OCSPResponse, issuer: x509.Certificate) -> x509.Certificate:
    if not isinstance(response.signature_hash_algorithm, SOUND):
        raise StatementRefused("weak-signature")
    named = [one for one in response.certificates if _is_named(one, issuer)]
    for one in (issuer, *named):
        has_begun = one.not_valid_before_utc <= response.produced_at_utc
        if has_begun and _is_responder(one, response) and _has_signed(one, response):
            return one
    raise StatementRefused("not-its-signature")


def _is_named(responder: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Issued by the issuer itself, for answering."""
    try:
        usages = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in usages and has_issued(issuer, responder)


def _is_responder(certificate: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    """Whether the answer says that it is signed by this certificate."""
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    digest = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
    return response.responder_key_hash == digest


def _has_signed(responder: x509.Certificate, response: ocsp.OCSPResponse) -> bool:
    key, digest = responder.public_key(), response.signature_hash_algorithm
    assert digest is not None  # looked at before
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), digest)
            case ec.EllipticCurvePublicKey():
                key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
            case _:
                return False
    except InvalidSignature:
        return False
    return True
