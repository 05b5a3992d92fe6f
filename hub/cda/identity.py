"""The identity of the person a document is about, as its two sources state it, and whether they agree.

From a CDA: `recordTarget/patientRole`. From the metadata of an archive: patientId and sourcePatientId (CX), the PID-n
values of sourcePatientInfo. Social-security numbers (.13, .14) and the old INS-C (.2) are local ids, not INS
(mssante.md §13). Nothing raises; what cannot be read is not stated, with a doubt beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hub import ins
from hub.cda.doubts import grave, mild
from hub.cda.times import read_day
from hub.cda.xml import Element, attribute, children, first, text_of, tidy
from hub.message import Defect, Identity, LocalId, comparable

V3 = "{urn:hl7-org:v3}"
_SEXES = {"M": "M", "F": "F", "U": "U", "UN": "U", "O": "U", "I": "U"}  # I: undetermined, as the INSi says
_PLACE = re.compile(r"[0-9][0-9AB][0-9]{3}")
_IDS_MOST = 100
_TRAITS = ("birth_name", "first_given", "given_names", "birth_date", "sex", "birth_place")


@dataclass(frozen=True, slots=True)
class Stated:
    """An identity and what is doubtful in the way it is stated."""

    identity: Identity
    defects: tuple[Defect, ...] = ()


NOBODY = Stated(Identity())

# --- from a CDA ---------------------------------------------------------------------------------------------------


def read_patient(role: Element) -> Stated:
    """The identity in a `patientRole` (CI-SIS Structuration minimale)."""
    ids = [
        LocalId(attribute(node, "root"), attribute(node, "extension"))
        for node in children(role, f"{V3}id")
        if node.get("nullFlavor") is None
    ]
    stated = _from_ids(ids)
    person = first(role, f"{V3}patient")
    county = text_of(first(person, f"{V3}birthplace", f"{V3}place", f"{V3}addr", f"{V3}county")).upper()
    place, place_defects = _birth_place(county)
    gender = first(person, f"{V3}administrativeGenderCode")
    identity = _whole(
        stated.identity,
        _names(person),
        birth_date=read_day(attribute(first(person, f"{V3}birthTime"), "value")),
        sex=_SEXES.get(attribute(gender, "code").upper()),
        birth_place=place,
    )
    return Stated(identity, stated.defects + place_defects)


def _names(person: Element | None) -> Identity:
    """BR is the name of the birth record, CL (or SP) the name used; without qualifier: a family name is taken for the
    birth name, given names for all birth given names (mssante.md §4.6)."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in children(person, f"{V3}name"):
        for part in name:
            text = text_of(part)
            if text:
                kind = part.tag.removeprefix(V3) if isinstance(part.tag, str) else ""
                for qualifier in (part.get("qualifier") or "").upper().split() or [""]:  # a set: `BR CL`
                    found.setdefault((kind, qualifier), []).append(text)
    family, given = found.get(("family", ""), []), found.get(("given", ""), [])
    first_given = found.get(("given", "BR"), [])
    if not first_given and given and (len(given) > 1 or " " not in given[0]):
        first_given = given
    birth = found.get(("family", "BR"), family)
    used = found.get(("family", "CL")) or found.get(("family", "SP")) or (family if birth is not family else [])
    return Identity(
        birth_name=_head(birth),
        first_given=_head(first_given),
        given_names=" ".join(given) or None,
        used_name=_head(used),
        used_given=_head(found.get(("given", "CL"), [])),
    )


def _head(texts: list[str]) -> str | None:
    return texts[0] if texts else None


# --- from the metadata of an archive --------------------------------------------------------------------------------


def read_cx(value: str | None) -> LocalId | None:
    """`279035121518989^^^&1.2.250.1.213.1.4.10&ISO^NH`: the value and the OID of its authority."""
    parts = tidy(value).split("^")
    authority = parts[3].split("&") if len(parts) > 3 else []
    if not parts[0] or len(authority) < 2:
        return None
    return LocalId(authority[1], parts[0])


def from_metadata(patient_id: str | None, source_id: str | None, pid_values: Iterable[str]) -> Stated:
    """The identity in a DocumentEntry: its two ids and its sourcePatientInfo (`PID-5|DUPONT^Léa^…`)."""
    fields: dict[str, list[str]] = {}
    for value in pid_values:
        name, bar, content = value.partition("|")
        if bar:
            fields.setdefault(name.strip().upper(), []).extend(content.strip().split("~"))
    ids = [read_cx(patient_id), read_cx(source_id), *(read_cx(value) for value in fields.get("PID-3", []))]
    stated = _from_ids([cx for cx in ids if cx is not None])
    address = (fields.get("PID-11") or [""])[0].split("^")
    place, place_defects = _birth_place(address[8].strip().upper() if len(address) > 8 and address[6] == "BDL" else "")
    identity = _whole(
        stated.identity,
        _pid_names(fields.get("PID-5", [])),
        birth_date=read_day((fields.get("PID-7") or [""])[0]),
        sex=_SEXES.get((fields.get("PID-8") or [""])[0].strip().upper()),
        birth_place=place,
    )
    return Stated(identity, stated.defects + place_defects)


