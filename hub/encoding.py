"""Flowing types as bytes and back (MessagePack by msgspec), for the spool and across the border of a child process.

`encode` takes any type of `hub.message`; `decode` gives back an equal value. Decoding validates: bytes that do not
spell the wanted type raise Damaged. Nothing here can run code, whoever wrote the bytes (unlike pickle). A step is
written with the name of its type, since msgspec does not tell dataclasses apart in a union.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from hub.errors import Damaged
from hub.message import (
    Classification,
    Composition,
    Delivery,
    Filing,
    Handover,
    Hold,
    Match,
    News,
    Plan,
    Receipt,
    Refusal,
    Release,
    RuleTried,
    Step,
    Thought,
    Verdict,
)

T = TypeVar("T")

STEP_TYPES: dict[str, type[Step]] = {
    "filing": Filing,
    "handover": Handover,
    "composition": Composition,
    "delivery": Delivery,
    "receipt": Receipt,
    "news": News,
    "release": Release,
    "hold": Hold,
    "refusal": Refusal,
}
_NAMES: dict[type, str] = {step: name for name, step in STEP_TYPES.items()}


def encode(value: Any) -> bytes:
    """The bytes of a dataclass of `hub.message` that holds no step (for those: `encode_step`, `encode_thought`)."""
    return msgspec.msgpack.encode(value)


def decode(raw: bytes, wanted: type[T]) -> T:
    """The value of type `wanted`. Raises Damaged."""
    try:
        return msgspec.msgpack.decode(raw, type=wanted)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Damaged(f"cannot decode {wanted.__name__}: {type(error).__name__}") from None


def step_name(step: Step) -> str:
    """`filing`, `receipt`…: the name under which a step is stored, journaled and printed."""
    return _NAMES[type(step)]


def encode_step(step: Step) -> bytes:
    return encode(step)


def decode_step(name: str, raw: bytes) -> Step:
    """The step of that name. Raises Damaged (also for a name that no step has)."""
    if name not in STEP_TYPES:
        raise Damaged("unknown step type")
    step: Step = decode(raw, STEP_TYPES[name])
    return step


@dataclass(frozen=True)
class _StoredThought:
    classification: Classification
    match: Match
    kinds: tuple[str | None, ...]
    rule: str
    tried: tuple[RuleTried, ...]
    steps: tuple[tuple[str, bytes], ...]
    verdict: Verdict | None = None


def encode_thought(thought: Thought) -> bytes:
    steps = tuple((step_name(step), encode_step(step)) for step in thought.plan.steps)
    plan = thought.plan
    return encode(
        _StoredThought(
            thought.classification, thought.match, thought.kinds, plan.rule, plan.tried, steps, thought.verdict
        )
    )


def decode_thought(raw: bytes) -> Thought:
    """Raises Damaged."""
    stored = decode(raw, _StoredThought)
    steps = tuple(decode_step(name, body) for name, body in stored.steps)
    plan = Plan(rule=stored.rule, steps=steps, tried=stored.tried)
    return Thought(
        classification=stored.classification, match=stored.match, plan=plan, kinds=stored.kinds, verdict=stored.verdict
    )
