"""One mail from a mailbox to itself: sent by its door out, found by its door in, brought back, taken away again.

In: how the mailbox is reached, and the mail. Out: its bytes as they came, and how long each way took. Failures: those
of sending (Temporary, Permanent, UncertainDelivery) and of reading; `Lost`, when it left and was not seen in time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

from hub.errors import Temporary
from hub.imap.failures import CommandRefused, ConnectionLost, MessageGone
from hub.imap.folder import Folder
from hub.imap.opening import credentials_of, open_session
from hub.imap.session import Session
from hub.ports import FindWay, Sender, Way
from hub.raw import Whole
from hub.settings import Mailbox, Operator, Watching

LOOK_FIRST, LOOK_MOST = 0.2, 2.0  # seconds between two looks
ADDED_MOST = 256 * 1024  # bytes that the way may add
LOOKED_AT_MOST = 200  # new messages of one look: a mailbox that is filled meanwhile
PIECE = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A mailbox and its two doors. `mailbox.folder`, and `move_to` when a watcher moves, are looked into."""

    mailbox: Mailbox
    operator: Operator
    watching: Watching
    find_imap: FindWay
    sender: Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """`answer`: the server's last line. `accepted_in`, `back_in`: seconds until it took the mail, and from then until
    the mailbox showed it. `left`: `removed`, or what remains of it in the mailbox (`marked` \\\\Deleted, `there`)."""

    answer: str
    accepted_in: float
    back_in: float
    folder: str
    left: Literal["removed", "marked", "there"]
    raw: bytes = field(repr=False)


class Lost(Temporary):
    """It left (`answer`, after `accepted_in` seconds) and did not come back in time."""

    def __init__(self, answer: str, accepted_in: float, within: float) -> None:
        super().__init__(
            f"sent, and not back within {within:.0f} s ({answer})",
            "Le message d'essai est parti mais n'est pas revenu dans la boîte dans le temps donné.",
        )
        self.answer = answer
        self.accepted_in = accepted_in


async def round_trip(post: Post, mail: bytes, message_id: str, *, within: float) -> Returned:
    """`mail`: final bytes, from the mailbox's address to itself, with this Message-ID. `within`: seconds from the
    moment it was taken until it must be seen. The return path is the mailbox: a notice of failure comes back to it
    too. Raises Lost, and what sending and reading raise (HubError)."""
    session, _ = await opened(post)
    try:
        begins = await _ends(session, _folders(post.mailbox))
        address, began = post.mailbox.address, perf_counter()
        answer = await post.sender.send(post.mailbox.name, address, address, Whole(mail))
        accepted = perf_counter()
        most = len(mail) + ADDED_MOST
        try:
            async with asyncio.timeout(within):
                folder, raw = await _awaited(session, begins, message_id, most)
        except TimeoutError:
            raise Lost(answer, accepted - began, within) from None
        back = perf_counter()
        return Returned(
            answer=answer,
            accepted_in=accepted - began,
            back_in=back - accepted,
            folder=folder,
            left=await _removed(session, begins, message_id),
            raw=raw,
        )
    finally:
        await session.logout()


async def opened(post: Post) -> tuple[Session, Way]:
    """A session with the mailbox, and how it was reached. Raises what `hub.imap.opening` raises, OSError."""
    way = await post.find_imap()
    session = await open_session(
        way,
        await asyncio.to_thread(credentials_of, post.mailbox, post.operator),
        post.watching.connect_timeout.total_seconds(),
        post.watching.command_timeout.total_seconds(),
    )
    return session, way


def _folders(mailbox: Mailbox) -> tuple[str, ...]:
    """A watcher that is quicker than us may have moved it."""
    return (mailbox.folder, mailbox.move_to) if mailbox.after == "move" else (mailbox.folder,)


async def _ends(session: Session, folders: Iterable[str]) -> dict[str, int]:
    """Folder -> the first UID that can be new in it."""
    begins = {}
    for name in folders:
        try:
            folder = await Folder.select(session, name, read_only=True)
        except CommandRefused:
            begins[name] = 1  # it is not there yet: all that comes into it will be new
            continue
        begins[name] = folder.selected.uidnext or max(await folder.uids_from(1), default=0) + 1
    return begins


async def _awaited(session: Session, begins: dict[str, int], message_id: str, most: int) -> tuple[str, bytes]:
    """(folder, bytes) of the mail, as soon as a look finds it."""
    pause = LOOK_FIRST
    while True:
        for name, first in begins.items():
            try:
                raw = await _looked(session, name, first, message_id, most)
            except (CommandRefused, MessageGone):
                continue  # no such folder yet, or it was moved just now
            if raw is not None:
                return name, raw
        await asyncio.sleep(pause)
        pause = min(LOOK_MOST, pause * 1.3)


async def _looked(session: Session, name: str, first: int, message_id: str, most: int) -> bytes | None:
    folder = await Folder.select(session, name, read_only=True)
    uids = await _uids_of(folder, first, message_id)
    if not uids:
        return None
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        pieces.append(piece)

    sizes = [listed.size for listed in await folder.listing(uids[:1])]
    await folder.raw(uids[0], keep, PIECE, most, sizes[0] if sizes else 0)
    return b"".join(pieces)


async def _uids_of(folder: Folder, first: int, message_id: str) -> list[int]:
    """Those of the new messages that are the mail."""
    found = []
    for uid in (await folder.look(first)).uids[-LOOKED_AT_MOST:]:
        with contextlib.suppress(MessageGone):
            if await folder.message_id(uid) == message_id:
                found.append(uid)
    return found


async def _removed(session: Session, begins: dict[str, int], message_id: str) -> Literal["removed", "marked", "there"]:
    """Out of whichever folder: a watcher may move it meanwhile. The trip notes what stays, and files nothing of it: to
    remove it is courtesy, and may fail."""
    left: Literal["removed", "marked", "there"] = "removed"
    for name, first in (*begins.items(), *begins.items()):
        try:
            folder = await Folder.select(session, name)
            for uid in await _uids_of(folder, first, message_id):
                left = "removed" if await folder.removed(uid) else "marked"
        except CommandRefused as refused:
            if not refused.code.startswith("select"):  # else that folder is not there
                left = "there"
        except ConnectionLost:
            return "there"
    return left
