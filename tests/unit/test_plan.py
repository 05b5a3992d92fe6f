"""The deeds: filed whole or not at all, versions, receipts, and the limits that no rule can lift."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub import ins, routing
from hub.domains import members_of
from hub.encoding import decode_thought, encode_thought
from hub.message import (
    Archive,
    Author,
    Coded,
    Defect,
    Delivery,
    FiledVersion,
    Filing,
    Header,
    Hold,
    ParsedMessage,
    Receipt,
    Refusal,
    Report,
    Thought,
)
from hub.routing.reasons import CODES, sentence
from tests.unit.routing_samples import (
    LOU_USAGER,
    OURS,
    SENDER,
    document,
    filed,
    ins_of,
    lou,
    mail,
    pdf,
    rulebook,
    seen,
    think,
)

ASKED = {"receipt_to": (SENDER,)}


def steps_of(thought: Thought) -> list[str]:
    return [type(step).__name__ for step in thought.plan.steps]


def filing_of(thought: Thought) -> Filing:
    (step,) = (step for step in thought.plan.steps if isinstance(step, Filing))
    return step


def hold_of(thought: Thought, about: str = "message") -> Hold:
    (step,) = (step for step in thought.plan.steps if isinstance(step, Hold) and step.about == about)
    return step


def receipt_of(thought: Thought) -> Receipt:
    (step,) = (step for step in thought.plan.steps if isinstance(step, Receipt))
    return step


def why(thought: Thought) -> set[str]:
    return {reason.code for reason in hold_of(thought).reasons}


# --- filed, or held with a code -----------------------------------------------------------------------------------


def test_a_certain_document_is_filed_and_its_sender_told() -> None:
    thought = think(mail(document(), **ASKED))
    assert steps_of(thought) == ["Filing", "Receipt"]
    assert filing_of(thought) == Filing(
        document=0,
        unique_id="1.2.250.1.999.1",
        usager_id="u-lou",
        kind="cr_medical",
        reason="premier classement",
    )
    assert receipt_of(thought) == Receipt(recipient=SENDER, code=0, reason="documents filed")
    assert thought.plan.rule == "type-declare"
    assert thought.kinds == ("cr_medical",)


def test_every_document_of_a_message_is_filed_in_order() -> None:
    thought = think(mail(document(), document(unique_id="2", sha256="d" * 64, code="57833-6")))
    assert [(step.document, step.kind) for step in thought.plan.steps if isinstance(step, Filing)] == [
        (0, "cr_medical"),
        (1, "prescription"),
    ]


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"ins": ins_of("2150338185001"), "birth_name": "GARNIER"}, 902, "ins-unknown"),
        ({"ins": None, "oid": None}, 903, "no-ins"),
        ({"birth_date": "2014-03-14"}, 904, "traits-differ"),
        ({"sex": None}, 905, "traits-incomplete"),
        ({"oid": ins.TEST}, 904, "test-on-production"),
    ],
)
def test_an_uncertain_identity_is_held_and_its_code_told(changes: dict[str, Any], code: int, reason: str) -> None:
    thought = think(mail(document(patient=lou(**changes)), **ASKED))
    assert steps_of(thought) == ["Hold", "Receipt"]
    assert reason in why(thought)
    assert receipt_of(thought).code == code
    hold = hold_of(thought)
    assert hold.match is not None
    assert hold.match.code == code


def test_a_rule_that_files_anything_still_files_nothing_uncertain() -> None:
    book = rulebook(routes="rules:\n  - name: tout\n    when: {class: xdm}\n    then: {file: true}\n"
                           "  - name: sinon\n    then: {hold: 'Attend.'}\n")  # fmt: skip
    thought = think(mail(document(patient=lou(sex="M"))), book=book)
    assert (thought.plan.rule, steps_of(thought)) == ("tout", ["Hold"])


def test_a_certain_document_of_no_kind_is_filed_when_it_declares_a_type() -> None:
    thought = think(mail(document(code="REMB")))
    assert filing_of(thought).kind is None


def test_a_certain_document_without_type_or_kind_waits() -> None:
    thought = think(mail(document(code=None, title="Document")))
    assert thought.plan.rule == "type-non-reconnu"
    assert steps_of(thought) == ["Hold"]
    assert why(thought) == {"rule:type-non-reconnu"}


def test_a_certain_document_of_a_kind_found_by_words_is_filed() -> None:
    thought = think(mail(document(code=None, title="Rapport de situation")))
    assert (thought.plan.rule, filing_of(thought).kind) == ("identite-certaine", "rapport_situation")


def test_a_bare_pdf_waits_without_being_guessed() -> None:
    thought = think(mail(pdf(title="Rapport de situation"), **ASKED))
    assert steps_of(thought) == ["Hold", "Receipt"]
    assert receipt_of(thought).code == 903


@pytest.mark.parametrize("code", ["R", "V", "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX", "X"])
def test_a_restricted_document_is_not_handed_on(code: str) -> None:
    """RH-37; among them the care that a minor keeps secret (G06). No receipt: the human's decision will tell."""
    thought = think(mail(document(confidentiality=(Coded("N"), Coded(code))), **ASKED))
    assert (thought.plan.rule, steps_of(thought)) == ("acces-restreint", ["Hold"])


