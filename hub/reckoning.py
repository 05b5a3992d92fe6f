"""The account of a mailbox: what its operator announces against what the hub made of it, to the unit.

In: a mailbox (looked into read only, by a connection of its own: its watcher is not disturbed) and the spool. Out: an
`Account`; `reckon` confirms it and keeps it for the alerts, `take` brings over what the account found unknown. Messages
flow by in windows: a mailbox of any size costs little memory. Failures: Temporary, Permanent, Misconfigured, as in
opening the mailbox; a look that lasts longer than `LOOK_MOST` is given up (Temporary).

No difference is cried for what is in flight. The cursor is read first, then the mailbox, then the spool: whatever the
watcher brings over meanwhile is above that cursor, or known. What still seems missing is looked for a second time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from hub.errors import Temporary
from hub.imap.doubts import Doubts
from hub.imap.failures import CommandRefused
from hub.imap.fetcher import Fetcher, Loaded
from hub.imap.folder import Folder, Selected
from hub.imap.opening import credentials_of, open_session
from hub.imap.session import Session
from hub.ports import Arrival, Clock, FindWay
from hub.settings import Mailbox, Settings
from hub.spool import SqlSpool
from hub.spool.intake import ranges
from hub.spool.ledger import PAGE, Fate, Met, Reckoned

LOOK_MOST = 600.0  # seconds for one whole account
LOOK_AGAIN = 2.0  # seconds before a difference is looked for again
AGREE_LOOKS = 3  # the server's count and its list may differ while messages come and go
_LAST_UID = 2**32 - 1  # RFC 3501 §2.3.1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One mailbox. `here` and `gone` count the accepted messages by what became of them: those that are there, and
    those that are no longer (moved or deleted by people, or moved by the hub). UIDs: `unknown` lie there below the
    cursor and were never accepted, `fresh` lie above it; `skipped` too, for a reason. `unlisted`: announced by the
    server without being shown. With `since`, all of this is about what arrived since then."""

    mailbox: str
    selected: Selected
    at: datetime
    since: datetime | None = None
    there: int = 0
    here: Counter[Fate] = field(default_factory=Counter)
    gone: Counter[Fate] = field(default_factory=Counter)
    unknown: tuple[int, ...] = ()
    fresh: tuple[int, ...] = ()
    skipped: tuple[tuple[int, str], ...] = ()
    unlisted: int = 0
    cursor: tuple[int, int] | None = None  # UIDVALIDITY, UID
    moved_to: int | None = None  # messages in the folder of `after: move`

    @property
    def announced(self) -> int:
        return self.there + self.unlisted

    @property
    def differences(self) -> int:
        return len(self.unknown) + self.unlisted

    @property
    def balances(self) -> bool:
        known = sum(self.here.values()) + len(self.fresh) + len(self.skipped)
        return not self.differences and known == self.there

    @property
    def is_new_epoch(self) -> bool:
        """The server began to number anew, and the hub has not yet compared everything again."""
        return self.cursor is not None and self.cursor[0] != self.selected.uidvalidity


