"""The language of the site's rules: conditions, deeds, and which rule decides on one message.

In: the facts of a message and the rules in order. Out: the first rule all of whose conditions hold, and every rule
tried with the value seen. Patterns have `*` and nothing else (`globs`); how a file is read and refused: `rulebook`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.message import RuleTried
from hub.routing.catalogue import UNKNOWN
from hub.routing.globs import matches_any

RESTRICTED = "restricted"  # of confidentiality: some code other than N
NORMAL = "normal"
NO_KIND = "unknown"


def _as_list(value: object) -> object:
    """One value stands for a list of one; a number (a code, a FINESS) for its text."""
    items = value if isinstance(value, list | tuple) else [value]
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in items]


Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
Address = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}$")]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_as_list)]
Sentence = Annotated[str, Field(min_length=3, max_length=300)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class When(_Section):
    """Conditions, all of which must hold; each is one pattern or a list of which one must match."""

    mailbox: Patterns | None = None
    sender: Patterns | None = None
    domain: Patterns | None = None
    message_class: Patterns | None = Field(default=None, alias="class")
    kind: Patterns | None = None
    type_code: Patterns | None = None
    urgency: Patterns | None = None
    confidentiality: Patterns | None = None
    facility: Patterns | None = None
    match: Patterns | None = None
    report: Patterns | None = None


class Then(_Section):
    """What is done. Exactly one of file, note, hold and refuse; copies and notices beside it."""

    file: Literal[True] | None = None
    note: Sentence | None = None
    hold: Sentence | None = None
    refuse: Sentence | None = None
    copy_to: Addresses = Field(default=(), alias="copy")
    notify: Addresses = ()
    receipt: Literal["auto", "never"] = "auto"

    @model_validator(mode="after")
    def _decides_once(self) -> Then:
        chosen = [name for name in ("file", "note", "hold", "refuse") if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ValueError("exactly one of file, note, hold and refuse is expected")
        return self


class Route(_Section):
    """One rule."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    when: When = When()
    then: Then


class RoutesFile(_Section):
    """The whole of `routes.yaml`."""

    rules: Annotated[tuple[Route, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class NumberedRoute:
    """A rule and the line of the file where it starts."""

    route: Route
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the conditions look at. Several values: one for each document, or for each code."""

    mailbox: str = ""
    sender: str = ""
    domain: str = ""
    message_class: str = ""
    kinds: tuple[str, ...] = ()
    type_codes: tuple[str, ...] = ()
    urgency: str = ""
    confidentiality: tuple[str, ...] = ()
    facility: str = ""
    match: tuple[str, ...] = ()  # the outcome and the code
    report: tuple[str, ...] = ()  # what a receipt says: its action or disposition, and its error


def _one(value: str) -> Callable[[Sequence[str]], bool]:
    return lambda patterns: bool(value) and matches_any(patterns, value)


def _every(values: tuple[str, ...]) -> Callable[[Sequence[str]], bool]:
    """A message is filed whole or not at all: every document must match."""
    return lambda patterns: bool(values) and all(bool(value) and matches_any(patterns, value) for value in values)


def _some(values: tuple[str, ...]) -> Callable[[Sequence[str]], bool]:
    return lambda patterns: any(matches_any(patterns, value) for value in values)


def _looked_at(facts: Facts) -> dict[str, tuple[str, Callable[[Sequence[str]], bool]]]:
    """For each condition: the value as it is shown, and how it is held against patterns."""
    return {
        "mailbox": (facts.mailbox, _one(facts.mailbox)),
        "sender": (facts.sender, _one(facts.sender)),
        "domain": (facts.domain, _one(facts.domain)),
        "message_class": (facts.message_class, _one(facts.message_class)),
        "kind": (", ".join(facts.kinds), _every(facts.kinds)),
        "type_code": (", ".join(facts.type_codes), _every(facts.type_codes)),
        "urgency": (facts.urgency, _one(facts.urgency)),
        "confidentiality": (", ".join(facts.confidentiality), _some(facts.confidentiality)),
        "facility": (facts.facility, _one(facts.facility)),
        "match": (", ".join(facts.match), _some(facts.match)),
        "report": (", ".join(facts.report), _some(facts.report)),
    }


def first_match(facts: Facts, routes: tuple[NumberedRoute, ...]) -> tuple[Route, tuple[RuleTried, ...]]:
    """The deciding rule, and every rule tried up to it. The last rule has no condition, so one always matches."""
    looked_at = _looked_at(facts)
    tried: list[RuleTried] = []
    for numbered in routes:
        conditions = []
        for field, patterns in conditions_of(numbered.route):
            seen, holds = looked_at[field]
            conditions.append((f"{written(field)}: {', '.join(patterns)}", seen, holds(patterns)))
        matched = all(held for _, _, held in conditions)
        tried.append(
            RuleTried(name=numbered.route.name, line=numbered.line, matched=matched, conditions=tuple(conditions))
        )
        if matched:
            return numbered.route, tuple(tried)
    raise AssertionError("a rulebook whose last rule has conditions was accepted")


def conditions_of(route: Route) -> list[tuple[str, tuple[str, ...]]]:
    pairs = ((field, getattr(route.when, field)) for field in When.model_fields)
    return [(field, patterns) for field, patterns in pairs if patterns is not None]


def written(field: str) -> str:
    return "class" if field == "message_class" else field


def no_kind_name(kind: str | None) -> str:
    """How the kind of a document is seen by rules."""
    return NO_KIND if kind is None or kind == UNKNOWN else kind
