"""The verdict: what is right is valid, and every known way to make a forgery look right is refused (libs.md §1)."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from asn1crypto import cms
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.message import Limits, Verdict
from hub.parse.doubts import Doubts
from hub.parse.headers import read_block
from hub.parse.signed import Witness, judged
from hub.smime.signing import sign
from hub.smime.trusted import Trust
from tests.forger import BOUNDARY, attribute, forged, mail, multipart, opaque, signature_part
from tests.signers import AT, AUTHOR, ENTITY, Authority, Holder, head, new_key, self_signed

RSA, EC = Authority("rsa"), Authority("ec")
SIGNER, CURVE = RSA.signer(), EC.signer()
MALLORY = RSA.signer("mallory@ailleurs.exemple.mssante.fr")  # trusted, but somebody else
GOOD = head() + sign(ENTITY, SIGNER, AT, "=_b")


def look(raw: bytes, anchors: tuple[bytes, ...] = RSA.anchors, at: datetime = AT) -> Verdict:
    doubts = Doubts()
    block = read_block(raw, 0, len(raw), Limits(), doubts, "header")
    verdict = judged(raw, block, Limits(), doubts, Witness(Trust(anchors), at))
    assert verdict is not None
    return verdict


# --- what is right


@pytest.mark.parametrize(("authority", "signer"), [(RSA, SIGNER), (EC, CURVE)], ids=["rsa", "ec"])
def test_what_we_sign_is_valid(authority: Authority, signer: Holder) -> None:
    verdict = look(head() + sign(ENTITY, signer, AT, "=_b"), authority.anchors)
    assert (verdict.outcome, verdict.reasons) == ("valid", ())
    assert not verdict.is_revocation_checked
    evidence = verdict.evidence
    assert evidence.fingerprint == hashlib.sha256(signer.der).hexdigest()
    assert evidence.chain[-1] == hashlib.sha256(authority.root.der).hexdigest()
    assert len(evidence.chain) == 3
    assert (evidence.addresses, evidence.signed_at) == ((AUTHOR,), AT)
    assert evidence.digest == hashlib.sha256(ENTITY).hexdigest()
    assert evidence.serial == f"{signer.certificate.serial_number:x}"
    assert "BAL DU SECRETARIAT" in evidence.subject
    assert "AC ORGANISATIONS" in evidence.issuer


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("scheme", ["plain", "named", "pss"])
def test_the_signatures_of_other_programs_are_valid(digest: str, scheme: str) -> None:
    verdict = look(mail(ENTITY, forged(ENTITY, SIGNER, digest=digest, scheme=scheme)))
    assert verdict.outcome == "valid"
    assert verdict.evidence.algorithm == ("rsa-pss-" if scheme == "pss" else "rsa-") + digest


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_curves_sign_with_any_sound_digest(digest: str) -> None:
    assert look(mail(ENTITY, forged(ENTITY, CURVE, digest=digest)), EC.anchors).outcome == "valid"


def test_a_signer_named_by_key_is_found() -> None:
    assert look(mail(ENTITY, forged(ENTITY, SIGNER, by_key=True))).outcome == "valid"


def test_the_protocol_of_old_programs_is_known() -> None:
    assert look(mail(ENTITY, forged(ENTITY, SIGNER), protocol="x-pkcs7-signature")).outcome == "valid"


def test_a_mail_kept_with_bare_line_feeds_is_still_intact() -> None:
    assert look(GOOD.replace(b"\r\n", b"\n")).outcome == "valid"


def test_an_intermediate_authority_may_be_the_anchor() -> None:
    assert look(GOOD, (RSA.intermediate.der,)).outcome == "valid"


def test_an_address_in_the_subject_counts_when_there_is_no_other() -> None:
    assert look(mail(ENTITY, forged(ENTITY, RSA.signer("", email_in_subject=AUTHOR)))).outcome == "valid"
    named_twice = RSA.signer("autre@exemple.mssante.fr", email_in_subject=AUTHOR)
    assert look(mail(ENTITY, forged(ENTITY, named_twice))).sender == "bad"


def test_capitals_in_an_address_are_nothing() -> None:
    assert look(GOOD.replace(AUTHOR.encode(), AUTHOR.upper().encode(), 1)).outcome == "valid"


def test_a_commitment_is_a_signature_too() -> None:
    assert look(mail(ENTITY, forged(ENTITY, RSA.signer(signs=False, commits=True)))).outcome == "valid"


def test_a_certificate_without_named_purpose_signs_mail() -> None:
    assert look(mail(ENTITY, forged(ENTITY, RSA.signer(purposes=())))).outcome == "valid"


def test_an_opaque_mail_is_judged_by_what_it_holds() -> None:
    assert look(opaque(forged(ENTITY, SIGNER, inside=ENTITY))).outcome == "valid"
    changed = look(opaque(forged(ENTITY, SIGNER, inside=ENTITY + b"x")))
    assert (changed.integrity, changed.reasons) == ("bad", ("altered",))


@pytest.mark.parametrize("preamble", [b"This is an S/MIME signed message\r\n", b"\r\n"])
def test_a_preamble_is_no_fault_since_nobody_is_shown_it(preamble: bytes) -> None:
    assert look(GOOD.replace(b"\r\n\r\n--=_b", b"\r\n\r\n" + preamble + b"\r\n--=_b", 1)).outcome == "valid"


def test_a_mail_without_signature_has_no_verdict() -> None:
    raw = head() + ENTITY
    block = read_block(raw, 0, len(raw), Limits(), Doubts(), "header")
    assert judged(raw, block, Limits(), Doubts(), Witness(Trust(RSA.anchors), AT)) is None


# --- what cannot be said


def test_without_anchors_integrity_is_still_told() -> None:
    verdict = look(GOOD, ())
    assert (verdict.outcome, verdict.integrity, verdict.chain, verdict.time) == ("unproven", "good", "unknown", "good")
    assert verdict.reasons == ("no-anchors",)
    assert look(GOOD, (), AT + timedelta(days=999)).time == "bad"


def test_the_certificate_of_an_organisation_says_nothing_of_the_author() -> None:
    verdict = look(mail(ENTITY, forged(ENTITY, RSA.signer(""))))
    assert (verdict.outcome, verdict.sender, verdict.chain) == ("unproven", "unknown", "good")
    assert verdict.reasons == ("no-address-in-certificate",)


def test_without_a_signing_time_only_the_reception_counts() -> None:
    verdict = look(mail(ENTITY, forged(ENTITY, SIGNER, signed_at=None)))
    assert (verdict.outcome, verdict.reasons) == ("valid", ("no-signing-time",))


# --- integrity


CASES: dict[str, Callable[[], bytes]] = {
    "no-signer": lambda: forged(ENTITY),
    "several-signers": lambda: forged(ENTITY, SIGNER, MALLORY),
    "no-signed-attributes": lambda: forged(ENTITY, SIGNER, is_bare=True),
    "content-twice": lambda: forged(ENTITY, SIGNER, inside=ENTITY),
    "no-certificate": lambda: forged(ENTITY, SIGNER, certificates=[RSA.intermediate.der]),
    "weak-digest": lambda: forged(ENTITY, SIGNER, digest="sha1"),
    "forged": lambda: forged(ENTITY, replace(SIGNER, key=MALLORY.key)),
    "odd-content-type": lambda: forged(ENTITY, SIGNER, content_type="signed_data"),
    "other-certificate": lambda: forged(
        ENTITY,
        SIGNER,
        more=[attribute("signing_certificate_v2", {"certs": [{"cert_hash": hashlib.sha256(MALLORY.der).digest()}]})],
    ),
    "attribute-twice": lambda: forged(ENTITY, SIGNER, more=[attribute("content_type", "data")]),
    "signature-unreadable": lambda: b"0\x82 ce n'est pas une signature",
    "signature-too-large": lambda: forged(ENTITY, SIGNER) + b"\0" * 60_000,
}


def test_one_digest_for_the_content_and_another_for_the_signature_are_refused() -> None:
    info = cms.ContentInfo.load(forged(ENTITY, SIGNER, scheme="named"))
    info["content"]["signer_infos"][0]["signature_algorithm"] = {"algorithm": "sha512_rsa"}
    assert look(mail(ENTITY, info.dump(force=True))).reasons == ("algorithms-differ",)


def test_the_algorithms_that_the_signer_protects_are_those_that_are_used() -> None:
    """RFC 6211."""
    for digest, outcome in (("sha256", "valid"), ("sha512", "invalid")):
        protection = {
            "digest_algorithm": {"algorithm": digest},
            "signature_algorithm": {"algorithm": "rsassa_pkcs1v15"},
        }
        verdict = look(mail(ENTITY, forged(ENTITY, SIGNER, more=[attribute("cms_algorithm_protection", protection)])))
        assert (verdict.outcome, verdict.reasons) == (outcome, () if outcome == "valid" else ("algorithms-differ",))


@pytest.mark.parametrize("code", CASES)
def test_a_bent_signature_is_refused(code: str) -> None:
    verdict = look(mail(ENTITY, CASES[code]()))
    assert (verdict.outcome, verdict.integrity) == ("invalid", "bad")
    assert verdict.reasons[0] == code


def test_the_attributes_of_a_signature_served_as_content_are_refused() -> None:
    """The forgery that `openssl cms -verify` accepts: signedAttrs stripped, and shown as the content."""
    attributes = cms.ContentInfo.load(forged(ENTITY, SIGNER))["content"]["signer_infos"][0]["signed_attrs"]
    content = b"\x31" + attributes.dump()[1:]
    verdict = look(mail(content, forged(content, SIGNER, is_bare=True)))
    assert (verdict.integrity, verdict.reasons) == ("bad", ("no-signed-attributes",))


def test_a_changed_content_is_altered_and_the_signer_is_still_told() -> None:
    verdict = look(GOOD.replace(b"Bonjour", b"Bonsoir"))
    assert (verdict.integrity, verdict.chain, verdict.sender) == ("bad", "good", "good")
    assert verdict.reasons == ("altered",)
    assert verdict.evidence.addresses == (AUTHOR,)


def test_two_certificates_with_the_number_of_the_signer_are_refused() -> None:
    twin = RSA.signer("mallory@exemple.mssante.fr", serial=SIGNER.certificate.serial_number)
    both = [*SIGNER.certificates, twin.der]
    assert look(mail(ENTITY, forged(ENTITY, SIGNER, certificates=both))).reasons == ("several-certificates",)


def test_the_certificate_of_another_does_not_vouch_for_my_signature() -> None:
    """Signed by Mallory, said to be signed by the author, whose certificate is there."""
    blob = forged(ENTITY, MALLORY, named=SIGNER, certificates=[*SIGNER.certificates, MALLORY.der])
    assert look(mail(ENTITY, blob)).reasons == ("forged",)


# --- what is around it


def test_text_beside_the_signed_part_is_refused() -> None:
    """EFAIL and its like: something unsigned is shown before what is signed."""
    around = b"Content-Type: multipart/mixed; boundary=autour\r\n\r\n--autour\r\n\r\nRIB ci-joint\r\n--autour\r\n"
    raw = head() + around + multipart(ENTITY, forged(ENTITY, SIGNER)) + b"\r\n--autour--\r\n"
    block = read_block(raw, 0, len(raw), Limits(), Doubts(), "header")
    assert judged(raw, block, Limits(), Doubts(), Witness(Trust(RSA.anchors), AT)) is None  # the reader: not-whole


def _structure(*parts: bytes, closing: bytes = b"", header: str = "") -> bytes:
    """A signed mail of any parts."""
    kind = (
        header or f'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary="{BOUNDARY}"\r\n'
    )
    quoted = BOUNDARY.encode()
    body = b"".join(b"--" + quoted + b"\r\n" + part + b"\r\n" for part in parts)
    return head() + kind.encode() + b"\r\n" + body + b"--" + quoted + b"--\r\n" + closing


BLOB = forged(ENTITY, SIGNER)
P7S = signature_part(BLOB)
UNSIGNED = b"Content-Type: text/html\r\n\r\n<b>RIB ci-joint</b>"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (_structure(ENTITY, UNSIGNED, P7S), "odd-structure"),
        (_structure(UNSIGNED, ENTITY, P7S), "odd-structure"),
        (_structure(ENTITY, P7S, UNSIGNED), "odd-structure"),
        (_structure(ENTITY, P7S, P7S), "odd-structure"),
        (_structure(ENTITY), "odd-structure"),
        (_structure(P7S, ENTITY), "odd-structure"),
        (_structure(ENTITY, P7S, closing=b"--" + BOUNDARY.encode() + b"\r\n\r\nRIB"), "ambiguous"),
        (_structure(ENTITY, P7S.replace(b"pkcs7-signature", b"octet-stream")), "odd-structure"),
        (_structure(ENTITY, P7S, header=f"Content-Type: multipart/signed; boundary={BOUNDARY}\r\n"), "other-protocol"),
        (
            _structure(
                ENTITY,
                P7S,
                header=f'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary={BOUNDARY}\r\n',
            ),
            "other-protocol",
        ),
        (_structure(ENTITY, P7S).replace(b"X-MSS-NIL: ESSAI", b"Content-Type: text/plain"), "none"),
        (
            _structure(ENTITY, P7S).replace(b"MIME-Version", b"Content-Transfer-Encoding: base64\r\nMIME-Version"),
            "ambiguous",
        ),
        (_structure(ENTITY, P7S).replace(b"; boundary=", b'; boundary="autre"; boundary='), "odd-structure"),
        (_structure(ENTITY, P7S)[: -len(BOUNDARY) - 8], "ambiguous"),
        (_structure(ENTITY, P7S).replace(b"Subject: Essai", b"Subject: Essai\r\r\nContent-Type: text/html"), "none"),
    ],
)
def test_a_mail_that_can_be_read_in_two_ways_is_refused(raw: bytes, code: str) -> None:
    doubts = Doubts()
    block = read_block(raw, 0, len(raw), Limits(), doubts, "header")
    verdict = judged(raw, block, Limits(), doubts, Witness(Trust(RSA.anchors), AT))
    if code == "none":  # two Content-Type: the first one counts for the reader, which says ambiguous-structure
        assert verdict is None
        return
    assert verdict is not None
    assert (verdict.integrity, verdict.reasons) == ("unknown" if code == "other-protocol" else "bad", (code,))


def test_two_content_types_are_refused() -> None:
    raw = GOOD.replace(b"\r\n\r\n--=_b", b"\r\nContent-Type: text/plain\r\n\r\n--=_b", 1)
    assert look(raw).reasons == ("ambiguous",)


def test_a_signed_mail_inside_a_signed_mail_is_judged_by_the_outer_signature() -> None:
    """Mallory signs around what the author signed: the author is not the signer."""
    inner = multipart(ENTITY, BLOB).replace(BOUNDARY.encode(), b"dedans-signe")
    verdict = look(mail(inner, forged(inner, MALLORY)))
    assert (verdict.integrity, verdict.sender) == ("good", "bad")
    assert verdict.reasons == ("other-sender",)


# --- the author


@pytest.mark.parametrize(
    ("author", "code"),
    [
        ("mallory@ailleurs.exemple.mssante.fr", "other-sender"),
        (f'"{AUTHOR}" <mallory@ailleurs.exemple.mssante.fr>', "misleading-name"),
        (f"{AUTHOR} <mallory@ailleurs.exemple.mssante.fr>", "misleading-name"),
        (f"mallory@ailleurs.exemple.mssante.fr, {AUTHOR}", "several-authors"),
        (f"{AUTHOR}, mallory@ailleurs.exemple.mssante.fr", "several-authors"),
        (f"<mallory@ailleurs.exemple.mssante.fr> <{AUTHOR}>", "author-unreadable"),
        (f"mallory@ailleurs.exemple.mssante.fr\r\nFrom: {AUTHOR}", "several-authors"),
        (f"{AUTHOR}\r\nFrom: {AUTHOR}", "several-authors"),
        (f"{AUTHOR}\r\nFrom : mallory@ailleurs.exemple.mssante.fr", "several-authors"),
        (f"=?utf-8?q?{AUTHOR.replace('@', '=40')}?= <mallory@ailleurs.exemple.mssante.fr>", "misleading-name"),
        (f"\x00{AUTHOR}", "author-unreadable"),
        ("personne", "author-unreadable"),
        ("", "no-author"),
        (f"groupe: {AUTHOR}, mallory@ailleurs.exemple.mssante.fr;", "several-authors"),
        (f"mallory@ailleurs.exemple.mssante.fr ({AUTHOR})", "misleading-name"),
        ("secretariat@esms.exemple.mssante.fr.ailleurs.fr", "other-sender"),
    ],
)
def test_an_author_who_is_not_the_signer_is_refused(author: str, code: str) -> None:
    verdict = look(mail(ENTITY, BLOB, author=author))
    assert (verdict.outcome, verdict.sender) == ("invalid", "bad")
    assert code in verdict.reasons


def test_a_certificate_with_a_disguised_address_vouches_for_nobody() -> None:
    for address in (f"{AUTHOR}\x00.ailleurs.fr", f" {AUTHOR}", f"<{AUTHOR}>", f"{AUTHOR},mallory@x.fr"):
        verdict = look(mail(ENTITY, forged(ENTITY, RSA.signer(address))))
        assert verdict.sender != "good", address


@pytest.mark.parametrize(
    ("inside", "code"),
    [
        (b"From: mallory@ailleurs.exemple.mssante.fr\r\n", "headers-differ"),
        (b"Subject: Autre chose\r\n", "headers-differ"),
        (b"To: quelqu'un@exemple.mssante.fr\r\n", "headers-differ"),
    ],
)
def test_headers_that_were_signed_must_be_those_that_are_shown(inside: bytes, code: str) -> None:
    entity = inside + ENTITY
    assert look(mail(entity, forged(entity, SIGNER))).reasons == (code,)
    wrapped = b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + inside + ENTITY
    assert look(mail(wrapped, forged(wrapped, SIGNER))).reasons == (code,)
    forwarded = b"Content-Type: message/rfc822\r\n\r\n" + inside + ENTITY
    assert look(mail(forwarded, forged(forwarded, SIGNER))).outcome == "valid"  # a mail of somebody else, passed on


def test_headers_that_were_signed_and_are_shown_are_valid() -> None:
    entity = f"From: Secrétariat <{AUTHOR}>\r\nSubject:  Essai\r\n".encode() + ENTITY
    raw = mail(entity, forged(entity, SIGNER), author=f"Secrétariat <{AUTHOR}>")
    assert look(raw).outcome == "valid"


@pytest.mark.parametrize(("header", "code"), [("Reply-To", "replies-elsewhere"), ("Sender", "sent-by-another")])
def test_another_address_beside_the_author_is_told(header: str, code: str) -> None:
    verdict = look(mail(ENTITY, BLOB, more=f"{header}: mallory@ailleurs.exemple.mssante.fr\r\n"))
    assert (verdict.outcome, verdict.reasons) == ("valid", (code,))
    assert look(mail(ENTITY, BLOB, more=f"{header}: {AUTHOR}\r\n")).reasons == ()


# --- the chain


ELSEWHERE = Authority("rsa", "AC D'AILLEURS")


@pytest.mark.parametrize(
    ("signer", "code"),
    [
        (ELSEWHERE.signer(), "unknown-authority"),
        (self_signed(), "self-signed"),
        (RSA.signer(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), "wrong-usage"),
        (RSA.signer(signs=False), "wrong-usage"),
        (RSA.signer(is_authority=True), "wrong-usage"),
        (RSA.signer(issuer=SIGNER), "unknown-authority"),
        (RSA.signer(key=new_key("rsa", 1024)), "weak-certificate"),
    ],
    ids=["elsewhere", "self-signed", "purpose", "usage", "authority", "leaf-as-authority", "short-key"],
)
def test_a_certificate_that_nobody_vouches_for_is_refused(signer: Holder, code: str) -> None:
    verdict = look(mail(ENTITY, forged(ENTITY, signer)))
    assert (verdict.outcome, verdict.integrity, verdict.chain) == ("invalid", "good", "bad")
    assert code in verdict.reasons or verdict.reasons[0] in ("chain-refused", "not-an-authority")


def test_a_leaf_is_no_authority() -> None:
    """The author's own certificate issues one for Mallory, and comes along."""
    child = RSA.signer(issuer=SIGNER)
    blob = forged(ENTITY, child, certificates=[child.der, *SIGNER.certificates])
    verdict = look(mail(ENTITY, blob))
    assert (verdict.chain, verdict.reasons) == ("bad", ("not-an-authority",))


