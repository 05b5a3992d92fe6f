"""Mails whose structure or headers are the attack: too deep, too many, too long, or readable in two ways."""

from __future__ import annotations

import base64

from tests.hostile.shape import FILED, Collection
from tests.mailmaker import PDF, TEXT, attached, block, joined, lines64, mail, mixed, multipart, part

MB = 1024**2
MIME = Collection("mime")
_ = MIME.add

AMBIGUOUS, CUT = "ambiguous-structure", "truncated"


# --- too deep -------------------------------------------------------------------------------------------------------


def deep_multipart(levels: int) -> bytes:
    opened = "".join(f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(levels))
    closed = "".join(f"\r\n--b{n}--\r\n" for n in reversed(range(levels)))
    return block([("Subject", "profond")]) + f"{opened}Content-Type: text/plain\r\n\r\nfond{closed}".encode()


def deep_mails(levels: int) -> bytes:
    return b"Subject: profond\r\nContent-Type: message/rfc822\r\n\r\n" * levels + mail()


def deep_both(levels: int) -> bytes:
    return mail(
        headers=[("Content-Type", "message/rfc822")],
        body=b"".join(
            b"Content-Type: multipart/mixed; boundary=c%d\r\n\r\n--c%d\r\nContent-Type: message/rfc822\r\n\r\n" % (n, n)
            for n in range(levels)
        ),
    )


def deep_coded(levels: int) -> bytes:
    """Each mail base64 in the next (RFC 2045 forbids it, programs do it)."""
    raw = mail()
    for _level in range(levels):
        raw = mail(
            headers=[("Content-Type", "message/rfc822"), ("Content-Transfer-Encoding", "base64")], body=lines64(raw)
        )
    return raw


def same_boundary_inside(levels: int) -> bytes:
    return mixed(b'Content-Type: multipart/mixed; boundary="=_b1"\r\n\r\n--=_b1\r\n' * levels)


def saved_mails(levels: int) -> bytes:
    """`.eml` files inside each other."""
    raw = mail()
    for _level in range(levels):
        raw = mixed(TEXT, part("text/plain", raw, [("Content-Disposition", 'attachment; filename="m.eml"')]))
    return raw


_("deep-multiparts", lambda: deep_multipart(5_000), "too-deep")
_("deep-mails", lambda: deep_mails(5_000), "too-deep")
_("deep-both", lambda: deep_both(5_000), "too-deep")
_("deep-coded-mails", lambda: deep_coded(25), FILED, "too-deep")
_("deep-same-boundary", lambda: same_boundary_inside(5_000), AMBIGUOUS)
_("deep-saved-mails", lambda: saved_mails(60), AMBIGUOUS, "too-deep")


# --- too many -------------------------------------------------------------------------------------------------------

_("parts", lambda: mixed(*[part("text/plain", b"x")] * 100_000), "too-many-parts")
_("parts-empty", lambda: mixed(*[b""] * 1_000_000), "too-many-parts")
_("parts-without-headers", lambda: mixed(*[b"\r\nx"] * 100_000), "too-many-parts")
_("parts-of-parts", lambda: mixed(*[multipart("i", *[TEXT] * 320)] * 320), "too-many-parts")
_("parts-of-mails", lambda: mixed(*[part("message/rfc822", mail())] * 20_000), "too-many-parts")
_("parts-of-forwards", lambda: mixed(*[part("message/rfc822", deep_mails(40))] * 600), "too-many-parts")
_("lookalikes", lambda: mixed(part("text/plain", b"--=_b1x\r\n" * 2_000_000)), AMBIGUOUS)
_("uuencoded-files", lambda: mail(body=b"begin 644 a\r\n#0V%T\r\n`\r\nend\r\n" * 200_000), "too-many-parts")
_("uuencode-never-ended", lambda: mail(body=b"begin 644 a\r\n" + b"M" + b"0" * 60 + b"\r\n" * 2_000_000))
_("uuencode-begins", lambda: mail(body=b"begin 644 a\r\n" * 1_000_000))


# --- long headers ---------------------------------------------------------------------------------------------------

WORD = "=?utf-8?q?=C3=A9?="
WORDS = " ".join([WORD] * 20_000)
ONE_MB = "a" * MB


def long_parameter(many: int) -> str:
    return "".join(f'; filename*{n}="{"n" * 20}"' for n in range(many))


