"""Mails without end, put together at random from ways to be right and ways to be wrong; the same seed, the same mail.

Each carries one file (`CONTENT`). Whatever is wrong, one of two things must hold: the reader found these bytes, or it
says that something is wrong. A file that is there for another program and not for the hub, without a word, is a loss.
"""

from __future__ import annotations

import base64
import binascii
import email
import random
import re
from dataclasses import dataclass

from tests.cdamaker import make_pdf

CONTENT = make_pdf("La piece qui ne doit pas se perdre").rstrip()
BOUNDARY = "=_b1"

BOUNDARIES = (
    'boundary="=_b1"', 'boundary==_b1', 'boundary="=_b1" ', 'BOUNDARY="=_b1"', 'boundary = "=_b1"', "boundary='=_b1'",
    'boundary="=_b1";', '; boundary="=_b1"', 'boundary="=_b1"; boundary="=_b2"', 'boundary="=_b2"; boundary="=_b1"',
    "boundary*=utf-8''%3D_b1", 'boundary*0="=_"; boundary*1="b1"', 'boundary="=_b2"', "boundary=", "", 'boundary="=_b1',
    'boundary="=_b"', 'boundary="=_b1x"', 'boundary="=?utf-8?q?=3D_b1?="', '(boundary="=_b2") ; boundary="=_b1"',
    '\r\n\tboundary="=_b1"', 'charset=utf-8;boundary="=_b1"', 'boundary="=_b1" x', 'boundary="=_b1"; type="a;b"',
    'a="boundary==_b2"; boundary="=_b1"', 'boundary="\\=_b1"', 'xboundary="=_b2"; boundary="=_b1"',
)  # fmt: skip
CONTAINERS = (
    "multipart/mixed", "multipart/mixed", "multipart/alternative", "multipart/related", "multipart/signed",
    "multipart/report", "multipart/digest", "Multipart/Mixed", "multipart/x-rien", "multipart", "multipart/",
    "multi part/x",
    " multipart/mixed", "multipart /mixed", "multipart/mixed (rien)", "text/plain", "message/rfc822",
    "multipart/mixed,",
)  # fmt: skip
ENCODINGS = (
    "base64", "base64", "BASE64", " base64 ", "\r\n base64", "base64;", "base64 (rien)", '"base64"', "(x) base64",
    "base64 7bit",
    "7bit", "binary", "8bit", "quoted-printable", "x-uuencode", "x-rien", "", None, "base 64", "base64\0",
    "7bit base64",
)  # fmt: skip
NAMES = (
    'filename="a.pdf"', "filename=a.pdf", "filename*=utf-8''a.pdf", 'filename*0="a."; filename*1="pdf"', "",
    'filename=""',
    'filename="../a.pdf"', 'filename="=?utf-8?q?a=2Epdf?="', "filename*1=pdf; filename*0=a.", "filename*=x'y'%",
)  # fmt: skip
TYPES = ("application/pdf", "application/octet-stream", "text/plain", "", "application", "x/y; name=a.pdf",
  "message/rfc822",
         "image/png", "application/pdf; name=\"a.pdf\"", "APPLICATION/PDF",
         "multipart/mixed; boundary=\"=_b9\"")  # fmt: skip
DELIMITERS = ("--=_b1\r\n",) * 6 + (
    "--=_b1 \t\r\n", "--=_b1\n", "--=_b1\r", " --=_b1\r\n", "--=_b1x\r\n", "--=_b1--\r\n", "-- =_b1\r\n",
    "--=_b1 x\r\n",
    "--=_B1\r\n", "\r--=_b1\r\n", "--=_b1\r\r\n", "--=_b1\0\r\n",
)  # fmt: skip
ENDS = ("--=_b1--\r\n",) * 4 + ("--=_b1--", "--=_b1-- \r\n", "", "--=_b1\r\n", "--=_b1--x\r\n",
  "--=_b1--\r\n--=_b1--\r\n",
        "--=_b1--\r\nepilogue\r\n", "--=_b1-", "--=_b1--\n")  # fmt: skip
