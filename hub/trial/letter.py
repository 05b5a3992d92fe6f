"""The mail that a mailbox sends to itself, to see what becomes of it on the way: what relays are known to change stands
in it. Pure: Message-ID and time are given.

It has the form of a letter of the hub's own (one text, from an own address to an own one, Auto-Submitted, no document):
`hub.routing` notes such a mail and does nothing with it, whether or not it is taken out of the mailbox in time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from hub import smime
from hub.compose import Letterhead, boundary_of
from hub.compose.letter import header_block, text_part

SUBJECT = "Essai de la boîte par le hub (à ignorer)"
_WORDS = """\
Ce message d'essai a été envoyé par le hub à sa propre boîte, pour vérifier le trajet.
Il ne concerne personne et ne demande rien : vous pouvez le supprimer.
"""
# Accents in 8 bits; a dot alone, and one that begins a line; a line that begins with From; blanks at an end; a long
# line.
_HARD = (
    "Accents : é à ç œ € – « ».",
    ".",
    ". un point au début d'une ligne",
    "From une ligne qui commence ainsi",
    "trois blancs à la fin   ",
    "une longue ligne " + "x" * 960,
    "fin",
)


@dataclass(frozen=True, slots=True)
class Sent:
    """`raw`: the whole mail, CRLF line ends."""

    message_id: str
    raw: bytes = field(repr=False)


def plain_letter(letterhead: Letterhead, message_id: str, at: datetime, *, takes_8bit: bool) -> Sent:
    """Unsigned. `takes_8bit`: the server offers 8BITMIME; without it the text travels in 7 bits."""
    if takes_8bit:
        lines = (*_WORDS.splitlines(), *_HARD)
        entity = b"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        entity += "".join(f"{line}\r\n" for line in lines).encode()
    else:
        entity = text_part("\n".join((_WORDS, *_HARD)))
    return Sent(message_id, _head(letterhead, message_id, at) + entity)


def signed_letter(letterhead: Letterhead, message_id: str, at: datetime, signer: smime.Signer) -> Sent:
    """Signed, in 7 bits, as all that the hub signs."""
    entity = text_part(f"{_WORDS}\nAccents : é à ç œ € – « ».")
    return Sent(
        message_id,
        _head(letterhead, message_id, at) + smime.sign(entity, signer, at, boundary_of(message_id)),
    )


def _head(letterhead: Letterhead, message_id: str, at: datetime) -> bytes:
    return header_block(letterhead, letterhead.address, SUBJECT, message_id, at, auto="auto-generated")
