"""Flowing types as bytes and back: equal values, or Damaged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.encoding import STEP_TYPES, decode, decode_step, decode_thought, encode, encode_step, encode_thought, step_name
from hub.errors import Damaged
from hub.message import (
    Attachment,
    Candidate,
    Classification,
    Coded,
    Composition,
    Defect,
    Delivery,
    Document,
    DocumentForm,
    Door,
    Envelope,
    Evidence,
    Filing,
    Handover,
    Header,
    Hold,
    Identity,
    Match,
    MessageClass,
    News,
    ParsedMessage,
    Plan,
    Reason,
    Receipt,
    Refusal,
    Release,
    Report,
    Reported,
    RuleTried,
    Rung,
    Step,
    Thought,
    Trait,
    Verdict,
)

MATCH = Match(
    outcome="proposed",
    code=904,
    candidates=(Candidate(usager_id="u1", traits=(Trait("birth_name", "close", "LÉA", "LEA"),)),),
    reasons=(Reason("close", "Nom proche."),),
)
STEPS: tuple[Step, ...] = (
    Filing(document=0, unique_id="1.2^3", usager_id="u1", kind="crd", action="replace", supersedes="d1"),
    Handover(document=1, target="dui"),
    Delivery(content="copy", recipient="equipe@exemple.fr"),
    Receipt(recipient="medecin@exemple.fr", code=902, label="Patient inconnu"),
    Hold(about="receipt", reasons=(Reason("x", "été"),), match=MATCH),
    Refusal(reasons=(Reason("y", "non"),)),
    Composition(sending="ab", recipients=("a@b",), usager_id="u1", documents=(0,), kinds=("crd",)),
    Release(message="m1", usager_id="u1", by="amelie"),
    News(sending="ab", recipient="a@b", rung=Rung.FAILED, source="mdn", status="902", stood=Rung.SUBMITTED),
)
THOUGHT = Thought(
    classification=Classification(
        message_class=MessageClass.XDM, kind="crd", confidence=0.75, reasons=(Reason("code", "Code LOINC."),)
    ),
    match=MATCH,
    plan=Plan(
        rule="classer", steps=STEPS, tried=(RuleTried(name="r", line=3, matched=True, conditions=(("a", "b", True),)),)
    ),
    kinds=("crd", None),
)
PARSED = ParsedMessage(
    headers=(Header("Subject", "Été"),),
    message_id="<a@b>",
    attachments=(
        Attachment(number=1, path="1", name=None, media_type="text/plain", size=3, sha256="00", raw=b"\0\xff"),
    ),
    documents=(
        Document(
            form=DocumentForm.CDA,
            unique_id="1.2",
            sha256="aa",
            size=1,
            media_type="text/xml",
            type_code=Coded("11488-4"),
            patient=Identity(birth_name="DUPONT"),
            raw=b"<x/>",
        ),
    ),
    report=Report(form="dsn", recipients=(Reported(final_recipient="a@b", action="failed", status="5.1.1"),)),
    carried_ids=("<c@d>",),
    defects=(Defect("junk", grave=False),),
)


def test_a_thought_comes_back_equal() -> None:
    assert decode_thought(encode_thought(THOUGHT)) == THOUGHT


def test_a_parsed_message_comes_back_equal_with_its_bytes() -> None:
    assert decode(encode(PARSED), ParsedMessage) == PARSED


def test_an_envelope_comes_back_with_its_zone() -> None:
    envelope = Envelope(id="1", door=Door.IMAP, received_at=datetime(2026, 3, 2, 8, tzinfo=UTC), recipients=("a@b",))
    assert decode(encode(envelope), Envelope) == envelope


@pytest.mark.parametrize("step", STEPS, ids=step_name)
def test_every_step_comes_back_equal(step: Step) -> None:
    assert decode_step(step_name(step), encode_step(step)) == step


def test_every_type_of_step_is_shown_here() -> None:
    assert {step_name(step) for step in STEPS} == set(STEP_TYPES)


def test_a_step_of_an_unknown_name_is_damaged() -> None:
    with pytest.raises(Damaged):
        decode_step("filling", encode_step(STEPS[0]))


def test_a_step_read_under_another_name_is_damaged() -> None:
    with pytest.raises(Damaged):
        decode_step("filing", encode_step(Delivery(content="copy", recipient="a@b")))


@pytest.mark.parametrize("raw", [b"", b"\xc1", encode(PARSED)[:-1], encode(["x"]), encode({"classification": 1})])
def test_bytes_that_spell_nothing_are_damaged(raw: bytes) -> None:
    with pytest.raises(Damaged):
        decode_thought(raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_damaged(raw: bytes) -> None:
    for wanted in (ParsedMessage, Envelope):
        try:
            decode(raw, wanted)
        except Damaged:
            continue


def test_a_verdict_is_kept_with_the_thought_and_older_thoughts_have_none() -> None:
    at = datetime(2026, 6, 15, tzinfo=UTC)
    evidence = Evidence(fingerprint="ab", addresses=("a@b.fr",), signed_at=at)
    verdict = Verdict(integrity="good", sender="bad", reasons=("other-sender",), at=at, evidence=evidence)
    kept = replace(THOUGHT, verdict=verdict)
    assert decode_thought(encode_thought(kept)) == kept
    older = msgspec.msgpack.decode(encode_thought(THOUGHT))
    del older["verdict"]
    assert decode_thought(msgspec.msgpack.encode(older)) == THOUGHT