def with_name(value: str) -> bytes:
    return mixed(TEXT, part("application/pdf", PDF, [("Content-Disposition", f"attachment; {value}")]))


_("words-in-subject", lambda: mail(subject=WORDS), "header-block-too-large", "header-too-large")
_("words-in-from", lambda: mail(from_=f"{WORDS} <a@b.fr>"), "header-block-too-large", "header-too-large")
_("words-in-filename", lambda: with_name(f'filename="{WORDS}"'), "header-block-too-large", "header-too-large")
_("words-to-the-cap", lambda: mail(headers=[(f"X-{n}", WORD * 1_700) for n in range(8)]))
_("words-of-one-byte", lambda: mail(subject="=?b?q?a?=" * 3_400))
_("words-of-many-charsets", lambda: mail(subject=" ".join(f"=?x-{n}?q?a?=" for n in range(2_000))))
_("words-of-slow-charsets", lambda: mail(subject=" ".join(["=?punycode?q?" + "a" * 900 + "-9?="] * 30)))
_("header-1mb", lambda: mail(subject=ONE_MB), "header-block-too-large")
_("header-1mb-folded", lambda: mail(subject="\r\n ".join(["a" * 70] * 15_000)), "header-block-too-large")
_("header-1mb-of-blanks", lambda: mail(subject=" " * MB + "x"), "header-block-too-large")
_("header-1mb-name", lambda: mail(headers=[("X" * MB, "y")]), "header-block-too-large")
_("headers-1mb-many", lambda: mail(headers=[(f"X-{n}", "a" * 1_000) for n in range(1_000)]), "header-block-too-large")
_("headers-1mb-tiny", lambda: mail(headers=[("X", "a")] * 300_000), "header-block-too-large")
_("headers-1mb-of-a-part", lambda: mixed(part("text/plain", b"x", [("X", ONE_MB)])), "header-block-too-large")
_("headers-of-each-part", lambda: mixed(*[part("text/plain", b"x", [("X", "a" * 30_000)])] * 900))
_("header-never-ends", lambda: b"Subject: " + b"a" * (50 * MB), "header-block-too-large")
_("header-of-lines-never-ends", lambda: b"X: a\r\n" * (8 * MB), "header-block-too-large")
_("header-without-colon", lambda: b"a" * (50 * MB), "no-header")
_("body-without-line-end", lambda: mail(body=b"a" * (50 * MB)))
_("body-of-cr", lambda: mail(body=b"\r" * (50 * MB)))
_("body-of-lf", lambda: mail(body=b"\n" * (50 * MB)))
_("body-of-nul", lambda: mail(body=b"\0" * (50 * MB)))
_("body-of-blanks", lambda: mail(body=b" " * (50 * MB)))
_("body-of-8-bit", lambda: mail(body=b"\xe9" * (50 * MB)))
_("only-line-ends", lambda: b"\r\n" * (20 * MB), "no-header")
_("html-tags", lambda: mail(headers=[("Content-Type", "text/html")], body=b"<p" * (10 * MB)))
_("html-comments", lambda: mail(headers=[("Content-Type", "text/html")], body=b"<!--" * (5 * MB)))
_("html-scripts", lambda: mail(headers=[("Content-Type", "text/html")], body=b"<script>" * (3 * MB)))
_("html-entities", lambda: mail(headers=[("Content-Type", "text/html")], body=b"&#9999999999" * (2 * MB)))


# --- addresses, dates, parameters -----------------------------------------------------------------------------------

