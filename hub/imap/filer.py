"""The door out by IMAP: files copies of what was sent, and looks whether an operator filed one itself.

In: a mailbox, a folder of the settings, a mail as it was sent. Out: the mail in that folder, once, however often it is
asked; or whether it is there. Failures: Temporary (no connection, over quota, not now), Permanent (no right, too large,
which folder is not clear); nothing that fails here says anything of the sending itself.

Each mailbox has one connection of its own, apart from the watcher's, opened when needed and closed when nothing was
filed for a while. A server that cannot be reached is left alone for a multiple of what the attempt took; one that
refuses our credentials for as long as a watcher would, since hammering locks the mailbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hub import settings
from hub.errors import HubError, Misconfigured, Permanent, Temporary
from hub.imap.cabinet import Cabinet
from hub.imap.failures import CommandRefused, ConnectionLost
from hub.imap.opening import Credentials, credentials_of, open_session
from hub.imap.session import Session
from hub.ports import FindWay, Way
from hub.raw import Raw

__all__ = ["Box", "ImapFiler"]

log = logging.getLogger("hub.imap")

REST = 4.0  # how many times longer than a failed attempt to connect the server is left alone
LIMIT = "APPENDLIMIT="  # RFC 7889
_FOR_EVER = frozenset({"noperm", "cannot", "toobig", "bad"})  # RFC 5530, RFC 4469 §4

AWAY = "La copie d'un message envoyé n'a pas pu être rangée dans la boîte : le hub réessaiera de lui-même."
FULL = (
    "La boîte est pleine : la copie d'un message envoyé n'a pas pu y être rangée. Le message, lui, est parti. "
    "Faites de la place dans la boîte."
)
REFUSED = (
    "L'opérateur n'accepte pas la copie d'un message envoyé dans le dossier des messages envoyés. Le message, lui, est "
    "parti. L'administrateur doit vérifier ce dossier (sent_folder)."
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A mailbox and how it is opened. `find_way` is asked at each connection. `watched`: the folders where its mail
    comes in, or into which nothing may be filed for another reason."""

    mailbox: settings.Mailbox
    operator: settings.Operator
    find_way: FindWay
    watched: frozenset[str]


class ImapFiler:
    """The real `hub.ports.Filer`."""

    def __init__(self, boxes: Iterable[Box], watching: settings.Watching, idle_close: timedelta) -> None:
        self._lanes = {box.mailbox.name: _Lane(box, watching, idle_close.total_seconds()) for box in boxes}

    async def file(self, mailbox: str, folder: str, mail: Raw, message_id: str, at: datetime) -> str:
        async def work(cabinet: Cabinet) -> str:
            _check_size(cabinet.session, mail)
            return await cabinet.put(folder, mail, message_id, at)

        return await self._lane(mailbox).use(work)

    async def holds(self, mailbox: str, folder: str, message_id: str, at: datetime) -> bool:
        return await self._lane(mailbox).use(lambda cabinet: cabinet.holds(folder, message_id, at))

    async def close(self) -> None:
        """Leave every server. Safe to call twice; a later call opens a new connection."""
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))

    def _lane(self, mailbox: str) -> _Lane:
        lane = self._lanes.get(mailbox)
        if lane is None:
            raise Permanent(f"mailbox {mailbox} is not in the settings", REFUSED)
        return lane


