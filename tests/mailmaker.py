"""Mails for the tests of the reader, built byte by byte: what is written here is what the reader sees.

Nothing is corrected and nothing is added: a test that wants a folded header, two boundaries or a missing end writes it
so. All people are fictional.
"""

from __future__ import annotations

import base64
import io
import struct
import zipfile
from collections.abc import Iterable

from tests.quiet import SECRETS

CRLF = b"\r\n"
FROM = "Dr Camille EXEMPLE <camille.exemple@ch-fictif.mssante.fr>"
TO = "esms@maison-fictive.mssante.fr"
PDF = b"%PDF-1.4\n% un document fictif\n%%EOF\n"

Headers = Iterable[tuple[str, str | bytes]]


def block(headers: Headers) -> bytes:
    """Header lines, each closed by CRLF; a value may hold its own folding."""
    lines = []
    for name, value in headers:
        written = value if isinstance(value, bytes) else value.encode("utf-8")
        lines.append(name.encode() + b": " + written + CRLF)
    return b"".join(lines)


def mail(*, body: bytes = b"Bonjour.\r\n", headers: Headers = (), subject: str = "Essai", **root: str | None) -> bytes:
    """A whole mail: the usual headers (each may be replaced or removed by keyword, `from_=None`), then `headers`."""
    SECRETS.add_subject(subject)
    usual: dict[str, str | None] = {
        "from_": FROM,
        "to": TO,
        "date": "Tue, 3 Mar 2026 09:05:00 +0100",
        "message_id": "<essai-1@ch-fictif.mssante.fr>",
        "mime_version": "1.0",
        **root,
    }
    names = {"from_": "From", "to": "To", "date": "Date", "message_id": "Message-ID", "mime_version": "MIME-Version"}
    lines = [(names.get(k, k.replace("_", "-").title()), v) for k, v in usual.items() if v is not None]
    return block([*lines, ("Subject", subject), *headers]) + CRLF + body


def part(content_type: str | None, body: bytes = b"", headers: Headers = ()) -> bytes:
    """One part of a multipart, as it is written between two delimiters."""
    declared = [("Content-Type", content_type)] if content_type is not None else []
    return block([*declared, *headers]) + CRLF + body


def attached(name: str | None, content: bytes, content_type: str = "application/octet-stream") -> bytes:
    """A base64 part, with a disposition when it has a name."""
    headers = [("Content-Transfer-Encoding", "base64")]
    if name is not None:
        headers.append(("Content-Disposition", f'attachment; filename="{name}"'))
    return part(content_type, lines64(content), headers)


def lines64(content: bytes) -> bytes:
    return base64.encodebytes(content).replace(b"\n", CRLF)


def joined(boundary: str, parts: Iterable[bytes], *, closed: bool = True) -> bytes:
    """The body of a multipart."""
    delimiter = b"--" + boundary.encode()
    body = b"".join(delimiter + CRLF + piece + CRLF for piece in parts)
    return body + (delimiter + b"--" + CRLF if closed else b"")


def multipart(boundary: str, *parts: bytes, subtype: str = "mixed", extra: str = "") -> bytes:
    """A multipart as a part of another one."""
    return part(f'multipart/{subtype}; boundary="{boundary}"{extra}', joined(boundary, parts))


def mixed(*parts: bytes, subtype: str = "mixed", extra: str = "", boundary: str = "=_b1", **root: str | None) -> bytes:
    """A whole mail that is a multipart."""
    declared = f'multipart/{subtype}; boundary="{boundary}"{extra}'
    return mail(body=joined(boundary, parts), headers=[("Content-Type", declared)], **root)  # type: ignore[arg-type]


TEXT = part("text/plain; charset=utf-8", b"Bonjour, voici le compte rendu.\r\n")


def zipped(**entries: bytes) -> bytes:
    """A zip; the names of entries are given with `__` for a slash and `_dot_` for a dot."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), content)
    return target.getvalue()


# --- winmail.dat (MS-OXTNEF) ---------------------------------------------------------------------------------------


def _tnef_object(level: int, name: int, kind: int, value: bytes) -> bytes:
    checksum = sum(value) & 0xFFFF
    return struct.pack("<BHHI", level, name, kind, len(value)) + value + struct.pack("<H", checksum)


def winmail(*files: tuple[str, bytes], body: str = "") -> bytes:
    """A TNEF stream with attachments and, if given, a plain body."""
    pieces = [
        b"\x78\x9f\x3e\x22\x01\x00",
        _tnef_object(1, 0x9006, 8, struct.pack("<I", 0x10000)),
        _tnef_object(1, 0x9007, 6, struct.pack("<II", 1252, 0)),
    ]
    if body:
        pieces.append(_tnef_object(1, 0x800C, 2, body.encode("cp1252") + b"\0"))
    for name, content in files:
        pieces.append(_tnef_object(2, 0x9002, 6, bytes(14)))
        pieces.append(_tnef_object(2, 0x8010, 1, name.encode("cp1252") + b"\0"))
        pieces.append(_tnef_object(2, 0x800F, 6, content))
    return b"".join(pieces)
