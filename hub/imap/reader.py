"""Watches one mailbox: every message of its folder becomes an accepted message of the spool, then is marked or moved.

In: a folder over IMAP. Out: `Intake.accept` (durable), then the mark, read back, then `Intake.marked`; `on_accepted`
for each new message (a hint: the sweep finds what it misses). The cursor is (UIDVALIDITY, UID): \\Seen is neither read
nor changed. After a change of UIDVALIDITY the whole folder is offered again and `accept` knows its twins.

Failures: any trouble with the server or the spool closes the connection; the watcher comes back for ever, after full
jitter. A message that cannot be had (`doubts`) or is over `watching.message_most` is skipped and reported, the
others go on; the cursor stays behind it, so that neither a restart nor a reader of the ledger forgets it.

The mark is the keyword `mailbox.mark`. A server that keeps no keywords gets \\Flagged instead; one that keeps neither
(a read-only folder) leaves the messages unmarked: they are accepted all the same and `progress.mark_error` says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random as _random
import ssl
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace

from hub import settings
from hub.errors import HubError, Misconfigured, Permanent
from hub.imap.doubts import Doubts
from hub.imap.failures import CommandRefused
from hub.imap.fetcher import Fetcher, Loaded, abandon
from hub.imap.folder import CHUNK, Folder, Listed, Selected
from hub.imap.opening import credentials_of, open_session
from hub.imap.progress import Progress, WatcherState
from hub.imap.session import Woken
from hub.ports import Arrival, Clock, Intake

logger = logging.getLogger("hub.imap")

EMPTY_LOOKS = 3  # a server that cries EXISTS for nothing is soon listened to once in EMPTY_LOOK_PAUSE seconds
EMPTY_LOOK_PAUSE = 1.0
STOP_GRACE = 5.0  # seconds given to what runs when the watcher is told to stop


class Watcher:
    """One mailbox. `run` it as a task of its own; read `progress` at any time.

    `make_context` is called in a thread before each connection, `random` gives numbers in [0, 1)."""

    def __init__(
        self,
        mailbox: settings.Mailbox,
        operator: settings.Operator,
        watching: settings.Watching,
        intake: Intake,
        make_context: Callable[[], ssl.SSLContext],
        on_accepted: Callable[[str], Awaitable[None] | None],
        clock: Clock,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.progress = Progress()
        self._mailbox = mailbox
        self._operator = operator
        self._watching = watching
        self._intake = intake
        self._make_context = make_context
        self._on_accepted = on_accepted
        self._clock = clock
        self._random = random
        self._poll = watching.poll.total_seconds()
        self._doubts = Doubts(self._poll)
        self._fetcher = Fetcher(intake, watching, self._doubts, lambda uid: self._gone([uid]))
        self._told = ""  # the last answer of the server that was journaled
        self._epoch: int | None = None
        self._cursor = 0  # everything up to it is in the spool or gone
        self._highest = 0  # the highest UID listed
        self._seen: set[int] = set()  # accepted, above the cursor
        self._unfinished: set[int] = set()  # listed, neither accepted nor gone
        self._unmarked: set[int] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`. Never raises for what the server, the spool or the network do."""
        watching = asyncio.create_task(self._watch(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({watching}, timeout=STOP_GRACE)
        finally:
            for task in (watching, stopping):
                task.cancel()
            await asyncio.gather(watching, stopping, return_exceptions=True)
            self._show(state=WatcherState.STOPPED)

    # --- one connection after the other

    async def _watch(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._watch_one_connection(stop)
            except Exception as error:  # whatever it was: temporary for the mailbox, and of no other mailbox's concern
                delay = self._failed(error)
                await self._tell_connection(self.progress.last_error)
                await _pause(stop, delay)

    def _failed(self, error: Exception) -> float:
        """Note the failure; how many seconds to wait."""
        failures, code = self.progress.failures + 1, _code_of(error)
        delay = retry_delay(error, failures, self._watching, self._random())
        why = error.private if isinstance(error, HubError) else code  # such as the disk's ENOSPC, or a file's name
        logger.warning("mailbox %s: %s, failure %d, next try in %.1f s", self._mailbox.name, why, failures, delay)
        self._show(state=WatcherState.BACKING_OFF, failures=failures, last_error=code, failed_at=self._clock())
        return delay

    async def _watch_one_connection(self, stop: asyncio.Event) -> None:
        self._show(state=WatcherState.CONNECTING)
        async with asyncio.timeout(self._watching.connect_timeout.total_seconds()):
            context = await asyncio.to_thread(self._make_context)
        session = await open_session(
            self._operator.imap,
            context,
            credentials_of(self._mailbox, self._operator),
            self._watching.connect_timeout.total_seconds(),
            self._watching.command_timeout.total_seconds(),
        )
        try:
            folder = await Folder.select(session, self._mailbox.folder)
            await self._tell_connection("open")
            await self._load_cursor(folder.selected)
            await self._settle(folder, self._unmarked)
            await self._watch_folder(folder, stop)
            await session.logout()
        finally:
            session.close()

    async def _tell_connection(self, answer: str) -> None:
        """Journal a change of what the server answers, not each try (ECO.4.1.2)."""
        if answer == self._told:
            return
        endpoint = self._operator.imap
        try:
            await self._intake.told(self._mailbox.name, f"imap {endpoint.host}:{endpoint.port}", answer)
        except Exception as error:  # the journal is away: told at the next change; the mail must be read all the same
            logger.warning("mailbox %s: not journaled: %s", self._mailbox.name, _code_of(error))
        else:
            self._told = answer

    async def _load_cursor(self, selected: Selected) -> None:
        """What the spool knows of this epoch. In a new one nothing: every UID is offered again (RH-20)."""
        name, epoch = self._mailbox.name, selected.uidvalidity
        cursor = await self._intake.cursor(name)
        self._cursor = cursor[1] if cursor is not None and cursor[0] == epoch else 0
        self._seen = {uid for uid in await self._intake.seen(name, epoch) if uid > self._cursor}
        self._unmarked = set(await self._intake.unmarked(name, epoch))
        if epoch != self._epoch:
            self._doubts.clear()
        self._epoch, self._highest = epoch, self._cursor
        self._unfinished = set()
        self._show(uidvalidity=epoch, last_uid=self._highest)

    async def _watch_folder(self, folder: Folder, stop: asyncio.Event) -> None:
        """Compare at once, at each arrival, and at each poll: IDLE alone is never trusted."""
        now = asyncio.get_running_loop().time
        renewal = self._watching.idle_renewal.total_seconds()
        next_poll = now()
        empty_looks = 0
        while not stop.is_set():
            is_whole = now() >= next_poll
            if is_whole:
                next_poll = now() + self._poll
            found = await self._compare(folder, is_whole, stop)
            self._show(state=WatcherState.WAITING)
            empty_looks = 0 if found or is_whole else empty_looks + 1
            if empty_looks > EMPTY_LOOKS:
                await _pause(stop, EMPTY_LOOK_PAUSE)
            woken = Woken.QUIET
            while woken is Woken.QUIET and now() < next_poll:
                woken = await folder.session.idle(max(0.0, min(renewal, next_poll - now())), stop)

    # --- comparing

    async def _compare(self, folder: Folder, is_whole: bool, stop: asyncio.Event) -> int:
        """Bring over what is new since the last look (`is_whole`: since the cursor), then what made trouble.
        Returns how many UIDs were listed."""
        self._show(state=WatcherState.COMPARING)
        if is_whole:
            await folder.session.noop()  # some servers tell of arrivals only when they are spoken to
            await self._settle(folder, self._unmarked)
        listed = await folder.uids_from((self._cursor if is_whole else self._highest) + 1)
        self._highest = max(self._highest, *listed, 0)
        if is_whole:
            self._gone(self._unfinished - set(listed))
        self._unfinished.update(uid for uid in listed if uid not in self._seen)
        fresh = [uid for uid in sorted(self._unfinished) if uid not in self._doubts]
        await self._collect(folder, fresh, stop)
        now = asyncio.get_running_loop().time()
        doubtful = [uid for uid in sorted(self._unfinished) if uid in self._doubts and self._doubts.may_try(uid, now)]
        for uid in doubtful:
            if not stop.is_set():
                await self._collect(folder, [uid], stop)
        if not stop.is_set():
            await self._compared(is_whole)
        return len(listed)

    async def _compared(self, is_whole: bool) -> None:
        self._cursor = min(self._unfinished, default=self._highest + 1) - 1
        self._seen = {uid for uid in self._seen if uid > self._cursor}
        assert self._epoch is not None
        await self._intake.advance(self._mailbox.name, self._epoch, self._cursor)
        skipped = self._doubts.skipped()
        if skipped and is_whole:
            named = ", ".join(f"{s.uid} ({s.reason})" for s in skipped[:20])
            logger.warning("mailbox %s: %d messages not taken: uid %s", self._mailbox.name, len(skipped), named)
        self._show(compared_at=self._clock(), last_uid=self._highest, skipped=skipped, failures=0, last_error="")

    async def _collect(self, folder: Folder, uids: list[int], stop: asyncio.Event) -> None:
        """Fetch, accept and mark. While one batch is being accepted the next one is on the wire."""
        for start in range(0, len(uids), CHUNK):
            chunk = uids[start : start + CHUNK]
            listed = await folder.listing(chunk)
            self._gone(set(chunk) - {item.uid for item in listed})
            batches = self._fetcher.batches(listed)
            ahead = self._load_next(folder, batches)
            try:
                while ahead is not None:
                    ready, ahead = await ahead, None
                    if not stop.is_set():
                        ahead = self._load_next(folder, batches)
                    await self._accept(folder, ready)
            finally:
                await abandon(ahead)
            if stop.is_set():
                return

    def _load_next(self, folder: Folder, batches: Iterator[tuple[Listed, ...]]) -> asyncio.Task[list[Loaded]] | None:
        batch = next(batches, None)
        return asyncio.create_task(self._fetcher.load(folder, batch)) if batch else None

    def _gone(self, uids: Iterable[int]) -> None:
        """They left the folder before we had them: moved or deleted by somebody who may."""
        gone = set(uids)
        self._unfinished -= gone
        self._doubts.forget(gone)

    # --- accepting and marking

    async def _accept(self, folder: Folder, loaded: list[Loaded]) -> None:
        """Accept a batch, all at once so that the spool can commit together; mark what was accepted even when one of
        them failed, then raise its error."""
        outcomes = await asyncio.gather(*map(self._accept_one, loaded), return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        await self._settle(folder, [outcome for outcome in outcomes if isinstance(outcome, int)])
        if failures:
            raise failures[0]

    async def _accept_one(self, one: Loaded) -> int:
        """The UID, when it is durable."""
        uid = one.listed.uid
        try:
            accepted = await self._intake.accept(self._arrival(one), one.blob)
        except BaseException as error:
            await one.blob.discard()
            if isinstance(error, Exception):
                self._doubts.strike(uid, _code_of(error), asyncio.get_running_loop().time())
            raise
        self._seen.add(uid)
        self._unmarked.add(uid)
        self._unfinished.discard(uid)
        self._doubts.forget([uid])
        if accepted.new:
            self._show(accepted=self.progress.accepted + 1)
            await self._tell(accepted.id)
        return uid

    def _arrival(self, one: Loaded) -> Arrival:
        assert self._epoch is not None
        return Arrival(
            mailbox=self._mailbox.name,
            uidvalidity=self._epoch,
            uid=one.listed.uid,
            received_at=one.listed.received_at or self._clock(),
            message_id=one.message_id,
            peer=self._operator.imap.host,
            recipients=(self._mailbox.address,),
            test=self._mailbox.test,
        )

    async def _tell(self, message_id: str) -> None:
        try:
            told = self._on_accepted(message_id)
            if told is not None:
                await told
        except Exception as error:  # the hint is lost, the sweep finds the message
            logger.warning("message %s: hint lost: %s", message_id, _code_of(error))

    async def _settle(self, folder: Folder, uids: Iterable[int]) -> None:
        """Mark or move, read back, note. A refusal blocks nothing: it is shown, and tried again at the next poll."""
        wanted = set(uids)
        if not wanted:
            return
        try:
            verified = await self._settled(folder, wanted)
            error = "" if verified == wanted else "mark-not-kept"
        except CommandRefused as refused:
            verified, error = frozenset(), refused.code
        assert self._epoch is not None
        if verified:
            await self._intake.marked(self._mailbox.name, self._epoch, verified)
        self._unmarked -= verified
        if error and error != self.progress.mark_error:
            logger.warning("mailbox %s: accepted messages cannot be marked: %s", self._mailbox.name, error)
        self._show(unmarked=len(self._unmarked), mark_error=error)

    async def _settled(self, folder: Folder, uids: set[int]) -> frozenset[int]:
        if self._mailbox.after == "move":
            return await folder.moved(uids, self._mailbox.move_to)
        for flag in (self._mailbox.mark, "\\Flagged"):
            if folder.selected.takes(flag):
                return await folder.flagged(uids, flag)
        raise CommandRefused("store-no-permanent-flag")

    def _show(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]


def retry_delay(error: Exception, failures: int, watching: settings.Watching, chance: float) -> float:
    """Seconds until the next connection: full jitter, doubling from `backoff_first` to `backoff_most`; `chance` is a
    random number in [0, 1). When only a human can help, near the longest: hammering would lock the mailbox."""
    first, most = watching.backoff_first.total_seconds(), watching.backoff_most.total_seconds()
    if isinstance(error, (Permanent, Misconfigured)):
        return most / 2 + chance * most / 2
    return chance * min(most, first * 2.0 ** min(failures - 1, 30))


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def _code_of(error: Exception) -> str:
    """A code without content: ours, or the error's type and the line that raised it."""
    if code := getattr(error, "code", ""):
        return str(code)
    where = traceback.extract_tb(error.__traceback__)[-1:]
    line = f"@{where[0].filename.rpartition('/')[2]}:{where[0].lineno}" if where else ""
    return f"{type(error).__name__.lower()}{line}"
