"""One selected folder of a mailbox: what the door in looks at, fetches, marks and moves.

UIDs only. Bodies are fetched with BODY.PEEK in pieces, so that \\Seen is never touched and no message is ever whole in
memory; marks and moves are read back. Failures are those of the session; a message that left the folder meanwhile is
no failure (`MessageGone`, or absent from what is returned).
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from hub.imap.failures import CommandRefused, MessageGone, MessageTooLarge
from hub.imap.grammar import (
    Fetched,
    day_word,
    folder_name,
    message_id_in,
    nz_number,
    read_fetch,
    read_search,
    response_code,
    uid_set,
)
from hub.imap.protocol import LITERAL_MOST
from hub.imap.session import Session
from hub.imap.wire import LINE_MOST, SurpriseOnWire

WINDOW = 50_000  # UIDs asked in one SEARCH of a big folder: its answer stays under the cap on a line
WINDOWS_MOST = 200  # in one look: UIDs may be sparse, or a lie, and each look notes how far it came
CHUNK = 500  # UIDs named in one command
BATCH_MOST = 4 * 1024**2  # bytes kept for one batch of short messages, whatever sizes were announced
LISTING_MOST = 2 * 1024**2  # bytes kept for a listing of CHUNK messages


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What SELECT said. `uidnext` is None when the server does not tell; without `has_lasting_uids` (UIDNOTSTICKY,
    RFC 4315) a UID may name another message at the next connection, whatever UIDVALIDITY says."""

    uidvalidity: int
    uidnext: int | None
    exists: int
    permanent_flags: frozenset[str]  # small letters
    is_read_only: bool
    has_lasting_uids: bool = True

    def takes(self, flag: str) -> bool:
        """Whether the server promises to keep this flag or keyword (RFC 3501 §7.1, PERMANENTFLAGS)."""
        if self.is_read_only:
            return False
        return flag.lower() in self.permanent_flags or (not flag.startswith("\\") and "\\*" in self.permanent_flags)