def test_a_document_of_normal_or_unstated_confidentiality_is_filed() -> None:
    assert steps_of(think(mail(document(confidentiality=())))) == ["Filing"]


# --- grave defects ------------------------------------------------------------------------------------------------


def places_of_a_defect(defect: Defect) -> list[ParsedMessage]:
    broken = Archive(name="IHE_XDM.zip", attachment=1, sha256="0", defects=(defect,))
    return [
        mail(document(), defects=(defect,), **ASKED),
        mail(document(defects=(defect,)), **ASKED),
        replace(mail(**ASKED), archives=(broken,)),
    ]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_grave_defect_anywhere_holds_the_whole_message(place: int) -> None:
    thought = think(places_of_a_defect(Defect("hash-differs", "", grave=True))[place])
    assert steps_of(thought) == ["Hold", "Receipt"]
    assert hold_of(thought).reasons[0].code == "hash-differs"
    assert "empreinte" in hold_of(thought).reasons[0].text
    assert receipt_of(thought).code == 906
    assert thought.match.code == 906


def test_two_sources_that_name_two_persons_are_904() -> None:
    thought = think(mail(document(defects=(Defect("patient-differs", "", grave=True),)), **ASKED))
    assert receipt_of(thought).code == 904
    assert thought.match.candidates


def test_sources_that_disagree_on_an_id_leave_the_code_of_the_identity() -> None:
    disagreement = (Defect("id-differs", "", grave=True),)
    nobody = lou(ins=None, oid=None)
    assert receipt_of(think(mail(document(defects=disagreement, patient=nobody), **ASKED))).code == 903
    assert receipt_of(think(mail(document(defects=disagreement), **ASKED))).code == 906
    broken = (*disagreement, Defect("hash-differs", "", grave=True))
    assert receipt_of(think(mail(document(defects=broken, patient=nobody), **ASKED))).code == 906


def test_a_light_defect_stops_nothing() -> None:
    assert steps_of(think(mail(document(defects=(Defect("unknown-code"),))))) == ["Filing"]


def test_a_text_with_a_grave_defect_waits_with_its_reason() -> None:
    thought = think(mail(body="x", defects=(Defect("encrypted-message", "", grave=True),)))
    assert "encrypted-message" in why(thought)


def test_two_patients_in_one_mail_file_nothing() -> None:
    other = lou(ins=ins_of("2150369123457"), first_given="ZOE", given_names="ZOE")
    thought = think(mail(document(), document(unique_id="2", sha256="d" * 64, patient=other), **ASKED))
    assert steps_of(thought) == ["Hold", "Receipt"]
    assert receipt_of(thought).code == 906


# --- automatic mail -----------------------------------------------------------------------------------------------


def test_a_bounce_comes_before_a_human_and_is_never_answered() -> None:
    thought = think(mail(document(), report=Report(form="dsn", action="failed"), return_path="", **ASKED))
    assert (thought.plan.rule, steps_of(thought)) == ("envoi-non-remis", ["Hold"])


@pytest.mark.parametrize(
    ("report", "rule"),
    [
        (Report(form="dsn", action="delivered"), "avis-de-remise"),
        (Report(form="mdn", disposition="displayed"), "accuse"),
        (Report(form="mdn", disposition="processed"), "accuse"),
    ],
)
def test_good_news_is_noted_and_closed(report: Report, rule: str) -> None:
    thought = think(mail(document(), report=report, **ASKED))
    assert (thought.plan.rule, thought.plan.steps) == (rule, ())


