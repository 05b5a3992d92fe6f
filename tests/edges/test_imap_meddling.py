"""Other clients, other watchers and the sysadmin at work in a real Dovecot while a mailbox is watched."""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Iterator

import pytest

from hub.imap import session as session_module
from hub.imap.folder import Folder
from hub.imap.progress import WatcherState
from hub.ports import Arrival
from tests.conftest import missing
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.proxy import fault_proxy
from tests.edges.spools import SqlBench, sql_bench
from tests.edges.watching import address, at_dovecot, dovecot, flags_of, mail, mailbox_of, watched
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

__all__ = ["address", "dovecot", "postgres_template", "sql_bench", "sqlite_template"]  # fixtures


@pytest.fixture(scope="module")
def frail(authority: Authority) -> Iterator[Dovecot]:
    """A server that a test may stop and start."""
    with running_dovecot(authority, "password") as running:
        yield running


# --- other clients ------------------------------------------------------------------------------------------------


async def test_a_message_moved_away_and_back_is_a_twin(dovecot: Dovecot, address: str, sql_bench: SqlBench) -> None:
    dovecot.deliver(address, mail(1), mail(2, with_id=False))
    spool = sql_bench.spool("first")
    async with at_dovecot(dovecot, address, spool, poll=0.3) as one:
        await one.until(lambda: len(one.told) == 2 and one.watcher.progress.unmarked == 0)

        def away_and_back() -> None:
            with dovecot.other_client(address) as client:
                client.create("Perso")
                client.select("INBOX")
                client.uid("MOVE", "1:2", "Perso")
                client.select("Perso")
                client.uid("MOVE", "1:*", "INBOX")

        await asyncio.to_thread(away_and_back)
        await one.until(lambda: one.watcher.progress.last_uid == 4)
        await one.compared()
        assert one.watcher.progress.failed_at is None
        assert len(one.told) == 2
        assert await spool.seen("asso", one.watcher.progress.uidvalidity or 0) == {1, 2, 3, 4}


@pytest.mark.parametrize("after", ["mark", "move"])
async def test_a_message_expunged_between_accept_and_mark_is_kept_and_no_error(
    dovecot: Dovecot, address: str, after: str
) -> None:
    def expunge() -> None:
        with dovecot.other_client(address) as client:
            client.select("INBOX")
            client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
            client.expunge()

    async def expunged(arrival: Arrival) -> None:
        if arrival.uid == 2:
            await asyncio.to_thread(expunge)

    intake = FakeIntake(before_accept=expunged)
    dovecot.deliver(address, mail(1), mail(2), mail(3))
    async with at_dovecot(dovecot, address, intake, {"after": after}) as one:
        await one.until(lambda: len(intake.marks) == 3)
        progress = one.watcher.progress
        assert (progress.failed_at, progress.mark_error, progress.unmarked) == (None, "", 0)
    assert len(intake.raws) == 3


