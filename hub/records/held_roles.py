"""Who holds which role for whom: the référent ASE of an usager, the secretariat of a territory, from when to when.

What a person or a CSV says flows in, the roles with their history flow out, for the mind to resolve on the day of a
sending. What was said stays: a row is withdrawn, once, and said anew. At each day a role has one holder at most, unless
it is shared (`tenures`). Journaled by ids and role names. A lost database raises Temporary; what cannot be, Permanent.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.journal import Deed
from hub.message import HeldRole, Role
from hub.ports import Clock
from hub.records.addresses import IsMember, fault_of, normal_form
from hub.records.contacts import BookImport, alone, by_address, iso_of, known_contact
from hub.records.csv_lines import Problem
from hub.records.held_roles_read import HELD, For, is_for, read_roles, still_true, tenures_of, to_hand_over
from hub.records.tenures import Change, Overlap, Tenure, ended, handed_over, placed
from hub.records.usagers import USAGER

_ADD = insert(HELD)
_BY_NUMBER = select(USAGER.c.id).where(USAGER.c.record_number == bindparam("wanted"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSaid:
    """One line of a CSV of roles (`roles_csv`): of an usager by record number, or of a territory."""

    role: str
    address: str
    since: date
    until: date | None = None
    record_number: str | None = None
    territory: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesRead:
    """A CSV of roles as it was understood; `roles` and `lines` go together."""

    roles: tuple[RoleSaid, ...] = ()
    lines: tuple[int, ...] = ()
    ignored: int = 0
    problems: tuple[Problem, ...] = ()


class SqlHeldRoles:
    """What the commands do with roles. `roles` are those of the settings, `is_member` says which addresses are of the
    trust space, `timezone` is the site's."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        roles: tuple[Role, ...],
        is_member: IsMember,
        timezone: str = "Europe/Paris",
    ) -> None:
        self._database = database
        self._clock = clock
        self._roles = {one.name: one for one in roles}
        self._is_member = is_member
        self._zone = ZoneInfo(timezone)

    async def of(self, whom: For) -> tuple[HeldRole, ...]:
        """All that was ever said of them, withdrawn or not, in the order of the days; of an usager, of nobody else."""
        return await self._database.read(lambda c: read_roles(c, is_for(whom)))

    async def defaults(self) -> tuple[HeldRole, ...]:
        """Those of all territories and of the site."""
        return await self._database.read(lambda c: read_roles(c, HELD.c.territory_key.is_not(None)))

    async def of_contact(self, contact_id: str) -> tuple[HeldRole, ...]:
        return await self._database.read(lambda c: read_roles(c, HELD.c.contact == contact_id))

    async def say(
        self, whom: For, role: str, address: str, since: date, until: date | None, by: str
    ) -> tuple[HeldRole, ...]:
        """Somebody holds a role. Gives what is true of that role from now on. Raises Permanent: an unknown role or
        contact, days in the wrong order or of another holder."""
        known_role = self._known(role)
        called = normal_form(address)
        fault = fault_of(called, self._is_member)
        if fault is not None:
            raise Permanent("an address that may not hold a role", f"Adresse refusée : {fault}.")
        if until is not None and until < since:
            raise Permanent(
                "a role ends before it begins", "Le dernier jour est avant le premier : corrigez les dates."
            )

        def work(connection: Connection) -> tuple[HeldRole, ...]:
            alone(connection, HELD.name)
            new = Tenure(known_contact(connection, called).id, since, until)
            known = tenures_of(connection, whom, role)
            try:
                change = placed(known, new, known_role.is_shared)
            except Overlap as overlap:
                raise Permanent("two holders of a role", _in_the_way(overlap.with_, new)) from None
            self._note(connection, by, self._apply(connection, whom, role, known, change, by))
            return still_true(connection, whom, role)

        return await self._database.write(work)

    async def end(self, whom: For, role: str, address: str, until: date, by: str) -> tuple[HeldRole, ...]:
        """Its last day. Raises Permanent when nobody at this address holds it after that day."""
        return await self._settle(whom, role, address, until, by)

    async def withdraw(self, whom: For, role: str, address: str, by: str) -> tuple[HeldRole, ...]:
        """It was noted by mistake: the last thing said of this contact is taken back."""
        return await self._settle(whom, role, address, None, by)

    async def hand_over(self, old: str, new: str, since: date, by: str) -> tuple[HeldRole, ...]:
        """Whoever is at `old` leaves: all that is held there on the day `since`, or later, is held at `new` from that
        day on. Gives what was handed over. Raises Permanent, and then nothing was."""
        called = normal_form(new)
        fault = fault_of(called, self._is_member)
        if fault is not None:
            raise Permanent("an address that may not hold a role", f"Adresse refusée : {fault}.")

        def work(connection: Connection) -> tuple[HeldRole, ...]:
            alone(connection, HELD.name)
            leaving, coming = known_contact(connection, normal_form(old)).id, known_contact(connection, called).id
            going_on = to_hand_over(connection, leaving, since)
            deeds: list[Deed] = []
            for whom, one in going_on:
                change = handed_over(Tenure(leaving, one.since, one.until), coming, since)
                deeds += self._apply(connection, whom, one.role, tenures_of(connection, whom, one.role), change, by)
            self._note(connection, by, deeds)
            return tuple(one for _, one in going_on)

        return await self._database.write(work)

    async def store(self, read: RolesRead, by: str, rehearsal: bool = False) -> BookImport:
        """Say every line of a file, all or nothing."""
        if read.problems:
            return BookImport(problems=read.problems)

        def work(connection: Connection) -> BookImport:
            alone(connection, HELD.name)
            contacts = by_address(connection, [one.address for one in read.roles])
            problems: list[Problem] = []
            added = changed = 0
            deeds: list[Deed] = []
            for line, one in zip(read.lines, read.roles, strict=True):
                found = self._whom(connection, one)
                contact = contacts.get(one.address)
                if isinstance(found, str):
                    problems.append(Problem(line, "numero_dossier", found))
                    continue
                fault = fault_of(one.address, self._is_member)
                if contact is None or fault is not None:
                    missing = "adresse absente du carnet : ajoutez-la d'abord (hub contacts add, ou import)"
                    problems.append(Problem(line, "adresse", fault or missing))
                    continue
                new, known = Tenure(contact.id, one.since, one.until), tenures_of(connection, found, one.role)
                try:
                    change = placed(known, new, self._known(one.role).is_shared)
                except Overlap as overlap:
                    problems.append(Problem(line, "du", _in_the_way(overlap.with_, new)))
                    continue
                added += bool(change.said) and not change.withdrawn
                changed += bool(change.withdrawn)
                deeds += self._apply(connection, found, one.role, known, change, by)
            if problems or rehearsal:
                raise _Undone(BookImport(problems=tuple(problems)) if problems else _counted(read, added, changed))
            self._note(connection, by, deeds)
            return _counted(read, added, changed)

        try:
            return await self._database.write(work)
        except _Undone as undone:
            return undone.result

    async def _settle(self, whom: For, role: str, address: str, until: date | None, by: str) -> tuple[HeldRole, ...]:
        def work(connection: Connection) -> tuple[HeldRole, ...]:
            alone(connection, HELD.name)
            contact = known_contact(connection, normal_form(address)).id
            known = tenures_of(connection, whom, role)
            change: Change | None
            if until is not None:
                change = ended(known, contact, until)
            else:
                own = [one for one in known if one.contact == contact]
                change = Change((max(own, key=lambda one: one.since),)) if own else None
            if change is None:
                raise Permanent(
                    "this contact does not hold the role then",
                    "Cette adresse ne tient pas ce rôle à cette date : voyez « hub usagers roles ».",
                )
            self._note(connection, by, self._apply(connection, whom, role, known, change, by))
            return still_true(connection, whom, role)

        return await self._database.write(work)

    def _known(self, role: str) -> Role:
        found = self._roles.get(role)
        if found is None:
            known = ", ".join(self._roles)
            raise Permanent(f"no role is called {role}", f"Aucun rôle ne s'appelle {role} (connus : {known}).")
        return found

    def _whom(self, connection: Connection, one: RoleSaid) -> For | str:
        if one.record_number is None:
            return For(territory=one.territory)
        found = connection.execute(_BY_NUMBER, {"wanted": one.record_number}).first()
        return "aucun usager n'a ce numéro de dossier" if found is None else For(usager_id=found.id)

    def _apply(
        self, connection: Connection, whom: For, role: str, known: Mapping[Tenure, str], change: Change, by: str
    ) -> list[Deed]:
        """What is to be journaled of it, last (`hub.journal`)."""
        now = self._clock()
        deeds: list[Deed] = []
        for one in change.withdrawn:
            values = {"withdrawn_at": now, "withdrawn_by": by}
            connection.execute(update(HELD).where(HELD.c.id == known[one]).values(values))
            deeds.append(_deed("role withdrawn", whom, role, known[one], one))
        for one in change.said:
            number = secrets.token_hex(16)
            row = {
                "id": number,
                "role": role,
                "contact": one.contact,
                "usager": whom.usager_id,
                "territory": whom.territory,
                "territory_key": whom.territory_key,
                "since": iso_of(one.since),
                "until": iso_of(one.until),
                "said_at": now,
                "said_by": by,
            }
            connection.execute(_ADD, row)
            deeds.append(_deed("role held", whom, role, number, one))
        return deeds

    def _note(self, connection: Connection, by: str, deeds: list[Deed]) -> None:
        if deeds:
            journal.append_all(connection, self._clock().astimezone(self._zone), by, deeds)


class _Undone(Exception):
    """Rolls a rehearsal back, or an import with problems."""

    def __init__(self, result: BookImport) -> None:
        super().__init__("undone")
        self.result = result


def _deed(action: str, whom: For, role: str, row: str, one: Tenure) -> Deed:
    request = f"{role} of {whom.level} {whom.usager_id or ''}".strip()
    return Deed(action, request, f"{row} contact {one.contact} from {one.since} to {one.until or '-'}")


def _counted(read: RolesRead, added: int, changed: int) -> BookImport:
    return BookImport(added=added, changed=changed, unchanged=len(read.roles) - added - changed)


def _in_the_way(other: Tenure, new: Tenure) -> str:
    until = f" jusqu'au {other.until:%d/%m/%Y}" if other.until else ""
    who = "cette adresse tient déjà ce rôle" if other.contact == new.contact else "quelqu'un d'autre tient ce rôle"
    return f"{who} depuis le {other.since:%d/%m/%Y}{until} : terminez d'abord cette période, ou donnez d'autres dates."
