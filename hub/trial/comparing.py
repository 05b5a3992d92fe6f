"""What was changed on the way: a mail as it was sent against the same mail as it came. Pure.

Servers add headers at the top; everything else is a change. A body that was only recoded reads the same, but no
signature over it would hold.
"""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_HEADER = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)\r?\n")


class Body(StrEnum):
    SAME = "same"
    LINE_ENDS = "line-ends"  # bare line feeds, or a line end more or less at the end
    RECODED = "recoded"  # another transfer encoding, the same text
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Compared:
    """`lost` and `changed`: names of headers; `refolded`: the same value on other lines. `why`: what a changed body
    looks like, if that is plain (`blanks`, `from`, `rewrapped`, `eight-bit`, `longer`, `shorter`), else ""."""

    lost: tuple[str, ...]
    changed: tuple[str, ...]
    refolded: tuple[str, ...]
    body: Body
    why: str = ""

    @property
    def is_untouched(self) -> bool:
        """Byte for byte, but for what was added above."""
        return not (self.lost or self.changed or self.refolded) and self.body is Body.SAME

    @property
    def reads_the_same(self) -> bool:
        return not (self.lost or self.changed) and self.body is not Body.CHANGED


def compared(sent: bytes, came: bytes) -> Compared:
    sent_head, sent_body = _parted(sent)
    came_head, came_body = _parted(came)
    lost, changed, refolded = [], [], []
    recoded = _encoding(came_head) != _encoding(sent_head)
    for name, value in sent_head:
        values = [other for other_name, other in came_head if other_name.lower() == name.lower()]
        if value in values or (recoded and name.lower() == b"content-transfer-encoding" and values):
            continue
        told = name.decode("ascii")
        if not values:
            lost.append(told)
        elif _flat(value) in map(_flat, values):
            refolded.append(told)
        else:
            changed.append(told)
    body, why = _body(sent_body, came_body, _encoding(sent_head), _encoding(came_head))
    return Compared(tuple(lost), tuple(changed), tuple(refolded), body, why)


def _parted(raw: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    end = re.search(rb"\r?\n\r?\n", raw)
    head, body = (raw[: end.start()] + b"\r\n", raw[end.end() :]) if end else (raw, b"")
    return [(found[1], found[2].replace(b"\r\n", b"\n")) for found in _HEADER.finditer(head)], body


def _flat(value: bytes) -> bytes:
    return b" ".join(value.split())


def _encoding(head: list[tuple[bytes, bytes]]) -> bytes:
    return next((value.strip().lower() for name, value in head if name.lower() == b"content-transfer-encoding"), b"")


def _body(sent: bytes, came: bytes, sent_as: bytes, came_as: bytes) -> tuple[Body, str]:
    if sent == came:
        return Body.SAME, ""
    if _lines(sent) == _lines(came):
        return Body.LINE_ENDS, ""
    sent_text, came_text = _lines(_decoded(sent, sent_as)), _lines(_decoded(came, came_as))
    if sent_text == came_text:
        return Body.RECODED, ""
    return Body.CHANGED, _why(sent_text, came_text)


def _lines(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n").rstrip(b"\n")


def _decoded(body: bytes, encoding: bytes) -> bytes:
    if encoding == b"quoted-printable":
        return quopri.decodestring(body)
    if encoding == b"base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            return body
    return body


_SAME_WITHOUT: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("blanks", lambda text: re.sub(rb"[ \t]+(?=\n|\Z)", b"", text)),
    ("from", lambda text: text.replace(b"\n>From ", b"\nFrom ")),
    ("rewrapped", lambda text: re.sub(rb"\s+", b"", text)),
    ("eight-bit", lambda text: re.sub(rb"[\x80-\xff?]+", b"", text)),
)


def _why(sent: bytes, came: bytes) -> str:
    for why, without in _SAME_WITHOUT:
        if without(sent) == without(came):
            return why
    return "longer" if len(came) > len(sent) else "shorter"
