"""Whom a submission is about: one usager for certain, or nobody. The hub never guesses a person.

In: the clues (`asked_of`), what the records know of them (`Seen.subjects`) and the rulebook. Out: an `About`. The
strongest way that names exactly one usager decides; every other clue must agree with it: a way that names somebody
else, a trait that contradicts, an INS of somebody else in the text of a PDF, and the match is not certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hub.message import Candidate, Identity, Match, Reason, Usager, Way
from hub.routing.asked import asked_of
from hub.routing.contradictions import Contradictions
from hub.routing.findings import Finding, Findings
from hub.routing.match import CANDIDATES_MOST, candidate_of
from hub.routing.reasons import reason
from hub.routing.rulebook import Rulebook
from hub.routing.tags import kind_asked
from hub.routing.view import UNREAD, Seen, demands_of

NOBODY, NOT_STATED, CONTRADICTED, OTHER = 902, 903, 904, 906  # IG-LPS, as for what comes in
_CODES = {
    "number-unknown": NOBODY,
    "thread-unknown": NOBODY,
    "name-unknown": NOBODY,
    "ins-unknown": NOBODY,
    "no-usager": NOT_STATED,
    "name-without-date": NOT_STATED,
    "no-ins": NOT_STATED,
    "traits-incomplete": 905,
    "several-named": OTHER,
    "homonyms": OTHER,
    "near-namesake": OTHER,
    "number-of-several": OTHER,
    "thread-of-several": OTHER,
    "too-many-alike": OTHER,
    "number-like-a-year": OTHER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a submission is about. `way` is how the usager was found, None when nobody is certain; `kind` what its
    subject asks for in brackets; `is_ordinary`: no document and no mark of an usager, a mail like any other."""

    match: Match
    way: Way | None = None
    kind: str | None = None
    is_ordinary: bool = False
    reasons: tuple[Reason, ...] = ()

    def settled(self, usager_id: str) -> About:
        """The same once a human said whose it is."""
        known = (one for one in self.match.candidates if one.usager_id == usager_id)
        candidate = next(known, Candidate(usager_id=usager_id))
        return replace(self, match=Match(outcome="certain", candidates=(candidate,)), is_ordinary=False)


def about(seen: Seen, rulebook: Rulebook) -> About:
    """Whose the submission is, certain or not, how that was found, and the kind that its subject asks for.

    `seen.subjects` is what the records know under `asked_of(seen.parsed)`."""
    asked = asked_of(seen.parsed)
    usagers = tuple({one.id: one for one in (*seen.subjects.usagers, *seen.usagers)}.values())
    demands = demands_of(rulebook, seen.envelope)
    kind, tag_reasons = kind_asked(asked.tags, rulebook.catalogue)
    findings = Findings(usagers, seen.subjects, demands).of(asked.clues)
    if _is_ordinary(seen, findings):
        return About(match=Match(), kind=kind, is_ordinary=True, reasons=(reason("no-usager-mark"), *tag_reasons))
    chosen = next((finding for finding in findings if finding.is_certain), None)
    if chosen is None:
        why = _lacking(findings)
        return About(match=_uncertain(why, _candidates(findings, usagers)), kind=kind, reasons=(*why, *tag_reasons))
    subject = next(one for one in usagers if one.id == chosen.named[0])
    doubts = Contradictions(subject, usagers, demands, seen.parsed).of(findings)
    if doubts:
        match = _uncertain(doubts, _candidates((chosen, *findings), usagers))
        return About(match=match, kind=kind, reasons=(*doubts, *tag_reasons))
    match = Match(outcome="certain", candidates=(candidate_of(_stated(chosen, findings, subject), subject),))
    return About(match=match, way=chosen.clue.way, kind=kind, reasons=(_found(chosen.clue.way), *tag_reasons))


def _is_ordinary(seen: Seen, findings: tuple[Finding, ...]) -> bool:
    """Nothing to file with anybody, and nothing that can well be meant as the mark of an usager."""
    parsed = seen.parsed
    if parsed.documents or parsed.archives or any(defect.code in UNREAD for defect in parsed.defects):
        return False
    return not any(
        finding.named or finding.near or (finding.clue.is_clear and finding.clue.way != "thread")
        for finding in findings
    )


def _lacking(findings: tuple[Finding, ...]) -> tuple[Reason, ...]:
    """Why nobody is certain: what each clue lacks, the strongest first; a clue that is none says nothing."""
    told = [
        code
        for finding in findings
        if finding.named or finding.near or finding.clue.is_clear
        for code in finding.reasons
    ]
    return tuple(reason(code) for code in dict.fromkeys(told)) or (reason("no-usager"),)


def _uncertain(reasons: tuple[Reason, ...], candidates: tuple[Candidate, ...]) -> Match:
    code = _CODES.get(reasons[0].code, CONTRADICTED)
    return Match(outcome="proposed" if candidates else "none", code=code, candidates=candidates, reasons=reasons)


def _candidates(findings: Iterable[Finding], usagers: tuple[Usager, ...]) -> tuple[Candidate, ...]:
    """Who it could be: those whom a clue names, then those who resemble; each beside what was stated of them."""
    found = tuple(findings)
    order = dict.fromkeys((*_ids(found, "named"), *_ids(found, "near")))
    known = {one.id: one for one in usagers}
    shown = [known[one] for one in order if one in known][:CANDIDATES_MOST]
    readings = [reading for finding in found for reading in finding.clue.readings]
    return tuple(candidate_of(_nearest(readings, one), one) for one in shown)


def _ids(findings: tuple[Finding, ...], which: str) -> Iterator[str]:
    for finding in findings:
        yield from finding.named if which == "named" else finding.near


def _stated(chosen: Finding, findings: tuple[Finding, ...], subject: Usager) -> Identity:
    readings = chosen.clue.readings or [reading for finding in findings for reading in finding.clue.readings]
    return _nearest(readings, subject)


def _nearest(readings: Iterable[Identity], usager: Usager) -> Identity:
    """Of all that was stated, what says most of this usager; nothing when nothing was."""

    def equal(reading: Identity) -> int:
        return sum(trait.agreement == "equal" for trait in candidate_of(reading, usager).traits)

    return max(readings, key=equal, default=Identity())


def _found(way: Way) -> Reason:
    return reason(f"by-{way}")