def test_a_refused_integration_comes_before_a_human() -> None:
    thought = think(mail(report=Report(form="mdn", disposition="processed", error="902")))
    assert (thought.plan.rule, steps_of(thought)) == ("integration-refusee", ["Hold"])
    by_mail = think(mail(document(), subject="[KO Intégration système !][902] XDM/1.0/DDM+x", **ASKED))
    assert (by_mail.plan.rule, steps_of(by_mail)) == ("integration-refusee", ["Hold"])


def test_an_automatic_reply_is_noted() -> None:
    thought = think(mail(auto_submitted="auto-replied", **ASKED))
    assert (thought.plan.rule, thought.plan.steps) == ("reponse-automatique", ())


def test_a_doubtful_automatic_reply_is_not_closed_unread() -> None:
    thought = think(mail(subject="Absence du bureau"))
    assert steps_of(thought) == ["Hold"]
    assert "doubtful-auto-reply" in why(thought)


def test_a_bounce_that_quotes_a_cut_original_is_still_a_bounce() -> None:
    thought = think(mail(report=Report(form="dsn", action="delivered"), defects=(Defect("truncated", "", True),)))
    assert thought.plan.steps == ()


def test_a_mail_only_taken_for_automatic_is_looked_at() -> None:
    doubt = (Defect("ambiguous-structure", "", True),)
    thought = think(mail(subject="Undelivered Mail Returned to Sender", return_path="", defects=doubt))
    assert "ambiguous-structure" in why(thought)


def test_two_hubs_that_copy_everything_do_not_write_to_each_other() -> None:
    """complaints.md, row 15: nothing automatic is copied or notified, whatever the rule says."""
    book = rulebook(routes="rules:\n  - name: sinon\n    then: {hold: 'Attend.', copy: a@b.fr, notify: c@d.fr}\n")
    assert steps_of(think(mail(auto_submitted="auto-replied"), book=book)) == ["Hold"]
    assert steps_of(think(mail(body="x"), book=book)) == ["Delivery", "Delivery", "Hold"]


# --- rules: copies, notices, refusals -----------------------------------------------------------------------------

COPYING = """rules:
  - name: copie
    when: {class: xdm}
    then: {file: true, copy: infirmerie@b.fr, notify: cadre@b.fr}
  - name: sinon
    then: {hold: "Attend."}
"""


def test_a_filed_message_is_copied_after_it_is_filed() -> None:
    thought = think(mail(document(), **ASKED), book=rulebook(routes=COPYING))
    assert steps_of(thought) == ["Filing", "Delivery", "Delivery", "Receipt"]
    copies = [step for step in thought.plan.steps if isinstance(step, Delivery)]
    assert [(step.content, step.recipient) for step in copies] == [
        ("copy", "infirmerie@b.fr"),
        ("notice", "cadre@b.fr"),
    ]


def test_a_message_that_could_not_be_filed_is_not_copied_but_notified() -> None:
    thought = think(mail(document(patient=lou(sex="M"))), book=rulebook(routes=COPYING))
    assert [type(step).__name__ for step in thought.plan.steps] == ["Delivery", "Hold"]
    assert [step.content for step in thought.plan.steps if isinstance(step, Delivery)] == ["notice"]


def test_a_refused_message_tells_its_official_code() -> None:
    routes = "rules:\n  - name: non\n    when: {match: 902}\n    then: {refuse: 'Pas chez nous.'}\n" \
             "  - name: sinon\n    then: {hold: 'Attend.'}\n"  # fmt: skip
    stranger = lou(ins=ins_of("2150338185001"), birth_name="GARNIER", first_given="ALIX", given_names="ALIX")
    thought = think(mail(document(patient=stranger), **ASKED), book=rulebook(routes=routes))
    assert steps_of(thought) == ["Refusal", "Receipt"]
    assert receipt_of(thought).code == 902
    refusal = thought.plan.steps[0]
    assert isinstance(refusal, Refusal)
    assert refusal.reasons[0].text == "Pas chez nous."


def test_a_rule_may_forbid_the_receipt() -> None:
    routes = "rules:\n  - name: x\n    when: {class: xdm}\n    then: {file: true, receipt: never}\n" \
             "  - name: sinon\n    then: {hold: 'Attend.'}\n"  # fmt: skip
    assert steps_of(think(mail(document(), **ASKED), book=rulebook(routes=routes))) == ["Filing"]


def test_a_usager_who_writes_from_mon_espace_sante_is_read_by_a_human() -> None:
    thought = think(mail(document(), from_address="215036912345678@patient.mssante.fr", **ASKED))
    assert (thought.plan.rule, steps_of(thought)) == ("ecrit-par-un-usager", ["Hold"])
    assert "from-usager" in {reason.code for reason in thought.classification.reasons}


