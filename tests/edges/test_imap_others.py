"""Other people, and other watchers, in the same mailbox: nothing lost, nothing twice, nobody disturbed."""

from __future__ import annotations

import asyncio

import pytest

from hub.imap.folder import Folder, Listed
from hub.raw import joined
from tests.edges.dovecot import Dovecot
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import SqlBench, sql_bench
from tests.edges.watching import (
    BOX,
    address,
    at_dovecot,
    dovecot,
    mail,
)
from tests.fakes_imap import FakeIntake

__all__ = ["address", "dovecot", "postgres_template", "sql_bench", "sqlite_template"]  # fixtures


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
        raws.append(await joined(await again.raw(envelope)))
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
