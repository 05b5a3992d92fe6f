"""An usager as shown to the person who must choose: who it is, what agrees with the mail, what does not.

A candidate in, lines of plain French out. The INS is never shown: it helps nobody to recognise a child.
"""

from __future__ import annotations

from collections.abc import Iterator

from hub.message import Candidate, Trait

TRAIT_NAMES = {
    "ins": "INS",
    "oid": "autorité de l'INS",
    "birth_name": "nom de naissance",
    "first_given": "premier prénom",
    "birth_date": "date de naissance",
    "sex": "sexe",
    "birth_place": "lieu de naissance",
    "given_names": "prénoms",
    "used_name": "nom utilisé",
}
_HIDDEN = frozenset({"ins", "oid", "birth_place"})  # said to differ, their values are not shown


def portrait(candidate: Candidate) -> list[str]:
    """Two or three lines: name, birth date and record number; what agrees; what differs, both values side by side."""
    known = {trait.name: trait.known for trait in candidate.traits}
    name = " ".join(part for part in ((known.get("birth_name") or "").upper(), known.get("first_given") or "") if part)
    born = _date(known.get("birth_date") or "")
    word = {"F": "née", "M": "né"}.get(known.get("sex") or "", "né(e)")
    who = [name or "Usager", f"{word} {born}" if born else "", f"dossier {candidate.record_number or 'sans numéro'}"]
    return [", ".join(part for part in who if part), *_compared(candidate.traits)]


def _compared(traits: tuple[Trait, ...]) -> Iterator[str]:
    equal = [TRAIT_NAMES[one.name] for one in traits if one.agreement == "equal" and one.name in TRAIT_NAMES]
    other = [_difference(one) for one in traits if one.agreement in ("close", "different") and one.name in TRAIT_NAMES]
    if equal:
        yield f"Concorde : {', '.join(equal)}."
    if other:
        yield f"Diffère : {', '.join(other)}."


def _difference(trait: Trait) -> str:
    if trait.name in _HIDDEN:
        return TRAIT_NAMES[trait.name]
    stated, known = (
        (_shown_date(trait.stated), _shown_date(trait.known))
        if trait.name == "birth_date"
        else (trait.stated, trait.known)
    )
    return f"{TRAIT_NAMES[trait.name]} ({stated} dans votre message, {known} dans le dossier)"


def _date(iso: str) -> str:
    """`2012-03-12` is `le 12/03/2012`; `2012-03` `en 03/2012`."""
    return "" if not iso else f"{'le' if len(iso) == len('2012-03-12') else 'en'} {_shown_date(iso)}"


def _shown_date(iso: str) -> str:
    return "/".join(reversed(iso.split("-")))
