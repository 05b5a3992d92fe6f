"""The site's address book as one more directory, asked beside the national one (`hub.ports.Directory`)."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hub.directory import Activity, Entry, Found, Wanted
from hub.message import Contact
from hub.ports import Clock
from hub.records.book_csv import mailbox_type
from hub.records.contacts import SqlContacts


class Book:
    """`zone`: in which the days of contacts begin and end."""

    def __init__(self, contacts: SqlContacts, clock: Clock, zone: ZoneInfo) -> None:
        self._contacts = contacts
        self._clock = clock
        self._zone = zone

    async def find(self, wanted: Wanted) -> Found:
        """Raises Temporary (database away)."""
        kind = mailbox_type(wanted.kind) if wanted.kind is not None else None
        lines = await self._contacts.find(wanted.text, kind, wanted.department or "", wanted.limit + 1)
        return Found(
            entries=tuple(map(self._entry, lines[: wanted.limit])),
            is_whole=len(lines) <= wanted.limit,
        )

    async def at(self, address: str) -> Entry | None:
        """Raises Temporary (database away)."""
        line = await self._contacts.contact(address)
        return self._entry(line) if line is not None else None

    def _entry(self, line: Contact) -> Entry:
        today = self._clock().astimezone(self._zone).date()
        ended = line.until if line.until is not None and line.until < today else None
        next_day = ended + timedelta(days=1) if ended is not None else None
        return Entry(
            address=line.address,
            kind=line.type,
            source="book",
            seen_at=line.changed_at,
            family=line.name,
            activities=(Activity(organisation=line.organisation, service=line.service, department=line.departement),),
            gone_at=datetime.combine(next_day, time(), self._zone).astimezone(UTC) if next_day is not None else None,
        )
