"""The contacts of the address book: whom the national directory does not hold (BAL APP, services of the ASE).

What a person types or a CSV holds flows in, lines of the book flow out.
An address never changes and no line is deleted: somebody who left is ended. Each change is journaled by ids and names
of fields. A lost database raises Temporary; a change that cannot be, Permanent, with what to do.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Permanent
from hub.message import Contact, MailboxType, comparable
from hub.ports import Clock
from hub.records.addresses import IsMember, fault_of, normal_form
from hub.records.csv_lines import Problem
from hub.tables import ContactRow

CONTACT = ContactRow.__table__  # type: ignore[attr-defined]

MAILBOX_TYPES: tuple[MailboxType, ...] = ("APP", "ORG", "PER", "CAB")
FOUND_MOST = 50
BACKWARDS = "Le dernier jour est avant le premier : corrigez les dates."

_ALL = select(CONTACT).order_by(CONTACT.c.organisation, CONTACT.c.name, CONTACT.c.address)
_CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """All that is said of an address; see `hub.message.Contact`."""

    type: MailboxType
    name: str = ""
    organisation: str = ""
    service: str = ""
    departement: str = ""
    note: str = ""
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsRead:
    """A CSV of contacts as it was understood (`contacts_csv`): address and what is said of it, the line of each."""

    contacts: tuple[tuple[str, Described], ...] = ()
    lines: tuple[int, ...] = ()
    columns: frozenset[str] = frozenset()  # of `Described` that the file speaks of
    ignored: int = 0
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BookImport:
    """What an import did, or would do (a rehearsal); with `problems` nothing at all was written."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    problems: tuple[Problem, ...] = ()


class SqlContacts:
    """What the commands do with the book. `is_member` says which addresses are of the trust space,
    `timezone` is the site's: days begin at its midnight."""

    def __init__(self, database: Database, clock: Clock, is_member: IsMember, timezone: str = "Europe/Paris") -> None:
        self._database = database
        self._clock = clock
        self._is_member = is_member
        self._zone = ZoneInfo(timezone)

    # --- what is known

    async def find(
        self,
        words: str,
        type: MailboxType | None = None,
        departement: str = "",
        limit: int = FOUND_MOST,
    ) -> tuple[Contact, ...]:
        """Those that have every word somewhere, accents, capitals and order apart; all of them for no word. Those that
        ended too (`Contact.is_active`)."""
        wanted = (comparable(words) or "").split()

        def look(connection: Connection) -> tuple[Contact, ...]:
            statement = _ALL.limit(limit)
            for word in wanted:
                statement = statement.where(CONTACT.c.words.contains(word, autoescape=True))
            if type is not None:
                statement = statement.where(CONTACT.c.type == type)
            if departement:
                statement = statement.where(CONTACT.c.departement == departement)
            return tuple(contact_of(row) for row in connection.execute(statement).all())

        return await self._database.read(look)

    async def all(self) -> tuple[Contact, ...]:
        return await self._database.read(lambda c: tuple(contact_of(row) for row in c.execute(_ALL).all()))

    async def contact(self, address: str) -> Contact | None:
        wanted = normal_form(address)
        return await self._database.read(lambda c: by_address(c, [wanted]).get(wanted))

    # --- what changes

    async def add(self, address: str, described: Described, by: str) -> Contact:
        """Raises Permanent: an address that may not stand there, or is there already; days in the wrong order."""
        called = normal_form(address)
        _check(called, described, self._is_member)

        def work(connection: Connection) -> Contact:
            alone(connection, CONTACT.name)
            if called in by_address(connection, [called]):
                raise Permanent(
                    "this contact is there already",
                    "Cette adresse est déjà dans le carnet : « hub contacts change » la modifie.",
                )
            self._write(connection, [(called, described, None)], by)
            return by_address(connection, [called])[called]

        return await self._database.write(work)

    async def change(self, address: str, described: Described, by: str) -> Contact:
        """Say everything of it anew. Raises Permanent: no such contact; days in the wrong order."""
        called = normal_form(address)
        _check(called, described, lambda _: True)  # one that left the trust space may be corrected, and ended

        def work(connection: Connection) -> Contact:
            alone(connection, CONTACT.name)
            self._write(connection, [(called, described, known_contact(connection, called))], by)
            return by_address(connection, [called])[called]

        return await self._database.write(work)

    async def store(self, read: ContactsRead, by: str, rehearsal: bool = False) -> BookImport:
        """Add or change by address, all or nothing. What the file has no column for stays as it is."""
        if read.problems:
            return BookImport(problems=read.problems)
        bad = [
            Problem(line, "adresse", fault)
            for line, (address, _) in zip(read.lines, read.contacts, strict=True)
            if (fault := fault_of(address, self._is_member)) is not None
        ]
        if bad:
            return BookImport(problems=tuple(bad))

        def work(connection: Connection) -> BookImport:
            alone(connection, CONTACT.name)
            known = by_address(connection, [address for address, _ in read.contacts])
            said = [
                (address, one if before is None else _kept(one, before, read.columns), before)
                for address, one in read.contacts
                for before in (known.get(address),)
            ]
            added = sum(before is None for _, _, before in said)
            changed = sum(before is not None and one != described_of(before) for _, one, before in said)
            if not rehearsal:
                self._write(connection, said, by)
            return BookImport(added=added, changed=changed, unchanged=len(read.contacts) - added - changed)

        return await self._database.write(work)

    def _write(self, connection: Connection, said: Iterable[tuple[str, Described, Contact | None]], by: str) -> None:
        """Each address with what is said of it now, and what is known of it. The journal comes last (`hub.journal`)."""
        now = self._now()
        added: list[dict[str, Any]] = []
        deeds: list[journal.Deed] = []
        for address, described, before in said:
            values = _values(address, described) | {"changed_at": now, "changed_by": by}
            if before is None:
                number = secrets.token_hex(16)
                added.append({"id": number, "address": address, **values})
                deeds.append(journal.Deed("contact added", number, f"type {described.type}"))
            elif changed := _changed(described_of(before), described):
                connection.execute(update(CONTACT).where(CONTACT.c.id == before.id).values(values))
                deeds.append(journal.Deed("contact changed", before.id, ", ".join(changed)))
        if added:
            connection.execute(insert(CONTACT), added)
        if deeds:
            journal.append_all(connection, now, by, deeds)

    def _now(self) -> datetime:
        return self._clock().astimezone(self._zone)


