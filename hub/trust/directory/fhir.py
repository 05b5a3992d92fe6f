"""The mailboxes in what the FHIR API of the directory answers (mssante.md §10.1): resources flow in, entries flow out.

Mailboxes stand in `telecom` of Practitioner, PractitionerRole and Organization, with the extension
`as-ext-mailbox-mss-metadata`; those that are not to be published (listeRouge) are left out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from hub.directory import KINDS, Activity, Entry, department_of
from hub.trust.directory.bundle import Address, Coding, Concept, Extension, HumanName, Reference, Resource, Telecom

_METADATA = "as-ext-mailbox-mss-metadata"
_EMAIL_TYPE = "fr-core-contact-point-email-type"
_MSSANTE = "MSSANTE"  # TRE_R256-TypeMessagerie
_PROFESSION = "G15"  # TRE_G15-ProfessionSante
_STRUCTURES = (("finess", "FINESS"), ("siret", "SIRET"), ("sirene", "SIRET"))


def missing_organisations(resources: Iterable[Resource]) -> tuple[str, ...]:
    """Ids of the organisations that the roles name and that are not among the resources."""
    known = {resource.id for resource in resources if resource.resource_type == "Organization"}
    named = (_id(resource.organization) for resource in resources if resource.resource_type == "PractitionerRole")
    return tuple(dict.fromkeys(one for one in named if one and one not in known))


def entries_of(resources: Iterable[Resource], at: datetime) -> tuple[Entry, ...]:
    """The mailboxes of the resources, each once; `at`: when this was answered."""
    live = [resource for resource in resources if resource.active]
    persons = {one.id: one for one in live if one.resource_type == "Practitioner"}
    houses = {one.id: one for one in live if one.resource_type == "Organization"}
    roles = [one for one in live if one.resource_type == "PractitionerRole"]
    entries: dict[str, Entry] = {}
    for resource in sorted(live, key=lambda one: one.resource_type != "PractitionerRole"):  # they say most
        for telecom in sorted(resource.telecom, key=lambda one: one.rank):
            if telecom.value.lower() in entries or not _is_published(telecom):
                continue
            if resource.resource_type == "Organization":
                entries[telecom.value.lower()] = _of_house(resource, telecom, at)
            elif resource.resource_type == "PractitionerRole":
                person = persons.get(_id(resource.practitioner))
                entries[telecom.value.lower()] = _of_person(person, (resource,), houses, telecom, at)
            elif resource.resource_type == "Practitioner":
                own = tuple(role for role in roles if _id(role.practitioner) == resource.id)
                entries[telecom.value.lower()] = _of_person(resource, own, houses, telecom, at)
    return tuple(entries.values())


def _of_house(house: Resource, telecom: Telecom, at: datetime) -> Entry:
    said = _metadata(telecom)
    return Entry(
        address=_address(telecom),
        kind=_kind(said) or "ORG",
        source="api",
        seen_at=at,
        description=_text(said, "description"),
        activities=(_activity(house, service=_text(said, "service")),),
    )


def _of_person(
    person: Resource | None, roles: tuple[Resource, ...], houses: dict[str, Resource], telecom: Telecom, at: datetime
) -> Entry:
    said = _metadata(telecom)
    told = person.name if person is not None and isinstance(person.name, tuple) else ()
    name = told[0] if told else HumanName()
    profession = _profession(person, ()) if person is not None else ""
    made = [
        _activity(
            houses.get(_id(role.organization)),
            profession=_profession(role, role.code) or profession,
            skill=_shown(role.specialty),
            service=_text(said, "service"),
        )
        for role in roles
    ]
    return Entry(
        address=_address(telecom),
        kind=_kind(said) or "PER",
        source="api",
        seen_at=at,
        title=next(iter((*name.suffix, *name.prefix)), ""),
        family=_clean(name.family),
        given=_clean(" ".join(name.given)),
        person_id=_person_id(person),
        description=_text(said, "description"),
        activities=tuple(dict.fromkeys(made)) or (Activity(profession=profession),),
    )


def _activity(house: Resource | None, *, profession: str = "", skill: str = "", service: str = "") -> Activity:
    if house is None:
        return Activity(profession=profession, skill=skill, service=service)
    place = house.address[0] if house.address else Address()
    return Activity(
        profession=profession,
        skill=skill,
        service=service,
        organisation=_clean(house.name) if isinstance(house.name, str) else "",
        sign=_clean(house.alias[0]) if house.alias else "",
        structure_id=_structure_id(house),
        street=_clean(" ".join(filter(None, place.line))),
        postal_code=_clean(place.postal_code),
        town=_clean(place.city),
        department=department_of(place.postal_code),
    )


def _profession(resource: Resource, concepts: Iterable[Concept]) -> str:
    """Its label; the API does not always give one."""
    everywhere = (*concepts, *(one.code for one in resource.qualification))
    codings = [coding for concept in everywhere for coding in concept.coding if coding.display]
    chosen = [coding for coding in codings if _PROFESSION in coding.system] or codings
    return _clean(chosen[0].display) if chosen else ""


def _shown(concepts: Iterable[Concept]) -> str:
    labels = (concept.text or coding.display for concept in concepts for coding in (*concept.coding, Coding()))
    return _clean(next(filter(None, labels), ""))


def _person_id(person: Resource | None) -> str:
    told = person.identifier if person is not None else ()
    return next((one.value for one in sorted(told, key=lambda one: "rpps" not in one.system) if one.value), "")


def _structure_id(house: Resource) -> str:
    for one in house.identifier:
        for word, kind in _STRUCTURES:
            if word in one.system.lower():
                return f"{kind} {one.value}"
    return ""


# --- mailboxes


def _is_published(telecom: Telecom) -> bool:
    if telecom.system != "email" or telecom.value.count("@") != 1 or not telecom.value.isprintable():
        return False
    said = _metadata(telecom)
    is_mssante = bool(said) or any(
        coding.code == _MSSANTE
        for extension in telecom.extension
        if extension.url.endswith(_EMAIL_TYPE)
        for coding in _codings(extension)
    )
    is_red = any(one.url == "listeRouge" and one.value_boolean for one in said)
    return is_mssante and not is_red


def _metadata(telecom: Telecom) -> tuple[Extension, ...]:
    return next((one.extension for one in telecom.extension if one.url.endswith(_METADATA)), ())


def _kind(said: Iterable[Extension]) -> str:
    codes = (coding.code for one in said if one.url == "type" for coding in _codings(one))
    return next((code for code in codes if code in KINDS), "")


def _codings(extension: Extension) -> Iterator[Coding]:
    if extension.value_coding is not None:
        yield extension.value_coding
    if extension.value_codeable_concept is not None:
        yield from extension.value_codeable_concept.coding


def _text(said: Iterable[Extension], name: str) -> str:
    return _clean(next((one.value_string for one in said if one.url == name), ""))


def _address(telecom: Telecom) -> str:
    local, _, domain = telecom.value.strip().partition("@")
    return f"{local}@{domain.lower()}"


def _id(reference: Reference) -> str:
    return reference.reference.rpartition("/")[2]


def _clean(text: str) -> str:
    """What comes from outside is shown on terminals: no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
