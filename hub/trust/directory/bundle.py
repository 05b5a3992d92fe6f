"""The pages that the FHIR API of the directory answers (R4, mssante.md §10.1): bytes flow in, resources flow out.

Of a resource only what the hub shows is read; the rest of it may be anything. One that cannot be read is left out and
counted. Pure. Failures: `Unreadable`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class Unreadable(Exception):
    """No Bundle, or an OperationOutcome: `code` is `broken` or `outcome`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Coding(_Part, frozen=True):
    system: str = ""
    code: str = ""
    display: str = ""


class Concept(_Part, frozen=True):
    coding: tuple[Coding, ...] = ()
    text: str = ""


class Extension(_Part, frozen=True):
    url: str = ""
    value_string: str = ""
    value_boolean: bool | None = None
    value_coding: Coding | None = None
    value_codeable_concept: Concept | None = None
    extension: tuple[Extension, ...] = ()


class Telecom(_Part, frozen=True):
    system: str = ""
    value: str = ""
    rank: int = 99
    extension: tuple[Extension, ...] = ()


class HumanName(_Part, frozen=True):
    family: str = ""
    given: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    suffix: tuple[str, ...] = ()


class Address(_Part, frozen=True):
    line: tuple[str | None, ...] = ()
    city: str = ""
    postal_code: str = ""


class Identifier(_Part, frozen=True):
    system: str = ""
    value: str = ""


class Reference(_Part, frozen=True):
    reference: str = ""
    display: str = ""


class Qualification(_Part, frozen=True):
    code: Concept = Concept()


class Resource(_Part, frozen=True):
    """One of the three kinds, with what any of them has. `name`: of persons, or of an organisation."""

    resource_type: str
    id: str = ""
    active: bool = True
    identifier: tuple[Identifier, ...] = ()
    name: tuple[HumanName, ...] | str = ()
    alias: tuple[str, ...] = ()
    telecom: tuple[Telecom, ...] = ()
    address: tuple[Address, ...] = ()
    practitioner: Reference = Reference()
    organization: Reference = Reference()
    code: tuple[Concept, ...] = ()
    specialty: tuple[Concept, ...] = ()
    qualification: tuple[Qualification, ...] = ()


class _Link(_Part, frozen=True):
    relation: str = ""
    url: str = ""


class _Item(_Part, frozen=True):
    resource: msgspec.Raw = msgspec.Raw(b"null")


class _Bundle(_Part, frozen=True):
    resource_type: str
    link: tuple[_Link, ...] = ()
    entry: tuple[_Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """`following`: the URL of the next page, "" after the last; `broken`: resources that cannot be read."""

    resources: tuple[Resource, ...]
    following: str = ""
    broken: int = 0


def page_of(raw: bytes) -> Page:
    """Raises Unreadable."""
    try:
        bundle = msgspec.json.decode(raw, type=_Bundle)
    except (msgspec.MsgspecError, RecursionError):
        raise Unreadable("broken") from None
    if bundle.resource_type != "Bundle":
        raise Unreadable("outcome" if bundle.resource_type == "OperationOutcome" else "broken")
    resources, broken = [], 0
    for item in bundle.entry:
        try:
            resources.append(msgspec.json.decode(item.resource, type=Resource))
        except (msgspec.MsgspecError, RecursionError):
            broken += 1
    following = next((link.url for link in bundle.link if link.relation == "next"), "")
    return Page(tuple(resources), following, broken)
