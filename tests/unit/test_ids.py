"""Ids of rows: those of an hour begin alike, and none is met twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from hub.ids import HOUR_BITS, new_id, told_apart

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def head_of(id: str) -> int:
    return int(id, 16) >> 128 - HOUR_BITS


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9990, 1, 1), timezones=st.just(UTC)))
def test_an_id_is_32_hex_digits_whatever_the_year(at: datetime) -> None:
    id = new_id(at)
    assert len(id) == 32
    assert set(id) <= set("0123456789abcdef")


def test_ids_of_an_hour_begin_alike_and_those_of_the_next_hour_otherwise() -> None:
    heads = {head_of(new_id(NOON + timedelta(minutes=minute))) for minute in range(60)}
    assert len(heads) == 1
    assert heads.isdisjoint({head_of(new_id(NOON + timedelta(hours=hours))) for hours in range(1, 48)})


def test_eight_digits_tell_the_messages_of_an_hour_apart_nearly_always() -> None:
    shown = [new_id(NOON)[:8] for _ in range(100)]
    assert len(set(shown)) > 95


def test_ids_that_begin_alike_are_told_with_the_digits_that_tell_them_apart() -> None:
    ids = ["3fa4b2c1" + "0" * 24, "3fa4b2c1" + "00" + "1" * 22, "3fa4b2c1" + "d" * 24]
    assert told_apart(ids) == "3fa4b2c1000, 3fa4b2c1001, 3fa4b2c1ddd"
    assert told_apart(["a" * 32, "b" * 32]) == "aaaaaaaa, bbbbbbbb"
    assert told_apart(["a" * 31 + "0", "a" * 31 + "1"]) == f"{'a' * 31}0, {'a' * 31}1"
