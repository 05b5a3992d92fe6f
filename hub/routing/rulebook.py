"""The site's rules, loaded: `routes.yaml` and `document_types.yaml`, read downward, the first match wins.

Two YAML texts in, one immutable `Rulebook` out, whole or not at all. Everything wrong is said at load, with `file:line
path message`: unknown keys, and what `slips` finds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from functools import partial
from typing import Any, Literal

from hub import configuration
from hub.domains import NO_MEMBERS, Members, domain_of
from hub.errors import Misconfigured
from hub.routing.catalogue import Catalogue, load_catalogue
from hub.routing.roles import NO_ROLES, PREFIX, Roles
from hub.routing.rules import NumberedRoute, Route, RoutesFile, Then
from hub.routing.slips import Named, slips


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that the mind obeys. `members` without a list: no domain is checked."""

    kind_confidence: float = 0.6
    qualified_statuses: frozenset[str] = frozenset({"qualifiee"})
    birth_place_required: bool = False
    unknown_previous: Literal["file", "hold"] = "file"
    members: Members = NO_MEMBERS
    own_addresses: frozenset[str] = frozenset()
    public_url: str = ""  # where the pages of the hub are shown, "" when they are not
    unsigned_domains: frozenset[str] = frozenset()  # of recipients to whom nothing is signed unless a rule says so
    addresses: tuple[tuple[str, str], ...] = ()  # name in the settings and address of each mailbox of ours
    zone: tzinfo = UTC  # in which letters tell times
    copied: frozenset[str] = frozenset()  # names of the mailboxes with a folder for copies of what they send
    roles: Roles = NO_ROLES


# A file without `submissions` sends nothing.
NO_SUBMISSIONS = (
    NumberedRoute(
        Route(
            name="aucune-regle",
            then=Then(hold="Aucune règle n'autorise d'envoi. Demandez à l'administrateur du hub d'en écrire une."),
        ),
        line=0,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """Everything that decides, loaded whole: never changed, only replaced. `names_roles`: what comes in may be passed
    on to who holds a role."""

    catalogue: Catalogue
    routes: tuple[NumberedRoute, ...]
    submissions: tuple[NumberedRoute, ...]
    policy: Policy
    names_roles: bool = False


def make_rulebook(
    types_text: str,
    types_name: str,
    routes_text: str,
    routes_name: str,
    policy: Policy,
    mailbox_names: frozenset[str],
    *,
    takes_outside: bool = False,
) -> Rulebook:
    """The rulebook of two texts. Raises Misconfigured with every error of the first wrong file, one a line.

    `mailbox_names` empty: names of mailboxes are not checked (a rulebook tried without a site). `takes_outside`: an
    address outside the trust space is no error (`strangers` tells them): the list changes without the rules, and the
    rest of them must go on."""
    catalogue = load_catalogue(types_text, types_name)
    tree = configuration.parse_yaml(routes_text, routes_name)
    file = configuration.validate(RoutesFile, tree, routes_name)
    named = Named(kinds=frozenset(catalogue.kinds), mailboxes=mailbox_names, roles=_role_names(policy))
    wrong = partial(_address_fault, policy=policy, takes_outside=takes_outside)
    errors = [*slips("rules", file.rules, named, wrong), *slips("submissions", file.submissions, named, wrong)]
    if errors:
        lines = sorted((configuration.line_of(tree, path), f"{_dotted(path)} {text}") for path, text in errors)
        raise Misconfigured("\n".join(f"{routes_name}:{line} {text}" for line, text in lines))

    def numbered(section: str, routes: tuple[Route, ...]) -> tuple[NumberedRoute, ...]:
        return tuple(
            NumberedRoute(route, configuration.line_of(tree, (section, number, "name")))
            for number, route in enumerate(routes)
        )

    return Rulebook(
        catalogue=catalogue,
        routes=numbered("rules", file.rules),
        submissions=numbered("submissions", file.submissions) or NO_SUBMISSIONS,
        policy=policy,
        names_roles=any(map(policy.roles.asked, _passed_to(file.rules))),
    )


def with_members(rulebook: Rulebook, members: Members) -> Rulebook:
    """The same rules under another list."""
    return replace(rulebook, policy=replace(rulebook.policy, members=members))


def strangers(rulebook: Rulebook) -> tuple[str, ...]:
    """Each domain of a rule to which nothing may leave, with the rule and its line; fit for a log."""
    policy = rulebook.policy
    return tuple(
        f"line {numbered.line}, {numbered.route.name}: {fault}"
        for numbered in (*rulebook.routes, *rulebook.submissions)
        for address in _passed_to((numbered.route,))
        if policy.roles.asked(address) is None and (fault := _outside(domain_of(address), policy)) is not None
    )


def _passed_to(rules: tuple[Route, ...]) -> Iterator[str]:
    for route in rules:
        yield from (*route.then.copy_to, *route.then.notify)


def _role_names(policy: Policy) -> frozenset[str]:
    return frozenset(f"{PREFIX}{one.name}" for one in policy.roles.declared)


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)


def _address_fault(address: str, policy: Policy, takes_outside: bool) -> str | None:
    """Why a rule may not write to this address, or role; None when it may."""
    words = policy.roles.asked(address)
    if words is not None:
        return None if policy.roles.called(words) is not None else f"{address} is no role of the settings"
    if address.casefold() in policy.own_addresses:
        return f"{address} is one of our mailboxes: the mail would come back for ever"
    return None if takes_outside else _outside(address, policy)


def _outside(address: str, policy: Policy) -> str | None:
    """Why nothing may leave for this address now (RH-86); None when it may."""
    if policy.members.has(address):
        return None
    near = ", ".join(policy.members.nearest(address))
    return f"{address} is outside the trust space{f' (nearest member domains: {near})' if near else ''}"


def schema() -> dict[str, Any]:
    """The JSON Schema of the file, for editors: a list of one may be written as one value."""
    mended: dict[str, Any] = _with_single_values(RoutesFile.model_json_schema(by_alias=True))
    return mended


def _with_single_values(schema: Any) -> Any:
    """Where an array of texts is expected, one text or number will do (`_as_list`)."""
    if isinstance(schema, list):
        return [_with_single_values(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    mended = {key: _with_single_values(value) for key, value in schema.items()}
    items = mended.get("items")
    if mended.get("type") == "array" and isinstance(items, dict) and items.get("type") == "string":
        kept = {key: mended.pop(key) for key in ("title", "default", "description") if key in mended}
        return {**kept, "anyOf": [items, {"type": "integer"}, mended]}
    return mended
