"""The site's rules, loaded: `routes.yaml` and `document_types.yaml`, read downward, the first match wins.

Two YAML texts in, one immutable `Rulebook` out, whole or not at all. Everything wrong is said at load, with `file:line
path message`: unknown keys, unknown kinds and mailboxes, rules that can never be reached, addresses that would loop, a
last rule that is not a hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hub import configuration
from hub.errors import Misconfigured
from hub.message import MessageClass
from hub.routing.catalogue import UNKNOWN, Catalogue, load_catalogue
from hub.routing.classify import AUTOMATIC
from hub.routing.globs import covers, matches
from hub.routing.rules import (
    NO_KIND,
    NORMAL,
    RESTRICTED,
    NumberedRoute,
    Route,
    RoutesFile,
    conditions_of,
    written,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The settings that the mind obeys. `member_domains` empty: the sender's domain is not checked."""

    kind_confidence: float = 0.6
    qualified_statuses: frozenset[str] = frozenset({"qualifiee"})
    birth_place_required: bool = False
    unknown_previous: Literal["file", "hold"] = "file"
    member_domains: frozenset[str] = frozenset()
    own_addresses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rulebook:
    """Everything that decides, loaded whole: never changed, only replaced."""

    catalogue: Catalogue
    routes: tuple[NumberedRoute, ...]
    policy: Policy


def make_rulebook(
    types_text: str,
    types_name: str,
    routes_text: str,
    routes_name: str,
    policy: Policy,
    mailbox_names: frozenset[str],
) -> Rulebook:
    """The rulebook of two texts. Raises Misconfigured with every error of the first wrong file, one a line.

    `mailbox_names` empty: names of mailboxes are not checked (a rulebook tried without a site)."""
    catalogue = load_catalogue(types_text, types_name)
    tree = configuration.parse_yaml(routes_text, routes_name)
    routes = configuration.validate(RoutesFile, tree, routes_name).rules
    errors = [
        *_shape_errors(routes),
        *_vocabulary_errors(routes, catalogue, mailbox_names),
        *_impossible(routes),
        *_address_errors(routes, policy),
        *_unreachable(routes),
    ]
    if errors:
        lines = sorted((configuration.line_of(tree, path), f"{_dotted(path)} {text}") for path, text in errors)
        raise Misconfigured("\n".join(f"{routes_name}:{line} {text}" for line, text in lines))
    numbered = tuple(
        NumberedRoute(route, configuration.line_of(tree, ("rules", number, "name")))
        for number, route in enumerate(routes)
    )
    return Rulebook(catalogue=catalogue, routes=numbered, policy=policy)


_Error = tuple[tuple[str | int, ...], str]


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in path)


def _shape_errors(routes: tuple[Route, ...]) -> list[_Error]:
    errors: list[_Error] = []
    names: set[str] = set()
    for number, route in enumerate(routes):
        if route.name in names:
            errors.append((("rules", number, "name"), f"{route.name} is the name of an earlier rule too"))
        names.add(route.name)
    last = len(routes) - 1
    if routes[last].then.hold is None or conditions_of(routes[last]):
        errors.append((("rules", last), "the last rule must be a hold without conditions"))
    return errors


_CLASSES = tuple(item.value for item in MessageClass)
_MATCHES = ("certain", "proposed", "none", "900", "901", "902", "903", "904", "905", "906")
_OUTCOMES = ("certain", "proposed", "none")
_URGENCIES = ("P0", "P1", "P2", "P3")
# HL7 Confidentiality and TRE_A07 (config/codes/confidentiality.csv), and the two words of ours.
_CONFIDENTIALITY = (
    "N", "R", "V", "L", "M", "U", "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REPRESENTANTS_LEGAUX",
    RESTRICTED, NORMAL,
)  # fmt: skip
# DSN actions (RFC 3464), MDN dispositions (RFC 8098); an error is an integration code, an SMTP reply or its class.
_REPORTS = (
    "failed", "delayed", "delivered", "relayed", "expanded",
    "displayed", "deleted", "dispatched", "processed", "denied",
    "error", "failure", "warning", "4", "5",
    *(str(code) for code in (*range(400, 600), *range(900, 907))),
)  # fmt: skip
_OF_DOCUMENTS = ("kind", "type_code", "urgency", "confidentiality", "facility")  # nothing to see on other mail
_NO_DOCUMENTS = frozenset({"dsn", "mdn", "auto_reply", "text"})
_REPORTING = frozenset({"dsn", "mdn"})


