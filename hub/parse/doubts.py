"""The doubts of one reading, gathered while it runs.

A code is grave or not once and for all, here; the mind holds a message on any grave one. What is said twice is kept
once, and no mail can make the list long: after `EACH_CODE` lines of one code the rest is dropped.
"""

from __future__ import annotations

from hub.message import Defect

EACH_CODE = 20  # enough for a human to see the pattern; a mail of 1,000 broken parts says nothing more

GRAVE = frozenset(
    {
        "too-large",
        "header-block-too-large",
        "header-too-large",
        "too-many-parts",
        "too-deep",
        "too-many-archives",
        "ambiguous-structure",
        "truncated",
        "unknown-encoding",
        "no-header",
        "tnef-empty",
        "tnef-unreadable",
        "p7m-unreadable",
        "encrypted-message",
        "partial-message",
    }
)


class Doubts:
    """A growing list of defects. `detail` names a place (`part 1.2`) or a header, never content."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Defect] = {}
        self._counts: dict[str, int] = {}

    def add(self, code: str, detail: str = "") -> None:
        count = self._counts.get(code, 0)
        if (code, detail) in self._found or count >= EACH_CODE:
            return
        self._counts[code] = count + 1
        self._found[code, detail] = Defect(code, detail, code in GRAVE)

    def all(self) -> tuple[Defect, ...]:
        return tuple(self._found.values())
