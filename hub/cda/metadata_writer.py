"""METADATA.XML as it is written: a SubmitObjectsRequest valid under the ebXML schema (cda-xdm.md §3.3 to §3.7).

Every attribute that the French constraints require is there, every classifiedObject and registryObject names the object
that holds it, times are UTC. Ids of registry objects come from the ids of the lot and the documents: same input, same
bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.cda.codes import Codes
from hub.cda.markup import DECLARATION, attributes, tag, text_tag
from hub.cda.stated import identity_of, plain
from hub.cda.writing import PERSONS, STRUCTURES, FormBody, Lot, Piece, Professional, Signatory, TextBody
from hub.message import Coded, Identity

_LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
_RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
_APPROVED = "urn:oasis:names:tc:ebxml-regrep:StatusType:Approved"
_TYPES = "urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject"
_ACTION_SLOT = "urn:action:extraMetadataSlot"
_ACTIONS = {"none": (), "replace": ("C",), "delete": ("D",)}
_FORMATS = "1.3.6.1.4.1.19376.1.2.3"
PDF_FORMAT = Coded("urn:ihe:iti:xds-sd:pdf:2008", _FORMATS, "Document à corps non structuré en Pdf/A-1")
TEXT_FORMAT = Coded("urn:ihe:iti:xds-sd:text:2008", _FORMATS, "Document à corps non structuré en texte brut")


@dataclass(frozen=True, slots=True)
class Shelved:
    """A piece, its bytes as they lie in the archive, its file name there."""

    piece: Piece
    raw: bytes
    name: str


def write_metadata(lot: Lot, shelved: tuple[Shelved, ...], codes: Codes) -> bytes:
    set_id = _urn(f"{lot.unique_id}/set")
    entries = [_entry(each, lot, codes) for each in shelved]
    members = [_member(each.piece, lot, set_id) for each in shelved]
    objects = "".join([*entries, _submission_set(lot, shelved[0].piece, set_id, codes), *members])
    listed = f'<RegistryObjectList xmlns="{_RIM}">{objects}</RegistryObjectList>'
    return DECLARATION + f'<lcm:SubmitObjectsRequest xmlns:lcm="{_LCM}">{listed}</lcm:SubmitObjectsRequest>'.encode()


def format_of(piece: Piece) -> Coded:
    if isinstance(piece.body, FormBody):
        return piece.body.format_code
    return TEXT_FORMAT if isinstance(piece.body, TextBody) else PDF_FORMAT


# --- values ---------------------------------------------------------------------------------------------------------


def utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d%H%M%S")


def patient_cx(who: Identity) -> str:
    """The INS with type NH, else the first local id with type PI."""
    return f"{who.ins}^^^&{who.oid}&ISO^NH" if who.ins else _source_cx(who)


def _source_cx(who: Identity) -> str:
    """The local id; the INS when there is none."""
    if not who.local_ids:
        return f"{who.ins}^^^&{who.oid}&ISO^NH"
    return f"{who.local_ids[0].value}^^^&{who.local_ids[0].oid}&ISO^PI"


def _traits(who: Identity) -> tuple[str, ...]:
    values = [f"PID-5|{who.birth_name}^{who.first_given or ''}^{who.given_names or ''}^^^^L"]
    if who.used_name or who.used_given:
        values.append(f"PID-5|{who.used_name or ''}^{who.used_given or ''}^^^^^D")
    if who.birth_date:
        values.append(f"PID-7|{who.birth_date.replace('-', '')}")
    values.append(f"PID-8|{who.sex}")
    if who.birth_place:
        values.append(f"PID-11|^^^^^^BDL^^{who.birth_place}")
    return tuple(values)


def _xcn(who: Signatory) -> str:
    if not isinstance(who, Professional):
        return f"{who.national_id}^{plain(who.name)}^{plain(who.maker)}^^^^^^&{PERSONS}&ISO^U^^^RI"
    sort = "IDNPS" if who.national_id.startswith("8") else "EI"
    return f"{who.national_id}^{plain(who.family)}^{plain(who.given)}^^^^^^&{PERSONS}&ISO^D^^^{sort}"


def _xon(who: Signatory) -> str:
    return f"{plain(who.structure.name)}^^^^^&{STRUCTURES}&ISO^IDNST^^^{who.structure.national_id}"


def source_oid(lot: Lot) -> str:
    """The OID of the sending system. An id that cannot be an arc (letters, a leading zero) gives one made of it."""
    if lot.source_id:
        return lot.source_id
    number = lot.sender.structure.national_id
    if number.isdigit() and not number.startswith("0"):
        return f"{STRUCTURES}.{number}"
    return f"2.25.{int(hashlib.sha256(number.encode()).hexdigest()[:31], 16)}"


def _urn(key: str) -> str:
    """Always the same for a key, in the form of a UUID of version 8 (RFC 9562)."""
    digits = hashlib.sha256(key.encode()).hexdigest()
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


# --- registry objects -----------------------------------------------------------------------------------------------


def _slot(name: str, *values: str) -> str:
    return tag("Slot", tag("ValueList", *(text_tag("Value", value) for value in values)), name=name)


def _label(name: str, text: str) -> str:
    shown = attributes({"xml:lang": "FR", "charset": "UTF8", "value": text})
    return f"<{name}><LocalizedString{shown}/></{name}>"


class _Owner:
    """One registry object: gives its classifications and identifiers their ids and their owner."""

    def __init__(self, object_id: str, codes: Codes) -> None:
        self.id = object_id
        self._codes = codes
        self._count = 0

    def author(self, scheme: str, who: Signatory) -> str:
        label = self._codes.label(who.role.system, who.role.code) or who.role.label
        slots = (
            _slot("authorInstitution", _xon(who)),
            _slot("authorPerson", _xcn(who)),
            _slot("authorSpecialty", f"{who.role.code}^{plain(label)}^{who.role.system}"),
        )
        return self._classification(scheme, "", "".join(slots))

    def coded(self, scheme: str, value: Coded) -> str:
        label = self._codes.label(value.system, value.code) or value.label
        return self._classification(scheme, value.code, _slot("codingScheme", value.system) + _label("Name", label))

    def identifier(self, scheme: str, name: str, value: str) -> str:
        return tag(
            "ExternalIdentifier",
            _label("Name", name),
            id=self._id(),
            registryObject=self.id,
            identificationScheme=scheme,
            value=value,
            objectType=f"{_TYPES}:ExternalIdentifier",
        )

    def _classification(self, scheme: str, representation: str, content: str) -> str:
        return tag(
            "Classification",
            content,
            id=self._id(),
            classificationScheme=scheme,
            classifiedObject=self.id,
            nodeRepresentation=representation,
            objectType=f"{_TYPES}:Classification",
        )

    def _id(self) -> str:
        self._count += 1
        return _urn(f"{self.id}/{self._count}")


def _entry_id(piece: Piece, lot: Lot) -> str:
    return _urn(f"{lot.unique_id}/{piece.unique_id}")


def _entry(shelved: Shelved, lot: Lot, codes: Codes) -> str:
    """The XDSDocumentEntry (cda-xdm.md §3.5)."""
    piece, who = shelved.piece, identity_of(shelved.piece)
    own = _Owner(_entry_id(piece, lot), codes)
    kind = codes.class_of(piece.type_code.code, piece.type_code.system)
    action = _ACTIONS[piece.action]
    content = (
        _slot(_ACTION_SLOT, *action) if action else "",
        _slot("URI", shelved.name),
        _slot("creationTime", utc(piece.created_at)),
        _slot("hash", hashlib.sha1(shelved.raw, usedforsecurity=False).hexdigest()),
        _slot("languageCode", "fr-FR"),
        _slot("legalAuthenticator", _xcn(piece.signer or piece.authors[0])),
        _slot("serviceStartTime", utc(piece.began_at)),
        _slot("serviceStopTime", utc(piece.act_until)) if piece.act_until else "",
        _slot("size", str(len(shelved.raw))),
        _slot("sourcePatientId", _source_cx(who)),
        _slot("sourcePatientInfo", *_traits(who)),
        _label("Name", piece.shown_title),
        *(own.author("urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d", author) for author in piece.authors),
        own.coded("urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a", kind) if kind else "",
        own.coded("urn:uuid:f0306f51-975f-434e-a61c-c59651d33983", piece.type_code),
        *(own.coded("urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f", each) for each in piece.confidentiality),
        own.coded("urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d", format_of(piece)),
        own.coded("urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1", piece.issuer.facility),
        own.coded("urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead", piece.issuer.setting),
        own.identifier("urn:uuid:58a6f841-87b3-4a3e-92fd-a8ffeff98427", "XDSDocumentEntry.patientId", patient_cx(who)),
        own.identifier("urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab", "XDSDocumentEntry.uniqueId", piece.unique_id),
    )
    return tag(
        "ExtrinsicObject",
        *content,
        id=own.id,
        lid=own.id,
        mimeType="text/xml",
        objectType="urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1",
        status=_APPROVED,
    )


def _submission_set(lot: Lot, first: Piece, set_id: str, codes: Codes) -> str:
    """The XDSSubmissionSet (cda-xdm.md §3.4)."""
    own = _Owner(set_id, codes)
    is_a_set = tag(
        "Classification",
        id=_urn(f"{set_id}/set"),
        classificationNode="urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd",
        classifiedObject=set_id,
        objectType=f"{_TYPES}:Classification",
    )
    return tag(
        "RegistryPackage",
        _slot("submissionTime", utc(lot.sent_at)),
        _label("Name", first.shown_title),
        is_a_set,
        own.author("urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d", lot.sender),
        own.coded("urn:uuid:aa543740-bdda-424e-8c96-df4873be8500", lot.sender.structure.activity),
        own.identifier(
            "urn:uuid:6b5aea1a-874d-4603-a4bc-96a0a7b38446",
            "XDSSubmissionSet.patientId",
            patient_cx(identity_of(first)),
        ),
        own.identifier("urn:uuid:554ac39e-e3fe-47fe-b233-965d2a147832", "XDSSubmissionSet.sourceId", source_oid(lot)),
        own.identifier("urn:uuid:96fdda7c-d067-4183-912e-bf5ee74998a8", "XDSSubmissionSet.uniqueId", lot.unique_id),
        id=set_id,
        status=_APPROVED,
    )


def _member(piece: Piece, lot: Lot, set_id: str) -> str:
    return tag(
        "Association",
        _slot("SubmissionSetStatus", "Original"),
        id=_urn(f"{lot.unique_id}/{piece.unique_id}/member"),
        associationType="urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember",
        sourceObject=set_id,
        targetObject=_entry_id(piece, lot),
        objectType=f"{_TYPES}:Association",
    )