def test_an_author_outside_the_trust_space_waits_and_is_told_nothing() -> None:
    policy = routing.Policy(members=members_of(["autre-exemple.mssante.fr"]))
    thought = think(mail(document(), **ASKED), book=rulebook(policy))
    assert steps_of(thought) == ["Hold"]
    assert why(thought) == {"sender-outside"}


def test_without_a_list_an_author_is_neither_member_nor_stranger() -> None:
    routes = "rules:\n  - name: x\n    when: {sender_member: %s}\n    then: {file: true}\n" \
             "  - name: sinon\n    then: {hold: 'Attend.'}\n"  # fmt: skip
    listed = routing.Policy(members=members_of(["hopital-exemple.mssante.fr"]))
    assert think(mail(document()), book=rulebook(routes=routes % "unknown")).plan.rule == "x"
    assert think(mail(document()), book=rulebook(listed, routes % "member")).plan.rule == "x"
    assert think(mail(document(), from_address="a@x.fr"), book=rulebook(listed, routes % "outside")).plan.rule == "x"


def test_an_author_without_a_domain_is_a_stranger_once_there_is_a_list() -> None:
    listed = routing.Policy(members=members_of(["hopital-exemple.mssante.fr"]))
    parsed = replace(mail(document()), from_address=None, return_path=None)
    assert "sender-outside" in why(think(parsed, book=rulebook(listed)))


@pytest.mark.parametrize("domain", ["hopital-exemple.mssante.fr", "HOPITAL-EXEMPLE.mssante.fr"])
def test_a_member_is_known_whatever_the_case(domain: str) -> None:
    policy = routing.Policy(members=members_of(["hopital-exemple.mssante.fr"]))
    parsed = mail(document(), from_address=f"a@{domain}")
    assert steps_of(think(parsed, book=rulebook(policy))) == ["Filing"]
    lookalike = replace(parsed, from_address=f"a@{domain}.example")
    assert steps_of(think(lookalike, book=rulebook(policy))) == ["Hold"]


def test_several_establishments_behind_one_mailbox_are_told_apart_by_finess() -> None:
    routes = "rules:\n  - name: nord\n    when: {match: certain, facility: 690000001}\n    then: {file: true}\n" \
             "  - name: sinon\n    then: {hold: 'Attend.'}\n"  # fmt: skip
    assert think(mail(document()), book=rulebook(routes=routes)).plan.rule == "nord"
    elsewhere = replace(LOU_USAGER, facility="380000002")
    assert think(mail(document()), elsewhere, book=rulebook(routes=routes)).plan.rule == "sinon"


# --- versions -----------------------------------------------------------------------------------------------------


def with_versions(parsed: ParsedMessage, *known: FiledVersion, policy: routing.Policy | None = None) -> Thought:
    return think(parsed, versions=known, book=rulebook(policy) if policy else None)


V1 = filed(document_id="row-1", unique_id="v1", set_id="s", version="1")
V2_ARRIVES = document(unique_id="v2", sha256="d" * 64, set_id="s", version="2", action="replace", replaces=("v1",))


def test_a_replacement_supersedes_the_live_version() -> None:
    filing = filing_of(with_versions(mail(V2_ARRIVES, **ASKED), V1))
    assert (filing.action, filing.supersedes, filing.historic) == ("replace", "row-1", False)


def test_a_relation_without_action_is_a_replacement_too() -> None:
    filing = filing_of(with_versions(mail(replace(V2_ARRIVES, action="none")), V1))
    assert (filing.action, filing.supersedes) == ("replace", "row-1")


def test_a_higher_version_of_the_same_set_replaces_without_saying_so() -> None:
    silent = replace(V2_ARRIVES, action="none", replaces=())
    assert filing_of(with_versions(mail(silent), V1)).supersedes == "row-1"


def test_replacing_what_is_no_longer_the_latest_is_900() -> None:
    v1, v2 = replace(V1, live=False), replace(V1, document_id="row-2", unique_id="v2", version="2")
    late = replace(V2_ARRIVES, unique_id="v3", version="3", replaces=("v1",))
    thought = with_versions(mail(late, **ASKED), v1, v2)
    assert (steps_of(thought), receipt_of(thought).code, why(thought)) == (["Hold", "Receipt"], 900, {"not-latest"})


