"""What machines send: a bounce, a receipt come back, an absence reply. Bytes out, as operators and clients write them;
none of them may be filed, answered or held as a document.
"""

from __future__ import annotations

from datetime import datetime

from hub.sandbox.letters import Cover, Part, mail, mixed, text
from hub.sandbox.people import TILLEULS, Structure


def bounce(key: str, operator: Structure, lost: str, original_id: str, sent_at: datetime) -> bytes:
    """A DSN for a mail of ours to a mailbox that is gone (RFC 3464)."""
    status = (
        "Reporting-MTA: dns; mail.bac-a-sable.mssante.example\r\n\r\n"
        f"Final-Recipient: rfc822; {lost}\r\n"
        "Action: failed\r\nStatus: 5.1.1\r\n"
        "Diagnostic-Code: smtp; 550 5.1.1 mailbox unknown\r\n"
    )
    returned = f"From: <{TILLEULS.address}>\r\nTo: <{lost}>\r\nMessage-ID: {original_id}\r\nSubject: Fiche navette\r\n"
    parts = [
        text("Votre message n'a pas pu être remis : la boîte du destinataire n'existe pas.\n"),
        Part(("Content-Type: message/delivery-status",), status.encode()),
        Part(("Content-Type: text/rfc822-headers",), returned.encode()),
    ]
    cover = Cover(
        key=key,
        sender=operator,
        subject="Undelivered Mail Returned to Sender",
        sent_at=sent_at,
        return_path="",
        more=("Auto-Submitted: auto-replied",),
    )
    return mail(cover, mixed(key, parts, "report; report-type=delivery-status"))


def reading_receipt(key: str, reader: Structure, original_id: str, subject: str, sent_at: datetime) -> bytes:
    """An MDN whose subject looks like a document's (mssante.md §5.2, 9)."""
    fields = (
        "Reporting-UA: poste-de-consultation; logiciel fictif\r\n"
        f"Final-Recipient: rfc822;{reader.address}\r\n"
        f"Original-Message-ID: {original_id}\r\n"
        "Disposition: manual-action/MDN-sent-manually; displayed\r\n"
    )
    parts = [
        text("Le message a été lu.\n"),
        Part(("Content-Type: message/disposition-notification",), fields.encode()),
    ]
    cover = Cover(key=key, sender=reader, subject=subject, sent_at=sent_at, return_path="")
    return mail(cover, mixed(key, parts, "report; report-type=disposition-notification"))


def absence(key: str, sender: Structure, sent_at: datetime) -> bytes:
    """An out-of-office reply (RFC 3834)."""
    words = (
        "Bonjour,\n\nJe suis absente jusqu'au 30. En cas d'urgence, appelez le secrétariat.\n\nS. Garnault (fictive)\n"
    )
    cover = Cover(
        key=key,
        sender=sender,
        subject="Réponse automatique : fiche navette",
        sent_at=sent_at,
        return_path="",
        more=("Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All"),
    )
    return mail(cover, text(words))
