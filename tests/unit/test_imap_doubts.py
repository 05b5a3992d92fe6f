"""Strikes: trouble makers wait, are reported, and are never given up."""

from __future__ import annotations

from hub.imap.doubts import STRIKES_MOST, Doubts
from hub.imap.progress import Skipped


def test_a_message_rests_when_its_strikes_are_used_up_and_is_tried_again_later() -> None:
    doubts = Doubts(rest=300)
    for _ in range(STRIKES_MOST - 1):
        doubts.strike(7, "command-no", now=10)
    assert doubts.may_try(7, now=10)
    assert doubts.skipped() == ()
    doubts.strike(7, "command-no", now=10)
    assert not doubts.may_try(7, now=309)
    assert doubts.may_try(7, now=310)
    assert doubts.skipped() == (Skipped(7, "command-no"),)


def test_a_message_that_was_taken_after_all_is_forgotten() -> None:
    doubts = Doubts(rest=300)
    doubts.skip(7, "too-large", now=0)
    doubts.forget([7, 8])
    assert 7 not in doubts
    assert doubts.skipped() == ()


def test_unknown_messages_may_be_tried() -> None:
    assert Doubts(rest=300).may_try(1, now=0)
