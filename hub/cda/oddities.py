"""Oddities of a CDA header that no official rule sees (cda-xdm.md §1): shown, never a reason to hold.

Takes the `ClinicalDocument` element, gives mild doubts. What `cda.rules` refuses to write and the other readers of this
room do not look at. Nothing raises.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hub import ins
from hub.cda.doubts import mild, shown
from hub.cda.header import PERSONS, STRUCTURES
from hub.cda.identity import V3
from hub.cda.xml import Element, attribute, children, first, text_of
from hub.message import Defect, comparable

_TYPE_ID = ("2.16.840.1.113883.1.3", "POCD_HD000040")
_PERSON_ID = re.compile(r"8\d{11}|0\d{9}|[1-6][0-9AB]{5,14}/.+", re.ASCII)
_STRUCTURE_ID = re.compile(r"1\d[0-9AB]\d{7}|2\d{9}|3\d{14}|[04]\d{8,14}", re.ASCII)
_MOST = 100


def oddities(cda: Element) -> list[Defect]:
    """Each once, in the order of the document."""
    found: list[Defect] = []
    for child in cda:
        look = _LOOKS.get(child.tag) if isinstance(child.tag, str) else None
        if look is not None:
            found += look(child)
        if len(found) > _MOST:
            break
    return list(dict.fromkeys(found))


def _type_id(node: Element) -> Iterator[Defect]:
    if (attribute(node, "root"), attribute(node, "extension")) != _TYPE_ID:
        yield mild("type-id")


def _related(node: Element) -> Iterator[Defect]:
    if node.get("typeCode") != "RPLC":
        yield mild("related-document", shown(node.get("typeCode") or "-"))


def _record_target(node: Element) -> Iterator[Defect]:
    patient = first(node, f"{V3}patientRole", f"{V3}patient")
    for name in children(patient, f"{V3}name"):
        for family in children(name, f"{V3}family"):
            stated = text_of(family)
            if family.get("qualifier") == "BR" and stated != comparable(stated):
                yield mild("name-form", "family")


def _author(node: Element) -> Iterator[Defect]:
    assigned = first(node, f"{V3}assignedAuthor")
    named = ("assignedPerson", "assignedAuthoringDevice", "representedOrganization")
    if all(first(assigned, f"{V3}{each}") is None for each in named):
        yield mild("author-empty")
    yield from _ids(assigned, PERSONS, _PERSON_ID, "author")
    yield from _ids(first(assigned, f"{V3}representedOrganization"), STRUCTURES, _STRUCTURE_ID, "author organisation")


def _legal_authenticator(node: Element) -> Iterator[Defect]:
    yield from _ids(first(node, f"{V3}assignedEntity"), PERSONS, _PERSON_ID, "legalAuthenticator")


def _custodian(node: Element) -> Iterator[Defect]:
    organisation = first(node, f"{V3}assignedCustodian", f"{V3}representedCustodianOrganization")
    if organisation is not None and not text_of(first(organisation, f"{V3}name")):
        yield mild("custodian-unnamed")


def _ids(node: Element | None, root: str, form: re.Pattern[str], whose: str) -> Iterator[Defect]:
    """Ids of somebody that are stated and not national, or not of the form that a national id has."""
    stated = [each for each in children(node, f"{V3}id") if not each.get("nullFlavor")]
    if not stated or any(ins.is_ins_oid(each.get("root")) for each in stated):  # written by the patient
        return
    national = [attribute(each, "extension") for each in stated if each.get("root") == root]
    if not national:
        yield mild("id-authority", whose)
    elif not any(form.fullmatch(each) for each in national):
        yield mild("id-form", whose)


_LOOKS = {
    f"{V3}typeId": _type_id,
    f"{V3}relatedDocument": _related,
    f"{V3}recordTarget": _record_target,
    f"{V3}author": _author,
    f"{V3}legalAuthenticator": _legal_authenticator,
    f"{V3}custodian": _custodian,
}
