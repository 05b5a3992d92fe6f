"""What all outgoing mails share: the letterhead, the header block, text parts, and the original carried inside."""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime

from hub.compose.carried import Carried
from hub.compose.headers import address_header, ids_header, plain_header, text_header


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterhead:
    """As whom the hub writes: a mailbox's address and shown name (ECO.2.2.7), the product reference of X-MSS-NIL
    (ECO.2.4.3), and what `Reporting-UA` says (`domain; product`)."""

    address: str
    display_name: str
    product_reference: str
    reporting_ua: str


def header_block(
    letterhead: Letterhead,
    recipient: str,
    subject: str,
    message_id: str,
    at: datetime,
    *,
    auto: str,
    answers: str | None = None,
    references: Iterable[str] = (),
) -> bytes:
    """Everything above `Content-Type`. `auto` is the value of Auto-Submitted; `at` is aware, its offset is kept."""
    return b"".join(
        (
            plain_header("Date", format_datetime(at)),
            address_header("From", letterhead.address, letterhead.display_name),
            address_header("To", recipient),
            text_header("Subject", subject),
            ids_header("Message-ID", [message_id]),
            ids_header("In-Reply-To", [answers] if answers else []),
            ids_header("References", references),
            plain_header("Auto-Submitted", auto),
            plain_header("X-MSS-NIL", letterhead.product_reference),
            b"MIME-Version: 1.0\r\n",
        )
    )


def text_part(text: str) -> bytes:
    """A text/plain part in UTF-8 (ECO.2.2.3), quoted-printable: survives relays without 8BITMIME."""
    lines = (line.rstrip().encode("utf-8", "replace") for line in text.rstrip().splitlines())
    body = b"\r\n".join(binascii.b2a_qp(line).replace(b"=\n", b"=\r\n") for line in lines)
    head = b"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + body + b"\r\n"


def original_head(encoding: bytes, disposition: bytes = b"") -> bytes:
    """Headers of the part that carries the original message as it came. `encoding` is that of its `Carried`.

    message/rfc822 may not be encoded (RFC 2046 §5.2.1): 8-bit bytes or over-long lines are declared `8bit`, and the
    sender announces BODY=8BITMIME where the server knows it. Lines over 998 would need `binary`, which no operator
    is known to take; every relay met passes them, or folds them.
    """
    extra = b"Content-Disposition: " + disposition + b"\r\n" if disposition else b""
    return b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: " + encoding + b"\r\n" + extra + b"\r\n"


def around(subtype: bytes, parts: list[bytes], carried: Carried) -> tuple[bytes, bytes]:
    """(what stands before the original, what stands after it): Content-Type and body of a multipart whose last part,
    of which `parts` has the headers only, is the original."""
    head = b"Content-Type: " + subtype + b';\r\n boundary="' + carried.boundary + b'"\r\n'
    head += b"Content-Transfer-Encoding: " + carried.encoding + b"\r\n\r\n"
    dashed = b"--" + carried.boundary
    return head + b"".join(dashed + b"\r\n" + part for part in parts), b"\r\n" + dashed + b"--\r\n"
