"""The watcher on a real Dovecot: what it is for, restarts, a spool that fails, memory."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, datetime

import psutil

from hub.errors import Temporary
from hub.imap.grammar import folder_name
from hub.imap.progress import WatcherState
from hub.ports import Arrival
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.proxy import fault_proxy
from tests.edges.watching import (
    BOX,
    address,
    at_dovecot,
    dovecot,
    flags_of,
    mail,
    mailbox_of,
    watched,
)
from tests.fakes_imap import FakeIntake
from tests.pki import Authority

__all__ = ["address", "dovecot"]  # fixtures


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
