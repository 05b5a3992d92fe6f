"""How the hosts of a site share its mailboxes: what one host should take and give back, decided from one look.

Pure. The rule: a host takes free mailboxes up to its share (all mailboxes over all living hosts, rounded up), and gives
one back when it has more than its share or when another host has two less. It comes to rest, since a mailbox only moves
from a richer host to a poorer one. A mailbox that nobody takes (another host has an older hub.yaml, or cannot reach it)
is taken beyond the share after a while, and then kept: no rule of fairness leaves a mailbox unread.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Moves:
    """Free duties to try, the best first, how many of them to take, and what to give back."""

    wanted: tuple[str, ...] = ()
    most: int = 0
    returned: tuple[str, ...] = ()


def moves(
    duties: Sequence[str],
    taken: Mapping[str, str],
    me: str,
    living: Collection[str],
    *,
    kept: Collection[str] = (),
    left: Collection[str] = (),
    given: Collection[str] = (),
) -> Moves:
    """`duties`: the mailboxes as this host's settings name them. `kept`: taken beyond the share, never to be given back
    for it; `left`: free for so long that nobody else wants them; `given`: given back by us a moment ago."""
    mine = [duty for duty in duties if taken.get(duty) == me]
    free = [duty for duty in _turned(duties, me, living) if duty not in taken]
    share = math.ceil(len(duties) / max(1, len(living)))
    wanted = [duty for duty in free if duty not in given]
    room = share - len(mine)
    if room > 0 and wanted:
        return Moves(tuple(wanted), room)
    abandoned = tuple(duty for duty in free if duty in left)
    if abandoned:
        return Moves(abandoned, len(abandoned))
    if free:  # the poorer ones take these first
        return Moves()
    surplus = max(len(mine) - share, 1 if _has_two_more(mine, taken, duties, me, living) else 0)
    movable = [duty for duty in reversed(mine) if duty not in kept]
    return Moves(returned=tuple(movable[:surplus]))


def _has_two_more(
    mine: Collection[str], taken: Mapping[str, str], duties: Iterable[str], me: str, living: Collection[str]
) -> bool:
    counts = Counter(taken[duty] for duty in duties if duty in taken)
    others = [counts[host] for host in living if host != me]
    return bool(others) and len(mine) - min(others) >= 2


def _turned(duties: Sequence[str], me: str, living: Collection[str]) -> list[str]:
    """Each host begins elsewhere, so that those that start together do not all want the same ones."""
    place = sorted(living).index(me) if me in living else 0
    start = place * len(duties) // max(1, len(living))
    return [*duties[start:], *duties[:start]]
