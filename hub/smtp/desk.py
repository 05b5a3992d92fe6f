"""What every conversation of the submission door shares: whom it asks, its limits, the budgets, who is talking now.

`SubmissionDesk.accept` is the end of each submission: the rights, the author, the commit, the hint. Everything that may
not be sent is refused here with an answer for the person (`hub.smtp.lines`); nothing is kept then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from hub.errors import DiskFailed, Temporary
from hub.ports import BlobSink, Clock, Submission, Submissions, User, Users
from hub.smtp import lines
from hub.smtp.budgets import Budget
from hub.smtp.lines import Refused

log = logging.getLogger("hub.smtp")

Phase = Literal["talking", "receiving", "committing"]

RIGHTS_FOR = 5.0  # seconds that rights just read are believed: a right taken away ends within them


class Heading(Protocol):
    """What the reader of headers says of the head of a mail (`hub.parse.heading`, on a lower floor)."""

    @property
    def author(self) -> str | None: ...

    @property
    def message_id(self) -> str | None: ...


class Talk(Protocol):
    """A conversation, for the door that closes: whether it may be ended now, and how."""

    phase: Phase

    def hang_up(self, answer: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A mailbox that users may send from."""

    name: str
    address: str
    test: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of the door (`hub.settings.Submitting` says why)."""

    message_most: int
    header_block: int
    recipients_most: int
    sessions_most: int
    sessions_each: int
    login_within: timedelta
    silence_most: timedelta
    piece_within: timedelta
    message_within: timedelta
    failures_each: int
    messages_a_minute: int
    messages_an_hour: int
    bytes_an_hour: int


@dataclass(slots=True)
class Draft:
    """A submission under way: what MAIL and RCPT said. `box` is None for `<>`: the author in the head decides."""

    box: Box | None
    sender: str
    recipients: dict[str, str]  # compared form -> as written


class SubmissionDesk:
    def __init__(
        self,
        *,
        users: Users,
        spool: Submissions,
        boxes: Iterable[Box],
        heading: Callable[[bytes], Heading],
        is_member: Callable[[str], bool],
        on_accepted: Callable[[str], Awaitable[None]],
        limits: Limits,
        clock: Clock,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """`is_member` says whether an address is of the trust space, or stands for a role of somebody there;
        `on_accepted` gives the hint."""
        self.limits = limits
        self.ticks = ticks
        self.sessions: Counter[str] = Counter()  # by peer
        self.talks: set[Talk] = set()
        self.commits: set[asyncio.Task[str]] = set()
        self.is_closing = False
        self._users = users
        self._spool = spool
        self._boxes = {box.address.casefold(): box for box in boxes}
        self._heading = heading
        self._is_member = is_member
        self._on_accepted = on_accepted
        self._clock = clock
        self._failures = Budget(limits.failures_each, 3600, ticks)
        self._minute = Budget(limits.messages_a_minute, 60, ticks)
        self._hour = Budget(limits.messages_an_hour, 3600, ticks)
        self._bytes = Budget(limits.bytes_an_hour, 3600, ticks)
        self._rights: dict[str, tuple[float, frozenset[str]]] = {}  # user id -> (read at, mailboxes)

    # --- who talks

    def has_room_for(self, peer: str) -> bool:
        return self.sessions.total() < self.limits.sessions_most and self.sessions[peer] < self.limits.sessions_each

    async def admit(self, login: str, password: bytes, peer: str) -> User:
        """Raises Refused; Temporary (database away)."""
        if not self._failures.has(peer):
            raise Refused(lines.TOO_MANY_FAILURES)
        user = await self._users.admit(login, password)
        if user is None:
            self._failures.spend(peer)
            log.warning("login refused, from %s", peer)
            raise Refused(lines.LOGIN_REFUSED)
        return user

    # --- what they want sent

    async def draft(self, user: User, sender: str, size: int) -> Draft:
        """A submission may begin. Raises Refused."""
        if size > self.limits.message_most:
            raise Refused(lines.TOO_LARGE.format(most=self.limits.message_most // 1024**2))
        if not (self._minute.has(user.id) and self._hour.has(user.id) and self._bytes.has(user.id, size or 1)):
            raise Refused(lines.BUDGET)
        box = await self._box_of(user, sender) if sender else None
        return Draft(box, sender, {})

    def add(self, draft: Draft, recipient: str) -> None:
        """Raises Refused."""
        if len(draft.recipients) >= self.limits.recipients_most:
            raise Refused(lines.TOO_MANY_RECIPIENTS)
        draft.recipients.setdefault(recipient.casefold(), recipient)

    async def new_blob(self) -> BlobSink:
        return await self._spool.new_blob()

    async def accept(self, user: User, draft: Draft, head: bytes, blob: BlobSink, peer: str) -> str:
        """The id of the message, committed. Raises Refused, Temporary; the blob is discarded then."""
        try:
            submission = await self._checked(user, draft, head, peer)
        except BaseException:
            await blob.discard()
            raise
        self._minute.spend(user.id)
        self._hour.spend(user.id)
        self._bytes.spend(user.id, blob.size)
        # Whoever hangs up now does not undo a commit under way: the message is accepted, and has its hint.
        commit = asyncio.create_task(self._commit(submission, blob))
        self.commits.add(commit)
        commit.add_done_callback(self._committed)
        return await asyncio.shield(commit)

    async def _checked(self, user: User, draft: Draft, head: bytes, peer: str) -> Submission:
        heading = self._heading(head)
        author = (heading.author or "").casefold()
        if not author or (draft.box is not None and author != draft.box.address.casefold()):
            raise Refused(lines.FROM_DIFFERS)
        box = draft.box or await self._box_of(user, author)
        recipients = tuple(draft.recipients.values())
        return Submission(
            mailbox=box.name,
            by=user.login,
            sender=draft.sender,
            recipients=recipients,
            received_at=self._clock(),
            message_id=heading.message_id,
            peer=peer,
            outside=sum(not self._is_member(one) for one in recipients),
            test=box.test,
        )

    async def _commit(self, submission: Submission, blob: BlobSink) -> str:
        try:
            accepted = await self._spool.submit(submission, blob)
        finally:
            await blob.discard()  # nothing when it is accepted
        if accepted.new:
            await self._on_accepted(accepted.id)
        return accepted.id

    def _committed(self, commit: asyncio.Task[str]) -> None:
        self.commits.discard(commit)
        if not commit.cancelled():
            commit.exception()  # told to the client, if it is still there

    async def _box_of(self, user: User, address: str) -> Box:
        """The mailbox with this address, when the user may send from it. Raises Refused."""
        box = self._boxes.get(address.casefold())
        if box is None or box.name not in await self._rights_of(user):
            raise Refused(lines.NOT_YOURS)
        return box

    async def _rights_of(self, user: User) -> frozenset[str]:
        read_at, rights = self._rights.get(user.id, (0.0, user.mailboxes))
        if user.id not in self._rights or self.ticks() - read_at > RIGHTS_FOR:
            rights = await self._users.rights(user.id)
            self._rights[user.id] = (self.ticks(), rights)
        return rights


def answer_of(error: Temporary) -> str:
    """What a client is told when the message could not be kept now (RFC 3463)."""
    return lines.DISK_FULL if isinstance(error, DiskFailed) and error.code == "disk-enospc" else lines.LATER
