"""What a hostile sample is: a name, how its bytes are made, and what the reader must say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hub.message import Defect, ParsedMessage

UNREADABLE = "unreadable"  # the child gave up: memory, processor time, or the library died
FILED = ""  # odd, honest, and read to its end


@dataclass(frozen=True)
class Shape:
    """`wanted`: codes of grave doubts, one of which must be found (`UNREADABLE` among them: the child may give up;
    `FILED`: no grave doubt is needed, since nothing is ambiguous and nothing is lost); `mild`: a code that must be
    shown beside it."""

    name: str
    make: Callable[[], bytes]
    wanted: frozenset[str]
    mild: str = ""

    @property
    def may_die(self) -> bool:
        return UNREADABLE in self.wanted

    @property
    def may_pass(self) -> bool:
        return FILED in self.wanted


class Collection:
    """Shapes of one sort, in the order in which they were declared."""

    def __init__(self, sort: str) -> None:
        self._sort = sort
        self.shapes: list[Shape] = []

    def add(self, name: str, make: Callable[[], bytes], *wanted: str, mild: str = "") -> None:
        self.shapes.append(Shape(f"{self._sort}-{name}", make, frozenset(wanted or (FILED,)), mild))


def doubts_of(message: ParsedMessage) -> list[Defect]:
    """Every doubt of a message, of its archives and documents too."""
    return [
        *message.defects,
        *(defect for archive in message.archives for defect in archive.defects),
        *(defect for document in message.documents for defect in document.defects),
    ]


def graves_of(message: ParsedMessage) -> set[str]:
    return {defect.code for defect in doubts_of(message) if defect.grave}
