"""What speaks against the usager whom the strongest clue of a submission names: nothing, or it waits for a human.

In: that usager, all findings, the mail. Out: reasons. One contradiction is enough: another way that names another
person, a stated trait that is not theirs, the INS of somebody else in a PDF, a brother or sister named in the subject.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hub import ins
from hub.message import Identity, ParsedMessage, Reason, Usager, comparable
from hub.routing.findings import Finding, has_names, is_bare_ins, likeness, shares_a_name
from hub.routing.match import Demands, crossed_of
from hub.routing.reasons import reason
from hub.routing.traits import agreement_of, compare

_LOOKED_AT = ("ins", "oid", "birth_name", "first_given", "birth_date", "sex", "birth_place", "given_names")
_NOT_WORD = re.compile(r"[^A-Z'-]+")


@dataclass(frozen=True, slots=True)
class Contradictions:
    subject: Usager
    usagers: tuple[Usager, ...]
    demands: Demands
    parsed: ParsedMessage

    def of(self, findings: Iterable[Finding]) -> tuple[Reason, ...]:
        """Each once, in the order of the clues."""
        codes = [code for finding in findings for code in self._against(finding)]
        if self._names_a_sibling():
            codes.append("names-a-sibling")
        return tuple(reason(code) for code in dict.fromkeys(codes))

    def _against(self, finding: Finding) -> Iterator[str]:
        clue = finding.clue
        if is_bare_ins(clue):
            if self._is_foreign(clue.readings[0].ins or "", finding.named):
                yield "another-ins-in-text"
        elif finding.named and self.subject.id not in finding.named:
            yield "several-named"
        elif clue.numbers:
            if len(finding.named) > 1:  # one of them is somebody else
                yield "number-of-several"
            elif not finding.named and clue.is_clear:
                yield "number-unknown"
        elif clue.message_ids:
            return
        elif clue.way != "name":
            yield from self._of_identity(clue.readings[0], finding)
        elif any(reading.birth_date for reading in clue.readings):
            yield from self._of_name(finding)
        elif self._is_other_undated(clue.readings):
            yield "several-named"

    def _of_identity(self, stated: Identity, finding: Finding) -> Iterator[str]:
        crossed = crossed_of(stated, self.demands.test) if ins.is_ins_oid(stated.oid) else None
        if crossed is not None:
            yield crossed
        if len(finding.named) > 1:
            yield "several-usagers"
        traits = compare(stated, self.subject.identity)
        if any(agreement_of(traits, name) in ("close", "different") for name in _LOOKED_AT):
            yield "document-contradicts"

    def _of_name(self, finding: Finding) -> Iterator[str]:
        """A name and date that are not theirs. What may be no name at all counts when a part of it is theirs."""
        if finding.named:
            return
        readings = finding.clue.readings
        if any(likeness(_shortened(one, self.subject), self.subject) == "same" for one in readings):
            return  # `CR IRM DUPONT Jean`: a word more before the whole name
        if finding.clue.is_clear or any(shares_a_name(one, self.subject) for one in readings):
            yield "name-contradicts"

    def _is_other_undated(self, readings: Iterable[Identity]) -> bool:
        """Both names of another usager of the site, in capitals, somewhere in the subject."""
        stated = tuple(readings)
        others = (one for one in self.usagers if one.id != self.subject.id)
        return any(has_names(reading, one) for one in others for reading in stated) and not any(
            has_names(reading, self.subject) for reading in stated
        )

    def _is_foreign(self, number: str, holders: tuple[str, ...]) -> bool:
        """Whether an INS cannot be that of the subject: somebody else's, not the one known, or not of this sex, year
        and month of birth."""
        known = self.subject.identity
        if known.ins is not None:
            return number != known.ins
        return bool(holders) or not _could_be_of(number, known)

    def _names_a_sibling(self) -> bool:
        """Whether the subject or a file name has the given name of somebody with the same surname, and not theirs."""
        own = _surnames(self.subject)
        siblings = [one for one in self.usagers if one.id != self.subject.id and own & _surnames(one)]
        if not siblings:
            return False
        names = (document.name or "" for document in self.parsed.documents)
        line = _NOT_WORD.sub(" ", f" {comparable(' '.join((self.parsed.subject, *names))) or ''} ")
        return not _has(line, self.subject) and any(_has(line, one) for one in siblings)


def _shortened(reading: Identity, usager: Usager) -> Identity:
    """The reading without the words in front of the surname that the usager has."""
    said = f" {comparable(reading.birth_name) or ''}"
    ends = (name for name in _surnames(usager) if said.endswith(f" {name}"))
    return replace(reading, birth_name=next(ends, reading.birth_name))


def _surnames(usager: Usager) -> set[str]:
    names = (comparable(usager.identity.birth_name), comparable(usager.identity.used_name))
    return {name for name in names if name}


def _has(line: str, usager: Usager) -> bool:
    given = (comparable(usager.identity.first_given), comparable(usager.identity.used_given))
    return any(name is not None and f" {name} " in line for name in given)


def _could_be_of(number: str, known: Identity) -> bool:
    """An INS begins with sex, year and month of birth; 3, 4, 7 and 8 are temporary numbers, months over 12 unknown."""
    sex = {"1": "M", "3": "M", "7": "M", "2": "F", "4": "F", "8": "F"}.get(number[:1])
    if sex and known.sex in ("M", "F") and sex != known.sex:
        return False
    born = known.birth_date or ""
    if born[2:4] and number[1:3] != born[2:4]:
        return False
    return not (born[5:7] and number[3:5].isdigit() and 1 <= int(number[3:5]) <= 12 and number[3:5] != born[5:7])
