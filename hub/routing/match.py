"""Whose is it? One exact answer, or none: the hub never guesses a person.

In: the identities that the documents state and the usagers that the records found for them. Out: a `Match`, certain
only when INS, authority and required traits are all equal to those of one qualified usager (RH-41); otherwise one of
the official codes 902 to 906, with every candidate compared trait by trait for the human who decides (RH-45).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hub import ins
from hub.message import Candidate, Document, Identity, Match, ParsedMessage, Reason, Trait, Usager, comparable
from hub.routing.reasons import reason
from hub.routing.traits import agreement_of, compare, used_name_stands_for_birth_name

CANDIDATES_MOST = 10
REQUIRED = ("birth_name", "first_given", "birth_date", "sex")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a certain match needs here: statuses that count as qualified, the birth place or not, a test mailbox."""

    qualified_statuses: frozenset[str]
    birth_place_required: bool
    test: bool


def identities(parsed: ParsedMessage) -> tuple[Identity, ...]:
    """The identities that the documents of a message state, each once, in order."""
    stated = (document.patient for document in parsed.documents)
    return tuple(dict.fromkeys(identity for identity in stated if identity is not None))


def match(documents: Iterable[Document], usagers: tuple[Usager, ...], demands: Demands) -> Match:
    """Whose all the documents of one message are. No document: `none` without a code."""
    stated = [document.patient for document in documents]
    named = list(dict.fromkeys(identity for identity in stated if identity is not None))
    if not stated:
        return Match()
    if not named:
        return Match(code=903, reasons=(reason("no-ins"),))
    if not _are_one_person(named):
        return _uncertain(906, "several-identities", _candidates(named, usagers))
    found = match_one(named[0], usagers, (), demands)
    for other in named[1:]:  # the same person stated twice, once with fewer traits: the poorer one decides
        if found.outcome == "certain":
            found = match_one(other, usagers, (), demands)
    if found.outcome == "certain" and None in stated:
        return _uncertain(903, "document-without-identity", found.candidates)
    if found.code is not None:  # a human decides: only now is everybody compared
        return uncertain(found.code, found.reasons, _candidates(named, usagers))
    return found


def _are_one_person(named: list[Identity]) -> bool:
    """ECO.2.1.1: one mail, one usager. The same INS, and no trait that contradicts another."""
    first = named[0]
    for other in named[1:]:
        if (first.ins, first.oid) != (other.ins, other.oid):
            return False
        if any(trait.agreement in ("close", "different") for trait in compare(first, other)):
            return False
    return True


def match_one(
    identity: Identity, usagers: tuple[Usager, ...], candidates: tuple[Candidate, ...], demands: Demands
) -> Match:
    """Whose the one identity is; `candidates` are told when it is not certain."""
    stated_ins = identity.ins
    if not stated_ins or not ins.is_ins_oid(identity.oid):
        return _uncertain(903, "no-ins", candidates)
    crossed = crossed_of(identity, demands.test)
    if crossed:
        return _uncertain(904, crossed, candidates)
    holders = tuple(usager for usager in usagers if usager.identity.ins == stated_ins)
    if not holders:
        known_otherwise = any(_is_same_but_ins(identity, usager) for usager in usagers)
        return _uncertain(*((904, "ins-differs") if known_otherwise else (902, "ins-unknown")), candidates)
    if len(holders) > 1:
        return _uncertain(906, "several-usagers", candidates)
    return _match_holder(identity, holders[0], candidates, demands)


def crossed_of(identity: Identity, test: bool) -> str | None:
    """Test and production never meet (RH-42); a production INS has a right key (RH-43: test ones are often wrong)."""
    if identity.oid in ins.TEST_OIDS and not test:
        return "test-on-production"
    if identity.oid in ins.PRODUCTION_OIDS and test:
        return "production-on-test"
    if identity.oid in ins.PRODUCTION_OIDS and not ins.key_is_right(identity.ins or ""):
        return "ins-key-wrong"
    return None