def test_an_older_version_that_comes_late_is_kept_as_history() -> None:
    v3 = replace(V1, document_id="row-3", unique_id="v3", version="3")
    filing = filing_of(with_versions(mail(V2_ARRIVES), v3))
    assert (filing.historic, filing.supersedes) == (True, None)


def test_an_older_version_does_not_come_back_after_a_deletion() -> None:
    gone = replace(V1, document_id="row-3", unique_id="v3", version="3", live=False, deleted=True)
    assert filing_of(with_versions(mail(replace(V2_ARRIVES, replaces=(), action="none")), gone)).historic


def test_another_document_with_the_same_number_is_a_conflict() -> None:
    twin = replace(V2_ARRIVES, unique_id="v1-bis", version="1", action="none", replaces=())
    thought = with_versions(mail(twin, **ASKED), V1)
    assert (receipt_of(thought).code, why(thought)) == (906, {"version-conflict"})


@pytest.mark.parametrize("version", [None, "un", "1.2", "²", "9" * 40])
def test_versions_without_a_number_are_never_ordered_by_chance(version: str | None) -> None:
    odd = replace(V2_ARRIVES, version=version, action="none", replaces=())
    assert why(with_versions(mail(odd), V1)) == {"version-conflict"}


def test_a_replacement_of_something_never_received_is_filed_or_held_as_the_site_says() -> None:
    filing = filing_of(with_versions(mail(V2_ARRIVES)))
    assert (filing.action, filing.supersedes) == ("replace", None)
    held = with_versions(mail(V2_ARRIVES, **ASKED), policy=routing.Policy(unknown_previous="hold"))
    assert (receipt_of(held).code, why(held)) == (900, {"unknown-previous"})


@pytest.mark.parametrize(
    ("authors", "is_allowed"),
    [
        ((Author(person_id="8019", organisation_id="9999"),), True),
        ((Author(person_id="1111", organisation_id="1690000000"),), True),
        ((Author(person_id="1111", organisation_id="9999"),), False),
        ((), False),
    ],
)
@pytest.mark.parametrize("action", ["replace", "delete"])
def test_only_the_author_or_his_organisation_replaces_or_deletes(
    authors: tuple[Author, ...], is_allowed: bool, action: Any
) -> None:
    arriving = replace(V2_ARRIVES, authors=authors)
    if action == "delete":
        arriving = replace(arriving, unique_id="v1", action="delete", replaces=())
    thought = with_versions(mail(arriving, **ASKED), V1)
    if is_allowed:
        assert filing_of(thought).supersedes == "row-1"
    else:
        assert (receipt_of(thought).code, why(thought)) == (901, {"not-the-author"})


def test_a_version_in_somebody_else_s_record_is_never_touched() -> None:
    thought = with_versions(mail(V2_ARRIVES, **ASKED), replace(V1, usager_id="u-other"))
    assert (receipt_of(thought).code, why(thought)) == (904, {"previous-of-another"})


def test_a_deletion_names_the_document_itself_not_what_it_replaced() -> None:
    """The same bytes as version 2, marked D (cda-xdm.md §3.7): version 1 must not be deleted in its place."""
    deletion = replace(V2_ARRIVES, action="delete")
    v2 = replace(V1, document_id="row-2", unique_id="v2", sha256="d" * 64, version="2")
    filing = filing_of(with_versions(mail(deletion), replace(V1, live=False), v2))
    assert (filing.action, filing.supersedes) == ("delete", "row-2")
    thought = with_versions(mail(deletion, **ASKED), V1)
    assert (receipt_of(thought).code, why(thought)) == (900, {"unknown-deleted"})


def test_deleting_what_is_no_longer_the_latest_is_900() -> None:
    deletion = replace(V2_ARRIVES, unique_id="v1", action="delete", replaces=())
    assert why(with_versions(mail(deletion), replace(V1, live=False))) == {"not-latest"}


def test_deleting_twice_does_nothing_and_says_success() -> None:
    deletion = replace(V2_ARRIVES, unique_id="v1", action="delete", replaces=())
    thought = with_versions(mail(deletion, **ASKED), replace(V1, live=False, deleted=True))
    assert (steps_of(thought), receipt_of(thought).code) == (["Receipt"], 0)


def test_the_same_document_again_is_filed_again_without_effect() -> None:
    thought = with_versions(mail(document(), **ASKED), filed())
    assert (filing_of(thought).reason, receipt_of(thought).code) == ("déjà classé, rien ne change", 0)


