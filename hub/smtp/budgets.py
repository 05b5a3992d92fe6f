"""How much one user may send, and how often one address may fail to log in: a program that runs wild, or a stolen
password, meets a bound before it does harm.

A budget refills evenly. Counted in this process: each host that runs a door has its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

KEYS_MOST = 10_000  # users or addresses remembered: those that were quiet longest are forgotten first


class Budget:
    """`most` in `seconds` for each key. More may be spent than is left; nothing is left then for a while."""

    def __init__(self, most: float, seconds: float, ticks: Callable[[], float]) -> None:
        self._most = most
        self._rate = most / seconds
        self._ticks = ticks
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> (left, at)

    def has(self, key: str, amount: float = 1) -> bool:
        """Whether so much may be spent now; what is more than the whole budget may when nothing of it is spent."""
        left = self._now(key)
        return left >= min(amount, self._most)

    def spend(self, key: str, amount: float = 1) -> None:
        self._left[key] = (self._now(key) - amount, self._ticks())
        self._left.move_to_end(key)
        while len(self._left) > KEYS_MOST:
            self._left.popitem(last=False)

    def _now(self, key: str) -> float:
        if key not in self._left:
            return self._most
        left, at = self._left[key]
        return min(self._most, left + (self._ticks() - at) * self._rate)
