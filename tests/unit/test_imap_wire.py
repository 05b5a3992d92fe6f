"""The splitter: whole answers from bytes cut anywhere, within caps, in linear time."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.imap.wire import Answer, Splitter, SurpriseOnWire

STREAM = (
    b"* OK see {12}\r\n"
    b"* 3 EXISTS\r\n"
    b"* 1 FETCH (UID 4 BODY[]<0> {11}\r\nhello\r\n* {3 FLAGS (\\Seen))\r\n"
    b"* 2 FETCH (BODY[] {0}\r\n BODY[TEXT] ~{2}\r\nxy)\r\n"
    b"A1 OK done {5}\r\n"
)
ANSWERS: list[Answer] = [
    (b"* OK see {12}",),
    (b"* 3 EXISTS",),
    (b"* 1 FETCH (UID 4 BODY[]<0> ", b"hello\r\n* {3", b" FLAGS (\\Seen))"),
    (b"* 2 FETCH (BODY[] ", b"", b" BODY[TEXT] ", b"xy", b")"),
    (b"A1 OK done {5}",),
]


def test_literals_are_cut_out_and_status_texts_announce_none() -> None:
    assert Splitter(100).feed(STREAM) == ANSWERS
    assert Splitter(100).feed(b"* 1 FETCH (BODY[] {5}\r\nabcde)\r\n") == [(b"* 1 FETCH (BODY[] ", b"abcde", b")")]
    assert Splitter(100).feed(b"* OK see {12}\r\n") == [(b"* OK see {12}",)]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=30))
def test_the_answers_do_not_depend_on_how_the_bytes_were_cut(cuts: list[int]) -> None:
    splitter = Splitter(100)
    found: list[Answer] = []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, stop in itertools.pairwise(edges):
        found += splitter.feed(STREAM[start:stop])
    assert found == ANSWERS
    assert splitter.is_empty


def _feed_often(splitter: Splitter, raw: bytes) -> None:
    for _ in range(20):
        splitter.feed(raw)


def test_an_endless_line_hits_the_cap() -> None:
    splitter = Splitter(100, line_most=1000)
    with pytest.raises(SurpriseOnWire, match="line-cap"):
        _feed_often(splitter, b"x" * 100)


def test_texts_between_literals_count_for_the_cap_of_the_line() -> None:
    splitter = Splitter(100, line_most=1000)
    with pytest.raises(SurpriseOnWire, match="line-cap"):
        _feed_often(splitter, b"y" * 90 + b"{1}\r\nz")


def test_a_literal_of_two_gigabytes_is_refused_when_it_is_announced() -> None:
    with pytest.raises(SurpriseOnWire, match="literal-cap"):
        Splitter(1024**2).feed(b"* 1 FETCH (BODY[] {2147483648}\r\n")


def test_an_answer_of_many_small_literals_is_refused() -> None:
    with pytest.raises(SurpriseOnWire, match="literal-cap"):
        Splitter(100).feed(b"* 1 FETCH (" + b"{0}\r\n" * 100)


def test_half_an_answer_is_not_empty() -> None:
    for half in (b"* OK", b"* 1 FETCH (BODY[] {5}\r\n", b"* 1 FETCH (BODY[] {5}\r\nabcde"):
        splitter = Splitter(100)
        assert splitter.feed(half) == []
        assert not splitter.is_empty


def test_many_answers_in_one_piece_and_one_byte_at_a_time_take_linear_time() -> None:
    lines = b"".join(b"* %d FETCH (UID %d FLAGS (\\Seen))\r\n" % (n, n) for n in range(20_000))
    started = time.process_time()
    assert len(Splitter(100).feed(lines)) == 20_000
    slow = Splitter(100)
    assert sum(len(slow.feed(bytes([byte]))) for byte in lines[:100_000]) > 2_000
    assert time.process_time() - started < 2
