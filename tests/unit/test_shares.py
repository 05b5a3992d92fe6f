"""How hosts share mailboxes: the rule alone, played by several hosts in turn until nothing moves any more."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hub.worker.shares import Moves, moves

BOXES = tuple("abcdefg")


def play(taken: dict[str, str], known: dict[str, tuple[str, ...]], rounds: int = 40) -> tuple[dict[str, str], int]:
    """Each host in turn looks and moves, as `hub.worker.watching` does; what is left after the moves ended, and how
    many mailboxes changed hands."""
    taken, changes = dict(taken), 0
    kept: dict[str, set[str]] = {host: set() for host in known}
    given_back: dict[str, dict[str, int]] = {host: {} for host in known}
    free_since: dict[str, int] = {}
    lease = 3  # rounds
    for now in range(rounds):
        for host, duties in known.items():
            for duty in {d for known_here in known.values() for d in known_here}:
                if duty in taken:
                    free_since.pop(duty, None)
                else:
                    free_since.setdefault(duty, now)
            left = {duty for duty, since in free_since.items() if now - since >= lease}
            recent = [duty for duty, at in given_back[host].items() if now - at < lease]
            decided = moves(duties, taken, host, known, kept=kept[host], left=left, given=recent)
            room = decided.most
            for duty in decided.wanted:
                if room > 0 and duty not in taken:
                    taken[duty] = host
                    room, changes = room - 1, changes + 1
            kept[host] |= left & set(decided.wanted)
            for duty in decided.returned:
                del taken[duty]
                given_back[host][duty] = now
    return taken, changes


def test_one_host_takes_all() -> None:
    assert moves(BOXES, {}, "h1", ["h1"]) == Moves(BOXES, 7)
    assert moves(BOXES, dict.fromkeys(BOXES, "h1"), "h1", ["h1"]) == Moves()


def test_two_hosts_that_start_together_want_different_ones_first() -> None:
    one, two = (moves(BOXES, {}, host, ["h1", "h2"]) for host in ("h1", "h2"))
    assert one.most == two.most == 4
    assert set(one.wanted[:3]).isdisjoint(two.wanted[:4])


def test_a_host_that_comes_gets_its_share_and_then_nothing_moves() -> None:
    taken, changes = play(dict.fromkeys(BOXES, "h1"), dict.fromkeys(("h1", "h2"), BOXES))
    assert sorted(Counter(taken.values()).values()) == [3, 4]
    assert changes == 3


def test_a_third_host_takes_from_both() -> None:
    taken, changes = play(
        dict.fromkeys("abc", "h1") | dict.fromkeys("def", "h2"), dict.fromkeys(("h1", "h2", "h3"), tuple("abcdef"))
    )
    assert Counter(taken.values()) == {"h1": 2, "h2": 2, "h3": 2}
    assert changes == 2


def test_more_hosts_than_mailboxes_leave_some_waiting() -> None:
    taken, changes = play({"a": "h1", "b": "h1"}, dict.fromkeys(("h1", "h2", "h3"), ("a", "b")))
    assert sorted(Counter(taken.values()).values()) == [1, 1]
    assert changes == 1


def test_a_mailbox_that_only_one_host_knows_is_read_and_stays_there() -> None:
    """A new hub.yaml is on one host only: its share would leave mailboxes unread."""
    known = {"old": ("a",), "new": ("a", "b", "c", "d")}
    taken, changes = play({"a": "old"}, known, rounds=60)
    assert taken == {"a": "old", "b": "new", "c": "new", "d": "new"}
    assert changes < 10
    assert play({"a": "old"}, known, rounds=200)[1] == changes  # at rest


@given(
    st.lists(st.sampled_from(["h1", "h2", "h3", "h4", None]), min_size=0, max_size=12),
    st.integers(min_value=1, max_value=4),
)
def test_from_any_start_every_mailbox_is_taken_fairly_and_nothing_moves_any_more(
    held: list[str | None], hosts: int
) -> None:
    boxes = tuple(f"m{number}" for number in range(len(held)))
    living = [f"h{number + 1}" for number in range(hosts)]
    taken = {box: host for box, host in zip(boxes, held, strict=True) if host in living}
    rest, _ = play(taken, dict.fromkeys(living, boxes))
    assert rest.keys() == set(boxes)
    counts = [list(rest.values()).count(host) for host in living]
    assert max(counts) - min(counts) <= 1
    assert play(rest, dict.fromkeys(living, boxes))[1] == 0
