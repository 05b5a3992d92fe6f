"""The bytes after 354: whatever the pieces, the same mail comes out, ends where CRLF . CRLF is, and nowhere else."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.smtp.dots import Undotter

BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


def taken(*pieces: bytes) -> tuple[bytes, bytes, bool]:
    """(mail, rest, spoiled), when it is over."""
    undotter, mail = Undotter(), b""
    for number, piece in enumerate(pieces):
        assert not undotter.is_over
        mail += undotter.feed(piece)
        if undotter.is_over:
            return mail, undotter.rest + b"".join(pieces[number + 1 :]), undotter.is_spoiled
    raise AssertionError("no end")


def stuffed(mail: bytes) -> bytes:
    """As RFC 5321 §4.5.2 says, line by line."""
    return b"".join(b"." + line if line.startswith(b".") else line for line in mail.splitlines(keepends=True))


LINES = st.lists(st.binary(max_size=6).map(lambda b: re.sub(rb"[\r\n]", b".", b)), max_size=6)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def cut(raw: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place for place in places if place < len(raw)), len(raw)]
    return [raw[begin:end] for begin, end in itertools.pairwise(edges)]


@given(LINES, CUTS)
def test_what_was_written_comes_out_however_it_is_cut(lines: list[bytes], places: list[int]) -> None:
    mail = b"".join(line + b"\r\n" for line in lines)
    wire = stuffed(mail) + b".\r\n" + b"QUIT\r\n"
    undotter, found = Undotter(), b""
    pieces = cut(wire, places)
    for number, piece in enumerate(pieces):
        found += undotter.feed(piece)
        if undotter.is_over:
            rest = undotter.rest + b"".join(pieces[number + 1 :])
            assert (found, rest, undotter.is_spoiled) == (mail, b"QUIT\r\n", False)
            return
    raise AssertionError("no end")


@given(st.text("\r\n.a", max_size=24), CUTS)
def test_only_one_ending_ends_and_every_bare_line_end_spoils(body: str, places: list[int]) -> None:
    wire = body.encode() + b"\r\n.\r\n"
    end = (b"\r\n" + wire).index(b"\r\n.\r\n")
    mail, rest, spoiled = taken(*cut(wire, places))
    assert rest == wire[end + 3 :]
    read = wire[:end]
    assert spoiled == bool(BARE.search(b"\r\n" + read))
    assert mail == re.sub(rb"\r\n\.", b"\r\n", b"\r\n" + read)[2:]


@pytest.mark.parametrize(
    "ending",
    [
        b"\n.\n",
        b"\r.\r",
        b"\n.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\n\n.\r\n",
        b"\r\n\0.\r\n",
        b"\r\n.\0\r\n",
        b"\r\n. \r\n",
    ],
)
def test_no_other_ending_lets_a_second_mail_in(ending: bytes) -> None:
    """The shapes of SMTP smuggling (CVE-2023-51764, CVE-2024-27305)."""
    inner = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: faux\r\n"
    mail, rest, spoiled = taken(b"Subject: un\r\n\r\nun" + ending + inner + b"\r\n.\r\n")
    assert rest == b""
    assert spoiled or inner in mail
    assert spoiled == bool(BARE.search(ending))


def test_a_mail_may_be_nothing() -> None:
    assert taken(b".\r\nRSET\r\n") == (b"", b"RSET\r\n", False)
    assert taken(b".", b"\r", b"\n") == (b"", b"", False)
