"""The steps of a trial, as they are tried: what, how it went, how long it took, what was seen, what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

Went = Literal["ok", "failed", "note"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """`code` is stable, for programs. `went`: a note is something to know that stops nothing. `seconds`: None for what
    takes no time. `seen`: facts, a line each; `remedy`: what to do."""

    code: str
    title: str
    went: Went
    seconds: float | None = None
    seen: tuple[str, ...] = ()
    remedy: str = ""


class Steps:
    """`tell` hears each one at once. A step takes the time since the one before, unless it says otherwise."""

    def __init__(self, tell: Callable[[Tried], None] = lambda _: None) -> None:
        self._tell = tell
        self.tried: list[Tried] = []
        self._since = perf_counter()

    @property
    def are_well(self) -> bool:
        return all(one.went != "failed" for one in self.tried)

    def begin(self) -> None:
        """The next step begins now."""
        self._since = perf_counter()

    def ok(self, code: str, title: str, *seen: str, seconds: float | None = None) -> None:
        self._add("ok", code, title, seen, "", seconds)

    def note(self, code: str, title: str, *seen: str, remedy: str = "") -> None:
        self._add("note", code, title, seen, remedy, None)

    def failed(self, code: str, title: str, *seen: str, remedy: str, seconds: float | None = None) -> None:
        self._add("failed", code, title, seen, remedy, seconds)

    def _add(
        self, went: Went, code: str, title: str, seen: tuple[str, ...], remedy: str, seconds: float | None
    ) -> None:
        took = perf_counter() - self._since if seconds is None and went != "note" else seconds
        one = Tried(code=code, title=title, went=went, seconds=took, seen=seen, remedy=remedy)
        self.tried.append(one)
        self._tell(one)
        self.begin()
