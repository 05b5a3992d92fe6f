"""The demo's judge: it accepts exactly what the scenario expects, and names every difference."""

from __future__ import annotations

from dataclasses import replace

from hub.message import (
    Candidate,
    Classification,
    Filing,
    Hold,
    Match,
    MessageClass,
    Plan,
    Reason,
    Receipt,
    Step,
    Thought,
)
from hub.sandbox.findings import ArrivedReceipt, Deed, Finding, differences
from hub.sandbox.people import HOSPITAL
from hub.sandbox.scenario import Expected, Sample

FILING = Filing(document=0, unique_id="2.25.1", usager_id="u1", kind=None)
RECEIPT = Receipt(recipient=HOSPITAL.address)
ARRIVED = ArrivedReceipt(where=HOSPITAL, about="<1@x>", code=0, subject="XDM/1.0/DDM+x", has_product_reference=True)


def _thought(match: Match, *steps: Step) -> Thought:
    return Thought(
        classification=Classification(message_class=MessageClass.XDM), match=match, plan=Plan(rule="r", steps=steps)
    )


def _sample(expected: Expected) -> Sample:
    return Sample(key="k", what="essai", raw=b"", expected=expected)


FILED = Finding(
    message="m1",
    state="DONE",
    thought=_thought(Match(outcome="certain", candidates=(Candidate(usager_id="u1", record_number="TIL-0101"),))),
    deeds=(Deed(FILING, "DONE", "filed"), Deed(RECEIPT, "DONE", "250 ok")),
    work=(),
    met=1,
)
WANT_FILED = _sample(Expected(message_class="xdm", filed_to="TIL-0101", receipt=0))


def test_a_document_filed_and_acknowledged_as_expected_has_no_difference() -> None:
    assert differences(WANT_FILED, FILED, (ARRIVED,)) == []


def test_a_message_that_was_never_read_is_a_difference() -> None:
    assert differences(WANT_FILED, None, ()) == ["le message n'a pas été traité"]


def test_a_receipt_that_did_not_arrive_is_a_difference() -> None:
    assert differences(WANT_FILED, FILED, ()) == ["accusés arrivés : [] au lieu de [0]"]


def test_a_receipt_that_arrived_twice_is_a_difference() -> None:
    assert differences(WANT_FILED, FILED, (ARRIVED, ARRIVED)) == ["accusés arrivés : [0, 0] au lieu de [0]"]


def test_a_receipt_without_product_reference_is_a_difference() -> None:
    bare = replace(ARRIVED, has_product_reference=False)
    assert differences(WANT_FILED, FILED, (bare,)) == ["X-MSS-NIL : absent au lieu de présent"]


def test_a_document_in_another_record_is_a_difference() -> None:
    other = _sample(replace(WANT_FILED.expected, filed_to="TIL-0102"))
    assert differences(other, FILED, (ARRIVED,)) == ["dossier : TIL-0101 au lieu de TIL-0102"]


def test_a_filing_that_is_not_done_does_not_count() -> None:
    failed = replace(FILED, deeds=(Deed(FILING, "FAILED", ""), FILED.deeds[1]))
    assert differences(WANT_FILED, failed, (ARRIVED,)) == ["classement : [] au lieu de ['none']"]


def test_a_hold_must_give_the_expected_reasons() -> None:
    hold = Hold(reasons=(Reason("ins-unknown", "…"),), match=Match(code=902))
    held = replace(FILED, state="HELD", thought=_thought(Match(code=902)), deeds=(), work=(hold,))
    right = Expected(message_class="xdm", state="HELD", reasons=frozenset({"902", "ins-unknown"}))
    assert differences(_sample(right), held, ()) == []
    wrong = replace(right, reasons=frozenset({"904"}))
    assert differences(_sample(wrong), held, ()) == ["motifs absents : ['904'] au lieu de []"]


def test_a_document_taken_for_another_kind_is_a_difference() -> None:
    wanted = _sample(replace(WANT_FILED.expected, kind="fiche_navette"))
    assert differences(wanted, FILED, (ARRIVED,)) == ["type : None au lieu de fiche_navette"]


def test_a_duplicate_must_have_been_met_twice() -> None:
    again = _sample(Expected(message_class="xdm", twin_of="archive"))
    assert differences(again, FILED, ()) == ["le doublon n'a pas été reconnu"]
    assert differences(again, replace(FILED, met=2), ()) == []