def test_an_authority_with_the_name_of_ours_is_not_ours() -> None:
    namesake = Authority("rsa")
    blob = forged(ENTITY, namesake.signer(), certificates=[*namesake.signer().certificates, namesake.root.der])
    assert look(mail(ENTITY, blob)).outcome == "invalid"


def test_a_missing_intermediate_is_told_unless_it_is_an_anchor() -> None:
    alone = mail(ENTITY, forged(ENTITY, SIGNER, certificates=[SIGNER.der]))
    assert (look(alone).chain, look(alone).reasons) == ("bad", ("unknown-authority",))
    assert look(alone, (*RSA.anchors, RSA.intermediate.der)).outcome == "valid"


def test_a_purpose_of_the_site_is_allowed() -> None:
    signer = RSA.signer(purposes=(ExtendedKeyUsageOID.CLIENT_AUTH,))
    raw = mail(ENTITY, forged(ENTITY, signer))
    block = read_block(raw, 0, len(raw), Limits(), Doubts(), "header")
    trust = Trust(RSA.anchors, frozenset({ExtendedKeyUsageOID.CLIENT_AUTH.dotted_string}))
    verdict = judged(raw, block, Limits(), Doubts(), Witness(trust, AT))
    assert verdict is not None
    assert verdict.outcome == "valid"
    assert look(raw).reasons == ("wrong-usage",)


