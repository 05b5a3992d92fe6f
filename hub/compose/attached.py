"""Parts of a mail that goes out, as bytes: the text, the files, the multipart around them. All is ASCII with CRLF.

Safe under a signature (RFC 8551 §3.1.1): base64 and quoted-printable only, no line that a relay might change (`From `,
a lone dot, blanks at an end), so that the signed bytes are those that arrive.
"""

from __future__ import annotations

import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote

_LINE = 76  # letters of base64 on a line (RFC 2045 §6.8)
_PIECE = 57 * 4096  # bytes: whole lines
_LINES = [slice(at, at + _LINE) for at in range(0, _LINE * 4096, _LINE)]
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,60}")
_UNQUOTABLE = re.compile(r"[^ !#-\[\]-~]")
_KEPT = "!#$&+-.^_`{}~"  # RFC 2231 attribute characters beside letters and digits


@dataclass(frozen=True, slots=True)
class Attached:
    """A file of the mail. `media_type` in lower case without parameters; what is none becomes octets."""

    name: str
    media_type: str
    raw: bytes = field(repr=False)


def file_part(file: Attached) -> bytes:
    """The name stands in Content-Disposition, as RFC 2231 when it is not ASCII, and without accents in Content-Type for
    old readers."""
    media_type = file.media_type if _MEDIA_TYPE.fullmatch(file.media_type) else "application/octet-stream"
    if media_type.startswith(("multipart/", "message/")):  # may not be in base64 (RFC 2046 §5.1, §5.2)
        media_type = "application/octet-stream"
    twin, parameter = _names(file.name)
    head = (
        f'Content-Type: {media_type};\r\n name="{twin}"\r\n'
        "Content-Transfer-Encoding: base64\r\n"
        f"Content-Disposition: attachment;\r\n {parameter}\r\n\r\n"
    )
    return head.encode("ascii") + base64_lines(file.raw)


def text_part(text: str) -> bytes:
    """text/plain in UTF-8, quoted-printable (ECO.2.2.3, ECO.2.2.4)."""
    lines = text.replace("\x00", "").rstrip().splitlines()
    body = b"\r\n".join(_quoted(line.rstrip()) for line in lines)
    head = b"Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + body + b"\r\n"


def _quoted(line: str) -> bytes:
    written = binascii.b2a_qp(line.encode("utf-8", "replace")).replace(b"=\n", b"=\r\n")
    if written.startswith(b"From "):
        return b"=46" + written[1:]
    return b"=2E" + written[1:] if written.startswith(b".") else written


def mixed(parts: Iterable[bytes], key: str) -> bytes:
    """A multipart/mixed; `key` makes the boundary, which no base64 and no quoted-printable can hold (`=_`)."""
    boundary = b"=_hub_" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:32].encode()
    head = b'Content-Type: multipart/mixed;\r\n boundary="' + boundary + b'"\r\n\r\n'
    dashed = b"--" + boundary
    pieces = [head]
    for part in parts:
        pieces += (dashed, b"\r\n", part, b"\r\n")
    return b"".join([*pieces, dashed, b"--\r\n"])


def base64_lines(raw: bytes) -> bytes:
    """Base64 in lines of 76 letters with CRLF, the last one without its end. A piece at a time: the lines of a large
    file, each an object, would weigh three times the file."""
    written = []
    for start in range(0, len(raw), _PIECE):
        letters = binascii.b2a_base64(raw[start : start + _PIECE], newline=False)
        written.append(b"\r\n".join(map(letters.__getitem__, _LINES[: -(-len(letters) // _LINE)])))
    return b"\r\n".join(written)


def _names(name: str) -> tuple[str, str]:
    """An ASCII twin of a name, and its parameter in Content-Disposition. Only one of them stands there: readers that
    find two take the wrong one."""
    shown = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in name).strip() or "document"
    plain = unicodedata.normalize("NFKD", shown.replace("œ", "oe").replace("Œ", "OE"))
    twin = _UNQUOTABLE.sub("-", "".join(c for c in plain if not unicodedata.combining(c)))
    if twin == shown:
        return twin, f'filename="{twin}"'
    return twin, f"filename*=UTF-8''{quote(shown.encode('utf-8', 'replace'), safe=_KEPT)}"