@dataclass(frozen=True, slots=True)
class Look:
    """UIDs found, ascending, and the UID up to which this look went; `is_whole`: to the end of the folder."""

    uids: tuple[int, ...]
    until: int
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A message as the folder lists it. `size` is RFC822.SIZE, which some servers only estimate."""

    uid: int
    size: int
    received_at: datetime | None
    flags: frozenset[str]


class Folder:
    """Made by `Folder.select`."""

    def __init__(self, session: Session, selected: Selected) -> None:
        self.session = session
        self.selected = selected

    @classmethod
    async def select(cls, session: Session, name: str, *, read_only: bool = False) -> Folder:
        """With `read_only` by EXAMINE, which changes nothing. Raises CommandRefused (no such folder), ConnectionLost
        (also when there is no UIDVALIDITY: without it no UID can be trusted to name the same message twice)."""
        session.epoch = None
        reply = await session.command(
            "EXAMINE" if read_only else "SELECT", folder_name(name), keeps=(b"OK", b"NO"), kept_most=LITERAL_MOST
        )
        codes: dict[str, str] = {}
        for answer in reply.answers:
            result, _, text = answer[0][2:].partition(b" ")
            if result.upper() in (b"OK", b"NO"):  # `* NO [UIDNOTSTICKY] …`
                codes.update([response_code(text)])
        codes.setdefault("PERMANENTFLAGS", r"(\Answered \Flagged \Deleted \Seen \Draft)")  # RFC 3501 §6.3.1: assume all
        session.epoch = nz_number(codes.get("UIDVALIDITY", ""))
        if session.epoch is None:
            raise session.surprise("no-uidvalidity")
        selected = Selected(
            uidvalidity=session.epoch,
            uidnext=nz_number(codes.get("UIDNEXT", "")),
            exists=session.exists,
            permanent_flags=frozenset(codes["PERMANENTFLAGS"].strip("()").lower().split()),
            is_read_only=response_code(reply.text)[0] == "READ-ONLY",
            has_lasting_uids="UIDNOTSTICKY" not in codes,
        )
        return cls(session, selected)

    async def uids_from(self, first: int) -> tuple[int, ...]:
        """All UIDs now in the folder, from `first` on, ascending."""
        found: list[int] = []
        while True:
            look = await self.look(first)
            found += look.uids
            first = look.until + 1
            if look.is_whole:
                return tuple(found)

    async def look(self, first: int) -> Look:
        """The UIDs from `first` on; a big folder takes several looks, so that no answer and no list grows with it."""
        self.session.forget_news()
        if self.session.exists <= WINDOW:
            # `n:*` names the last message even when its UID is under n (RFC 3501 §9, seq-range)
            uids = sorted(uid for uid in await self._search(f"{first}:*") if uid >= first)
            return Look(tuple(uids), max(uids, default=first - 1), True)
        most = max(await self._search("*"), default=0)
        found: set[int] = set()
        low = first
        for _ in range(WINDOWS_MOST):
            if low > most or len(found) >= WINDOW:
                break
            high = low + WINDOW - 1
            found |= {uid for uid in await self._search(f"{low}:{high}") if low <= uid <= high}
            low = high + 1
        until = max(min(low - 1, most), first - 1, max(found, default=0))
        return Look(tuple(sorted(found)), until, low > most)

    async def still_there(self, uids: Collection[int]) -> frozenset[int]:
        """Those that the server still counts as messages of the folder."""
        return frozenset(await self._search(uid_set(uids)) & set(uids)) if uids else frozenset()

    async def arrived_since(self, uids: Sequence[int], day: date) -> frozenset[int]:
        """Those of these UIDs (ascending) whose INTERNALDATE is of that day or later, in the server's own time zone."""
        if not uids:
            return frozenset()
        return frozenset(await self._search(f"{uids[0]}:{uids[-1]}", "SINCE", day_word(day)) & set(uids))

    async def _search(self, uids: str, *more: str) -> set[int]:
        reply = await self.session.command(
            "SEARCH", "UID", uids, *more, by_uid=True, keeps=(b"SEARCH",), kept_most=LINE_MOST
        )
        with self._no_surprise():
            return {uid for answer in reply.answers for uid in read_search(answer)}

    async def listing(self, uids: Iterable[int]) -> tuple[Listed, ...]:
        """Size, date and flags of those UIDs that the server tells of, by UID. One that it tells no size of has size
        0; whether one that is absent here is really gone, `still_there` says."""
        listed: dict[int, Listed] = {}
        for chunk in _chunks(uids):
            wanted = set(chunk)
            for found in await self._fetch(chunk, "(UID INTERNALDATE RFC822.SIZE FLAGS)"):
                if found.uid in wanted and (found.size is not None or found.uid not in listed):
                    flags = found.flags or frozenset()
                    listed[found.uid] = Listed(found.uid, found.size or 0, found.received_at, flags)
        return tuple(listed[uid] for uid in sorted(listed))

    async def message_id(self, uid: int) -> str | None:
        """The Message-ID of one message, None when it has none. Raises MessageGone."""
        for found in await self._fetch([uid], "(UID BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"):
            if found.uid == uid and found.body is not None:
                return message_id_in(found.body)
        raise MessageGone

    async def raws(self, uids: Collection[int], piece: int) -> dict[int, bytes]:
        """Short messages, several in one command, by UID; those that are gone, or turn out not to be shorter than
        `piece` bytes, are absent: fetch them by `raw`."""
        items = f"(UID BODY.PEEK[]<0.{piece}>)"
        raws: dict[int, bytes] = {}
        for found in await self._fetch(uids, items, literal_most=piece, kept_most=BATCH_MOST + piece):
            if (
                found.uid is not None
                and found.uid in uids
                and found.body is not None
                and found.origin == 0
                and len(found.body) < piece
            ):
                raws[found.uid] = found.body
        return raws

    async def raw(
        self, uid: int, write: Callable[[bytes], Awaitable[None]], piece: int, most: int, announced: int
    ) -> int:
        """One message given to `write` in pieces of at most `piece` bytes; returns its size.

        The message ends with a piece shorter than asked. When the sum is not the announced RFC822.SIZE, one more
        piece is asked for beyond the end, so that neither a wrong announcement nor a short piece cuts a message; then
        the last byte is asked for once more: a message that another client deletes meanwhile also ends like this.
        Raises MessageGone, MessageTooLarge, CommandRefused, ConnectionLost."""
        offset = 0
        while True:
            body = await self._piece(uid, offset, piece)
            if offset + len(body) > most:
                raise MessageTooLarge
            if body:
                await write(body)
            offset += len(body)
            if offset == announced and len(body) < piece:
                return offset
            if not body:
                if not (offset and await self._piece(uid, offset - 1, 1)):
                    raise CommandRefused("fetch-cut")
                return offset

    async def _piece(self, uid: int, offset: int, length: int) -> bytes:
        items = f"(UID BODY.PEEK[]<{offset}.{length}>)"
        fetched = await self._fetch([uid], items, literal_most=length, kept_most=2 * length + LITERAL_MOST)
        ours = [f for f in fetched if f.uid == uid and (f.body is not None or f.flags is None)]
        if not ours:
            raise MessageGone
        if ours[0].body is None:
            if offset and length > 1:
                return b""  # some servers say NIL for "beyond the end"
            raise CommandRefused("fetch-nil")
        if ours[0].origin != offset:
            raise self.session.surprise("fetch-origin")
        return ours[0].body

    async def flagged(self, uids: Iterable[int], flag: str) -> frozenset[int]:
        """Set a flag or keyword and read it back: the UIDs that carry it now, or are no longer in the folder."""
        verified: set[int] = set()
        for chunk in _chunks(uids):
            await self.session.command("STORE", uid_set(chunk), "+FLAGS.SILENT", f"({flag})", by_uid=True)
            flags = await self._flags(chunk)
            verified |= {uid for uid in chunk if uid not in flags or flag.lower() in flags[uid]}
        return frozenset(verified)

    async def removed(self, uid: int) -> bool:
        """Mark one message \\Deleted and take it out of the folder; whether it is out. It stays, marked, without
        UIDPLUS: a plain EXPUNGE would also remove what others marked."""
        named = uid_set([uid])
        await self.session.command("STORE", named, "+FLAGS.SILENT", r"(\Deleted)", by_uid=True)
        if "UIDPLUS" in self.session.capabilities:
            await self.session.command("EXPUNGE", named, by_uid=True)
        return not await self.still_there([uid])

    async def moved(self, uids: Iterable[int], target: str, copied: set[int] | None = None) -> frozenset[int]:
        """Move to another folder, made when it is missing (RH-23), and look again: the UIDs that left this folder.

        With MOVE (RFC 6851), else COPY, \\Deleted and UID EXPUNGE (UIDPLUS). Without UIDPLUS the originals stay here
        marked \\Deleted, which counts as moved: a plain EXPUNGE would also remove what others marked. A crash between
        COPY and EXPUNGE leaves a second copy in the target, never none; `copied` remembers, for the next try, those
        whose COPY was answered."""
        gone: set[int] = set()
        copied = set() if copied is None else copied
        for chunk in _chunks(uids):
            present = await self._present(chunk)
            if present:
                await self._move(present, target, copied)
            gone |= set(chunk) - await self._present(chunk)
        return frozenset(gone)

    async def _present(self, chunk: Sequence[int]) -> set[int]:
        """Those that are in the folder and not marked \\Deleted."""
        return {uid for uid, flags in (await self._flags(chunk)).items() if "\\deleted" not in flags}

    async def _flags(self, chunk: Sequence[int]) -> dict[int, frozenset[str]]:
        """Flags in small letters of those that are there. The last word counts: the server may also tell, unasked,
        what another client did before."""
        flags: dict[int, frozenset[str]] = {}
        for found in await self._fetch(chunk, "(UID FLAGS)"):
            if found.uid is not None and found.uid in chunk and found.flags is not None:
                flags[found.uid] = frozenset(flag.lower() for flag in found.flags)
        return flags

    async def _move(self, uids: set[int], target: str, copied: set[int]) -> None:
        verb = "MOVE" if "MOVE" in self.session.capabilities else "COPY"
        if wanted := uids - copied:
            named, folder = uid_set(wanted), folder_name(target)
            try:
                await self.session.command(verb, named, folder, by_uid=True)
            except CommandRefused:
                with contextlib.suppress(CommandRefused):  # it was there already: the next answer says what is wrong
                    await self.session.command("CREATE", folder)
                await self.session.command(verb, named, folder, by_uid=True)
        if verb == "COPY":
            copied |= wanted
            named = uid_set(uids)
            await self.session.command("STORE", named, "+FLAGS.SILENT", r"(\Deleted)", by_uid=True)
            if "UIDPLUS" in self.session.capabilities:
                await self.session.command("EXPUNGE", named, by_uid=True)

    async def _fetch(
        self, uids: Collection[int], items: str, literal_most: int = LITERAL_MOST, kept_most: int = LISTING_MOST
    ) -> list[Fetched]:
        reply = await self.session.command(
            "FETCH",
            uid_set(uids),
            items,
            by_uid=True,
            keeps=(b"FETCH",),
            literal_most=literal_most,
            kept_most=kept_most,
        )
        with self._no_surprise():
            return [fetched for answer in reply.answers if (fetched := read_fetch(answer)) is not None]

    @contextlib.contextmanager
    def _no_surprise(self) -> Iterator[None]:
        try:
            yield
        except SurpriseOnWire as surprise:
            raise self.session.surprise(surprise.code) from None


def _chunks(uids: Iterable[int]) -> Iterator[list[int]]:
    ordered = sorted(set(uids))
    for start in range(0, len(ordered), CHUNK):
        yield ordered[start : start + CHUNK]
