"""The writer of signatures: what it writes can be verified, stays as it is, and hides nothing."""

from __future__ import annotations

import hashlib
import tracemalloc
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from asn1crypto import cms
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.smime.signing import Signer, closing, detached, opening, sign, why_not_canonical
from tests.signers import AT, ENTITY, Authority, Holder, head

RSA, EC = Authority("rsa"), Authority("ec")
SIGNERS = {"rsa": RSA.signer(), "ec": EC.signer()}


@pytest.fixture(params=["rsa", "ec"])
def signer(request: pytest.FixtureRequest) -> Holder:
    return SIGNERS[request.param]


def signed_data(raw: bytes) -> cms.SignedData:
    part = list(message_from_bytes(raw, policy=policy.default).iter_parts())[1]
    return cms.ContentInfo.load(part.get_payload(decode=True), strict=True)["content"]


def test_the_entity_stands_in_the_mail_byte_for_byte(signer: Signer) -> None:
    written = sign(ENTITY, signer, AT, "=_b")
    assert written.count(b"--=_b\r\n" + ENTITY + b"\r\n--=_b\r\n") == 1


def test_a_reader_without_smime_sees_text_and_attachments(signer: Signer) -> None:
    mail = message_from_bytes(head() + sign(ENTITY, signer, AT, "=_b"), policy=policy.default)
    names = [part.get_filename() for part in mail.walk() if part.get_filename()]
    assert mail.get_content_type() == "multipart/signed"
    assert (mail["Content-Type"].params["micalg"], mail["Content-Type"].params["protocol"]) == (
        "sha-256",
        "application/pkcs7-signature",
    )
    assert names == ["note.pdf", "smime.p7s"]


def test_no_header_of_the_mail_stands_inside(signer: Signer) -> None:
    written = sign(ENTITY, signer, AT, "=_b")
    assert b"X-MSS" not in written
    for inside in (b"X-MSS-NIL: A\r\n" + ENTITY, b"From: a@b.fr\r\n" + ENTITY, b"Subject: A\r\n" + ENTITY):
        with pytest.raises(ValueError, match="a header of the mail"):
            sign(inside, signer, AT, "=_b")


def test_the_signature_is_detached_has_its_attributes_and_the_chain_signer_first(signer: Holder) -> None:
    signed = signed_data(head() + sign(ENTITY, signer, AT, "=_b"))
    info = signed["signer_infos"][0]
    attributes = {one["type"].native: one["values"][0] for one in info["signed_attrs"]}
    assert signed["encap_content_info"]["content"].native is None
    assert [one.chosen.dump() for one in signed["certificates"]] == list(signer.certificates)
    assert len(signer.certificates) == 2
    assert attributes["message_digest"].native == hashlib.sha256(ENTITY).digest()
    assert attributes["signing_time"].native == AT
    assert attributes["content_type"].native == "data"
    assert info["digest_algorithm"]["algorithm"].native == "sha256"
    assert attributes["signing_certificate_v2"]["certs"][0]["cert_hash"].native == hashlib.sha256(signer.der).digest()


def test_what_is_signed_is_der(signer: Holder) -> None:
    """The signed attributes are DER, in the order of a SET OF."""
    raw = detached(hashlib.sha256(ENTITY).digest(), signer, AT)
    info = cms.ContentInfo.load(raw)["content"]["signer_infos"][0]
    attributes = [one.dump() for one in info["signed_attrs"]]
    assert attributes == sorted(attributes)
    assert len(attributes) == 4


def test_the_same_input_gives_the_same_mail_with_rsa() -> None:
    assert sign(ENTITY, SIGNERS["rsa"], AT, "=_b") == sign(ENTITY, SIGNERS["rsa"], AT, "=_b")


def test_after_2049_the_time_has_four_digits(signer: Signer) -> None:
    at = datetime(2050, 1, 2, 3, 4, 5, tzinfo=UTC)
    info = cms.ContentInfo.load(detached(b"x" * 32, signer, at))["content"]["signer_infos"][0]
    assert [one["values"][0].native for one in info["signed_attrs"] if one["type"].native == "signing_time"] == [at]


def test_pieces_are_the_same_as_the_whole() -> None:
    signer = SIGNERS["rsa"]
    pieces = opening("=_b") + ENTITY + closing(hashlib.sha256(ENTITY).digest(), signer, AT, "=_b")
    assert pieces == sign(ENTITY, signer, AT, "=_b")


TEXT = b"Content-Type: text/plain\r\n\r\n"


@pytest.mark.parametrize(
    "entity",
    [
        TEXT + "été".encode(),
        TEXT + b"a\nb\r\n",
        TEXT + b"a\rb\r\n",
        b"Content-Type: text/plain\n\na\n",
        TEXT + b"a \r\nb\r\n",
        TEXT + b"a\t\r\nb\r\n",
        TEXT + b"a ",
        TEXT + b"From moi\r\n",
        TEXT + b"x" * 999 + b"\r\n",
        TEXT + b"y\r\n" + b"x" * 999,
        TEXT + b"x\0y\r\n",
        b"Content-Type: text/plain\r\n",
        b"pas un en-tete\r\n\r\n",
    ],
)
def test_what_a_relay_could_change_is_not_signed(entity: bytes) -> None:
    assert why_not_canonical(entity)
    with pytest.raises(ValueError, match="cannot be signed"):
        sign(entity, SIGNERS["ec"], AT, "=_b")


@pytest.mark.parametrize("entity", [ENTITY, TEXT, TEXT + b"x" * 998 + b"\r\n", TEXT + b"x" * 998, b"\r\nbonjour\r\n"])
def test_what_travels_safely_is_signed(entity: bytes) -> None:
    assert why_not_canonical(entity) == ""


@given(st.lists(st.integers(0, 1100), max_size=8))
def test_a_line_is_too_long_when_it_has_more_than_998_characters(lengths: list[int]) -> None:
    entity = TEXT + b"\r\n".join(b"x" * length for length in lengths)
    assert bool(why_not_canonical(entity)) == any(length > 998 for length in lengths)


def test_a_boundary_that_stands_in_the_entity_is_refused() -> None:
    with pytest.raises(ValueError, match="boundary"):
        sign(TEXT + b"--=_b\r\n", SIGNERS["ec"], AT, "=_b")
    with pytest.raises(ValueError, match="boundary"):
        sign(TEXT, SIGNERS["ec"], AT, 'a"b')


def test_a_large_mail_is_held_twice_at_most() -> None:
    entity = TEXT + (b"A" * 76 + b"\r\n") * 120_000  # 9 MB
    tracemalloc.start()
    written = sign(entity, SIGNERS["ec"], AT, "=_b")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(written) > len(entity)
    assert peak < 1.1 * len(entity)  # the result; the entity was there before


@settings(max_examples=50)
@given(st.binary(max_size=64), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_any_digest_and_time_give_a_readable_signature(digest: bytes, at: datetime) -> None:
    signed = cms.ContentInfo.load(detached(digest, SIGNERS["ec"], at.replace(tzinfo=UTC)), strict=True)["content"]
    assert signed["signer_infos"][0]["signature"].native
