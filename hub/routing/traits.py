"""Two identities compared, trait by trait: equal, close, different or absent.

In: what a document states and what the records know. Out: one `Trait` each, for the eyes of a human and for
`match`. Only `equal` ever counts for filing without a human; `close` helps to see a slip of the pen and proves nothing.
"""

from __future__ import annotations

from dataclasses import replace

from hub.message import Agreement, Identity, Trait, comparable

FULL_DATE = 10  # 2012-05-31
NAME_LEAST = 4  # one letter out of fewer says nothing: LEO and LEA are two children


def compare(stated: Identity, known: Identity) -> tuple[Trait, ...]:
    """Every trait that one of the two sides knows, and always the required ones. Local ids are not compared: each
    structure gives its own, and the records do not know under which authority theirs stand."""
    traits = [
        _ins(stated.ins, known.ins),
        _plain("oid", stated.oid, known.oid),
        _name("birth_name", stated.birth_name, known.birth_name),
        _first_given(stated, known),
        _birth_date(stated.birth_date, known.birth_date),
        _sex(stated.sex, known.sex),
        _plain("birth_place", stated.birth_place, known.birth_place),
    ]
    if stated.given_names and known.given_names:
        traits.append(_given_names(stated.given_names, known.given_names))
    if stated.used_name and known.used_name:
        traits.append(_name("used_name", stated.used_name, known.used_name))
    return tuple(traits)


def agreement_of(traits: tuple[Trait, ...], name: str) -> Agreement:
    for trait in traits:
        if trait.name == name:
            return trait.agreement
    return "absent"


def used_name_stands_for_birth_name(stated: Identity, known: Identity) -> bool:
    """Whether the birth name stated is the used name known (or the reverse): seen, told, never taken as equal."""
    birth, known_birth = comparable(stated.birth_name), comparable(known.birth_name)
    if birth is None or birth == known_birth:
        return False
    swapped = known_birth is not None and known_birth == comparable(stated.used_name)
    return birth == comparable(known.used_name) or swapped


def _plain(name: str, stated: str | None, known: str | None) -> Trait:
    if not stated or not known:
        return Trait(name, "absent", stated or "", known or "")
    return Trait(name, "equal" if stated.strip().upper() == known.strip().upper() else "different", stated, known)


def _ins(stated: str | None, known: str | None) -> Trait:
    trait = _plain("ins", stated, known)
    slip = trait.agreement == "different" and _one_slip(trait.stated.strip().upper(), trait.known.strip().upper())
    return replace(trait, agreement="close") if slip else trait


def _name(name: str, stated: str | None, known: str | None) -> Trait:
    return Trait(name, _names_agree(comparable(stated), comparable(known)), stated or "", known or "")


def _names_agree(stated: str | None, known: str | None) -> Agreement:
    if stated is None or known is None:
        return "absent"
    if stated == known:
        return "equal"
    if _bare(stated) == _bare(known):  # MARIE-LOUISE and MARIE LOUISE: the RNIV keeps the hyphen
        return "close"
    long_enough = min(len(stated), len(known)) >= NAME_LEAST
    return "close" if long_enough and _one_slip(stated, known) else "different"


def _bare(name: str) -> str:
    return name.replace("-", "").replace(" ", "").replace("'", "")


def _first_given(stated: Identity, known: Identity) -> Trait:
    """The first given name; where a side has only the list of all, the list must start with it."""
    one, other = comparable(stated.first_given), comparable(known.first_given)
    one_list, other_list = comparable(stated.given_names), comparable(known.given_names)
    shown = (stated.first_given or stated.given_names or "", known.first_given or known.given_names or "")
    if one and other:
        return Trait("first_given", _names_agree(one, other), *shown)
    if one and other_list:
        return Trait("first_given", _starts_list(one, other_list), *shown)
    if other and one_list:
        return Trait("first_given", _starts_list(other, one_list), *shown)
    if one_list and other_list:
        return Trait("first_given", _names_agree(one_list.split()[0], other_list.split()[0]), *shown)
    return Trait("first_given", "absent", *shown)


def _starts_list(first: str, names: str) -> Agreement:
    words, count = names.split(), len(first.split())
    if words[:count] == first.split():
        return "equal"
    return "close" if _names_agree(first, " ".join(words[:count])) == "close" else "different"


def _given_names(stated: str, known: str) -> Trait:
    """All given names; one list may stop before the other, but they may not contradict each other."""
    one, other = (comparable(stated) or "").split(), (comparable(known) or "").split()
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return Trait("given_names", "equal", stated, known)
    nearly = _names_agree(" ".join(one), " ".join(other)) == "close"
    return Trait("given_names", "close" if nearly else "different", stated, known)


def _birth_date(stated: str | None, known: str | None) -> Trait:
    shown = (stated or "", known or "")
    if not stated or not known:
        return Trait("birth_date", "absent", *shown)
    if stated == known:
        # A date cut short on both sides is a date that nobody knows.
        return Trait("birth_date", "equal" if len(stated) == FULL_DATE else "absent", *shown)
    if len(stated) < FULL_DATE or len(known) < FULL_DATE:
        agrees = stated.startswith(known) or known.startswith(stated)
        return Trait("birth_date", "absent" if agrees else "different", *shown)
    return Trait("birth_date", "close" if _dates_close(stated, known) else "different", *shown)


def _dates_close(one: str, other: str) -> bool:
    """Day and month swapped, two digits swapped, or one digit wrong."""
    day_and_month = one[:4] == other[:4] and one[5:7] == other[8:10] and one[8:10] == other[5:7]
    wrong = [place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]]
    two_digits = len(wrong) == 2 and sorted(one) == sorted(other)
    return day_and_month or two_digits or len(wrong) == 1


def _sex(stated: str | None, known: str | None) -> Trait:
    if stated in ("M", "F") and known in ("M", "F"):
        return Trait("sex", "equal" if stated == known else "different", stated, known)
    return Trait("sex", "absent", stated or "", known or "")


def _one_slip(one: str, other: str) -> bool:
    """One character changed, added, lost, or two neighbours swapped."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    rest, other_rest = one[start:], other[start:]
    if rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:]:
        return True
    return rest[:2] == other_rest[1::-1] and rest[2:] == other_rest[2:]
