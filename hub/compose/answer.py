"""The receipt of a message: the MDN of the volet « Transmission au LPS… » (mssante.md §5.2), three parts.

Who may be answered at all, and whether a human must agree first, was decided by the mind (`Receipt` is its step);
here it is only written.
"""

from __future__ import annotations

from datetime import datetime

from hub import receipts
from hub.compose.carried import Carried, Mail
from hub.compose.headers import message_id as clean_id
from hub.compose.headers import one_line
from hub.compose.letter import (
    Letterhead,
    around,
    header_block,
    original_head,
    text_part,
)
from hub.message import ParsedMessage, Receipt
from hub.raw import Raw

_MARKER = "XDM/1.0/DDM"
_SUBJECT_MOST = 900  # characters of the original's subject; an honest one has 100
_REFERENCES_MOST = 20

_SUCCESS = """\
Bonjour,

Votre message a été traité automatiquement par le logiciel de la boîte {address}. Aucune erreur n'a été rencontrée.

Le message d'origine est joint à cet accusé.
"""
_RELEASED = """\
Bonjour,

Votre message a été traité par l'équipe de la boîte {address}. Aucune erreur n'a été rencontrée.

Le message d'origine est joint à cet accusé.
"""
_FAILURE = """\
Bonjour,

Le document n'a pas pu être intégré dans le logiciel de la boîte {address}.

Erreur {code} : {label}

Le système a retourné l'erreur {error}

Ce qu'il faut faire : vérifiez l'identité de l'usager et le document, corrigez, puis renvoyez-le. En cas de doute,
répondez à la boîte ci-dessus. Le message d'origine, avec ses pièces jointes, est joint à cet accusé.
"""


def receipt(
    original: ParsedMessage,
    original_raw: Raw,
    carried: Carried,
    step: Receipt,
    letterhead: Letterhead,
    message_id: str,
    at: datetime,
) -> Mail:
    """The whole MDN, ready to be sent. `carried` is the survey of the original, `at` is aware.

    The receipt says sent manually when `step.by` is somebody else than the hub.
    """
    answered = clean_id(original.message_id)
    head = header_block(
        letterhead,
        step.recipient,
        _subject(original.subject, step.code),
        message_id,
        at,
        auto="auto-replied",
        answers=answered,
        references=[*original.references[-_REFERENCES_MOST:], *([answered] if answered else [])],
    )
    fields = receipts.write_mdn(
        reporting_ua=letterhead.reporting_ua,
        original_recipient=_original_recipient(original, letterhead.address),
        final_recipient=letterhead.address,
        original_message_id=answered,
        code=step.code,
        label=step.label,
        by_hand=step.by != "hub",
    )
    parts = [
        text_part(_words(step, letterhead)),
        b"Content-Type: message/disposition-notification\r\n\r\n" + fields + b"\r\n",
        original_head(carried.encoding),
    ]
    before, after = around(b"multipart/report; report-type=disposition-notification", parts, carried)
    return Mail(head + before, original_raw, carried, after)


def _subject(original: str, code: int) -> str:
    """§5.2 item 9. What stands before the marker (`TR:`, `Re:`) is left out; a subject without it is kept whole."""
    line = one_line(original)
    at = line.find(_MARKER)
    kept = line[max(at, 0) :][:_SUBJECT_MOST]
    if code:
        return f"[KO Intégration système !][{code}] {kept}"
    return kept if at >= 0 else f"Accusé de traitement : {kept}"


def _words(step: Receipt, letterhead: Letterhead) -> str:
    address = one_line(letterhead.address)
    if step.code:
        label = one_line(step.label) or receipts.official_label(step.code)
        error = receipts.error_text(step.code, label)
        return _FAILURE.format(address=address, code=step.code, label=label, error=error)
    return (_SUCCESS if step.by == "hub" else _RELEASED).format(address=address)


def _original_recipient(original: ParsedMessage, ours: str) -> str:
    """The address as the sender wrote it (RFC 8098 §3.2.3): the original's own header, else ours among To and Cc,
    else ours as we know it."""
    stated = (original.header("Original-Recipient") or "").rpartition(";")[2].strip(" <>")
    if "@" in stated:
        return stated
    return next((one for one in (*original.to, *original.cc) if one.lower() == ours.lower()), ours)
