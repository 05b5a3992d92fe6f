"""What only the spool on a database owes: sealing, the journal in the same transaction, effects undone, the views."""

from __future__ import annotations

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.engine import Connection

from hub import journal
from hub.errors import Damaged, LostLease, Permanent, StalePlan, Temporary
from hub.message import Done, Failed, Hold, MessageClass, Outcome, Reason
from hub.ports import Accepted, Arrival, BlobSink, Ready
from hub.raw import joined
from hub.spool import MessageState, SqlSpool
from hub.spool.statements import BLOB, MESSAGE, STEP
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import (
    BOX,
    EPOCH,
    FILING,
    HOLD,
    RECEIPT,
    WORK,
    SqlBench,
    accept,
    arrival,
    holding,
    planned,
    sql_bench,
    thought,
)

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]


async def test_what_an_effect_wrote_goes_with_its_step_or_not_at_all(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, FILING)
    write = holding(message, Hold(reasons=(Reason("x", "x"),)))

    def writes_then_fails(connection: Connection) -> Outcome:
        write(connection)
        raise StalePlan("changed meanwhile")

    with pytest.raises(StalePlan):
        await spool.record(message, 1, writes_then_fails)
    assert await sql_bench.work() == []
    await spool.record(message, 1, write)
    assert await sql_bench.work() == [(message, "message", "x")]


async def test_an_effect_of_a_worker_taken_for_dead_is_undone(sql_bench: SqlBench) -> None:
    dead, living = sql_bench.spool("dead"), sql_bench.spool("living")
    message = await planned(dead, FILING)
    sql_bench.clock.tick(minutes=3)
    await living.load(message)
    with pytest.raises(LostLease):
        await dead.record(message, 1, holding(message, HOLD))
    assert await sql_bench.work() == []
    assert (await sql_bench.actions(message))[-1] == "death"


async def test_a_deed_that_cannot_be_journaled_is_not_done(
    sql_bench: SqlBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, FILING)

    def fails(*arguments: object) -> int:
        raise Damaged("no head")

    monkeypatch.setattr(journal, "append_all", fails)
    with pytest.raises(Damaged):
        await spool.record(message, 1, Done("filed"))
    with pytest.raises(Damaged):
        await accept(spool, b"other", uid=2)
    monkeypatch.undo()
    assert await sql_bench.step_states(message) == ["TODO"]
    assert await spool.seen(BOX, EPOCH) == {1}
    assert await spool.record(message, 1, Done("filed")) == Done("filed")


async def test_the_chain_of_a_whole_trip_is_whole_and_says_nothing_personal(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, FILING, RECEIPT)
    await spool.marked(BOX, EPOCH, [1])
    await spool.record(message, 1, Done("filed"))
    await spool.stage(message, 2, "sending", "<forever@exemple.fr>")
    await spool.record(message, 2, Failed("550 5.1.1 <medecin@exemple.mssante.fr>: unknown\r\nuser"))
    verdict = sql_bench.database.read_now(journal.verify)
    entries = sql_bench.database.read_now(journal.entries)
    assert verdict.broken_at is None
    assert [(entry.action, entry.request, entry.answer) for entry in entries[1:]] == [
        ("plan", "rule site", "filing receipt"),
        ("mark", f"{BOX} {EPOCH}/1", ""),
        ("filing", "step 1 document 0 usager u1 none by hub", "done: filed"),
        ("receipt", "step 2 code 0", "failed: 550 5.1.1 <(adresse)>: unknown user"),
    ]
    assert entries[0].request == f"imap {BOX} {EPOCH}/1"
    assert entries[0].at == "2026-03-02T09:00:00.000+01:00"
    (_, receipt) = await spool.steps(message)
    assert "@" not in receipt.answer


