"""The identity of an usager as it is written, which is not always as it is known.

The INS leaves only when it is qualified and nothing is doubtful (INS/va1.53, RH-76); local ids always. Names take the
RNIV form (capitals, no accents), so that a receiver's exact comparison meets what the INS service gives.
"""

from __future__ import annotations

import re
from dataclasses import replace

from hub.cda.writing import Piece, Structure, internal_id
from hub.message import Identity, LocalId, Usager, comparable

QUALIFIED = "qualifiee"
_SEPARATORS = re.compile(r"[\^&|~\\]")  # of HL7 v2 fields, in which the metadata write names and ids


def identity_of(piece: Piece) -> Identity:
    """The identity that stands in the document and in the metadata."""
    return as_written(piece.usager, piece.issuer)


def may_carry_ins(usager: Usager) -> bool:
    return usager.ins_status == QUALIFIED and not usager.doubtful and usager.identity.ins is not None


def as_written(usager: Usager, issuer: Structure) -> Identity:
    """Without INS unless it is qualified; with the number of the record under the issuer's authority when the usager
    has no local id; sex U when unknown."""
    known = usager.identity
    given_names = _name(known.given_names) or _name(known.first_given)
    first_given = _name(known.first_given)
    if first_given is None and given_names is not None and " " not in given_names:
        first_given = given_names
    keeps_ins = may_carry_ins(usager)
    return replace(
        known,
        ins=known.ins if keeps_ins else None,
        oid=known.oid if keeps_ins else None,
        local_ids=_local_ids(usager, issuer),
        birth_name=_name(known.birth_name),
        first_given=first_given,
        given_names=given_names,
        used_name=_name(known.used_name),
        used_given=_name(known.used_given),
        sex=known.sex or "U",
    )


def _local_ids(usager: Usager, issuer: Structure) -> tuple[LocalId, ...]:
    kept = tuple(dict.fromkeys(usager.identity.local_ids))
    if kept or not usager.record_number:
        return kept
    finess = issuer.national_id[1:] if issuer.national_id.startswith("1") else issuer.national_id
    return (LocalId(issuer.local_id_root, internal_id(finess, usager.record_number)),)


def _name(name: str | None) -> str | None:
    return comparable(plain(name)) if name else None


def plain(text: str) -> str:
    """One line without the separators of HL7 v2."""
    return " ".join(_SEPARATORS.sub(" ", text).split())