def test_other_bytes_under_a_known_id_are_held() -> None:
    thought = with_versions(mail(document(sha256="e" * 64), **ASKED), filed())
    assert (receipt_of(thought).code, why(thought)) == (906, {"same-id-other-bytes"})
    both = think(mail(document(), document(sha256="e" * 64)))
    assert why(both) == {"same-id-other-bytes"}


def test_a_document_already_in_another_record_is_held() -> None:
    assert why(with_versions(mail(document()), filed(usager_id="u-other"))) == {"filed-elsewhere"}


def test_two_versions_in_one_mail_leave_the_newer_to_read() -> None:
    v1 = document(unique_id="v1", set_id="s", version="1")
    for order in ((v1, V2_ARRIVES), (V2_ARRIVES, v1)):
        filings = {step.unique_id: step for step in think(mail(*order)).plan.steps if isinstance(step, Filing)}
        assert (filings["v1"].historic, filings["v2"].historic) == (True, False)


def test_one_document_that_may_not_be_filed_stops_the_others() -> None:
    good, bad = document(unique_id="other", sha256="f" * 64), replace(V2_ARRIVES, authors=())
    thought = with_versions(mail(good, bad), V1)
    assert steps_of(thought) == ["Hold"]


def test_a_document_that_would_replace_two_is_held() -> None:
    two = replace(V2_ARRIVES, replaces=("v1", "w1"))
    other = replace(V1, document_id="row-9", unique_id="w1", set_id="t")
    assert why(with_versions(mail(two), V1, other)) == {"several-previous"}


@pytest.mark.parametrize(
    ("arriving", "known", "waits"),
    [
        (V2_ARRIVES, (), True),
        (V2_ARRIVES, (V1,), False),
        (replace(V2_ARRIVES, action="delete"), (V1,), True),
        (replace(V2_ARRIVES, action="none", replaces=()), (), True),
        (replace(V2_ARRIVES, action="none", replaces=(), version="1"), (), False),
        (replace(V2_ARRIVES, action="none", replaces=(), set_id=None), (), False),
    ],
)
def test_a_version_ahead_of_its_past_waits_for_older_mail(arriving: Any, known: Any, waits: bool) -> None:
    assert routing.waits_for_older(seen(mail(arriving), versions=known)) is waits
    assert not routing.waits_for_older(seen(mail(arriving, auto_submitted="auto-replied"), versions=known))


# --- receipts -----------------------------------------------------------------------------------------------------


def test_no_receipt_is_sent_that_was_not_asked_for() -> None:
    assert steps_of(think(mail(document()))) == ["Filing"]


@pytest.mark.parametrize("written", [SENDER.upper(), f" {SENDER} "])
def test_the_address_compares_without_case(written: str) -> None:
    assert receipt_of(think(mail(document(), receipt_to=(written,)))).recipient == written.strip()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"receipt_to": ("other@hopital-exemple.mssante.fr",)}, "receipt-address-differs"),
        ({"receipt_to": (SENDER,), "return_path": None}, "receipt-no-return-path"),
        ({"receipt_to": (SENDER,), "return_path": ""}, "receipt-address-differs"),
        ({"receipt_to": (SENDER, "b@hopital-exemple.mssante.fr")}, "receipt-several-addresses"),
    ],
)
def test_a_doubtful_receipt_waits_for_a_human_and_the_document_is_filed(given: dict[str, Any], reason: str) -> None:
    thought = think(mail(document(), **given))
    assert steps_of(thought) == ["Filing", "Hold"]
    hold = hold_of(thought, "receipt")
    assert ([one.code for one in hold.reasons], hold.reason) == ([reason], "0")


def test_a_held_receipt_remembers_what_it_would_say() -> None:
    thought = think(mail(document(patient=lou(sex="M")), receipt_to=("other@hopital-exemple.mssante.fr",)))
    assert hold_of(thought, "receipt").reason == "904"


def test_what_the_wire_said_goes_before_the_header() -> None:
    parsed = mail(document(), receipt_to=(SENDER,), return_path="forged@evil.example")
    assert steps_of(think(parsed, sender=SENDER)) == ["Filing", "Receipt"]
    assert steps_of(think(replace(parsed, return_path=SENDER), sender="real@other.example")) == ["Filing", "Hold"]


def test_our_own_mailboxes_are_never_answered() -> None:
    assert steps_of(think(mail(document(), receipt_to=(OURS.upper(),), return_path=OURS))) == ["Filing"]


