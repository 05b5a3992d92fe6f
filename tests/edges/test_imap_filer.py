"""Copies of what was sent, filed in a real Dovecot: which folder, once, large, over quota, without right, cut off."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta

import psutil
import pytest

from hub.errors import Permanent, Temporary
from hub.imap import literal
from hub.imap.filer import Box, ImapFiler
from hub.imap.grammar import folder_name
from hub.imap.progress import WatcherState
from hub.ports import Filer
from hub.raw import Whole
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.proxy import FaultProxy, fault_proxy
from tests.edges.watching import address, at_dovecot, dovecot, mail, mailbox_of, watching
from tests.fakes_imap import FakeIntake
from tests.filer_contract import AT, ID, FilerContract, InPieces, Shelf, a_mail
from tests.pki import Authority
from tests.ways import way_to

__all__ = ["address", "dovecot"]

OTHER = "direction@asso.mssante.example"
WATCHED = frozenset({"INBOX"})


def box_of(at: Dovecot, address: str, name: str = "asso", port: int | None = None, **more: object) -> Box:
    settings = {"password_file": at.password_file()} if at.mode == "password" else {}
    return Box(
        mailbox=mailbox_of(address, **{"name": name, **settings, **more}),
        operator=at.operator(port=port),
        find_way=way_to(at.operator(port=port).imap, lambda: at.context(address)),
        watched=WATCHED,
    )


@asynccontextmanager
async def filing(*boxes: Box, idle: float = 30, **timing: object) -> AsyncIterator[ImapFiler]:
    filer = ImapFiler(boxes, watching(**timing), timedelta(seconds=idle))
    try:
        yield filer
    finally:
        await filer.close()


def mails_in(at: Dovecot, address: str, folder: str) -> list[bytes] | None:
    with at.other_client(address) as client:
        answer, exists = client.select(folder_name(folder), readonly=True)
        if answer != "OK" or exists == [b"0"]:
            return None if answer != "OK" else []
        found = client.fetch("1:*", "(BODY.PEEK[])")[1]
        return [one[1] for one in found if isinstance(one, tuple)]


def folders_of(at: Dovecot, address: str, verb: str = "list") -> set[str]:
    with at.other_client(address) as client:
        lines = getattr(client, verb)()[1]
        return {line.decode().rpartition(' "/" ')[2].strip('"') for line in lines if line}


class TestImapFiler(FilerContract):
    @pytest.fixture
    async def shelf(self, dovecot: Dovecot, address: str) -> AsyncIterator[Shelf]:
        other = f"autre-{address}"

        async def seen(mailbox: str, folder: str) -> list[bytes] | None:
            return await asyncio.to_thread(mails_in, dovecot, address if mailbox == "asso" else other, folder)

        async with filing(box_of(dovecot, address), box_of(dovecot, other, "direction")) as filer:
            port: Filer = filer
            yield Shelf(port, "asso", "direction", seen)


# --- how it lies there


async def test_the_copy_is_read_dated_and_its_folder_is_shown(dovecot: Dovecot, address: str) -> None:
    async with filing(box_of(dovecot, address)) as filer:
        await filer.file("asso", "Courrier/Envois", Whole(a_mail()), ID, AT)
    with dovecot.other_client(address) as client:
        client.select('"Courrier/Envois"', readonly=True)
        line = str(client.fetch("1", "(FLAGS INTERNALDATE)")[1])
        assert "\\Seen" in line
        assert "25-Nov-2026 09:30:15 +0000" in line or "25-Nov-2026 10:30:15 +0100" in line
    assert "Courrier/Envois" in folders_of(dovecot, address, "lsub")


async def test_a_look_changes_nothing(dovecot: Dovecot, address: str) -> None:
    with dovecot.other_client(address) as client:
        client.create("Envois")
    dovecot.append(address, a_mail(), "Envois")
    async with filing(box_of(dovecot, address)) as filer:
        assert await filer.holds("asso", "Envois", ID, AT - timedelta(days=400))
    with dovecot.other_client(address) as client:
        client.select("Envois")
        line = str(client.fetch("1", "(FLAGS)")[1])
        assert "\\Seen" not in line
        assert "\\Recent" in line


# --- which folder is meant by `auto`


@pytest.fixture(scope="module")
def marked(authority: Authority) -> Iterator[Dovecot]:
    """A server that marks its folder of sent mails, in French."""
    extra = 'namespace inbox {\n mailbox "Éléments envoyés" {\n special_use = \\Sent\n auto = create\n }\n}'
    with running_dovecot(authority, "certificate", extra) as running:
        yield running


async def test_auto_takes_the_folder_that_the_server_marks(marked: Dovecot, address: str) -> None:
    async with filing(box_of(marked, address)) as filer:
        assert not await filer.holds("asso", "auto", ID, AT)
        assert await filer.file("asso", "auto", Whole(a_mail()), ID, AT) == "filed"
        assert await filer.holds("asso", "auto", ID, AT)
    assert mails_in(marked, address, "Éléments envoyés") == [a_mail()]
    assert mails_in(marked, address, "Sent") is None


async def test_auto_takes_a_folder_of_a_usual_name(dovecot: Dovecot, address: str) -> None:
    with dovecot.other_client(address) as client:
        for folder in ("Projet/Sent", "SENT", "Sent Items"):
            client.create(f'"{folder}"')
    async with filing(box_of(dovecot, address)) as filer:
        await filer.file("asso", "auto", Whole(a_mail()), ID, AT)
    assert mails_in(dovecot, address, "SENT") == [a_mail()]


async def test_auto_makes_one_where_none_is(dovecot: Dovecot, address: str) -> None:
    async with filing(box_of(dovecot, address)) as filer:
        assert not await filer.holds("asso", "auto", ID, AT)
        assert "Sent" not in folders_of(dovecot, address)
        await filer.file("asso", "auto", Whole(a_mail()), ID, AT)
        assert await filer.file("asso", "auto", Whole(a_mail()), ID, AT) == "already there"
    assert mails_in(dovecot, address, "Sent") == [a_mail()]


async def test_auto_never_guesses_between_two(dovecot: Dovecot, address: str) -> None:
    with dovecot.other_client(address) as client:
        for folder in ("Sent", "SENT"):
            client.create(folder)
    async with filing(box_of(dovecot, address)) as filer:
        with pytest.raises(Permanent, match="2 folders"):
            await filer.file("asso", "auto", Whole(a_mail()), ID, AT)
        with pytest.raises(Permanent, match="2 folders"):
            await filer.holds("asso", "auto", ID, AT)
    assert mails_in(dovecot, address, "Sent") == mails_in(dovecot, address, "SENT") == []


async def test_where_mail_comes_in_nothing_is_filed(dovecot: Dovecot, address: str) -> None:
    with dovecot.other_client(address) as client:
        client.create("Sent")
    box = box_of(dovecot, address)
    watched = Box(
        mailbox=box.mailbox, operator=box.operator, find_way=box.find_way, watched=frozenset({"INBOX", "SENT"})
    )
    async with filing(watched) as filer:
        for folder in ("auto", "Sent", "inbox"):
            with pytest.raises(Permanent, match="mail comes in"):
                await filer.file("asso", folder, Whole(a_mail()), ID, AT)
            with pytest.raises(Permanent, match="mail comes in"):  # what comes in there proves nothing
                await filer.holds("asso", folder, ID, AT)
    assert mails_in(dovecot, address, "Sent") == mails_in(dovecot, address, "INBOX") == []


async def test_a_server_whose_folders_stand_below_inbox_gets_it_there(authority: Authority) -> None:
    extra = "namespace inbox {\n prefix = INBOX.\n separator = .\n}"
    with running_dovecot(authority, "certificate", extra) as below:
        async with filing(box_of(below, OTHER)) as filer:
            await filer.file("asso", "auto", Whole(a_mail()), ID, AT)
            assert await filer.file("asso", "auto", Whole(a_mail()), ID, AT) == "already there"
        assert mails_in(below, OTHER, "INBOX.Sent") == [a_mail()]


# --- refusals


async def test_a_full_mailbox_is_told_and_tried_again(authority: Authority) -> None:
    extra = (
        "mail_plugins = quota\nprotocol imap {\n mail_plugins = quota imap_quota\n}\n"
        "plugin {\n quota = maildir:boite\n quota_rule = *:storage=1M\n quota_grace = 0\n}"
    )
    with running_dovecot(authority, "certificate", extra) as small:
        async with filing(box_of(small, OTHER)) as filer:
            with pytest.raises(Temporary, match="append-no-overquota") as full:
                await filer.file("asso", "Sent", Whole(a_mail(body=b"x" * 1_200_000)), ID, AT)
            assert "pleine" in full.value.public
            assert await filer.file("asso", "Sent", Whole(a_mail()), ID, AT) == "filed"
        assert mails_in(small, OTHER, "Sent") == [a_mail()]


async def test_a_folder_without_the_right_to_write_is_a_humans(authority: Authority) -> None:
    extra = "mail_plugins = acl\nprotocol imap {\n mail_plugins = acl\n}\nplugin {\n acl = vfile\n}"
    with running_dovecot(authority, "certificate", extra) as strict:
        with strict.other_client(OTHER) as client:
            client.create("Sent")
        acl = strict.maildir(OTHER, "Sent") / "dovecot-acl"
        acl.write_text("owner lr\n")
        async with filing(box_of(strict, OTHER)) as filer:
            with pytest.raises(Permanent, match="append-no-noperm"):
                await filer.file("asso", "Sent", Whole(a_mail()), ID, AT)
            acl.write_text("owner lrswipkxtea\n")
        async with filing(box_of(strict, OTHER)) as filer:
            assert await filer.file("asso", "Sent", Whole(a_mail()), ID, AT) == "filed"


async def test_wrong_credentials_are_not_hammered(authority: Authority) -> None:
    with running_dovecot(authority, "password") as server:
        async with fault_proxy(server.imaps_port) as proxy:
            box = box_of(server, OTHER, port=proxy.port)
            server.password_file().write_text("un autre\n")
            async with filing(box, backoff_most=60) as filer:
                for _ in range(5):
                    with pytest.raises(Temporary, match="authenticate-no") as refused:
                        await filer.file("asso", "Sent", Whole(a_mail()), ID, AT)
                    assert refused.value.retry_in is not None
                    assert refused.value.retry_in > timedelta(seconds=50)
            assert proxy.connections == 1


async def test_a_mailbox_of_no_settings_is_refused(dovecot: Dovecot) -> None:
    async with filing() as filer:
        with pytest.raises(Permanent, match="not in the settings"):
            await filer.holds("asso", "Sent", ID, AT)


# --- the network


@asynccontextmanager
async def behind_a_proxy(at: Dovecot, address: str, **more: object) -> AsyncIterator[tuple[ImapFiler, FaultProxy]]:
    async with fault_proxy(at.imaps_port) as proxy, filing(box_of(at, address, port=proxy.port), **more) as filer:  # type: ignore[arg-type]
        yield filer, proxy


async def test_a_cut_in_the_middle_leaves_nothing_and_the_next_try_one(dovecot: Dovecot, address: str) -> None:
    raw = a_mail(body=b"x" * 3_000_000)
    async with behind_a_proxy(dovecot, address) as (filer, proxy):
        await filer.holds("asso", "Sent", ID, AT)
        proxy.cut_after(900_000, "up")
        with pytest.raises(Temporary, match="connection lost"):
            await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT)
        assert not mails_in(dovecot, address, "Sent")
        assert await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT) == "filed"
    assert mails_in(dovecot, address, "Sent") == [raw]


async def test_an_answer_that_is_lost_makes_no_twin(
    dovecot: Dovecot, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(literal, "ANSWER_WITHIN", 0.1)
    raw = a_mail(body=b"x" * 300_000)
    async with behind_a_proxy(dovecot, address, command_timeout=1) as (filer, proxy):

        class Lost(InPieces):
            async def pieces(self) -> AsyncIterator[bytes]:
                async for piece in super().pieces():
                    yield piece
                proxy.swallow("down")

        await filer.holds("asso", "Sent", ID, AT)
        with pytest.raises(Temporary, match="timeout"):
            await filer.file("asso", "Sent", Lost(raw, 64_000), ID, AT)
        assert mails_in(dovecot, address, "Sent") == [raw]
        proxy.heal()
        assert await filer.file("asso", "Sent", Whole(raw), ID, AT) == "already there"
    assert mails_in(dovecot, address, "Sent") == [raw]


async def test_a_server_that_takes_nothing_more_meets_our_deadline(dovecot: Dovecot, address: str) -> None:
    raw = a_mail(body=b"x" * 20_000_000)
    async with behind_a_proxy(dovecot, address, command_timeout=1) as (filer, proxy):
        await filer.holds("asso", "Sent", ID, AT)
        proxy.delay = 30
        began = asyncio.get_running_loop().time()
        with pytest.raises(Temporary, match="timeout"):
            await filer.file("asso", "Sent", InPieces(raw, 1024**2), ID, AT)
        assert asyncio.get_running_loop().time() - began < 10


async def test_a_connection_that_died_while_idle_is_replaced(dovecot: Dovecot, address: str) -> None:
    async with behind_a_proxy(dovecot, address) as (filer, proxy):
        for number in range(3):
            message_id = ID.replace("<", f"<{number}")
            assert await filer.file("asso", "Sent", Whole(a_mail(message_id)), message_id, AT) == "filed"
            if number == 1:
                proxy.reset()
        assert proxy.connections == 2


async def test_an_idle_connection_is_closed(dovecot: Dovecot, address: str) -> None:
    async with behind_a_proxy(dovecot, address, idle=0.2) as (filer, proxy):
        await filer.file("asso", "Sent", Whole(a_mail()), ID, AT)
        assert open_to(proxy.port) == 1
        await asyncio.sleep(0.8)
        assert open_to(proxy.port) == 0
        assert await filer.file("asso", "Sent", Whole(a_mail()), ID, AT) == "already there"
        assert proxy.connections == 2


async def test_a_server_that_is_away_is_left_alone_for_a_while(dovecot: Dovecot, address: str) -> None:
    async with behind_a_proxy(dovecot, address, connect_timeout=1) as (filer, proxy):
        proxy.swallow("up", "down")
        began = asyncio.get_running_loop().time()
        tries = (filer.file("asso", "Sent", Whole(a_mail()), ID, AT) for _ in range(20))
        outcomes = await asyncio.gather(*tries, return_exceptions=True)
        assert all(isinstance(one, Temporary) for one in outcomes)
        assert asyncio.get_running_loop().time() - began < 3
        assert proxy.connections == 1


async def test_mails_of_one_mailbox_share_a_connection(dovecot: Dovecot, address: str) -> None:
    ids = [ID.replace("<", f"<{number}.") for number in range(20)]
    async with behind_a_proxy(dovecot, address) as (filer, proxy):
        done = await asyncio.gather(*(filer.file("asso", "auto", Whole(a_mail(one)), one, AT) for one in ids))
        assert set(done) == {"filed"}
        assert proxy.connections == 1
    assert len(mails_in(dovecot, address, "Sent") or ()) == 20


async def test_a_cancelled_filing_leaves_no_half_of_a_mail(dovecot: Dovecot, address: str) -> None:
    raw = a_mail(body=b"x" * 2_000_000)

    class Slow(InPieces):
        async def pieces(self) -> AsyncIterator[bytes]:
            async for piece in super().pieces():
                yield piece
                await asyncio.sleep(0.2)

    async with filing(box_of(dovecot, address)) as filer:
        running = asyncio.create_task(filer.file("asso", "Sent", Slow(raw, 500_000), ID, AT))
        await asyncio.sleep(0.3)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        assert await filer.file("asso", "Sent", Whole(raw), ID, AT) == "filed"
    assert mails_in(dovecot, address, "Sent") == [raw]


# --- a huge mail, and the watcher beside


async def test_memory_does_not_follow_the_size_of_the_mail(dovecot: Dovecot, address: str) -> None:
    head, piece, count = a_mail(), b"0123456789abcdef" * 65_536, 96

    class Huge:
        size = len(head) + count * len(piece)

        async def pieces(self) -> AsyncIterator[bytes]:
            yield head
            for _ in range(count):
                yield piece

    async with filing(box_of(dovecot, address), command_timeout=60) as filer:
        await filer.holds("asso", "Sent", ID, AT)
        before = psutil.Process().memory_info().rss
        tracemalloc.start()
        assert await filer.file("asso", "Sent", Huge(), ID, AT) == "filed"
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        grown = psutil.Process().memory_info().rss - before
    print(f"{Huge.size >> 20} MB filed: Python's peak {peak >> 10} KB, the process grew {grown >> 10} KB")
    assert peak < 2 * 1024**2
    assert grown < 16 * 1024**2


async def test_the_watcher_is_not_disturbed_and_takes_no_copy_for_inbound(dovecot: Dovecot, address: str) -> None:
    intake = FakeIntake()
    async with at_dovecot(dovecot, address, intake) as one, filing(box_of(dovecot, address)) as filer:
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        assert await filer.file("asso", "auto", Whole(a_mail()), ID, AT) == "filed"
        dovecot.deliver(address, mail(1))
        await one.until(lambda: len(intake.arrivals) == 1)
        await one.compared()
        assert one.watcher.progress.failures == 0
        assert intake.connections == [(f"imap localhost:{dovecot.imaps_port}", "open")]
    assert [arrival.message_id for arrival in intake.arrivals] == ["<1@expediteur.example>"]


def open_to(port: int) -> int:
    """Connections of this process to a port that are still open."""
    seen = psutil.Process().net_connections("tcp")
    return sum(1 for one in seen if one.raddr and one.raddr.port == port and one.status == "ESTABLISHED")
