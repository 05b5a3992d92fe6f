"""Whose is it: the truth tables of 902 to 906, and what must never be certain (complaints.md, row 16)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import ins
from hub.message import Document, Identity, LocalId, Match, Usager
from hub.routing.match import REQUIRED, Demands, identities, match
from hub.routing.traits import agreement_of, compare
from tests.unit.routing_samples import LOU, LOU_INS, LOU_USAGER, document, ins_of, lou, mail, pdf

DEMANDS = Demands(qualified_statuses=frozenset({"qualifiee"}), birth_place_required=False, test=False)


def matched(stated: Identity, *usagers: Usager, **demands: Any) -> Match:
    return match([document(patient=stated)], usagers or (LOU_USAGER,), replace(DEMANDS, **demands))


def codes_of(found: Match) -> set[str]:
    return {reason.code for reason in found.reasons}


# --- the truth tables ---------------------------------------------------------------------------------------------


def test_everything_equal_is_certain() -> None:
    found = matched(LOU)
    assert (found.outcome, found.code, len(found.candidates)) == ("certain", None, 1)


@pytest.mark.parametrize("agreements", list(product(["equal", "absent", "different"], repeat=4)))
def test_the_four_traits_decide_between_certain_904_and_905(agreements: tuple[str, ...]) -> None:
    """A different trait is 904, whatever else lacks; no difference and a lack is 905 (IG-LPS, ERR-5)."""
    other = {"birth_name": "DURAND-PETIT", "first_given": "ZOE", "birth_date": "2009-12-01", "sex": "M"}
    changes: dict[str, str | None] = {}
    for name, agreement in zip(REQUIRED, agreements, strict=True):
        if agreement != "equal":
            changes[name] = None if agreement == "absent" else other[name]
    if "first_given" in changes:
        changes["given_names"] = changes["first_given"]
    found = matched(lou(**changes))
    if "different" in agreements:
        expected: tuple[str, int | None] = ("proposed", 904)
    elif "absent" in agreements:
        expected = ("proposed", 905)
    else:
        expected = ("certain", None)
    assert (found.outcome, found.code) == expected


@pytest.mark.parametrize(
    ("has_ins", "is_known", "is_equal", "is_qualified", "code"),
    [
        (False, False, False, False, 903),
        (False, True, True, True, 903),
        (True, False, False, False, 902),
        (True, False, False, True, 902),
        (True, True, False, False, 904),
        (True, True, False, True, 904),
        (True, True, True, False, 904),
        (True, True, True, True, None),
    ],
)
def test_ins_known_equal_and_qualified_decide_the_code(
    has_ins: bool, is_known: bool, is_equal: bool, is_qualified: bool, code: int | None
) -> None:
    stated = LOU if is_equal else lou(birth_name="DUPONT", birth_date="2001-01-01")
    stated = stated if has_ins else replace(stated, ins=None, oid=None)
    holder = replace(LOU_USAGER, ins_status="qualifiee" if is_qualified else "recuperee")
    somebody = Usager(id="u-other", identity=Identity(birth_name="GARNIER", birth_date="2010-10-10"))
    found = matched(stated, holder if is_known else somebody)
    assert found.code == code
    assert (found.outcome == "certain") == (code is None)


@pytest.mark.parametrize("status", ["provisoire", "recuperee", "validee"])
def test_an_identity_that_is_not_qualified_is_never_filed_to(status: str) -> None:
    found = matched(LOU, replace(LOU_USAGER, ins_status=status))
    assert (found.outcome, found.code, codes_of(found)) == ("proposed", 904, {"not-qualified"})


def test_a_doubtful_identity_is_never_filed_to() -> None:
    assert codes_of(matched(LOU, replace(LOU_USAGER, doubtful=True))) == {"identity-doubtful"}


def test_a_site_may_name_more_statuses() -> None:
    holder = replace(LOU_USAGER, ins_status="validee")
    assert matched(LOU, holder, qualified_statuses=frozenset({"qualifiee", "validee"})).outcome == "certain"


# --- INS: authority, key, branch ----------------------------------------------------------------------------------


def with_oid(oid: str, number: str = LOU_INS) -> tuple[Identity, Usager]:
    identity = lou(oid=oid, ins=number)
    return identity, replace(LOU_USAGER, identity=identity)


@pytest.mark.parametrize("oid", [ins.NIR, ins.NIA])
def test_production_numbers_match_on_a_production_mailbox_only(oid: str) -> None:
    identity, holder = with_oid(oid)
    assert matched(identity, holder).outcome == "certain"
    found = matched(identity, holder, test=True)
    assert (found.code, codes_of(found)) == (904, {"production-on-test"})


@pytest.mark.parametrize("oid", [ins.TEST, ins.DEMONSTRATION])
def test_test_numbers_match_on_a_test_mailbox_only(oid: str) -> None:
    identity, holder = with_oid(oid)
    assert matched(identity, holder, test=True).outcome == "certain"
    found = matched(identity, holder)
    assert (found.code, codes_of(found)) == (904, {"test-on-production"})


def test_a_wrong_key_is_refused_in_production_and_borne_in_test() -> None:
    wrong = LOU_INS[:13] + f"{(int(LOU_INS[13:]) % 97) + 1:02d}"
    identity, holder = with_oid(ins.NIR, wrong)
    found = matched(identity, holder)
    assert (found.outcome, found.code, codes_of(found)) == ("proposed", 904, {"ins-key-wrong"})
    identity, holder = with_oid(ins.TEST, wrong)
    assert matched(identity, holder, test=True).outcome == "certain"


def test_a_corsican_number_is_right_with_its_letters() -> None:
    identity, holder = with_oid(ins.NIR, ins_of("215032A123456"))
    assert matched(identity, holder).outcome == "certain"


def test_the_same_number_under_another_authority_is_another_identity() -> None:
    found = matched(lou(oid=ins.NIA))
    assert (found.code, codes_of(found)) == (904, {"oid-differs"})


def test_a_number_of_another_sort_is_no_ins() -> None:
    """.13 and .14 are not INS (cda-xdm.md §7, item 19)."""
    assert matched(lou(oid="1.2.250.1.213.1.4.13")).code == 903


def test_an_unknown_number_with_all_traits_of_a_usager_is_different_not_unknown() -> None:
    found = matched(lou(ins=ins_of("2150369123457")))
    assert (found.outcome, found.code, codes_of(found)) == ("proposed", 904, {"ins-differs"})


def test_a_usager_without_ins_is_proposed_for_an_unknown_number() -> None:
    holder = replace(LOU_USAGER, identity=replace(LOU, ins=None, oid=None), ins_status="provisoire")
    found = matched(LOU, holder)
    assert (found.outcome, found.code) == ("proposed", 902)


def test_two_records_with_one_number_are_never_certain() -> None:
    found = matched(LOU, LOU_USAGER, replace(LOU_USAGER, id="u-double"))
    assert (found.code, codes_of(found), len(found.candidates)) == (906, {"several-usagers"}, 2)


# --- names and dates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["martineau", "Martineau", "MARTINEAU", " Martineau "])
def test_case_and_blanks_do_not_tell_names_apart(written: str) -> None:
    assert matched(lou(birth_name=written)).outcome == "certain"


def test_accents_do_not_tell_names_apart_but_hyphens_do() -> None:
    holder = replace(LOU_USAGER, identity=lou(birth_name="LEFÈVRE-NOËL"))
    assert matched(lou(birth_name="Lefevre-Noel"), holder).outcome == "certain"
    found = matched(lou(birth_name="LEFEVRE NOEL"), holder)
    assert found.code == 904
    assert agreement_of(found.candidates[0].traits, "birth_name") == "close"


def test_the_first_of_all_given_names_is_found() -> None:
    """`DOMINIQUE MARIE-LOUISE` with a first given name of `DOMINIQUE`, as official samples have it."""
    known = lou(first_given=None, given_names="DOMINIQUE MARIE-LOUISE")
    stated = lou(first_given="Dominique", given_names=None)
    assert matched(stated, replace(LOU_USAGER, identity=known)).outcome == "certain"
    assert matched(known, replace(LOU_USAGER, identity=stated)).outcome == "certain"
    assert matched(known, replace(LOU_USAGER, identity=known)).outcome == "certain"
    assert matched(lou(first_given="MARIE-LOUISE"), replace(LOU_USAGER, identity=known)).code == 904


def test_lists_of_given_names_that_contradict_each_other_are_not_certain() -> None:
    assert matched(lou(given_names="LOU ANNE MARIE")).outcome == "certain"
    assert matched(lou(given_names="LOU")).outcome == "certain"
    assert matched(lou(given_names="LOU CLAIRE")).code == 904


def test_a_used_name_never_stands_for_a_birth_name() -> None:
    known = replace(LOU_USAGER, identity=lou(used_name="BERNARD"))
    found = matched(lou(birth_name="BERNARD"), known)
    assert (found.outcome, found.code, codes_of(found)) == ("proposed", 904, {"used-name-given"})
    found = matched(lou(birth_name=None, used_name="MARTINEAU"))
    assert found.code == 905


def test_swapped_birth_and_used_names_are_seen_as_such() -> None:
    known = replace(LOU_USAGER, identity=lou(birth_name="MARTINEAU", used_name="BERNARD"))
    assert codes_of(matched(lou(birth_name="BERNARD", used_name="MARTINEAU"), known)) == {"used-name-given"}


@pytest.mark.parametrize("date", ["2015-04-13", "2015-03-41", "2015-03-15", "2051-03-14"])
def test_a_slip_in_a_date_is_close_and_never_certain(date: str) -> None:
    found = matched(lou(birth_date=date))
    assert found.code == 904
    assert agreement_of(found.candidates[0].traits, "birth_date") == "close"


def test_day_and_month_swapped_is_close() -> None:
    traits = compare(lou(birth_date="2015-12-03"), lou(birth_date="2015-03-12"))
    assert agreement_of(traits, "birth_date") == "close"


@pytest.mark.parametrize("date", ["2015-03", "2015"])
def test_a_date_cut_short_is_a_lack_when_it_agrees(date: str) -> None:
    assert matched(lou(birth_date=date)).code == 905
    assert matched(lou(birth_date="2014")).code == 904


def test_an_unknown_sex_is_a_lack() -> None:
    assert matched(lou(sex="U")).code == 905


def test_a_lack_in_our_own_record_is_told_as_ours() -> None:
    found = matched(LOU, replace(LOU_USAGER, identity=lou(sex=None)))
    assert (found.code, codes_of(found)) == (904, {"record-incomplete"})


@pytest.mark.parametrize(
    ("stated", "known", "required", "code"),
    [
        ("69123", "69123", True, None),
        ("69123", "69123", False, None),
        ("38185", "69123", False, 904),
        ("38185", "69123", True, 904),
        (None, "69123", False, None),
        (None, "69123", True, 905),
        ("69123", None, False, None),
        ("69123", None, True, 904),
    ],
)
def test_the_birth_place_counts_when_both_say_it_or_when_required(
    stated: str | None, known: str | None, required: bool, code: int | None
) -> None:
    holder = replace(LOU_USAGER, identity=lou(birth_place=known))
    assert matched(lou(birth_place=stated), holder, birth_place_required=required).code == code


# --- homonyms, twins, proposals -----------------------------------------------------------------------------------


def test_a_homonym_is_proposed_and_never_certain() -> None:
    homonym = lou(ins=ins_of("2150338185001"), birth_date="2015-09-30")
    found = matched(homonym)
    assert (found.outcome, found.code) == ("proposed", 902)


def test_twins_are_told_apart_by_number_and_first_name() -> None:
    twin = lou(ins=ins_of("2150369123457"), first_given="ZOE", given_names="ZOE")
    twin_usager = replace(LOU_USAGER, id="u-zoe", identity=twin)
    assert matched(LOU, LOU_USAGER, twin_usager).candidates[0].usager_id == "u-lou"
    assert matched(twin, LOU_USAGER, twin_usager).candidates[0].usager_id == "u-zoe"
    crossed = replace(twin, ins=LOU_INS)  # the sender took the twin's number
    found = matched(crossed, LOU_USAGER, twin_usager)
    assert (found.outcome, found.code, len(found.candidates)) == ("proposed", 904, 2)


def test_somebody_else_is_not_proposed() -> None:
    other = Usager(id="u-x", identity=Identity(birth_name="OTHER", first_given="LOU", birth_date="2015-03-14"))
    assert matched(LOU, other).outcome == "none"


def test_the_likeliest_candidate_comes_first_and_the_list_is_short() -> None:
    many = tuple(
        Usager(id=f"u-{n:02d}", identity=lou(ins=None, oid=None, first_given="ANA", given_names=None))
        for n in range(30)
    )
    found = matched(lou(ins=ins_of("2150369123457"), sex=None), *many, LOU_USAGER)
    assert found.candidates[0].usager_id == "u-lou"
    assert len(found.candidates) == 10


def test_the_number_of_another_structure_is_not_compared_with_the_record_number() -> None:
    """Every hospital has its own numbers: `different` would frighten, `equal` would be chance."""
    stated = replace(LOU, ins=None, oid=None, local_ids=(LocalId("1.2.3", "D-0012"), LocalId("1.2.4", "77")))
    (candidate,) = matched(stated).candidates
    assert candidate.record_number == "D-0012"
    assert "record_number" not in {trait.name for trait in candidate.traits}


# --- several documents --------------------------------------------------------------------------------------------


def matched_all(*documents: Document) -> Match:
    return match(documents, (LOU_USAGER,), DEMANDS)


def test_no_document_is_nobody_s() -> None:
    found = matched_all()
    assert (found.outcome, found.code) == ("none", None)


def test_a_pdf_without_identity_is_never_guessed() -> None:
    found = matched_all(pdf(text="Lou MARTINEAU, née le 14/03/2015"))
    assert (found.outcome, found.code) == ("none", 903)


def test_two_persons_in_one_mail_are_refused() -> None:
    found = matched_all(document(), document(patient=lou(ins=ins_of("2150369123457"))))
    assert (found.code, codes_of(found)) == (906, {"several-identities"})
    assert matched_all(document(), document(patient=lou(first_given="LEA"))).code == 906


def test_the_same_person_with_fewer_traits_is_one_person_and_the_poorer_decides() -> None:
    assert matched_all(document(), document(patient=lou(birth_place=None))).outcome == "certain"
    assert matched_all(document(), document(patient=lou(sex=None))).code == 905


def test_a_piece_without_identity_beside_a_certain_one_stops_both() -> None:
    found = matched_all(document(), pdf())
    assert (found.outcome, found.code, codes_of(found)) == ("proposed", 903, {"document-without-identity"})


def test_identities_come_once_each_in_order() -> None:
    other = lou(first_given="LEA")
    assert identities(mail(document(), document(patient=other), document(), pdf())) == (LOU, other)


# --- what can never happen ----------------------------------------------------------------------------------------

_texts = st.one_of(st.none(), st.text(max_size=20), st.sampled_from(["MARTINEAU", "LOU", "2015-03-14", "F", LOU_INS]))
_identities = st.builds(
    Identity,
    ins=_texts,
    oid=st.one_of(st.none(), st.sampled_from(sorted(ins.OIDS))),
    birth_name=_texts,
    first_given=_texts,
    given_names=_texts,
    used_name=_texts,
    birth_date=_texts,
    sex=_texts,
    birth_place=_texts,
)


@given(stated=_identities, known=_identities, doubtful=st.booleans(), test=st.booleans())
def test_whatever_is_stated_certain_means_all_required_equal(
    stated: Identity, known: Identity, doubtful: bool, test: bool
) -> None:
    holder = Usager(id="u", identity=known, ins_status="qualifiee", doubtful=doubtful)
    found = matched(stated, holder, test=test)
    if found.outcome == "certain":
        traits = compare(stated, known)
        assert all(agreement_of(traits, name) == "equal" for name in ("ins", "oid", *REQUIRED))
        assert not doubtful
        assert (stated.oid in ins.TEST_OIDS) == test
        assert found.code is None
    else:
        assert found.code in range(902, 907)
        assert found.reasons