def test_a_name_that_could_move_a_cursor_is_not_shown_as_it_is() -> None:
    odd = RSA.signer("", email_in_subject="\x1b[2J\u202e@exemple.fr")
    evidence = look(mail(ENTITY, forged(ENTITY, odd))).evidence
    assert evidence.subject.isprintable()
    assert evidence.addresses == ()


# --- the time


DAY = timedelta(days=1)


def test_an_expired_certificate_is_refused_and_its_chain_still_told() -> None:
    verdict = look(GOOD, at=SIGNER.certificate.not_valid_after_utc + DAY)
    assert (verdict.chain, verdict.time, verdict.reasons) == ("good", "bad", ("expired",))


def test_a_chain_seen_before_is_judged_at_each_moment_anew() -> None:
    end = SIGNER.certificate.not_valid_after_utc
    times = (AT, end + DAY, AT, SIGNER.certificate.not_valid_before_utc - DAY, end, AT)
    assert [look(GOOD, at=at).time for at in times[:4]] == ["good", "bad", "good", "bad"]
    assert [look(GOOD, at=at).chain for at in times] == ["good"] * 6


def test_a_certificate_that_had_expired_when_it_signed_is_refused() -> None:
    old = RSA.signer(not_after=AT - DAY)
    verdict = look(mail(ENTITY, forged(ENTITY, old)))
    assert (verdict.time, verdict.reasons) == ("bad", ("expired", "signed-outside-validity"))


