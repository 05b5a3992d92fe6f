"""The watcher on a real Dovecot, and on servers that misbehave: nothing lost, nothing twice, nobody else disturbed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import psutil
import pytest

from hub import settings
from hub.errors import Temporary
from hub.imap.folder import Folder, Listed
from hub.imap.grammar import folder_name
from hub.imap.progress import Skipped, WatcherState
from hub.imap.reader import Watcher
from hub.ports import Arrival, Intake
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.proxy import fault_proxy
from tests.edges.scripted_imap import Peer, scripted, server_context
from tests.edges.spools import SqlBench, sql_bench
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

BOX = "asso"

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]  # fixtures


@pytest.fixture(scope="module")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "certificate") as running:
        yield running


@pytest.fixture
def address(request: pytest.FixtureRequest, dovecot: Dovecot) -> str:
    """A mailbox of its own for each test."""
    return f"{abs(hash(request.node.name))}@asso.mssante.example"


def mail(number: int, size: int = 100, with_id: bool = True) -> bytes:
    head = f"Message-ID: <{number}@expediteur.example>\r\n" if with_id else ""
    return f"{head}Subject: Bilan\r\n\r\nCorps {number:06d}\r\n".encode().ljust(size, b".")


def watching(**more: object) -> settings.Watching:
    quick = {
        "idle_renewal": 5,
        "poll": 5,
        "command_timeout": 5,
        "connect_timeout": 5,
        "backoff_first": timedelta(milliseconds=20),
        "backoff_most": timedelta(milliseconds=100),
    }
    return settings.Watching.model_validate({**quick, **more})


@dataclass
class Watched:
    watcher: Watcher
    task: asyncio.Task[None]
    stop: asyncio.Event
    told: list[str] = field(default_factory=list)

    async def until(self, condition: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited in vain: {self.watcher.progress}"
            await asyncio.sleep(0.01)

    async def compared(self) -> None:
        """Until a look that began after now has ended."""
        before = self.watcher.progress.compared_at
        await self.until(lambda: self.watcher.progress.compared_at not in (None, before))


@asynccontextmanager
async def watched(
    mailbox: settings.Mailbox,
    operator: settings.Operator,
    context: ssl.SSLContext,
    intake: Intake,
    on_accepted: Callable[[str], Awaitable[None] | None] | None = None,
    **more: object,
) -> AsyncIterator[Watched]:
    told: list[str] = []
    watcher = Watcher(
        mailbox,
        operator,
        watching(**more),
        intake,
        lambda: context,
        on_accepted or told.append,
        lambda: datetime.now(UTC),
        lambda: 0.5,
    )
    stop = asyncio.Event()
    one = Watched(watcher, asyncio.create_task(watcher.run(stop)), stop, told)
    try:
        yield one
    finally:
        stop.set()
        started = time.monotonic()
        with contextlib.suppress(asyncio.CancelledError):
            await one.task
        assert time.monotonic() - started < 6
        assert watcher.progress.state is WatcherState.STOPPED


def mailbox_of(address: str, **more: object) -> settings.Mailbox:
    return settings.Mailbox.model_validate({"name": BOX, "address": address, "operator": "operateur", **more})


@asynccontextmanager
async def at_dovecot(
    dovecot: Dovecot,
    address: str,
    intake: Intake,
    box: dict[str, object] | None = None,
    port: int | None = None,
    on_accepted: Callable[[str], Awaitable[None] | None] | None = None,
    **more: object,
) -> AsyncIterator[Watched]:
    mailbox = mailbox_of(address, **(box or {}))
    operator = dovecot.operator(port=port)
    async with watched(mailbox, operator, dovecot.context(address), intake, on_accepted, **more) as one:
        yield one


def flags_of(dovecot: Dovecot, address: str) -> dict[bytes, bytes]:
    """What another client sees: the FETCH lines of all messages, by sequence number."""
    with dovecot.other_client(address) as client:
        client.select("INBOX", readonly=True)
        lines = client.fetch("1:*", "(UID FLAGS)")[1]
        return {line.split(b" ", 1)[0]: line for line in lines if isinstance(line, bytes)}


# --- what it is for ---------------------------------------------------------------------------------------------------


async def test_what_is_there_and_what_arrives_is_accepted_marked_and_left_unseen(
    dovecot: Dovecot, address: str
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2, with_id=False))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        dovecot.deliver(address, mail(3, size=5_000))
        await one.until(lambda: len(intake.marks) == 3)
        await one.until(lambda: one.watcher.progress.last_uid == 3)
        progress = one.watcher.progress
    assert list(intake.raws.values()) == [mail(1), mail(2, with_id=False), mail(3, size=5_000)]
    assert [a.message_id for a in intake.arrivals] == ["<1@expediteur.example>", None, "<3@expediteur.example>"]
    assert {a.recipients for a in intake.arrivals} == {(address,)}
    assert all(abs((datetime.now(UTC) - a.received_at).total_seconds()) < 60 for a in intake.arrivals)
    assert one.told == ["m1", "m2", "m3"]
    assert intake.cursors[BOX] == (progress.uidvalidity, 3)
    assert (progress.accepted, progress.failures, progress.unmarked, progress.skipped) == (3, 0, 0, ())
    for line in flags_of(dovecot, address).values():
        assert b"$HubAccepted" in line
        assert b"\\Seen" not in line


async def test_a_message_is_marked_only_after_it_is_durable(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()

    async def nothing_is_marked(arrival: Arrival) -> None:
        lines = await asyncio.to_thread(flags_of, dovecot, address)
        assert not any(b"$HubAccepted" in line for line in lines.values())

    intake.before_accept = nothing_is_marked
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
    assert {event for event, _ in intake.events[:2]} == {"accept"}
    assert intake.events[2:] == [("marked", 1), ("marked", 2)]
    assert one.watcher.progress.failures == 0


async def test_accepted_messages_are_moved_to_a_folder_of_any_name(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    target = "Boîte d'accueil & Cie"
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake, {"after": "move", "move_to": target}) as one:
        await one.until(lambda: len(intake.marks) == 2)
        dovecot.deliver(address, mail(3))
        await one.until(lambda: len(intake.marks) == 3)
    with dovecot.other_client(address) as client:
        assert client.select("INBOX") == ("OK", [b"0"])
        assert client.select(folder_name(target)) == ("OK", [b"3"])


async def test_a_watched_folder_may_have_any_name(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    with dovecot.other_client(address) as client:
        client.create(folder_name("Reçus & lus"))
    dovecot.append(address, mail(1), folder_name("Reçus & lus"))
    async with at_dovecot(dovecot, address, intake, {"folder": "Reçus & lus"}) as one:
        await one.until(lambda: len(intake.marks) == 1)


async def test_three_hundred_messages_are_each_accepted_once_and_no_blob_is_left(
    dovecot: Dovecot, address: str
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, *(mail(n, size=100 + 37 * n) for n in range(1, 301)))
    async with at_dovecot(dovecot, address, intake, piece=4_096) as one:
        await one.until(lambda: len(intake.marks) == 300, 20)
    assert sorted(intake.raws.values()) == sorted(mail(n, size=100 + 37 * n) for n in range(1, 301))
    assert len(intake.arrivals) == 300
    assert not any(blob.is_open for blob in intake.blobs)


async def test_starttls_and_a_password_work_as_well(authority: Authority) -> None:
    with running_dovecot(authority, "password") as dovecot:
        intake = FakeIntake()
        address = "cab@asso.mssante.example"
        dovecot.deliver(address, mail(1))
        mailbox = mailbox_of(address, password_file=dovecot.password_file())
        async with watched(mailbox, dovecot.operator("starttls"), dovecot.context(address), intake) as one:
            await one.until(lambda: len(intake.marks) == 1)


# --- identity: epochs, twins, restarts --------------------------------------------------------------------------------


async def test_two_mails_without_message_id_of_one_second_and_subject_are_two(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1, with_id=False), mail(2, with_id=False), mail(1, with_id=False))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 3)
    assert list(intake.raws.values()) == [mail(1, with_id=False), mail(2, with_id=False)]
    assert one.told == ["m1", "m2"]


async def test_a_new_epoch_imports_nothing_twice_and_misses_nothing(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2, with_id=False))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
    first = one.watcher.progress.uidvalidity
    dovecot.renew_uidvalidity(address)
    dovecot.deliver(address, mail(3))
    async with at_dovecot(dovecot, address, intake, poll=0.3) as again:
        await again.until(lambda: len(intake.marks) == 5)
        await again.compared()
    assert again.watcher.progress.uidvalidity not in (None, first)
    assert again.told == ["m3"]
    assert intake.cursors[BOX][0] == again.watcher.progress.uidvalidity


async def test_an_epoch_that_changes_during_the_run_is_met_at_the_next_connection(
    dovecot: Dovecot, address: str
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1))
    async with fault_proxy(dovecot.imaps_port) as proxy:
        async with at_dovecot(dovecot, address, intake, port=proxy.port) as one:
            await one.until(lambda: len(intake.marks) == 1)
            proxy.refuses = True
            proxy.reset()
            await one.until(lambda: one.watcher.progress.failures > 0)
            await asyncio.sleep(0.2)  # Dovecot lets go of the folder
            dovecot.renew_uidvalidity(address)
            dovecot.deliver(address, mail(2))
            proxy.heal()
            await one.until(lambda: len(intake.marks) == 3)
        assert one.told == ["m1", "m2"]


async def test_a_restart_fetches_nothing_again(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2))
    for number in range(2):
        async with at_dovecot(dovecot, address, intake) as one:
            await one.compared()
            await one.until(lambda: len(intake.marks) == 2)
        assert len(intake.blobs) == 2, number


async def test_killed_between_accept_and_mark_it_marks_later_and_accepts_no_twin(
    dovecot: Dovecot, address: str
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1))
    tasks: list[asyncio.Task[None]] = []

    def killed(_: str) -> None:
        tasks[0].cancel()

    async with at_dovecot(dovecot, address, intake, on_accepted=killed) as one:
        tasks.append(one.task)
        await one.until(one.task.done)
    assert intake.events == [("accept", 1)]
    assert not any(b"$HubAccepted" in line for line in flags_of(dovecot, address).values())
    async with at_dovecot(dovecot, address, intake, poll=0.3) as again:
        await again.until(lambda: len(intake.marks) == 1)
        await again.compared()
    assert (again.told, len(intake.arrivals)) == ([], 1)
    assert all(b"$HubAccepted" in line for line in flags_of(dovecot, address).values())


async def test_killed_after_the_move_and_before_the_note_it_finds_the_message_gone(
    dovecot: Dovecot, address: str
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1))
    async with at_dovecot(dovecot, address, intake, {"after": "move"}) as one:
        await one.until(lambda: len(intake.marks) == 1)
    intake.marks.clear()
    async with at_dovecot(dovecot, address, intake, {"after": "move"}) as again:
        await again.until(lambda: len(intake.marks) == 1)
    assert len(intake.arrivals) == 1


async def test_a_spool_that_fails_leaves_the_message_unmarked_until_it_recovers(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake(failing={1: Temporary("a blob cannot be written: ENOSPC"), 3: OSError(5, "EIO")})
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
        await one.until(lambda: one.watcher.progress.failures == 0)
    assert sorted(one.told) == ["m1", "m2"]
    assert not any(blob.is_open for blob in intake.blobs)


async def test_a_lost_hint_stops_nothing(dovecot: Dovecot, address: str) -> None:
    async def broken(_: str) -> None:
        raise ConnectionError("the broker is down")

    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake, on_accepted=broken) as one:
        await one.until(lambda: len(intake.marks) == 2)
        assert one.watcher.progress.failures == 0


# --- others in the same mailbox ---------------------------------------------------------------------------------------


async def test_another_client_may_read_mark_move_and_delete_during_the_run(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, *(mail(n) for n in range(1, 41)))
    with dovecot.other_client(address) as client:
        client.create("Perso")
        client.select("INBOX")
        async with at_dovecot(dovecot, address, intake, piece=1_000) as one:

            def meddle() -> None:
                client.store("1:5", "+FLAGS", "(\\Seen \\Flagged)")
                client.uid("MOVE", "6:8", "Perso")
                client.uid("STORE", "9:11", "+FLAGS", "(\\Deleted)")
                client.expunge()
                client.uid("STORE", "20:25", "+FLAGS", "(\\Seen)")

            await asyncio.to_thread(meddle)
            dovecot.deliver(address, *(mail(n) for n in range(41, 61)))
            touched = set(range(6, 12))
            await one.until(lambda: {a.uid for a in intake.arrivals} >= set(range(1, 61)) - touched)
            await one.until(lambda: one.watcher.progress.unmarked == 0)
            assert (one.watcher.progress.failures, one.watcher.progress.skipped) == (0, ())
    with dovecot.other_client(address) as client:
        client.select("INBOX", readonly=True)
        lines = [line for line in client.uid("FETCH", "1:5,20:25", "(FLAGS)")[1] if isinstance(line, bytes)]
    assert len(lines) == 11
    assert all(b"\\Seen" in line and b"$HubAccepted" in line for line in lines)
    assert len({a.uid for a in intake.arrivals}) == len(intake.arrivals) == len(one.told)


async def test_a_message_expunged_between_the_list_and_the_fetch_is_no_error(
    dovecot: Dovecot, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2), mail(3, size=30_000))
    listing = Folder.listing

    async def and_then_expunged(self: Folder, uids: list[int]) -> tuple[Listed, ...]:
        listed = await listing(self, uids)

        def expunge() -> None:
            with dovecot.other_client(address) as client:
                client.select("INBOX")
                client.uid("STORE", "2:3", "+FLAGS", "(\\Deleted)")
                client.expunge()

        await asyncio.to_thread(expunge)
        return listed

    monkeypatch.setattr(Folder, "listing", and_then_expunged)
    async with at_dovecot(dovecot, address, intake, piece=20_000, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 1)
        await one.compared()
        assert (one.watcher.progress.failures, one.watcher.progress.skipped) == (0, ())
        assert intake.cursors[BOX][1] == 3
    assert not any(blob.is_open for blob in intake.blobs)


async def test_a_keyword_taken_away_by_somebody_changes_nothing(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1))
    async with at_dovecot(dovecot, address, intake, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 1)
        with dovecot.other_client(address) as client:
            client.select("INBOX")
            client.store("1", "-FLAGS", "($HubAccepted)")
        await one.compared()
        await one.compared()
    assert len(intake.arrivals) == 1


# --- messages that make trouble ---------------------------------------------------------------------------------------


async def test_a_message_over_the_limit_is_skipped_reported_and_never_forgotten(
    dovecot: Dovecot, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2, size=5_000), mail(3))
    too_large = (Skipped(2, "too-large"),)
    for _ in range(2):  # after a restart too
        async with at_dovecot(dovecot, address, intake, message_most=2_000, poll=0.2) as one:
            await one.until(lambda: one.watcher.progress.skipped == too_large)
            await one.until(lambda: len(intake.marks) == 2)
            assert intake.cursors[BOX][1] == 1
            assert one.watcher.progress.failures == 0
    assert "1 messages not taken: uid 2 (too-large)" in caplog.text
    async with at_dovecot(dovecot, address, intake, message_most=2_000, poll=0.2) as one:
        await one.until(lambda: one.watcher.progress.skipped == too_large)
        with dovecot.other_client(address) as client:
            client.select("INBOX")
            client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
            client.expunge()
        await one.until(lambda: one.watcher.progress.skipped == ())
        await one.until(lambda: intake.cursors[BOX][1] == 3)
    assert len(intake.arrivals) == 2


@dataclass
class Shop:
    """A small IMAP server of messages by UID; `refused` answer NO, `deadly` break the connection."""

    messages: dict[int, bytes]
    capabilities: str = "IDLE UIDPLUS MOVE SASL-IR AUTH=EXTERNAL"
    keywords: str = r"\*"
    permanent: str = r"\Flagged"
    refused: set[int] = field(default_factory=set)
    deadly: set[int] = field(default_factory=set)
    lies: dict[int, int] = field(default_factory=dict)  # RFC822.SIZE announced
    flags: dict[int, set[str]] = field(default_factory=dict)
    idles: int = 0
    on_idle: Callable[[Peer], None] | None = None

    async def serve(self, peer: Peer) -> None:
        await peer.log_in(self.capabilities)
        await peer.expect("SELECT")
        peer.say(f"* {len(self.messages)} EXISTS")
        peer.say("* OK [UIDVALIDITY 9] v")
        peer.say(f"* OK [PERMANENTFLAGS (\\Seen {self.permanent} {self.keywords})] p")
        await peer.ok("[READ-WRITE] s")
        while True:
            words = await peer.expect(".*")
            verb = words.removeprefix("UID ").split(" ", 1)[0].upper()
            if verb == "IDLE":
                await self._idle(peer)
            elif verb == "LOGOUT":
                await peer.ok()
                return
            elif not await self._answer(peer, verb, words):
                peer.reset()
                return

    async def _idle(self, peer: Peer) -> None:
        self.idles += 1
        tag = peer.tag
        peer.say("+ idling")
        if self.on_idle is not None:
            self.on_idle(peer)
        await peer.expect("DONE")
        peer.say(f"{tag} OK idled")

    async def _answer(self, peer: Peer, verb: str, words: str) -> bool:
        uids = self._named(words.split(" ")[3 if verb == "SEARCH" else 2]) if verb != "NOOP" else []
        if verb == "SEARCH":
            peer.say(" ".join(["* SEARCH", *map(str, uids)]))
        elif verb == "STORE":
            for uid in uids:
                self.flags.setdefault(uid, set()).add(words.rsplit("(", 1)[1].rstrip(")"))
        elif verb == "FETCH" and "BODY" in words:
            if self.deadly & set(uids):
                return False
            if self.refused & set(uids):
                await peer.no("[SERVERBUG] cannot read it")
                return True
            offset, _, length = words.rpartition("<")[2].rstrip(">)").partition(".")
            for uid in uids:
                piece = self.messages[uid][int(offset) :][: int(length)]
                peer.say(b"* %d FETCH (UID %d BODY[]<%d> {%d}\r\n%b)\r\n" % (uid, uid, int(offset), len(piece), piece))
        elif verb == "FETCH":
            for uid in uids:
                size = self.lies.get(uid, len(self.messages[uid]))
                flags = " ".join(self.flags.get(uid, ()))
                peer.say(f"* {uid} FETCH (UID {uid} FLAGS ({flags}) RFC822.SIZE {size})")
        await peer.ok()
        return True

    def _named(self, named: str) -> list[int]:
        found = set()
        for part in named.split(","):
            low, _, high = part.partition(":")
            most = max(self.messages, default=0) if high == "*" else int(high or low)
            found |= {uid for uid in self.messages if int(low) <= uid <= most}
        return sorted(found)


@asynccontextmanager
async def at_shop(
    authority: Authority, shop: Shop, intake: Intake, box: dict[str, object] | None = None, **more: object
) -> AsyncIterator[Watched]:
    async with scripted(shop.serve, server_context(authority.issue("shop", "localhost"))) as server:
        endpoint = settings.Endpoint(host="localhost", port=server.port, tls="implicit")
        operator = settings.Operator(name="operateur", imap=endpoint, smtp=endpoint, ca_file=authority.ca_file)
        mailbox = mailbox_of("boite@asso.mssante.example", **(box or {}))
        async with watched(mailbox, operator, authority.client_context(), intake, None, **more) as one:
            yield one


async def test_a_message_that_the_server_cannot_give_blocks_nobody_and_is_tried_again(authority: Authority) -> None:
    shop = Shop({n: mail(n) for n in range(1, 6)}, refused={2})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.3) as one:
        await one.until(lambda: len(intake.marks) == 4)
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(2, "fetch-no-serverbug"),))
        assert one.watcher.progress.failures == 0
        assert intake.cursors[BOX][1] == 1
        shop.refused.clear()
        await one.until(lambda: len(intake.marks) == 5)
        await one.until(lambda: intake.cursors[BOX][1] == 5)
        assert one.watcher.progress.skipped == ()


async def test_a_message_that_kills_the_connection_blocks_nobody(authority: Authority) -> None:
    shop = Shop({n: mail(n) for n in range(1, 6)}, deadly={2})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 4)
        await one.until(lambda: [skipped.uid for skipped in one.watcher.progress.skipped] == [2])
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        assert one.watcher.progress.failures == 0
    assert sorted(a.uid for a in intake.arrivals) == [1, 3, 4, 5]


async def test_a_message_that_is_longer_than_announced_is_whole_or_skipped(authority: Authority) -> None:
    shop = Shop(
        {1: mail(1), 2: mail(2, size=3_000), 3: mail(3, size=9_000), 4: mail(4)}, lies={1: 0, 2: 10, 3: 10, 4: 4_000}
    )
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, piece=1_000, message_most=5_000) as one:
        await one.until(lambda: len(intake.marks) == 3)
        await one.until(lambda: one.watcher.progress.skipped == (Skipped(3, "too-large"),))
    assert sorted(intake.raws.values()) == sorted([mail(1), mail(2, size=3_000), mail(4)])


async def test_a_message_without_a_date_is_received_now(authority: Authority) -> None:
    intake = FakeIntake()
    async with at_shop(authority, Shop({1: mail(1)}), intake) as one:
        await one.until(lambda: len(intake.marks) == 1)
    assert abs((datetime.now(UTC) - intake.arrivals[0].received_at).total_seconds()) < 60


async def test_a_server_that_keeps_no_keywords_gets_a_flag(authority: Authority) -> None:
    shop = Shop({1: mail(1)}, keywords="")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake) as one:
        await one.until(lambda: len(intake.marks) == 1)
        assert one.watcher.progress.mark_error == ""
    assert shop.flags == {1: {"\\Flagged"}}


async def test_a_server_that_keeps_no_mark_at_all_is_reported_and_its_mail_accepted(authority: Authority) -> None:
    shop = Shop({1: mail(1), 2: mail(2)}, keywords="", permanent="")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.2) as one:
        await one.until(lambda: len(intake.arrivals) == 2)
        await one.until(lambda: one.watcher.progress.mark_error == "store-no-permanent-flag")
        await one.compared()
        assert (one.watcher.progress.unmarked, one.watcher.progress.failures) == (2, 0)
        shop.keywords = r"\*"
    async with at_shop(authority, shop, intake) as again:  # the operator changed its mind
        await again.until(lambda: len(intake.marks) == 2)
    assert len(intake.arrivals) == 2


async def test_a_server_without_idle_is_polled(authority: Authority) -> None:
    shop = Shop({1: mail(1)}, capabilities="SASL-IR AUTH=EXTERNAL")
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.2) as one:
        await one.until(lambda: len(intake.marks) == 1)
        shop.messages[2] = mail(2)
        await one.until(lambda: len(intake.marks) == 2)
    assert shop.idles == 0


async def test_idle_alone_is_not_trusted(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()
    async with at_shop(authority, shop, intake, poll=0.5) as one:
        await one.until(lambda: shop.idles == 1)
        shop.messages[2] = mail(2)  # and not a word in IDLE
        await one.until(lambda: len(intake.marks) == 2, 3)


async def test_bye_instead_of_idling_means_a_new_connection(authority: Authority) -> None:
    shop = Shop({1: mail(1)})
    intake = FakeIntake()

    def bye(peer: Peer) -> None:
        if peer.number == 1:
            shop.messages[2] = mail(2)
            peer.say("* BYE timeout")

    shop.on_idle = bye
    async with at_shop(authority, shop, intake, poll=30) as one:
        await one.until(lambda: len(intake.marks) == 2, 3)
        await one.until(lambda: one.watcher.progress.failures == 0)


# --- broken networks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("directions", [("up",), ("down",), ("up", "down")])
async def test_a_black_hole_means_a_new_connection_within_the_deadline(
    dovecot: Dovecot, address: str, directions: tuple[str, ...]
) -> None:
    intake = FakeIntake()
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, idle_renewal=1, command_timeout=1) as one,
    ):
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        for direction in directions:
            proxy.swallow("up" if direction == "up" else "down")
        started = time.monotonic()
        dovecot.deliver(address, mail(1))
        await one.until(lambda: one.watcher.progress.failures > 0)
        assert time.monotonic() - started < 3.5  # renewal + deadline + room
        assert one.watcher.progress.last_error == "timeout"
        proxy.heal()
        await one.until(lambda: len(intake.marks) == 1)


async def test_the_journal_tells_each_change_of_the_connection_once(dovecot: Dovecot, address: str) -> None:
    # ECO.4.1.2: what the server answered, failures included.
    intake = FakeIntake()
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, idle_renewal=1, command_timeout=1) as one,
    ):
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        proxy.swallow("up", "down")
        await one.until(lambda: one.watcher.progress.failures > 1)
        proxy.heal()
        await one.until(lambda: len(intake.connections) > 2)
    answers = [answer for _, answer in intake.connections]
    assert (answers[0], answers[1], answers[-1]) == ("open", "timeout", "open")
    assert all(first != second for first, second in pairwise(answers))
    assert {request for request, _ in intake.connections} == {f"imap localhost:{proxy.port}"}


async def test_a_journal_that_breaks_stops_no_watcher(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake(tell_fails=True)
    dovecot.deliver(address, mail(1))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 1)


async def test_cuts_at_any_place_lose_nothing_and_double_nothing(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    mails = [mail(n, size=2_000) for n in range(1, 31)]
    dovecot.deliver(address, *mails)

    def reconnected(before: int) -> bool:
        return proxy.connections > before or len(intake.marks) == 30

    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        at_dovecot(dovecot, address, intake, port=proxy.port, piece=8_192, poll=0.3) as one,
    ):
        for count in (3_000, 9_000, 12_345, 20_001, 7_777):
            proxy.cut_after(count)
            await one.until(partial(reconnected, proxy.connections))
        await one.until(lambda: len(intake.marks) == 30)
    assert sorted(intake.raws.values()) == sorted(mails)
    assert sorted(a.uid for a in intake.arrivals) == list(range(1, 31))
    assert not any(blob.is_open for blob in intake.blobs)


async def test_one_mailbox_down_does_not_slow_another(dovecot: Dovecot, authority: Authority, address: str) -> None:
    healthy, sick = FakeIntake(), FakeIntake()

    async def flood(peer: Peer) -> None:
        await peer.log_in()
        await peer.select()
        with contextlib.suppress(OSError):
            while True:
                peer.say(b"* 1 EXISTS\r\n" * 1_000)
                await peer.writer.drain()
                await asyncio.sleep(0)  # this server shares our loop, which `drain` alone never gives back

    async def rate() -> float:
        dovecot.deliver(address, *(mail(n) for n in range(len(healthy.raws), len(healthy.raws) + 50)))
        started = time.monotonic()
        wanted = len(healthy.marks) + 50
        await good.until(lambda: len(healthy.marks) == wanted)
        return time.monotonic() - started

    shop_leaf = server_context(authority.issue("flood", "localhost"))
    async with (
        fault_proxy(dovecot.imaps_port) as proxy,
        scripted(flood, shop_leaf) as server,
        at_dovecot(dovecot, address, healthy) as good,
    ):
        await good.until(lambda: good.watcher.progress.state is WatcherState.WAITING)
        alone = await rate()
        proxy.swallow("up", "down")
        endpoint = settings.Endpoint(host="localhost", port=server.port, tls="implicit")
        operator = settings.Operator(name="operateur", imap=endpoint, smtp=endpoint, ca_file=authority.ca_file)
        mailbox = mailbox_of("inonde@asso.mssante.example")
        async with (
            at_dovecot(dovecot, "autre@asso.mssante.example", sick, port=proxy.port, connect_timeout=1) as bad,
            watched(mailbox, operator, authority.client_context(), sick, backoff_first=2, backoff_most=2) as flooded,
        ):
            await flooded.until(lambda: flooded.watcher.progress.failures > 0)
            accompanied = await rate()
            assert flooded.watcher.progress.compared_at is None
            assert bad.watcher.progress.compared_at is None
    assert accompanied < alone + 1.5
    assert good.watcher.progress.failures == 0


async def test_a_refused_certificate_waits_for_a_human(dovecot: Dovecot, authority: Authority, address: str) -> None:
    operator = dovecot.operator()
    context = authority.client_context()  # without a certificate
    async with watched(mailbox_of(address), operator, context, FakeIntake(), backoff_most=60) as one:
        await one.until(lambda: one.watcher.progress.state is WatcherState.BACKING_OFF)
        await asyncio.sleep(0.3)
        progress = one.watcher.progress
    assert progress.failures <= 3
    assert progress.last_error != ""
    assert progress.compared_at is None


async def test_no_address_subject_or_message_id_is_logged(
    dovecot: Dovecot, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    intake = FakeIntake(failing={1: Temporary("ENOSPC")})
    dovecot.deliver(address, mail(1), mail(2))
    async with at_dovecot(dovecot, address, intake) as one:
        await one.until(lambda: len(intake.marks) == 2)
    for word in (address, "Bilan", "expediteur", "Corps"):
        assert word not in caplog.text
    assert "ENOSPC, failure 1" in caplog.text  # what the sysadmin must repair is named


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_fifty_megabytes_are_accepted_in_less_than_thirty_two_of_memory(dovecot: Dovecot, address: str) -> None:
    line = b"0123456789abcdef" * 4 + b"\r\n"
    raw = b"Message-ID: <gros@example>\r\n\r\n" + line * (50 * 1024**2 // len(line))
    intake = FakeIntake(keeps_bytes=False)
    size = len(raw)
    process, peak = psutil.Process(), 0
    async with at_dovecot(dovecot, address, intake, command_timeout=30) as one:
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        dovecot.deliver(address, raw)
        del raw
        gc.collect()
        before = process.memory_info().rss
        while not intake.marks:
            peak = max(peak, process.memory_info().rss)
            await asyncio.sleep(0.005)
    assert intake.sizes == {"m1": size}
    assert intake.arrivals[0].message_id == "<gros@example>"
    assert peak - before < 32 * 1024**2


# --- the real spool ---------------------------------------------------------------------------------------------------


async def test_the_real_spool_keeps_what_arrives_through_restarts_and_epochs(
    dovecot: Dovecot, address: str, sql_bench: SqlBench
) -> None:
    mails = [mail(n, size=size) for n, size in enumerate((100, 70_000, 3_000_000, 200, 65_536), start=1)]
    dovecot.deliver(address, *mails[:3])
    spool = sql_bench.spool("first")
    async with at_dovecot(dovecot, address, spool) as one:
        dovecot.deliver(address, *mails[3:])
        await one.until(lambda: len(one.told) == 5 and one.watcher.progress.unmarked == 0)
    dovecot.renew_uidvalidity(address)
    again = sql_bench.spool("second")
    async with at_dovecot(dovecot, address, again) as two:
        await two.until(lambda: two.watcher.progress.compared_at is not None)
        assert (two.watcher.progress.unmarked, two.watcher.progress.failures) == (0, 0)
    assert two.told == []
    raws = []
    for message_id in one.told:
        envelope = await again.load(message_id)
        assert envelope is not None
        raws.append(await again.raw(envelope))
    assert sorted(raws) == sorted(mails)


async def test_two_watchers_on_one_mailbox_at_the_same_instant_accept_no_twin(
    dovecot: Dovecot, address: str, sql_bench: SqlBench
) -> None:
    dovecot.deliver(address, *(mail(n) for n in range(1, 101)))
    spools = sql_bench.spool("first"), sql_bench.spool("second")
    async with (
        at_dovecot(dovecot, address, spools[0], poll=0.3) as one,
        at_dovecot(dovecot, address, spools[1], poll=0.3) as two,
    ):
        await one.compared()
        await two.compared()
    assert len(one.told) + len(two.told) == len({*one.told, *two.told}) == 100
