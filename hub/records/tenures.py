"""From when to when somebody holds a role: how a new tenure takes its place among those that are known.

Days are whole and both ends are included; `until` None has no end. The known tenures of one role for one usager (or
territory, or site) and the new one in, what to withdraw and what to say instead out: at each day at most one holder,
and no day outside the new tenure changes hands. Raises Overlap for what a human must settle. Touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta

_DAY = timedelta(days=1)


class Overlap(Exception):
    """A tenure that cannot take its place; `with_` is the one in its way."""

    def __init__(self, with_: Tenure) -> None:
        super().__init__("two tenures overlap")
        self.with_ = with_


@dataclass(frozen=True, slots=True)
class Tenure:
    """`contact` holds the role from `since` to `until`."""

    contact: str
    since: date
    until: date | None = None

    def meets(self, other: Tenure) -> bool:
        return (other.until is None or self.since <= other.until) and (self.until is None or other.since <= self.until)


@dataclass(frozen=True, slots=True)
class Change:
    """What is no longer true, and what is instead."""

    withdrawn: tuple[Tenure, ...] = ()
    said: tuple[Tenure, ...] = ()


def placed(known: Iterable[Tenure], new: Tenure, is_shared: bool = False) -> Change:
    """A former holder ends on the eve of the new one, and is back the day after the last day of one who only stands in.
    The same contact from the same day: said otherwise. `is_shared`: other contacts are not in its way.

    Raises Overlap: with somebody who begins later, or with the same contact."""
    withdrawn: list[Tenure] = []
    said: list[Tenure] = [new]
    for one in known:
        if one == new:
            return Change()
        if not one.meets(new) or (is_shared and one.contact != new.contact):
            continue
        if one.contact == new.contact and one.since == new.since:
            withdrawn.append(one)
            continue
        if one.contact == new.contact or one.since >= new.since:
            raise Overlap(one)
        withdrawn.append(one)
        said.append(replace(one, until=new.since - _DAY))
        if new.until is not None and (one.until is None or new.until < one.until):
            said.append(replace(one, since=new.until + _DAY))
    return Change(tuple(withdrawn), tuple(said))


def ended(known: Iterable[Tenure], contact: str, until: date) -> Change | None:
    """The last tenure of the contact that goes on after `until` ends there; None when there is none."""
    going_on = [
        one
        for one in known
        if one.contact == contact and one.since <= until and (one.until is None or until < one.until)
    ]
    if not going_on:
        return None
    last = max(going_on, key=lambda one: one.since)
    return Change((last,), (replace(last, until=until),))


def handed_over(known: Tenure, to: str, since: date) -> Change:
    """From the day `since` on, what is left of a tenure is somebody else's."""
    before = (replace(known, until=since - _DAY),) if known.since < since else ()
    return Change((known,), (*before, Tenure(to, max(known.since, since), known.until)))
