"""The hub's own rules for what it writes: all that the official XSD and header rules do not see (cda-xdm.md §1).

`refusals` looks at a piece before a byte is written and gives every fault at once, with the sentence that tells a user
what to correct; `write_cda` raises them as `Unwritable`. Codes are stable; neither codes nor sentences hold a name, an
INS or content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from hub import ins
from hub.cda.body_rules import OID, body_faults
from hub.cda.codes import Codes
from hub.cda.stated import identity_of, may_carry_ins, plain
from hub.cda.writing import (
    CONFIDENTIALITY,
    STRUCTURES,
    VISIBILITY,
    FormBody,
    Guardian,
    Piece,
    Signatory,
    Software,
    Structure,
)
from hub.errors import Permanent
from hub.message import Coded, Identity, Reason

ID_MOST = 64  # characters of an OID in XDS (ITI TF-3 4.2.3.2.26)
# A value of the metadata has 256 characters at most (rim.xsd, LongName), and several of these stand in one.
TITLE_MOST, STRUCTURE_MOST, PERSON_MOST, NAME_MOST, GIVEN_MOST = 250, 150, 70, 70, 90
_UUID = re.compile(r"[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}")
_EXTENSION = re.compile(r"[!-~]{1,64}")
# PS_IdNat and Struct_IdNat (cda-xdm.md §3.6); a FINESS of Corsica has a letter.
_FINESS = r"[0-9][0-9AB][0-9]{7}"
_PERSON = re.compile(
    rf"8[0-9]{{11}}|0[0-9]{{9}}|(?:[16][0-9]{{8,11}}|3{_FINESS}|4[0-9]{{9}}|5[0-9]{{14}})/[^\s^&|~]{{1,40}}"
)
_STRUCTURE = re.compile(rf"1{_FINESS}|2[0-9]{{9}}|3[0-9]{{14}}|[04][0-9]{{9,14}}")
_TELECOM = re.compile(r"(tel|fax|mailto|http|https|ftp|mllp):\S+")
_BIRTH = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_PLACE = re.compile(r"[0-9][0-9AB][0-9]{3}")


class Unwritable(Permanent):
    """A document that may not be written as it is. `faults`: every reason, each with what to correct."""

    def __init__(self, faults: tuple[Reason, ...]) -> None:
        told = "\n".join(f"- {fault.text}" for fault in faults)
        super().__init__(
            f"unwritable: {', '.join(fault.code for fault in faults)}",
            f"Le document ne peut pas être préparé. À corriger :\n{told}\nRien n'a été envoyé.",
        )
        self.faults = faults


def refusals(piece: Piece, codes: Codes) -> tuple[Reason, ...]:
    """Every fault of a piece, each once, in the order of the header. Empty when it may be written."""
    if not piece.authors:
        return (Reason("author-absent", "Le document n'a pas d'auteur : indiquez qui l'a écrit."),)
    found = [
        *_document(piece, codes),
        *_times(piece),
        *_identity(piece),
        *(fault for guardian in piece.guardians for fault in _guardian(guardian)),
        *_people(piece, codes),
        *body_faults(piece.body),
    ]
    return tuple(dict.fromkeys(found))


# --- the document ---------------------------------------------------------------------------------------------------


def _document(piece: Piece, codes: Codes) -> Iterator[Reason]:
    if not piece.title.strip():
        yield Reason("title-empty", "Le document n'a pas de titre.")
    if len(piece.title) > TITLE_MOST:
        yield Reason("too-long-title", f"Le titre du document a plus de {TITLE_MOST} caractères : raccourcissez-le.")
    for name, value in (("id", piece.unique_id), ("setId", piece.set_id), ("replaces", piece.replaces)):
        if value is not None and not _is_id(value):
            yield Reason(f"bad-id-{name}", f"L'identifiant technique du document ({name}) n'a pas la forme voulue.")
    if piece.unique_id == piece.set_id:
        yield Reason("id-is-set", "L'identifiant de la version et celui de la série de versions sont les mêmes.")
    yield from _version(piece)
    yield from _known(codes, "types", piece.type_code, "le type de document")
    yield from _known(codes, "facilities", piece.issuer.facility, "le secteur de l'établissement")
    yield from _known(codes, "practice_settings", piece.issuer.setting, "le cadre d'exercice")
    if not piece.confidentiality or piece.confidentiality[0].system != CONFIDENTIALITY:
        yield Reason("confidentiality-absent", "Le niveau de confidentialité (N, R ou V) manque.")
    if any(each.system not in (CONFIDENTIALITY, VISIBILITY) for each in piece.confidentiality):
        yield Reason("confidentiality-system", "Un niveau de confidentialité n'est pas d'une liste connue.")
    for each in piece.confidentiality:
        yield from _known(codes, "confidentiality", each, "la confidentialité")
    if isinstance(piece.body, FormBody):
        yield from _known(codes, "formats", piece.body.format_code, "le format du document")


def _version(piece: Piece) -> Iterator[Reason]:
    if piece.version < 1:
        yield Reason("bad-version", "Le numéro de version doit être 1 ou plus.")
    if piece.action == "replace" and not (piece.version > 1 and piece.replaces):
        yield Reason("replaces-nothing", "Une nouvelle version doit nommer celle qu'elle remplace.")
    if piece.action != "delete" and (piece.version > 1) != (piece.replaces is not None):
        yield Reason(
            "version-chain", "Une version 2 ou plus remplace la précédente, une première version n'en remplace aucune."
        )
    if piece.replaces == piece.unique_id:
        yield Reason("replaces-itself", "Un document ne peut pas se remplacer lui-même.")


def _is_id(value: str) -> bool:
    root, caret, extension = value.partition("^")
    is_root = (len(root) <= ID_MOST and OID.fullmatch(root)) or _UUID.fullmatch(root)
    return bool(is_root) and (not caret or _EXTENSION.fullmatch(extension) is not None)


def _known(codes: Codes, table: str, value: Coded, what: str) -> Iterator[Reason]:
    if not codes.knows(table, value.code, value.system or "-"):
        yield Reason(f"unknown-{table}", f"Le code choisi pour {what} n'est pas dans la liste officielle.")
    elif not (value.label or codes.label(value.system, value.code)):
        yield Reason(f"unlabelled-{table}", f"Le code choisi pour {what} n'a pas de libellé.")


def _times(piece: Piece) -> Iterator[Reason]:
    times = [piece.created_at, piece.act_at, piece.act_until]
    if any(_is_naive(each) for each in times):
        yield Reason("no-zone", "Une date du document n'a pas de fuseau horaire.")
    elif piece.act_until is not None and piece.act_until < piece.began_at:
        yield Reason("period-reversed", "La période du document finit avant de commencer.")


def _is_naive(moment: datetime | None) -> bool:
    return moment is not None and moment.utcoffset() is None


# --- the usager -----------------------------------------------------------------------------------------------------


def _identity(piece: Piece) -> Iterator[Reason]:
    who = identity_of(piece)
    if not who.ins and not who.local_ids:
        yield Reason("no-patient-id", "L'usager n'a ni numéro de dossier ni INS qualifiée : donnez-lui un numéro.")
    # Never mended: another number could be somebody else's.
    if any(not OID.fullmatch(each.oid) or plain(each.value) != each.value or not each.value for each in who.local_ids):
        yield Reason(
            "bad-local-id", "Un numéro local de l'usager est incomplet, ou contient un signe interdit (^ & | ~)."
        )
    if any(ins.is_ins_oid(each.oid) for each in who.local_ids):
        yield Reason("ins-as-local-id", "Un numéro local de l'usager est rangé comme une INS.")
    if not who.birth_name:
        yield Reason("no-birth-name", "Le nom de naissance de l'usager manque.")
    if not who.given_names:
        yield Reason("no-given-name", "Le prénom de naissance de l'usager manque.")
    if not who.birth_date:
        yield Reason("no-birth-date", "La date de naissance de l'usager manque : donnez au moins l'année.")
    elif not _BIRTH.fullmatch(who.birth_date):
        yield Reason("bad-birth-date", "La date de naissance de l'usager n'est pas une date.")
    elif who.birth_date and who.birth_date > piece.created_at.date().isoformat():
        yield Reason("birth-after-creation", "La date de naissance de l'usager est après celle du document.")
    if who.sex not in ("M", "F", "U"):
        yield Reason("bad-sex", "Le sexe de l'usager n'est pas M, F ou inconnu.")
    if who.birth_place and not _PLACE.fullmatch(who.birth_place):
        yield Reason("bad-birth-place", "Le code INSEE du lieu de naissance n'a pas la forme voulue.")
    if may_carry_ins(piece.usager):
        yield from _ins(who)
    names = (who.birth_name, who.first_given, who.used_name, who.used_given)
    if any(len(name or "") > NAME_MOST for name in names) or len(who.given_names or "") > GIVEN_MOST:
        yield Reason("too-long-name", f"Un nom de l'usager a plus de {NAME_MOST} caractères.")
    if any(len(each.value) > ID_MOST for each in who.local_ids):
        yield Reason("too-long-number", f"Un numéro local de l'usager a plus de {ID_MOST} caractères.")


def _ins(who: Identity) -> Iterator[Reason]:
    number = who.ins or ""
    if not ins.is_ins_oid(who.oid) or not ins.is_well_formed(number):
        yield Reason("ins-form", "L'INS de l'usager n'a pas 15 caractères, ou son autorité n'est pas celle d'une INS.")
    elif not ins.key_is_right(number):
        yield Reason("ins-key", "La clé de l'INS de l'usager est fausse : vérifiez le numéro.")
    elif who.sex in ("M", "F") and (who.sex == "M") != (number[0] in "1357"):
        yield Reason("ins-sex", "Le sexe de l'usager contredit son INS : vérifiez l'identité.")
    absent = [
        name
        for name, value in (
            ("premier prénom de naissance", who.first_given),
            ("date de naissance complète", (who.birth_date or "")[9:]),
            ("sexe", who.sex in ("M", "F")),
            ("lieu de naissance", who.birth_place),
        )
        if not value
    ]
    if absent:
        yield Reason(
            "ins-traits",
            f"L'identité est dite qualifiée, mais il y manque : {', '.join(absent)}. Complétez-la dans le dossier.",
        )


def _guardian(guardian: Guardian) -> Iterator[Reason]:
    if bool(guardian.family) == bool(guardian.organisation):
        yield Reason("guardian", "Le représentant légal est soit une personne nommée, soit un organisme.")
    if guardian.organisation_id and not _STRUCTURE.fullmatch(guardian.organisation_id):
        yield Reason("guardian-id", "Le numéro de l'organisme représentant légal n'a pas la forme voulue.")
    yield from _telecoms(guardian.telecoms)


# --- people and structures ------------------------------------------------------------------------------------------


def _people(piece: Piece, codes: Codes) -> Iterator[Reason]:
    signatories = [*piece.authors, *([piece.signer] if piece.signer else [])]
    for each in signatories:
        yield from _signatory(each, codes)
    for recipient in piece.recipients:
        if recipient.person is not None:
            yield from _signatory(recipient.person, codes)
        elif recipient.structure is not None:
            yield from _structure(recipient.structure)
        else:
            yield Reason("recipient-empty", "Un destinataire du document n'est ni une personne ni une structure.")
    if piece.custodian is not None:
        yield from _structure(piece.custodian)


def _signatory(who: Signatory, codes: Codes) -> Iterator[Reason]:
    names = (who.name, who.maker) if isinstance(who, Software) else (who.family,)
    if not all(name.strip() for name in names):
        yield Reason("person-unnamed", "Une personne ou un logiciel du document n'a pas de nom.")
    if any(len(name) > PERSON_MOST for name in (*names, "" if isinstance(who, Software) else who.given)):
        yield Reason("too-long-person", f"Le nom d'une personne du document a plus de {PERSON_MOST} caractères.")
    if not _PERSON.fullmatch(who.national_id):
        yield Reason(
            "person-id",
            "L'identifiant d'une personne ou d'un logiciel n'a pas la forme voulue (8 + RPPS, 3 + FINESS/n°).",
        )
    yield from _known(codes, "specialties", who.role, "la fonction de l'auteur")
    yield from _structure(who.structure)


def _structure(structure: Structure) -> Iterator[Reason]:
    if not structure.name.strip():
        yield Reason("structure-unnamed", "Une structure du document n'a pas de nom.")
    if len(structure.name) > STRUCTURE_MOST:
        yield Reason("too-long-structure", f"Le nom d'une structure a plus de {STRUCTURE_MOST} caractères.")
    if not _STRUCTURE.fullmatch(structure.national_id):
        yield Reason(
            "structure-id", "Le numéro d'une structure n'a pas la forme voulue (1 + FINESS, 2 + SIREN, 3 + SIRET)."
        )
    # Header rules: under the authority of national ids a structure has one.
    if any(not OID.fullmatch(each.oid) or not each.value or each.oid == STRUCTURES for each in structure.internal_ids):
        yield Reason("structure-internal-id", "Un numéro interne d'une structure est incomplet, ou dit national.")
    yield from _telecoms(structure.telecoms)


def _telecoms(telecoms: tuple[str, ...]) -> Iterator[Reason]:
    if any(not _TELECOM.fullmatch(each) for each in telecoms):
        yield Reason(
            "bad-telecom", "Un téléphone ou une adresse électronique n'a pas la forme voulue (tel:…, mailto:…)."
        )
