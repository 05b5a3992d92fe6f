"""Answers of responders: whose counts, about what, until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

from hub.trust.ocsp import OcspAnswer, named_responders, question, read_answer
from hub.trust.statements import StatementRefused, fault_of
from tests.igc import DAY, Igc, Status, now

IGC = Igc("http://127.0.0.1:1")
LEAF, OTHER = IGC.leaf(), IGC.leaf("other")
ISSUER = IGC.organisations.certificate
NONCE = b"0123456789abcdef"
ASKED = question(LEAF.certificate, ISSUER, NONCE)
WHOLE = IGC.answer(ASKED, LEAF, "revoked", signer=IGC.responder())


def answered(status: Status = "good", **more: Any) -> OcspAnswer:
    return read_answer(IGC.answer(ASKED, more.pop("leaf", LEAF), status, **more), LEAF.certificate, ISSUER, NONCE)


def code(raw: bytes) -> str:
    with pytest.raises(StatementRefused) as refused:
        read_answer(raw, LEAF.certificate, ISSUER, NONCE)
    return refused.value.code


def test_the_question_names_the_certificate_and_its_issuer() -> None:
    asked = ocsp.load_der_ocsp_request(ASKED)
    assert asked.serial_number == LEAF.certificate.serial_number
    assert named_responders(LEAF.certificate) == ("http://127.0.0.1:1/ocsp",)
    assert named_responders(IGC.root.certificate) == ()


@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
def test_the_issuer_answers(status: Status) -> None:
    answer = answered(status)
    assert answer.status == status
    assert fault_of(answer, now()) == ""
    assert fault_of(answer, now() + 13 * timedelta(hours=1)) == "ended"


def test_whom_the_issuer_has_named_answers_while_its_certificate_is_valid() -> None:
    answer = answered(signer=IGC.responder(), life=365 * DAY)
    assert answer.status == "good"
    assert fault_of(answer, now() + 29 * DAY) == ""
    assert fault_of(answer, now() + 31 * DAY) == "ended"


def test_nobody_else_answers() -> None:
    elsewhere = Igc("http://127.0.0.1:1", branch="AUTRE")
    wrong = [
        IGC.answer(ASKED, LEAF, signer=IGC.responder(may=False)),  # hers, for something else
        IGC.answer(ASKED, LEAF, signer=elsewhere.responder()),
        IGC.answer(ASKED, LEAF, signer=IGC.responder(issuer=IGC.root)),  # of another authority of the same house
        IGC.answer(ASKED, LEAF, signer=IGC.root),
        IGC.answer(ASKED, LEAF, signer=IGC.responder(days=(1, 30))),  # not yet
    ]
    assert {code(raw) for raw in wrong} == {"not-its-signature"}


def test_a_changed_answer_is_refused() -> None:
    raw = bytearray(IGC.answer(ASKED, LEAF))
    raw[-1] ^= 1
    assert code(bytes(raw)) == "not-its-signature"


def test_an_answer_about_another_certificate_is_none() -> None:
    assert code(IGC.answer(ASKED, OTHER)) == "other-certificate"


def test_an_answer_to_another_question_is_refused_and_one_without_nonce_is_not() -> None:
    assert code(IGC.answer(ASKED, LEAF, nonce=b"another nonce...")) == "other-nonce"
    assert answered(echoes=False).status == "good"


def test_an_answer_without_end_counts_for_its_moment() -> None:
    answer = answered(life=None, made=now() - timedelta(days=2))
    assert fault_of(answer, now()) == ""
    assert fault_of(answer, now() + timedelta(minutes=6)) == "ended"


def test_pages_and_refusals_have_codes() -> None:
    refused = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    from cryptography.hazmat.primitives.serialization import Encoding

    assert code(refused.public_bytes(Encoding.DER)) == "ocsp-try-later"
    assert code(b"<html>") == "not-der"
    assert code(b"") == "not-der"


@given(st.integers(0, 5_000), st.integers(1, 255))
def test_whatever_is_changed_in_an_answer_it_says_the_same_or_nothing(place: int, flip: int) -> None:
    raw = bytearray(WHOLE)
    raw[place % len(raw)] ^= flip
    try:
        found = read_answer(bytes(raw), LEAF.certificate, ISSUER, NONCE)
    except StatementRefused:
        return
    assert found == read_answer(WHOLE, LEAF.certificate, ISSUER, NONCE)


@given(st.binary(max_size=300))
def test_junk_is_refused(raw: bytes) -> None:
    assert code(raw)
