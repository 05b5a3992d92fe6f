"""Where a recipient leads today: an address as it is, a role to who holds it for the usager on the day of the sending.

In: the recipient as written, the usager when there is one for certain, what the address book knows (`Seen.held_roles`,
`Seen.today`). Out: `Towards`, or a doubt that keeps the mail from going. The role of the usager comes before that of
their territory, and that before the whole site's. Never the last known holder: a role that ended leads nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from hub.message import HeldRole, Reason, Role, RoleLevel
from hub.routing.about import about
from hub.routing.reasons import sentence
from hub.routing.rulebook import Policy, Rulebook
from hub.routing.view import Seen, view_of

LEVELS: tuple[RoleLevel, ...] = ("usager", "territory", "site")
_WHOSE: dict[RoleLevel, str] = {
    "usager": "de l'usager",
    "territory": "selon le territoire de l'usager",
    "site": "pour tout le site",
}
WITHOUT_USAGER = "role-without-usager"
# What the address book must be told before the mail can go.
ROLE_DOUBTS = frozenset(
    (
        "role-unresolved",
        "role-ended",
        "role-not-yet",
        "role-several",
        "role-contact-ended",
        "role-outside",
        "role-own-mailbox",
        WITHOUT_USAGER,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Towards:
    """`address` is "" with a `doubt`. `role` and `called`: in French, and as rules write it, what the address is for
    the usager; "" for one that was written as it is."""

    written: str
    address: str = ""
    role: str = ""
    called: str = ""
    doubt: Reason | None = None


def usager_for_roles(seen: Seen, rulebook: Rulebook, chosen: str | None = None) -> str | None:
    """Whose roles must be looked up before thinking: the one usager that it is about for certain, if roles may count.
    `chosen`: whom a human named."""
    if not rulebook.policy.roles.declared or (seen.answer is not None and chosen is None):
        return None
    if not seen.envelope.is_submission and not rulebook.names_roles:
        return None
    if chosen is not None:
        return chosen
    match = about(seen, rulebook).match if seen.envelope.is_submission else view_of(seen, rulebook).match
    return match.candidates[0].usager_id if match.outcome == "certain" else None


def towards(
    written: str, usager_id: str | None, seen: Seen, policy: Policy, *, may_be_ours: bool = True
) -> tuple[Towards, ...]:
    """One, or several for a shared role. `may_be_ours`: a mailbox of ours is a good recipient (not of what it got)."""
    words = policy.roles.asked(written)
    if words is None:
        return (Towards(written=written, address=written),)
    role = policy.roles.called(words)
    if role is None:
        return (Towards(written=written, doubt=_unknown(policy)),)
    if usager_id is None:
        return (_doubted(written, role, WITHOUT_USAGER),)
    return led_to(role, seen.held_roles, seen.today, policy, written, may_be_ours)


def led_to(
    role: Role,
    held: tuple[HeldRole, ...],
    on: date | None,
    policy: Policy,
    written: str = "",
    may_be_ours: bool = True,
) -> tuple[Towards, ...]:
    """Who holds the role on a day, of what the address book says of one usager (`held`)."""
    known = [one for one in held if one.role == role.name and one.withdrawn_at is None]
    for level in LEVELS:
        holders = [one for one in known if one.level == level and on is not None and one.is_held(on)]
        if len({one.contact.address for one in holders}) > 1 and not role.is_shared:
            return (_doubted(written, role, "role-several"),)
        if holders and on is not None:
            return tuple(_led(written, role, one, on, policy, may_be_ours) for one in holders)
    return (_nobody(written, role, known, on),)


def successor(address: str, usager_id: str, seen: Seen, policy: Policy) -> tuple[Role, date, Towards] | None:
    """Of somebody who was written to by hand and no longer holds a role for the usager: the role, since when not, and
    who holds it now; None when there is nothing to tell."""
    if seen.today is None:
        return None
    mine = [one for one in seen.held_roles if one.contact.address == address.casefold()]
    if any(one.is_held(seen.today) for one in mine):
        return None
    former = [one for one in mine if one.level == "usager" and one.until is not None and one.until < seen.today]
    for one in sorted(former, key=lambda one: one.until or date.min, reverse=True):
        role = policy.roles.named(one.role)
        if role is None or one.until is None:
            continue
        now = towards(f"role:{role.name}", usager_id, seen, policy)
        if all(each.doubt is None for each in now):
            return role, one.until + timedelta(days=1), now[0]
    return None


def _led(written: str, role: Role, held: HeldRole, on: date, policy: Policy, may_be_ours: bool) -> Towards:
    address = held.contact.address
    if not held.contact.is_active(on):
        return _doubted(written, role, "role-contact-ended")
    if not policy.members.has(address):
        return _doubted(written, role, "role-outside")
    if not may_be_ours and address in policy.own_addresses:
        return _doubted(written, role, "role-own-mailbox")
    said = f"{role.label} {_WHOSE[held.level]}" if held.level == "usager" else f"{role.label}, {_WHOSE[held.level]}"
    return Towards(
        written=written, address=address, role=f"{said}, depuis le {held.since:%d/%m/%Y}", called=f"role:{role.name}"
    )


def _nobody(written: str, role: Role, known: list[HeldRole], on: date | None) -> Towards:
    """Nobody holds it that day: the last who did, or the first who will, says more than nothing."""
    if on is not None:
        ends = [one.until for one in known if one.until is not None and one.until < on]
        if ends:
            return _doubted(written, role, "role-ended", f" (jusqu'au {max(ends):%d/%m/%Y})")
        begins = [one.since for one in known if one.since > on]
        if begins:
            return _doubted(written, role, "role-not-yet", f" (à partir du {min(begins):%d/%m/%Y})")
    return _doubted(written, role, "role-unresolved")


def _doubted(written: str, role: Role, code: str, when: str = "") -> Towards:
    said = Reason(code, f"Rôle « {role.label} »{when}. {sentence(code)}")
    return Towards(written=written, called=f"role:{role.name}", doubt=said)


def _unknown(policy: Policy) -> Reason:
    known = ", ".join(policy.roles.address(one) for one in policy.roles.declared)
    return Reason("role-unknown", f"{sentence('role-unknown')} Adresses possibles : {known}.")