_("comments-nested", lambda: mail(from_="(" * 10_000 + ")" * 10_000 + " a@b.fr"))
_("comments-open", lambda: mail(from_="a@b.fr " + "(" * 30_000))
_("comments-in-content-type", lambda: mail(headers=[("Content-Type", "text/plain " + "(" * 15_000 + ")" * 15_000)]))
_("comments-in-cte", lambda: mail(headers=[("Content-Transfer-Encoding", "(" * 15_000 + ")" * 15_000 + " 8bit")]))
_("address-quotes", lambda: mail(from_='"a" ' * 8_000))
_("address-angles", lambda: mail(from_="<a@b.fr>" * 4_000))
_("address-groups", lambda: mail(to="g:a@b.fr;" * 3_500))
_("address-commas", lambda: mail(to="," * 32_000))
_("address-list", lambda: mail(to="a@b.fr, " * 4_000))
_("address-lists", lambda: mail(headers=[("To", "a@b.fr, " * 4_000)] * 7), mild="repeated-header")
_("address-escapes", lambda: mail(from_='"' + "\\" * 30_000 + '" <a@b.fr>'))
_("address-dots", lambda: mail(from_="a" + "." * 30_000 + "@b.fr"))
_("address-routes", lambda: mail(from_="<" + "@a:" * 10_000 + "b@c.fr>"))
_("address-two", lambda: mail(from_="a@bon.fr <b@mauvais.fr>"), mild="misleading-name")
_("address-nul", lambda: mail(from_="a\0@b.fr"), mild="bad-header")
_("address-bidi", lambda: mail(from_="\u202erf.b@a\u202c <a@b.fr>"))
_("date-digits", lambda: mail(date="1 " * 15_000))
_("references", lambda: mail(headers=[("References", "<a@b> " * 5_000)]))
_("message-id-open", lambda: mail(headers=[("In-Reply-To", "<" * 30_000)]))
_("parameters", lambda: mail(headers=[("Content-Type", "text/plain" + "; a=b" * 6_000)]))
_("parameters-open-quotes", lambda: mail(headers=[("Content-Type", "text/plain" + '; a="b' * 5_000)]))
_("parameters-blanks", lambda: mail(headers=[("Content-Type", "text/plain;" + " \t" * 15_000 + "a")]))
_("continuations", lambda: with_name(f"x=y{long_parameter(10_000)}"), "header-block-too-large", "header-too-large")
_("continuations-to-the-cap", lambda: with_name(f"x=y{long_parameter(800)}"))
_("continuations-out-of-order", lambda: with_name('filename*2="f"; filename*0="a."; filename*1="pd"'))
_("continuations-missing", lambda: with_name('filename*0="a"; filename*7=".pdf"'))
_("continuations-mixed", lambda: with_name("filename*0*=utf-8''%C3%A9; filename*1=\"a\"; filename*2*=%2epdf"))
_("continuations-huge-number", lambda: with_name('filename*99999999999999999999="a.pdf"'))
_("name-path", lambda: with_name('filename="../../../etc/cron.d/x.pdf"'))
_("name-windows-path", lambda: with_name('filename="C:\\\\Windows\\\\System32\\\\x.pdf"'))
_("name-nul", lambda: with_name('filename="a.pdf\0.exe"'))
_("name-line-ends", lambda: with_name("filename*=utf-8''a%0d%0aBcc:%20x@y.fr%0d%0a.pdf"))
_("name-escape-codes", lambda: with_name("filename*=utf-8''%1b%5d0;x%07%1b%5b2J.pdf"))
_("name-c1-codes", lambda: with_name("filename*=utf-8''%c2%9b2J%c2%9d0;x%c2%9c.pdf"))
_("name-bidi", lambda: with_name("filename*=utf-8''ordonnance%e2%80%aefdp.exe"))
_("name-10kb", lambda: with_name(f'filename="{"n" * 10_000}.pdf"'))
_("name-combining", lambda: with_name(f"filename*=utf-8''e{'%cc%81' * 4_000}.pdf"))
_("name-markup", lambda: with_name('filename="[bold red]x[/] [link=http://x.test].pdf"'))
_("subject-escape-codes", lambda: mail(subject="=?utf-8?q?=1b[2J=1b]0;x=07=c2=9b2J=0d=0aBcc:x?="))
_("subject-markup", lambda: mail(subject="[/bold][red]x[/red][/]"))
_("subject-bidi", lambda: mail(subject="=?utf-8?q?=e2=80=aetxt.exe?="))
_("subject-surrogates", lambda: mail(subject="=?utf-16?b?2AA=?= =?utf-16-be?b?3wA=?="))


# --- structures that can be read in two ways ------------------------------------------------------------------------

ATTACHED = attached("a.pdf", PDF, "application/pdf")


def declared(value: str | None, *more: tuple[str, str], boundary: str = "=_b1", body: bytes | None = None) -> bytes:
    """A mail of two parts whose root headers are as given."""
    headers = [("Content-Type", value)] if value is not None else []
    return mail(body=joined(boundary, [TEXT, ATTACHED]) if body is None else body, headers=[*headers, *more])


