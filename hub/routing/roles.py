"""How a role is written where an address stands: `role:referent_ase` in rules and commands, in a mail program
`referent-ase@dossier.invalid`.

A recipient as written in, the role of the site that it calls out. Who that is today: `hub.routing.towards`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hub.message import Role

PREFIX = "role:"
_BETWEEN = re.compile(r"[-_. ]+")


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of the site, and the domain that stands for them: nothing is ever delivered there. None: without."""

    declared: tuple[Role, ...] = ()
    domain: str = ""

    def asked(self, recipient: str) -> str | None:
        """What is written for the role; None for an ordinary address. It may be no role of the site."""
        text = recipient.strip().casefold()
        if text.startswith(PREFIX):
            return text.removeprefix(PREFIX).strip()
        local, _, domain = text.rpartition("@")
        return local if self.domain and domain == self.domain else None

    def called(self, words: str) -> Role | None:
        """The role of this name; hyphens, dots and underlines are alike."""
        wanted = _BETWEEN.sub("", words.casefold())
        return next((one for one in self.declared if _BETWEEN.sub("", one.name) == wanted), None)

    def named(self, name: str) -> Role | None:
        return next((one for one in self.declared if one.name == name), None)

    def address(self, role: Role) -> str:
        """What a person writes to in a mail program."""
        return f"{role.name.replace('_', '-')}@{self.domain}"


NO_ROLES = Roles()
