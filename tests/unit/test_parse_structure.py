"""The tree: every leaf found and numbered, whatever it is wrapped in; two readings of one mail are a grave doubt."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from hub.cda import Codes
from hub.message import Limits, ParsedMessage, SignatureSeen
from hub.parse import parse
from tests import mailmaker
from tests.mailmaker import PDF, TEXT, attached, joined, lines64, mail, mixed, multipart, part, winmail

MIXED = "multipart/mixed; boundary=b"


def read(raw: bytes, limits: Limits = Limits()) -> ParsedMessage:
    return parse(raw, limits, Codes.empty())


def leaves(message: ParsedMessage) -> list[tuple[str, str | None]]:
    """Path and name; the numbers are checked on the way."""
    assert [leaf.number for leaf in message.attachments] == list(range(1, len(message.attachments) + 1))
    return [(leaf.path, leaf.name) for leaf in message.attachments]


def codes(message: ParsedMessage) -> set[str]:
    return {defect.code for defect in message.defects}


def grave(message: ParsedMessage) -> set[str]:
    return {defect.code for defect in message.defects if defect.grave}


def test_a_mail_without_structure_is_one_leaf() -> None:
    message = read(mail())
    assert leaves(message) == [("1", None)]
    assert message.body == "Bonjour."


def test_leaves_are_numbered_depth_first_with_or_without_a_name() -> None:
    message = read(
        mixed(
            multipart("=_alt", TEXT, part("text/html", b"<p>Bonjour</p>"), subtype="alternative"),
            part("message/rfc822", mixed(TEXT, attached(None, PDF, "application/pdf"), boundary="=_b2")),
            attached("b.pdf", PDF),
        )
    )
    assert leaves(message) == [("1.1", None), ("1.2", None), ("2.1", None), ("2.2", None), ("3", "b.pdf")]
    assert message.body == "Bonjour, voici le compte rendu."
    assert message.defects == ()


def test_sizes_and_digests_are_those_of_the_decoded_content() -> None:
    leaf = read(mixed(TEXT, attached("b.pdf", PDF))).attachments[1]
    assert leaf.size == len(PDF)
    assert leaf.sha256 == hashlib.sha256(PDF).hexdigest()
    assert leaf.raw == b""


@pytest.mark.parametrize("encoding", ["base64", "\r\n base64", " BASE64 ", '"base64"', "base64;", "Base64 (comment)"])
def test_a_transfer_encoding_may_be_folded_or_dirty(encoding: str) -> None:
    leaf = part("application/pdf; name=a.pdf", lines64(PDF), [("Content-Transfer-Encoding", encoding)])
    message = read(mixed(leaf))
    assert message.documents[0].raw == PDF
    assert message.defects == ()


def test_a_forwarded_mail_may_itself_be_base64() -> None:
    inner = mixed(TEXT, attached("a.pdf", PDF))
    twice = part("message/rfc822", lines64(inner), [("Content-Transfer-Encoding", "base64")])
    outer = mixed(part("message/rfc822", lines64(mixed(twice)), [("Content-Transfer-Encoding", "\r\n base64")]))
    message = read(outer)
    assert leaves(message) == [("1.1.1", None), ("1.1.2", "a.pdf")]
    assert message.defects == ()


def test_a_mail_saved_as_a_file_is_opened() -> None:
    message = read(mixed(TEXT, attached("message_original.eml", mixed(TEXT, attached("a.pdf", PDF)))))
    assert leaves(message) == [("1", None), ("2.1", None), ("2.2", "a.pdf")]


def test_a_digest_carries_mails_by_default() -> None:
    message = read(mixed(b"\r\n" + mail(), b"\r\n" + mail(), subtype="digest"))
    assert leaves(message) == [("1.1", None), ("2.1", None)]


def test_quoted_printable_and_uuencode_are_decoded() -> None:
    quoted = part(
        "text/plain; charset=utf-8", b"L'=C3=A9t=\r\n=C3=A9", [("Content-Transfer-Encoding", "Quoted-Printable")]
    )
    assert read(mixed(quoted)).body == "L'été"
    uu = b"begin 644 a.txt\r\n#86)C\r\n`\r\nend\r\n"
    coded = part("text/plain; name=a.txt", uu, [("Content-Transfer-Encoding", "x-uuencode")])
    assert read(mixed(coded)).attachments[0].size == 3
    inline = read(mail(body=b"Bonjour\r\n\r\n" + uu + b"\r\nfin\r\n"))
    assert leaves(inline) == [("1", None), ("1.1", "a.txt")]


def test_dirty_base64_is_read_and_doubted() -> None:
    dirty = base64.b64encode(PDF).replace(b"J", b"J*!", 1)
    message = read(mixed(part("application/pdf; name=a.pdf", dirty, [("Content-Transfer-Encoding", "base64")])))
    assert message.documents[0].raw == PDF
    assert codes(message) == {"bad-base64"}
    twice = base64.b64encode(b"ab") + b"\r\n" + base64.b64encode(b"cd")
    message = read(mixed(part("text/plain; name=a.txt", twice, [("Content-Transfer-Encoding", "base64")])))
    assert message.attachments[0].size == 4, "what follows a padding is not lost"


def test_an_unknown_transfer_encoding_goes_before_a_human() -> None:
    assert grave(read(mixed(part("application/pdf", PDF, [("Content-Transfer-Encoding", "base46")])))) == {
        "unknown-encoding"
    }


# --- two readings ---------------------------------------------------------------------------------------------------

TWO_READINGS = {
    "two boundaries": mail(
        headers=[("Content-Type", "multipart/mixed; boundary=a; boundary=b")], body=joined("a", [TEXT])
    ),
    "two content types": mail(
        headers=[("Content-Type", MIXED), ("Content-Type", "text/plain")], body=joined("b", [TEXT])
    ),
    "two transfer encodings": mail(
        headers=[("Content-Transfer-Encoding", "base64"), ("Content-Transfer-Encoding", "7bit")]
    ),
    "two words as encoding": mail(headers=[("Content-Transfer-Encoding", "base64 7bit")]),
    "the same boundary inside": mail(
        headers=[("Content-Type", MIXED)], body=joined("b", [part(MIXED, joined("b", [TEXT, TEXT]))])
    ),
    "a delimiter after the last one": mail(
        headers=[("Content-Type", MIXED)], body=joined("b", [TEXT]) + joined("b", [attached("a.pdf", PDF)])
    ),
    "no boundary": mail(headers=[("Content-Type", "multipart/mixed")], body=joined("b", [TEXT])),
    "a coded multipart": mail(
        headers=[("Content-Type", MIXED), ("Content-Transfer-Encoding", "base64")], body=joined("b", [TEXT])
    ),
    "a semicolon forgotten": mail(headers=[("Content-Type", "multipart/mixed boundary=b")], body=joined("b", [TEXT])),
    "a header line that is none before the structure": b"pas un en-tete\r\n"
    + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    + joined("b", [TEXT]),
    "a blank before the colon": b"Content-Type : multipart/mixed; boundary=b\r\n\r\n" + joined("b", [TEXT]),
    "text after the quoted boundary": mail(
        headers=[("Content-Type", 'multipart/mixed; boundary="b"c')], body=joined("b", [TEXT])
    ),
}


@pytest.mark.parametrize("raw", TWO_READINGS.values(), ids=TWO_READINGS.keys())
def test_two_readings_are_ambiguous(raw: bytes) -> None:
    assert "ambiguous-structure" in grave(read(raw))


def test_a_missing_end_is_truncated_and_what_is_there_is_read() -> None:
    message = read(
        mail(headers=[("Content-Type", MIXED)], body=joined("b", [TEXT, attached("a.pdf", PDF)], closed=False))
    )
    assert grave(message) == {"truncated"}
    assert [leaf.name for leaf in message.attachments] == [None, "a.pdf"]
    assert message.documents[0].raw == PDF


def test_an_outer_delimiter_ends_an_inner_part() -> None:
    inner = part("multipart/mixed; boundary=c", joined("c", [TEXT], closed=False))
    message = read(mail(headers=[("Content-Type", MIXED)], body=joined("b", [inner, attached("a.pdf", PDF)])))
    assert leaves(message) == [("1.1", None), ("2", "a.pdf")]
    assert grave(message) == {"truncated"}


def test_a_boundary_that_begins_like_another_is_another() -> None:
    inner = part('multipart/alternative; boundary="b-1"', joined("b-1", [TEXT, TEXT]))
    message = read(mail(headers=[("Content-Type", MIXED)], body=joined("b", [inner, attached("a.pdf", PDF)])))
    assert leaves(message) == [("1.1", None), ("1.2", None), ("2", "a.pdf")]
    assert message.defects == ()


def test_preamble_epilogue_and_blanks_after_a_delimiter_are_nothing() -> None:
    body = b"preambule\r\n--b  \r\n" + TEXT + b"\r\n--b--\t\r\nepilogue -- b\r\n"
    message = read(mail(headers=[("Content-Type", "multipart/mixed; boundary=b (comment)")], body=body))
    assert leaves(message) == [("1", None)]
    assert message.defects == ()


# --- wrappings -------------------------------------------------------------------------------------------------------


def test_winmail_is_opened_and_kept() -> None:
    packed = winmail(("scan été.pdf", PDF), ("note.txt", b"abc"), body="Texte été")
    message = read(mixed(attached("winmail.dat", packed, "application/ms-tnef")))
    assert leaves(message) == [("1", "winmail.dat"), ("1.1", "scan été.pdf"), ("1.2", "note.txt")]
    assert message.documents[0].raw == PDF
    assert message.body == "Texte été"
    assert message.defects == ()


def test_winmail_without_anything_says_so_and_keeps_the_original() -> None:
    message = read(mixed(TEXT, attached("winmail.dat", winmail())))
    assert leaves(message) == [("1", None), ("2", "winmail.dat")]
    assert grave(message) == {"tnef-empty"}


@pytest.mark.parametrize("cut", [10, 60, -5])
def test_a_damaged_winmail_is_unreadable_and_kept(cut: int) -> None:
    message = read(mixed(TEXT, attached("winmail.dat", winmail(("a.pdf", PDF))[:cut], "application/ms-tnef")))
    assert leaves(message)[1] == ("2", "winmail.dat")
    assert grave(message) == {"tnef-unreadable"}


def test_winmail_inside_winmail_is_opened() -> None:
    inner = winmail(("a.pdf", PDF), body="dedans")
    message = read(mixed(attached("winmail.dat", winmail(("mail.dat", inner)))))
    assert leaves(message) == [("1", "winmail.dat"), ("1.1", "mail.dat"), ("1.1.1", "a.pdf")]


def test_a_hostile_winmail_is_refused_at_once() -> None:
    flood = winmail() + mailmaker._tnef_object(2, 0x9002, 6, b"") * 200_000
    boast = winmail() + mailmaker._tnef_object(1, 0x9003, 6, b"\xff\xff\xff\xff" + bytes(64))
    recipients = winmail(("a.pdf", PDF)) + mailmaker._tnef_object(1, 0x9004, 6, b"\xff\xff\xff\xff" + bytes(64))
    start = time.process_time()
    assert grave(read(mixed(attached("winmail.dat", flood)))) == {"tnef-unreadable"}
    assert grave(read(mixed(attached("winmail.dat", boast)))) == {"tnef-unreadable"}
    assert grave(read(mixed(attached("winmail.dat", recipients)))) == set(), "the recipient table is not even read"
    assert time.process_time() - start < 2


def test_a_detached_signature_is_seen_and_its_content_read() -> None:
    signed = mixed(
        multipart("=_in", TEXT, attached("a.pdf", PDF)),
        attached("smime.p7s", b"0", "application/pkcs7-signature"),
        subtype="signed",
        extra='; protocol="application/pkcs7-signature"; micalg=sha-256',
    )
    message = read(signed)
    assert message.signature == SignatureSeen(form="detached", protocol="application/pkcs7-signature")
    assert leaves(message) == [("1.1", None), ("1.2", "a.pdf"), ("2", "smime.p7s")]
    assert len(message.documents) == 1
    assert read(mixed(TEXT, part("message/rfc822", signed))).signature == SignatureSeen()


def test_parts_of_other_mails_and_encrypted_ones_go_before_a_human() -> None:
    partial = part('message/partial; id="a@x"; number=1; total=3', b"Subject: x\r\n\r\nabc")
    assert grave(read(mixed(partial))) == {"partial-message"}
    assert "encrypted-message" in grave(
        read(mixed(part("application/pgp-encrypted", b"Version: 1"), subtype="encrypted"))
    )


# --- caps ------------------------------------------------------------------------------------------------------------


def deep(levels: int) -> bytes:
    head = b"".join(b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(levels))
    return mail(
        headers=[("Content-Type", "multipart/mixed; boundary=b0")], body=head + b"--b%d\r\n\r\nfin\r\n" % levels
    )


LONG_LINE = mail(body=b"a" * 20_000_000)
HOSTILE = {
    "depth": (deep(5_000), {"too-deep"}),
    "depth of mails": (
        mail(
            headers=[("Content-Type", "message/rfc822")], body=b"Content-Type: message/rfc822\r\n\r\n" * 5_000 + b"\r\n"
        ),
        {"too-deep"},
    ),
    "parts": (mixed(*[b"\r\nx"] * 100_000), {"too-many-parts"}),
    "encoded words": (mail(subject=" ".join(["=?utf-8?q?=C3=A9?="] * 20_000)), {"header-too-large"}),
    "a header of 1 MB": (mail(subject="x" * 1_000_000), {"header-block-too-large", "header-too-large"}),
    "headers": (mail(headers=[("X-A", "b")] * 50_000), {"header-block-too-large"}),
    "parameters": (
        mail(headers=[("Content-Type", "text/plain" + "".join(f"; a{n}=b" for n in range(20_000)))]),
        {"header-too-large"},
    ),
    "an endless header line": (b"a" * 20_000_000, {"header-block-too-large", "no-header"}),
    "quoted strings in From": (mail(from_='"a" ' * 20_000 + "<a@x.fr>"), {"header-too-large"}),
    "almost delimiters": (
        mail(headers=[("Content-Type", MIXED)], body=b"\n--bx" * 2_000_000),
        {"ambiguous-structure"},
    ),
    "one boundary for all": (
        mail(
            headers=[("Content-Type", MIXED)], body=b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" * 5_000
        ),
        {"ambiguous-structure"},
    ),
    "zeros": (bytes(1_000_000), {"no-header"}),
    "nothing": (b"", {"no-header"}),
}


@pytest.mark.parametrize(("raw", "wanted"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_mail_costs_little_and_is_held_with_a_reason(raw: bytes, wanted: set[str]) -> None:
    start = time.process_time()
    message = read(raw)
    assert time.process_time() - start < 2
    assert wanted <= grave(message)
    assert leaves(message)


BROKEN_PAGES = [b"<!" * 500_000, b"<![" * 300_000, b"<head>" * 100_000, b"<a " * 300_000, b"&#" + b"9" * 100_000 + b";"]


@pytest.mark.parametrize(
    "raw",
    [LONG_LINE, *(mail(headers=[("Content-Type", "text/html")], body=page) for page in BROKEN_PAGES)],
    ids=["line", "declarations", "sections", "heads", "tags", "digits"],
)
def test_a_heavy_body_costs_little(raw: bytes) -> None:
    start = time.process_time()
    assert len(read(raw).body) <= 100_000
    assert time.process_time() - start < 2


def test_a_mail_beyond_the_cap_keeps_its_headers_and_one_leaf() -> None:
    message = read(mixed(TEXT, attached("a.pdf", PDF)), Limits(message=200))
    assert grave(message) == {"too-large"}
    assert message.from_address is not None
    assert leaves(message) == [("1", None)]
    assert message.documents == ()


def test_caps_are_those_that_were_given() -> None:
    assert "too-deep" in grave(read(deep(3), Limits(depth=3)))
    assert "too-deep" not in codes(read(deep(2), Limits(depth=3)))
    assert "too-many-parts" in grave(read(mixed(*[TEXT] * 5), Limits(parts=5)))
    assert "header-too-large" in grave(read(mail(subject="a" * 100), Limits(header=99)))


# --- the body --------------------------------------------------------------------------------------------------------


def test_html_is_the_body_when_there_is_no_plain_text() -> None:
    page = "<html><head><title>t</title><style>p{}</style></head><body><!-- non --><p>L&rsquo;été<br>d&#39;Éloïse</p>"
    page += "<script>alert('<p>')</script><p>a &lt; b < c</p></body></html>"
    message = read(mixed(part("text/html; charset=utf-8", page.encode())))
    assert message.body == "L’été\nd'Éloïse\n\na < b < c"
    blank = multipart(
        "=_alt", part("text/plain", b" \r\n"), part("text/html", b"<p>Bonjour</p>"), subtype="alternative"
    )
    assert read(mixed(blank)).body == "Bonjour"


def test_the_body_of_the_mail_comes_before_that_of_the_one_it_carries() -> None:
    carried = part("message/rfc822", mail(body=b"Texte du mail transmis"))
    assert read(mixed(TEXT, carried)).body == "Bonjour, voici le compte rendu."
    assert read(mixed(carried)).body == "Texte du mail transmis"


@pytest.mark.parametrize(
    ("charset", "raw", "doubts"),
    [
        ("; charset=iso-8859-15", "cœur €".encode("iso-8859-15"), set()),
        ("; charset=cp850", "cœur".replace("œ", "é").encode("cp850"), set()),
        ("", "cœur".encode(), set()),
        ("", "cœur".encode("cp1252"), {"bad-charset"}),
        ("; charset=utf-8", "cœur".encode("cp1252"), {"bad-charset"}),
        ("; charset=idna", b"coeur", {"unknown-charset"}),
    ],
)
def test_a_body_is_read_by_its_charset_else_by_the_rule(charset: str, raw: bytes, doubts: set[str]) -> None:
    message = read(mixed(part(f"text/plain{charset}", raw)))
    assert message.body.replace("é", "œ").replace("oe", "œ").startswith("cœur")
    assert codes(message) == doubts
