"""The `message/disposition-notification` part of a receipt (RFC 8098 §3): written for us, read from anybody.

Written: the fields that the volet asks for, in the order of its example, 7-bit. Read: the new form (`processed/error`
and an `Error:` field), the old one (`processed/Error: 902^…`, still in the field), and what lies between. The text of
an error is never kept: it may name a person; the code is.
"""

from __future__ import annotations

import re
import unicodedata

from hub.integration import official_label
from hub.message import Report
from hub.receipts.fields import Group, address_of, first, groups_of, message_id_of

# mssante.md §5.2 items 7 and 8; `E^Error^errorSeverity` is the severity (ERR-4) of the HL7 answer that it quotes.
_ERROR = "{code}^{label}^applicationErrorCondition| E^Error^errorSeverity"
_TYPES = ("displayed", "deleted", "dispatched", "processed", "denied", "failed")  # the last two: RFC 2298
_CODE = re.compile(r"(?<![0-9])(90[0-6])[ \t]*\^|\A\W*(?:error\W*)?(90[0-6])(?![0-9])", re.IGNORECASE)
_PLAIN = str.maketrans({"’": "'", "‘": "'", "–": "-", "—": "-", "œ": "oe", "Œ": "OE", "«": '"', "»": '"'})
_LINE_MOST = 900  # RFC 5322 §2.1.1: 998, the field's name included
_TOKEN = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")


def error_text(code: int, label: str = "") -> str:
    """The error string that the volet carries (`902^Identifiant de patient inconnu^…`); `label` empty: official."""
    return _ERROR.format(code=code, label=label or official_label(code))


def write_mdn(
    *,
    final_recipient: str,
    original_recipient: str | None = None,
    original_message_id: str | None = None,
    reporting_ua: str = "",
    code: int = 0,
    label: str = "",
    by_hand: bool = False,
) -> bytes:
    """The fields of the second part, CRLF line ends, ASCII only (RFC 8098 §3: 7bit is a must, so accents of a label
    are dropped here; the human-readable part has them).

    `code` is 0 for success. `by_hand`: a human decided that this receipt goes (manual-action, MDN-sent-manually).
    """
    mode = "manual-action/MDN-sent-manually" if by_hand else "automatic-action/MDN-sent-automatically"
    fields = [
        ("Reporting-UA", reporting_ua),
        ("Original-Recipient", f"rfc822;{original_recipient}" if original_recipient else ""),
        ("Final-Recipient", f"rfc822;{final_recipient}"),
        ("Original-Message-ID", original_message_id or ""),
        ("Disposition", f"{mode}; processed/error" if code else f"{mode}; processed"),
        ("Error", error_text(code, label) if code else ""),
    ]
    return b"".join(f"{name}: {value}\r\n".encode("ascii") for name, field in fields if (value := _ascii(field)))


def read_mdn(raw_fields: bytes) -> Report:
    """What a receipt says. `raw_fields` is the decoded body of the message/disposition-notification part.

    `error` is a code 900 to 906 when one is there, else `error`, `failure`, or the modifier in lower case.
    Never raises.
    """
    fields: Group = [field for group in groups_of(raw_fields) for field in group]
    kind, modifier = _disposition(first(fields, "disposition"))
    return Report(
        form="mdn",
        original_message_id=message_id_of(first(fields, "original-message-id", "x-original-message-id")),
        original_envelope_id=first(fields, "original-envelope-id"),
        final_recipient=address_of(first(fields, "final-recipient")),
        original_recipient=address_of(first(fields, "original-recipient")),
        disposition=kind,
        error=_error(fields, modifier),
    )


def _disposition(value: str | None) -> tuple[str | None, str]:
    """(type, modifier) of `mode/mode; type/modifier`, the mode possibly missing."""
    modes, separator, rest = (value or "").partition(";")
    kind, _, modifier = (rest if separator else modes).strip().partition("/")
    word = kind.strip(" \t.").lower()
    if word in _TYPES:
        return word, modifier.strip()
    token = _TOKEN.match(word)
    return (token[0] if token and separator else None), modifier.strip()


def _error(fields: Group, modifier: str) -> str | None:
    texts = [modifier, *(value for name, value in fields if name in {"error", "failure", "warning"})]
    for text in texts:
        if found := _CODE.search(text):
            return found[1] or found[2]
    for name in ("error", "failure"):
        if first(fields, name):
            return name
    token = _TOKEN.match(modifier)
    return token[0].lower() if token else None


def _ascii(text: str) -> str:
    """One line of printable ASCII: accents dropped, typographic signs made plain, the rest `?`."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())[:_LINE_MOST]
    bare = "".join(c for c in unicodedata.normalize("NFKD", text.translate(_PLAIN)) if not unicodedata.combining(c))
    line = "".join(c if " " <= c <= "~" else " " if c.isspace() or ord(c) < 32 else "?" for c in bare)
    return " ".join(line.split())[:_LINE_MOST]
