"""Content-Transfer-Encoding undone: base64, quoted-printable, uuencode; the rest is as it is.

Tolerant and total: what the rule of an encoding does not allow is skipped and leaves a doubt. Each returns new bytes;
the identity encodings return a slice.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass

from hub.base64 import strict
from hub.parse.doubts import Doubts
from hub.parse.parameters import safe_name, without_comments

_IDENTITY = frozenset({"", "7bit", "8bit", "binary", "7-bit", "8-bit", "utf-8", "utf8", "none", "plain"})
_QUOTED = frozenset({"quoted-printable", "quotedprintable"})
_UU = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
_NOT_ALPHABET = bytes(set(range(256)) - set(_ALPHABET))
FOREIGN_SHARE = 20  # one foreign character in so many: stray bytes of a bad relay are fewer, a text or a file has more
RUNS_MOST = 1_000_000  # paddings inside one base64 content; a writer that pads each of its lines puts 460,000 in 25 MB
_BEGIN = re.compile(rb"^begin [0-7]{3,4} +([^\r\n]{1,255})\r?\n", re.MULTILINE)


def encoding_of(value: bytes | None, doubts: Doubts, place: str) -> str:
    """The normal form of a Content-Transfer-Encoding: `base64`, `quoted-printable`, `uuencode`, `identity` or
    `unknown`. Folding, case, comments and blanks around are nothing; two words are two readings."""
    if not value:
        return "identity"
    text = value.decode("latin-1").lower()
    words = (without_comments(text) if "(" in text else text).replace(";", " ").replace('"', " ").split()
    if len(words) > 1:
        doubts.add("ambiguous-structure", place)
    word = words[0] if words else ""
    if word in _IDENTITY:
        return "identity"
    if word == "base64":
        return "base64"
    if word in _QUOTED:
        return "quoted-printable"
    return "uuencode" if word in _UU else "unknown"


def decode(raw: bytes, start: int, end: int, encoding: str, doubts: Doubts, place: str) -> bytes:
    """The content between two offsets of `raw`, behind `encoding` (a result of `encoding_of`)."""
    if encoding == "base64":
        decoded = strict(memoryview(raw)[start:end])
        return decode_base64(raw[start:end], doubts, place) if decoded is None else decoded
    raw = raw[start:end]
    if encoding == "quoted-printable":
        return binascii.a2b_qp(raw)
    if encoding == "uuencode":
        found = next(uuencoded(raw), None)
        if found is None and raw.strip():
            doubts.add("unknown-encoding", place)
        return found.content if found else raw
    return raw


def decode_base64(raw: bytes, doubts: Doubts, place: str) -> bytes:
    """What is not base64 to the letter: foreign characters are skipped, each padding ends a run, and a run cut short
    gives what it holds. What is mostly foreign is something else than base64, and of more than `RUNS_MOST` runs nothing
    is decoded: the bytes stay as they are, before a human."""
    doubts.add("bad-base64", place)
    letters = raw.translate(None, _NOT_ALPHABET)
    foreign = len(raw.translate(None, b"\r\n \t")) - len(letters)
    if foreign * FOREIGN_SHARE > len(raw) or letters.count(b"=") > RUNS_MOST:
        doubts.add("unknown-encoding", place)
        return raw
    runs = (run for run in letters.split(b"=") if len(run) > 1)
    return b"".join(binascii.a2b_base64((run[:-1] if len(run) % 4 == 1 else run) + b"==") for run in runs)


@dataclass(frozen=True, slots=True)
class UuFile:
    """One file between `begin` and `end`; where it stands in the text."""

    name: str | None
    content: bytes
    start: int
    end: int


def uuencoded(raw: bytes) -> Iterator[UuFile]:
    """The uuencoded files of a text (old Outlook writes them without any MIME). Without an `end` it is prose."""
    at = 0
    while begin := _BEGIN.search(raw, at):
        content, at, ended = _uu_lines(raw, begin.end())
        if ended:
            yield UuFile(safe_name(begin[1].decode("cp1252", "replace")), content, begin.start(), at)


def _uu_lines(raw: bytes, at: int) -> tuple[bytes, int, bool]:
    chunks: list[bytes] = []
    while at < len(raw):
        stop = raw.find(b"\n", at)
        stop = len(raw) if stop < 0 else stop
        line, at = raw[at:stop].rstrip(b"\r"), stop + 1
        if line == b"end":
            return b"".join(chunks), min(at, len(raw)), True
        try:
            chunks.append(binascii.a2b_uu(line))
        except binascii.Error:
            return b"", at, False
    return b"", at, False