BODY = joined("=_b1", [TEXT, ATTACHED])
MIXED = 'multipart/mixed; boundary="=_b1"'

_("boundary-missing", lambda: declared("multipart/mixed"), AMBIGUOUS)
_("boundary-empty", lambda: declared('multipart/mixed; boundary=""'), AMBIGUOUS)
_("boundary-twice", lambda: declared('multipart/mixed; boundary="=_b1"; boundary="=_b2"'), AMBIGUOUS)
_("boundary-twice-last-is-used", lambda: declared('multipart/mixed; boundary="=_b2"; boundary="=_b1"'), AMBIGUOUS)
_("boundary-over-long", lambda: declared(f'multipart/mixed; boundary="{"b" * 300}"', boundary="b" * 300), AMBIGUOUS)
_("boundary-blank-at-end", lambda: declared('multipart/mixed; boundary="=_b1 "'))
_("boundary-blank-inside", lambda: declared('multipart/mixed; boundary="=_b 1"', boundary="=_b 1"))
_("boundary-2231", lambda: declared("multipart/mixed; boundary*0==_; boundary*1=b1"), AMBIGUOUS)
_("boundary-2231-coded", lambda: declared("multipart/mixed; boundary*=us-ascii''%3D_b1"), AMBIGUOUS)
_("boundary-both-forms", lambda: declared("multipart/mixed; boundary=\"=_b2\"; boundary*=x''%3D_b1"), AMBIGUOUS)
_("boundary-encoded-word", lambda: declared('multipart/mixed; boundary="=?us-ascii?q?=3D=5Fb1?="'), CUT, AMBIGUOUS)
_("boundary-in-comment", lambda: declared('multipart/mixed (boundary="=_b2"); boundary="=_b1"'))
_("boundary-text-after-quote", lambda: declared('multipart/mixed; boundary="=_b1"x'), AMBIGUOUS)
_("boundary-escaped", lambda: declared('multipart/mixed; boundary="=\\_b1"'), CUT, AMBIGUOUS)
_("boundary-other-than-used", lambda: declared('multipart/mixed; boundary="=_autre"'), CUT, AMBIGUOUS)
_("boundary-other-case", lambda: declared('multipart/mixed; boundary="=_B1"'), CUT, AMBIGUOUS)
_("boundary-unquoted-blank", lambda: declared("multipart/mixed; boundary==_b1 x"), CUT, AMBIGUOUS)
_("boundary-colon", lambda: declared("multipart/mixed; boundary: =_b1"), AMBIGUOUS)
_("boundary-no-semicolon", lambda: declared('multipart/mixed boundary="=_b1"'), AMBIGUOUS)
_("boundary-nul", lambda: declared('multipart/mixed; boundary="=_b1\0x"'), CUT, AMBIGUOUS)
_("boundary-8-bit", lambda: declared('multipart/mixed; boundary="=_é"', boundary="=_é"))
_("boundary-of-dashes", lambda: declared('multipart/mixed; boundary="--"', boundary="--"))
_("type-twice", lambda: declared(MIXED, ("Content-Type", "text/plain")), AMBIGUOUS)
_("type-twice-other-order", lambda: declared("text/plain", ("Content-Type", MIXED)), AMBIGUOUS)
_("type-twice-two-boundaries", lambda: declared(MIXED, ("Content-Type", MIXED.replace("b1", "b2"))), AMBIGUOUS)
_("type-blank-before-colon", lambda: mail(headers=[("Content-Type ", MIXED)], body=BODY), AMBIGUOUS)
_("type-after-bare-cr", lambda: mail(headers=[("X", "y\rContent-Type: " + MIXED)], body=BODY), AMBIGUOUS)
_("type-after-bad-line", lambda: mail(headers=[("sans deux-points\r\nContent-Type", MIXED)], body=BODY), AMBIGUOUS)
_("type-unknown-multipart", lambda: declared('multipart/etrange; boundary="=_b1"'))
_("type-two-slashes", lambda: declared('multipart/mixed/x; boundary="=_b1"'), AMBIGUOUS)
_("type-without-subtype", lambda: declared('multipart; boundary="=_b1"'), AMBIGUOUS)
_("type-empty", lambda: declared("", body=BODY))
_("type-none-with-delimiters", lambda: declared(None))
_("cte-base64-of-multipart", lambda: declared(MIXED, ("Content-Transfer-Encoding", "base64")), AMBIGUOUS)
_("cte-qp-of-multipart", lambda: declared(MIXED, ("Content-Transfer-Encoding", "quoted-printable")), AMBIGUOUS)
_("multipart-really-base64", lambda: declared(MIXED, ("Content-Transfer-Encoding", "base64"), body=lines64(BODY)),
  AMBIGUOUS, CUT)  # fmt: skip
