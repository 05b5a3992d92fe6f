"""IHE_XDM archives of the sandbox: papers in, the bytes of a conformant `IHE_XDM.ZIP` out (cda-xdm.md §3).

`Fault` spoils an archive in one named way, for the messages that the hub must refuse to trust. The unspoiled ones carry
every required attribute of the submission set and the document entries, SHA-1 and size of each file, INDEX.HTM
and README.TXT.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from datetime import UTC
from enum import Enum, auto
from xml.etree.ElementTree import Element

from hub.message import Coded, Identity
from hub.sandbox.markup import node, xml_bytes
from hub.sandbox.papers import PS_IDS, REPORT_CLASS, STRUCTURE_IDS, Paper, cda_n1, oid_of
from hub.sandbox.people import Structure

RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
PDF_IN_CDA = Coded(
    "urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3", "Document à corps non structuré en Pdf/A-1"
)

BOMB_SIZE = 256 * 1024**2  # unpacked; some 260 KB packed


class Fault(Enum):
    NONE = auto()
    WRONG_HASH = auto()  # METADATA announces another document
    TRUNCATED = auto()  # the end of the file, with the zip's directory, is lost
    BOMB = auto()  # one more entry that unpacks to BOMB_SIZE


def archive(papers: Iterable[Paper], fault: Fault = Fault.NONE) -> bytes:
    """The zip of one submission set; all papers are of one structure and one patient."""
    kept = list(papers)
    documents = [cda_n1(paper) for paper in kept]
    packed = io.BytesIO()
    made_at = kept[0].created_at.timetuple()[:6]
    with zipfile.ZipFile(packed, "w") as file:

        def add(name: str, raw: bytes) -> None:
            file.writestr(zipfile.ZipInfo(name, made_at), raw, zipfile.ZIP_DEFLATED)

        add("INDEX.HTM", _index(kept[0].structure))
        add("README.TXT", _readme())
        add("IHE_XDM/SUBSET01/METADATA.XML", metadata(kept, documents, fault))
        for number, document in enumerate(documents, 1):
            add(f"IHE_XDM/SUBSET01/{_name(number)}", document)
        if fault is Fault.BOMB:
            annex = zipfile.ZipInfo("IHE_XDM/SUBSET01/ANNEXE01.PDF", made_at)
            annex.compress_type = zipfile.ZIP_DEFLATED
            with file.open(annex, "w") as entry:
                for _ in range(BOMB_SIZE // 1024**2):
                    entry.write(bytes(1024**2))
    raw = packed.getvalue()
    return raw[: len(raw) * 2 // 3] if fault is Fault.TRUNCATED else raw


def metadata(papers: list[Paper], documents: list[bytes], fault: Fault = Fault.NONE) -> bytes:
    """METADATA.XML: a SubmitObjectsRequest valid under the ebXML schema."""
    set_uuid = f"urn:uuid:{_uuid(papers[0], 'submission')}"
    entries, members = [], []
    for number, (paper, document) in enumerate(zip(papers, documents, strict=True), 1):
        entries.append(_entry(paper, document, number, fault))
        members.append(_member(paper, set_uuid))
    objects = node("RegistryObjectList", {"xmlns": RIM}, *entries, _submission_set(papers[0], set_uuid), *members)
    return xml_bytes(node("lcm:SubmitObjectsRequest", {"xmlns:lcm": LCM}, objects))


def _name(number: int) -> str:
    return f"DOC{number:04d}.XML"


def _uuid(paper: Paper, part: str) -> str:
    digits = hashlib.sha256(f"{paper.unique_id}/{part}".encode()).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


def _utc(paper: Paper) -> str:
    return paper.created_at.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def _slot(name: str, *values: str) -> Element:
    return node("Slot", {"name": name}, node("ValueList", None, *(node("Value", None, value) for value in values)))


def _label(tag: str, text: str) -> Element:
    return node(tag, None, node("LocalizedString", {"xml:lang": "FR", "charset": "UTF8", "value": text}))


def _cx(who: Identity) -> str:
    """Patient id: the INS with type NH, else the first local id with type PI (cda-xdm.md §3.6)."""
    if who.ins:
        return f"{who.ins}^^^&{who.oid}&ISO^NH"
    return _local_cx(who)


def _local_cx(who: Identity) -> str:
    if not who.local_ids:
        return f"{who.ins}^^^&{who.oid}&ISO^NH"
    return f"{who.local_ids[0].value}^^^&{who.local_ids[0].oid}&ISO^PI"


def _traits(who: Identity) -> list[str]:
    values = [f"PID-5|{who.birth_name or ''}^{who.first_given or ''}^{who.given_names or ''}^^^^L"]
    if who.used_name:
        values.append(f"PID-5|{who.used_name}^{who.used_given or who.first_given or ''}^^^^^D")
    if who.birth_date:
        values.append(f"PID-7|{who.birth_date.replace('-', '')}")
    values.append(f"PID-8|{who.sex or 'U'}")
    if who.birth_place:
        values.append(f"PID-11|^^^^^^BDL^^{who.birth_place}")
    return values


def _xcn(structure: Structure) -> str:
    person = structure.author
    kind = "IDNPS" if person.national_id.startswith("8") else "EI"
    return f"{person.national_id}^{person.family}^{person.given}^^^^^^&{PS_IDS}&ISO^D^^^{kind}"


def _xon(structure: Structure) -> str:
    return f"{structure.name}^^^^^&{STRUCTURE_IDS}&ISO^IDNST^^^{structure.national_id}"


class _Classified:
    """Gives the classifications and external identifiers of one registry object their own ids."""

    def __init__(self, owner: str, paper: Paper) -> None:
        self._owner = owner
        self._paper = paper
        self._count = 0

    def author(self, scheme: str) -> Element:
        structure = self._paper.structure
        role = structure.author.role
        slots = [
            _slot("authorInstitution", _xon(structure)),
            _slot("authorPerson", _xcn(structure)),
            _slot("authorSpecialty", f"{role.code}^{role.label}^{role.system}"),
        ]
        return self._classification(scheme, "", slots, None)

    def code(self, scheme: str, value: Coded) -> Element:
        return self._classification(scheme, value.code, [_slot("codingScheme", value.system)], value.label)

    def identifier(self, scheme: str, name: str, value: str) -> Element:
        attributes = {
            "id": self._id(),
            "registryObject": self._owner,
            "identificationScheme": scheme,
            "value": value,
            "objectType": "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier",
        }
        return node("ExternalIdentifier", attributes, _label("Name", name))

    def _classification(self, scheme: str, representation: str, slots: list[Element], label: str | None) -> Element:
        attributes = {
            "id": self._id(),
            "classificationScheme": scheme,
            "classifiedObject": self._owner,
            "nodeRepresentation": representation,
            "objectType": "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:Classification",
        }
        return node("Classification", attributes, *slots, _label("Name", label) if label else None)

    def _id(self) -> str:
        self._count += 1
        return f"urn:uuid:{_uuid(self._paper, f'{self._owner}/{self._count}')}"


def _entry(paper: Paper, document: bytes, number: int, fault: Fault) -> Element:
    """The XDSDocumentEntry (cda-xdm.md §3.5)."""
    entry_uuid = f"urn:uuid:{_uuid(paper, 'entry')}"
    own = _Classified(entry_uuid, paper)
    digested = b"another document" if fault is Fault.WRONG_HASH else document
    action = {"none": [], "replace": [_slot(_ACTION, "C")], "delete": [_slot(_ACTION, "D")]}[paper.action]
    content: list[Element] = [
        *action,
        _slot("URI", _name(number)),
        _slot("creationTime", _utc(paper)),
        _slot("hash", hashlib.sha1(digested, usedforsecurity=False).hexdigest()),
        _slot("languageCode", "fr-FR"),
        _slot("legalAuthenticator", _xcn(paper.structure)),
        _slot("serviceStartTime", _utc(paper)),
        _slot("size", str(len(document))),
        _slot("sourcePatientId", _local_cx(paper.patient)),
        _slot("sourcePatientInfo", *_traits(paper.patient)),
        _label("Name", paper.title),
        own.author("urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d"),
        own.code("urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a", REPORT_CLASS),
        own.code("urn:uuid:f0306f51-975f-434e-a61c-c59651d33983", paper.type_code),
        own.code("urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f", Coded("N", "2.16.840.1.113883.5.25", "Normal")),
        own.code("urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d", PDF_IN_CDA),
        own.code("urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", paper.structure.sector),
        own.code("urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead", paper.structure.setting),
        own.identifier(
            "urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427", "XDSDocumentEntry.patientId", _cx(paper.patient)
        ),
        own.identifier("urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab", "XDSDocumentEntry.uniqueId", paper.unique_id),
    ]
    attributes = {
        "id": entry_uuid,
        "lid": entry_uuid,
        "mimeType": "text/xml",
        "objectType": "urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
        "status": APPROVED,
    }
    return node("ExtrinsicObject", attributes, *content)


_ACTION = "urn:action:extraMetadataSlot"


def _submission_set(paper: Paper, set_uuid: str) -> Element:
    """The XDSSubmissionSet (cda-xdm.md §3.4)."""
    own = _Classified(set_uuid, paper)
    source = f"{STRUCTURE_IDS}.{paper.structure.national_id}"
    unique_id = oid_of(f"{paper.unique_id}/submission")
    kind = {
        "id": f"urn:uuid:{_uuid(paper, 'kind')}",
        "classificationNode": "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd",
        "classifiedObject": set_uuid,
    }
    return node(
        "RegistryPackage",
        {"id": set_uuid, "status": APPROVED},
        _slot("submissionTime", _utc(paper)),
        _label("Name", paper.title),
        node("Classification", kind),
        own.author("urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d"),
        own.code("urn:uuid:aa543740-bdda-424e-8c96-df4873be8500", paper.structure.activity),
        own.identifier(
            "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446", "XDSSubmissionSet.patientId", _cx(paper.patient)
        ),
        own.identifier("urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832", "XDSSubmissionSet.sourceId", source),
        own.identifier("urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8", "XDSSubmissionSet.uniqueId", unique_id),
    )


def _member(paper: Paper, set_uuid: str) -> Element:
    attributes = {
        "id": f"urn:uuid:{_uuid(paper, 'member')}",
        "associationType": "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
        "sourceObject": set_uuid,
        "targetObject": f"urn:uuid:{_uuid(paper, 'entry')}",
    }
    return node("Association", attributes, _slot("SubmissionSetStatus", "Original"))


def _index(structure: Structure) -> bytes:
    """XHTML with a link to README.TXT (cda-xdm.md §3.1)."""
    sender = f"{structure.name} ({structure.national_id})"
    page = node(
        "html",
        {"xmlns": "http://www.w3.org/1999/xhtml"},
        node("head", None, node("title", None, sender)),
        node("body", None, node("p", None, sender), node("p", None, node("a", {"href": "README.TXT"}, "README.TXT"))),
    )
    return xml_bytes(page)


def _readme() -> bytes:
    """Seven-bit text with CR LF (IHE ITI TF-2, 3.32)."""
    lines = (
        "Bac a sable du hub MSSante : document fictif, sans valeur.",
        "Personne, aucun etablissement et aucun numero cite ici n'existe.",
        "INDEX.HTM",
        "README.TXT",
        "IHE_XDM/SUBSET01/METADATA.XML",
        "IHE_XDM/SUBSET01/DOC0001.XML",
    )
    return "\r\n".join(lines).encode("ascii") + b"\r\n"