async def test_a_long_message_expunged_while_it_is_fetched_leaves_no_half(
    dovecot: Dovecot, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = FakeIntake()
    dovecot.deliver(address, mail(1), mail(2, size=300_000))
    piece_of = Folder._piece

    async def and_expunge(self: Folder, uid: int, offset: int, piece: int) -> bytes:
        body = await piece_of(self, uid, offset, piece)
        if uid == 2 and offset == 0:
            path = next(p for p in (dovecot.maildir(address) / "cur").iterdir() if p.stat().st_size == 300_000)
            await asyncio.to_thread(self_expunge, dovecot, address)
            path.unlink(missing_ok=True)
        return body

    monkeypatch.setattr(Folder, "_piece", and_expunge)
    async with at_dovecot(dovecot, address, intake, piece=65_536, poll=0.4) as one:
        await one.until(lambda: len(intake.marks) == 1)
        await one.until(lambda: intake.cursors.get("asso", (0, 0))[1] == 2)
        assert one.watcher.progress.skipped == ()
    assert all(raw in (mail(1), mail(2, size=300_000)) for raw in intake.raws.values())
    assert not any(blob.is_open for blob in intake.blobs)


def self_expunge(dovecot: Dovecot, address: str) -> None:
    with dovecot.other_client(address) as client:
        client.select("INBOX")
        client.uid("STORE", "2", "+FLAGS", "(\\Deleted)")
        client.expunge()


@pytest.mark.parametrize("what", ["deleted", "renamed"])
async def test_a_watched_folder_that_goes_and_comes_back_is_read_again(
    dovecot: Dovecot, address: str, what: str
) -> None:
    intake = FakeIntake()
    with dovecot.other_client(address) as client:
        client.create("Suivi")
        dovecot.append(address, mail(1), "Suivi")
        async with at_dovecot(dovecot, address, intake, {"folder": "Suivi"}, poll=0.4, idle_renewal=1) as one:
            await one.until(lambda: len(intake.marks) == 1)
            if what == "deleted":
                assert client.delete("Suivi")[0] == "OK"
            else:
                assert client.rename("Suivi", "Autre")[0] == "OK"
            await one.until(lambda: one.watcher.progress.failures >= 2, 15)
            assert one.watcher.progress.state is not WatcherState.WAITING
            assert client.create("Suivi")[0] == "OK"
            dovecot.append(address, mail(2), "Suivi")
            await one.until(lambda: len(intake.raws) == 2 and one.watcher.progress.failures == 0, 15)
    assert sorted(intake.raws.values()) == [mail(1), mail(2)]


# --- the sysadmin -------------------------------------------------------------------------------------------------


async def test_a_server_that_restarts_with_a_new_certificate_is_read_again(frail: Dovecot) -> None:
    address = "relance@asso.mssante.example"
    frail.deliver(address, mail(1))
    mailbox = mailbox_of(address, password_file=frail.password_file())
    intake = FakeIntake()
    async with (
        fault_proxy(frail.imaps_port) as proxy,
        watched(mailbox, frail.operator(port=proxy.port), frail.context(address), intake) as one,
    ):
        await one.until(lambda: len(intake.marks) == 1)
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        await asyncio.to_thread(frail.stop)
        proxy.reset()  # Dovecot's children may serve on for a while
        await one.until(lambda: one.watcher.progress.failures >= 2)
        frail.authority.issue(f"dovecot-{frail.imaps_port}", "localhost", "127.0.0.1")  # replaces the files
        frail.deliver(address, mail(2))
        await asyncio.to_thread(frail.start)
        await one.until(lambda: len(intake.marks) == 2)
        await one.until(lambda: one.watcher.progress.failures == 0)
    assert len(intake.arrivals) == 2


async def test_a_server_whose_certificate_is_a_strangers_is_refused_until_it_is_mended(
    frail: Dovecot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    address = "faux@asso.mssante.example"
    mailbox = mailbox_of(address, password_file=frail.password_file())
    intake = FakeIntake()
    name = f"dovecot-{frail.imaps_port}"
    async with (
        fault_proxy(frail.imaps_port) as proxy,
        watched(mailbox, frail.operator(port=proxy.port), frail.context(address), intake) as one,
    ):
        await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
        await asyncio.to_thread(frail.stop)
        proxy.reset()
        own = {p: p.read_bytes() for p in frail.authority.folder.glob(f"{name}.*")}
        stranger = Authority(tmp_path_factory.mktemp("stranger")).issue(name, "localhost")
        shutil.copy(stranger.certificate, frail.authority.folder / f"{name}.crt")
        shutil.copy(stranger.key, frail.authority.folder / f"{name}.key")
        frail.deliver(address, mail(1))
        await asyncio.to_thread(frail.start)
        await one.until(lambda: one.watcher.progress.last_error == "certificate-unknown-authority")
        assert intake.arrivals == []
        await asyncio.to_thread(frail.stop)
        for path, content in own.items():
            path.write_bytes(content)
        await asyncio.to_thread(frail.start)
        await one.until(lambda: len(intake.marks) == 1)


# --- other watchers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["mark", "move"])
async def test_two_watchers_of_two_hundred_messages_accept_each_once(
    dovecot: Dovecot, address: str, sql_bench: SqlBench, after: str
) -> None:
    mails = [mail(n, size=9_000 if n % 10 == 0 else 100 + n, with_id=n % 3 > 0) for n in range(1, 201)]
    dovecot.deliver(address, *mails)
    first, second = sql_bench.spool("first"), sql_bench.spool("second")
    box: dict[str, object] = {"after": after}
    async with (
        at_dovecot(dovecot, address, first, box, poll=2, piece=4_096) as one,
        at_dovecot(dovecot, address, second, box, poll=2, piece=4_096) as two,
    ):
        await one.until(lambda: len(one.told) + len(two.told) == 200, 30)
        await one.compared()
        await two.compared()
        epoch = one.watcher.progress.uidvalidity or 0
        assert await first.unmarked("asso", epoch) == ()
        assert await first.seen("asso", epoch) == frozenset(range(1, 201))
        assert (one.watcher.progress.skipped, two.watcher.progress.skipped) == ((), ())
    assert len({*one.told, *two.told}) == 200
    if after == "move":
        filed = [p for part in ("new", "cur") for p in (dovecot.maildir(address, "Traites") / part).iterdir()]
        assert {p.read_bytes() for p in filed} == set(mails)
        assert len(filed) <= 210  # Dovecot lets two clients move one message at the same instant, and keeps both
    else:
        assert all(b"$HubAccepted" in line for line in flags_of(dovecot, address).values())


async def test_equal_message_ids_are_one_message_only_when_the_bytes_are_equal(
    dovecot: Dovecot, address: str, sql_bench: SqlBench
) -> None:
    same, other = mail(1), mail(1).replace(b"Corps", b"Autre")
    dovecot.deliver(address, same, other, same, mail(2, with_id=False), mail(3, with_id=False), mail(2, with_id=False))
    async with at_dovecot(dovecot, address, sql_bench.spool("first"), poll=0.3) as one:
        await one.until(lambda: one.watcher.progress.last_uid == 6 and one.watcher.progress.unmarked == 0)
        await one.compared()
    assert len(one.told) == len(set(one.told)) == 4


# --- the network forgets a connection -----------------------------------------------------------------------------

_TCP_REPAIR = 19  # closes without a word: neither FIN nor RST


def forget(sock: socket.socket) -> None:
    """As a NAT or a power cut does. Needs CAP_NET_ADMIN."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
    except PermissionError:
        missing("TCP_REPAIR is not permitted here")
    sock.close()


async def test_a_connection_that_the_network_forgot_is_heard_of_in_idle(
    dovecot: Dovecot, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dict(session_module._KEEPALIVE)["TCP_KEEPIDLE"] + 4 * 15 <= 120  # heard within two minutes, whatever IDLE's
    monkeypatch.setattr(session_module, "_KEEPALIVE", (("TCP_KEEPIDLE", 1), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 2)))
    intake = FakeIntake()
    async with fault_proxy(dovecot.imaps_port) as proxy:
        async with at_dovecot(dovecot, address, intake, port=proxy.port, idle_renewal=600, poll=600) as one:
            await one.until(lambda: one.watcher.progress.state is WatcherState.WAITING)
            await asyncio.sleep(0.2)  # into IDLE
            proxy.forget(forget)
            began = time.monotonic()
            dovecot.deliver(address, mail(1))
            await one.until(lambda: len(intake.marks) == 1, 10)
            assert time.monotonic() - began < 10
        answers = [answer for _, answer in intake.connections]
    assert answers == ["open", "reset", "open"]