def test_a_certificate_that_is_not_valid_yet_is_refused() -> None:
    early = RSA.signer(not_before=AT + DAY)
    assert "not-yet-valid" in look(mail(ENTITY, forged(ENTITY, early))).reasons


def test_a_signing_time_outside_the_certificate_is_refused() -> None:
    begin = SIGNER.certificate.not_valid_before_utc
    assert look(mail(ENTITY, forged(ENTITY, SIGNER, signed_at=begin - DAY))).reasons == ("signed-outside-validity",)


def test_impossible_times_are_a_verdict_too() -> None:
    for stated in (
        b"00000615093000Z",
        b"00010615093000Z",
        b"99990615093000Z",
        b"12x40615093000Z",
        b"20260615093000",
        b"",
    ):
        when = cms.Time.load(b"\x18" + bytes([len(stated)]) + stated)
        blob = forged(ENTITY, SIGNER, signed_at=None, more=[attribute("signing_time", when)])
        assert look(mail(ENTITY, blob)).outcome == "invalid", stated
    ancient = RSA.signer(not_before=datetime(1950, 1, 1, tzinfo=UTC), not_after=datetime(9999, 12, 31, tzinfo=UTC))
    assert look(mail(ENTITY, forged(ENTITY, ancient))).outcome == "valid"


