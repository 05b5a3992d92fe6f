"""Which known domains resemble a wrong one: for a slip of the pen, a label too many, a public address.

A domain in, at most three known ones out, the nearest first. Bounded in time on 10,000 names: a coarse look at all of
them (pairs of letters, as bits), a fine one at the few that it leaves. Pure.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

SPACE = "mssante.fr"  # where all but a few members are (mssante.md §9)
TOLD_MOST = 3
_LOOKED_AT = 48  # names that get the fine look
_STEM_MOST = 80  # characters that are compared
_BITS = 512
_NEAR = 0.72  # of the ratio of difflib, between what stands before the space
_VERY_NEAR = 0.92  # for a domain that does not try to be of the space: hopital.fr for hopital.mssante.fr
_PART = 0.86  # one is the other with labels before or behind it

_NUMBERS = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    stem: str
    bits: int


class Nearness:
    """`names`: compared forms (`hub.domains.compared`)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._known = [_Known(name, stem := _stem_of_member(name), _pairs(stem)) for name in names]
        self._by_stem = {one.stem: one for one in self._known}

    def of(self, asked: str) -> tuple[str, ...]:
        stem, wants_the_space = _stem(asked)
        bits, least = _pairs(stem), _NEAR if wants_the_space else _VERY_NEAR
        coarse = heapq.nsmallest(_LOOKED_AT, self._known, key=lambda one: (one.bits ^ bits).bit_count())
        looked_at = dict.fromkeys((*self._parts_of(stem), *coarse))
        found = [(-closeness, one.name) for one in looked_at if (closeness := _closeness(stem, one.stem)) >= least]
        return tuple(name for _, name in sorted(found)[:TOLD_MOST])

    def _parts_of(self, stem: str) -> list[_Known]:
        """Members whose whole name is a run of labels of this one."""
        labels = stem.split(".")[:6]
        runs = (".".join(labels[a:b]) for a in range(len(labels)) for b in range(a + 1, len(labels) + 1))
        return [self._by_stem[run] for run in runs if run in self._by_stem]


def _closeness(stem: str, other: str) -> float:
    """0 to 1. A number is never nearly another: department 13 is no slip of the pen for 12."""
    if _is_part(stem, other) or _is_part(other, stem):
        return max(_PART, _ratio(stem, other))
    if _NUMBERS.findall(stem) != _NUMBERS.findall(other):
        return 0.0
    return _ratio(stem, other)


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _is_part(one: str, other: str) -> bool:
    return len(one) > 2 and f".{one}." in f".{other}."


def _plain(name: str) -> str:
    """As people write it, without accents."""
    if "xn--" not in name:
        return name
    try:
        written = name.encode("ascii").decode("idna")
    except UnicodeError:  # coded by a younger rule than Python's
        return name
    return unicodedata.normalize("NFKD", written).encode("ascii", "ignore").decode()


def _stem_of_member(member: str) -> str:
    name = _plain(member)
    stem = name.removesuffix(f".{SPACE}")
    return (stem if stem != name else name.rpartition(".")[0])[:_STEM_MOST]


def _stem(asked: str) -> tuple[str, bool]:
    """(what stands before the space, whether this domain tries to be of the space: `chu.msante.fr` does)."""
    labels = _plain(asked).split(".")
    if len(labels) > 2 and _ratio(".".join(labels[-2:]), SPACE) > 0.75:
        return ".".join(labels[:-2])[:_STEM_MOST], True
    return ".".join(labels[:-1])[:_STEM_MOST], False


def _pairs(stem: str) -> int:
    """Its pairs of letters, each a bit."""
    bits, framed = 0, f".{stem}."
    for one, other in pairwise(framed):
        bits |= 1 << ((ord(one) * 37 + ord(other)) % _BITS)
    return bits
