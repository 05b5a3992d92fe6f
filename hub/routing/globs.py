"""The only patterns that a site may write: text with `*` for any run of characters, without case.

Not regular expressions: a rule of a site must never be able to freeze the hub (libs.md §10, row 28). Matching is a
chain of `str.find`, linear in practice, whatever the pattern.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def matches(pattern: str, value: str) -> bool:
    """Whether the whole value matches; both compare case-folded, blanks at the ends ignored."""
    return _fits(_parts(pattern), value.strip().casefold())


@lru_cache(maxsize=4096)  # the patterns of the site's files: the same ones for each message
def _parts(pattern: str) -> tuple[str, ...]:
    """What stands between the stars, case-folded."""
    return tuple(pattern.strip().casefold().split("*"))


def _fits(parts: tuple[str, ...], text: str) -> bool:
    if len(parts) == 1:
        return parts[0] == text
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    position, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def matches_any(patterns: Iterable[str], value: str) -> bool:
    text = value.strip().casefold()
    return any(_fits(_parts(pattern), text) for pattern in patterns)


def covers(wide: str, narrow: str) -> bool:
    """Whether everything that `narrow` matches is surely matched by `wide` (some true cases are not seen)."""
    if wide.strip() == "*" or wide.strip().casefold() == narrow.strip().casefold():
        return True
    # A star of `narrow` is met by a star of `wide` when it is read as a plain character that only stars can eat.
    return "*" in wide and matches(wide, narrow.replace("*", "\x00"))
