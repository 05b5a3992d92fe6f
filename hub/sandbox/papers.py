"""Papers of the sandbox: what a document says, and its CDA R2 N1 (a PDF in a French header).

A `Paper` in, the bytes of a CDA out. A paper with a complete identity gives a document without finding under the
CI-SIS schema and header rules (cda-xdm.md §4); a paper with a poor identity gives what a poor sender would send. This
makes samples; it is not the product's writer.
"""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from xml.etree.ElementTree import Element

from hub.message import Coded, Identity
from hub.sandbox.markup import node, xml_bytes
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import Person, Structure

PS_IDS = "1.2.250.1.71.4.2.1"
STRUCTURE_IDS = "1.2.250.1.71.4.2.2"

LOINC = "2.16.840.1.113883.6.1"
DISCHARGE = Coded("11490-0", LOINC, "Lettre de liaison à la sortie d'un établissement de soins")
LABORATORY_REPORT = Coded("11502-2", LOINC, "CR d'examens biologiques")
SOCIAL = Coded("28653-4", LOINC, "Document du secteur social / médico-social")
REPORT_CLASS = Coded("10", "1.2.250.1.213.1.1.4.1", "Compte rendu")  # ASS_X04: the class of these three types


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """One version of one document. `name` makes its ids: same name, same set; another version, another id."""

    name: str
    structure: Structure
    patient: Identity
    type_code: Coded
    title: str
    lines: tuple[str, ...]
    created_at: datetime
    version: int = 1
    action: Literal["none", "replace", "delete"] = "none"

    @property
    def set_id(self) -> str:
        return oid_of(f"{self.name}/set")

    @property
    def unique_id(self) -> str:
        return oid_of(f"{self.name}/{self.version}")

    @property
    def replaced_id(self) -> str | None:
        return oid_of(f"{self.name}/{self.version - 1}") if self.action == "replace" else None

    @property
    def pdf(self) -> bytes:
        return one_page_pdf(self.title, self.lines)


