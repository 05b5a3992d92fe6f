"""How patience grows with servers that flood, and what a server's words are worth."""

from __future__ import annotations

import pytest

from hub import settings
from hub.imap.backoff import Backoff
from hub.imap.doubts import Doubts
from hub.imap.failures import CommandRefused, ConnectionLost
from hub.imap.grammar import nz_number, read_fetch, read_search
from hub.imap.wire import Splitter, SurpriseOnWire

WATCHING = settings.Watching.model_validate({"backoff_first": 1, "backoff_most": 300})


def test_a_flood_after_each_comparison_is_met_ever_more_rarely() -> None:
    backoff = Backoff(WATCHING)
    delays = [backoff.delay(ConnectionLost("answer-cap"), 1, 2.0, 1.0) for _ in range(12)]
    assert delays[:5] == [1, 2, 4, 8, 16]
    assert delays[-1] == 300


def test_other_failures_after_each_comparison_are_met_at_once_again() -> None:
    backoff = Backoff(WATCHING)
    assert [backoff.delay(ConnectionLost("bye"), 1, 2.0, 1.0) for _ in range(5)] == [1] * 5


def test_a_connection_that_lived_long_or_failed_otherwise_ends_the_count_of_floods() -> None:
    backoff = Backoff(WATCHING)
    for _ in range(5):
        backoff.delay(ConnectionLost("line-cap"), 1, 2.0, 1.0)
    assert backoff.delay(ConnectionLost("line-cap"), 1, 301.0, 1.0) == 1
    assert backoff.delay(ConnectionLost("line-cap"), 1, 2.0, 1.0) == 2
    assert backoff.delay(ConnectionLost("reset"), 1, 2.0, 1.0) == 1
    assert backoff.delay(ConnectionLost("line-cap"), 1, 2.0, 1.0) == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("4294967295", 2**32 - 1),
        ("0", None),
        ("4294967296", None),
        ("", None),
        ("9" * 5_000, None),
        ("²", None),
    ],
)
def test_uidvalidity_and_uidnext_are_numbers_of_32_bits(text: str, number: int | None) -> None:
    assert nz_number(text) == number


def test_a_uid_beyond_32_bits_is_no_uid() -> None:
    assert read_search((b"* SEARCH 4294967295",)) == [2**32 - 1]
    with pytest.raises(SurpriseOnWire, match="search-syntax"):
        read_search((b"* SEARCH 4294967296",))


def test_the_literals_of_one_answer_share_one_cap() -> None:
    splitter = Splitter(literal_most=100)
    with pytest.raises(SurpriseOnWire, match="literal-cap"):
        splitter.feed(b"* 1 FETCH (A {60}\r\n" + b"x" * 60 + b" B {41}\r\n")
    splitter = Splitter(literal_most=100)
    for _ in range(3):  # each answer has its own
        assert len(splitter.feed(b"* 1 FETCH (A {100}\r\n" + b"x" * 100 + b")\r\n")) == 1


@pytest.mark.parametrize("words", [b"FLAGS (" + b"a " * 1_001 + b")", b"A 1 " * 1_001])
def test_words_of_one_answer_are_counted(words: bytes) -> None:
    with pytest.raises(SurpriseOnWire, match="answer-cap"):
        read_fetch((b"* 1 FETCH (UID 1 " + words + b")",))


@pytest.mark.parametrize(
    ("code", "passes"),
    [("fetch-no-unavailable", True), ("store-no-throttled", True), ("fetch-no-serverbug", False), ("fetch-no", False)],
)
def test_a_refusal_says_whether_it_passes(code: str, passes: bool) -> None:
    assert CommandRefused(code).is_passing is passes


def test_strikes_are_counted_until_forgotten() -> None:
    doubts = Doubts(60)
    doubts.strike(1, "timeout", 0)
    doubts.strike(1, "timeout", 0)
    assert (doubts.strikes(1), doubts.strikes(2)) == (2, 0)
    doubts.forget([1])
    assert doubts.strikes(1) == 0
