"""What the generators of hostile mail found, kept: each was once lost without a word, slow, or shown to a terminal."""

from __future__ import annotations

import re
import time

import pytest

from hub.cda import Codes
from hub.message import Limits, ParsedMessage
from hub.parse import parse
from tests.cdamaker import Sample, make_cda
from tests.hostile.shape import doubts_of, graves_of
from tests.hostile.shapes import SHAPES
from tests.mailmaker import TEXT, attached, mail, mixed

FOUND = {
    "mime-delimiter-text": "an attachment behind a delimiter with text after it was not seen",
    "mime-delimiter-after-bare-cr": "a part that begins after a bare CR was not seen",
    "mime-part-without-blank-line": "the content of a part without a blank line was taken for headers",
    "mime-cte-not-base64": "a file that only claims to be base64 was decoded into nothing",
    "mime-cte-uuencode-broken": "a file that only claims to be uuencoded was said to be whole",
    "mime-file-of-50-mb-of-dirty-base64": "1.2 GB and 9 s",
    "mime-only-line-ends": "3 s",
    "xml-elements-3000000": "900 MB and 7 s",
    "xml-attributes-2500000": "700 MB",
    "xml-encoding-unknown": "a CDA in a charset that is not read was a file like any other",
    "xml-doctype-in-utf-16-without-mark": "the same, in UTF-16",
    "xml-text-of-20mb": "four times its size in memory",
    "wrapped-tnef-values-1003": "only the memory limit ended it",
    "wrapped-tnef-embedded-values": "the same, in a message inside",
    "wrapped-p7m-oid-long": "asn1crypto took minutes over one number",
    "wrapped-p7m-oid-long-inside": "the same, of the content",
    "zip-name-bidi": "a name that reads backwards was shown",
    "zip-name-c1": "a name that a terminal obeys was shown",
}
BY_NAME = {shape.name: shape for shape in SHAPES}


@pytest.mark.parametrize("name", FOUND)
def test_a_finding_stays_found(name: str) -> None:
    shape = BY_NAME[name]
    raw = shape.make()
    start = time.process_time()
    message = parse(raw, Limits(), Codes.empty())
    assert time.process_time() - start < 5
    assert graves_of(message) & shape.wanted or shape.may_pass


OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    "raw",
    [
        mail(subject="=?utf-8?b?GyBbMkrCmzJKIOKArmUgw6k=?="),
        mixed(TEXT, attached("a.xml", make_cda(Sample(title="TITRE")).replace(b"TITRE", b"a&#x9b;2J&#x202e;b&#x85;"))),
        mixed(TEXT, attached("a\x1b[2J\u202e.pdf", b"%PDF-1.4 %%EOF")),
    ],
    ids=["subject", "title", "name"],
)
def test_nothing_that_a_terminal_obeys_is_left_in_what_is_shown(raw: bytes) -> None:
    message = parse(raw, Limits(), Codes.empty(), read_pdf=False)
    for text in shown(message):
        assert OBEYED.search(text) is None, repr(text)


def shown(message: ParsedMessage) -> list[str]:
    labels = [document.type_code.label for document in message.documents if document.type_code]
    titles = [document.title for document in message.documents]
    names = [leaf.name or "" for leaf in message.attachments]
    return [
        message.subject,
        message.from_name,
        *names,
        *titles,
        *labels,
        *(defect.detail for defect in doubts_of(message)),
    ]


def test_boundaries_that_begin_like_each_other_are_no_doubt() -> None:
    """`Apple-Mail-1` around `Apple-Mail-10`: the longer one is declared inside."""
    assert graves_of(parse(BY_NAME["mime-prefix-boundary"].make(), Limits(), Codes.empty())) == set()
