"""What the signature of a mail that came in is worth: ONE verdict with four parts (libs.md §1, complaints.md row 17).

In: what the reader cut out of the raw bytes (`Sealed`) and what the site trusts (`Trust`). Out: a `Verdict` with its
evidence. Never raises on what a mail holds: whatever cannot be read, or could be read in two ways, is a bad signature,
never a good one. Nothing here says what is done about it.

The content is the very slice of the raw message, never something written anew. Whoever wrote it to a disk with bare
line feeds changed its bytes and not its text: then, and only then, the digest is taken once more over CRLF line ends
(RFC 8551 §3.1.1).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from hub.message import Evidence, Finding, Verdict
from hub.smime.chain import Loaded, Path, follow, loaded
from hub.smime.cms import Refused, Signature, read_signature
from hub.smime.quick import read_quickly
from hub.smime.trusted import Trust

NAME_MOST = 500  # characters of a subject that are kept
ADDRESSES_MOST = 10  # of a certificate, that are kept; all are compared
CLOCKS_DIFFER = timedelta(minutes=15)  # a signer whose clock is ahead of ours
_BARE_LF = re.compile(rb"(?<!\r)\n")
_ADDRESS = re.compile(r"[\x21-\x3f\x41-\x7e]{1,64}@[A-Za-z0-9.-]{1,255}")  # nothing that is shown as something else
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a signed mail is made of, as the reader cut it. `content` is the signed entity, byte for byte; `blob` the
    decoded signature. `authors` are the addresses of every From header. `sender_faults` are codes of what is wrong with
    the author as shown, `remarks` of what a human should know."""

    content: bytes | memoryview
    blob: bytes
    authors: tuple[str, ...]
    is_detached: bool = True
    sender_faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def refused(code: str, at: datetime) -> Verdict:
    """The verdict on a mail whose wrapping alone says that its signature is worth nothing."""
    return Verdict(integrity="bad", reasons=(code,), at=at)


def unproven(code: str, at: datetime) -> Verdict:
    """The verdict on a signature that was not looked at, and why."""
    return Verdict(reasons=(code,), at=at)


def verify(sealed: Sealed, trust: Trust, at: datetime) -> Verdict:
    """`at`: when the mail was received (aware)."""
    try:
        return _judged(sealed, trust, at)
    except Refused as error:
        return refused(error.code, at)
    except MemoryError:
        return unproven("not-checked", at)
    except Exception:  # whatever a library raises on a forged certificate, key or date: nobody can check it
        return refused("signature-unreadable", at)


def _judged(sealed: Sealed, trust: Trust, at: datetime) -> Verdict:
    quick = read_quickly(sealed.blob) if sealed.is_detached else None
    signature = quick or read_signature(sealed.blob, is_detached=sealed.is_detached)
    signer = loaded(signature.certificate)
    _signed_by(signer, signature)
    vouched, named = _named(signature.certificate)
    integrity: Finding = "good" if _is_intact(sealed.content, signature) else "bad"
    path = _path(signature, trust, at)
    evidence = replace(
        named,
        signed_at=signature.signed_at,
        algorithm=f"{signature.scheme}-{signature.digest_name}",
        digest=signature.digest.hex(),
        chain=path.chain,
    )
    sender, of_sender = _sender(sealed, vouched)
    time, of_time = _time(path, evidence, at)
    reasons = (*(() if integrity == "good" else ("altered",)), *path.codes, *of_time, *of_sender, *sealed.remarks)
    return Verdict(
        integrity=integrity,
        chain=path.finding,
        sender=sender,
        time=time,
        reasons=tuple(dict.fromkeys(reasons)),
        at=at,
        evidence=evidence,
    )


# --- integrity