@pytest.mark.parametrize("submitted", ["auto-generated", "Auto-Notified; x=y"])
def test_a_document_sent_by_a_machine_is_filed_and_not_answered(submitted: str) -> None:
    assert steps_of(think(mail(document(), auto_submitted=submitted, **ASKED))) == ["Filing"]
    assert steps_of(think(mail(document(), auto_submitted="no", **ASKED))) == ["Filing", "Receipt"]


def test_a_text_is_never_answered_by_a_machine() -> None:
    assert steps_of(think(mail(body="Bonjour", **ASKED))) == ["Hold"]


def test_a_receipt_out_of_the_trust_space_waits() -> None:
    policy = routing.Policy(members=members_of(["hopital-exemple.mssante.fr"]))
    thought = think(mail(document(), receipt_to=("a@evil.example",)), book=rulebook(policy))
    assert [one.code for one in hold_of(thought, "receipt").reasons] == ["receipt-outside"]


# --- what a human decides -----------------------------------------------------------------------------------------


def test_a_human_files_a_pdf_under_his_name_and_the_sender_is_told() -> None:
    view = seen(mail(pdf(), **ASKED))
    thought = routing.released(view, rulebook(), "u-lou", "C. Garnier")
    assert steps_of(thought) == ["Filing", "Receipt"]
    assert (filing_of(thought).by, filing_of(thought).usager_id) == ("C. Garnier", "u-lou")
    assert (receipt_of(thought).code, receipt_of(thought).by) == (0, "C. Garnier")


def test_a_receipt_goes_once_whatever_it_said() -> None:
    view = seen(mail(pdf(), **ASKED))
    assert steps_of(routing.released(view, rulebook(), "u-lou", "C. Garnier", receipt_sent=True)) == ["Filing"]


def test_a_human_s_word_does_not_lift_the_version_rules() -> None:
    view = seen(mail(replace(V2_ARRIVES, replaces=("v1",))), versions=(replace(V1, usager_id="u-other"),))
    thought = routing.released(view, rulebook(), "u-lou", "C. Garnier")
    assert (steps_of(thought), why(thought)) == (["Hold"], {"previous-of-another"})


def test_a_human_may_vouch_for_a_version_without_a_known_author() -> None:
    unsigned = replace(V1, author_organisation_id=None, author_ids=())
    view = seen(mail(V2_ARRIVES), versions=(unsigned,))
    assert why(routing.think(view, rulebook())) == {"not-the-author"}
    assert filing_of(routing.released(view, rulebook(), "u-lou", "C. Garnier")).supersedes == "row-1"


def test_one_leaflet_may_go_to_several_records_by_hand() -> None:
    elsewhere = filed(unique_id=pdf().unique_id, sha256=pdf().sha256, usager_id="u-other")
    view = seen(mail(pdf()), versions=(elsewhere,))
    assert filing_of(routing.released(view, rulebook(), "u-lou", "C. Garnier")).usager_id == "u-lou"


def test_releasing_a_message_without_documents_holds_it_again() -> None:
    thought = routing.released(seen(mail(body="x")), rulebook(), "u-lou", "C. Garnier")
    assert why(thought) == {"nothing-to-file"}


def test_a_dismissed_message_is_closed_without_a_deed() -> None:
    assert routing.dismissed(seen(mail(body="x")), "C. Garnier").plan.steps == ()


def test_a_released_receipt_says_what_was_done() -> None:
    parsed = mail(document(), receipt_to=("other@hopital-exemple.mssante.fr",))
    done = routing.receipt_released(seen(parsed, versions=(filed(),)), "C. Garnier")
    assert receipt_of(done) == Receipt(
        recipient="other@hopital-exemple.mssante.fr", code=0, reason="released", by="C. Garnier"
    )
    assert receipt_of(routing.receipt_released(seen(parsed), "C. Garnier")).code == 906
    assert receipt_of(routing.receipt_released(seen(parsed), "C. Garnier", code=902)).code == 902


# --- the thought as a whole ---------------------------------------------------------------------------------------


def test_the_same_sight_gives_the_same_thought() -> None:
    parsed = mail(document(), pdf(), **ASKED)
    assert think(parsed) == think(parsed)


def test_a_thought_survives_the_spool() -> None:
    for parsed in (mail(document(), **ASKED), mail(pdf(), **ASKED), mail(body="x")):
        thought = think(parsed)
        assert decode_thought(encode_thought(thought)) == thought