class _Lane:
    """The connection of one mailbox; one piece of work after the other."""

    def __init__(self, box: Box, watching: settings.Watching, idle_seconds: float) -> None:
        self._box = box
        self._never = frozenset(folder.casefold() for folder in box.watched)
        self._connect_seconds = watching.connect_timeout.total_seconds()
        self._command_seconds = watching.command_timeout.total_seconds()
        self._rest_most = watching.backoff_most.total_seconds()
        self._idle_seconds = idle_seconds
        self._lock = asyncio.Lock()
        self._cabinet: Cabinet | None = None  # with its connection
        self._way: Way | None = None  # by which it was opened
        self._idle: asyncio.TimerHandle | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._away: tuple[float, HubError] | None = None  # until when nobody tries; why

    async def use(self, work: Callable[[Cabinet], Awaitable[T]]) -> T:
        """Do it on the open connection, or a new one. Raises Temporary, Permanent, and what the mail's pieces raise."""
        asked_at = asyncio.get_running_loop().time()
        async with self._lock:
            self._raise_if_away(asked_at)
            if self._idle is not None:
                self._idle.cancel()
            try:
                return await work(await self._ready())
            except CommandRefused as refused:
                raise _meaning(refused) from None
            finally:
                if self._cabinet is not None:
                    self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._expire)

    async def close(self) -> None:
        async with self._lock:
            if self._idle is not None:
                self._idle.cancel()
            cabinet, self._cabinet = self._cabinet, None
            if cabinet is not None:
                await cabinet.session.logout()

    def _expire(self) -> None:
        if not self._lock.locked():
            self._farewell = asyncio.get_running_loop().create_task(self.close())

    def _raise_if_away(self, asked_at: float) -> None:
        """It proved away while this work waited for its turn, or a moment ago: no use in waiting once more."""
        if self._away is None or self._away[0] <= asked_at:
            return
        until, error = self._away
        rest = max(0.0, until - asyncio.get_running_loop().time())
        raise Temporary(error.private, AWAY, timedelta(seconds=rest))

    async def _ready(self) -> Cabinet:
        cabinet, self._cabinet = self._cabinet, None
        if cabinet is not None and self._way is not None and not self._way.lasts():
            await cabinet.session.logout()
        elif cabinet is not None:
            with contextlib.suppress(ConnectionLost):  # it died while it was idle: a new one
                await cabinet.session.noop()
                self._cabinet = cabinet
                return cabinet
        began = asyncio.get_running_loop().time()
        try:
            self._cabinet = Cabinet(await self._open(), self._never)
        except (Temporary, Permanent, Misconfigured) as error:
            raise self._noted(error, asyncio.get_running_loop().time() - began) from None
        self._away = None
        return self._cabinet

    def _noted(self, error: HubError, took: float) -> Temporary:
        rest = min(REST * took, self._rest_most) if isinstance(error, Temporary) else self._rest_most
        self._away = (asyncio.get_running_loop().time() + rest, error)
        return Temporary(error.private, AWAY, timedelta(seconds=rest))

    async def _open(self) -> Session:
        way, credentials = await self._keys()
        session = await open_session(way, credentials, self._connect_seconds, self._command_seconds)
        self._way = way
        place = f"{way.endpoint.host}:{way.endpoint.port}"
        log.info("mailbox %s: imap %s: connected to file copies", self._box.mailbox.name, place)
        return session

    async def _keys(self) -> tuple[Way, Credentials]:
        """Under a deadline: a network disk may hang."""
        box = self._box
        try:
            async with asyncio.timeout(self._connect_seconds):
                return await box.find_way(), await asyncio.to_thread(credentials_of, box.mailbox, box.operator)
        except TimeoutError:
            raise ConnectionLost("keys-timeout") from None


def _check_size(session: Session, mail: Raw) -> None:
    """What the server says that it will not take is not sent to it."""
    told = next((word.removeprefix(LIMIT) for word in session.capabilities if word.startswith(LIMIT)), "")
    if told.isdecimal() and mail.size > int(told):
        raise Permanent("the copy is over the server's APPENDLIMIT", REFUSED)


def _meaning(refused: CommandRefused) -> HubError:
    """What a refusal asks for: a human (Permanent), room in the mailbox, or patience."""
    code = refused.code.rpartition("-")[2]
    if code == "overquota":
        return Temporary(refused.private, FULL)
    if code in _FOR_EVER:
        return Permanent(refused.private, REFUSED)
    return Temporary(refused.private, AWAY)
