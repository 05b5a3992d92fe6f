"""The door's side of the spool (`hub.ports.Intake`): bytes become an accepted message, once.

In flow an arrival and its blob; out flows the id of the message that the bytes now stand for. A message is known by
(mailbox, UIDVALIDITY, UID) and by its fingerprint (mailbox, Message-ID, digest): a twin, a new epoch of the mailbox
or a second fetcher adds a line to what was seen, never a second message. A UID that comes back with other bytes is
another message, whatever the server says. What raises has written nothing: fetch it again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hub import journal
from hub.database import storable
from hub.errors import Temporary
from hub.message import Door
from hub.ports import Accepted, Arrival, BlobSink, StoredBlob
from hub.spool.side import HUB, Side
from hub.spool.sink import Sink
from hub.spool.statements import (
    ADD_MESSAGE,
    ADD_SEEN,
    FIND_SEEN,
    FIND_SEEN_BETWEEN,
    FIND_TWIN,
    MARK_MESSAGE,
    MARK_SEEN,
    MOVE_SEEN,
    READ_CURSOR,
    READ_SEEN,
    READ_UNMARKED,
    move_cursor,
)

MESSAGE_ID_MOST = 512  # characters: an index of PostgreSQL takes 2,700 bytes, a header may have 32 KB
ADDRESS_MOST = 320
RACES = 3  # two fetchers on PostgreSQL may insert the same message at once: the loser looks again


class IntakeSide(Side):
    async def cursor(self, mailbox: str) -> tuple[int, int] | None:
        def work(connection: Connection) -> tuple[int, int] | None:
            row = connection.execute(READ_CURSOR, {"box": mailbox}).first()
            return None if row is None else (row.uidvalidity, row.last_uid)

        return await self._database.read(work)

    async def seen(self, mailbox: str, uidvalidity: int) -> frozenset[int]:
        def work(connection: Connection) -> frozenset[int]:
            return frozenset(connection.execute(READ_SEEN, {"box": mailbox, "epoch": uidvalidity}).scalars())

        return await self._database.read(work)

    async def unmarked(self, mailbox: str, uidvalidity: int) -> tuple[int, ...]:
        def work(connection: Connection) -> tuple[int, ...]:
            return tuple(connection.execute(READ_UNMARKED, {"box": mailbox, "epoch": uidvalidity}).scalars())

        return await self._database.read(work)

    async def new_blob(self) -> BlobSink:
        return self._blobs.sink()

    async def accept(self, arrival: Arrival, blob: BlobSink, door: Door = Door.IMAP) -> Accepted:
        """A UID of 0 says that the arrival has none (a file, another door). Raises Temporary (disk, database)."""
        return await self._accept_stored(arrival, await _sink(blob).finish(), door)

    async def accept_all(self, arrived: Sequence[tuple[Arrival, BlobSink]]) -> list[Accepted | BaseException]:
        """`accept` for each (all from one mailbox, each with its UID): what became of it, in order. All in one
        transaction and by a few statements when they are all new (the usual batch), else each by itself."""
        sinks = [_sink(blob) for _, blob in arrived]
        if all(sink.is_small for sink in sinks):
            stored = [await _finished(sink) for sink in sinks]
        else:
            stored = list(await asyncio.gather(*map(_finished, sinks)))  # their waits for the disk overlap
        pairs = zip(arrived, stored, strict=True)
        ready = [(arrival, one) for (arrival, _), one in pairs if isinstance(one, StoredBlob)]
        accepted = iter(await self._accept_ready(ready))
        return [next(accepted) if isinstance(one, StoredBlob) else one for one in stored]

    async def _accept_ready(self, ready: Sequence[tuple[Arrival, StoredBlob]]) -> Sequence[Accepted | BaseException]:
        now = self._clock()
        accepted: list[Accepted] = []
        if len(ready) > 1:
            with suppress(Exception):  # one of them cannot be written: alone, each tells what became of it
                accepted = await self._database.write(lambda c: self._accept_new(c, ready, now))
        if accepted:
            return accepted
        each = (self._accept_stored(arrival, stored, Door.IMAP) for arrival, stored in ready)
        return await asyncio.gather(*each, return_exceptions=True)

    def _accept_new(
        self, connection: Connection, ready: Sequence[tuple[Arrival, StoredBlob]], now: datetime
    ) -> list[Accepted]:
        """All of them at once; nothing when one may have been met before."""
        prints = [fingerprint(arrival.mailbox, arrival.message_id, stored.sha256) for arrival, stored in ready]
        if len(set(prints)) < len(prints) or self._may_know(connection, [arrival for arrival, _ in ready], prints):
            return []
        ids = [self._new_id(now) for _ in ready]
        messages, seen, deeds = [], [], []
        for id, print_, (arrival, stored) in zip(ids, prints, ready, strict=True):
            messages.append(self._row(id, arrival, stored, Door.IMAP, print_, now, is_uid_taken=False))
            seen.append(_seen_row(arrival, id, now))
            deeds.append(journal.Deed("accept", _where(arrival, Door.IMAP), f"sha256 {stored.sha256}", id))
        self._blobs.name_all(connection, [stored for _, stored in ready])
        connection.execute(ADD_MESSAGE, messages)
        connection.execute(ADD_SEEN, seen)
        journal.append_all(connection, now.astimezone(self._zone), HUB, deeds)
        return [Accepted(id, new=True) for id in ids]

    def _may_know(self, connection: Connection, arrivals: Sequence[Arrival], prints: Iterable[str]) -> bool:
        """One of them, or another message between their UIDs."""
        first, uids = arrivals[0], [arrival.uid for arrival in arrivals]
        between = {"box": first.mailbox, "epoch": first.uidvalidity, "low": min(uids), "high": max(uids)}
        if connection.execute(FIND_SEEN_BETWEEN, between).first() is not None:
            return True
        return any(connection.execute(FIND_TWIN, {"print": print_}).first() is not None for print_ in prints)

    async def _accept_stored(self, arrival: Arrival, stored: StoredBlob, door: Door) -> Accepted:
        now = self._clock()
        for _ in range(RACES):
            try:
                return await self._database.write(lambda c: self._accept(c, arrival, stored, door, now))
            except IntegrityError:
                continue
        raise Temporary("accept: lost every race for the same message")

    def _accept(
        self, connection: Connection, arrival: Arrival, stored: StoredBlob, door: Door, now: datetime
    ) -> Accepted:
        place = {"box": arrival.mailbox, "epoch": arrival.uidvalidity, "this_uid": arrival.uid}
        before = connection.execute(FIND_SEEN, place).scalar() if arrival.uid else None
        print_ = fingerprint(arrival.mailbox, arrival.message_id, stored.sha256)
        twin: str | None = connection.execute(FIND_TWIN, {"print": print_}).scalar()
        if twin is not None and twin == before:
            return Accepted(twin, new=False)  # this very message, fetched twice
        if twin is None:
            self._blobs.name(connection, stored)
            twin, new = self._new_id(now), True
            row = self._row(twin, arrival, stored, door, print_, now, is_uid_taken=before is not None)
            connection.execute(ADD_MESSAGE, row)
        else:
            new = False
        if before is not None:
            connection.execute(MOVE_SEEN, {**place, "to": twin, "now": now})
        elif arrival.uid:
            connection.execute(ADD_SEEN, _seen_row(arrival, twin, now))
        where = _where(arrival, door)
        request = where if before is None else f"{where} uid-reused"
        self._note(connection, now, "accept" if new else "twin", twin, request, f"sha256 {stored.sha256}")
        return Accepted(twin, new=new)

    def _row(
        self,
        message_id: str,
        arrival: Arrival,
        stored: StoredBlob,
        door: Door,
        print_: str,
        now: datetime,
        *,
        is_uid_taken: bool,
    ) -> dict[str, object]:
        has_uid = bool(arrival.uid) and not is_uid_taken
        recipients = "\n".join(storable(" ".join(one.split()), ADDRESS_MOST) for one in arrival.recipients)
        return {
            "id": message_id,
            "state": "ACCEPTED",
            "door": door.value,
            "mailbox": arrival.mailbox,
            "test": arrival.test,
            "peer": storable(arrival.peer, ADDRESS_MOST),
            "sender": None if arrival.sender is None else storable(arrival.sender, ADDRESS_MOST),
            "recipients": recipients,
            "message_id": storable(arrival.message_id, MESSAGE_ID_MOST) if arrival.message_id else None,
            "fingerprint": print_,
            "sha256": stored.sha256,
            "size": stored.size,
            "uidvalidity": arrival.uidvalidity if has_uid else None,
            "uid": arrival.uid if has_uid else None,
            "received_at": arrival.received_at,
            "accepted_at": now,
            "set_out_at": now,
            "marked_at": None,
            "due_at": now,
            "plan_first": 1,
            "attempts": 0,
            "deaths": 0,
            "last_error": "",
        }

    async def marked(self, mailbox: str, uidvalidity: int, uids: Iterable[int]) -> None:
        wanted = sorted(set(uids))
        if not wanted:
            return
        now = self._clock()

        def work(connection: Connection) -> None:
            places = [{"box": mailbox, "epoch": uidvalidity, "this_uid": uid, "now": now} for uid in wanted]
            connection.execute(MARK_SEEN, places)
            connection.execute(MARK_MESSAGE, places)
            self._note(connection, now, "mark", None, f"{mailbox} {uidvalidity}/{ranges(wanted)}")

        await self._database.write(work, durable=False)  # taken back, the marks are set and read once more

    async def told(self, mailbox: str, request: str, answer: str) -> None:
        now = self._clock()
        await self._database.write(
            lambda connection: self._note(connection, now, "connection", None, f"{mailbox} {request}", answer)
        )

    async def advance(self, mailbox: str, uidvalidity: int, last_uid: int) -> None:
        """Within one epoch the cursor never goes back."""
        row = {"mailbox": mailbox, "uidvalidity": uidvalidity, "last_uid": last_uid, "compared_at": self._clock()}

        def work(connection: Connection) -> None:
            connection.execute(move_cursor(connection), row)

        await self._database.write(work, durable=False)  # taken back, the same UIDs are compared again


def _sink(blob: BlobSink) -> Sink:
    if not isinstance(blob, Sink):
        raise TypeError("accept takes a blob of new_blob")
    return blob


async def _finished(sink: Sink) -> StoredBlob | Exception:
    """What keeps one message from being stored is told of it alone."""
    try:
        return await sink.finish()
    except Exception as error:
        return error


def _where(arrival: Arrival, door: Door) -> str:
    return f"{door.value} {arrival.mailbox} {arrival.uidvalidity}/{arrival.uid}"


def _seen_row(arrival: Arrival, message_id: str, now: datetime) -> dict[str, object]:
    return {
        "mailbox": arrival.mailbox,
        "uidvalidity": arrival.uidvalidity,
        "uid": arrival.uid,
        "message": message_id,
        "seen_at": now,
        "marked_at": None,
    }


def fingerprint(mailbox: str, message_id: str | None, sha256: str) -> str:
    """SHA-256 of mailbox, Message-ID (empty when there is none) and digest of the bytes, each after its length."""
    digest = hashlib.sha256()
    for part in (mailbox, message_id or "", sha256):
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8) + raw)
    return digest.hexdigest()


def ranges(numbers: Iterable[int]) -> str:
    """`1:3,7` for 1, 2, 3, 7 (sorted), as IMAP writes sets."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)