_("end-missing", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY[: -len("--=_b1--\r\n")]), CUT)
_("end-cut", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY[:-4]), CUT, FILED)
_("end-cut-in-content", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY[:-40]), CUT)
_("delimiters-after-end", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY + BODY), AMBIGUOUS)
_("end-first", lambda: mail(headers=[("Content-Type", MIXED)], body=b"--=_b1--\r\n" + BODY), AMBIGUOUS)
_(
    "delimiter-after-bare-cr",
    lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"\r\n--", b"\r\n\r--")),
    AMBIGUOUS,
)
_("no-part-at-all", lambda: mail(headers=[("Content-Type", MIXED)], body=b"--=_b1--\r\n"))
_("no-delimiter-at-all", lambda: mail(headers=[("Content-Type", MIXED)], body=b"rien\r\n"), CUT)
_("empty-body", lambda: mail(headers=[("Content-Type", MIXED)], body=b""), CUT)
_("preamble-and-epilogue", lambda: mail(headers=[("Content-Type", MIXED)], body=b"avant\r\n" + BODY + b"fin\r\n"))
_("preamble-with-a-file", lambda: mail(headers=[("Content-Type", MIXED)], body=ATTACHED + b"\r\n" + BODY))
_("delimiter-blanks", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"b1\r\n", b"b1 \t \r\n")))
_(
    "delimiter-text",
    lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"b1\r\n", b"b1 x\r\n")),
    AMBIGUOUS,
)
_("delimiter-bare-lf", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"\r\n", b"\n")))
_(
    "delimiter-bare-cr",
    lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"\r\n", b"\r")),
    CUT,
    AMBIGUOUS,
)
_("delimiter-mixed-line-ends", lambda: mail(headers=[("Content-Type", MIXED)], body=b"x\n\r\r\n" + BODY))
_("delimiter-indented", lambda: mail(headers=[("Content-Type", MIXED)], body=BODY.replace(b"\r\n--", b"\r\n --")), CUT)
_("part-without-blank-line", lambda: mixed(TEXT, b"Content-Type: application/pdf\r\n%PDF-1.4"), AMBIGUOUS)
_("part-header-only", lambda: mixed(b"Content-Type: application/pdf"))
_("prefix-boundary", lambda: mixed(multipart("=_b1x", TEXT, ATTACHED)))
_("prefix-boundary-outer", lambda: mixed(multipart("=_b", TEXT, ATTACHED)))
_("inner-never-closed", lambda: mixed(part(MIXED.replace("b1", "b2"), joined("=_b2", [TEXT], closed=False))), CUT)
_("inner-same-boundary", lambda: mixed(multipart("=_b1", TEXT, ATTACHED)), AMBIGUOUS)
_("inner-boundary-of-grandfather", lambda: mixed(multipart("=_b2", multipart("=_b1", ATTACHED))), AMBIGUOUS)
_("cte-not-base64", lambda: mixed(part("application/pdf", PDF, [("Content-Transfer-Encoding", "base64")])),
  "unknown-encoding", mild="bad-base64")  # fmt: skip
_("cte-base64-cut", lambda: mixed(part("application/pdf", base64.b64encode(PDF)[:-3], [
    ("Content-Transfer-Encoding", "base64"), ("Content-Disposition", "attachment; filename=a.pdf")])),
  mild="bad-base64")  # fmt: skip
_("cte-qp-cut", lambda: mixed(part("application/pdf", PDF + b"=", [("Content-Transfer-Encoding", "quoted-printable")])))
_("cte-qp-bad", lambda: mixed(part("text/plain", b"=ZZ=\xe9=4", [("Content-Transfer-Encoding", "quoted-printable")])))
_("cte-unknown", lambda: mixed(part("application/pdf", PDF, [("Content-Transfer-Encoding", "x-inconnu")])),
  "unknown-encoding")  # fmt: skip
