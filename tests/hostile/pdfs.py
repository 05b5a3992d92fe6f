"""PDFs that swell, loop or lie. A PDF that cannot be read stays a document with its bytes; its text is what is lost."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence

from tests.cdamaker import Sample, make_archive, make_pdf
from tests.hostile.shape import FILED, UNREADABLE, Collection
from tests.hostile.zips import mailed
from tests.mailmaker import TEXT, attached, mixed

MB = 1024**2
PDFS = Collection("pdf")
CATALOG, PAGES = b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> "
    b"/XObject << /X 6 0 R >> >> >>"
)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def packed(content: bytes, times: int = 1, entries: bytes = b"") -> bytes:
    for _level in range(times):
        content = zlib.compress(content, 9)
    return stream(content, b"/Filter [" + b"/FlateDecode " * times + b"] " + entries)


def pdf(objects: Sequence[bytes], trailer: bytes = b"") -> bytes:
    """The file of these objects, numbered from 1."""
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start)
    return bytes(out)


def showing(content: bytes, *more: bytes) -> bytes:
    """One page with this content object, and more objects from number 6 on."""
    return pdf([CATALOG, PAGES, PAGE, content, FONT, *more])


def text_bomb(size: int, times: int) -> bytes:
    line = b"BT /F1 1 Tf (" + b"a" * 1_000 + b") Tj ET\n"
    return showing(packed(line * (size // len(line)), times))


def image(width: int, height: int, content: bytes) -> bytes:
    return packed(content, 1, b"/Type /XObject /Subtype /Image /Width %d /Height %d /ColorSpace /DeviceRGB "
                  b"/BitsPerComponent 8" % (width, height))  # fmt: skip


def object_streams(count: int) -> bytes:
    """`count` objects in one compressed object stream."""
    heads = b" ".join(b"%d %d" % (10 + n, 2 * n) for n in range(count))
    inner = heads + b" " + b"1 " * count
    holder = packed(inner, 1, b"/Type /ObjStm /N %d /First %d" % (count, len(heads) + 1))
    return showing(stream(b""), holder)


def own_xref(offset: int) -> bytes:
    """`/Prev` that leads back to the same table."""
    raw = make_pdf()
    start = raw.rindex(b"xref\n0")
    return raw.replace(b"/Root 1 0 R", b"/Root 1 0 R /Prev %d" % (start + offset))


def forms(levels: int) -> bytes:
    """Each form draws the next one ten times."""
    drawn = [stream(b"/X Do " * 10,
    b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X %d 0 R "
                    b">> >>" % (7 + n)) for n in range(levels)]  # fmt: skip
    return showing(stream(b"/X Do"), *drawn, stream(b"", b"/Type /XObject /Subtype /Form /BBox [0 0 9 9]"))


def form_of_itself() -> bytes:
    return showing(stream(b"/X Do"), stream(b"/X Do " * 100,
    b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources "
                   b"<< /XObject << /X 6 0 R >> >>"))  # fmt: skip


def encrypted() -> bytes:
    handler = b"<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <%s> /U <%s> >>" % (b"11" * 32, b"22" * 32)
    return pdf([CATALOG, PAGES, PAGE, stream(b"x"), FONT, handler], b"/Encrypt 6 0 R /ID [<11> <22>]")


def everywhere(name: str, make: Callable[[], bytes], *wanted: str, mild: str = "") -> None:
    PDFS.add(name, lambda: mixed(TEXT, attached("a.pdf", make(), "application/pdf")), *wanted, mild=mild)
    PDFS.add(f"{name}-in-archive", lambda: mailed(make_archive(Sample(body=make()))), *wanted, mild=mild)


ANY = (FILED, UNREADABLE, "bad-body", "bomb")
everywhere("stream-bomb", lambda: text_bomb(300 * MB, 2), *ANY)
everywhere("stream-bomb-once", lambda: text_bomb(60 * MB, 1), *ANY)
everywhere("stream-bomb-10-filters", lambda: showing(packed(bytes(40 * MB), 10)), *ANY)
everywhere("stream-bomb-run-length", lambda: showing(stream(b"\x81a" * 200_000, b"/Filter [/RunLengthDecode "
  b"/RunLengthDecode /RunLengthDecode]")), *ANY)  # fmt: skip
everywhere("stream-lzw", lambda: showing(stream(bytes(MB), b"/Filter /LZWDecode")), *ANY)
everywhere("objects-1000000", lambda: pdf([CATALOG, PAGES, PAGE, stream(b"x"), FONT, *[b"1"] * 1_000_000]), *ANY)
everywhere("objects-packed", lambda: object_streams(500_000), *ANY)
everywhere("javascript",
  lambda: pdf([b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /JavaScript /JS (app.alert(1)) "
  b">> >>", PAGES, PAGE, stream(b"x"), FONT]), mild="pdf-active")  # fmt: skip
everywhere("launch", lambda: pdf([b"<< /Type /Catalog /Pages 2 0 R /OpenAction << /S /Launch /F (calc.exe) >> >>",
  PAGES, PAGE, stream(b"x"), FONT]), mild="pdf-active")  # fmt: skip
everywhere("external-file", lambda: showing(stream(b"", b"/F (/etc/passwd)")), *ANY)
everywhere("encrypted", encrypted, mild="pdf-encrypted")
everywhere("xref-broken", lambda: make_pdf().replace(b"startxref\n", b"startxref\n9"), *ANY)
everywhere("xref-loop", lambda: own_xref(0), *ANY)
everywhere("xref-far", lambda: own_xref(2**31), *ANY)
everywhere("xref-huge", lambda: make_pdf().replace(b"xref\n0 6", b"xref\n0 999999999"), *ANY)
everywhere("size-huge", lambda: make_pdf().replace(b"/Size 6", b"/Size 2147483647"), *ANY)
everywhere("pages-of-itself", lambda: make_pdf().replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]"), *ANY)
everywhere("pages-count-lies", lambda: make_pdf().replace(b"/Count 1", b"/Count 2147483647"), *ANY)
everywhere("pages-count-negative", lambda: make_pdf().replace(b"/Count 1", b"/Count -5"), *ANY)
everywhere("pages-deep", lambda: pdf([CATALOG, *[b"<< /Type /Pages /Count 1 /Kids [%d 0 R] >>" % (n + 3)
  for n in range(20_000)], PAGE]), *ANY)  # fmt: skip
everywhere("arrays-deep", lambda: showing(stream(b"[" * 500_000)), *ANY)
everywhere("dictionaries-deep", lambda: pdf([b"<< /A " * 200_000, PAGES, PAGE]), *ANY)
everywhere("references-in-a-ring", lambda: pdf([CATALOG, b"3 0 R", b"2 0 R"]), *ANY)
everywhere(
    "length-of-itself", lambda: pdf([CATALOG, PAGES, PAGE, b"<< /Length 4 0 R >>\nstream\nx\nendstream", FONT]), *ANY
)
everywhere("length-huge", lambda: showing(b"<< /Length 99999999999 >>\nstream\nx\nendstream"), *ANY)
everywhere("forms-ten-to-the-ninth", lambda: forms(9), *ANY)
everywhere("form-of-itself", form_of_itself, *ANY)
everywhere("image-bomb", lambda: showing(stream(b"/X Do"), image(30_000, 30_000, bytes(20 * MB))), *ANY)
everywhere("image-claims-much", lambda: showing(stream(b"/X Do"), image(2**31 - 1, 2**31 - 1, b"x")), *ANY)
everywhere("font-map-huge", lambda: showing(stream(b"BT /F1 9 Tf (a) Tj ET"), packed(
  b"begincmap 1 begincodespacerange <0000> <ffff> endcodespacerange " + b"<0000> <ffff> <0000> " * 100_000)),
  *ANY)  # fmt: skip
everywhere("cut", lambda: make_pdf()[:200], *ANY)
everywhere("only-its-mark", lambda: b"%PDF-1.4\n%%EOF", *ANY)
everywhere("text-of-controls", lambda: make_pdf("\x1b[2J\x07"), *ANY)
PDFS.add("hundred", lambda: mixed(TEXT, *[attached(f"{n}.pdf", text_bomb(3 * MB, 1)[:-9] + b"%d\n%%%%EOF\n" % n,
  "application/pdf") for n in range(100)]), *ANY)  # fmt: skip


# --- pictures: never decoded, so their size is a claim that nobody believes -----------------------------------------


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(50 * MB), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PDFS.add(
    "beside-a-picture-bomb", lambda: mixed(TEXT, attached("a.png", png(60_000, 60_000) + bytes(65_536), "image/png"))
)
