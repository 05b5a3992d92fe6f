"""What the lookout reads at the far end, on both engines; and what `hub web` shows of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from hub.alerts import CODES, Gatherer
from hub.errors import Temporary
from hub.message import Done, Failed, Rung
from hub.records import SqlRecords
from hub.settings import Settings
from hub.spool import SqlSpool
from hub.spool.ledger import Fate, Reckoned
from hub.spool.lookout import Crowd, Told
from hub.web import moments as moments_room
from hub.web.app import make_app
from hub.web.moments import Moments
from hub.wiring import House
from hub.wiring.ways import Ways
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import BOX, EPOCH, FILING, HOLD, RECEIPT, START, SqlBench, accept, planned, sql_bench

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]

LAST = 2**32 - 1
MINUTE = timedelta(minutes=1)


def told(**more: Any) -> Told:
    return replace(Told(mailbox=BOX, began_at=START, told_at=START, uidvalidity=EPOCH), **more)


def account(**more: Any) -> Reckoned:
    counts = dict.fromkeys(("delivered", "refused", "noted", "waiting", "held", "in_error", "fresh", "skipped"), 0)
    known: dict[str, Any] = {
        "mailbox": BOX, "at": START, "uidvalidity": EPOCH, "uidnext": 4, "announced": 3, "filed": 3, "gone": 0,
        "differences": 0, "unknown": "",
    }  # fmt: skip
    return Reckoned(**counts | known | more)


async def looked(bench: SqlBench, spool: SqlSpool) -> Any:
    return await spool.look(bench.clock(), bench.clock() - 10 * MINUTE, bench.clock() - 60 * MINUTE)


# --- the ledger's side


async def test_each_uid_has_the_fate_of_its_message(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    filed = await planned(spool, FILING, RECEIPT, uid=1)
    await spool.record(filed, 1, Done("filed"))
    await spool.record(filed, 2, Done("250"))
    held = await planned(spool, HOLD, uid=2)
    await spool.record(held, 1, Done("held"))
    failed = await planned(spool, RECEIPT, uid=3)
    await spool.record(failed, 1, Failed("550"))
    noted = await planned(spool, RECEIPT, uid=4)
    await spool.record(noted, 1, Done("250"))
    await planned(spool, FILING, uid=5)
    await accept(spool, b"Subject: 1\r\n\r\n", uid=6, message_id="<1@exemple.fr>")  # the bytes of UID 1
    met = await spool.met(BOX, EPOCH, 0, LAST)
    assert {one.uid: one.fate for one in met} == {
        1: Fate.FILED, 2: Fate.HELD, 3: Fate.IN_ERROR, 4: Fate.NOTED, 5: Fate.WAITING, 6: Fate.FILED,
    }  # fmt: skip
    assert met[0].received_at == START
    assert [one.uid for one in await spool.met(BOX, EPOCH, 1, 5, most=3)] == [2, 3, 4]
    assert await spool.met(BOX, EPOCH + 1, 0, LAST) == ()
    assert await spool.met("autre", EPOCH, 0, LAST) == ()


async def test_an_account_takes_the_place_of_the_last_and_remembers_since_when_it_differs(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    await spool.reckoned(account())
    await spool.reckoned(account(at=START + MINUTE, differences=2, unknown="2:3"))
    await spool.reckoned(account(at=START + 2 * MINUTE, differences=1, unknown="3"))
    await spool.reckoned(account(mailbox="autre"))
    kept = await spool.reckonings()
    assert kept[BOX] == account(at=START + 2 * MINUTE, differences=1, unknown="3", differs_since=START + MINUTE)
    assert kept["autre"] == account(mailbox="autre")
    await spool.reckoned(account(at=START + 3 * MINUTE))
    assert (await spool.reckonings())[BOX].differs_since is None


async def test_a_difference_of_any_size_can_be_kept(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    await spool.reckoned(account(differences=50_000, unknown=",".join(str(uid) for uid in range(1, 100_000, 2))))
    assert len((await spool.reckonings())[BOX].unknown) == 2_000


# --- the lookout's side


async def test_a_look_at_an_empty_spool_finds_nothing(sql_bench: SqlBench) -> None:
    look = await looked(sql_bench, sql_bench.spool())
    assert (look.due, look.late, look.long, look.carried_at) == (Crowd(), Crowd(), Crowd(), None)
    assert (look.cursors, look.accepted_at, look.unmarked, look.told, look.reckoned) == ({}, {}, {}, {}, {})


async def test_a_look_counts_what_is_due_late_and_long_and_since_when(sql_bench: SqlBench) -> None:
    spool, clock = sql_bench.spool(lease=timedelta(seconds=30)), sql_bench.clock
    await accept(spool, b"1", uid=1, message_id="<1@x.fr>")
    clock.tick(minutes=10)
    look = await looked(sql_bench, spool)
    assert (look.due, look.late, look.long) == (Crowd(1, START), Crowd(), Crowd())
    clock.tick(minutes=1)
    await accept(spool, b"2", uid=2, message_id="<2@x.fr>")
    look = await looked(sql_bench, spool)
    assert (look.due, look.late, look.long) == (Crowd(2, START), Crowd(1, START), Crowd())
    clock.tick(minutes=50)
    look = await looked(sql_bench, spool)
    assert (look.late, look.long) == (Crowd(2, START), Crowd(1, START))
    due = (await spool.due())[0]
    assert await spool.load(due) is not None  # in a worker's hands: due still, late no more
    look = await looked(sql_bench, spool)
    assert (look.due.count, look.late.count) == (2, 1)
    clock.tick(minutes=11)  # and that worker died
    assert (await looked(sql_bench, spool)).late.count == 2


async def test_the_last_deed_of_a_worker_is_found_in_the_journal_and_arrivals_are_none(sql_bench: SqlBench) -> None:
    spool, clock = sql_bench.spool(), sql_bench.clock
    await accept(spool, b"1", uid=1, message_id="<1@x.fr>")
    assert (await looked(sql_bench, spool)).carried_at is None
    clock.tick(minutes=2)
    message = await planned(spool, FILING, uid=2)
    clock.tick(minutes=2)
    assert (await looked(sql_bench, spool)).carried_at == START + 2 * MINUTE
    await spool.record(message, 1, Done("filed"))
    clock.tick(minutes=2)
    await accept(spool, b"3", uid=3, message_id="<3@x.fr>")
    look = await looked(sql_bench, spool)
    assert look.carried_at == START + 4 * MINUTE
    assert look.journal == 5


async def test_watchers_are_heard_by_their_cursor_their_arrivals_and_what_they_tell(sql_bench: SqlBench) -> None:
    spool, clock = sql_bench.spool(), sql_bench.clock
    await spool.tell([told(), told(mailbox="autre", uidvalidity=None)])
    clock.tick(minutes=1)
    await accept(spool, b"1", uid=1, message_id="<1@x.fr>")
    clock.tick(minutes=1)
    await accept(spool, b"2", uid=2, message_id="<2@x.fr>")
    await accept(spool, b"old", uid=99, uidvalidity=EPOCH - 1, message_id="<3@x.fr>")
    await spool.marked(BOX, EPOCH, [1])
    await spool.advance(BOX, EPOCH, 2)
    failing = told(
        failures=3, last_error="timeout", failing_since=START, skipped=((7, "too-large"), (9, "fetch-no")),
        mark_error="mark-not-kept",
    )  # fmt: skip
    await spool.tell([failing])
    look = await looked(sql_bench, spool)
    assert look.told == {BOX: failing, "autre": told(mailbox="autre", uidvalidity=None)}
    assert look.accepted_at == {BOX: START + 2 * MINUTE}
    assert (look.cursors[BOX].last_uid, look.cursors[BOX].compared_at) == (2, START + 2 * MINUTE)
    assert look.unmarked == {BOX: 2}
    assert {name: await spool.told_by_watcher(name) for name in look.told} == look.told


# --- what `hub web` shows

ENDPOINT = {"host": "localhost", "port": 993, "tls": "implicit"}


def settings() -> Settings:
    operator = {"name": "operateur", "imap": ENDPOINT, "smtp": ENDPOINT, "ca_file": "ca.pem", "sasl": "none"}
    box = {"name": BOX, "address": "bal@mecs.mssante.example", "operator": "operateur"}
    return Settings.model_validate(
        {"site": {"product_reference": "ESSAI1"}, "operators": [operator], "mailboxes": [box]}
    )


def house(bench: SqlBench, spool: SqlSpool) -> House:
    records = SqlRecords(bench.database, bench.blobs(), bench.keys, bench.clock)
    return cast(House, SimpleNamespace(settings=settings(), spool=spool, records=records, ways=Ways(settings())))


class Web:
    """`hub web` without its socket, under the bench's clock; each asking looks anew."""

    def __init__(self, bench: SqlBench, spool: SqlSpool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hub.web.app.now", bench.clock)
        self.ticks = 0.0
        transport = httpx.ASGITransport(make_app(house(bench, spool), lambda: self.ticks))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")

    async def get(self, path: str, method: str = "GET") -> httpx.Response:
        self.ticks += 60
        return await self.client.request(method, path)

    async def metrics(self) -> dict[str, float]:
        """`name{label="value"}` -> value."""
        answer = await self.get("/metrics")
        assert answer.status_code == 200
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        return {
            sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
            for sample in samples
        }


@pytest.fixture
def spool(sql_bench: SqlBench) -> SqlSpool:
    return sql_bench.spool()


@pytest.fixture
def web(sql_bench: SqlBench, spool: SqlSpool, monkeypatch: pytest.MonkeyPatch) -> Web:
    return Web(sql_bench, spool, monkeypatch)


async def test_health_is_ok_or_names_what_does_not_work(web: Web, spool: SqlSpool, sql_bench: SqlBench) -> None:
    answer = await web.get("/health")
    assert (answer.status_code, answer.text) == (503, "mailbox-never-read\n")
    await spool.advance(BOX, EPOCH, 3)
    answer = await web.get("/health")
    assert (answer.status_code, answer.text) == (200, "ok\n")
    await spool.reckoned(account(differences=1, unknown="2"))
    sql_bench.clock.tick(minutes=21)
    answer = await web.get("/health")
    assert (answer.status_code, answer.text) == (503, "ledger-differs\nmailbox-silent\n")


async def test_metrics_say_what_the_database_says(web: Web, spool: SqlSpool, sql_bench: SqlBench) -> None:
    done = await planned(spool, FILING, uid=1)
    await spool.record(done, 1, Done("filed"))
    held = await planned(spool, HOLD, uid=2)
    await spool.record(held, 1, Done("held"))
    await accept(spool, b"3", uid=3, message_id="<3@x.fr>")
    await spool.marked(BOX, EPOCH, [1])
    await spool.advance(BOX, EPOCH, 3)
    await spool.tell([told(failures=2, last_error="timeout", failing_since=START, skipped=((4, "too-large"),))])
    await spool.reckoned(account(differences=1, unknown="2"))
    sql_bench.clock.tick(minutes=11)
    seen = await web.metrics()
    assert {name: seen[name] for name in seen if not name.startswith(("hub_alerts{", "hub_messages_done_created"))} == {
        "hub_database_up": 1,
        "hub_alerts_urgent": 3,
        "hub_messages{state=ACCEPTED}": 1,
        "hub_messages{state=PLANNED}": 0,
        "hub_messages{state=HELD}": 1,
        "hub_messages{state=DONE}": 1,
        "hub_messages_done_total": 1,
        "hub_messages_due": 1,
        "hub_messages_due_oldest_seconds": 660,
        "hub_messages_late": 1,
        "hub_messages_unfinished": 0,
        "hub_carried_age_seconds": 660,
        "hub_decisions_open": 0,  # the bench's work list is the smallest one: its hold is recorded, not opened
        "hub_sent_silent": 0,
        **{f"hub_sent_recipients{{rung={rung}}}": 0 for rung in Rung},
        "hub_journal_entries": (await looked(sql_bench, spool)).journal,
        f"hub_mailbox_compared_age_seconds{{mailbox={BOX}}}": 660,
        f"hub_mailbox_cursor_uid{{mailbox={BOX}}}": 3,
        f"hub_mailbox_failures{{mailbox={BOX}}}": 2,
        f"hub_mailbox_not_taken{{mailbox={BOX}}}": 1,
        f"hub_mailbox_unmarked{{mailbox={BOX}}}": 2,
        f"hub_ledger_age_seconds{{mailbox={BOX}}}": 660,
        f"hub_ledger_announced{{mailbox={BOX}}}": 3,
        f"hub_ledger_differences{{mailbox={BOX}}}": 1,
    }
    raised = {"ledger-differs", "messages-not-taken", "carrying-stopped"}
    assert {name: seen[name] for name in seen if name.startswith("hub_alerts{")} == {
        f"hub_alerts{{code={code}}}": float(code in raised) for code in CODES
    }


async def test_no_page_holds_an_address_or_an_error(web: Web, spool: SqlSpool) -> None:
    await accept(spool, b"1", uid=1, message_id="<medecin@exemple.fr>", sender="medecin@exemple.mssante.fr")
    for path in ("/health", "/metrics"):
        answer = await web.get(path)
        assert "@" not in answer.text
        assert "mssante" not in answer.text


async def test_a_database_that_is_away_is_shown(web: Web, sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> None:
        raise Temporary("database: OperationalError")

    monkeypatch.setattr(SqlSpool, "look", away)
    answer = await web.get("/health")
    assert (answer.status_code, answer.text) == (503, "database-away\n")
    seen = await web.metrics()
    assert seen["hub_database_up"] == 0
    assert seen["hub_alerts{code=database-away}"] == 1
    assert "hub_messages_due" not in seen
    monkeypatch.undo()
    monkeypatch.setattr("hub.web.app.now", sql_bench.clock)
    assert (await web.metrics())["hub_database_up"] == 1


async def test_a_database_that_never_answers_is_waited_for_once(
    sql_bench: SqlBench, spool: SqlSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, answered = [], asyncio.Event()
    look = SqlSpool.look

    async def slow(self: SqlSpool, *moments: Any) -> Any:
        looks.append(1)
        await answered.wait()
        return await look(self, *moments)

    monkeypatch.setattr(SqlSpool, "look", slow)
    monkeypatch.setattr(moments_room, "LOOK_MOST", 0.05)
    built = house(sql_bench, spool)
    ticks = iter(range(0, 10_000, 60))
    moments = Moments(
        built.settings, Gatherer(built.settings, spool, built.records), sql_bench.clock, lambda: next(ticks)
    )
    for _ in range(3):
        assert (await moments.now()).urgent == ("database-away",)
    assert looks == [1]
    answered.set()
    monkeypatch.setattr(moments_room, "LOOK_MOST", 10)
    assert (await moments.now()).urgent == ("mailbox-never-read",)


async def test_what_was_looked_up_serves_some_seconds(
    sql_bench: SqlBench, spool: SqlSpool, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    await web.get("/health")
    await spool.advance(BOX, EPOCH, 1)
    assert (await web.client.get("/health")).status_code == 503
    web.ticks += moments_room.FRESH
    assert (await web.client.get("/health")).status_code == 200


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "GET", 404),
        ("/docs", "GET", 404),
        ("/redoc", "GET", 404),
        ("/openapi.json", "GET", 404),
        ("/health/", "GET", 404),
        ("/metrics/../etc/passwd", "GET", 404),
        ("/health", "POST", 405),
        ("/health", "OPTIONS", 405),
        ("/metrics", "DELETE", 405),
        ("/health", "HEAD", 503),
        ("/metrics", "HEAD", 200),
    ],
)
async def test_nothing_else_is_there_and_every_answer_is_safe_to_show(
    web: Web, path: str, method: str, status: int
) -> None:
    answer = await web.get(path, method)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if method == "HEAD":
        assert answer.content == b""


async def test_a_look_costs_a_fixed_number_of_statements(sql_bench: SqlBench, spool: SqlSpool) -> None:
    for uid in range(1, 30):
        await accept(spool, str(uid).encode(), uid=uid, message_id=f"<{uid}@x.fr>")
    await spool.tell([told(mailbox=f"b{number}") for number in range(20)])
    asked: list[str] = []
    engine = spool._database._reader
    event.listen(engine, "before_cursor_execute", lambda *said: asked.append(said[2]))
    await looked(sql_bench, spool)
    # Three tables are asked for their text first (`hub.spool.kept`), and not read again while they stay as they are.
    assert len([statement for statement in asked if statement.lstrip().startswith("SELECT")]) <= 14
    asked.clear()
    await looked(sql_bench, spool)
    assert len([statement for statement in asked if statement.lstrip().startswith("SELECT")]) <= 11


def test_the_role_binds_to_this_machine_alone_by_default() -> None:
    assert settings().web.host == "127.0.0.1"
