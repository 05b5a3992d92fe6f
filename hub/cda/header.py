"""The header of a CDA document: who, what, when, by whom, which version (CI-SIS, Structuration minimale).

Takes the `ClinicalDocument` element, gives a `ClinicalHeader`. Mandatory elements that are absent or carry a nullFlavor
leave None behind, with a doubt for the nullFlavor.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub import ins
from hub.cda.doubts import mild
from hub.cda.identity import V3, Stated, read_patient
from hub.cda.times import Moment, read_day, read_moment
from hub.cda.xml import Element, attribute, children, first, text_of
from hub.message import Author, Coded, Defect

PERSONS, STRUCTURES = "1.2.250.1.71.4.2.1", "1.2.250.1.71.4.2.2"  # PS_IdNat, Struct_IdNat
_MANDATORY = ("id", "code", "title", "effectiveTime", "confidentialityCode")
_TRAITS = ("name", "administrativeGenderCode", "birthTime")
_V3_LENGTH = len(V3)
_MOST = 100  # authors, replaced documents: more is no document


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalHeader:
    """What the header states. `replaces`: the ids named by relatedDocument RPLC; `patients`: how many recordTargets."""

    unique_id: str | None = None
    type_code: Coded | None = None
    title: str = ""
    created: Moment | None = None
    confidentiality: Coded | None = None
    language: str | None = None
    set_id: str | None = None
    version: str | None = None
    replaces: tuple[str, ...] = ()
    patient: Stated | None = None
    patients: int = 0
    authors: tuple[Author, ...] = ()
    custodian_id: str | None = None
    act: Moment | None = None
    facility_code: Coded | None = None
    practice_code: Coded | None = None
    defects: tuple[Defect, ...] = ()


def read_header(cda: Element) -> ClinicalHeader:
    parts = _by_name(cda)
    roles = [role for target in parts.get("recordTarget", []) for role in children(target, f"{V3}patientRole")]
    created = read_moment(attribute(_one(parts, "effectiveTime"), "value"))
    patient = read_patient(roles[0]) if roles else None
    version = attribute(_one(parts, "versionNumber"), "value") or None
    replaces = tuple(_replaced(parts.get("relatedDocument", [])))
    event = first(_one(parts, "documentationOf"), f"{V3}serviceEvent")
    return ClinicalHeader(
        unique_id=identifier(_one(parts, "id")),
        type_code=coded(_one(parts, "code")),
        title=text_of(_one(parts, "title")),
        created=created,
        confidentiality=coded(_one(parts, "confidentialityCode")),
        language=attribute(_one(parts, "languageCode"), "code") or None,
        set_id=identifier(_one(parts, "setId")),
        version=version,
        replaces=replaces,
        patient=patient,
        patients=len(roles),
        authors=tuple(_author(node) for node in parts.get("author", [])[:_MOST]),
        custodian_id=_custodian(_one(parts, "custodian")),
        act=_act(event),
        facility_code=_facility(_one(parts, "componentOf")),
        practice_code=_practice(event),
        defects=tuple(_doubts(parts, created, version, replaces, roles)),
    )


def _by_name(node: Element | None) -> dict[str, list[Element]]:
    """The children of an element, those of each name in order."""
    parts: dict[str, list[Element]] = {}
    for child in node if node is not None else ():
        tag = child.tag
        if isinstance(tag, str) and tag.startswith(V3):
            parts.setdefault(tag[_V3_LENGTH:], []).append(child)
    return parts


def _one(parts: dict[str, list[Element]], name: str) -> Element | None:
    found = parts.get(name)
    return found[0] if found else None


def _doubts(
    parts: dict[str, list[Element]],
    created: Moment | None,
    version: str | None,
    replaces: tuple[str, ...],
    roles: list[Element],
) -> list[Defect]:
    doubts = []
    person = _by_name(first(roles[0], f"{V3}patient")) if roles else {}
    empty = [name for name in _MANDATORY if (node := _one(parts, name)) is not None and node.get("nullFlavor")]
    empty += [name for name in _TRAITS if (node := _one(person, name)) is not None and node.get("nullFlavor")]
    if empty:
        doubts.append(mild("nul-flavor", ", ".join(empty)))
    doubts += [mild("bad-date", name) for name in _unread_dates(parts, created, person)]
    if created is not None and not created.zoned:
        doubts.append(mild("no-zone"))
    if version is not None and not (version.isascii() and version.isdigit() and int(version[:9]) > 0):
        doubts.append(mild("bad-version"))
    elif version is not None and int(version[:9]) > 1 and not replaces:
        doubts.append(mild("version-without-replaces"))
    return doubts


def _unread_dates(
    parts: dict[str, list[Element]], created: Moment | None, person: dict[str, list[Element]]
) -> list[str]:
    """Elements whose value is there and is no date."""
    birth, effective = _one(person, "birthTime"), _one(parts, "effectiveTime")
    wrong = []
    if effective is not None and (written := effective.get("value")) is not None:
        tidied = attribute(effective, "value")  # what `created` was read from: nearly always what is written
        if not (created if written == tidied else read_moment(written)):
            wrong.append("effectiveTime")
    if birth is not None and birth.get("value") is not None and not read_day(birth.get("value")):
        wrong.append("birthTime")
    return wrong


def identifier(node: Element | None) -> str | None:
    """An HL7 II as XDS writes it: `root` or `root^extension`."""
    root, extension = attribute(node, "root"), attribute(node, "extension")
    if not root or node is None or node.get("nullFlavor"):
        return None
    return f"{root}^{extension}" if extension else root


def coded(node: Element | None) -> Coded | None:
    code = attribute(node, "code")
    return Coded(code, attribute(node, "codeSystem"), attribute(node, "displayName")) if code else None


def _national(node: Element | None, root: str) -> str | None:
    """The national id among the ids of a person or structure; else the first id as `root^extension`, which still tells
    whether two are the same. An INS (author: the patient) is left out."""
    every = [each for each in children(node, f"{V3}id") if not each.get("nullFlavor")]
    for each in every:
        if each.get("root") == root and each.get("extension"):
            return attribute(each, "extension")
    others = (identifier(each) for each in every if not ins.is_ins_oid(each.get("root")))
    return next((other for other in others if other), None)


def _person_name(node: Element | None) -> str:
    """`Camille DURAND`, in the order of speech."""
    name = first(node, f"{V3}name")
    given = [text_of(part) for part in children(name, f"{V3}given")]
    family = [text_of(part) for part in children(name, f"{V3}family")]
    return " ".join(part for part in given[:1] + family[:1] if part) or text_of(name)


def _author(node: Element) -> Author:
    assigned = first(node, f"{V3}assignedAuthor")
    device = first(assigned, f"{V3}assignedAuthoringDevice")
    organisation = first(assigned, f"{V3}representedOrganization")
    name = _person_name(first(assigned, f"{V3}assignedPerson"))
    if not name and device is not None:
        name = text_of(first(device, f"{V3}softwareName")) or text_of(first(device, f"{V3}manufacturerModelName"))
    return Author(
        name=name,
        person_id=_national(assigned, PERSONS),
        organisation=text_of(first(organisation, f"{V3}name")),
        organisation_id=_national(organisation, STRUCTURES),
        role=coded(first(assigned, f"{V3}code")),
    )


def _custodian(node: Element | None) -> str | None:
    return _national(first(node, f"{V3}assignedCustodian", f"{V3}representedCustodianOrganization"), STRUCTURES)


def _replaced(related: list[Element]) -> list[str]:
    found = []
    for node in related[:_MOST]:
        if node.get("typeCode") == "RPLC":
            parents = children(first(node, f"{V3}parentDocument"), f"{V3}id")
            found += [parent for each in parents if (parent := identifier(each))]
    return found


def _act(event: Element | None) -> Moment | None:
    when = first(event, f"{V3}effectiveTime")
    return read_moment(attribute(first(when, f"{V3}low"), "value") or attribute(when, "value"))


def _facility(component: Element | None) -> Coded | None:
    path = ("encompassingEncounter", "location", "healthCareFacility", "code")
    return coded(first(component, *(f"{V3}{tag}" for tag in path)))


def _practice(event: Element | None) -> Coded | None:
    for performer in children(event, f"{V3}performer"):
        organisation = first(performer, f"{V3}assignedEntity", f"{V3}representedOrganization")
        found = coded(first(organisation, f"{V3}standardIndustryClassCode"))
        if found:
            return found
    return None
