"""The strict writer of IHE_XDM archives (IHE ITI TF-2 3.32, CI-SIS): exact names, whole metadata, one usager.

Pieces and a lot in, an `ArchiveWritten` out: the zip, and what its documents say, from which the headers of the mail
are computed (RH-65). Same input, same bytes. Raises `Unwritable`: what `write_cda` refuses, no piece, several usagers,
an id used twice, a type without class.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC
from itertools import pairwise

from hub import ins
from hub.cda.codes import Codes
from hub.cda.identity import same_person
from hub.cda.markup import escaped
from hub.cda.metadata_writer import Shelved, write_metadata
from hub.cda.rules import ID_MOST, Unwritable, refusals
from hub.cda.stated import identity_of
from hub.cda.writer import write_cda
from hub.cda.writing import Lot, PdfBody, Piece
from hub.cda.zip_writer import Entry, Packing, zipped
from hub.message import Archive, Coded, DocumentForm, Identity, Reason

ARCHIVE_NAME = "IHE_XDM.zip"  # as the Référentiel writes it; the samples have capitals
PIECES_MOST = 99
_SUBSET = "IHE_XDM/SUBSET01"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveWritten:
    """`types`: the type code of each CDA in order; `identity`: whose documents they are, as stated in them;
    `shown_given`: the first name as a human writes it; `visibility`: codes of who may not see a document
    (INVISIBLE_PATIENT…)."""

    raw: bytes = field(repr=False)
    types: tuple[Coded, ...]
    identity: Identity
    shown_given: str = ""
    visibility: frozenset[str] = frozenset()
    replaces: bool = False
    deletes: bool = False

    @property
    def ins_is_qualified(self) -> bool:
        """What X-MSS-INS says: INS under a production authority with its four traits (ECO.2.4.2, RH-65)."""
        who = self.identity
        traits = (who.birth_name, who.first_given, who.birth_date, who.sex if who.sex in ("M", "F") else None)
        return who.ins is not None and who.oid in ins.PRODUCTION_OIDS and all(traits)


def must_be_writable(pieces: tuple[Piece, ...], lot: Lot, codes: Codes) -> None:
    """Raises Unwritable with every fault of every piece, before anything is made."""
    _must_fit_together(pieces, lot, codes)
    faults = tuple(dict.fromkeys(fault for piece in pieces for fault in refusals(piece, codes)))
    if faults:
        raise Unwritable(faults)


def write_archive(pieces: tuple[Piece, ...], lot: Lot, codes: Codes) -> ArchiveWritten:
    """The archive of all pieces, in their order. Raises Unwritable."""
    _must_fit_together(pieces, lot, codes)
    shelved = tuple(
        Shelved(piece, write_cda(piece, codes), f"DOC{number:04d}.XML") for number, piece in enumerate(pieces, 1)
    )
    return ArchiveWritten(
        raw=_packed(lot, shelved, codes),
        types=tuple(piece.type_code for piece in pieces),
        identity=identity_of(pieces[0]),
        shown_given=_given(pieces[0].usager.identity),
        visibility=frozenset(each.code for piece in pieces for each in piece.confidentiality[1:]),
        replaces=any(piece.action == "replace" for piece in pieces),
        deletes=any(piece.action == "delete" for piece in pieces),
    )


def archive_as_read(raw: bytes, archive: Archive) -> ArchiveWritten:
    """The same of an archive that somebody else made (a DUI), after the reader. Raises Unwritable when it holds no CDA,
    speaks of several usagers, or the reader has a grave doubt about it."""
    clinical = [document for document in archive.documents if document.form is DocumentForm.CDA]
    people = [document.patient for document in clinical if document.patient]
    doubts = [*archive.defects, *(defect for document in archive.documents for defect in document.defects)]
    if not people or any(defect.grave for defect in doubts):
        raise _refused("archive-doubtful", "L'archive IHE_XDM jointe est incomplète ou se contredit.")
    if not all(same_person(one, other) for one, other in pairwise(people)):
        raise _several_usagers()
    return ArchiveWritten(
        raw=raw,
        types=tuple(document.type_code for document in clinical if document.type_code),
        identity=people[0],
        shown_given=_given(people[0]),
        visibility=frozenset(each.code for document in clinical for each in document.confidentiality),
        replaces=any(document.action == "replace" for document in clinical),
        deletes=any(document.action == "delete" for document in clinical),
    )


def _given(who: Identity) -> str:
    return who.first_given or (who.given_names or "").split(" ")[0]


def _must_fit_together(pieces: tuple[Piece, ...], lot: Lot, codes: Codes) -> None:
    if not pieces:
        raise _refused("no-piece", "Il n'y a aucun document à envoyer.")
    if len(pieces) > PIECES_MOST:
        raise _refused("too-many-pieces", f"Il y a plus de {PIECES_MOST} documents : faites plusieurs envois.")
    if not all(piece.authors for piece in pieces):
        raise _refused("author-absent", "Un document n'a pas d'auteur : indiquez qui l'a écrit.")
    if len({(piece.usager.id, identity_of(piece)) for piece in pieces}) > 1:
        raise _several_usagers()
    if len({piece.unique_id for piece in pieces}) < len(pieces):
        raise _refused("twice", "Le même document est joint deux fois.")
    if len(lot.unique_id) > ID_MOST or lot.sent_at.utcoffset() is None:
        raise _refused("bad-lot", "L'envoi n'a pas d'identifiant valable, ou pas d'heure.")
    if any(codes.class_of(piece.type_code.code, piece.type_code.system) is None for piece in pieces):
        raise _refused(
            "no-class", "Le type choisi pour un document n'appartient à aucune classe de la liste officielle."
        )


def _several_usagers() -> Unwritable:
    return _refused(
        "several-usagers", "Les documents concernent plusieurs usagers : faites un envoi par usager (ECO.2.1.1)."
    )


def _refused(code: str, text: str) -> Unwritable:
    return Unwritable((Reason(code, text),))


# --- the zip --------------------------------------------------------------------------------------------------------


def _packed(lot: Lot, shelved: tuple[Shelved, ...], codes: Codes) -> bytes:
    entries = (
        Entry("INDEX.HTM", _index(lot, shelved)),
        Entry("README.TXT", _readme(lot, shelved)),
        Entry("IHE_XDM/", b""),
        Entry(f"{_SUBSET}/", b""),
        Entry(f"{_SUBSET}/METADATA.XML", write_metadata(lot, shelved, codes), Packing.DEFLATED),
        *(Entry(f"{_SUBSET}/{each.name}", each.raw, _packing_of(each.piece)) for each in shelved),
    )
    return zipped(entries, lot.sent_at.astimezone(UTC))


def _packing_of(piece: Piece) -> Packing:
    return Packing.CODED if isinstance(piece.body, PdfBody) else Packing.DEFLATED


def _index(lot: Lot, shelved: tuple[Shelved, ...]) -> bytes:
    """A page for a browser: who sends, the way to README.TXT and to each document (cda-xdm.md §3.1). No name of the
    usager stands in it."""
    structure = lot.sender.structure
    sender = escaped(f"{structure.name} ({structure.national_id})")
    links = "".join(f'<li><a href="{_SUBSET}/{each.name}">{each.name}</a></li>' for each in shelved)
    page = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML Basic 1.1//EN" "http://www.w3.org/TR/xhtml-basic/xhtml-basic11.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="fr">\n'
        f"<head><title>{sender}</title></head>\n"
        f'<body><h1>{sender}</h1><p><a href="README.TXT">README.TXT</a></p><ul>{links}</ul></body>\n</html>\n'
    )
    return page.encode()


def _readme(lot: Lot, shelved: tuple[Shelved, ...]) -> bytes:
    """Seven-bit text with CR LF: who sends, with which program, what lies where."""
    structure, product = lot.sender.structure, lot.product
    lines = (
        f"Emetteur : {structure.name} ({structure.national_id})",
        f"Contact : {product.contact}",
        f"Logiciel : {product.name} {product.version} ({product.maker})",
        "",
        "Cette archive contient un document de sante ou medico-social au format CDA R2.",
        "Elle s'ouvre avec le logiciel qui tient les dossiers ; une copie PDF est jointe au message.",
        "",
        "INDEX.HTM",
        "README.TXT",
        f"{_SUBSET}/METADATA.XML",
        *(f"{_SUBSET}/{each.name}" for each in shelved),
    )
    return "".join(f"{_seven_bit(line)}\r\n" for line in lines).encode("ascii")


def _seven_bit(text: str) -> str:
    """Accents dropped, one line; what has no such letter becomes `?`."""
    if text.isascii() and text.isprintable():
        return text
    bare = "".join(c for c in unicodedata.normalize("NFKD", " ".join(text.split())) if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" else "?" for c in bare)
