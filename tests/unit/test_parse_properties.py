"""Whatever the bytes: nothing raises, every leaf has its number, the answer can cross the process border."""

from __future__ import annotations

import base64
import binascii
import quopri
import random
import time
from collections.abc import Callable
from hashlib import sha256

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.cda import Codes
from hub.encoding import decode, encode
from hub.message import Limits, ParsedMessage
from hub.parse import parse, parse_file
from hub.parse.doubts import Doubts
from hub.parse.headers import first_line, read_block
from hub.parse.walk import Walk
from tests import cdamaker
from tests.amounts import examples
from tests.hostile.shape import graves_of
from tests.hostile.variants import CONTENT, Variant, variant
from tests.mailmaker import PDF, TEXT, attached, mail, mixed, multipart, part, winmail

SEEDS = [
    mail(),
    mixed(TEXT, attached("IHE_XDM.ZIP", cdamaker.make_archive()), attached("a.pdf", PDF)),
    mixed(part("message/rfc822", mixed(TEXT, attached("winmail.dat", winmail(("a.pdf", PDF)))))),
    mixed(multipart("=_r", part("text/html", b"<p>x</p>"), subtype="related"), subtype="signed"),
]
FRAGMENTS = [
    b"--=_b1\r\n",
    b"--=_b1--\r\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"\0",
    b'"',
    b"<",
    b"(",
    b";",
    b"=?utf-8?q?=?=",
    b"\xe9",
    b'Content-Type: multipart/mixed; boundary="=_b1"\r\n',
    b"Content-Type: message/rfc822\r\n\r\n",
    b"begin 644 a\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Disposition: attachment; filename*0*=x''%\r\n",
    b"PK\x03\x04",
    b"\x78\x9f\x3e\x22",
    b"%PDF-",
    b"From: a@b.fr <c@d.fr>\r\n",
    b"Date: 1 Jan 0001 00:00 +2359\r\n",
    b": x\r\n",
    b"Content-Type: text/plain; charset=utf-16\r\n",
    b"=?utf-16?b?2AA=?=",
    b"&#xD800;",
    b"Content-Type: text/html\r\n",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good mail with pieces cut out and fragments put in."""
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        cut = draw(st.integers(0, 40))
        raw[at : at + cut] = draw(st.sampled_from(FRAGMENTS))
    return bytes(raw)


def check(message: ParsedMessage) -> None:
    numbers = [leaf.number for leaf in message.attachments]
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    assert len({leaf.path for leaf in message.attachments}) == len(numbers)
    assert all(set(document.attachments) <= set(numbers) for document in message.documents)
    assert decode(encode(message), ParsedMessage) == message


@settings(max_examples=examples(250), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damaged())
def test_a_damaged_mail_is_read(raw: bytes) -> None:
    start = time.process_time()
    check(parse(raw, Limits(), Codes.empty(), read_pdf=False))
    assert time.process_time() - start < 1


@settings(max_examples=examples(150), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30).map(b"".join) | st.binary(max_size=300))
def test_any_bytes_are_read(raw: bytes) -> None:
    check(parse(raw, Limits(), Codes.empty(), read_pdf=False))
    check(parse_file(raw, Limits(), Codes.empty(), "fichier.bin"))


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map(b"".join), st.integers(1, 4))
def test_small_caps_hold_for_any_bytes(piece: bytes, cap: int) -> None:
    raw = mixed(*[piece] * 8)
    message = parse(raw, Limits(parts=cap, depth=cap, header=20, header_block=100), Codes.empty(), read_pdf=False)
    check(message)
    assert len(message.attachments) <= cap + 1


def uuencoded(raw: bytes) -> bytes:
    lines = b"".join(binascii.b2a_uu(raw[at : at + 45]) for at in range(0, len(raw), 45))
    return b"begin 644 a\n" + lines + b"`\nend\n"


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "base64": base64.encodebytes,
    "quoted-printable": quopri.encodestring,
    "x-uuencode": uuencoded,
}


@settings(max_examples=examples(60), deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=300), st.sampled_from(sorted(ENCODINGS))), min_size=1, max_size=5))
def test_a_digest_is_that_of_the_decoded_bytes(files: list[tuple[bytes, str]]) -> None:
    """Quoted-printable is for texts: its line ends are not told apart."""
    files = [(raw.replace(b"\r", b"").replace(b"\n", b""), how) for raw, how in files]
    parts = [
        part("application/pdf", ENCODINGS[how](raw).replace(b"\n", b"\r\n"), [("Content-Transfer-Encoding", how)])
        for raw, how in files
    ]
    message = parse(mixed(TEXT, *parts), Limits(), Codes.empty(), read_pdf=False)
    assert [leaf.sha256 for leaf in message.attachments[1:]] == [sha256(raw).hexdigest() for raw, _ in files]
    assert parse(mixed(TEXT, *parts), Limits(), Codes.empty(), read_pdf=False) == message


def leaves_of(raw: bytes) -> list[bytes]:
    doubts = Doubts()
    walk = Walk(Limits(), doubts)
    walk.message(raw, read_block(raw, first_line(raw, 0, len(raw)), len(raw), Limits(), doubts, ""), len(raw))
    return [leaf.content for leaf in walk.leaves]


@settings(max_examples=examples(400), deadline=None)
@given(st.integers(0, 2**32).map(lambda seed: variant(random.Random(seed))))
def test_a_file_that_another_program_finds_is_found_or_doubted(mail: Variant) -> None:
    """The loss that nobody sees: a mail filed without the file that somebody's mail program shows."""
    message = parse(mail.raw, Limits(), Codes.empty(), read_pdf=False)
    check(message)
    if mail.shows and not graves_of(message):
        found = [content.strip() for content in leaves_of(mail.raw)]
        # Base64 with something behind its end: the file is there whole, with a few bytes more, and it is said.
        is_said = any(defect.code == "bad-base64" for defect in message.defects)
        assert CONTENT in found or (is_said and any(content.startswith(CONTENT) for content in found))


def test_a_delimiter_that_is_indented_costs_no_file() -> None:
    mail = variant(random.Random(67717692))
    message = parse(mail.raw, Limits(), Codes.empty(), read_pdf=False)
    assert [defect.code for defect in message.defects] == ["bad-base64"]
    assert any(content.startswith(CONTENT) for content in leaves_of(mail.raw))


def test_the_variants_are_of_every_sort() -> None:
    """Right, wrong and doubtful ones: else the property above says nothing."""
    seen = set()
    for seed in range(400):
        mail = variant(random.Random(seed))
        message = parse(mail.raw, Limits(), Codes.empty(), read_pdf=False)
        seen.add(
            (mail.shows, CONTENT in [content.strip() for content in leaves_of(mail.raw)], bool(graves_of(message)))
        )
    assert seen >= {(True, True, False), (True, False, True), (False, True, False), (False, False, True)}
