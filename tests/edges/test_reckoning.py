"""The account of a mailbox on a real Dovecot, while people move and delete what they like; and the lookout that makes
it every hour."""

from __future__ import annotations

import asyncio
import imaplib
import logging
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import delete

from hub.errors import HubError, Temporary
from hub.imap import folder as folder_room
from hub.imap.folder import Folder, Look
from hub.imap.progress import Progress, Skipped, WatcherState
from hub.imap.reader import Watcher
from hub.reckoning import Account, Reckoner
from hub.records import SqlRecords
from hub.settings import Settings
from hub.spool import SqlSpool
from hub.spool import ledger as ledger_room
from hub.spool.ledger import Fate
from hub.spool.lookout import Told
from hub.spool.statements import SEEN
from hub.wiring import House
from hub.wiring.ways import Ways
from hub.worker.lookout import Lookout
from tests.edges.dovecot import Dovecot, running_dovecot
from tests.edges.engines import sqlite_template
from tests.edges.spools import SqlBench
from tests.pki import Authority
from tests.ways import imap_of

__all__ = ["sqlite_template"]

BOX = "dossiers"


@pytest.fixture(scope="module")
def dovecot(authority: Authority) -> Iterator[Dovecot]:
    with running_dovecot(authority, "password") as running:
        yield running


def letter(number: int) -> bytes:
    return f"Subject: {number}\r\nMessage-ID: <{number}@x.fr>\r\n\r\nBonjour {number}\r\n".encode()


def now() -> datetime:
    return datetime.now(UTC)