def test_every_rule_tried_is_told_up_to_the_one_that_decides() -> None:
    tried = think(mail(document())).plan.tried
    assert [one.matched for one in tried] == [False] * (len(tried) - 1) + [True]
    assert tried[-1].name == "type-declare"


def test_no_reason_names_anybody() -> None:
    """Texts go to the sealed work list, codes to the log: neither may quote an identity."""
    for parsed in (mail(document(patient=lou(sex="M")), **ASKED), mail(pdf(), **ASKED), mail(V2_ARRIVES)):
        thought = think(parsed)
        told = [*thought.match.reasons, *(r for s in thought.plan.steps if isinstance(s, Hold) for r in s.reasons)]
        for reason in told:
            assert "MARTINEAU" not in reason.text.upper()
            assert re.fullmatch(r"[a-z0-9:-]+", reason.code)


# --- the sentences ------------------------------------------------------------------------------------------------

HUB = Path(__file__).parent.parent.parent / "hub"


def test_each_sentence_is_french_and_whole() -> None:
    for code in CODES:
        text = sentence(code)
        assert text[0].isupper(), code
        assert text.endswith("."), code
        assert 40 <= len(text) <= 300, code


def test_an_unknown_code_has_a_sentence_too() -> None:
    assert "code brand-new" in sentence("brand-new")


def test_every_defect_that_a_reader_raises_has_a_sentence() -> None:
    raised = re.compile(r"""(?:Defect|grave|mild|Unreadable|doubts\.add|\.add)\(\s*"([a-z0-9]+(?:-[a-z0-9]+)*)\"""")
    found = {
        code
        for folder in ("cda", "parse", "smime", "cell")
        for file in sorted((HUB / folder).rglob("*.py"))
        for code in raised.findall(file.read_text(encoding="utf-8"))
    }
    assert found - CODES == set()


# --- what the human reads -----------------------------------------------------------------------------------------


def test_the_general_sentence_is_told_only_when_there_is_no_other() -> None:
    assert why(think(mail(document(patient=lou(sex="M"))))) == {"traits-differ"}
    assert why(think(mail(document(defects=(Defect("hash-differs", "", True),))))) == {"hash-differs"}
    book = rulebook(routes="rules:\n  - name: sinon\n    then: {hold: 'Attend une personne.'}\n")
    assert why(think(mail(document()), book=book)) == {"rule:sinon"}


def test_a_rule_of_the_site_always_tells_its_sentence() -> None:
    book = rulebook(routes="rules:\n  - name: a-lire\n    when: {class: xdm}\n    then: {hold: 'À lire.'}\n"
                           "  - name: sinon\n    then: {hold: 'Attend.'}\n")  # fmt: skip
    assert why(think(mail(document(patient=lou(sex="M"))), book=book)) == {"traits-differ", "rule:a-lire"}


def test_a_document_that_nobody_could_read_is_not_blamed_for_having_no_ins() -> None:
    broken = document(patient=None, defects=(Defect("not-xml", "", True),))
    thought = think(mail(broken, **ASKED))
    assert why(thought) == {"not-xml"}
    assert receipt_of(thought).code == 906


@pytest.mark.parametrize("code", ["unread-attachment", "nested-archive"])
def test_an_attachment_that_nobody_read_is_told_beside_a_plain_message(code: str) -> None:
    assert why(think(mail(body="x", defects=(Defect(code),)))) == {code, "rule:message-simple"}


def test_a_receipt_of_failure_bears_its_official_label() -> None:
    receipt = receipt_of(think(mail(document(patient=lou(ins=None, oid=None)), **ASKED)))
    assert (receipt.code, receipt.label) == (903, "INS non présent dans le document")
    assert receipt_of(think(mail(document(), **ASKED))).label == ""
    by_hand = routing.receipt_released(seen(mail(document(), **ASKED)), by="anne", code=902)
    (step,) = by_hand.plan.steps
    assert isinstance(step, Receipt)
    assert step.label == "Identifiant de patient inconnu"


@pytest.mark.parametrize(("asks", "steps"), [("All", 1), ("DR, RN, NRN", 1), ("OOF, AutoReply", 2)])
def test_a_sender_who_wants_no_read_receipt_gets_none(asks: str, steps: int) -> None:
    suppress = (Header("X-Auto-Response-Suppress", asks),)
    assert len(think(mail(document(), headers=suppress, **ASKED)).plan.steps) == steps
