"""From when to when a role is held: one holder a day, whatever is said in whatever order."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.records.tenures import Change, Overlap, Tenure, ended, placed

DAY = date(2026, 3, 1)


def on(days: int) -> date:
    return DAY + timedelta(days=days)


def tenure(contact: str, since: int, until: int | None = None) -> Tenure:
    return Tenure(contact, on(since), None if until is None else on(until))


def after(known: tuple[Tenure, ...], change: Change) -> tuple[Tenure, ...]:
    return (*(one for one in known if one not in change.withdrawn), *change.said)


def holders(known: tuple[Tenure, ...], day: int) -> list[str]:
    return [one.contact for one in known if one.since <= on(day) and (one.until is None or on(day) <= one.until)]


def test_the_former_holder_ends_on_the_eve() -> None:
    change = placed([tenure("garnier", 0)], tenure("lopez", 30))
    assert change == Change((tenure("garnier", 0),), (tenure("lopez", 30), tenure("garnier", 0, 29)))


def test_who_only_stands_in_gives_the_role_back() -> None:
    change = placed([tenure("garnier", 0, 90)], tenure("lopez", 30, 40))
    assert set(change.said) == {tenure("lopez", 30, 40), tenure("garnier", 0, 29), tenure("garnier", 41, 90)}


def test_what_is_known_already_changes_nothing() -> None:
    assert placed([tenure("garnier", 0)], tenure("garnier", 0)) == Change()


def test_the_same_contact_from_the_same_day_is_said_otherwise() -> None:
    assert placed([tenure("garnier", 0)], tenure("garnier", 0, 5)) == Change(
        (tenure("garnier", 0),), (tenure("garnier", 0, 5),)
    )


@pytest.mark.parametrize("other", [tenure("lopez", 10), tenure("lopez", 0, 5), tenure("garnier", -10)])
def test_what_a_human_must_settle_is_refused(other: Tenure) -> None:
    with pytest.raises(Overlap) as caught:
        placed([other], tenure("garnier", 0))
    assert caught.value.with_ == other


def test_a_shared_role_has_several_holders() -> None:
    assert placed([tenure("garnier", 0)], tenure("lopez", 5), is_shared=True) == Change((), (tenure("lopez", 5),))


def test_an_end_is_the_last_day() -> None:
    assert ended([tenure("garnier", 0)], "garnier", on(5)) == Change(
        (tenure("garnier", 0),), (tenure("garnier", 0, 5),)
    )
    assert ended([tenure("garnier", 0, 5)], "garnier", on(5)) is None
    assert ended([tenure("garnier", 10)], "garnier", on(5)) is None
    assert ended([tenure("lopez", 0)], "garnier", on(5)) is None


SAID = st.builds(
    lambda contact, since, length: tenure(contact, since, None if length is None else since + length),
    st.sampled_from("abc"),
    st.integers(0, 20),
    st.none() | st.integers(0, 10),
)


@given(st.lists(SAID, max_size=12))
def test_at_each_day_one_holder_at_most_and_no_other_day_changes_hands(said: list[Tenure]) -> None:
    known: tuple[Tenure, ...] = ()
    for new in said:
        before = {day: holders(known, day) for day in range(-1, 40)}
        try:
            known = after(known, placed(known, new))
        except Overlap:
            continue
        for day in range(-1, 40):
            now = holders(known, day)
            assert len(now) <= 1
            is_mine = new.since <= on(day) and (new.until is None or on(day) <= new.until)
            if is_mine:
                assert now == [new.contact]
            elif before[day] != [new.contact]:  # the same contact from the same day may be said otherwise
                assert now == before[day]
