"""MemoryBook: the address book without a database (`hub.records.contacts`, `hub.records.held_roles`).

It passes the contracts of tests/book_contract.py, which the real ones pass too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from itertools import count

from hub.errors import Permanent
from hub.message import Contact, HeldRole, MailboxType, Role, comparable
from hub.records.addresses import fault_of, normal_form
from hub.records.contacts import Described
from hub.records.held_roles_read import For
from hub.records.tenures import Change, Overlap, Tenure, ended, placed
from hub.settings import AddressBook

ROLES = tuple(Role(name=one.name, label=one.label, is_shared=one.shared) for one in AddressBook().roles)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class MemoryBook:
    clock: Callable[[], datetime] = _now
    roles: tuple[Role, ...] = ROLES
    is_member: Callable[[str], bool] = lambda address: True
    lines: dict[str, Contact] = field(default_factory=dict)  # by address
    said: list[tuple[For, HeldRole]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    # --- contacts

    async def find(
        self,
        words: str,
        type: MailboxType | None = None,
        departement: str = "",
        limit: int = 50,
    ) -> tuple[Contact, ...]:
        wanted = (comparable(words) or "").split()
        found = []
        for one in sorted(self.lines.values(), key=lambda one: (one.organisation, one.name, one.address)):
            told = comparable(f"{one.name} {one.organisation} {one.service} {one.departement} {one.address} {one.type}")
            fits = (type in (None, one.type), departement in ("", one.departement))
            if all(fits) and all(word in (told or "") for word in wanted):
                found.append(one)
        return tuple(found[:limit])

    async def contact(self, address: str) -> Contact | None:
        return self.lines.get(normal_form(address))

    async def add(self, address: str, described: Described, by: str) -> Contact:
        called = normal_form(address)
        self._check(called, described)
        if called in self.lines:
            raise Permanent("there already")
        return self._keep(called, described, f"contact-{next(self.numbers)}", by)

    async def change(self, address: str, described: Described, by: str) -> Contact:
        called = normal_form(address)
        if described.since and described.until and described.until < described.since:
            raise Permanent("backwards")
        return self._keep(called, described, self._known(called).id, by)

    def _check(self, address: str, described: Described) -> None:
        backwards = described.since and described.until and described.until < described.since
        if backwards or fault_of(address, self.is_member):
            raise Permanent("may not stand there")

    def _keep(self, address: str, described: Described, number: str, by: str) -> Contact:
        self.lines[address] = Contact(
            id=number,
            address=address,
            type=described.type,
            name=described.name,
            organisation=described.organisation,
            service=described.service,
            departement=described.departement,
            note=described.note,
            since=described.since,
            until=described.until,
            changed_at=self.clock(),
            changed_by=by,
        )
        return self.lines[address]

    def _known(self, address: str) -> Contact:
        if address not in self.lines:
            raise Permanent("no such contact")
        return self.lines[address]

    # --- roles

    def held_roles(self, usager_id: str, territory: str | None) -> tuple[HeldRole, ...]:
        mine = [For(usager_id=usager_id), For(), *([For(territory=territory)] if territory else [])]
        return tuple(one for whom in mine for one in self._true(whom))

    async def of(self, whom: For) -> tuple[HeldRole, ...]:
        return tuple(sorted(self._of(whom), key=lambda one: (one.role, one.since, one.said_at)))

    async def say(
        self, whom: For, role: str, address: str, since: date, until: date | None, by: str
    ) -> tuple[HeldRole, ...]:
        known_role = next((one for one in self.roles if one.name == role), None)
        called = normal_form(address)
        if known_role is None or fault_of(called, self.is_member) or (until and until < since):
            raise Permanent("cannot be")
        new = Tenure(self._known(called).id, since, until)
        try:
            change = placed(self._tenures(whom, role), new, known_role.is_shared)
        except Overlap:
            raise Permanent("two holders") from None
        return self._apply(whom, role, change, by)

    async def end(self, whom: For, role: str, address: str, until: date, by: str) -> tuple[HeldRole, ...]:
        change = ended(self._tenures(whom, role), self._known(normal_form(address)).id, until)
        if change is None:
            raise Permanent("not held then")
        return self._apply(whom, role, change, by)

    async def withdraw(self, whom: For, role: str, address: str, by: str) -> tuple[HeldRole, ...]:
        contact = self._known(normal_form(address)).id
        own = [one for one in self._tenures(whom, role) if one.contact == contact]
        if not own:
            raise Permanent("not held")
        return self._apply(whom, role, Change((max(own, key=lambda one: one.since),)), by)

    def _of(self, whom: For) -> list[HeldRole]:
        return [replace(one, contact=self._now(one)) for said_of, one in self.said if _key(said_of) == _key(whom)]

    def _true(self, whom: For) -> list[HeldRole]:
        return [one for one in self._of(whom) if one.withdrawn_at is None]

    def _now(self, held: HeldRole) -> Contact:
        return self.lines[held.contact.address]

    def _tenures(self, whom: For, role: str) -> list[Tenure]:
        return [_tenure(one) for one in self._true(whom) if one.role == role]

    def _apply(self, whom: For, role: str, change: Change, by: str) -> tuple[HeldRole, ...]:
        def is_withdrawn(said_of: For, one: HeldRole) -> bool:
            is_true = _key(said_of) == _key(whom) and one.role == role and one.withdrawn_at is None
            return is_true and _tenure(one) in change.withdrawn

        self.said = [
            (said_of, replace(one, withdrawn_at=self.clock(), withdrawn_by=by))
            if is_withdrawn(said_of, one)
            else (said_of, one)
            for said_of, one in self.said
        ]
        by_id = {one.id: one for one in self.lines.values()}
        for tenure in change.said:
            held = HeldRole(
                id=f"held-{next(self.numbers)}",
                role=role,
                contact=by_id[tenure.contact],
                level=whom.level,
                since=tenure.since,
                until=tenure.until,
                territory=whom.territory,
                said_at=self.clock(),
                said_by=by,
            )
            self.said.append((whom, held))
        true = [one for one in self._true(whom) if one.role == role]
        return tuple(sorted(true, key=lambda one: one.since))


def _key(whom: For) -> tuple[str | None, str | None]:
    return whom.usager_id, comparable(whom.territory)


def _tenure(held: HeldRole) -> Tenure:
    return Tenure(held.contact.id, held.since, held.until)