def alone(connection: Connection, table: str) -> None:
    """Nobody else writes the table until the end of this transaction: what is read of it stays true (SQLite has one
    writer anyway)."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f'LOCK TABLE "{table}" IN SHARE ROW EXCLUSIVE MODE'))


def known_contact(connection: Connection, address: str) -> Contact:
    """Raises Permanent."""
    found = by_address(connection, [address]).get(address)
    if found is None:
        raise Permanent(
            "no such contact",
            "Cette adresse n'est pas dans le carnet : ajoutez-la d'abord avec « hub contacts add ».",
        )
    return found


def by_address(connection: Connection, addresses: Iterable[str]) -> dict[str, Contact]:
    """Those of these addresses (normal form) that the book has."""
    wanted = sorted(set(addresses))
    found: dict[str, Contact] = {}
    for start in range(0, len(wanted), _CHUNK):
        rows = connection.execute(select(CONTACT).where(CONTACT.c.address.in_(wanted[start : start + _CHUNK])))
        found |= {row.address: contact_of(row) for row in rows}
    return found


def contact_of(row: Row[Any]) -> Contact:
    return Contact(
        id=row.id,
        address=row.address,
        type=row.type,
        name=row.name,
        organisation=row.organisation,
        service=row.service,
        departement=row.departement,
        note=row.note,
        since=day_of(row.since),
        until=day_of(row.until),
        changed_at=row.changed_at,
        changed_by=row.changed_by,
    )


def day_of(iso: str | None) -> date | None:
    return None if iso is None else date.fromisoformat(iso)


def iso_of(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def described_of(contact: Contact) -> Described:
    return Described(**{one.name: getattr(contact, one.name) for one in fields(Described)})


def _changed(was: Described, now: Described) -> list[str]:
    """Names of fields."""
    return [one.name for one in fields(Described) if getattr(was, one.name) != getattr(now, one.name)]


def _kept(said: Described, before: Contact, columns: frozenset[str]) -> Described:
    """What a file says, over what is known."""
    return Described(
        **{one.name: getattr(said if one.name in columns else before, one.name) for one in fields(Described)}
    )


def _values(address: str, described: Described) -> dict[str, Any]:
    texts = (described.name, described.organisation, described.service, described.departement, address, described.type)
    return {
        **{one.name: getattr(described, one.name) for one in fields(Described)},
        "since": iso_of(described.since),
        "until": iso_of(described.until),
        "words": comparable(" ".join(texts)) or "",
    }


def _check(address: str, described: Described, is_member: IsMember) -> None:
    fault = fault_of(address, is_member)
    if fault is not None:
        raise Permanent("an address that may not stand in the book", f"Adresse refusée : {fault}.")
    if described.since is not None and described.until is not None and described.until < described.since:
        raise Permanent("a contact ends before it begins", BACKWARDS)
