"""An ordinary mail of somebody of ours, passed on: her own words and attachments under headers of the hub.

In: the submission's bytes. Out: its MIME entity, without any other header of hers (her program's name, her machine's
address, her Bcc stay here). `entity_of` keeps the bytes; `canonical` makes them fit to be signed: text parts become
quoted-printable where a relay might change them (RFC 8551 §3.1.1), nothing else is touched.
"""

from __future__ import annotations

import email
import quopri
import re
from email.errors import MessageError
from email.message import Message
from email.policy import Compat32, compat32

from hub.compose.dispatch import Undispatchable

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:[^\n]*(?:\n[ \t][^\n]*)*\n?")
_CONTENT = re.compile(rb"content-[a-z-]+[ \t]*:", re.IGNORECASE)
_PLAIN = b"Content-Type: text/plain; charset=us-ascii\r\n"
_UNCHANGED = ("7bit", "8bit", "binary", "")  # encodings whose bytes lie open
_ODD = (
    "Le message est construit d'une façon que le hub ne sait pas signer : rien n'a été envoyé. Écrivez un nouveau "
    "message, joignez-y de nouveau les fichiers et envoyez-le."
)
_POLICY: Compat32 = compat32.clone(linesep="\r\n", max_line_length=0)


def entity_of(raw: bytes) -> bytes:
    """The Content-… headers and the body of a message, as they came, with CRLF line ends."""
    text = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if text.startswith(b"\n"):
        head, body = b"", text[1:]
    else:
        head, _, body = text.partition(b"\n\n")
    kept = [field.rstrip(b"\n") for field in _FIELD.findall(head + b"\n") if _CONTENT.match(field)]
    lines = b"\n".join(kept).replace(b"\n", b"\r\n")
    return (lines + b"\r\n" if kept else _PLAIN) + b"\r\n" + body.replace(b"\n", b"\r\n")


def canonical(entity: bytes) -> bytes:
    """The same entity, its open text parts in quoted-printable. What is signed inside stays byte for byte. Raises
    Undispatchable for a structure that the library cannot write again."""
    try:
        message = email.message_from_bytes(entity, policy=_POLICY)
        _encode(message)
        return message.as_bytes(policy=_POLICY)
    except (MessageError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Undispatchable("odd-structure", _ODD) from None


def _encode(part: Message) -> None:
    if part.get_content_type() == "multipart/signed":
        return
    if part.is_multipart():
        for inner in part.get_payload():  # a message/rfc822 has one
            if isinstance(inner, Message):
                _encode(inner)
        return
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if part.get_content_maintype() != "text" or encoding not in _UNCHANGED:
        return
    payload = part.get_payload(decode=True)
    if isinstance(payload, bytes):
        del part["Content-Transfer-Encoding"]
        part["Content-Transfer-Encoding"] = "quoted-printable"
        part.set_payload(_quoted(payload))


def _quoted(text: bytes) -> str:
    """Quoted-printable, with what a mailbox file or a relay might take for its own: `From ` and a dot at a line's
    start."""
    lines = []
    for line in quopri.encodestring(text.replace(b"\r\n", b"\n")).decode("ascii").split("\n"):
        if line.startswith("From "):
            line = "=46" + line[1:]
        elif line.startswith("."):
            line = "=2E" + line[1:]
        lines.append(line)
    return "\n".join(lines)