def _vocabulary_errors(routes: tuple[Route, ...], catalogue: Catalogue, mailbox_names: frozenset[str]) -> list[_Error]:
    """A pattern that can match nothing is a slip of the pen: said at load, not found out in a year."""
    allowed: dict[str, tuple[str, ...]] = {
        "message_class": _CLASSES,
        "match": _MATCHES,
        "urgency": _URGENCIES,
        "confidentiality": _CONFIDENTIALITY,
        "report": _REPORTS,
        "kind": (*(kind for kind in catalogue.kinds if kind != UNKNOWN), NO_KIND),
    }
    if mailbox_names:
        allowed["mailbox"] = tuple(mailbox_names)
    errors: list[_Error] = []
    for number, route in enumerate(routes):
        for field, patterns in conditions_of(route):
            for pattern in patterns if field in allowed else ():
                if not any(matches(pattern, word) for word in allowed[field]):
                    where = ("rules", number, "when", written(field))
                    errors.append((where, f"{pattern} is no known {written(field).replace('_', ' ')}"))
    return errors


def _impossible(routes: tuple[Route, ...]) -> list[_Error]:
    """Conditions that hold on no mail of the classes that the rule names."""
    errors: list[_Error] = []
    for number, route in enumerate(routes):
        named = route.when.message_class or ()
        classes = {word for word in _CLASSES if any(matches(pattern, word) for pattern in named)}
        for field, patterns in conditions_of(route) if classes else ():
            without = classes <= _NO_DOCUMENTS and (
                field in _OF_DOCUMENTS or (field == "match" and not any(matches(each, "none") for each in patterns))
            )
            if without or (field == "report" and not classes & _REPORTING):
                where = ("rules", number, "when", written(field))
                errors.append((where, f"can never hold with class {', '.join(named)}"))
    return errors


def _address_errors(routes: tuple[Route, ...], policy: Policy) -> list[_Error]:
    errors: list[_Error] = []
    own = {address.casefold() for address in policy.own_addresses}
    for number, route in enumerate(routes):
        for field, addresses in (("copy", route.then.copy_to), ("notify", route.then.notify)):
            where = ("rules", number, "then", field)
            for address in addresses:
                if address.casefold() in own:
                    errors.append((where, f"{address} is one of our mailboxes: the mail would come back for ever"))
                elif not is_member(address, policy.member_domains):
                    errors.append((where, f"{address} is outside the trust space"))
            if addresses and _is_for_automatic_mail_only(route):
                errors.append((where, "an automatic mail is never answered or copied (loops: complaints.md, row 15)"))
    return errors


def _is_for_automatic_mail_only(route: Route) -> bool:
    return route.when.message_class is not None and set(route.when.message_class) <= set(AUTOMATIC)


def is_member(address: str, domains: frozenset[str]) -> bool:
    """Whether the address is in the trust space (RH-38: exact domain, case-folded, IDNA); always when none is given."""
    if not domains:
        return True
    domain = address.rpartition("@")[2].strip().casefold().rstrip(".")
    try:
        ascii_domain = domain.encode("idna").decode("ascii")
    except UnicodeError:  # no domain name at all: not a member
        return False
    return bool(domain) and (domain in domains or ascii_domain in domains)


def _unreachable(routes: tuple[Route, ...]) -> list[_Error]:
    errors: list[_Error] = []
    for number, later in enumerate(routes):
        for earlier in routes[:number]:
            if _swallows(earlier, later):
                text = f"{later.name} can never be reached: everything it matches is taken by {earlier.name}"
                errors.append((("rules", number, "name"), text))
                break
    return errors


def _swallows(earlier: Route, later: Route) -> bool:
    """Whether every message that `later` matches is matched by `earlier`: each condition of `earlier` is met by one of
    `later`, each of whose patterns it covers."""
    later_conditions = dict(conditions_of(later))
    for field, wide in conditions_of(earlier):
        if _names_everything(field, wide):
            continue
        narrow = later_conditions.get(field)
        if narrow is None or not all(any(covers(one, pattern) for one in wide) for pattern in narrow):
            return False
    return True


def _names_everything(field: str, patterns: tuple[str, ...]) -> bool:
    """Every mail has a class and an outcome: a condition that names all of them holds always."""
    every = {"message_class": _CLASSES, "match": _OUTCOMES}.get(field)
    return every is not None and all(any(matches(pattern, word) for pattern in patterns) for word in every)


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
