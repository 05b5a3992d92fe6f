"""Mails that the hub sends of its own: a copy of a message as it came, a notice without health data, a letter to
somebody of ours.

None says in its subject whose document it is about. A copy's attachment does, and a copy goes where a rule of the site
sends it; so does the text of a letter, which goes to the mailbox of ours that it is about.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from hub.compose import attached
from hub.compose.carried import Carried, Mail
from hub.compose.dispatch import Dispatched
from hub.compose.headers import one_line
from hub.compose.letter import Letterhead, around, header_block, original_head, text_part
from hub.raw import Raw

COPY_SUBJECT = "Copie d'un message reçu"
NOTICE_SUBJECT = "Avis du hub : un message reçu vous concerne"

_COPY = """\
Bonjour,

Un message reçu dans la boîte {address} vous est transmis en copie, tel qu'il est arrivé. Il est joint à ce courriel.

Ce qu'il faut faire : ouvrez la pièce jointe « message_original.eml ». Pour répondre à son auteur, écrivez-lui
directement : une réponse à ce courriel ne lui parviendrait pas.
"""
_NOTICE = """\
Bonjour,

Un message reçu dans la boîte {address} vous concerne.
{reason}
Ce qu'il faut faire : consultez le hub ou la boîte ci-dessus. Par sécurité, cet avis ne contient aucune donnée de
santé et ne nomme personne.
"""


def copy(
    original: Raw,
    carried: Carried,
    letterhead: Letterhead,
    recipient: str,
    message_id: str,
    at: datetime,
    subject: str = COPY_SUBJECT,
) -> Mail:
    """The message as it came, attached whole to a mail of ours. `carried` is its survey, `at` is aware."""
    parts = [
        text_part(_COPY.format(address=one_line(letterhead.address))),
        original_head(carried.encoding, b'attachment; filename="message_original.eml"'),
    ]
    head = header_block(letterhead, recipient, subject, message_id, at, auto="auto-generated")
    before, after = around(b"multipart/mixed", parts, carried)
    return Mail(head + before, original, carried, after)


def notice(
    letterhead: Letterhead,
    recipient: str,
    message_id: str,
    at: datetime,
    reason: str = "",
    subject: str = NOTICE_SUBJECT,
) -> Mail:
    """A mail that says only that something happened, and why. `reason` is a code or a French sentence without health
    data, "" for none; `at` is aware."""
    why = f"\nMotif : {one_line(reason)}\n" if one_line(reason) else ""
    head = header_block(letterhead, recipient, subject, message_id, at, auto="auto-generated")
    return Mail(head + text_part(_NOTICE.format(address=one_line(letterhead.address), reason=why)))


def letter(
    letterhead: Letterhead,
    recipient: str,
    message_id: str,
    at: datetime,
    subject: str,
    text: str,
    answers: str | None = None,
) -> Mail:
    """A mail in plain words to somebody of ours (`hub.routing.letters` writes them). The text may name people, the
    subject may not (guard G14). `answers` is the Message-ID of what they sent, so that both stand together in their
    mail program; `at` is aware."""
    references = [answers] if answers else []
    head = header_block(
        _by_the_hub(letterhead),
        recipient,
        subject,
        message_id,
        at,
        auto="auto-generated",
        answers=answers,
        references=references,
    )
    return Mail(head + text_part(text))


def letter_to_sign(
    letterhead: Letterhead, recipient: str, message_id: str, at: datetime, subject: str, text: str
) -> Dispatched:
    """The same to whoever looks after the hub, its text in a form that can be signed."""
    head = header_block(_by_the_hub(letterhead), recipient, subject, message_id, at, auto="auto-generated")
    return Dispatched(head, attached.text_part(text))


def _by_the_hub(letterhead: Letterhead) -> Letterhead:
    """Nobody there wrote it."""
    return replace(letterhead, display_name=f"Hub MSSanté - {letterhead.display_name}")
