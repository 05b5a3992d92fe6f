"""The submission door's side of the spool (`hub.ports.Submissions`): what a user sends becomes a message, once.

Group commit: whoever comes while a transaction is under way waits for the next one, and all who wait share it and its
one fsync (libs.md §3). A mail program that lost the 250 sends the same bytes again: the same user, mailbox, recipients,
Message-ID and digest within `same_within` are the message accepted before, and nothing goes out twice. What raises has
written nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from hub.database import storable
from hub.errors import Temporary
from hub.message import Door
from hub.ports import Accepted, BlobSink, StoredBlob, Submission
from hub.spool.intake import ADDRESS_MOST, MESSAGE_ID_MOST, RACES
from hub.spool.side import Side
from hub.spool.sink import Sink
from hub.spool.statements import ADD_MESSAGE, MESSAGE

TOGETHER_MOST = 64  # in one commit: beyond it the first one would wait too long for the last

_FIND_SAME = select(MESSAGE.c.id, MESSAGE.c.accepted_at).where(MESSAGE.c.fingerprint == bindparam("print"))


@dataclass(slots=True)
class _Waiting:
    submission: Submission
    stored: StoredBlob
    accepted: asyncio.Future[Accepted]


class SubmissionSide(Side):
    _queue: deque[_Waiting] | None = None
    _writing: asyncio.Task[None] | None = None

    async def submit(self, submission: Submission, blob: BlobSink) -> Accepted:
        """Raises Temporary (database, disk), DiskFailed (full)."""
        if not isinstance(blob, Sink):
            raise TypeError("submit takes a blob of new_blob")
        stored = await blob.finish()
        if self._queue is None:
            self._queue = deque()
        waiting = _Waiting(submission, stored, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_those_who_wait(self._queue))
        return await waiting.accepted

    async def _write_those_who_wait(self, queue: deque[_Waiting]) -> None:
        while queue:
            batch = [queue.popleft() for _ in range(min(len(queue), TOGETHER_MOST))]
            batch = [one for one in batch if not one.accepted.cancelled()]
            try:
                await self._write_together(batch)
            except asyncio.CancelledError:
                for one in (*batch, *queue):
                    _fail(one, Temporary("accept: the hub is stopping"))
                raise
            except Exception as error:  # raised to everyone whose message was not written
                for one in batch:
                    _fail(one, error)

    async def _write_together(self, batch: list[_Waiting]) -> None:
        """All in one transaction; each in its own when another process accepted one of them at the same moment."""
        if not batch:
            return
        try:
            found = await self._database.write(lambda c: [self._submit(c, one) for one in batch])
        except IntegrityError:
            found = [await self._write_alone(one) for one in batch]
        for one, accepted in zip(batch, found, strict=True):
            if not one.accepted.done():
                one.accepted.set_result(accepted)

    async def _write_alone(self, one: _Waiting) -> Accepted:
        for _ in range(RACES):
            try:
                return await self._database.write(lambda c: self._submit(c, one))
            except IntegrityError:  # another process accepted the same message meanwhile: look again
                continue
        raise Temporary("accept: lost every race for the same message")

    def _submit(self, connection: Connection, one: _Waiting) -> Accepted:
        submission, stored, now = one.submission, one.stored, self._clock()
        print_, same = self._same(connection, submission, stored.sha256, now)
        new = same is None
        message_id = same or self._new_id(now)
        if new:
            self._blobs.name(connection, stored)
            connection.execute(ADD_MESSAGE, self._submission_row(message_id, one, print_, now))
        outside = f", {submission.outside} outside the trust space" if submission.outside else ""
        request = f"{Door.SMTP.value} {submission.mailbox} {len(submission.recipients)} recipient(s){outside}"
        action = "accept" if new else "twin"
        self._note(connection, now, action, message_id, request, f"sha256 {stored.sha256}", author=submission.by)
        return Accepted(message_id, new=new)

    def _same(
        self, connection: Connection, submission: Submission, sha256: str, now: datetime
    ) -> tuple[str, str | None]:
        """The fingerprint to keep, and the id of the message that this one repeats. What is sent again after
        `same_within` is meant: it gets a fingerprint of its own, made from the one before."""
        print_ = submission_fingerprint(submission, sha256)
        while (row := connection.execute(_FIND_SAME, {"print": print_}).first()) is not None:
            if abs(now - row.accepted_at) <= self._spooling.same_within:
                return print_, str(row.id)
            print_ = _digest(print_, row.id)
        return print_, None

    def _submission_row(self, message_id: str, one: _Waiting, print_: str, now: datetime) -> dict[str, object]:
        submission, stored = one.submission, one.stored
        header = submission.message_id
        return {
            "id": message_id,
            "state": "ACCEPTED",
            "door": Door.SMTP.value,
            "mailbox": submission.mailbox,
            "test": submission.test,
            "peer": storable(submission.peer, ADDRESS_MOST),
            "sender": submission.sender,
            "recipients": "\n".join(submission.recipients),
            "message_id": storable(header, MESSAGE_ID_MOST) if header else None,
            "fingerprint": print_,
            "sha256": stored.sha256,
            "size": stored.size,
            "received_at": submission.received_at,
            "accepted_at": now,
            "set_out_at": now,
            "due_at": now,
            "plan_first": 1,
            "attempts": 0,
            "deaths": 0,
            "last_error": "",
            "submitted_by": submission.by,
        }


def submission_fingerprint(submission: Submission, sha256: str) -> str:
    """SHA-256 of what makes two submissions the same, each part after its length; the order of recipients is none."""
    recipients = sorted(one.casefold() for one in submission.recipients)
    parts = (submission.by, submission.mailbox, submission.sender, submission.message_id or "", sha256, *recipients)
    return _digest("submission", *parts)


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8) + raw)
    return digest.hexdigest()


def _fail(one: _Waiting, error: Exception) -> None:
    if not one.accepted.done():
        one.accepted.set_exception(error)
