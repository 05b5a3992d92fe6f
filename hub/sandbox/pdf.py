"""Small PDFs of one page, written by hand: a title and lines of French text, in Helvetica (cp1252), or their scan.

The first is enough for a sample letter whose text any reader extracts; it claims no PDF/A and cannot become one: no
font is embedded. The scan is a picture of a page, like what a secretary gets from her copier: no text to extract, and
nothing that keeps it out of PDF/A.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

LINES_MOST = 40
_SCAN = (1240, 1754)  # pixels: A4 at 150 to the inch


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


def scanned_pdf(title: str, lines: Iterable[str]) -> bytes:
    """The scan of a page, a little askew. Raises ValueError for a character that is not ASCII: the only font that comes
    with the hub (Pillow's own) has no accents."""
    from PIL import Image, ImageDraw, ImageFont

    kept = list(lines)
    if not "".join((title, *kept)).isascii():
        raise ValueError("the font of a scan knows ASCII only")
    page = Image.new("L", _SCAN, 252)
    drawing = ImageDraw.Draw(page)
    drawing.text((130, 130), title, font=ImageFont.load_default(size=50), fill=30)
    for number, line in enumerate(kept):
        drawing.text((130, 270 + 56 * number), line, font=ImageFont.load_default(size=28), fill=40)
    askew = page.rotate(0.5, resample=Image.Resampling.BILINEAR, fillcolor=252)
    return _file(_pictured(zlib.compress(askew.tobytes(), 9)))


def _pictured(pixels: bytes) -> list[bytes]:
    """The objects of a page that is one grey picture."""
    place = b"595 0 0 842 0 0 cm /Scan Do"
    width, height = _SCAN
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /XObject << /Scan 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\nq %s Q\nendstream" % (len(place) + 4, place),
        b"<< /Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8"
        b" /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream" % (width, height, len(pixels), pixels),
    ]


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
