"""Slips of the pen in the site's rules, found when they are loaded and not in a year.

A section of `routes.yaml` in; every fault out, as (path in the file, what is wrong): names met twice, unknown kinds and
mailboxes, conditions that can never hold, rules that can never be reached, addresses that would loop, a last rule that
is not a hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hub.message import MessageClass
from hub.routing.catalogue import UNKNOWN
from hub.routing.classify import AUTOMATIC
from hub.routing.globs import covers, matches
from hub.routing.roles import PREFIX
from hub.routing.rules import NO_KIND, NORMAL, RESTRICTED, Route, conditions_of, written

Slip = tuple[tuple[str | int, ...], str]
Section = Literal["rules", "submissions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the site has names for. `mailboxes` empty: their names are not checked."""

    kinds: frozenset[str]
    mailboxes: frozenset[str]
    roles: frozenset[str] = frozenset()


def slips(
    section: Section, routes: tuple[Route, ...], named: Named, address_fault: Callable[[str], str | None]
) -> list[Slip]:
    """Every fault of one section. `address_fault` says why a rule may not write to an address."""
    if not routes:
        return []
    found = [
        *_shape(routes),
        *_strange(section, routes),
        *_vocabulary(routes, named),
        *(_impossible(routes) if section == "rules" else ()),
        *_addresses(routes, address_fault),
        *_unreachable(routes),
    ]
    return [((section, *path), text) for path, text in found]


# What a section does not know: conditions and deeds of the other one.
_ONLY_RULES = (
    ("sender", "domain", "sender_member", "report", "signature", "sending"),
    ("file", "note", "copy_to", "notify", "receipt"),
)
_ONLY_SUBMISSIONS = ("user", "recipient", "recipient_domain"), ("send", "signed")


def _strange(section: Section, routes: tuple[Route, ...]) -> list[Slip]:
    """Conditions and deeds that belong to the other section."""
    conditions, deeds = _ONLY_SUBMISSIONS if section == "rules" else _ONLY_RULES
    found: list[Slip] = []
    for number, route in enumerate(routes):
        met = [("when", field) for field, _ in conditions_of(route) if field in conditions]
        met += [("then", field) for field in deeds if field in route.then.model_fields_set]
        for part, field in met:
            found.append(((number, part, written(field)), f"{written(field)} has no meaning in {section}"))
    return found


def _shape(routes: tuple[Route, ...]) -> list[Slip]:
    found: list[Slip] = []
    names: set[str] = set()
    for number, route in enumerate(routes):
        if route.name in names:
            found.append(((number, "name"), f"{route.name} is the name of an earlier rule too"))
        names.add(route.name)
    last = len(routes) - 1
    if routes[last].then.hold is None or conditions_of(routes[last]):
        found.append(((last,), "the last rule must be a hold without conditions"))
    return found


_CLASSES = tuple(item.value for item in MessageClass if item is not MessageClass.LETTER)  # no rule is asked for those
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
_SIGNATURES = ("valid", "invalid", "unproven", "absent")
_SENDINGS = ("known", "disputed", "unclear", "unknown")
_STANDINGS = ("member", "outside", "unknown")


def _vocabulary(routes: tuple[Route, ...], named: Named) -> list[Slip]:
    """A pattern that can match nothing is a slip of the pen: said at load, not found out in a year."""
    allowed: dict[str, tuple[str, ...]] = {
        "message_class": _CLASSES,
        "match": _MATCHES,
        "urgency": _URGENCIES,
        "confidentiality": _CONFIDENTIALITY,
        "report": _REPORTS,
        "signature": _SIGNATURES,
        "sending": _SENDINGS,
        "sender_member": _STANDINGS,
        "kind": (*(kind for kind in named.kinds if kind != UNKNOWN), NO_KIND),
    }
    if named.mailboxes:
        allowed["mailbox"] = tuple(named.mailboxes)
    found: list[Slip] = []
    for number, route in enumerate(routes):
        for pattern in route.when.recipient or ():
            if pattern.startswith(PREFIX) and not any(matches(pattern, word) for word in named.roles):
                found.append(((number, "when", "recipient"), f"{pattern} is no role of the settings"))
        for field, patterns in conditions_of(route):
            for pattern in patterns if field in allowed else ():
                if not any(matches(pattern, word) for word in allowed[field]):
                    where = (number, "when", written(field))
                    found.append((where, f"{pattern} is no known {written(field).replace('_', ' ')}"))
    return found


def _impossible(routes: tuple[Route, ...]) -> list[Slip]:
    """Conditions that hold on no mail of the classes that the rule names."""
    found: list[Slip] = []
    for number, route in enumerate(routes):
        named = route.when.message_class or ()
        classes = {word for word in _CLASSES if any(matches(pattern, word) for pattern in named)}
        for field, patterns in conditions_of(route) if classes else ():
            without = classes <= _NO_DOCUMENTS and (
                field in _OF_DOCUMENTS or (field == "match" and not any(matches(each, "none") for each in patterns))
            )
            about_nothing = field == "sending" and not classes & set(AUTOMATIC)
            if without or about_nothing or (field == "report" and not classes & _REPORTING):
                where = (number, "when", written(field))
                found.append((where, f"can never hold with class {', '.join(named)}"))
    return found


def _addresses(routes: tuple[Route, ...], address_fault: Callable[[str], str | None]) -> list[Slip]:
    found: list[Slip] = []
    for number, route in enumerate(routes):
        for field, addresses in (("copy", route.then.copy_to), ("notify", route.then.notify)):
            where = (number, "then", field)
            found.extend((where, fault) for address in addresses if (fault := address_fault(address)) is not None)
            if addresses and _is_for_automatic_mail_only(route):
                found.append((where, "an automatic mail is never answered or copied (loops: complaints.md, row 15)"))
    return found


def _is_for_automatic_mail_only(route: Route) -> bool:
    return route.when.message_class is not None and set(route.when.message_class) <= set(AUTOMATIC)


def _unreachable(routes: tuple[Route, ...]) -> list[Slip]:
    found: list[Slip] = []
    for number, later in enumerate(routes):
        for earlier in routes[:number]:
            if _swallows(earlier, later):
                text = f"{later.name} can never be reached: everything it matches is taken by {earlier.name}"
                found.append(((number, "name"), text))
                break
    return found


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