BETWEEN = ("\r\n",) * 8 + ("\n", "\r", "\r\n\r\n", "\n\r", "", " \r\n", "\0\r\n", "x\r\n", "\r\n ")
FILLERS = ("", "", "", "preambule\r\n", "\r\n", "--\r\n", "Content-Type: application/pdf\r\n", "--=_b0\r\n")
HEADERS = ("", "", "", "X-A: b\r\n", "sans deux points\r\n", "Content-Type: text/plain\r\n", "X: \r\n y\r\n",
  " suite\r\n",
           "Content-Transfer-Encoding: 7bit\r\n", "X\r: y\r\n", "From x\r\n", "MIME-Version: 1.0\r\n", "X: a\rb\r\n",
           "Content-Length: 3\r\n", "Content-Type : text/plain\r\n", "Subject: =?utf-8?q?a?=\r\n")  # fmt: skip


@dataclass(frozen=True)
class Variant:
    raw: bytes
    shows: bool  # whether another program finds the file in it


def variant(dice: random.Random) -> Variant:
    """One mail. About half of its choices are the usual ones, so that not everything is wrong at once."""
    pick = dice.choice
    encoding = pick(ENCODINGS) if dice.random() < 0.6 else "base64"
    part = "".join((
        pick(HEADERS) if dice.random() < 0.3 else "",
        f"Content-Type: {pick(TYPES) if dice.random() < 0.4 else 'application/pdf'}\r\n",
        f"Content-Transfer-Encoding: {encoding}\r\n" if encoding is not None else "",
        f"Content-Disposition: attachment; {pick(NAMES)}\r\n" if dice.random() < 0.8 else "",
        pick(HEADERS) if dice.random() < 0.2 else "",
        pick(BETWEEN) if dice.random() < 0.2 else "\r\n",
    ))  # fmt: skip
    body = "".join((
        pick(FILLERS), pick(DELIMITERS) if dice.random() < 0.3 else DELIMITERS[0],
        "Content-Type: text/plain\r\n\r\nBonjour",
        "\r\n", pick(DELIMITERS) if dice.random() < 0.3 else DELIMITERS[0],
    )) + part  # fmt: skip
    content = _coded(encoding, dice)
    end = (pick(BETWEEN) if dice.random() < 0.2 else "\r\n") + (pick(ENDS) if dice.random() < 0.5 else ENDS[0])
    whole = _wrapped(body.encode("latin-1") + content + end.encode("latin-1"), dice)
    if dice.random() < 0.05:
        whole = whole[: dice.randrange(len(whole))]
    if dice.random() < 0.1:
        whole = whole.replace(b"\r\n", b"\n")
    return Variant(whole, _shows(whole))


def _coded(encoding: str | None, dice: random.Random) -> bytes:
    word = re.sub(r"[^a-z0-9-]", "", (encoding or "").lower())
    if word == "quoted-printable":
        return binascii.b2a_qp(CONTENT)
    if word == "x-uuencode" and dice.random() < 0.9:
        lines = [binascii.b2a_uu(CONTENT[at : at + 45]) for at in range(0, len(CONTENT), 45)]
        return b"begin 644 a.pdf\r\n" + b"".join(lines) + b"`\r\nend\r\n"
    if "base64" in word and dice.random() < 0.95:
        return base64.encodebytes(CONTENT)
    return CONTENT if dice.random() < 0.7 else base64.encodebytes(CONTENT)


def _wrapped(body: bytes, dice: random.Random) -> bytes:
    pick = dice.choice
    container = pick(CONTAINERS) if dice.random() < 0.4 else CONTAINERS[0]
    boundary = pick(BOUNDARIES) if dice.random() < 0.6 else BOUNDARIES[0]
    own = pick(HEADERS) if dice.random() < 0.2 else ""
    head = f"{own}Content-Type: {container}; {boundary}\r\n"
    if dice.random() < 0.1:
        head += f"Content-Transfer-Encoding: {pick(ENCODINGS)}\r\n"
    whole = b"From: a@b.fr\r\nTo: c@d.fr\r\nSubject: s\r\n" + head.encode("latin-1") + b"\r\n" + body
    for _level in range(dice.choice((0, 0, 0, 1, 2))):
        whole = b"Subject: transmis\r\nContent-Type: message/rfc822\r\n\r\n" + whole
    return whole


def _shows(raw: bytes) -> bool:
    """Whether Python's own reader finds the file in it, as a part of its own: one program of those that show mail."""
    contents = (part.get_payload(decode=True) for part in email.message_from_bytes(raw).walk())
    return any(isinstance(content, bytes) and content.strip() == CONTENT for content in contents)
