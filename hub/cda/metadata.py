"""METADATA.XML of an IHE_XDM archive: ebXML RegRep 3.0 as XDS uses it, read tolerantly.

Any prefix, any order of Slot and Name, leading blanks; a Classification belongs to the element that holds it, whatever
its classifiedObject says (the official samples get that wrong). Gives `Submission`; raises Unreadable: `not-xml`,
`doctype`, `not-xds`, `no-document`, `too-many-entries`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hub.cda.doubts import Unreadable
from hub.cda.identity import NOBODY, Stated, from_metadata
from hub.cda.times import Moment, read_moment
from hub.cda.xml import Element, attribute, first, parse, text_of, tidy
from hub.message import Action, Author, Coded

RIM = "{urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0}"
_REQUEST = "{urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0}SubmitObjectsRequest"
_SLOT, _NAME, _LOCALIZED = f"{RIM}Slot", f"{RIM}Name", f"{RIM}LocalizedString"
_VALUE, _CLASSIFICATION, _IDENTIFIER = f"{RIM}Value", f"{RIM}Classification", f"{RIM}ExternalIdentifier"

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

    unique_id: str | None = None
    mime_type: str = ""
    title: str = ""
    uri: str | None = None
    size: str | None = None
    hash: str | None = None
    created: Moment | None = None
    act: Moment | None = None
    language: str | None = None
    action: Action = "none"
    patient_id: str | None = None
    patient: Stated = NOBODY
    type_code: Coded | None = None
    class_code: Coded | None = None
    format_code: Coded | None = None
    facility_code: Coded | None = None
    practice_code: Coded | None = None
    confidentiality: tuple[Coded, ...] = ()
    authors: tuple[Author, ...] = ()


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


def _identifiers(node: Element) -> dict[str, str]:
    """The external identifiers by scheme."""
    return {
        (child.get("identificationScheme") or "").lower(): attribute(child, "value")
        for child in node.iterchildren(_IDENTIFIER)
    }


@dataclass(slots=True)
class _Parts:
    """What an entry or a classification holds itself: the values of its slots by name, its external
    identifiers and its classifications by scheme, its label."""

    slots: dict[str, list[str]]
    ids: dict[str, str]
    classes: dict[str, list[Element]]
    label: str

    def one(self, name: str) -> str | None:
        values = self.slots.get(name)
        return values[0] if values else None

    def coded(self, scheme: str) -> Coded | None:
        return next(self.every(scheme), None)

    def every(self, scheme: str) -> Iterator[Coded]:
        return (found for each in self.classes.get(scheme, ()) if (found := _coded(each)))


def _parts(node: Element) -> _Parts:
    """One walk over the children, in whatever order they stand."""
    slots: dict[str, list[str]] = {}
    ids: dict[str, str] = {}
    classes: dict[str, list[Element]] = {}
    label = None
    for child in node:
        tag = child.tag
        if tag == _SLOT:
            values = slots.setdefault(child.get("name") or "", [])
            values += [text for each in child.iter(_VALUE) if (text := text_of(each))]
        elif tag == _CLASSIFICATION:
            classes.setdefault((child.get("classificationScheme") or "").lower(), []).append(child)
        elif tag == _IDENTIFIER:
            ids[(child.get("identificationScheme") or "").lower()] = attribute(child, "value")
        elif tag == _NAME and label is None:
            label = attribute(first(child, _LOCALIZED), "value")
    return _Parts(slots, ids, classes, label or "")


def _entry(node: Element, replaces: bool) -> Entry:
    parts = _parts(node)
    marked = _ACTIONS.get((parts.one(_ACTION_SLOT) or "").upper(), "none")
    patient_id = parts.ids.get(_PATIENT_ID)
    return Entry(
        unique_id=parts.ids.get(_UNIQUE_ID, "").strip("^") or None,
        mime_type=attribute(node, "mimeType").split(";")[0].strip().lower(),
        title=parts.label,
        uri=_uri(parts.slots.get("URI", [])),
        size=parts.one("size"),
        hash=parts.one("hash"),
        created=read_moment(parts.one("creationTime"), utc=True),
        act=read_moment(parts.one("serviceStartTime"), utc=True),
        language=parts.one("languageCode"),
        action="replace" if marked == "none" and replaces else marked,
        patient_id=patient_id,
        patient=from_metadata(patient_id, parts.one("sourcePatientId"), parts.slots.get("sourcePatientInfo", [])),
        type_code=parts.coded(_TYPE),
        class_code=parts.coded(_CLASS),
        format_code=parts.coded(_FORMAT),
        facility_code=parts.coded(_FACILITY),
        practice_code=parts.coded(_PRACTICE),
        confidentiality=tuple(parts.every(_CONFIDENTIALITY)),
        authors=tuple(_author(each) for each in parts.classes.get(_AUTHOR, ())),
    )


def _uri(values: list[str]) -> str | None:
    """A long URI is cut into values `1|…`, `2|…` (ITI TF-3 4.2.3.2.27)."""
    if len(values) > 1 and all("|" in value for value in values):
        return "".join(value.partition("|")[2] for value in sorted(values))
    return values[0] if values else None


def _coded(node: Element) -> Coded | None:
    code = attribute(node, "nodeRepresentation")
    if not code:
        return None
    parts = _parts(node)
    return Coded(code, parts.one("codingScheme") or "", parts.label)


def _author(node: Element) -> Author:
    """XCN `id^NOM^Prénom…`, XON `Nom^^^^^…^^^^id`, specialty `code^libellé^système`."""
    parts = _parts(node)
    person = _components(parts.one("authorPerson"), 3)
    organisation = _components(parts.one("authorInstitution"), 10)
    code, label, system, *_ = _components(parts.one("authorSpecialty"), 3)
    return Author(
        name=tidy(f"{person[2]} {person[1]}"),
        person_id=person[0] or None,
        organisation=organisation[0],
        organisation_id=organisation[9] or None,
        role=Coded(code, system, label) if code and system else None,
    )


def _components(value: str | None, least: int) -> list[str]:
    return [tidy(part) for part in (value or "").split("^")] + [""] * least
