"""To whom what came in is passed on beside its filing: the copies and notices of a rule, by address or by role.

In: the message, the deciding rule, the usager that it is about. Out: the deliveries, and the doubts about roles that
keep the message before a human: a role that leads nowhere today loses no copy in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hub.message import Delivery, Reason
from hub.routing.rulebook import Policy
from hub.routing.rules import Route
from hub.routing.towards import Towards, towards
from hub.routing.view import Seen, View


@dataclass(frozen=True, slots=True)
class PassedOn:
    """Where the copies and the notices of the rule named `rule` lead today."""

    rule: str
    copies: tuple[Towards, ...] = ()
    notices: tuple[Towards, ...] = ()

    @property
    def doubts(self) -> tuple[Reason, ...]:
        return doubts_of((*self.copies, *self.notices))

    def deliveries(self, with_copies: bool) -> tuple[Delivery, ...]:
        """A message that the rule meant to file and that is held instead is not copied."""
        why = f"règle « {self.rule} »"
        return (
            *(_delivery("copy", one, why) for one in self.copies if with_copies and one.doubt is None),
            *(_delivery("notice", one, why) for one in self.notices if one.doubt is None),
        )


def doubts_of(known: tuple[Towards, ...]) -> tuple[Reason, ...]:
    return tuple(dict.fromkeys(one.doubt for one in known if one.doubt is not None))


def copies_of(known: tuple[Towards, ...]) -> tuple[Delivery, ...]:
    """The copies that a human lets go."""
    return tuple(_delivery("copy", one, "released") for one in known)


def _delivery(content: Literal["copy", "notice"], one: Towards, why: str) -> Delivery:
    return Delivery(content=content, recipient=one.address, reason=why, role=one.role)


def passed_on(seen: Seen, view: View, route: Route, policy: Policy) -> PassedOn:
    """Nothing of an automatic mail: two hubs would write to each other for ever (complaints.md, row 15)."""
    if view.is_automatic:
        return PassedOn(route.name)
    usager_id = view.match.candidates[0].usager_id if view.match.outcome == "certain" else None

    def led(written: tuple[str, ...]) -> tuple[Towards, ...]:
        """Each address once, however many of its roles a rule names."""
        found = (one for each in written for one in towards(each, usager_id, seen, policy, may_be_ours=False))
        return tuple({one.address or one.written: one for one in found}.values())

    return PassedOn(route.name, led(route.then.copy_to), led(route.then.notify))
