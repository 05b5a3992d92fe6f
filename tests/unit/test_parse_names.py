"""File names: one name of the field, in every way that it is written there (complaints.md, row 11)."""

from __future__ import annotations

import base64
import unicodedata

import pytest

from hub.cda import Codes
from hub.message import Limits, ParsedMessage
from hub.parse import parse
from hub.parse.parameters import safe_name
from tests import mailmaker

NAME = "L'été d'Éloïse.pdf"


def read_with(disposition: bytes, content_type: str = "application/pdf") -> ParsedMessage:
    leaf = mailmaker.part(content_type, mailmaker.PDF, [("Content-Disposition", disposition)])
    return parse(mailmaker.mixed(leaf), Limits(), Codes.empty())


def percent(text: str, charset: str) -> bytes:
    return "".join(
        f"%{byte:02X}" if byte > 126 or byte in b"' " else chr(byte) for byte in text.encode(charset)
    ).encode()


def word(text: str, charset: str, encoding: str) -> bytes:
    if encoding == "B":
        written = base64.b64encode(text.encode(charset)).decode()
    else:
        written = "".join(f"={b:02X}" if b > 126 or b in b"=?_" else chr(b) for b in text.encode(charset)).replace(
            " ", "_"
        )
    return f"=?{charset}?{encoding}?{written}?=".encode()


ENCODINGS = {
    "RFC 2231 in UTF-8": b"attachment; filename*=UTF-8''" + percent(NAME, "utf-8"),
    "RFC 2231 in ISO 8859-15 with a language": b"attachment; filename*=iso-8859-15'fr'" + percent(NAME, "iso-8859-15"),
    "RFC 2231 in the charset of old Macs": b"attachment; filename*=macintosh''" + percent(NAME, "mac-roman"),
    "RFC 2231 in pieces": b"attachment;\r\n filename*0*=utf-8''L%27%C3%A9t;\r\n filename*1*=%C3;"
    b"\r\n filename*2*=%A9%20d;\r\n"
    b' filename*3="\'";\r\n filename*4*=%C3%89lo%C3%AFse.pdf',
    "RFC 2231 in quotes": b"attachment; filename*=\"utf-8''" + percent(NAME, "utf-8") + b'"',
    "RFC 2231 without a charset": b"attachment; filename*=L'%C3%A9t%C3%A9 d'%C3%89lo%C3%AFse.pdf",
    "RFC 2231 with an empty charset, cp1252": b"attachment; filename*=''" + percent(NAME, "cp1252"),
    "RFC 2231 under a wrong charset": b"attachment; filename*=us-ascii''" + percent(NAME, "utf-8"),
    "RFC 2047 B in UTF-8": b'attachment; filename="' + word(NAME, "utf-8", "B") + b'"',
    "RFC 2047 Q in cp850, no quotes": b"attachment; filename=" + word(NAME, "cp850", "Q"),
    "RFC 2047 in two folded words": b'attachment; filename="'
    + word("L'été ", "utf-8", "Q")
    + b"\r\n "
    + word("d'Éloïse.pdf", "utf-8", "B")
    + b'"',
    "raw UTF-8": b'attachment; filename="' + NAME.encode() + b'"',
    "raw UTF-8 decomposed": b'attachment; filename="' + unicodedata.normalize("NFD", NAME).encode() + b'"',
    "raw cp1252": b'attachment; filename="' + NAME.encode("cp1252") + b'"',
    "raw, without quotes": b"attachment; filename=" + NAME.encode(),
    "percent signs without any declaration": b'attachment; filename="' + percent(NAME, "utf-8") + b'"',
}


@pytest.mark.parametrize("disposition", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_the_name_comes_out_right(disposition: bytes) -> None:
    (leaf,) = read_with(disposition).attachments
    assert leaf.name == NAME
    assert leaf.disposition == "attachment"


def test_the_name_of_the_content_type_serves_when_there_is_no_other() -> None:
    content_type = "application/pdf; name*=utf-8''" + percent(NAME, "utf-8").decode()
    assert read_with(b"inline", content_type).attachments[0].name == NAME
    assert read_with(b'attachment; filename="autre.pdf"', content_type).attachments[0].name == "autre.pdf"


def test_a_charset_that_does_not_exist_is_not_taken_for_a_part_of_the_name() -> None:
    message = read_with(b"attachment; filename*=utf-9''a%C3%A9.pdf")
    assert message.attachments[0].name == "aé.pdf"
    assert {d.code for d in message.defects} == {"unknown-charset"}


def test_the_charset_of_the_text_is_not_that_of_the_name() -> None:
    leaf = read_with('attachment; filename="été.txt"'.encode(), "text/plain; charset=cp850").attachments[0]
    assert leaf.name == "été.txt"


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\note.pdf", "note.pdf"),
        ("note\r\nBcc: x.pdf", "note Bcc: x.pdf"),
        ("note\0.pdf", "note .pdf"),
        ("note\u202efdp.exe", "notefdp.exe"),
        ("..", None),
        (" / ", None),
        ("", None),
        ("doc (1).pdf", "doc (1).pdf"),
    ],
)
def test_a_name_is_never_a_path_nor_two_lines(written: str, wanted: str | None) -> None:
    assert safe_name(written) == wanted


def test_a_long_name_keeps_its_extension() -> None:
    name = safe_name("a" * 5_000 + ".pdf")
    assert name is not None
    assert len(name) == 150
    assert safe_name("b" * 300 + ".pdf") == "b" * 146 + ".pdf"


def test_backslashes_and_quotes_inside_a_quoted_name_are_kept_as_meant() -> None:
    assert read_with(rb'attachment; filename="a\"b.pdf"').attachments[0].name == 'a"b.pdf'
    assert read_with(rb'attachment; filename="C:\temp\b.pdf"').attachments[0].name == "b.pdf"
    assert read_with(b"attachment; filename=doc(1).pdf; size=3").attachments[0].name == "doc(1).pdf"