class Bal:
    """One mailbox, its watcher and its spool."""

    def __init__(self, dovecot: Dovecot, address: str, spool: SqlSpool, **more: Any) -> None:
        self.dovecot, self.address, self.spool = dovecot, address, spool
        operator = dovecot.operator()
        box = {"name": BOX, "address": address, "operator": "operateur", "password_file": str(dovecot.password_file())}
        self.settings = Settings.model_validate(
            {
                "data_dir": dovecot.folder,
                "site": {"product_reference": "ESSAI1"},
                "operators": [operator.model_dump()],
                "mailboxes": [box | more],
                "alerting": {"every": 1},
            }
        )
        self.box = self.settings.mailboxes[0]
        self.way_to = Ways(self.settings).imap
        self.reckoner = Reckoner(self.settings, spool, self.way_to, now, look_again=0)

    def deliver(self, *numbers: int) -> None:
        self.dovecot.deliver(self.address, *map(letter, numbers))

    async def read(self, until: int) -> None:
        """Let the watcher work until everything up to a UID is compared."""
        watcher = Watcher(
            self.box,
            self.settings.operators[0],
            self.settings.watching,
            self.spool,
            self.way_to(self.box),
            lambda _: None,
            now,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(watcher.run(stop))
        async with asyncio.timeout(30):
            while (await self.spool.cursor(BOX) or (0, 0))[1] < until:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        stop.set()
        await task

    async def reckon(self, since: datetime | None = None) -> Account:
        return await self.reckoner.reckon(self.box, since)

    async def forget(self, *uids: int) -> None:
        """As if the spool had lost what it once accepted."""
        await self.spool._database.write(lambda c: c.execute(delete(SEEN).where(SEEN.c.uid.in_(uids))))


@pytest.fixture
def spool(tmp_path: Path, sqlite_template: Path) -> Iterator[SqlSpool]:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    bench = SqlBench(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)
    yield bench.spool()
    bench.close()


@pytest.fixture
def bal(request: pytest.FixtureRequest, dovecot: Dovecot, spool: SqlSpool) -> Bal:
    name = request.node.name.removeprefix("test_").replace("_", "-").partition("[")[0][:50].strip("-")
    return Bal(dovecot, f"{name}@asso.mssante.example", spool)


async def test_the_account_balances_and_tells_what_is_still_to_come(bal: Bal) -> None:
    bal.deliver(1, 2, 3)
    account = await bal.reckon()
    assert (account.announced, account.fresh, account.balances) == (3, (1, 2, 3), True)
    await bal.read(3)
    bal.deliver(4)
    account = await bal.reckon()
    assert (account.announced, account.selected.uidnext) == (4, 5)
    assert (account.here, account.fresh, account.unknown) == ({Fate.WAITING: 3}, (4,), ())
    assert account.balances
    kept = (await bal.spool.reckonings())[BOX]
    assert (kept.announced, kept.waiting, kept.fresh, kept.differences, kept.unknown) == (4, 3, 1, 0, "")


async def test_to_count_changes_nothing_in_the_mailbox(bal: Bal) -> None:
    bal.deliver(1, 2)
    await bal.reckon()
    with bal.dovecot.other_client(bal.address) as client:
        client.select("INBOX", readonly=True)
        answer = client.uid("FETCH", "1:*", "(FLAGS)")[1]
    assert answer == [b"1 (UID 1 FLAGS (\\Recent))", b"2 (UID 2 FLAGS (\\Recent))"]


async def test_what_people_moved_or_deleted_stays_accounted_for(bal: Bal) -> None:
    bal.deliver(1, 2, 3)
    await bal.read(3)
    with bal.dovecot.other_client(bal.address) as client:
        client.create("Ailleurs")
        client.select("INBOX")
        client.uid("MOVE", "1", "Ailleurs")
        client.uid("STORE", "2", "+FLAGS", "\\Deleted")
        client.expunge()
    account = await bal.reckon()
    assert (account.announced, account.here, account.gone) == (1, {Fate.WAITING: 1}, {Fate.WAITING: 2})
    assert account.balances
    bal.deliver(4)
    with bal.dovecot.other_client(bal.address) as client:  # and one that nobody saw before it went
        client.select("INBOX")
        client.uid("STORE", "4", "+FLAGS", "\\Deleted")
        client.expunge()
    assert (await bal.reckon()).balances


async def test_what_the_hub_itself_moved_is_found_where_it_went(dovecot: Dovecot, spool: SqlSpool) -> None:
    bal = Bal(dovecot, "deplace@asso.mssante.example", spool, after="move")
    assert (await bal.reckon()).moved_to == 0  # the folder is made by the first move
    bal.deliver(1, 2)
    await bal.read(2)
    account = await bal.reckon()
    assert (account.announced, account.gone, account.moved_to) == (0, {Fate.WAITING: 2}, 2)
    assert account.balances


async def test_what_the_spool_does_not_know_is_named_kept_and_can_be_taken(bal: Bal) -> None:
    bal.deliver(*range(1, 6))
    await bal.read(5)
    with bal.spool._database.engine.begin() as connection:  # as if they had been lost
        connection.exec_driver_sql("DELETE FROM seen WHERE uid IN (2, 3)")
        connection.exec_driver_sql("DELETE FROM message WHERE uid IN (2, 3)")
    account = await bal.reckon()
    assert (account.unknown, account.differences, account.balances) == ((2, 3), 2, False)
    kept = (await bal.spool.reckonings())[BOX]
    assert (kept.differences, kept.unknown, kept.differs_since) == (2, "2:3", kept.at)
    assert await bal.reckoner.take(bal.box, account.unknown) == 2
    account = await bal.reckon()
    assert account.balances
    assert account.here == {Fate.WAITING: 5}
    assert (await bal.spool.reckonings())[BOX].differs_since is None
    assert await bal.spool.unmarked(BOX, account.selected.uidvalidity) == (2, 3)  # the watcher marks them


async def test_to_take_what_is_known_already_makes_no_twin(bal: Bal) -> None:
    bal.deliver(1)
    await bal.read(1)
    await bal.forget(1)
    await bal.reckoner.take(bal.box, [1, 77])
    assert (await bal.spool.counts())["ACCEPTED"] == 1
    assert (await bal.reckon()).balances


async def test_a_message_in_flight_between_two_looks_is_no_difference(
    bal: Bal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bal.deliver(1, 2)
    await bal.read(2)
    await bal.forget(1)
    account_of, looks = Reckoner._account, []

    async def looked(self: Reckoner, *asked: Any) -> Account:
        account = await account_of(self, *asked)
        looks.append(account.unknown)
        if len(looks) == 1:
            await bal.reckoner.take(bal.box, [1])
            await bal.forget(2)  # another one, missed by the second look only
        return account

    monkeypatch.setattr(Reckoner, "_account", looked)
    account = await bal.reckon()
    assert looks == [(1,), (2,)]
    assert (account.unknown, account.fresh, account.balances) == ((), (2,), True)
    assert (await bal.reckon()).unknown == (2,)  # it lasts: now it is one


async def test_what_arrives_while_the_account_is_made_is_no_difference(
    bal: Bal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bal.deliver(1)
    await bal.read(1)
    look = Folder.look

    async def looked(self: Folder, first: int) -> Look:
        found = await look(self, first)
        bal.deliver(2)
        monkeypatch.undo()
        await bal.read(2)  # listed by nobody yet, and the cursor is past it when the spool is asked
        return found

    monkeypatch.setattr(Folder, "look", looked)
    account = await bal.reckon()
    assert (account.balances, account.announced, account.gone) == (True, 1, {Fate.WAITING: 1})


async def test_a_server_that_shows_less_than_it_announces_is_a_difference(
    bal: Bal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bal.deliver(1, 2, 3)
    await bal.read(3)
    look = Folder.look

    async def hiding(self: Folder, first: int) -> Look:
        found = await look(self, first)
        return replace(found, uids=tuple(uid for uid in found.uids if uid != 2))

    monkeypatch.setattr(Folder, "look", hiding)
    account = await bal.reckon()
    assert (account.announced, account.there, account.unlisted, account.balances) == (3, 2, 1, False)
    assert (await bal.spool.reckonings())[BOX].differences == 1


async def test_a_new_epoch_is_no_difference_and_is_told(bal: Bal) -> None:
    bal.deliver(1, 2)
    await bal.read(2)
    bal.dovecot.renew_uidvalidity(bal.address)
    account = await bal.reckon()
    assert (account.is_new_epoch, account.fresh, account.unknown, account.balances) == (True, (1, 2), (), True)
    assert account.gone == {}


async def test_what_the_watcher_leaves_in_the_mailbox_is_named_with_its_reason(bal: Bal) -> None:
    bal.deliver(1, 2, 3)
    epoch = (await bal.reckon()).selected.uidvalidity
    told = Told(mailbox=BOX, began_at=now(), told_at=now(), uidvalidity=epoch, skipped=((2, "too-large"),))
    await bal.spool.tell([told])
    account = await bal.reckon()
    assert (account.fresh, account.skipped, account.balances) == ((1, 3), ((2, "too-large"),), True)
    await bal.spool.tell([replace(told, uidvalidity=epoch + 1)])
    assert (await bal.reckon()).skipped == ()


async def test_since_counts_what_arrived_since_then_only(bal: Bal) -> None:
    with bal.dovecot.other_client(bal.address) as client:
        for number, hours in ((1, 90), (2, 30), (3, 25), (4, 1), (5, 0)):
            arrived = imaplib.Time2Internaldate(time.time() - hours * 3600)
            assert client.append("INBOX", "", arrived, letter(number))[0] == "OK"
    await bal.read(5)
    with bal.dovecot.other_client(bal.address) as client:
        client.select("INBOX")
        client.uid("STORE", "1,5", "+FLAGS", "\\Deleted")
        client.expunge()
    await bal.forget(2, 4)
    account = await bal.reckon(now() - timedelta(hours=24))
    assert (account.announced, account.here, account.gone) == (1, {}, {Fate.WAITING: 1})
    assert (account.unknown, account.balances) == ((4,), False)
    account = await bal.reckon(now() - timedelta(days=2))
    assert (account.announced, account.here, account.unknown) == (3, {Fate.WAITING: 1}, (2, 4))
    assert await bal.spool.reckonings() == {}  # the alerts are made of whole accounts only


async def test_a_big_mailbox_is_counted_window_by_window(bal: Bal, monkeypatch: pytest.MonkeyPatch) -> None:
    bal.deliver(*range(1, 13))
    await bal.read(12)
    bal.deliver(13, 14)
    with bal.dovecot.other_client(bal.address) as client:
        client.select("INBOX")
        client.uid("STORE", "3:8,12", "+FLAGS", "\\Deleted")
        client.expunge()
    await bal.forget(2, 11)
    for room, name, most in ((folder_room, "WINDOW", 3), (folder_room, "WINDOWS_MOST", 1)):
        monkeypatch.setattr(room, name, most)
    met, pages = SqlSpool.met, []

    async def paged(self: SqlSpool, mailbox: str, uidvalidity: int, above: int, until: int) -> Any:
        page = await met(self, mailbox, uidvalidity, above, until, 2)
        pages.append(len(page))
        return page

    monkeypatch.setattr(SqlSpool, "met", paged)
    monkeypatch.setattr("hub.reckoning.PAGE", 2)
    account = await bal.reckon()
    assert len(pages) > 8
    assert (account.announced, account.here, account.gone) == (7, {Fate.WAITING: 3}, {Fate.WAITING: 7})
    assert (account.unknown, account.fresh) == ((2, 11), (13, 14))
    assert ledger_room.PAGE > 1_000


async def test_a_mailbox_that_cannot_be_opened_says_so(bal: Bal) -> None:
    endpoint = imap_of(bal.settings.operators[0]).model_copy(update={"port": 1})
    operator = bal.settings.operators[0].model_copy(update={"imap": endpoint})
    away = bal.settings.model_copy(update={"operators": (operator,)})
    with pytest.raises(HubError, match="connect-"):
        await Reckoner(away, bal.spool, Ways(away).imap, now).reckon(bal.box)


# --- the lookout


class Shows:
    """A watcher that shows what it is told to."""

    def __init__(self, **progress: Any) -> None:
        self.progress = replace(Progress(state=WatcherState.WAITING, uidvalidity=7), **progress)

    def change(self, **progress: Any) -> None:
        self.progress = replace(self.progress, **progress)


class Outlook:
    def __init__(self, bal: Bal, watcher: Shows) -> None:
        self.at = now()
        self.leads = True
        records = SqlRecords(bal.spool._database, bal.spool._blobs, bal.spool._sealer, now)
        house = cast(
            House, SimpleNamespace(settings=bal.settings, spool=bal.spool, records=records, ways=Ways(bal.settings))
        )
        self.lookout = Lookout(house, {BOX: watcher}, lambda: self.leads, lambda: self.at)

    def tick(self, **delta: float) -> None:
        self.at += timedelta(**delta)


async def test_what_a_watcher_tells_reaches_the_database_when_it_changes(bal: Bal) -> None:
    watcher = Shows(state=WatcherState.STOPPED)
    outlook = Outlook(bal, watcher)
    began = outlook.at
    await outlook.lookout.look()
    assert await bal.spool.told_by_watcher(BOX) is None  # another host's
    watcher.change(state=WatcherState.BACKING_OFF, failures=1, last_error="timeout", failed_at=outlook.at)
    await outlook.lookout.look()
    outlook.tick(minutes=1)
    watcher.change(failures=2, failed_at=outlook.at)
    await outlook.lookout.look()
    told = await bal.spool.told_by_watcher(BOX)
    assert told is not None
    assert (told.began_at, told.told_at) == (began, outlook.at)
    assert (told.failures, told.last_error, told.failing_since) == (2, "timeout", began)
    outlook.tick(minutes=1)
    await outlook.lookout.look()
    assert await bal.spool.told_by_watcher(BOX) == told  # nothing changed: nothing written
    watcher.change(state=WatcherState.WAITING, failures=0, skipped=(Skipped(4, "fetch-no"),), mark_error="x")
    await outlook.lookout.look()
    told = await bal.spool.told_by_watcher(BOX)
    assert told is not None
    assert (told.last_error, told.failing_since, told.skipped, told.mark_error) == ("", None, ((4, "fetch-no"),), "x")


async def test_what_could_not_be_told_is_told_later_though_nothing_changed(
    bal: Bal, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlook = Outlook(bal, Shows())
    with monkeypatch.context() as context:
        context.setattr(bal.spool, "tell", AsyncMock(side_effect=Temporary("database: away")))
        await outlook.lookout.tell()
    await outlook.lookout.tell()
    assert await bal.spool.told_by_watcher(BOX) is not None


async def test_the_log_tells_an_alert_once_and_its_end(bal: Bal, caplog: pytest.LogCaptureFixture) -> None:
    outlook = Outlook(bal, Shows())

    async def told() -> list[tuple[int, str]]:
        caplog.clear()
        outlook.tick(minutes=1)
        await outlook.lookout.look()
        return [(record.levelno, record.message[:40]) for record in caplog.records if record.name == "hub.alerts"]

    assert await told() == []
    outlook.tick(minutes=20)
    assert await told() == [(logging.ERROR, "alert mailbox-never-read (dossiers) begi")]
    assert await told() == []
    outlook.leads = False  # another host tells now
    assert await told() == [(logging.WARNING, "alert mailbox-never-read (dossiers) ends")]
    outlook.leads = True
    assert await told() == [(logging.ERROR, "alert mailbox-never-read (dossiers) begi")]
    outlook.tick(days=1)
    assert await told() == [(logging.ERROR, "alert mailbox-never-read (dossiers) last")]


async def test_a_database_that_is_away_is_told_by_every_host(
    bal: Bal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlook = Outlook(bal, Shows())
    outlook.leads = False
    begin = bal.spool._database.read
    monkeypatch.setattr(bal.spool._database, "read", _away)
    first = outlook.at
    for _ in range(2):
        (alert,) = await outlook.lookout.look()
        assert (alert.code, alert.since) == ("database-away", first)
        outlook.tick(minutes=1)
    assert [record.message[:30] for record in caplog.records] == ["alert database-away begins: La"]
    monkeypatch.setattr(bal.spool._database, "read", begin)
    assert await outlook.lookout.look() == ()


async def test_a_database_that_takes_no_write_is_told_by_every_host(
    bal: Bal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Shows()
    outlook = Outlook(bal, watcher)
    outlook.leads = False
    begin = bal.spool._database.write
    monkeypatch.setattr(bal.spool._database, "write", _away)
    assert [alert.code for alert in await outlook.lookout.look()] == ["database-full"]
    monkeypatch.setattr(bal.spool._database, "write", begin)
    assert await outlook.lookout.look() == ()
    assert await bal.spool.told_by_watcher(BOX) is not None  # what could not be told then is told now
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "alert database-full begins",
        "alert database-full ends",
    ]


async def _away(_work: object) -> None:
    from hub.errors import Temporary

    raise Temporary("database: OperationalError")


async def test_mailboxes_are_counted_every_hour_while_their_server_answers(bal: Bal) -> None:
    bal.deliver(1)
    watcher = Shows()
    outlook = Outlook(bal, watcher)
    lookout = outlook.lookout
    lookout._reckoner._clock = lambda: outlook.at

    async def counted() -> bool:
        await lookout.reckon_what_is_due()
        kept = (await bal.spool.reckonings()).get(BOX)
        return kept is not None and kept.at == outlook.at

    for state in (WatcherState.STOPPED, WatcherState.CONNECTING, WatcherState.BACKING_OFF):
        watcher.change(state=state)
        assert not await counted()
    watcher.change(state=WatcherState.COMPARING, failures=1)
    assert not await counted()
    watcher.change(state=WatcherState.WAITING, failures=0)
    assert await counted()
    outlook.tick(minutes=59)
    assert not await counted()
    outlook.tick(minutes=1)
    assert await counted()
    outlook.tick(days=-365)  # the clock was put back: the last account lies in the future
    assert await counted()


async def test_no_account_is_read_before_one_is_due(bal: Bal, monkeypatch: pytest.MonkeyPatch) -> None:
    bal.deliver(1)
    watcher = Shows()
    outlook = Outlook(bal, watcher)
    outlook.lookout._reckoner._clock = lambda: outlook.at
    await outlook.lookout.reckon_what_is_due()
    looks = []
    honest = bal.spool.reckonings

    async def noted() -> Mapping[str, Any]:
        looks.append(outlook.at)
        return await honest()

    monkeypatch.setattr(bal.spool, "reckonings", noted)
    for _ in range(60):  # once more, to know when the account was made, then at its hour
        await outlook.lookout.reckon_what_is_due()
        outlook.tick(minutes=1)
    assert len(looks) == 1
    await outlook.lookout.reckon_what_is_due()
    assert len(looks) == 2
    outlook.tick(minutes=1)
    watcher.change(state=WatcherState.STOPPED)  # another host's now: who is counted here is another question
    await outlook.lookout.reckon_what_is_due()
    assert len(looks) == 3


async def test_an_account_that_cannot_be_made_is_tried_again_later(bal: Bal, caplog: pytest.LogCaptureFixture) -> None:
    outlook = Outlook(bal, Shows())
    endpoint = imap_of(bal.settings.operators[0]).model_copy(update={"port": 1})
    away = bal.settings.operators[0].model_copy(update={"imap": endpoint})
    outlook.lookout._reckoner._way_to = Ways(bal.settings.model_copy(update={"operators": (away,)})).imap
    for _ in range(2):
        await outlook.lookout.reckon_what_is_due()
        outlook.tick(minutes=4)
    assert [record.message for record in caplog.records if "not counted" in record.message] == [
        "mailbox dossiers: not counted: imap connection lost: connect-econnrefused"
    ]
    outlook.tick(minutes=1)
    await outlook.lookout.reckon_what_is_due()
    assert len([record for record in caplog.records if "not counted" in record.message]) == 2


async def test_the_lookout_ends_with_its_service(bal: Bal) -> None:
    outlook = Outlook(bal, Shows())
    stop = asyncio.Event()
    running = asyncio.create_task(outlook.lookout.run(stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(running, 5)
