"""A recipient that answers in every form met in the field, each with the keys that a test leaves in it.

Written from the standards (RFC 3464, 6522, 8098, 3834), the volet (mssante.md §5.2, §5.4) and what products are known
to do; no sample of anybody else. All people and domains are fictional. `FORMS` says for each form what it means and
which keys it may hold; `answer` makes the bytes.

Keys: `original` (Original-Message-ID), `reply` (In-Reply-To), `thread` (References), `envelope` (Original-Envelope-Id),
`returned` (the mail or its headers given back as a part), `text` (given back inside the text).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.message import Rung, Sending
from hub.receipts import envelope_id

BOUNDARY = "=_rapport"


@dataclass(frozen=True)
class Case:
    """One answer in the making."""

    sending: Sending
    recipient: str
    keys: frozenset[str]
    author: str  # our mailbox, to which it goes

    def has(self, key: str) -> bool:
        return key in self.keys

    def head(self, sender: str, subject: str, more: str = "", path: str = "<>") -> str:
        reply = f"In-Reply-To: {self.sending.message_id}\n" if self.has("reply") else ""
        thread = f"References: <debut@ailleurs.example> {self.sending.message_id}\n" if self.has("thread") else ""
        return (
            f"Return-Path: {path}\nFrom: {sender}\nTo: {self.author}\nSubject: {subject}\n"
            f"Date: Wed, 25 Nov 2026 10:00:00 +0100\nMessage-ID: <reponse@ailleurs.example>\n{reply}{thread}{more}"
            "MIME-Version: 1.0\n"
        )

    def headers_of_ours(self) -> str:
        to = ", ".join(one.recipient for one in self.sending.sent_to)
        return (
            f"From: <{self.author}>\nTo: {to}\nSubject: Fiche navette\nMessage-ID: {self.sending.message_id}\n"
            "Date: Wed, 25 Nov 2026 09:00:00 +0100\n"
        )

    def original_field(self) -> str:
        return f"Original-Message-ID: {self.sending.message_id}\n" if self.has("original") else ""

    def envelope_field(self) -> str:
        return f"Original-Envelope-Id: {envelope_id(self.sending, self.recipient)}\n" if self.has("envelope") else ""

    def report(self, kind: str, text: str, status: str, returned: str = "text/rfc822-headers") -> str:
        """A multipart/report (RFC 6522)."""
        third = ""
        if self.has("returned"):
            third = f"--{BOUNDARY}\nContent-Type: {returned}\n\n{self.headers_of_ours()}\n"
            third += "Contenu.\n" if returned == "message/rfc822" else ""
        part = "delivery-status" if kind == "delivery-status" else "disposition-notification"
        return (
            f'Content-Type: multipart/report; report-type={kind}; boundary="{BOUNDARY}"\n\n--{BOUNDARY}\n'
            f"Content-Type: text/plain; charset=utf-8\n\n{text}\n--{BOUNDARY}\nContent-Type: message/{part}\n\n"
            f"{status}\n{third}--{BOUNDARY}--\n"
        )


@dataclass(frozen=True)
class Form:
    """`names_nobody`: the form does not say of which recipient it speaks."""

    rung: Rung | None
    status: str
    keys: tuple[str, ...]
    make: Callable[[Case], str]
    names_nobody: bool = False


def answer(form: str, case: Case) -> bytes:
    """The raw mail, CRLF line ends."""
    return FORMS[form].make(case).replace("\n", "\r\n").encode()


# --- bounces in the form of RFC 3464


def _dsn(
    action: str, status: str, diagnostic: str = "", subject: str = "Undelivered Mail Returned to Sender"
) -> Callable[[Case], str]:
    def make(case: Case) -> str:
        said = f"Diagnostic-Code: smtp; {diagnostic}\n" if diagnostic else ""
        fields = (
            f"Reporting-MTA: dns; mx.ailleurs.example\n{case.envelope_field()}{case.original_field()}\n"
            f"Original-Recipient: rfc822;{case.recipient}\nFinal-Recipient: rfc822; {case.recipient.upper()}\n"
            f"Action: {action}\nStatus: {status}\n{said}"
        )
        head = case.head("MAILER-DAEMON@ailleurs.example", subject, "Auto-Submitted: auto-replied\n")
        return head + case.report("delivery-status", "Voici ce qu'il est devenu.", fields)

    return make


def _exchange_bounce(case: Case) -> str:
    """No Original-Message-ID; the recipient by its final address only; the mail itself given back."""
    fields = (
        "Reporting-MTA: dns;exch01.ailleurs.example\n\n"
        f"Final-Recipient: RFC822;{case.recipient}\nAction: failed\nStatus: 5.1.10\n"
        "Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found\nX-Display-Name: Service (fictif)\n"
    )
    subject = "=?utf-8?q?Non_remis_=3A_Fiche_navette?="
    head = case.head("postmaster@ailleurs.example", subject, "X-MS-Exchange-Message-Is-Ndr:\n")
    return head + case.report("delivery-status", "Le message n'a pas pu être remis.", fields, "message/rfc822")


def _bare_bounce(case: Case) -> str:
    """A delivery-status part without a word on the recipient."""
    fields = (
        f"Reporting-MTA: dns; mx.ailleurs.example\n{case.envelope_field()}{case.original_field()}\nAction: failed\n"
    )
    head = case.head("MAILER-DAEMON@ailleurs.example", "Undeliverable: Fiche navette")
    return head + case.report("delivery-status", "Echec.", fields)


# --- bounces of the old style: a text for humans


def _given_back(case: Case, mark: str) -> str:
    return f"\n{mark}\n\n{case.headers_of_ours()}\nContenu.\n" if case.has("text") else ""


def _qmail(case: Case) -> str:
    text = (
        "Hi. This is the mail program at ailleurs.example.\nI'm afraid I wasn't able to deliver your message.\n\n"
        f"<{case.recipient}>:\n192.0.2.7 does not like recipient.\nRemote host said: 550 5.1.1 no such user\n"
    )
    back = _given_back(case, "--- Below this line is a copy of the message.\n\nReturn-Path: <x@y.example>")
    return case.head("MAILER-DAEMON@ailleurs.example", "failure notice") + "\n" + text + back


def _exim(case: Case) -> str:
    head = case.head(
        "Mail Delivery System <Mailer-Daemon@ailleurs.example>",
        "Mail delivery failed: returning message to sender",
        f"X-Failed-Recipients: {case.recipient}\nAuto-Submitted: auto-replied\n",
    )
    text = "This message was created by a mail program.\nA message that you sent could not be delivered.\n"
    return (
        head
        + "\n"
        + text
        + _given_back(case, "------ This is a copy of the message, including all the headers. ------")
    )


def _exim_warning(case: Case) -> str:
    head = case.head("Mailer-Daemon@ailleurs.example", "Warning: message 1abcde-000 delayed 24 hours")
    text = (
        f"The message has not been delivered to\n  {case.recipient}\nfor 24 hours. Delivery attempts will continue.\n"
    )
    named = f"\nThe message identifier is {case.sending.message_id}\n" if case.has("text") else ""
    return head + "\n" + text + named


def _non_distribue(case: Case) -> str:
    """Mon espace santé and French gateways (mssante.md §6)."""
    text = f"Votre message n'a pas été distribué à {case.recipient} : boîte pleine (452 4.2.2).\n"
    part = ""
    if case.has("returned"):
        part = f"--{BOUNDARY}\nContent-Type: message/rfc822\n\n{case.headers_of_ours()}\nContenu.\n"
    subject = "=?utf-8?q?Message_non_distribu=C3=A9?="
    return (
        case.head("ne-pas-repondre@ailleurs.example", subject)
        + f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n--{BOUNDARY}\n'
        + f"Content-Type: text/plain; charset=utf-8\n\n{text}{_given_back(case, '----- Message initial -----')}\n"
        + f"{part}--{BOUNDARY}--\n"
    )


# --- receipts


def _mdn(disposition: str, error: str = "", subject: str = "Lu : Fiche navette") -> Callable[[Case], str]:
    def make(case: Case) -> str:
        fields = (
            f"Reporting-UA: ailleurs.example; PFI\nOriginal-Recipient: rfc822;{case.recipient}\n"
            f"Final-Recipient: rfc822; {case.recipient}\n{case.original_field()}{case.envelope_field()}"
            f"Disposition:{disposition}\n{error}"
        )
        head = case.head(case.recipient, subject, "Auto-Submitted: auto-replied\n")
        return head + case.report("disposition-notification", "Accusé.", fields, "message/rfc822")

    return make


def _exchange_mdn(case: Case) -> str:
    """No Original-Message-ID, a correlation key that only Exchange knows, a name in the place of the address."""
    fields = (
        "Final-Recipient: RFC822;\nDisposition: automatic-action/MDN-sent-automatically; displayed\n"
        "X-MSExch-Correlation-Key: bm9uIGxpc2libGU=\nX-Display-Name: Service (fictif)\n"
    )
    head = case.head(case.recipient, "=?utf-8?q?Lu=C2=A0=3A_Fiche_navette?=")
    return head + case.report("disposition-notification", "Votre message a été lu.", fields)


def _read_text(case: Case) -> str:
    """A receipt whose machine-readable part a gateway took away."""
    text = "Ceci est un accusé de lecture.\n" + _given_back(case, "----- Message initial -----")
    return case.head(case.recipient, "Accuse de lecture : Fiche navette") + "\n" + text


def _ko_mail(subject: str) -> Callable[[Case], str]:
    """mssante.md §5.4: an ordinary mail to the error mailbox, the original attached."""

    def make(case: Case) -> str:
        part = ""
        if case.has("returned"):
            part = (
                f'--{BOUNDARY}\nContent-Type: message/rfc822; name="message_original.eml"\n'
                'Content-Disposition: attachment; filename="message_original.eml"\n\n'
                f"{case.headers_of_ours()}\nContenu.\n"
            )
        return (
            case.head(case.recipient, subject, path=f"<{case.recipient}>")
            + f'Content-Type: multipart/mixed; boundary="{BOUNDARY}"\n\n--{BOUNDARY}\n'
            + "Content-Type: text/plain; charset=utf-8\n\n902 Identifiant de patient inconnu\n"
            + f"{_given_back(case, '-----')}\n{part}--{BOUNDARY}--\n"
        )

    return make


# --- automatic answers


def _vacation(case: Case) -> str:
    more = "Auto-Submitted: auto-replied (vacation)\nPrecedence: bulk\n"
    return case.head(case.recipient, "Absence", more) + "\nJe suis absente jusqu'au 30.\n"


def _out_of_office(case: Case) -> str:
    more = "X-Auto-Response-Suppress: All\nAuto-Submitted: auto-generated\n"
    subject = "=?utf-8?q?R=C3=A9ponse_automatique_=3A_Fiche_navette?="
    return case.head(f'"Service (fictif)" <{case.recipient}>', subject, more) + "\nAbsent.\n"


_AUTO = "automatic-action/MDN-sent-automatically"
_DSN_KEYS = ("original", "reply", "thread", "envelope", "returned")
_MDN_KEYS = ("original", "reply", "thread", "envelope", "returned")
_TEXT_KEYS = ("reply", "thread", "text")
_OLD_ERROR = f" {_AUTO}; processed/Error: 902^Identifiant de patient inconnu^applicationErrorCondition| E^Error^x"
_NEW_ERROR = "Error: 904^L'INS transmis^applicationErrorCondition| E^Error^errorSeverity\n"
_KO = "=?utf-8?q?=5BKO_Int=C3=A9gration_syst=C3=A8me_!=5D=5B902=5D_XDM/1.0/DDM+Fiche?="
_KO_OTHER = "=?utf-8?q?=5BErreur_d=E2=80=99int=C3=A9gration_!=5D=5B902=5D_XDM/1.0/DDM+Fiche?="

FORMS: dict[str, Form] = {
    "bounce": Form(Rung.FAILED, "5.1.1", _DSN_KEYS, _dsn("failed", "5.1.1", "550 5.1.1 unknown")),
    "bounce, vague status": Form(Rung.FAILED, "552", _DSN_KEYS, _dsn("failed", "5.0.0", "552 too big")),
    "bounce after days": Form(Rung.FAILED, "4.4.7", _DSN_KEYS, _dsn("failed", "4.4.7")),
    "delayed": Form(
        Rung.DELAYED, "4.4.1", _DSN_KEYS, _dsn("delayed", "4.4.1", subject="Delayed Mail (still being retried)")
    ),
    "delivered": Form(
        Rung.DELIVERED, "", _DSN_KEYS, _dsn("delivered", "2.0.0", subject="Successful Mail Delivery Report")
    ),
    "relayed": Form(Rung.SUBMITTED, "", _DSN_KEYS, _dsn("relayed", "2.0.0", subject="Successful Mail Delivery Report")),
    "expanded": Form(
        Rung.DELIVERED, "", _DSN_KEYS, _dsn("expanded", "2.0.0", subject="Successful Mail Delivery Report")
    ),
    "Exchange bounce": Form(Rung.FAILED, "5.1.10", ("reply", "thread", "returned"), _exchange_bounce),
    "bare bounce": Form(Rung.FAILED, "", _DSN_KEYS, _bare_bounce, names_nobody=True),
    "qmail": Form(Rung.FAILED, "5.1.1", _TEXT_KEYS, _qmail),
    "Exim": Form(Rung.FAILED, "", _TEXT_KEYS, _exim),
    "Exim warning": Form(Rung.DELAYED, "", _TEXT_KEYS, _exim_warning),
    "message non distribué": Form(Rung.FAILED, "4.2.2", (*_TEXT_KEYS, "returned"), _non_distribue),
    "displayed": Form(Rung.READ, "", _MDN_KEYS, _mdn(" manual-action/MDN-sent-manually; displayed")),
    "processed": Form(Rung.INTEGRATED, "", _MDN_KEYS, _mdn(f" {_AUTO}; processed")),
    "refused, new form": Form(Rung.FAILED, "904", _MDN_KEYS, _mdn(f"{_AUTO}; processed/error", _NEW_ERROR)),
    "refused, old form": Form(Rung.FAILED, "902", _MDN_KEYS, _mdn(_OLD_ERROR)),
    "deleted": Form(Rung.FAILED, "deleted", _MDN_KEYS, _mdn(f" {_AUTO}; deleted", subject="Non lu : Fiche navette")),
    "dispatched": Form(Rung.DELIVERED, "", _MDN_KEYS, _mdn(f" {_AUTO}; dispatched")),
    "Exchange receipt": Form(Rung.READ, "", ("reply", "thread", "returned"), _exchange_mdn),
    "receipt as text": Form(Rung.READ, "", _TEXT_KEYS, _read_text),
    "KO mail": Form(Rung.FAILED, "902", (*_TEXT_KEYS, "returned"), _ko_mail(_KO)),
    "KO mail, other subject": Form(Rung.FAILED, "902", (*_TEXT_KEYS, "returned"), _ko_mail(_KO_OTHER)),
    "vacation": Form(Rung.SUBMITTED, "", ("reply", "thread"), _vacation),
    "out of office": Form(Rung.SUBMITTED, "", ("reply", "thread"), _out_of_office),
}