def _match_holder(identity: Identity, usager: Usager, candidates: tuple[Candidate, ...], demands: Demands) -> Match:
    """The one usager with this INS: is everything else equal too?"""
    traits = compare(identity, usager.identity)
    required = (*REQUIRED, "birth_place") if demands.birth_place_required else REQUIRED
    difference = _difference(identity, usager, traits)
    differing = [difference] if difference else []
    if usager.ins_status not in demands.qualified_statuses:
        differing.append("not-qualified")
    if usager.doubtful:
        differing.append("identity-doubtful")
    absent = [name for name in required if agreement_of(traits, name) == "absent"]
    stated_absent = any(_is_absent(traits, name) for name in absent)
    if not differing and absent:
        # 905 when the document lacks the trait; when the record lacks it, it is not "exactly those stored": 904.
        return _uncertain(*((905, "traits-incomplete") if stated_absent else (904, "record-incomplete")), candidates)
    if differing:
        return uncertain(904, tuple(reason(code) for code in differing), candidates)
    return Match(outcome="certain", candidates=(candidate_of(identity, usager),))


def _difference(identity: Identity, usager: Usager, traits: tuple[Trait, ...]) -> str | None:
    if agreement_of(traits, "oid") != "equal":
        return "oid-differs"
    if used_name_stands_for_birth_name(identity, usager.identity):
        return "used-name-given"
    looked_at = (*REQUIRED, "birth_place", "given_names")
    if any(agreement_of(traits, name) in ("close", "different") for name in looked_at):
        return "traits-differ"
    return None


def _is_absent(traits: tuple[Trait, ...], name: str) -> bool:
    """Whether it is the document that lacks the trait, or states it only in part."""
    trait = next(trait for trait in traits if trait.name == name)
    partial = name == "birth_date" and len(trait.stated) < len("2012-05-31")
    unsaid = name == "sex" and trait.stated not in ("M", "F")
    return not trait.stated or partial or unsaid


def _is_same_but_ins(identity: Identity, usager: Usager) -> bool:
    """All traits equal, another INS in the record: 904, not 902."""
    traits = compare(identity, usager.identity)
    return bool(usager.identity.ins) and all(agreement_of(traits, name) == "equal" for name in REQUIRED)


def _candidates(named: list[Identity], usagers: tuple[Usager, ...]) -> tuple[Candidate, ...]:
    """Who it could be, the likeliest first; for a human only."""
    ranked: list[tuple[int, str, Candidate]] = []
    for usager in usagers:
        best = max((_likeness(identity, usager) for identity in named), key=lambda pair: pair[0])
        if best[0] > 0:
            ranked.append((-best[0], usager.id, best[1]))
    return tuple(candidate for _, _, candidate in sorted(ranked, key=lambda one: one[:2])[:CANDIDATES_MOST])


def _likeness(identity: Identity, usager: Usager) -> tuple[int, Candidate]:
    """0 for somebody else: a candidate shares the INS, or name and birth date, or both names, nearly at least."""
    candidate = candidate_of(identity, usager)
    near = {trait.name for trait in candidate.traits if trait.agreement in ("equal", "close")}
    if used_name_stands_for_birth_name(identity, usager.identity):
        near.add("birth_name")
    if comparable(identity.birth_name) is None and comparable(identity.used_name) is not None:
        used = comparable(identity.used_name)
        if used in (comparable(usager.identity.birth_name), comparable(usager.identity.used_name)):
            near.add("birth_name")
    could_be = "ins" in near or {"birth_name", "birth_date"} <= near or {"birth_name", "first_given"} <= near
    if not could_be:
        return 0, candidate
    equal = sum(1 for trait in candidate.traits if trait.agreement == "equal")
    return 1 + 2 * equal + len(near), candidate


def candidate_of(identity: Identity, usager: Usager) -> Candidate:
    """The usager beside what was stated."""
    return Candidate(
        usager_id=usager.id,
        record_number=usager.record_number,
        traits=compare(identity, usager.identity),
        ins_status=usager.ins_status,
    )


def _uncertain(code: int, why: str, candidates: tuple[Candidate, ...]) -> Match:
    return uncertain(code, (reason(why),), candidates)


def uncertain(code: int, reasons: tuple[Reason, ...], candidates: tuple[Candidate, ...]) -> Match:
    """Not certain: `proposed` when there is somebody to propose."""
    if candidates:
        return Match(outcome="proposed", code=code, candidates=candidates, reasons=reasons)
    return Match(code=code, reasons=reasons)
