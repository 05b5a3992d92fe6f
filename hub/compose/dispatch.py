"""The mail of a sending, whole, as bytes: headers, plain text, archive, PDF copies (mssante.md §4, §17 RH-60 to RH-76).

`dispatch` gives the outer headers and the entity apart: `hub.smime` signs the entity's exact bytes, X-MSS headers stay
outside (RH-75). The X-MSS headers are computed from the archive, never taken from anybody. Raises `Undispatchable` with
what to correct: several usagers, a wrong address, a document that its receiver may not see, a mail too large. Same
input, same bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from hub.cda.archive_writer import ARCHIVE_NAME, ArchiveWritten
from hub.cda.codes import Codes
from hub.compose.attached import Attached, file_part, mixed, text_part
from hub.compose.headers import address_header, address_list, ids_header, plain_header, text_header
from hub.compose.headers import message_id as clean_id
from hub.compose.letter import Letterhead
from hub.compose.naming import Discretion, ordinary_subject, subject
from hub.errors import Misconfigured, Permanent

USAGERS_DOMAIN = "patient.mssante.fr"
SIGNATURE_ROOM = 16 * 1024  # bytes that a signature with its chain may add
_REFERENCES_MOST = 20
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_PRODUCT = re.compile(r"[A-Za-z0-9]+")  # ECO.2.4.3
_CODES = re.compile(r"[A-Za-z0-9_-]+")  # ECO.2.4.1


class Undispatchable(Permanent):
    """A mail that may not go as it is. `code` is stable and in English."""

    def __init__(self, code: str, public: str) -> None:
        super().__init__(f"undispatchable: {code}", public)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class MailParts:
    """All that a mail is made of. `text` is what the sender wrote; `subject` counts only without an archive, whose own
    rule gives it. `files` are the PDF copies (or the files of an ordinary mail). `is_last_word` asks a usager not to
    answer (X-MSS-MES). `receipt_to` asks for an MDN. `size_most` is the limit of the operator, on encoded bytes."""

    letterhead: Letterhead
    recipients: tuple[str, ...]
    message_id: str
    at: datetime
    text: str = ""
    subject: str = ""
    archive: ArchiveWritten | None = None
    files: tuple[Attached, ...] = ()
    record_number: str | None = None
    discretion: Discretion = Discretion.SUBJECT
    reply_to: str | None = None
    answers: str | None = None
    references: tuple[str, ...] = ()
    receipt_to: str | None = None
    is_last_word: bool = False
    size_most: int | None = None
    usagers_domain: str = USAGERS_DOMAIN


@dataclass(frozen=True, slots=True)
class Dispatched:
    """`outer` ends before Content-Type; `entity` is a whole MIME entity, the one to sign. `joined` is the mail that
    goes out, with the entity itself or the multipart/signed made of it."""

    outer: bytes
    entity: bytes

    def joined(self, signed: bytes | None = None) -> bytes:
        return self.outer + (self.entity if signed is None else signed)


def dispatch(mail: MailParts, codes: Codes) -> Dispatched:
    """Raises Undispatchable, or Misconfigured for a letterhead that may not write."""
    _must_be_sendable(mail)
    outer = _headers(mail, codes)
    parts = [text_part(_words(mail))]
    if mail.archive is not None:
        parts.append(file_part(Attached(ARCHIVE_NAME, "application/zip", mail.archive.raw)))
    parts += [file_part(file) for file in mail.files]
    entity = parts[0] if len(parts) == 1 else mixed(parts, mail.message_id)
    if mail.size_most is not None:
        must_fit(len(outer) + len(entity) + SIGNATURE_ROOM, mail.size_most)
    return Dispatched(outer, entity)


def must_fit(size: int, most: int) -> None:
    """Raises Undispatchable when an encoded mail is larger than what the operator takes (MSS/va1.13, RH-72)."""
    if size > most:
        raise Undispatchable(
            "too-large",
            f"Le message pèse {_megabytes(size)} une fois codé, l'opérateur en accepte {_megabytes(most)} : rien n'a "
            "été envoyé. Faites plusieurs envois, ou réduisez les PDF (numérisez en 200 points par pouce, en gris).",
        )


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} Mo".replace(".", ",")


# --- may it go ------------------------------------------------------------------------------------------------------


def _must_be_sendable(mail: MailParts) -> None:
    if not _PRODUCT.fullmatch(mail.letterhead.product_reference):
        raise Misconfigured("X-MSS-NIL: the product reference is letters and digits (ECO.2.4.3)")
    if clean_id(mail.message_id) != mail.message_id or mail.at.utcoffset() is None:
        raise Misconfigured("a mail needs a Message-ID in brackets and an aware time")
    if not mail.recipients:
        raise Undispatchable("no-recipient", "Le message n'a pas de destinataire.")
    addresses = (*mail.recipients, mail.letterhead.address, *filter(None, (mail.reply_to, mail.receipt_to)))
    if not all(_ADDRESS.fullmatch(address) for address in addresses):
        raise Undispatchable(
            "bad-address", "Une adresse du message n'est pas une adresse MSSanté valable : corrigez-la."
        )
    usagers = [address for address in mail.recipients if _is_usagers(address, mail.usagers_domain)]
    if usagers:
        _must_be_for_the_usager(mail, usagers[0])
    elif mail.is_last_word:
        raise Undispatchable("last-word", "« Ne pas répondre » ne s'emploie que pour un message à un usager.")
    elif mail.archive is not None and "MASQUE_PS" in mail.archive.visibility:
        raise Undispatchable("masked", "Ce document est masqué aux professionnels : il ne peut pas leur être envoyé.")


def _is_usagers(address: str, domain: str) -> bool:
    return address.rpartition("@")[2].lower() == domain.lower()


def _must_be_for_the_usager(mail: MailParts, address: str) -> None:
    """One mail for one usager and nobody else (the address holds the INS), to his own address, and nothing that the
    usager or the legal representatives may not see (RH-67 to RH-69)."""
    if len(mail.recipients) > 1:
        raise Undispatchable(
            "usager-among-others", "Un message à un usager ne part qu'à lui : faites un envoi séparé aux autres."
        )
    archive = mail.archive
    if archive is None:
        return
    if archive.identity.ins is None or address.partition("@")[0].upper() != archive.identity.ins:
        raise Undispatchable(
            "not-the-usager", "L'adresse n'est pas celle de l'usager du document, ou son INS n'est pas qualifiée."
        )
    if archive.visibility & {"INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX"}:
        raise Undispatchable("invisible", "Ce document ne doit être vu ni de l'usager ni de ses représentants légaux.")


# --- headers --------------------------------------------------------------------------------------------------------


def _headers(mail: MailParts, codes: Codes) -> bytes:
    letterhead, archive = mail.letterhead, mail.archive
    title = (
        subject(archive, codes, mail.discretion, mail.record_number)
        if archive is not None
        else ordinary_subject(mail.subject)
    )
    answered = [mail.answers] if mail.answers else []
    return b"".join(
        (
            plain_header("Date", format_datetime(mail.at)),
            address_header("From", letterhead.address, letterhead.display_name),
            address_list("To", mail.recipients),
            address_header("Reply-To", mail.reply_to) if mail.reply_to else b"",
            text_header("Subject", title),
            ids_header("Message-ID", [mail.message_id]),
            ids_header("In-Reply-To", answered),
            ids_header("References", _thread(mail)),
            address_header("Disposition-Notification-To", mail.receipt_to) if mail.receipt_to else b"",
            plain_header("X-MSS-NIL", letterhead.product_reference),
            _of_the_archive(archive) if archive is not None else b"",
            b"X-MSS-MES: FIN\r\n" if mail.is_last_word else b"",
            b"MIME-Version: 1.0\r\n",
        )
    )


def _thread(mail: MailParts) -> list[str]:
    """Each mail of the thread once, the one answered last (RFC 5322 §3.6.4)."""
    before = [one for one in mail.references if one != mail.answers][-_REFERENCES_MOST:]
    return [*before, *([mail.answers] if mail.answers else [])]


def _of_the_archive(archive: ArchiveWritten) -> bytes:
    """X-MSS-CODECDA and X-MSS-INS (ECO.2.4.1, ECO.2.4.2)."""
    listed = ",".join(each.code for each in archive.types if _CODES.fullmatch(each.code))
    told = f"X-MSS-CODECDA: {listed}\r\n" if listed else ""
    return f"{told}X-MSS-INS: {'O' if archive.ins_is_qualified else 'N'}\r\n".encode("ascii")


# --- words ----------------------------------------------------------------------------------------------------------

_ARCHIVE_WORDS = "- {name} : à ouvrir avec le logiciel qui tient les dossiers ;"
_COPY_WORDS = "- {count} : à lire ou à imprimer, le contenu est le même."
_REPLACES = "Ce message annule et remplace une version précédente du document."
_DELETES = "Ce message demande de supprimer du dossier le document joint."


def _words(mail: MailParts) -> str:
    """What the sender wrote, then what is attached. No name of the usager is added."""
    written = mail.text.strip()
    archive = mail.archive
    if archive is None:
        return written or "(message sans texte)"
    lines = [written or "Bonjour,\n\nUn document vous est transmis.", ""]
    lines += [_DELETES, ""] if archive.deletes else [_REPLACES, ""] if archive.replaces else []
    lines += ["Pièces jointes :", _ARCHIVE_WORDS.format(name=ARCHIVE_NAME)]
    if mail.files:
        count = "le fichier PDF" if len(mail.files) == 1 else f"les {len(mail.files)} fichiers PDF"
        lines.append(_COPY_WORDS.format(count=count))
    return "\n".join(lines)
