"""The door's side of the spool (`hub.ports.Intake`): bytes become an accepted message, once.

In flow an arrival and its blob; out flows the id of the message that the bytes now stand for. A message is known by
(mailbox, UIDVALIDITY, UID) and by its fingerprint (mailbox, Message-ID, digest): a twin, a new epoch of the mailbox
or a second fetcher adds a line to what was seen, never a second message. A UID that comes back with other bytes is
another message, whatever the server says. What raises has written nothing: fetch it again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hub.database import storable
from hub.errors import Temporary
from hub.message import Door
from hub.ports import Accepted, Arrival, BlobSink, StoredBlob
from hub.spool.side import Side
from hub.spool.sink import Sink
from hub.spool.statements import (
    ADD_MESSAGE,
    ADD_SEEN,
    FIND_SEEN,
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
        if not isinstance(blob, Sink):
            raise TypeError("accept takes a blob of new_blob")
        stored = await blob.finish()
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
            twin, new = self._new_id(), True
            row = self._row(twin, arrival, stored, door, print_, now, is_uid_taken=before is not None)
            connection.execute(ADD_MESSAGE, row)
        else:
            new = False
        if before is not None:
            connection.execute(MOVE_SEEN, {**place, "to": twin, "now": now})
        elif arrival.uid:
            seen = {"mailbox": arrival.mailbox, "uidvalidity": arrival.uidvalidity, "uid": arrival.uid}
            connection.execute(ADD_SEEN, {**seen, "message": twin, "seen_at": now, "marked_at": None})
        where = f"{door.value} {arrival.mailbox} {arrival.uidvalidity}/{arrival.uid}"
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
