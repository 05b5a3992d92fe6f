"""The folder of sent mails, on one connection: which one it is, whether a mail is in it, how a mail is put there.

In: an authenticated session, the folder of the settings (`auto`: whichever the server means). Nothing is changed by
looking (EXAMINE). A mail is known by its Message-ID, read from the message itself and compared whole: SEARCH is a hint,
for servers search in parts of words, and some ignore what they do not know. Failures: CommandRefused, ConnectionLost,
Permanent when it cannot be told which folder is meant, or mail comes in there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from datetime import datetime, timedelta

from hub.errors import Permanent
from hub.imap.failures import CommandRefused, MessageGone
from hub.imap.folder import Folder
from hub.imap.grammar import day_word, folder_name, quoted, read_search, written_date
from hub.imap.listing import ListedFolder, Namespaces, of_sent_mails, read_list, read_namespaces
from hub.imap.session import Session
from hub.imap.wire import LINE_MOST, SurpriseOnWire
from hub.raw import Raw

AUTO = "auto"
NEW = "Sent"  # what `auto` makes where nothing is
LOOKED_AT_MOST = 20  # messages that SEARCH names for one Message-ID: an honest server names one or two
# INTERNALDATE is a day in the server's zone, and clocks differ.
BEFORE = timedelta(days=2)
WHICH = (
    "Le hub ne sait pas quel dossier de la boîte est celui des messages envoyés : aucune copie n'y est rangée. "
    "L'administrateur doit nommer ce dossier dans les réglages (sent_folder)."
)


class Cabinet:
    """`never`: folders (small letters) where mail comes in: a copy there would be taken for one."""

    def __init__(self, session: Session, never: Collection[str]) -> None:
        self.session = session
        self._never = never
        self._meant: str | None = None  # by `auto`, as far as this connection found out

    async def holds(self, wanted: str, message_id: str, at: datetime) -> bool:
        """Whether a mail with this Message-ID, composed at `at`, is in the folder; False without such a folder."""
        name = await self.found(wanted)
        if name is None:
            return False
        try:
            return await self._is_in(name, message_id, at)
        except CommandRefused as refused:
            if not self._is_missing(refused):
                raise
            return False

    async def put(self, wanted: str, mail: Raw, message_id: str, at: datetime) -> str:
        """Append it as read (\\Seen), dated `at`, unless it is there; the folder is made when it is missing. Returns
        what was done."""
        name = await self.found(wanted) or await self._made(wanted)
        if await self._is_in_or_made(wanted, name, message_id, at):
            return "already there"
        words = folder_name(name), mail, ("\\Seen",), written_date(at)
        try:
            await self.session.append(*words)
        except CommandRefused as refused:
            if not refused.code.endswith("-trycreate") or self.session.is_lost:
                raise
            await self._make(wanted, name)  # somebody deleted it a moment ago
            await self.session.append(*words)
        return "filed"

    # --- which folder

    async def found(self, wanted: str) -> str | None:
        """The folder's name; None when there is none yet. A name of the settings is taken at its word."""
        if wanted != AUTO:
            return self._checked(wanted)
        if self._meant is None:
            spaces = await self._namespaces()
            meant = of_sent_mails(await self._folders(), spaces)
            if len(meant) > 1:
                raise Permanent(f"{len(meant)} folders may be that of sent mails: name one in sent_folder", WHICH)
            self._meant = self._checked(meant[0].name) if meant else None
        return self._meant

    def _checked(self, name: str) -> str:
        if name.casefold() in self._never:
            raise Permanent("the folder of sent mails is one where mail comes in", WHICH)
        return name

    async def _made(self, wanted: str) -> str:
        name = self._checked((await self._namespaces()).own + NEW)
        await self._make(wanted, name)
        self._meant = name
        return name

    async def _make(self, wanted: str, name: str) -> None:
        """Create and subscribe, so that mail programs show it; with `auto` also mark it, where the server lets us."""
        marks = wanted == AUTO and "CREATE-SPECIAL-USE" in self.session.capabilities
        try:
            await self.session.command("CREATE", folder_name(name), *(["(USE (\\Sent))"] if marks else []))
        except CommandRefused as refused:
            if not refused.code.endswith("-alreadyexists"):
                raise
        with contextlib.suppress(CommandRefused):  # a folder that programs do not show is a folder all the same
            await self.session.command("SUBSCRIBE", folder_name(name))

    async def _namespaces(self) -> Namespaces:
        if "NAMESPACE" not in self.session.capabilities:
            return Namespaces()
        reply = await self.session.command("NAMESPACE", keeps=(b"NAMESPACE",))
        try:
            told = [read for answer in reply.answers if (read := read_namespaces(answer)) is not None]
        except SurpriseOnWire as surprise:
            raise self.session.surprise(surprise.code) from None
        return told[0] if told else Namespaces()

    async def _folders(self) -> tuple[ListedFolder, ...]:
        """All of them. The marks come unasked with some servers, to others one must say that they are wanted (RFC 6154
        §3, RFC 5258)."""
        asks = {"SPECIAL-USE", "LIST-EXTENDED"} <= self.session.capabilities
        more = ["RETURN (SPECIAL-USE)"] if asks else []
        reply = await self.session.command("LIST", '""', '"*"', *more, keeps=(b"LIST",))
        try:
            listed = [read_list(answer) for answer in reply.answers]
        except SurpriseOnWire as surprise:
            raise self.session.surprise(surprise.code) from None
        return tuple(one for one in listed if one is not None)

    # --- what is in it

    async def _is_in_or_made(self, wanted: str, name: str, message_id: str, at: datetime) -> bool:
        try:
            return await self._is_in(name, message_id, at)
        except CommandRefused as refused:
            if not self._is_missing(refused):
                raise
        await self._make(wanted, name)
        return await self._is_in(name, message_id, at)  # a folder that may not be looked into would fill with twins

    async def _is_in(self, name: str, message_id: str, at: datetime) -> bool:
        """Raises CommandRefused: there is no such folder (`_is_missing`), among others."""
        folder = await Folder.select(self.session, name, read_only=True)
        words = ("SINCE", day_word((at - BEFORE).date()), "HEADER", "Message-ID", quoted(message_id))
        reply = await self.session.command("SEARCH", *words, by_uid=True, keeps=(b"SEARCH",), kept_most=LINE_MOST)
        try:
            named = sorted({uid for answer in reply.answers for uid in read_search(answer)})
        except SurpriseOnWire as surprise:
            raise self.session.surprise(surprise.code) from None
        for uid in named[-LOOKED_AT_MOST:]:
            with contextlib.suppress(MessageGone):
                if await folder.message_id(uid) == message_id:
                    return True
        return False

    def _is_missing(self, refused: CommandRefused) -> bool:
        """Servers without RFC 5530 say NO, and no more."""
        return refused.code.startswith("examine") and not refused.is_passing
