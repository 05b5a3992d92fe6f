"""The bench's messages: conformant 60 KB mails of the sandbox (archive with an N1, PDF twin), all different.

`signed_letters` wraps each in S/MIME multipart/signed (RSA-2048, SHA-256), as many operators' members send them, with
a certificate of an authority made here. `usagers_csv_of` gives a site of so many fictional usagers, the one of the
letters among them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hub import ins
from hub.message import Identity, Usager
from hub.sandbox.letters import base64_lines, document_mail
from hub.sandbox.papers import DISCHARGE, Paper
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import HOSPITAL, LINA, USAGERS, make_ins, usagers_csv

BALLAST = 20_000  # bytes of noise in the PDF: a scanned page does not deflate
_BOUNDARY = "=_banc-signe-5d1f"


@dataclass(frozen=True, kw_only=True)
class HeavyPaper(Paper):
    seed: int
    ballast: int = BALLAST

    @property
    def pdf(self) -> bytes:
        noise = random.Random(self.seed).randbytes(self.ballast)
        return one_page_pdf(self.title, self.lines, ballast=noise)


def letters(
    count: int, *, first: int = 0, receipts: bool = True, ballast: int = BALLAST, patient: Identity | None = None
) -> Iterator[bytes]:
    """`count` mails for one known usager (fictional), each a document of its own."""
    at = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    for number in range(first, first + count):
        paper = HeavyPaper(
            name=f"banc-{number}",
            structure=HOSPITAL,
            patient=patient or LINA.identity,
            type_code=DISCHARGE,
            title="Lettre de liaison (fictive)",
            lines=("Document d'essai, personne fictive.", f"Exemplaire {number}."),
            created_at=at,
            seed=number,
            ballast=ballast,
        )
        raw = document_mail(f"banc-{number}", [paper], sent_at=at)
        yield raw if receipts else _without_receipt(raw)


def signed_letters(count: int, *, first: int = 0, receipts: bool = True) -> Iterator[bytes]:
    for raw in letters(count, first=first, receipts=receipts):
        yield signed(raw)


def _without_receipt(raw: bytes) -> bytes:
    head, blank, body = raw.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"disposition-notification-to:")]
    return b"\r\n".join(kept) + blank + body


# --- S/MIME -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    authority: x509.Certificate
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey


@cache
def signer() -> Signer:
    """A member's certificate, and the authority that issued it; both of this run."""
    authority_key, key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    root = _name("Autorité du banc (fictive)")
    authority = _certificate(root, root, authority_key.public_key(), authority_key, is_authority=True)
    leaf = _certificate(_name(HOSPITAL.address), root, key.public_key(), authority_key, is_authority=False)
    return Signer(authority, leaf, key)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: rsa.RSAPublicKey, by: rsa.RSAPrivateKey, *, is_authority: bool
) -> x509.Certificate:
    """Conformant (RFC 5280, RFC 8550): else its chain is refused at the first look, and nobody verifies it."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by.public_key()), critical=False)
        .add_extension(_usage(is_authority), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        address = x509.SubjectAlternativeName([x509.RFC822Name(HOSPITAL.address)])
        builder = builder.add_extension(address, critical=False)
    return builder.sign(by, hashes.SHA256())


def _usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=not is_authority,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def signed(raw: bytes) -> bytes:
    """The same mail as multipart/signed: its MIME entity signed, its other headers outside (RFC 8551 §3.5.3)."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.replace(b"\r\n ", b" ").split(b"\r\n")
    inner = [line for line in lines if line.lower().startswith(b"content-")]
    outer = [line for line in lines if not line.lower().startswith(b"content-")]
    entity = b"\r\n".join(inner) + b"\r\n\r\n" + body
    who = signer()
    signature = (
        pkcs7.PKCS7SignatureBuilder()
        .set_data(entity)
        .add_signer(who.certificate, who.key, hashes.SHA256())
        .sign(serialization.Encoding.DER, [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary])
    )
    kind = (
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256;'
        f' boundary="{_BOUNDARY}"'
    )
    opening = b"\r\n--" + _BOUNDARY.encode()
    return b"".join(
        (
            b"\r\n".join([*outer, kind.encode()]),
            b"\r\n",
            opening,
            b"\r\n",
            entity,
            opening,
            b"\r\nContent-Type: application/pkcs7-signature; name=smime.p7s",
            b"\r\nContent-Transfer-Encoding: base64",
            b"\r\nContent-Disposition: attachment; filename=smime.p7s\r\n\r\n",
            base64_lines(signature),
            opening,
            b"--\r\n",
        )
    )


# --- people -----------------------------------------------------------------------------------------------------------

_SYLLABLES = ("BA", "CHE", "DRI", "FOU", "GNA", "LO", "MER", "NI", "PAS", "QUE", "ROU", "SAN", "TEL", "VI", "ZO", "ER")


def made_up_usager(number: int) -> Usager:
    """A fictional usager; names, dates and INS spread like those of a population."""
    chance = random.Random(number)
    name = "".join(chance.choices(_SYLLABLES, k=4))
    given = "".join(chance.choices(_SYLLABLES, k=2))
    born = date(2005, 1, 1) + timedelta(days=chance.randrange(7000))
    sex = chance.choice("MF")
    body = f"{'1' if sex == 'M' else '2'}{born:%y%m}69{number % 900 + 100:03d}{number // 900 % 1000:03d}"
    return replace(
        LINA,
        id=f"BANC-{number:07d}",
        record_number=f"BANC-{number:07d}",
        identity=Identity(
            ins=make_ins(body),
            oid=ins.TEST,
            birth_name=name,
            first_given=given,
            given_names=given,
            birth_date=born.isoformat(),
            sex=sex,
            birth_place="69383",
        ),
    )


def usagers_csv_of(count: int) -> bytes:
    """The sandbox's usagers and made-up ones, `count` in all; one INS is of one usager."""
    known: dict[str | None, Usager] = {}
    number = 0
    while len(known) + len(USAGERS) < count:
        usager = made_up_usager(number)
        known.setdefault(usager.identity.ins, usager)
        number += 1
    return usagers_csv((*USAGERS, *known.values()))