async def test_plans_are_sealed_and_bound_to_their_message(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    first, second = await planned(spool, RECEIPT, uid=1), await planned(spool, RECEIPT, FILING, uid=2)
    rows = await sql_bench.database.read(
        lambda c: [*c.execute(select(MESSAGE.c.thought)).scalars(), *c.execute(select(STEP.c.body)).scalars()]
    )
    assert not any(b"medecin" in bytes(row) for row in rows)
    stolen = select(STEP.c.body).where(STEP.c.message == first).scalar_subquery()
    await sql_bench.database.write(
        lambda c: c.execute(update(STEP).where(STEP.c.message == second, STEP.c.number == 1).values(body=stolen))
    )
    with pytest.raises(Damaged):
        await spool.steps(second)


async def test_a_message_can_be_shown_with_its_thought_and_steps(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    accepted = await accept(spool, b"Subject: un\r\n\r\n")
    assert await spool.thought(accepted.id) is None
    assert await spool.steps(accepted.id) == ()
    await spool.load(accepted.id)
    await spool.save_plan(accepted.id, thought(FILING, RECEIPT))
    await spool.record(accepted.id, 1, Done("filed"))
    await spool.marked(BOX, EPOCH, [1])
    summary = await spool.message(accepted.id)
    assert summary is not None
    assert (summary.id, summary.state, summary.kind) == (accepted.id, MessageState.PLANNED, "crd")
    assert (summary.message_class, summary.message_id) == (MessageClass.XDM, "<a@exemple.fr>")
    assert summary.marked_at == sql_bench.clock.now
    assert await spool.thought(accepted.id) == thought(FILING, RECEIPT)
    assert [(step.number, step.state, step.answer) for step in await spool.steps(accepted.id)] == [
        (1, "DONE", "filed"),
        (2, "TODO", ""),
    ]
    assert await spool.message("0" * 32) is None


async def test_messages_are_listed_newest_first_by_state_and_counted(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    ids = []
    for uid in (1, 2, 3):
        ids.append((await accept(spool, f"{uid}".encode(), uid=uid)).id)
        sql_bench.clock.tick(seconds=1)
    await spool.load(ids[0])
    await spool.hold(ids[0], HOLD)
    assert [one.id for one in await spool.messages()] == ids[::-1]
    assert [one.id for one in await spool.messages("HELD")] == [ids[0]]
    assert [one.id for one in await spool.messages(MessageState.ACCEPTED, limit=1)] == [ids[2]]
    assert await spool.messages(mailbox="direction") == ()
    assert await spool.counts() == {"ACCEPTED": 2, "PLANNED": 0, "HELD": 1, "DONE": 0}


async def test_an_id_is_found_by_its_beginning(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    ids = iter(["ab" + "0" * 30, "ac" + "0" * 30])
    spool._new_id = lambda _: next(ids)
    for uid in (1, 2):
        await accept(spool, f"{uid}".encode(), uid=uid)
    assert await spool.find("ab0") == "ab" + "0" * 30
    assert spool.find_now("AC") == "ac" + "0" * 30
    for wrong in ("b", "", "%", "a_", "' OR 1=1"):
        with pytest.raises(Permanent):
            await spool.find(wrong)
    with pytest.raises(Permanent) as several:
        await spool.find("a")
    assert "ab000000, ac000000" in several.value.public


async def test_accepting_commits_blob_message_seen_and_journal_together(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    spool._new_id = lambda _: "f" * 32
    await accept(spool, b"1", uid=1, message_id="<1@x>")
    # The same id again: the whole transaction fails, its blob row too.
    blob = await spool.new_blob()
    await blob.write(b"2")
    with pytest.raises(Temporary):
        await spool.accept(arrival(2, message_id="<2@x>"), blob)
    count = select(func.count()).select_from(BLOB)
    assert await sql_bench.database.read(lambda c: c.execute(count).scalar()) == 1
    assert await spool.seen(BOX, EPOCH) == {1}


async def _blobs(spool: SqlSpool, raws: dict[int, bytes]) -> list[tuple[Arrival, BlobSink]]:
    """By UID; the Message-ID is that of the bytes."""
    arrived: list[tuple[Arrival, BlobSink]] = []
    for uid, raw in raws.items():
        blob = await spool.new_blob()
        await blob.write(raw)
        arrived.append((arrival(uid, message_id=f"<{raw[:8].decode()}@x>"), blob))
    return arrived


async def test_a_batch_of_new_messages_is_one_transaction_and_as_many_entries(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    accepted = await spool.accept_all(await _blobs(spool, {1: b"1", 2: b"2", 3: b"3" * 200_000}))
    ids = [one.id for one in accepted if isinstance(one, Accepted) and one.new]
    assert len(set(ids)) == 3
    assert await spool.seen(BOX, EPOCH) == {1, 2, 3}
    assert await spool.unmarked(BOX, EPOCH) == (1, 2, 3)
    assert [await sql_bench.actions(id) for id in ids] == [["accept"]] * 3
    verdict = await sql_bench.database.read(journal.verify)
    assert (verdict.entries, verdict.broken_at) == (3, None)
    for id, raw in zip(ids, (b"1", b"2", b"3" * 200_000), strict=True):
        envelope = await spool.load(id)
        assert envelope is not None
        assert await joined(await spool.raw(envelope)) == raw


async def test_a_batch_with_twins_and_known_ones_is_accepted_one_by_one(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    known = await accept(spool, b"1", uid=1, message_id="<1@x>")
    accepted = await spool.accept_all(await _blobs(spool, {1: b"1", 2: b"1", 3: b"3", 4: b"3"}))
    assert all(isinstance(one, Accepted) for one in accepted)
    first, twin, new, other = (one for one in accepted if isinstance(one, Accepted))
    assert (first.id, first.new, twin.id, twin.new) == (known.id, False, known.id, False)
    assert new.id == other.id
    assert {new.new, other.new} == {True, False}
    assert await spool.seen(BOX, EPOCH) == {1, 2, 3, 4}


async def test_what_fails_in_a_batch_fails_alone(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    arrived = await _blobs(spool, {1: b"1", 2: b"2", 3: b"3"})
    await arrived[1][1].discard()
    accepted = await spool.accept_all(arrived)
    assert [isinstance(one, Accepted) for one in accepted] == [True, False, True]
    assert isinstance(accepted[1], Temporary)
    assert await spool.seen(BOX, EPOCH) == {1, 3}


async def test_a_message_whose_work_list_fails_is_not_held(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()

    def broken(message_id: str, step: Hold) -> object:
        def effect(connection: Connection) -> Outcome:
            connection.execute(insert(WORK), {"id": "1"})
            return Done()

        return effect

    message = await planned(spool, RECEIPT)
    spool._holding = broken  # type: ignore[assignment]
    with pytest.raises(Exception, match=r"(?i)null"):
        await spool.record(message, 1, Failed("550"))
    assert await sql_bench.step_states(message) == ["TODO"]
    assert await sql_bench.state(message) == "PLANNED"


async def test_a_deed_that_went_with_the_plan_of_a_lost_lease_is_undone(sql_bench: SqlBench) -> None:
    slow, quick = sql_bench.spool("slow"), sql_bench.spool("quick")
    accepted = await accept(slow)
    assert await slow.load(accepted.id) is not None
    sql_bench.clock.tick(minutes=3)
    assert await quick.load(accepted.id) is not None
    with pytest.raises(LostLease):
        await slow.save_plan(accepted.id, thought(HOLD), Ready(deeds={0: holding(accepted.id, HOLD)}))
    assert await sql_bench.work() == []
    assert await sql_bench.state(accepted.id) == "ACCEPTED"
