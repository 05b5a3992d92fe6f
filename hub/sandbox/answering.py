"""How the fictional correspondents answer a mail that was taken for them, once it lies in their mailbox.

In: one mail for one recipient, and what its sender asked to be told. Out: the answers, each so many seconds later. The
operator tells the delivery when that was asked (RFC 3461) and gives back what goes to a closed mailbox; at the ASE
somebody opens the mail, then a program files its document, and each says so when a receipt was asked (RFC 8098). The
others have not opened theirs yet. Nothing automatic is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.utils import parseaddr

from hub.sandbox import reports
from hub.sandbox.people import ASE, CLOSED_MAILBOX, POSTMASTER

DELIVERED_AFTER, READ_AFTER, INTEGRATED_AFTER = 0.1, 0.5, 0.9  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One mail for one recipient. `sender` is its return path, "" for what machines send; `notify` holds the words of
    NOTIFY in capitals (SUCCESS, FAILURE, DELAY)."""

    sender: str
    recipient: str
    headers: Message
    envelope_id: str = ""
    notify: frozenset[str] = frozenset()

    @property
    def message_id(self) -> str:
        return str(self.headers["Message-ID"] or "")

    @property
    def receipt_to(self) -> str:
        """Where a receipt is wanted, "" where none is."""
        return parseaddr(str(self.headers["Disposition-Notification-To"] or ""))[1]


@dataclass(frozen=True, slots=True)
class Answer:
    """To lay into `mailbox` after so many seconds."""

    after: float
    mailbox: str
    raw: bytes


def is_closed(address: str) -> bool:
    """Whether the operator takes mail for it, and gives it back."""
    return address.lower() == CLOSED_MAILBOX


def answers(taken: Taken, at: datetime) -> tuple[Answer, ...]:
    """`at` is when it was taken. Nothing for a mail without return path, or that says that nobody wrote it."""
    if not taken.sender or str(taken.headers["Auto-Submitted"] or "no") != "no":
        return ()
    if is_closed(taken.recipient):
        return (Answer(DELIVERED_AFTER, taken.sender, _bounce(taken, at)),)
    found = [Answer(DELIVERED_AFTER, taken.sender, _delivered(taken, at))] if "SUCCESS" in taken.notify else []
    if taken.receipt_to and taken.recipient.lower() == ASE.address:
        found.append(Answer(READ_AFTER, taken.receipt_to, _receipt(taken, reports.READ, at)))
        found.append(Answer(INTEGRATED_AFTER, taken.receipt_to, _receipt(taken, reports.INTEGRATED, at)))
    return tuple(found)


def _bounce(taken: Taken, at: datetime) -> bytes:
    key, lost, to = f"bounce {taken.message_id}", taken.recipient, taken.sender
    return reports.bounce(key, POSTMASTER, lost, taken.message_id, at, to=to, envelope_id=taken.envelope_id)


def _delivered(taken: Taken, at: datetime) -> bytes:
    key, reached, to = f"delivered {taken.recipient} {taken.message_id}", taken.recipient, taken.sender
    return reports.delivered(key, POSTMASTER, reached, taken.message_id, at, to=to, envelope_id=taken.envelope_id)


def _receipt(taken: Taken, disposition: str, at: datetime) -> bytes:
    key, subject = f"{disposition} {taken.message_id}", "Accusé de réception"
    return reports.reading_receipt(
        key, ASE, taken.message_id, subject, at, disposition=disposition, to=taken.receipt_to
    )