_(
    "cte-two-words",
    lambda: mixed(part("application/pdf", PDF, [("Content-Transfer-Encoding", "base64 7bit")])),
    AMBIGUOUS,
)
_("cte-twice", lambda: mixed(part("application/pdf", PDF, [("Content-Transfer-Encoding", "base64"),
  ("Content-Transfer-Encoding", "7bit")])), AMBIGUOUS)  # fmt: skip
_("cte-folded", lambda: mixed(part("application/pdf", lines64(PDF), [("Content-Transfer-Encoding", "\r\n base64")])))
_("cte-uuencode-broken", lambda: mixed(part("application/pdf", b"begin 644 a\r\nM!!\r\n", [
    ("Content-Transfer-Encoding", "x-uuencode")])), "unknown-encoding")  # fmt: skip
_(
    "charset-lie",
    lambda: mail(headers=[("Content-Type", "text/plain; charset=utf-16")], body=b"abc"),
    mild="bad-charset",
)
_("charset-unknown", lambda: mail(headers=[("Content-Type", "text/plain; charset=x-\0y")]), mild="unknown-charset")
_("charset-codec", lambda: mail(headers=[("Content-Type", "text/plain; charset=zlib")]), mild="unknown-charset")
_("charset-idna", lambda: mail(headers=[("Content-Type", "text/plain; charset=idna")], body=b"xn--" + b"a" * 900_000),
  mild="unknown-charset")  # fmt: skip
_("content-length-lie", lambda: mail(headers=[("Content-Length", "1"), ("Content-Type", MIXED)], body=BODY))
_("bare-cr-in-header", lambda: b"Subject: a\rFrom: b@c.fr\r\n\r\nx", AMBIGUOUS)
_("nul-in-header", lambda: b"Sub\0ject: a\r\nFrom: b\0@c.fr\r\n\r\nx", mild="bad-header")
_("empty", lambda: b"", "no-header")
_("one-byte", lambda: b"\0", "no-header")


# --- special types --------------------------------------------------------------------------------------------------

_("partial", lambda: mail(headers=[("Content-Type", 'message/partial; id="a"; number=1; total=2')]), "partial-message")
_("partial-inside", lambda: mixed(TEXT, part('message/partial; id="a"; number=2', b"suite")), "partial-message")
_(
    "external-body",
    lambda: mixed(
        TEXT,
        part(
            'message/external-body; access-type=URL; URL="http://127.0.0.1:9/x.pdf"',
            b"Content-Type: application/pdf\r\n\r\n",
        ),
    ),
)
_("external-body-file", lambda: mixed(TEXT, part(
    'message/external-body; access-type=local-file; name="/etc/passwd"',
    b"Content-Type: text/plain\r\n\r\n")))  # fmt: skip
_("digest-broken", lambda: mail(headers=[("Content-Type", 'multipart/digest; boundary="=_b1"')],
  body=joined("=_b1", [b"\0\1", b"\r\n\r\n", mail()])), AMBIGUOUS)  # fmt: skip
_("appledouble", lambda: mixed(multipart("=_b2", attached(None, b"\0\5\x16\7", "application/applefile"), ATTACHED,
  subtype="appledouble")))  # fmt: skip
_("report-broken", lambda: mixed(TEXT, part("message/delivery-status", b"\0" * 1000), subtype="report"))
_("encrypted", lambda: mixed(part("application/pgp-encrypted", b"Version: 1"), attached("x", b"x"),
  subtype="encrypted"),
  "encrypted-message")  # fmt: skip
_("signed-without-signature", lambda: mixed(TEXT, subtype="signed"))
_("alternative-hides-a-file", lambda: mixed(TEXT, ATTACHED, subtype="alternative"))
_("file-of-50-mb-of-base64-blanks", lambda: mixed(part("application/pdf", b" \r\n" * (17 * MB), [
    ("Content-Transfer-Encoding", "base64"), ("Content-Disposition", "attachment; filename=a.pdf")])))  # fmt: skip
_("file-of-50-mb-of-dirty-base64", lambda: mixed(part("application/pdf", b"QQ==" * (12 * MB), [
    ("Content-Transfer-Encoding", "base64"), ("Content-Disposition", "attachment; filename=a.pdf")])),
  "unknown-encoding", mild="bad-base64")  # fmt: skip
_("larger-than-the-cap", lambda: mail(body=b"a" * (61 * MB)), "too-large")
