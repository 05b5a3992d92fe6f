"""Whether the metadata of an archive and the header of the CDA speak of the same document.

A disagreement on patient, id, type or date is a grave doubt: one of the two is wrong, and the hub does not choose. What
only one of them states is no disagreement (cda-xdm.md §7, items 7 and 9).
"""

from __future__ import annotations

import re

from hub.cda.doubts import grave
from hub.cda.header import ClinicalHeader
from hub.cda.identity import differences, read_cx
from hub.cda.metadata import Entry
from hub.message import Coded, Defect, Identity, LocalId

_OID = re.compile(r"[0-2](\.\d+)+")


def disagreements(entry: Entry, header: ClinicalHeader) -> list[Defect]:
    found = []
    if header.patient is not None:
        wrong = differences(entry.patient.identity, header.patient.identity)
        if not wrong and not _is_named_by(entry, header.patient.identity):
            wrong = ("patient id absent from the document",)
        if wrong:
            found.append(grave("patient-differs", ", ".join(wrong)))
    if entry.unique_id and header.unique_id and entry.unique_id.casefold() != header.unique_id.casefold():
        found.append(grave("id-differs"))
    if entry.type_code and header.type_code and not _same_code(entry.type_code, header.type_code):
        found.append(grave("type-differs"))
    if entry.created and header.created and not entry.created.agrees_with(header.created):
        found.append(grave("date-differs"))
    return found


def _is_named_by(entry: Entry, patient: Identity) -> bool:
    """Whether the patientId of the metadata, the one that receivers match by, is among the ids of the document."""
    stated = read_cx(entry.patient_id)
    ids = [*patient.local_ids, *([LocalId(patient.oid, patient.ins)] if patient.ins and patient.oid else [])]
    return (
        stated is None or not ids or LocalId(stated.oid, stated.value.replace(" ", "").upper()) in ids or stated in ids
    )


def _same_code(one: Coded, other: Coded) -> bool:
    """Systems are compared when both are OIDs (foreign senders write `LOINC`)."""
    systems = (one.system, other.system)
    return one.code == other.code and (one.system == other.system or not all(map(_OID.fullmatch, systems)))
