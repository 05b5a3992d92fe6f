"""Watches one mailbox: every message of its folder becomes an accepted message of the spool, then is marked or moved.

In: a folder over IMAP. Out: `Intake.accept` (durable), then the mark, read back, then `Intake.marked`; `on_accepted`
for each new message (a hint: the sweep finds what it misses). The cursor is (UIDVALIDITY, UID): \\Seen is neither read
nor changed. After a change of UIDVALIDITY the whole folder is offered again and `accept` knows its twins.

Failures: any trouble with the server or the spool closes the connection; the watcher comes back for ever, after full
jitter. A message that cannot be had (`doubts`) or is over `watching.message_most` is skipped and reported, the
others go on; the cursor stays behind it, so that neither a restart nor a reader of the ledger forgets it. Every await
has a deadline of ours: of the session, of the spool (`failures.spool_deadline`), of the hint.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random as _random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from hub import settings
from hub.errors import HubError
from hub.imap.backoff import Backoff, code_of
from hub.imap.doubts import Doubts
from hub.imap.failures import ConnectionLost, spool_deadline
from hub.imap.fetcher import Fetcher, Loaded, abandon
from hub.imap.folder import CHUNK, Folder, Listed, Look, Selected
from hub.imap.marking import Marker
from hub.imap.opening import Credentials, credentials_of, open_session
from hub.imap.progress import Progress, WatcherState
from hub.imap.session import Woken
from hub.ports import Accepted, Arrival, Clock, FindWay, Intake, Way

logger = logging.getLogger("hub.imap")

EMPTY_LOOKS = 3  # a server that cries EXISTS for nothing is soon listened to once in EMPTY_LOOK_PAUSE seconds
EMPTY_LOOK_PAUSE = 1.0
HINT_DEADLINE = 10.0  # seconds; a broker that does not answer costs the hint, not the mark
STOP_GRACE = 5.0  # seconds given to what runs when the watcher is told to stop


class Watcher:
    """One mailbox. `run` it as a task of its own; read `progress` at any time.

    `find_way` is asked before each connection, `random` gives numbers in [0, 1)."""

    def __init__(
        self,
        mailbox: settings.Mailbox,
        operator: settings.Operator,
        watching: settings.Watching,
        intake: Intake,
        find_way: FindWay,
        on_accepted: Callable[[str], Awaitable[None] | None],
        clock: Clock,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.progress = Progress()
        self._mailbox = mailbox
        self._operator = operator
        self._watching = watching
        self._intake = intake
        self._find_way = find_way
        self._on_accepted = on_accepted
        self._clock = clock
        self._random = random
        self._poll = watching.poll.total_seconds()
        self._doubts = Doubts(self._poll)
        self._fetcher = Fetcher(intake, watching, self._doubts, lambda uid: self._gone([uid]))
        self._marker = Marker(mailbox, intake, self._show)
        self._backoff = Backoff(watching)
        self._connecting_at = 0.0
        self._keys: asyncio.Future[tuple[Way, Credentials]] | None = None  # being found, and read from the disk
        self._place = operator.name  # the server, as last found
        self._request = f"imap {operator.name}"
        self._told = ""  # the last answer of the server that was journaled
        self._epoch: int | None = None
        self._cursor = 0  # everything up to it is in the spool or gone
        self._highest = 0  # the highest UID listed
        self._seen: set[int] = set()  # accepted, above the cursor
        self._unfinished: set[int] = set()  # listed, neither accepted nor gone

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
        failures, code = self.progress.failures + 1, code_of(error)
        lived = asyncio.get_running_loop().time() - self._connecting_at
        delay = self._backoff.delay(error, failures, lived, self._random())
        why = error.private if isinstance(error, HubError) else code  # such as the disk's ENOSPC, or a file's name
        logger.warning("mailbox %s: %s, failure %d, next try in %.1f s", self._mailbox.name, why, failures, delay)
        self._show(state=WatcherState.BACKING_OFF, failures=failures, last_error=code, failed_at=self._clock())
        return delay

    async def _watch_one_connection(self, stop: asyncio.Event) -> None:
        self._show(state=WatcherState.CONNECTING)
        self._connecting_at = asyncio.get_running_loop().time()
        way, credentials = await self._read_keys()
        self._place = way.endpoint.host
        self._request = f"imap {way.endpoint.host}:{way.endpoint.port}"
        session = await open_session(
            way,
            credentials,
            self._watching.connect_timeout.total_seconds(),
            self._watching.command_timeout.total_seconds(),
        )
        try:
            folder = await Folder.select(session, self._mailbox.folder)
            await self._tell_connection("open")
            await self._load_cursor(folder.selected)
            await self._marker.settle(folder, self._marker.unmarked)
            await self._watch_folder(folder, stop, way)
            await session.logout()
        finally:
            session.close()

    async def _read_keys(self) -> tuple[Way, Credentials]:
        """Files are read in threads, for a network disk may hang. Then the same thread is waited for at the next try:
        threads are few, and the other mailboxes need them."""
        if self._keys is None:
            reading = asyncio.to_thread(credentials_of, self._mailbox, self._operator)
            self._keys = asyncio.ensure_future(asyncio.gather(self._find_way(), reading))
        done, _ = await asyncio.wait({self._keys}, timeout=self._watching.connect_timeout.total_seconds())
        if not done:
            raise ConnectionLost("keys-timeout")
        read, self._keys = self._keys, None
        return read.result()

    async def _tell_connection(self, answer: str) -> None:
        """Journal a change of what the server answers, not each try (ECO.4.1.2)."""
        if answer == self._told:
            return
        try:
            async with spool_deadline():
                await self._intake.told(self._mailbox.name, self._request, answer)
        except Exception as error:  # the journal is away: told at the next change; the mail must be read all the same
            logger.warning("mailbox %s: not journaled: %s", self._mailbox.name, code_of(error))
        else:
            self._told = answer

    async def _load_cursor(self, selected: Selected) -> None:
        """What the spool knows of this epoch. In a new one nothing: every UID is offered again (RH-20). Nor of UIDs
        that do not last: what they name now may be another message."""
        name, epoch = self._mailbox.name, selected.uidvalidity
        async with spool_deadline():
            cursor = await self._intake.cursor(name)
            seen = await self._intake.seen(name, epoch)
            unmarked = await self._intake.unmarked(name, epoch)
        if not selected.has_lasting_uids:
            logger.warning("mailbox %s: its UIDs do not last, the whole folder is read again", name)
            cursor, seen, unmarked = None, frozenset(), ()
        self._cursor = cursor[1] if cursor is not None and cursor[0] == epoch else 0
        self._seen = {uid for uid in seen if uid > self._cursor}
        self._marker.begin(epoch, unmarked)
        if epoch != self._epoch or not selected.has_lasting_uids:
            self._doubts.clear()
        self._epoch, self._highest = epoch, self._cursor
        self._unfinished = set()
        self._show(uidvalidity=epoch, last_uid=self._highest)

    async def _watch_folder(self, folder: Folder, stop: asyncio.Event, way: Way) -> None:
        """Compare at once, at each arrival, and at each poll: IDLE alone is never trusted. Until `stop`, or until
        another certificate is to be shown."""
        now = asyncio.get_running_loop().time
        renewal = self._watching.idle_renewal.total_seconds()
        next_poll = now()
        empty_looks = 0
        while not stop.is_set() and way.lasts():
            is_whole = now() >= next_poll
            if is_whole:
                next_poll = now() + self._poll
            look = await self._compare(folder, is_whole, stop)
            if not look.is_whole:
                continue
            self._show(state=WatcherState.WAITING)
            empty_looks = 0 if look.uids or is_whole else empty_looks + 1
            if empty_looks > EMPTY_LOOKS:
                await _pause(stop, EMPTY_LOOK_PAUSE)
            woken = Woken.QUIET
            while woken is Woken.QUIET and now() < next_poll:
                woken = await folder.session.idle(max(0.0, min(renewal, next_poll - now())), stop)

    # --- comparing

    async def _compare(self, folder: Folder, is_whole: bool, stop: asyncio.Event) -> Look:
        """Bring over what is new since the last look (`is_whole`: since the cursor), then what made trouble."""
        self._show(state=WatcherState.COMPARING)
        if is_whole:
            await folder.session.noop()  # some servers tell of arrivals only when they are spoken to
            await self._marker.settle(folder, self._marker.unmarked)
        look = await folder.look((self._cursor if is_whole else self._highest) + 1)
        self._highest = max(self._highest, look.until)
        if is_whole:
            self._gone(uid for uid in self._unfinished - set(look.uids) if look.is_whole or uid <= look.until)
        self._unfinished.update(uid for uid in look.uids if uid not in self._seen)
        fresh = [uid for uid in sorted(self._unfinished) if uid not in self._doubts]
        await self._collect(folder, fresh, stop)
        now = asyncio.get_running_loop().time()
        doubtful = [uid for uid in sorted(self._unfinished) if uid in self._doubts and self._doubts.may_try(uid, now)]
        for uid in doubtful:
            if not stop.is_set():
                await self._collect(folder, [uid], stop)
        if not stop.is_set():
            await self._compared(is_whole, to_the_end=look.is_whole)
        return look

    async def _compared(self, is_whole: bool, to_the_end: bool) -> None:
        self._cursor = min(self._unfinished, default=self._highest + 1) - 1
        self._seen = {uid for uid in self._seen if uid > self._cursor}
        assert self._epoch is not None
        async with spool_deadline():
            await self._intake.advance(self._mailbox.name, self._epoch, self._cursor)
        skipped = self._doubts.skipped()
        if skipped and is_whole:
            named = ", ".join(f"{s.uid} ({s.reason})" for s in skipped[:20])
            logger.warning("mailbox %s: %d messages not taken: uid %s", self._mailbox.name, len(skipped), named)
        self._show(last_uid=self._highest, skipped=skipped, failures=0, last_error="")
        if to_the_end:
            self._show(compared_at=self._clock())

    async def _collect(self, folder: Folder, uids: list[int], stop: asyncio.Event) -> None:
        """Fetch, accept and mark. While one batch is being accepted the next one is on the wire."""
        for start in range(0, len(uids), CHUNK):
            chunk = uids[start : start + CHUNK]
            listed = await folder.listing(chunk)
            await self._look_for(folder, set(chunk) - {item.uid for item in listed})
            batches = self._fetcher.batches(listed)
            ahead = self._load_next(folder, batches)
            try:
                while ahead is not None:
                    ready, ahead = await ahead, None
                    if not stop.is_set():
                        ahead = self._load_next(folder, batches)
                    await self._accept(folder, ready)
                await self._marker.settle_waiting(folder, at_once=True)
            finally:
                await abandon(ahead)
            if stop.is_set():
                return

    def _load_next(self, folder: Folder, batches: Iterator[tuple[Listed, ...]]) -> asyncio.Task[list[Loaded]] | None:
        batch = next(batches, None)
        return asyncio.create_task(self._fetcher.load(folder, batch)) if batch else None

    async def _look_for(self, folder: Folder, unlisted: set[int]) -> None:
        """SEARCH named them, FETCH does not: gone meanwhile, or there and kept from us: told, tried again."""
        there = await folder.still_there(unlisted)
        for uid in there:
            self._doubts.skip(uid, "fetch-nothing", asyncio.get_running_loop().time())
        self._gone(unlisted - there)

    def _gone(self, uids: Iterable[int]) -> None:
        """They left the folder before we had them: moved or deleted by somebody who may."""
        gone = set(uids)
        self._unfinished -= gone
        self._doubts.forget(gone)

    # --- accepting and marking

    async def _accept(self, folder: Folder, loaded: list[Loaded]) -> None:
        """Accept a batch; have what was accepted marked even when one of them failed, then raise its error."""
        outcomes = list(zip(loaded, await self._outcomes(loaded), strict=True))
        failures = [outcome for _, outcome in outcomes if isinstance(outcome, BaseException)]
        accepted = [(one.listed.uid, outcome) for one, outcome in outcomes if isinstance(outcome, Accepted)]
        await self._note_accepted(accepted)
        # One that is to be moved and was known waits for the next poll: another watcher may be moving it now, and two
        # moves at once leave two copies.
        self._marker.await_turn(uid for uid, one in accepted if one.new or self._mailbox.after == "mark")
        await self._marker.settle_waiting(folder, at_once=bool(failures))
        if failures:
            raise failures[0]

    async def _outcomes(self, loaded: list[Loaded]) -> Sequence[Accepted | BaseException]:
        """What became of each, all accepted at once so that the spool can commit together."""
        outcomes: Sequence[Accepted | BaseException]
        try:
            async with spool_deadline():
                outcomes = await self._intake.accept_all([(self._arrival(one), one.blob) for one in loaded])
        except Exception as error:
            outcomes = [error] * len(loaded)
        except BaseException:
            for one in loaded:
                await one.blob.discard()
            raise
        for one, outcome in zip(loaded, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                await one.blob.discard()
            if isinstance(outcome, Exception):
                self._doubts.strike(one.listed.uid, code_of(outcome), asyncio.get_running_loop().time())
        return outcomes

    async def _note_accepted(self, accepted: list[tuple[int, Accepted]]) -> None:
        """They are durable."""
        uids = [uid for uid, _ in accepted]
        self._seen.update(uids)
        self._marker.unmarked.update(uids)
        self._unfinished.difference_update(uids)
        self._doubts.forget(uids)
        if new := [one.id for _, one in accepted if one.new]:
            self._show(accepted=self.progress.accepted + len(new))
            await asyncio.gather(*map(self._tell, new))

    def _arrival(self, one: Loaded) -> Arrival:
        assert self._epoch is not None
        return Arrival(
            mailbox=self._mailbox.name,
            uidvalidity=self._epoch,
            uid=one.listed.uid,
            received_at=one.listed.received_at or self._clock(),
            message_id=one.message_id,
            peer=self._place,
            recipients=(self._mailbox.address,),
            test=self._mailbox.test,
        )

    async def _tell(self, message_id: str) -> None:
        try:
            told = self._on_accepted(message_id)
            if told is not None:
                async with asyncio.timeout(HINT_DEADLINE):
                    await told
        except Exception as error:  # the hint is lost, the sweep finds the message
            logger.warning("message %s: hint lost: %s", message_id, code_of(error))

    def _show(self, **changes: object) -> None:
        self.progress = replace(self.progress, **changes)  # type: ignore[arg-type]


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
