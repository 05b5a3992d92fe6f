"""A small IMAP server of messages by UID, in Python, that does whatever a test tells it to.

    shop = Shop({1: mail(1)})
    shop.on["BODY"] = reset          # async (Peer, words) -> bool: True when it answered instead of the shop
    async with at_shop(authority, shop, intake) as one: …

The phases are those of PHASES, and MOVE, COPY, CREATE, EXPUNGE. A hook that raises ends the connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from hub import settings
from hub.ports import Intake
from tests.edges.scripted_imap import Peer, Scripted, scripted, server_context
from tests.edges.watching import Watched, mailbox_of, watched
from tests.pki import Authority

Hook = Callable[[Peer, str], Awaitable[bool]]

PHASES = (
    "GREETING", "CAPABILITY", "AUTHENTICATE", "SELECT", "NOOP", "SEARCH", "LISTING", "BODY", "STORE", "FLAGS", "IDLE",
    "DONE", "LOGOUT",
)  # fmt: skip


@dataclass
class Shop:
    """`refused` messages are answered NO, `deadly` ones break the connection, `hidden` ones are never fetched; `lies`
    are RFC822.SIZE as announced."""

    messages: dict[int, bytes]
    capabilities: str = "IDLE UIDPLUS MOVE SASL-IR AUTH=EXTERNAL"
    keywords: str = r"\*"
    permanent: str = r"\Flagged"
    epoch: str = "[UIDVALIDITY 9]"
    exists: int | None = None
    selected: str = "[READ-WRITE]"
    refused: set[int] = field(default_factory=set)
    deadly: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    lies: dict[int, int] = field(default_factory=dict)
    flags: dict[int, set[str]] = field(default_factory=dict)
    moved: dict[int, int] = field(default_factory=dict)  # UID -> how often it was put into another folder
    idles: int = 0
    on_idle: Callable[[Peer], None] | None = None
    on: dict[str, Hook] = field(default_factory=dict)

    async def serve(self, peer: Peer) -> None:
        if not await self._instead(peer, "GREETING"):
            peer.say("* OK ready")
        while True:
            words = await peer.expect(".*")
            verb = self._phase(words)
            if await self._instead(peer, verb, words):
                continue
            if verb == "IDLE":
                await self._idle(peer)
            elif verb == "LOGOUT":
                await peer.ok()
                return
            elif not await self._answer(peer, verb, words):
                peer.reset()
                return

    @staticmethod
    def _phase(words: str) -> str:
        verb = words.removeprefix("UID ").split(" ", 1)[0].upper()
        if verb == "FETCH":
            return "BODY" if "BODY" in words else "LISTING" if "RFC822.SIZE" in words else "FLAGS"
        return {"LOGIN": "AUTHENTICATE", "EXAMINE": "SELECT"}.get(verb, verb)

    async def _instead(self, peer: Peer, phase: str, words: str = "") -> bool:
        return phase in self.on and await self.on[phase](peer, words)

    async def _idle(self, peer: Peer) -> None:
        self.idles += 1
        tag = peer.tag
        peer.say("+ idling")
        if self.on_idle is not None:
            self.on_idle(peer)
        await peer.expect("DONE")
        if not await self._instead(peer, "DONE"):
            peer.say(f"{tag} OK idled")

    async def _answer(self, peer: Peer, verb: str, words: str) -> bool:
        """False: the connection is to be broken."""
        named = self._named(words.split(" ")[3 if verb == "SEARCH" else 2]) if words.startswith("UID ") else []
        match verb:
            case "CAPABILITY":
                peer.say(f"* CAPABILITY IMAP4rev1 {self.capabilities}")
            case "SELECT":
                return await self._select(peer)
            case "SEARCH":
                peer.say(" ".join(["* SEARCH", *map(str, named)]))
            case "STORE" | "MOVE" | "COPY" | "EXPUNGE":
                self._change(verb, named, words)
            case "BODY":
                return await self._bodies(peer, named, words)
            case "LISTING" | "FLAGS":
                for uid in named:
                    if uid not in self.hidden:
                        size = self.lies.get(uid, len(self.messages[uid]))
                        flags = " ".join(self.flags.get(uid, ()))
                        peer.say(f"* {uid} FETCH (UID {uid} FLAGS ({flags}) RFC822.SIZE {size})")
        await peer.ok()
        return True

    def _change(self, verb: str, named: list[int], words: str) -> None:
        for uid in named:
            if verb == "STORE":
                self.flags.setdefault(uid, set()).add(words.rsplit("(", 1)[1].rstrip(")"))
            elif verb in ("MOVE", "COPY"):
                self.moved[uid] = self.moved.get(uid, 0) + 1
            if verb == "MOVE" or (verb == "EXPUNGE" and "\\Deleted" in self.flags.get(uid, ())):
                del self.messages[uid]

    async def _select(self, peer: Peer) -> bool:
        peer.say(f"* {len(self.messages) if self.exists is None else self.exists} EXISTS")
        if self.epoch:
            peer.say(f"* OK {self.epoch} v")
        peer.say(f"* OK [PERMANENTFLAGS (\\Seen {self.permanent} {self.keywords})] p")
        await peer.ok(f"{self.selected} s")
        return True

    async def _bodies(self, peer: Peer, named: list[int], words: str) -> bool:
        if self.deadly & set(named):
            return False
        if self.refused & set(named):
            await peer.no("[SERVERBUG] cannot read it")
            return True
        offset, _, length = words.rpartition("<")[2].rstrip(">)").partition(".")
        for uid in named:
            if uid not in self.hidden:
                piece = self.messages[uid][int(offset) :][: int(length)]
                peer.say(b"* %d FETCH (UID %d BODY[]<%d> {%d}\r\n%b)\r\n" % (uid, uid, int(offset), len(piece), piece))
        await peer.ok()
        return True

    def _named(self, named: str) -> list[int]:
        found = set()
        for part in named.split(","):
            low, _, high = part.partition(":")
            most = max(self.messages, default=0)
            first, last = (most if end == "*" else int(end) for end in (low, high or low))
            found |= {uid for uid in self.messages if min(first, last) <= uid <= max(first, last)}
        return sorted(found)


def operator_at(port: int, authority: Authority) -> settings.Operator:
    endpoint = settings.Endpoint(host="localhost", port=port, tls="implicit")
    return settings.Operator(name="operateur", imap=endpoint, smtp=endpoint, ca_file=authority.ca_file)


@asynccontextmanager
async def open_shop(authority: Authority, shop: Shop) -> AsyncIterator[Scripted]:
    async with scripted(shop.serve, server_context(authority.issue("shop", "localhost"))) as server:
        yield server


@asynccontextmanager
async def at_shop(
    authority: Authority, shop: Shop, intake: Intake, box: dict[str, object] | None = None, **more: object
) -> AsyncIterator[Watched]:
    async with open_shop(authority, shop) as server:
        mailbox = mailbox_of("boite@asso.mssante.example", **(box or {}))
        operator = operator_at(server.port, authority)
        async with watched(mailbox, operator, authority.client_context(), intake, None, **more) as one:
            yield one