class Reckoner:
    """Makes the accounts of a site's mailboxes, one at a time."""

    def __init__(
        self,
        settings: Settings,
        spool: SqlSpool,
        way_to: Callable[[Mailbox], FindWay],
        clock: Clock,
        look_again: float = LOOK_AGAIN,
    ) -> None:
        """`way_to`: how the IMAP server of a mailbox is reached."""
        self._settings = settings
        self._way_to = way_to
        self._spool = spool
        self._clock = clock
        self._look_again = look_again

    async def reckon(self, box: Mailbox, since: datetime | None = None) -> Account:
        """A confirmed account; a whole one is kept for the alerts."""
        if since is not None:
            since = since.replace(microsecond=0)  # INTERNALDATE counts whole seconds
        account = await self._account(box, since)
        if not account.balances:
            await asyncio.sleep(self._look_again)
            account = _confirmed(account, await self._account(box, since))
        if since is None:
            await self._spool.reckoned(_kept(account))
        return account

    async def take(self, box: Mailbox, uids: Iterable[int]) -> int:
        """Bring over now what the cursor has passed; how many became known. The watcher marks them, the sweep carries
        them. One that is gone meanwhile, too large or refused is left."""
        taken = 0
        async with self._examined(box) as folder:
            fetcher = Fetcher(self._spool, self._settings.watching, Doubts(0.0), lambda _uid: None)
            for batch in fetcher.batches(await folder.listing(uids)):
                loaded = await fetcher.load(folder, batch)
                try:
                    for one in loaded:
                        await self._spool.accept(self._arrival(box, folder, one), one.blob)
                        taken += 1
                finally:
                    for one in loaded:
                        await one.blob.discard()
        return taken

    def _arrival(self, box: Mailbox, folder: Folder, one: Loaded) -> Arrival:
        return Arrival(
            mailbox=box.name,
            uidvalidity=folder.selected.uidvalidity,
            uid=one.listed.uid,
            received_at=one.listed.received_at or self._clock(),
            message_id=one.message_id,
            peer=folder.session.host,
            recipients=(box.address,),
            test=box.test,
        )

    async def _account(self, box: Mailbox, since: datetime | None) -> Account:
        try:
            async with asyncio.timeout(LOOK_MOST):
                cursor = await self._spool.cursor(box.name)
                async with self._examined(box) as folder:
                    for _ in range(AGREE_LOOKS):
                        account = await self._looked(box, folder, cursor, since)
                        if not account.unlisted:
                            break
                        folder = await Folder.select(folder.session, box.folder, read_only=True)
                    return replace(account, moved_to=await self._moved_to(box, folder.session))
        except TimeoutError:
            raise Temporary(f"mailbox {box.name}: no whole account within {LOOK_MOST:.0f} s") from None

    async def _looked(
        self, box: Mailbox, folder: Folder, cursor: tuple[int, int] | None, since: datetime | None
    ) -> Account:
        """Window by window: what is there, then what the spool knows of the same UIDs."""
        selected = folder.selected
        last = cursor[1] if cursor is not None and cursor[0] == selected.uidvalidity else 0
        here, gone = Counter[Fate](), Counter[Fate]()
        unknown: list[int] = []
        fresh: list[int] = []
        there, listed, first, is_whole = 0, 0, 1, False
        while not is_whole:
            look = await folder.look(first)
            is_whole = look.is_whole
            until = _LAST_UID if is_whole else look.until
            listed += len(look.uids)
            wanted = set(look.uids if since is None else await _arrived(folder, look.uids, since))
            there += len(wanted)
            async for met in self._met(box.name, selected.uidvalidity, first - 1, until):
                if met.uid in wanted:
                    here[met.fate] += 1
                    wanted.discard(met.uid)
                elif since is None or met.received_at >= since:
                    gone[met.fate] += 1
            unknown += sorted(uid for uid in wanted if uid <= last)
            fresh += sorted(uid for uid in wanted if uid > last)
            first = look.until + 1
        reasons = await self._reasons(box.name, selected.uidvalidity)
        return Account(
            mailbox=box.name,
            selected=selected,
            at=self._clock(),
            since=since,
            there=there,
            here=here,
            gone=gone,
            unknown=tuple(unknown),
            fresh=tuple(uid for uid in fresh if uid not in reasons),
            skipped=tuple((uid, reasons[uid]) for uid in fresh if uid in reasons),
            unlisted=max(0, selected.exists - listed),
            cursor=cursor,
        )

    async def _met(self, mailbox: str, uidvalidity: int, above: int, until: int) -> AsyncIterator[Met]:
        while True:
            page = await self._spool.met(mailbox, uidvalidity, above, until)
            for met in page:
                yield met
            if len(page) < PAGE:
                return
            above = page[-1].uid

    async def _reasons(self, mailbox: str, uidvalidity: int) -> dict[int, str]:
        """Why the watcher left messages in the mailbox."""
        told = await self._spool.told_by_watcher(mailbox)
        return dict(told.skipped) if told is not None and told.uidvalidity == uidvalidity else {}

    async def _moved_to(self, box: Mailbox, session: Session) -> int | None:
        if box.after != "move":
            return None
        try:
            return (await Folder.select(session, box.move_to, read_only=True)).selected.exists
        except CommandRefused:  # made by the first move
            return 0

    @asynccontextmanager
    async def _examined(self, box: Mailbox) -> AsyncIterator[Folder]:
        """The folder, opened by EXAMINE: nothing is changed, not even \\Recent."""
        watching = self._settings.watching
        session = await open_session(
            await self._way_to(box)(),
            credentials_of(box, self._settings.operator_of(box)),
            watching.connect_timeout.total_seconds(),
            watching.command_timeout.total_seconds(),
        )
        try:
            yield await Folder.select(session, box.folder, read_only=True)
            await session.logout()
        finally:
            session.close()


async def _arrived(folder: Folder, uids: tuple[int, ...], since: datetime) -> tuple[int, ...]:
    """Those of INTERNALDATE `since` or later. SEARCH knows only days, in a time zone that the server does not tell."""
    of_those_days = await folder.arrived_since(uids, (since - timedelta(days=1)).date())
    return tuple(
        one.uid for one in await folder.listing(of_those_days) if one.received_at is None or one.received_at >= since
    )


def _confirmed(first: Account, second: Account) -> Account:
    """The second account; what only it misses is not cried yet, but counts as still to come."""
    if first.selected.uidvalidity != second.selected.uidvalidity:
        return replace(second, unknown=(), fresh=tuple(sorted((*second.unknown, *second.fresh))), unlisted=0)
    twice = set(first.unknown) & set(second.unknown)
    once = set(second.unknown) - twice
    return replace(
        second,
        unknown=tuple(sorted(twice)),
        fresh=tuple(sorted((*second.fresh, *once))),
        unlisted=min(first.unlisted, second.unlisted),
    )


def _kept(account: Account) -> Reckoned:
    return Reckoned(
        mailbox=account.mailbox,
        at=account.at,
        uidvalidity=account.selected.uidvalidity,
        uidnext=account.selected.uidnext,
        announced=account.announced,
        fresh=len(account.fresh),
        skipped=len(account.skipped),
        gone=sum(account.gone.values()),
        differences=account.differences,
        unknown=ranges(account.unknown),
        filed=account.here[Fate.FILED],
        delivered=account.here[Fate.DELIVERED],
        refused=account.here[Fate.REFUSED],
        noted=account.here[Fate.NOTED],
        waiting=account.here[Fate.WAITING],
        held=account.here[Fate.HELD],
        in_error=account.here[Fate.IN_ERROR],
    )
