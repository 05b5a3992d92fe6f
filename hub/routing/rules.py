"""The language of the site's rules: conditions, deeds, and which rule decides on one message.

In: the facts of a message and the rules in order. Out: the first rule all of whose conditions hold, and every rule
tried with the value seen. Patterns have `*` and nothing else (`globs`); how a file is read and refused: `rulebook`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.message import RuleTried
from hub.routing.catalogue import UNKNOWN
from hub.routing.globs import matches_any

RESTRICTED = "restricted"  # of confidentiality: some code other than N
NORMAL = "normal"
NO_KIND = "unknown"
DEEDS = ("file", "send", "note", "hold", "refuse")


def _as_list(value: object) -> object:
    """One value stands for a list of one; a number (a code, a FINESS) for its text."""
    items = value if isinstance(value, list | tuple) else [value]
    return [str(item) if isinstance(item, int) and not isinstance(item, bool) else item for item in items]


Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=200)], ...], BeforeValidator(_as_list), Field(min_length=1)
]
_ROLE = r"role:[A-Za-z][A-Za-z0-9_-]{1,39}"  # who that is, the address book says
Address = Annotated[str, Field(pattern=rf"^({_ROLE}|[A-Za-z0-9._%+-]{{1,64}}@[A-Za-z0-9.-]{{1,190}})$")]
Addresses = Annotated[tuple[Address, ...], BeforeValidator(_as_list)]
Sentence = Annotated[str, Field(min_length=3, max_length=300)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class When(_Section):
    """Conditions, all of which must hold; each is one pattern or a list of which one must match."""

    mailbox: Patterns | None = None
    sender: Patterns | None = None
    domain: Patterns | None = None
    sender_member: Patterns | None = None
    message_class: Patterns | None = Field(default=None, alias="class")
    kind: Patterns | None = None
    type_code: Patterns | None = None
    urgency: Patterns | None = None
    confidentiality: Patterns | None = None
    facility: Patterns | None = None
    match: Patterns | None = None
    report: Patterns | None = None
    signature: Patterns | None = None
    sending: Patterns | None = None
    user: Patterns | None = None
    recipient: Patterns | None = None
    recipient_domain: Patterns | None = None


class Then(_Section):
    """What is done. Exactly one of file, send, note, hold and refuse; copies and notices beside it."""

    file: Literal[True] | None = None
    send: Literal[True] | None = None
    note: Sentence | None = None
    hold: Sentence | None = None
    refuse: Sentence | None = None
    copy_to: Addresses = Field(default=(), alias="copy")
    notify: Addresses = ()
    receipt: Literal["auto", "never"] = "auto"
    signed: Literal["auto", "never", "always"] = "auto"

    @model_validator(mode="after")
    def _decides_once(self) -> Then:
        chosen = [name for name in DEEDS if getattr(self, name) is not None]
        if len(chosen) != 1:
            raise ValueError(f"exactly one of {', '.join(DEEDS)} is expected")
        return self


class Route(_Section):
    """One rule."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    when: When = When()
    then: Then


class RoutesFile(_Section):
    """The whole of `routes.yaml`."""

    rules: Annotated[tuple[Route, ...], Field(min_length=1)]  # what comes in
    submissions: tuple[Route, ...] = ()  # what people of ours want sent, asked for each recipient


Holds = Callable[[tuple[str, ...], Any], bool]  # (patterns, the fact: a text or several)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule: as it is shown, what it looks at (`Facts`), and how that is held against `patterns`."""

    shown: str
    looks_at: str
    patterns: tuple[str, ...]
    holds: Holds


@dataclass(frozen=True)
class NumberedRoute:
    """A rule and the line of the file where it starts."""

    route: Route
    line: int

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Made once, for every message asks each rule."""
        return tuple(_condition(field, patterns) for field, patterns in conditions_of(self.route))


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the conditions look at. Several values: one for each document, or for each code."""

    mailbox: str = ""
    sender: str = ""
    domain: str = ""
    sender_member: str = ""  # whether its domain is of the trust space: member, outside, unknown
    message_class: str = ""
    kinds: tuple[str, ...] = ()
    type_codes: tuple[str, ...] = ()
    urgency: str = ""
    confidentiality: tuple[str, ...] = ()
    facility: str = ""
    match: tuple[str, ...] = ()  # the outcome and the code
    report: tuple[str, ...] = ()  # what a receipt says: its action or disposition, and its error
    signature: str = ""  # absent, or the outcome of the verdict on it
    sending: str = ""  # whether a receipt is about a sending of ours: known, disputed, unclear, unknown
    user: str = ""  # who submitted it
    recipient: tuple[str, ...] = ()  # the address; and `role:…` when it was written so
    recipient_domain: str = ""


def _one(patterns: tuple[str, ...], value: str) -> bool:
    return bool(value) and matches_any(patterns, value)


def _every(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    """A message is filed whole or not at all: every document must match."""
    return bool(values) and all(bool(value) and matches_any(patterns, value) for value in values)


def _some(patterns: tuple[str, ...], values: tuple[str, ...]) -> bool:
    return any(matches_any(patterns, value) for value in values)


# For each field of `When`: the fact that it looks at, and how that is held against the patterns.
_LOOKED_AT: dict[str, tuple[str, Holds]] = {
    "mailbox": ("mailbox", _one),
    "sender": ("sender", _one),
    "domain": ("domain", _one),
    "sender_member": ("sender_member", _one),
    "message_class": ("message_class", _one),
    "kind": ("kinds", _every),
    "type_code": ("type_codes", _every),
    "urgency": ("urgency", _one),
    "confidentiality": ("confidentiality", _some),
    "facility": ("facility", _one),
    "match": ("match", _some),
    "report": ("report", _some),
    "signature": ("signature", _one),
    "sending": ("sending", _one),
    "user": ("user", _one),
    "recipient": ("recipient", _some),
    "recipient_domain": ("recipient_domain", _one),
}


def _condition(field: str, patterns: tuple[str, ...]) -> Condition:
    looks_at, holds = _LOOKED_AT[field]
    return Condition(f"{written(field)}: {', '.join(patterns)}", looks_at, patterns, holds)


def first_match(facts: Facts, routes: tuple[NumberedRoute, ...]) -> tuple[Route, tuple[RuleTried, ...]]:
    """The deciding rule, and every rule tried up to it. The last rule has no condition, so one always matches."""
    tried: list[RuleTried] = []
    for numbered in routes:
        conditions, matched = [], True
        for asked in numbered.conditions:
            fact = getattr(facts, asked.looks_at)
            held = asked.holds(asked.patterns, fact)
            conditions.append((asked.shown, fact if isinstance(fact, str) else ", ".join(fact), held))
            matched = matched and held
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
    """How the file writes a condition or a deed."""
    return {"message_class": "class", "copy_to": "copy"}.get(field, field)


def no_kind_name(kind: str | None) -> str:
    """How the kind of a document is seen by rules."""
    return NO_KIND if kind is None or kind == UNKNOWN else kind
