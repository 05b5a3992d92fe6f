"""The short ways of the reader, taken by nearly every mail, say what the long ways say."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cda import Codes
from hub.cda.times import read_moment
from hub.cda.xml import tidy
from hub.message import Defect, Limits
from hub.parse import addresses, headers, parse, pdf, text
from hub.parse.addresses import Address, read_addresses
from hub.parse.doubts import Doubts
from hub.parse.headers import RawHeader, read_block
from hub.parse.text import clean_line
from tests import cdamaker
from tests.amounts import examples
from tests.mailmaker import mail

LIMITS = Limits(header=30, header_block=200)
PIECES = st.sampled_from(
    (b"Subject", b"To", b"X-A", b":", b": a", b" ", b"\t", b"\r\n", b"\r\n ", b"\n", b"\n\t", b"\r", b"\0", b"\xe9")
) | st.sampled_from((b"x" * 31, b"From x\n", b"A:b\r\n", b"C :d\r\n", b"b" * 12))
NEVER = re.compile(rb"(?!)")


def block_of(raw: bytes) -> tuple[list[RawHeader], int, tuple[Defect, ...]]:
    doubts = Doubts()
    block = read_block(raw, 0, len(raw), LIMITS, doubts, "header")
    return block.headers, block.body, doubts.all()


@settings(max_examples=examples(500))
@given(st.lists(PIECES, max_size=12).map(b"".join))
def test_a_block_without_a_flaw_is_read_as_line_by_line(raw: bytes) -> None:
    short = block_of(raw)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headers, "_flawless", lambda block, limits: None)
        assert block_of(raw) == short


@pytest.mark.parametrize("count", [998, 999, 1000, 1001])
def test_many_headers_are_counted_alike(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"A: b\r\n" * count + b"\r\n"
    doubts, again = Doubts(), Doubts()
    short = read_block(raw, 0, len(raw), Limits(), doubts, "").headers
    monkeypatch.setattr(headers, "_flawless", lambda block, limits: None)
    assert read_block(raw, 0, len(raw), Limits(), again, "").headers == short
    assert doubts.all() == again.all()


ADDRESS = st.lists(
    st.sampled_from(
        [b"a", b"b.fr", b"@", b"<", b">", b".", b"..", b"-", b" ", b",", b":", b'"', b"(", b")", b"X.FR", b"=?"]
    ),
    max_size=8,
)


@settings(max_examples=examples(500))
@given(st.one_of(ADDRESS.map(b"".join), st.sampled_from([b"a@b.fr", b"<a@b.fr>", b"<a@b.fr", b"a@b.fr>", b"a@B.FR"])))
def test_an_address_alone_is_read_as_by_the_scanner(value: bytes) -> None:
    def found() -> tuple[tuple[Address, ...], tuple[Defect, ...]]:
        doubts = Doubts()
        return read_addresses(value, doubts, "to"), doubts.all()

    short = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(addresses, "_PLAIN", NEVER)
        assert found() == short


WORDS = st.lists(
    st.sampled_from(
        [b"a", b" ", b"=?utf-8?q?=C3=A9?=", b"=?x-no?q?a?=", b"=?utf-8?b?/w==?=", b"=?", b"\xe9", b"\xc3\xa9"]
    )
    | st.sampled_from([b"\t", b"\0", b"\xe2\x80\xae", b"x" * 300]),
    max_size=8,
)


@settings(max_examples=examples(500))
@given(WORDS.map(b"".join))
def test_a_header_is_read_again_as_the_first_time(value: bytes) -> None:
    said, codes = text._decoded(value)
    for place in ("subject", "header"):
        doubts = Doubts()
        assert text.header_text(value, doubts, place) == said
        assert doubts.all() == tuple(Defect(code, place) for code in codes)


@settings(max_examples=examples(300))
@given(st.text(st.sampled_from("ab é\u00a0\u202e\u2028\t\n\x00\x7f"), max_size=12))
def test_a_word_is_tidied_as_a_sentence_is(written: str) -> None:
    assert tidy(written) == tidy(f" {written} ") == tidy(f"{written}  ")


@settings(max_examples=examples(300))
@given(st.text(max_size=20))
def test_a_line_keeps_no_sign_that_is_not_seen(text: str) -> None:
    assert not {"Cf", "Cs", "Zl", "Zp"}.intersection(map(unicodedata.category, clean_line(text, 100)))


WHOLE_PDF = cdamaker.make_pdf("Bonjour")


@pytest.mark.parametrize(
    "raw",
    [WHOLE_PDF, WHOLE_PDF[:200], b"", b"%PDF-1.4\n%%EOF", WHOLE_PDF.replace(b"/Catalog", b"/JS (x) /Type /Catalog")],
)
def test_a_look_at_a_pdf_gives_the_doubts_of_its_reading(raw: bytes) -> None:
    assert pdf.check(raw) == pdf.read_text(raw).defects


def test_headers_that_stand_twice_are_told_in_one_order() -> None:
    raw = mail(subject="un").replace(
        b"Subject: un", b"Subject: un\r\nSubject: deux\r\nDate: x\r\nDate: y\r\nTo: a@b.fr"
    )
    twice = [one.detail for one in parse(raw, Limits(), Codes.empty()).defects if one.code == "repeated-header"]
    assert twice == sorted(twice)
    assert len(twice) > 1


def test_a_year_has_four_digits() -> None:
    moment = read_moment("0999")
    assert moment is not None
    assert moment.iso == "0999"