def oid_of(name: str) -> str:
    """An OID for a name, always the same (the arc of UUIDs, ITU-T X.667)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:hub:bac-a-sable:{name}').int}"


def stamp(moment: datetime) -> str:
    """`20261125183000+0100`."""
    return moment.strftime("%Y%m%d%H%M%S%z")


def cda_n1(paper: Paper) -> bytes:
    """The CDA of a paper. Order of the elements: CDA R2 schema; cardinalities: cda-xdm.md §4.1."""
    created = {"value": stamp(paper.created_at)}
    root = node(
        "ClinicalDocument",
        {"xmlns": "urn:hl7-org:v3", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"},
        node("realmCode", {"code": "FR"}),
        node("typeId", {"root": "2.16.840.1.113883.1.3", "extension": "POCD_HD000040"}),
        *(node("templateId", {"root": root}) for root in _TEMPLATES),
        node("id", {"root": paper.unique_id}),
        _coded("code", paper.type_code),
        node("title", None, paper.title),
        node("effectiveTime", created),
        _coded("confidentialityCode", Coded("N", "2.16.840.1.113883.5.25", "Normal")),
        node("languageCode", {"code": "fr-FR"}),
        node("setId", {"root": paper.set_id}),
        node("versionNumber", {"value": str(paper.version)}),
        _record_target(paper.patient),
        _author(paper, created),
        node("custodian", None, node("assignedCustodian", None, _organisation(paper.structure, "Custodian"))),
        _legal_authenticator(paper, created),
        _documentation_of(paper, created),
        _related_document(paper),
        _component_of(paper, created),
        _body(paper),
    )
    return xml_bytes(root)


# HL7 France, CI-SIS, and XDS-SD: exactly these three for an N1.
_TEMPLATES = ("2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1", "1.3.6.1.4.1.19376.1.2.20")


def _coded(tag: str, value: Coded) -> Element:
    return node(tag, {"code": value.code, "codeSystem": value.system, "displayName": value.label})


def _record_target(who: Identity) -> Element:
    ids = [node("id", {"root": who.oid or "", "extension": who.ins})] if who.ins else []
    ids += [node("id", {"root": local.oid, "extension": local.value}) for local in who.local_ids]
    patient = node(
        "patient",
        None,
        node(
            "name",
            None,
            node("given", None, who.given_names) if who.given_names else None,
            node("given", {"qualifier": "BR"}, who.first_given) if who.first_given else None,
            node("family", {"qualifier": "BR"}, who.birth_name) if who.birth_name else None,
            node("family", {"qualifier": "CL"}, who.used_name) if who.used_name else None,
        ),
        _gender(who.sex),
        node("birthTime", {"value": who.birth_date.replace("-", "")} if who.birth_date else {"nullFlavor": "UNK"}),
        _birthplace(who.birth_place),
    )
    unknown_address = node("addr", {"nullFlavor": "NASK"})
    role = node(
        "patientRole", {"classCode": "PAT"}, *ids, unknown_address, node("telecom", {"nullFlavor": "NASK"}), patient
    )
    return node("recordTarget", {"typeCode": "RCT", "contextControlCode": "OP"}, role)


def _gender(sex: str | None) -> Element:
    labels = {"M": "Masculin", "F": "Féminin"}
    if sex not in labels:
        return node("administrativeGenderCode", {"nullFlavor": "UNK"})
    return _coded("administrativeGenderCode", Coded(sex, "2.16.840.1.113883.5.1", labels[sex]))


def _birthplace(code: str | None) -> Element | None:
    if code is None:
        return None
    return node("birthplace", None, node("place", None, node("addr", None, node("county", None, code))))


def _person(person: Person) -> Element:
    name = node("name", None, node("family", None, person.family), node("given", None, person.given))
    return node("assignedPerson", None, name)


def _organisation(structure: Structure, kind: str = "", *extra: Element) -> Element:
    return node(
        f"represented{kind}Organization",
        None,
        node("id", {"root": STRUCTURE_IDS, "extension": structure.national_id}),
        node("name", None, structure.name),
        node("telecom", {"nullFlavor": "NASK"}),
        node("addr", {"nullFlavor": "NASK"}),
        *extra,
    )


def _entity(tag: str, paper: Paper, *extra: Element) -> Element:
    person = paper.structure.author
    return node(
        tag,
        None,
        node("id", {"root": PS_IDS, "extension": person.national_id}),
        _coded("code", person.role),
        node("addr", {"nullFlavor": "NASK"}),
        node("telecom", {"nullFlavor": "NASK"}),
        _person(person),
        _organisation(paper.structure, "", *extra),
    )


def _author(paper: Paper, created: dict[str, str]) -> Element:
    return node("author", None, node("time", created), _entity("assignedAuthor", paper))


def _legal_authenticator(paper: Paper, created: dict[str, str]) -> Element:
    signature = node("signatureCode", {"code": "S"})
    return node("legalAuthenticator", None, node("time", created), signature, _entity("assignedEntity", paper))


def _documentation_of(paper: Paper, created: dict[str, str]) -> Element:
    performer = node(
        "performer",
        {"typeCode": "PRF"},
        _entity("assignedEntity", paper, _coded("standardIndustryClassCode", paper.structure.setting)),
    )
    event = node("serviceEvent", None, node("effectiveTime", None, node("low", created)), performer)
    return node("documentationOf", None, event)


def _related_document(paper: Paper) -> Element | None:
    if paper.replaced_id is None:
        return None
    return node(
        "relatedDocument", {"typeCode": "RPLC"}, node("parentDocument", None, node("id", {"root": paper.replaced_id}))
    )


def _component_of(paper: Paper, created: dict[str, str]) -> Element:
    facility = node("healthCareFacility", None, _coded("code", paper.structure.sector))
    encounter = node(
        "encompassingEncounter",
        None,
        node("effectiveTime", None, node("low", created)),
        node("location", None, facility),
    )
    return node("componentOf", None, encounter)


def _body(paper: Paper) -> Element:
    packed = base64.b64encode(paper.pdf).decode()
    text = node("text", {"mediaType": "application/pdf", "representation": "B64"}, packed)
    return node("component", None, node("nonXMLBody", None, text))
