"""PDFs for the tests, written object by object: filled forms, drawn DataMatrix codes. All people are fictional."""

from __future__ import annotations

import zxingcpp

GS = "\x1d"


def a_pdf(*pages: bytes, fields: dict[str, str] | None = None, size: tuple[int, int] = (595, 842)) -> bytes:
    """A PDF whose pages have these content streams; `fields` are text fields of the first page, name -> value."""
    pages = pages or (b"",)
    objects: list[bytes] = [b"", b""]  # the catalogue and the tree of pages, written last
    widgets = []
    for name, value in (fields or {}).items():
        objects.append(
            b"<< /Type /Annot /Subtype /Widget /FT /Tx /Rect [10 10 90 30] /T %s /V %s >>" % (_text(name), _text(value))
        )
        widgets.append(len(objects))
    kids = []
    for number, content in enumerate(pages):
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        annotations = (
            b" /Annots [%s]" % b" ".join(b"%d 0 R" % one for one in widgets) if number == 0 and widgets else b""
        )
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R%s >>"
            % (*size, len(objects), annotations)
        )
        kids.append(len(objects))
    form = b" /AcroForm << /Fields [%s] >>" % b" ".join(b"%d 0 R" % one for one in widgets) if widgets else b""
    objects[0] = b"<< /Type /Catalog /Pages 2 0 R%s >>" % form
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (b" ".join(b"%d 0 R" % one for one in kids), len(kids))
    return _file(objects)


def drawn(payload: str, x: float = 400, y: float = 650, module: float = 2.0, slope: float = 0.0) -> bytes:
    """A content stream that draws a DataMatrix, each module a filled square of so many points."""
    code = zxingcpp.create_barcode(payload, zxingcpp.BarcodeFormat.DataMatrix)
    picture = code.to_image(scale=1)
    height, width = picture.shape
    raw = bytes(memoryview(picture))  # type: ignore[arg-type]  # it is one
    squares = [
        f"{column * module:.2f} {(height - row) * module:.2f} {module:.2f} {module:.2f} re"
        for row in range(height)
        for column in range(width)
        if raw[row * width + column] < 128
    ]
    drawing = f"q 1 {slope} {-slope} 1 {x} {y} cm\n" + "\n".join(squares) + "\nf Q"
    return drawing.encode()


def ins_payload(header: str = "IS01" + "0" * 22, **blocks: str) -> str:
    """The text of a DataMatrix INS with these blocks in their order, S1 to S7, as the specification ends them."""
    longest = {"S2": 20, "S3": 100, "S4": 100}
    text = header
    for name, value in blocks.items():
        text += name + value + (GS if len(value) < longest.get(name, 0) else "")
    return text


def _text(value: str) -> bytes:
    return b"<FEFF" + value.encode("utf-16-be").hex().upper().encode() + b">"


def _file(objects: list[bytes]) -> bytes:
    raw = b"%PDF-1.7\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(raw))
        raw += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(raw))
    return raw + b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table) + end
