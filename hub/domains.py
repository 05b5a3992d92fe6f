"""The domains of mail addresses: how they are compared, and which belong to the trust space (liste blanche).

Names flow in, a `Members` flows out: immutable, asked for each address. Comparison is exact (RH-38): case-folded, the
written and the coded form of an international name alike, never by suffix, so that `evil.mssante.fr` is no member for
ending like one. What is no domain name is a member of nothing. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from hub.nearness import Nearness

Standing = Literal["member", "outside", "unknown"]

_NAME_MOST = 253  # RFC 1035 §2.3.4, without the final dot
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_ORGANISATION = re.compile(r'(?:^|,)\s*(?:O|CN)=(?P<value>"[^"]*"|(?:\\.|[^,\\])*)')
_KEPT_NEAR = 1_000  # wrong domains whose neighbours are remembered


@dataclass(frozen=True, slots=True)
class Member:
    """`name` as the list writes it first; a name stands there once for each certificate of each of its operators
    (mssante.md §9). `operators`: the names (DN) of those certificates."""

    name: str
    descriptions: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()

    @property
    def organisations(self) -> tuple[str, ...]:
        """The operators as people call them, each once."""
        return tuple(dict.fromkeys(filter(None, map(_organisation, self.operators))))


@dataclass(frozen=True, eq=False)
class Members:
    """By compared name. Empty: no list is known, and nobody is called a stranger for it."""

    by_name: Mapping[str, Member] = field(default_factory=dict, repr=False)

    @property
    def is_known(self) -> bool:
        return bool(self.by_name)

    def of(self, address: str) -> Member | None:
        """The member behind an address, or behind a bare domain."""
        return self.by_name.get(compared(domain_of(address)) or "")

    def has(self, address: str) -> bool:
        """Whether nothing speaks against this address; always when no list is known."""
        return not self.is_known or self.of(address) is not None

    def standing(self, address: str) -> Standing:
        if not self.is_known:
            return "unknown"
        return "outside" if self.of(address) is None else "member"

    def nearest(self, address: str) -> tuple[str, ...]:
        """Members whose names resemble that of this stranger, at most three, the nearest first."""
        asked = compared(domain_of(address))
        if asked is None or asked in self.by_name:
            return ()
        found = self._near.get(asked)
        if found is None:
            found = tuple(self.by_name[name].name.casefold() for name in self._nearness.of(asked))
            if len(self._near) < _KEPT_NEAR:
                self._near[asked] = found
        return found

    @cached_property
    def _nearness(self) -> Nearness:
        return Nearness(self.by_name)

    @cached_property
    def _near(self) -> dict[str, tuple[str, ...]]:
        return {}


NO_MEMBERS = Members()


def members_of(named: Iterable[Member | str]) -> Members:
    """Entries of one name become one member. What is no domain name is left out."""
    found: dict[str, Member] = {}
    for one in named:
        member = Member(one) if isinstance(one, str) else one
        name = compared(member.name)
        if name is not None:
            before = found.get(name)
            found[name] = member if before is None else _joined(before, member)
    return Members(found)


def _joined(one: Member, other: Member) -> Member:
    return Member(
        one.name,
        tuple(dict.fromkeys((*one.descriptions, *other.descriptions))),
        tuple(dict.fromkeys((*one.operators, *other.operators))),
    )


def domain_of(address: str) -> str:
    """What follows the last @; a bare domain is its own."""
    return address.rpartition("@")[2]


def compared(domain: str) -> str | None:
    """The one form in which a domain is compared: `Hôpital.MSSANTE.fr.` and `xn--hpital-xxa.mssante.fr` alike. None:
    this is no domain name."""
    name = domain.strip().casefold().removesuffix(".")
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii") if len(name) <= _NAME_MOST else ""
        except UnicodeError:
            return None
    labels = name.split(".")
    is_name = len(name) <= _NAME_MOST and len(labels) > 1 and all(map(_LABEL.fullmatch, labels))
    return name if is_name else None


def _organisation(certificate_name: str) -> str:
    """The O of a DN, its CN when it has none (RFC 4514 §2)."""
    parts = {
        found[0].lstrip(", ").partition("=")[0]: found["value"] for found in _ORGANISATION.finditer(certificate_name)
    }
    value = parts.get("O") or parts.get("CN") or ""
    return re.sub(r"\\(.)", r"\1", value.strip().strip('"')).strip()