def _pid_names(values: list[str]) -> Identity:
    """Type L (or none) is the birth name `NOM^premier prénom^tous les prénoms`, D the name used. What foreign senders
    put third are the *further* given names: then it is not the list of all of them."""
    names: Identity | None = None
    for value in values:
        parts = [tidy(part) or None for part in value.split("^")] + [None] * 7
        if parts[6] == "D":
            found = Identity(used_name=parts[0], used_given=parts[1])
        elif parts[6] in ("L", None):
            every = parts[2] if (comparable(parts[2]) or "").startswith(comparable(parts[1]) or "-") else None
            found = Identity(birth_name=parts[0], first_given=parts[1], given_names=every)
        else:
            continue
        names = merged(names, found) if names else found
    return names or Identity()


# --- both -----------------------------------------------------------------------------------------------------------


def _whole(
    numbers: Identity, names: Identity, *, birth_date: str | None, sex: str | None, birth_place: str | None
) -> Identity:
    """One identity from its ids, its names and its other traits, each read apart."""
    return Identity(
        ins=numbers.ins,
        oid=numbers.oid,
        local_ids=numbers.local_ids,
        birth_name=names.birth_name,
        first_given=names.first_given,
        given_names=names.given_names,
        used_name=names.used_name,
        used_given=names.used_given,
        birth_date=birth_date,
        sex=sex,
        birth_place=birth_place,
    )


def _from_ids(ids: list[LocalId]) -> Stated:
    """The INS (the first that has the form of one) and the local ids."""
    numbers: list[LocalId] = []
    others: list[LocalId] = []
    defects: list[Defect] = []
    for each in dict.fromkeys(ids[:_IDS_MOST]):
        matricule = each.value.replace(" ", "").upper()
        if ins.is_ins_oid(each.oid) and ins.is_well_formed(matricule):
            numbers.append(LocalId(each.oid, matricule))
            continue
        if ins.is_ins_oid(each.oid):
            defects.append(mild("ins-form"))
        if each.value:
            others.append(each)
    if len({number.value for number in numbers}) > 1:
        defects.append(grave("several-ins"))
    if not numbers:
        return Stated(Identity(local_ids=tuple(others)), tuple(defects))
    identity = Identity(ins=numbers[0].value, oid=numbers[0].oid, local_ids=tuple(others))
    return Stated(identity, tuple(defects))


def _birth_place(code: str) -> tuple[str | None, tuple[Defect, ...]]:
    if not code:
        return None, ()
    return (code, ()) if _PLACE.fullmatch(code) else (None, (mild("birth-place"),))


def differences(one: Identity, other: Identity) -> tuple[str, ...]:
    """Names of what the two identities contradict each other in: `ins`, `oid`, `local_id` or a trait. What only one of
    them states is no contradiction."""
    found = []
    if one.ins and other.ins:
        found += ["ins"] if one.ins != other.ins else ["oid"] if one.oid != other.oid else []
    elif _contradict(one.local_ids, other.local_ids):
        found.append("local_id")
    return (*found, *(trait for trait in _TRAITS if _differ(trait, getattr(one, trait), getattr(other, trait))))


def _contradict(ones: tuple[LocalId, ...], others: tuple[LocalId, ...]) -> bool:
    """The same authority gave other numbers, and no number is shared."""
    shared = {each.oid for each in ones} & {each.oid for each in others}
    return bool(shared) and set(ones).isdisjoint(others)


def _differ(trait: str, one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return False
    if trait == "birth_date":  # one of them may know the year only
        return not (one.startswith(other) or other.startswith(one))
    if trait == "sex":  # U: unknown, not a third answer
        return "U" not in (one, other) and one != other
    return comparable(one) != comparable(other)


def same_person(one: Identity, other: Identity) -> bool:
    """Whether the two may be filed as one: no contradiction, and an id or the main traits in common."""
    if differences(one, other):
        return False
    if (one.ins and one.ins == other.ins) or not set(one.local_ids).isdisjoint(other.local_ids):
        return True
    main = ("birth_name", "birth_date")
    return all(getattr(one, trait) and getattr(other, trait) for trait in main)


def merged(one: Identity, other: Identity) -> Identity:
    """The first, completed from the second where it states nothing."""
    number = one if one.ins else other
    known = set(one.local_ids)
    return Identity(
        ins=number.ins,
        oid=number.oid,
        local_ids=one.local_ids + tuple(each for each in other.local_ids if each not in known),
        birth_name=one.birth_name or other.birth_name,
        first_given=one.first_given or other.first_given,
        given_names=one.given_names or other.given_names,
        used_name=one.used_name or other.used_name,
        used_given=one.used_given or other.used_given,
        birth_date=max(one.birth_date, other.birth_date, key=len)
        if one.birth_date and other.birth_date
        else one.birth_date or other.birth_date,
        sex=one.sex or other.sex,
        birth_place=one.birth_place or other.birth_place,
    )


def doubts_of(identity: Identity, created_at: str | None) -> list[Defect]:
    """What does not fit in an identity itself. A wrong key is common in tests and never a reason to refuse."""
    doubts = []
    if identity.ins:
        if not ins.key_is_right(identity.ins):
            doubts.append(mild("ins-key"))
        if identity.sex in ("M", "F") and (identity.sex == "M") != (identity.ins[0] in "1357"):
            doubts.append(mild("ins-sex"))
    if identity.birth_date and created_at:
        known = min(len(identity.birth_date), len(created_at))
        if identity.birth_date[:known] > created_at[:known]:
            doubts.append(mild("birth-after-creation"))
    return doubts
