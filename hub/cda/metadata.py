"""METADATA.XML of an IHE_XDM archive: ebXML RegRep 3.0 as XDS uses it, read tolerantly.

Any prefix, any order of Slot and Name, leading blanks; a Classification belongs to the element that holds it, whatever
its classifiedObject says (the official samples get that wrong). Gives `Submission`; raises Unreadable: `not-xml`,
`doctype`, `not-xds`, `no-document`, `too-many-entries`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.cda.doubts import Unreadable
from hub.cda.identity import Stated, from_metadata
from hub.cda.times import Moment, read_moment
from hub.cda.xml import Element, attribute, children, first, parse, text_of, tidy
from hub.message import Action, Author, Coded

RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_REQUEST = "{urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0}SubmitObjectsRequest"
_SLOT, _NAME, _LOCALIZED = f"{RIM}Slot", f"{RIM}Name", f"{RIM}LocalizedString"
_CLASSIFICATION, _IDENTIFIER = f"{RIM}Classification", f"{RIM}ExternalIdentifier"

# IHE ITI TF-3 4.2.5: object types and schemes.
_ON_DEMAND = "urn:uuid:34268e47-fdf5-41a6-ba33-82133c465248"
_SET_PATIENT = "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446"
_UNIQUE_ID = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab"
_PATIENT_ID = "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427"
_AUTHOR = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"
_CLASS = "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"
_TYPE = "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"
_FORMAT = "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"
_CONFIDENTIALITY = "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"
_FACILITY = "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"
_PRACTICE = "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"

_ACTION_SLOT = "urn:action:extraMetadataSlot"  # in no published text; C replaces, D deletes (cda-xdm.md §3.7)
_ACTIONS: dict[str, Action] = {"C": "replace", "D": "delete"}
_REPLACES = ":RPLC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One DocumentEntry. `hash` and `size` as written, None when not stated."""

    unique_id: str | None
    mime_type: str
    title: str
    uri: str | None
    size: str | None
    hash: str | None
    created: Moment | None
    act: Moment | None
    language: str | None
    action: Action
    patient_id: str | None
    patient: Stated
    type_code: Coded | None
    class_code: Coded | None
    format_code: Coded | None
    facility_code: Coded | None
    practice_code: Coded | None
    confidentiality: tuple[Coded, ...]
    authors: tuple[Author, ...]


@dataclass(frozen=True, slots=True)
class Submission:
    """The document entries in order, and the patient ids (CX) that the submission sets name."""

    entries: tuple[Entry, ...]
    patient_ids: tuple[str, ...]


def read_metadata(raw: bytes, most: int) -> Submission:
    """`most`: how many documents an archive may announce. Raises Unreadable."""
    root = parse(raw)
    request = root if root.tag == _REQUEST else next(root.iter(_REQUEST), None)
    if request is None:
        raise Unreadable("not-xds")
    replacing = {
        node.get("sourceObject")
        for node in request.iter(f"{RIM}Association")
        if (node.get("associationType") or "").endswith(_REPLACES)
    }
    entries: list[Entry] = []
    for node in request.iter(f"{RIM}ExtrinsicObject"):
        if len(entries) >= most:
            raise Unreadable("too-many-entries", "documents")
        if (node.get("objectType") or "").lower() != _ON_DEMAND:
            entries.append(_entry(node, node.get("id") in replacing))
    if not entries:
        raise Unreadable("no-document")
    packages = request.iter(f"{RIM}RegistryPackage")
    ids = [value for package in packages if (value := _identifiers(package).get(_SET_PATIENT))]
    return Submission(tuple(entries), tuple(ids))


def _entry(node: Element, replaces: bool) -> Entry:
    slots = _slots(node)
    ids = _identifiers(node)
    classes: dict[str, list[Element]] = {}
    for each in children(node, _CLASSIFICATION):
        classes.setdefault((each.get("classificationScheme") or "").lower(), []).append(each)

    def one(scheme: str) -> Coded | None:
        return next((found for each in classes.get(scheme, ()) if (found := _coded(each))), None)

    marked = _ACTIONS.get((_value(slots, _ACTION_SLOT) or "").upper(), "none")
    return Entry(
        unique_id=ids.get(_UNIQUE_ID, "").strip("^") or None,
        mime_type=attribute(node, "mimeType").split(";")[0].strip().lower(),
        title=_label(node),
        uri=_uri(slots.get("URI", [])),
        size=_value(slots, "size"),
        hash=_value(slots, "hash"),
        created=read_moment(_value(slots, "creationTime"), utc=True),
        act=read_moment(_value(slots, "serviceStartTime"), utc=True),
        language=_value(slots, "languageCode"),
        action="replace" if marked == "none" and replaces else marked,
        patient_id=ids.get(_PATIENT_ID),
        patient=from_metadata(
            ids.get(_PATIENT_ID), _value(slots, "sourcePatientId"), slots.get("sourcePatientInfo", [])
        ),
        type_code=one(_TYPE),
        class_code=one(_CLASS),
        format_code=one(_FORMAT),
        facility_code=one(_FACILITY),
        practice_code=one(_PRACTICE),
        confidentiality=tuple(found for each in classes.get(_CONFIDENTIALITY, ()) if (found := _coded(each))),
        authors=tuple(_author(each) for each in classes.get(_AUTHOR, ())),
    )


def _slots(node: Element) -> dict[str, list[str]]:
    """Values of the slots that an element holds itself, by name."""
    slots: dict[str, list[str]] = {}
    for slot in node.iterchildren(_SLOT):
        values = [text for each in slot.iter(f"{RIM}Value") if (text := text_of(each))]
        slots.setdefault(slot.get("name") or "", []).extend(values)
    return slots


def _value(slots: dict[str, list[str]], name: str) -> str | None:
    values = slots.get(name)
    return values[0] if values else None


def _uri(values: list[str]) -> str | None:
    """A long URI is cut into values `1|…`, `2|…` (ITI TF-3 4.2.3.2.27)."""
    if len(values) > 1 and all("|" in value for value in values):
        return "".join(value.partition("|")[2] for value in sorted(values))
    return values[0] if values else None


def _identifiers(node: Element) -> dict[str, str]:
    return {
        (each.get("identificationScheme") or "").lower(): attribute(each, "value")
        for each in node.iterchildren(_IDENTIFIER)
    }


def _label(node: Element) -> str:
    return attribute(first(node, _NAME, _LOCALIZED), "value")


def _coded(node: Element) -> Coded | None:
    code = attribute(node, "nodeRepresentation")
    return Coded(code, _value(_slots(node), "codingScheme") or "", _label(node)) if code else None


def _author(node: Element) -> Author:
    """XCN `id^NOM^Prénom…`, XON `Nom^^^^^…^^^^id`, specialty `code^libellé^système`."""
    slots = _slots(node)
    person = _components(_value(slots, "authorPerson"), 3)
    organisation = _components(_value(slots, "authorInstitution"), 10)
    code, label, system, *_ = _components(_value(slots, "authorSpecialty"), 3)
    return Author(
        name=tidy(f"{person[2]} {person[1]}"),
        person_id=person[0] or None,
        organisation=organisation[0],
        organisation_id=organisation[9] or None,
        role=Coded(code, system, label) if code and system else None,
    )


def _components(value: str | None, least: int) -> list[str]:
    return [tidy(part) for part in (value or "").split("^")] + [""] * least
