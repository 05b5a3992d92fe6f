"""A small PDF of one page, written by hand: a title and lines of French text, in Helvetica (cp1252).

Enough for a sample letter whose text any reader extracts. It claims no PDF/A: no font is embedded.
"""

from __future__ import annotations

from collections.abc import Iterable

LINES_MOST = 40


def one_page_pdf(title: str, lines: Iterable[str], ballast: bytes = b"") -> bytes:
    """The bytes of the PDF. `ballast` is an unused stream inside it, for samples of a given weight.

    Raises ValueError for more lines than the page holds or a character beyond cp1252."""
    kept = list(lines)
    if len(kept) > LINES_MOST:
        raise ValueError(f"a page holds {LINES_MOST} lines")
    shown = [f"BT /F2 14 Tf 60 780 Td ({_escaped(title)}) Tj ET", "BT /F1 11 Tf 60 745 Td 16 TL"]
    shown += [f"({_escaped(line)}) Tj T*" for line in kept] + ["ET"]
    content = "\n".join(shown).encode("cp1252")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /Lang (fr-FR) >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        _font(b"Helvetica"),
        _font(b"Helvetica-Bold"),
    ]
    if ballast:
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(ballast), ballast))
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    raw = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(raw))
    return raw + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + end


def _font(name: bytes) -> bytes:
    return b"<< /Type /Font /Subtype /Type1 /BaseFont /%s /Encoding /WinAnsiEncoding >>" % name


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
