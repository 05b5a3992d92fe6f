"""What machines send: a bounce, a delivery notice, a receipt come back, an absence reply. Bytes out, as operators and
clients write them; none of them may be filed, answered or held as a document.
"""

from __future__ import annotations

from datetime import datetime

from hub.sandbox.letters import Cover, Part, mail, mixed, text
from hub.sandbox.people import TILLEULS, Postmaster, Structure

READ = "manual-action/MDN-sent-manually; displayed"
INTEGRATED = "automatic-action/MDN-sent-automatically; processed"


def bounce(
    key: str,
    operator: Structure | Postmaster,
    lost: str,
    original_id: str,
    sent_at: datetime,
    *,
    to: str = TILLEULS.address,
    envelope_id: str = "",
) -> bytes:
    """A DSN for a mail of ours to a mailbox that is gone (RFC 3464)."""
    status = "Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 mailbox unknown\r\n"
    words = "Votre message n'a pas pu être remis : la boîte du destinataire n'existe pas.\n"
    cover = _notice(key, operator, "Undelivered Mail Returned to Sender", sent_at, to)
    return _status_report(cover, words, lost, status, original_id, envelope_id)


def delivered(
    key: str,
    operator: Structure | Postmaster,
    reached: str,
    original_id: str,
    sent_at: datetime,
    *,
    to: str = TILLEULS.address,
    envelope_id: str = "",
) -> bytes:
    """A DSN that says that the mail lies in the recipient's mailbox (RFC 3464; asked by NOTIFY=SUCCESS)."""
    words = "Votre message a été remis dans la boîte du destinataire.\n"
    cover = _notice(key, operator, "Successful Mail Delivery Report", sent_at, to)
    return _status_report(cover, words, reached, "Action: delivered\r\nStatus: 2.0.0\r\n", original_id, envelope_id)


def _notice(key: str, operator: Structure | Postmaster, subject: str, sent_at: datetime, to: str) -> Cover:
    more = ("Auto-Submitted: auto-replied",)
    return Cover(key=key, sender=operator, subject=subject, sent_at=sent_at, to=to, return_path="", more=more)


def _status_report(cover: Cover, words: str, recipient: str, status: str, original_id: str, envelope_id: str) -> bytes:
    asked = f"Original-Envelope-Id: {envelope_id}\r\n" if envelope_id else ""
    fields = (
        f"Reporting-MTA: dns; mail.bac-a-sable.mssante.example\r\n{asked}\r\n"
        f"Final-Recipient: rfc822; {recipient}\r\n{status}"
    )
    returned = f"From: <{cover.to}>\r\nTo: <{recipient}>\r\nMessage-ID: {original_id}\r\nSubject: Fiche navette\r\n"
    parts = [
        text(words),
        Part(("Content-Type: message/delivery-status",), fields.encode()),
        Part(("Content-Type: text/rfc822-headers",), returned.encode()),
    ]
    return mail(cover, mixed(cover.key, parts, "report; report-type=delivery-status"))


def reading_receipt(
    key: str,
    reader: Structure,
    original_id: str,
    subject: str,
    sent_at: datetime,
    *,
    disposition: str = READ,
    to: str = TILLEULS.address,
) -> bytes:
    """An MDN (RFC 8098): somebody opened it (`READ`), or a program filed it (`INTEGRATED`)."""
    fields = (
        "Reporting-UA: poste-de-consultation; logiciel fictif\r\n"
        f"Final-Recipient: rfc822;{reader.address}\r\n"
        f"Original-Message-ID: {original_id}\r\n"
        f"Disposition: {disposition}\r\n"
    )
    words = "Le message a été lu.\n" if disposition == READ else "Le document a été intégré au dossier.\n"
    parts = [
        text(words),
        Part(("Content-Type: message/disposition-notification",), fields.encode()),
    ]
    cover = Cover(key=key, sender=reader, subject=subject, sent_at=sent_at, to=to, return_path="")
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
