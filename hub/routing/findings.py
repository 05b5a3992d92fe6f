"""What each clue of a submission finds among the usagers that the records gave: whom it names, who resembles, and why
that is not certain.

The rules are those of what comes in: an INS counts with all traits of a qualified usager (`match`), a record number
names one usager, a thread the only one whom its mails were about, a name and a birth date the only one who has both
names and the date; whoever nearly has them too makes it uncertain.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from hub.message import Clue, Identity, Subjects, Usager, comparable
from hub.routing.match import Demands, match_one
from hub.routing.traits import agreement_of, compare

Likeness = Literal["same", "near", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`named` and `near` are ids of usagers; `reasons` are codes. Certain names exactly one and has no reason."""

    clue: Clue
    named: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        return len(self.named) == 1 and not self.reasons


@dataclass(frozen=True, slots=True)
class Findings:
    usagers: tuple[Usager, ...]
    subjects: Subjects
    demands: Demands

    def of(self, clues: Iterable[Clue]) -> tuple[Finding, ...]:
        return tuple(self._find(clue) for clue in clues)

    def _find(self, clue: Clue) -> Finding:
        if clue.numbers:
            return self._by_number(clue)
        if clue.message_ids:
            return self._by_thread(clue)
        if any(reading.ins for reading in clue.readings) or clue.way in ("datamatrix", "document"):
            return self._by_ins(clue)
        return self._by_name(clue)

    def _by_number(self, clue: Clue) -> Finding:
        asked = set(clue.numbers)
        named = tuple(one.id for one in self.usagers if one.record_number in asked)
        if not named:
            return Finding(clue=clue, reasons=("number-unknown",))
        if len(named) > 1:
            return Finding(clue=clue, named=named, reasons=("number-of-several",))
        return Finding(clue=clue, named=named, reasons=() if clue.is_clear else ("number-like-a-year",))

    def _by_thread(self, clue: Clue) -> Finding:
        named = tuple(dict.fromkeys(self.subjects.thread))
        if not named:
            return Finding(clue=clue, reasons=("thread-unknown",))
        known = {one.id for one in self.usagers}
        if len(named) > 1 or not self.subjects.is_whole or not known.issuperset(named):
            return Finding(clue=clue, named=named, reasons=("thread-of-several",))
        return Finding(clue=clue, named=named)

    def _by_ins(self, clue: Clue) -> Finding:
        reading = clue.readings[0]
        near = tuple(one.id for one in self.usagers if likeness(reading, one) != "other")
        holders = tuple(one.id for one in self.usagers if reading.ins and one.identity.ins == reading.ins)
        if is_bare_ins(clue):
            return Finding(clue=clue, named=holders, reasons=("ins-in-text" if holders else "ins-unknown",))
        found = match_one(reading, self.usagers, (), self.demands)
        if found.outcome == "certain":
            return Finding(clue=clue, named=(found.candidates[0].usager_id,))
        return Finding(clue=clue, named=holders, near=near, reasons=tuple(one.code for one in found.reasons))

    def _by_name(self, clue: Clue) -> Finding:
        if all(reading.birth_date is None for reading in clue.readings):
            near = tuple(one.id for one in self.usagers if any(has_names(r, one) for r in clue.readings))
            return Finding(clue=clue, near=near, reasons=("name-without-date",))
        alike = {one.id: _best(clue.readings, one) for one in self.usagers}
        named = tuple(usager for usager, how in alike.items() if how == "same")
        near = tuple(usager for usager, how in alike.items() if how == "near")
        return Finding(clue=clue, named=named, near=near, reasons=self._name_doubts(named, near))

    def _name_doubts(self, named: tuple[str, ...], near: tuple[str, ...]) -> tuple[str, ...]:
        if not named:
            return ("name-unknown",)
        if len(named) > 1:
            return ("homonyms",)
        if near:
            return ("near-namesake",)
        return () if self.subjects.is_whole else ("too-many-alike",)


def is_bare_ins(clue: Clue) -> bool:
    """Whether it is an INS and nothing else, as met in the text of a PDF: it may be a parent's, and decides nothing."""
    return any(reading == Identity(ins=reading.ins) for reading in clue.readings if reading.ins)


def _best(readings: Iterable[Identity], usager: Usager) -> Likeness:
    found = {likeness(reading, usager) for reading in readings}
    return "same" if "same" in found else "near" if "near" in found else "other"


def likeness(reading: Identity, usager: Usager) -> Likeness:
    """`same`: the birth or used name, the first given name and the birth date are equal, and no other given name
    contradicts. `near`: each of the three is equal, or a slip of the pen away, or the date is not wholly known."""
    forms = [reading]
    if reading.birth_name and usager.identity.used_name:
        forms.append(replace(reading, birth_name=None, used_name=reading.birth_name))
    found = {_likeness_as(form, usager) for form in forms}
    return "same" if "same" in found else "near" if "near" in found else "other"


def _likeness_as(reading: Identity, usager: Usager) -> Likeness:
    traits = compare(reading, usager.identity)
    name = agreement_of(traits, "birth_name" if reading.birth_name else "used_name")
    given, born = agreement_of(traits, "first_given"), agreement_of(traits, "birth_date")
    others = agreement_of(traits, "given_names")
    if (name, given, born) == ("equal", "equal", "equal") and others in ("equal", "absent"):
        return "same"
    is_near = name in ("equal", "close") and given in ("equal", "close") and born in ("equal", "close", "absent")
    return "near" if is_near else "other"


def has_names(reading: Identity, usager: Usager) -> bool:
    """Whether both names are those of the usager, whatever the date."""
    undated = replace(usager, identity=replace(usager.identity, birth_date="2000-01-01"))
    return likeness(replace(reading, birth_date="2000-01-01"), undated) == "same"


def shares_a_name(reading: Identity, usager: Usager) -> bool:
    """Whether one of its words, or the date, is that of the usager: such a reading speaks of somebody."""
    known = usager.identity
    names = {comparable(known.birth_name), comparable(known.used_name), comparable(known.first_given)} - {None}
    said = {comparable(reading.birth_name), comparable(reading.first_given), comparable(reading.given_names)} - {None}
    return bool(names & said) or (reading.birth_date is not None and reading.birth_date == known.birth_date)