def _signed_by(signer: Loaded, signature: Signature) -> None:
    """The signer's key made this signature over these attributes. Raises Refused, and what cryptography raises."""
    key, digest = signer.key, _HASHES[signature.digest_name]
    try:
        match key:
            case rsa.RSAPublicKey() if signature.scheme == "rsa":
                key.verify(signature.value, signature.attributes, padding.PKCS1v15(), digest)
            case rsa.RSAPublicKey() if signature.scheme == "rsa-pss":
                pss = padding.PSS(padding.MGF1(digest), signature.salt)
                key.verify(signature.value, signature.attributes, pss, digest)
            case ec.EllipticCurvePublicKey() if signature.scheme == "ecdsa":
                key.verify(signature.value, signature.attributes, ec.ECDSA(digest))
            case _:
                raise Refused("algorithms-differ")
    except InvalidSignature:
        raise Refused("forged") from None
    except UnsupportedAlgorithm:
        raise Refused("odd-algorithm") from None


def _is_intact(content: bytes | memoryview, signature: Signature) -> bool:
    if hashlib.new(signature.digest_name, content).digest() == signature.digest:
        return True
    with memoryview(content) as view:
        return _digest_of_crlf(view, signature.digest_name) == signature.digest


def _digest_of_crlf(content: memoryview, name: str, piece: int = 1024**2) -> bytes:
    """As if every line ended in CRLF; piece by piece, since a mail may have 60 MB."""
    digest, after_cr = hashlib.new(name), False
    for start in range(0, len(content), piece):
        part = content[start : start + piece].tobytes()
        if after_cr and part[:1] == b"\n":
            digest.update(b"\n")
            part, after_cr = part[1:], False
        digest.update(_BARE_LF.sub(b"\r\n", part))
        after_cr = part[-1:] == b"\r"
    return digest.digest()


# --- whose it is


@lru_cache(maxsize=128)
def _named(raw: bytes) -> tuple[tuple[str, ...], Evidence]:
    """(every address that a certificate vouches for, what is said of it as evidence)."""
    certificate = loaded(raw).certificate
    vouched = addresses_of(certificate)
    return vouched, Evidence(
        fingerprint=loaded(raw).fingerprint,
        subject=_line(certificate.subject.rfc4514_string()),
        issuer=_line(certificate.issuer.rfc4514_string()),
        serial=f"{certificate.serial_number:x}",
        addresses=vouched[:ADDRESSES_MOST],
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def _line(name: str) -> str:
    """A name as it may be shown: whoever made the certificate chose every character of it."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name[:NAME_MOST])


def addresses_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The addresses that a certificate vouches for: its rfc822Names; of one that has none, the old place, emailAddress
    in the subject (RFC 8550 §3). What is no plain address is none."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        found = extension.value.get_values_for_type(x509.RFC822Name)
    except x509.ExtensionNotFound:
        found = []
    if not found:
        found = [str(part.value) for part in certificate.subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS)]
    return tuple(address for address in found if _ADDRESS.fullmatch(address))


def _path(signature: Signature, trust: Trust, at: datetime) -> Path:
    try:
        return follow(signature.certificate, signature.others, trust.anchors, at, trust.purposes)
    except MemoryError:
        return Path("unknown", "unknown", ("not-checked",))
    except Exception:  # a certificate that came along and is none, or that a library cannot take: no chain
        return Path("bad", "unknown", ("chain-refused",))


def _sender(sealed: Sealed, vouched: tuple[str, ...]) -> tuple[Finding, tuple[str, ...]]:
    """Whether the certificate is that of the one author that is shown."""
    if sealed.sender_faults:
        return "bad", sealed.sender_faults
    if len(sealed.authors) != 1:
        return "bad", ("several-authors" if sealed.authors else "no-author",)
    if not vouched:  # a certificate of an organisation may carry none (mssante.md §11.3)
        return "unknown", ("no-address-in-certificate",)
    if sealed.authors[0].lower() in {address.lower() for address in vouched}:
        return "good", ()
    return "bad", ("other-sender",)


def _time(path: Path, evidence: Evidence, at: datetime) -> tuple[Finding, tuple[str, ...]]:
    """Valid when it was received (the chain says that), and when it was signed, by the signer's word."""
    stated = evidence.signed_at
    if stated is None:
        return path.time, ("no-signing-time",)
    if stated > at + CLOCKS_DIFFER:
        return "bad", ("signed-later",)
    assert evidence.not_before is not None
    assert evidence.not_after is not None
    if not evidence.not_before - CLOCKS_DIFFER <= stated <= evidence.not_after:
        return "bad", ("signed-outside-validity",)
    return path.time, ()