def test_a_signing_time_after_the_reception_is_refused() -> None:
    assert look(GOOD, at=AT - timedelta(hours=1)).reasons == ("signed-later",)
    assert look(GOOD, at=AT - timedelta(minutes=5)).outcome == "valid"  # clocks differ


# --- nothing raises, nothing slips through


START = GOOD.index(ENTITY)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(ENTITY) * 8 - 1))
def test_any_flipped_bit_of_what_is_signed_is_refused(bit: int) -> None:
    raw = bytearray(GOOD)
    raw[START + bit // 8] ^= 1 << bit % 8
    assert look(bytes(raw)).integrity == "bad"


def test_any_flipped_bit_of_a_small_signed_mail_is_refused() -> None:
    entity = b"Content-Type: text/plain\r\n\r\nRIB\r\n"
    good = head() + sign(entity, CURVE, AT, "=_b")
    start = good.index(entity)
    for bit in range(len(entity) * 8):
        raw = bytearray(good)
        raw[start + bit // 8] ^= 1 << bit % 8
        assert look(bytes(raw), EC.anchors).integrity == "bad", bit


def test_a_flipped_bit_of_the_signature_never_changes_signer_or_content() -> None:
    """Some bits of a CMS are signed by nobody (libs.md §1): then the verdict is the same, else it is not valid."""
    whole, intact = forged(ENTITY, CURVE), look(mail(ENTITY, forged(ENTITY, CURVE)), EC.anchors)
    for bit in range(0, len(whole) * 8, 7):
        blob = bytearray(whole)
        blob[bit // 8] ^= 1 << bit % 8
        verdict = look(mail(ENTITY, bytes(blob)), EC.anchors)
        if verdict.outcome == "valid":
            assert verdict.evidence.fingerprint == intact.evidence.fingerprint
            assert verdict.evidence.digest == intact.evidence.digest


def test_a_signature_cut_anywhere_is_refused() -> None:
    for length in range(len(BLOB)):
        verdict = look(mail(ENTITY, BLOB[:length]))
        assert verdict.outcome == "invalid", length


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_signature_whatever_raises(data: st.DataObject) -> None:
    blob = bytearray(BLOB)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(blob) - 1))
        piece = data.draw(st.binary(max_size=6))
        blob[at : at + data.draw(st.integers(0, 6))] = piece
    verdict = look(mail(ENTITY, bytes(blob)))
    assert verdict.outcome in ("valid", "invalid", "unproven")
    if verdict.outcome == "valid":
        assert verdict.evidence.fingerprint == hashlib.sha256(SIGNER.der).hexdigest()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_garbage_is_no_signature(blob: bytes) -> None:
    assert look(mail(ENTITY, blob)).integrity == "bad"


def test_a_signature_made_to_cost_time_is_soon_given_up() -> None:
    oid = b"\x06\x83" + (47_000).to_bytes(3) + b"\xff" * 46_999 + b"\x7f"
    blob = b"\x30\x83" + (len(oid)).to_bytes(3) + oid
    begin = time.process_time()
    assert look(mail(ENTITY, blob)).integrity == "bad"
    assert time.process_time() - begin < 2


def test_base64_with_foreign_bytes_is_read_as_the_reader_reads_it() -> None:
    spaced = base64.b64encode(BLOB)
    raw = mail(ENTITY, BLOB).replace(base64.encodebytes(BLOB).replace(b"\n", b"\r\n"), spaced + b"\r\n")
    assert look(raw).outcome == "valid"
