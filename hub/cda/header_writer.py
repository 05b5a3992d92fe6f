"""The header of a CDA as an ESMS writes it (CI-SIS Structuration minimale 1.16; cda-xdm.md §4.1 to §4.3).

Takes a piece that passed the rules and gives markup; the order of the elements is that of the CDA R2 schema. What is
not known is `nullFlavor="NASK"`, what is secret `MSK`. Labels of codes are those of the official lists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from hub.cda.codes import Codes
from hub.cda.markup import tag, text_tag
from hub.cda.stated import identity_of
from hub.cda.writing import (
    PERSONS,
    STRUCTURES,
    Address,
    FormBody,
    Guardian,
    Piece,
    Professional,
    Recipient,
    Signatory,
    Structure,
)
from hub.message import Coded, Identity

UNSTRUCTURED = "1.3.6.1.4.1.19376.1.2.20"  # IHE XDS-SD
_TEMPLATES = ("2.16.840.1.113883.2.8.2.1", "1.2.250.1.213.1.1.1.1")  # HL7 France, CI-SIS
_GENDERS = {
    "M": Coded("M", "2.16.840.1.113883.5.1", "Masculin"),
    "F": Coded("F", "2.16.840.1.113883.5.1", "Féminin"),
    "U": Coded("UN", "2.16.840.1.113883.5.1", "Inconnu"),
}
_NOT_ASKED, _MASKED = "NASK", "MSK"
Write = Callable[[str, Coded], str]  # an element with a code


def stamp(moment: datetime) -> str:
    """`20261125183000+0100`."""
    return moment.strftime("%Y%m%d%H%M%S%z")[:19]


def written_id(name: str, value: str) -> str:
    """An id element from `root` or `root^extension`."""
    root, _, extension = value.partition("^")
    return tag(name, root=root, extension=extension or None)


def coded_with(codes: Codes) -> Write:
    def coded(name: str, value: Coded) -> str:
        label = codes.label(value.system, value.code) or value.label
        return tag(name, code=value.code, codeSystem=value.system, displayName=label)

    return coded


def header(piece: Piece, codes: Codes) -> str:
    """Everything inside ClinicalDocument but its component."""
    coded = coded_with(codes)
    created = stamp(piece.created_at)
    model = piece.body.model if isinstance(piece.body, FormBody) else UNSTRUCTURED
    signer = piece.signer or piece.authors[0]
    return "".join(
        (
            tag("realmCode", code="FR"),
            tag("typeId", root="2.16.840.1.113883.1.3", extension="POCD_HD000040"),
            *(tag("templateId", root=root) for root in (*_TEMPLATES, model)),
            written_id("id", piece.unique_id),
            coded("code", piece.type_code),
            text_tag("title", piece.shown_title),
            tag("effectiveTime", value=created),
            coded("confidentialityCode", piece.confidentiality[0]),
            tag("languageCode", code="fr-FR"),
            written_id("setId", piece.set_id),
            tag("versionNumber", value=str(piece.version)),
            _record_target(identity_of(piece), piece.guardians),
            *(_author(author, created, coded) for author in piece.authors),
            _custodian(piece.custodian or piece.issuer),
            *(_recipient(recipient) for recipient in piece.recipients),
            tag(
                "legalAuthenticator",
                tag("time", value=created),
                tag("signatureCode", code="S"),
                _entity("assignedEntity", signer, coded),
            ),
            _event(piece, signer, coded),
            _related(piece),
            _encounter(piece, coded),
        )
    )


# --- the usager -----------------------------------------------------------------------------------------------------


def _record_target(who: Identity, guardians: tuple[Guardian, ...]) -> str:
    ids = [tag("id", root=who.oid, extension=who.ins)] if who.ins else []
    ids += [tag("id", root=local.oid, extension=local.value) for local in who.local_ids]
    gender = _GENDERS[who.sex or "U"]
    patient = tag(
        "patient",
        tag(
            "name",
            text_tag("family", who.birth_name or "", qualifier="BR"),
            text_tag("given", who.given_names or ""),
            text_tag("given", who.first_given or "", qualifier="BR"),
            text_tag("family", who.used_name or "", qualifier="CL"),
            text_tag("given", who.used_given or "", qualifier="CL"),
        ),
        tag("administrativeGenderCode", code=gender.code, codeSystem=gender.system, displayName=gender.label),
        tag("birthTime", value=(who.birth_date or "").replace("-", "")),
        *(_guardian(guardian) for guardian in guardians),
        _birth_place(who.birth_place),
        classCode="PSN",
    )
    contact = tag("addr", nullFlavor=_NOT_ASKED) + tag("telecom", nullFlavor=_NOT_ASKED)
    return tag("recordTarget", tag("patientRole", *ids, contact, patient))


def _birth_place(code: str | None) -> str:
    return tag("birthplace", tag("place", tag("addr", text_tag("county", code)))) if code else ""


def _guardian(guardian: Guardian) -> str:
    contact = _contact(guardian.address, guardian.telecoms, guardian.address_is_secret, "H")
    if guardian.organisation:
        number = tag("id", root=STRUCTURES, extension=guardian.organisation_id) if guardian.organisation_id else ""
        who = tag("guardianOrganization", number, text_tag("name", guardian.organisation))
    else:
        who = tag("guardianPerson", _person_name(guardian.family, guardian.given))
    return tag("guardian", contact, who)


# --- people and structures ------------------------------------------------------------------------------------------


def _contact(address: Address | None, telecoms: tuple[str, ...], secret: bool, use: str) -> str:
    if secret:
        return tag("addr", nullFlavor=_MASKED) + tag("telecom", nullFlavor=_MASKED)
    return _address(address) + _telecoms(telecoms, use)


def _address(address: Address | None) -> str:
    parts = ""
    if address is not None:
        parts = "".join(
            (
                text_tag("additionalLocator", address.complement),
                text_tag("streetName", address.street),
                text_tag("postalCode", address.postal_code),
                text_tag("city", address.city),
                text_tag("country", address.country),
            )
        )
    return tag("addr", parts) if parts else tag("addr", nullFlavor=_NOT_ASKED)


def _telecoms(telecoms: tuple[str, ...], use: str) -> str:
    if not telecoms:
        return tag("telecom", nullFlavor=_NOT_ASKED)
    return "".join(tag("telecom", value=value, use=use) for value in telecoms)


def _person_name(family: str, given: str, prefix: str = "") -> str:
    return tag("name", text_tag("prefix", prefix), text_tag("given", given), text_tag("family", family))


def _structure(name: str, structure: Structure, *more: str, internal: bool = False) -> str:
    """An organisation. The header rules know one id of it, but for the performer of the act: its `internal` ids stand
    there."""
    ids = structure.internal_ids if internal else ()
    return tag(
        name,
        tag("id", root=STRUCTURES, extension=structure.national_id),
        *(tag("id", root=each.oid, extension=each.value) for each in ids),
        text_tag("name", structure.name),
        *_contact_reversed(structure),
        *more,
    )


def _contact_reversed(structure: Structure) -> tuple[str, str]:
    """Telecoms stand before the address in an organisation."""
    if structure.address_is_secret:
        return tag("telecom", nullFlavor=_MASKED), tag("addr", nullFlavor=_MASKED)
    return _telecoms(structure.telecoms, "WP"), _address(structure.address)


def _entity(name: str, who: Signatory, coded: Write, setting: str = "") -> str:
    """A person or a program with its structure; `setting` goes into the structure of who performed the act."""
    if isinstance(who, Professional):
        named = tag("assignedPerson", _person_name(who.family, who.given, who.prefix))
    elif name == "assignedAuthor":
        device = text_tag("manufacturerModelName", who.maker) + text_tag("softwareName", who.name)
        named = tag("assignedAuthoringDevice", device)
    else:
        named = ""  # no place for a program here: its id and role tell it
    return tag(
        name,
        tag("id", root=PERSONS, extension=who.national_id),
        coded("code", who.role),
        tag("addr", nullFlavor=_NOT_ASKED),
        tag("telecom", nullFlavor=_NOT_ASKED),
        named,
        _structure("representedOrganization", who.structure, setting, internal=bool(setting)),
    )


def _author(author: Signatory, created: str, coded: Write) -> str:
    return tag("author", tag("time", value=created), _entity("assignedAuthor", author, coded))


def _custodian(structure: Structure) -> str:
    """One telecom at most (header rules)."""
    alone = replace(structure, telecoms=structure.telecoms[:1])
    return tag("custodian", tag("assignedCustodian", _structure("representedCustodianOrganization", alone)))


def _recipient(recipient: Recipient) -> str:
    person = recipient.person
    if person is not None:
        inner = (
            tag("id", root=PERSONS, extension=person.national_id)
            + tag("addr", nullFlavor=_NOT_ASKED)
            + tag("telecom", nullFlavor=_NOT_ASKED)
            + tag("informationRecipient", _person_name(person.family, person.given, person.prefix))
            + _structure("receivedOrganization", person.structure)
        )
    elif recipient.structure is not None:
        inner = _structure("receivedOrganization", recipient.structure)
    return tag("informationRecipient", tag("intendedRecipient", inner))


# --- the act and where it took place --------------------------------------------------------------------------------


def _event(piece: Piece, performer: Signatory, coded: Write) -> str:
    until = tag("high", value=stamp(piece.act_until)) if piece.act_until else ""
    when = tag("effectiveTime", tag("low", value=stamp(piece.began_at)), until)
    setting = coded("standardIndustryClassCode", performer.structure.setting)
    by = tag("performer", _entity("assignedEntity", performer, coded, setting), typeCode="PRF")
    return tag("documentationOf", tag("serviceEvent", when, by))


def _related(piece: Piece) -> str:
    if piece.replaces is None:
        return ""
    return tag("relatedDocument", tag("parentDocument", written_id("id", piece.replaces)), typeCode="RPLC")


def _encounter(piece: Piece, coded: Write) -> str:
    facility = tag("healthCareFacility", coded("code", piece.issuer.facility))
    when = tag("effectiveTime", tag("low", value=stamp(piece.began_at)))
    return tag("componentOf", tag("encompassingEncounter", when, tag("location", facility)))
