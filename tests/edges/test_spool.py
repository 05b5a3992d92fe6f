"""What every spool keeps to: the same tests in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy.engine import Connection

from hub.errors import LostLease, Permanent, StalePlan
from hub.message import Deferred, Delivery, Done, Failed, Hold, Outcome, Reason, Uncertain
from hub.ports import Accepted, Ready
from hub.raw import joined
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import (
    BOX,
    EPOCH,
    FILING,
    HOLD,
    RECEIPT,
    START,
    Bench,
    IntakeAndSpool,
    accept,
    arriving,
    bench,
    planned,
    thought,
)

__all__ = ["bench", "postgres_template", "sqlite_template"]


# --- the door's side


async def test_an_accepted_message_is_due_at_once_with_its_envelope_and_bytes(bench: Bench) -> None:
    spool = bench.spool()
    accepted = await accept(spool, b"Subject: un\r\n\r\n", sender="a@exemple.fr", recipients=("b@x.fr", "c@x.fr"))
    assert accepted.new
    assert await spool.due() == (accepted.id,)
    envelope = await spool.load(accepted.id)
    assert envelope is not None
    assert (envelope.id, envelope.mailbox, envelope.sender) == (accepted.id, BOX, "a@exemple.fr")
    assert (envelope.recipients, envelope.size, envelope.received_at) == (("b@x.fr", "c@x.fr"), 15, START)
    assert await joined(await spool.raw(envelope)) == b"Subject: un\r\n\r\n"
    assert await bench.actions(accepted.id) == ["accept"]


async def test_the_same_uid_again_changes_nothing(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool)
    again = await accept(spool)
    assert (again.id, again.new) == (first.id, False)
    assert await bench.actions(first.id) == ["accept"]


async def test_a_twin_under_another_uid_is_noted_not_imported(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, uid=1)
    twin = await accept(spool, uid=2)
    assert (twin.id, twin.new) == (first.id, False)
    assert await spool.seen(BOX, EPOCH) == {1, 2}
    assert await bench.actions(first.id) == ["accept", "twin"]
    assert await spool.due() == (first.id,)


async def test_messages_accepted_together_are_each_accepted_once(bench: Bench) -> None:
    spool = bench.spool()
    known = await accept(spool, b"Subject: un\r\n\r\n", uid=1)
    arrived = [await arriving(spool, raw, uid) for uid, raw in ((2, b"deux"), (3, b"trois"), (4, b"deux"))]
    arrived.append(await arriving(spool, b"Subject: un\r\n\r\n", 1))
    two, three, twin, again = await spool.accept_all(arrived)
    assert isinstance(two, Accepted)
    assert isinstance(three, Accepted)
    assert isinstance(twin, Accepted)
    assert three.new
    assert two.id == twin.id
    assert two.new is not twin.new  # whichever came first
    assert again == Accepted(known.id, new=False)
    assert await spool.seen(BOX, EPOCH) == {1, 2, 3, 4}
    assert set(await spool.due()) == {known.id, two.id, three.id}


async def test_the_same_mail_in_two_mailboxes_is_two_messages(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool)
    other = await accept(spool, mailbox="direction")
    assert other.new
    assert other.id != first.id


async def test_one_message_id_with_other_bytes_is_another_message(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, b"un", uid=1)
    other = await accept(spool, b"deux", uid=2)
    assert other.new
    assert other.id != first.id


async def test_mails_without_message_id_are_told_apart_by_their_bytes(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, b"Subject: x\r\n\r\nun", uid=1, message_id=None)
    second = await accept(spool, b"Subject: x\r\n\r\ndeux", uid=2, message_id=None)
    twin = await accept(spool, b"Subject: x\r\n\r\nun", uid=3, message_id="")
    assert (first.new, second.new, twin.new) == (True, True, False)
    assert twin.id == first.id


async def test_a_new_uidvalidity_imports_nothing_twice_and_misses_nothing(bench: Bench) -> None:
    spool = bench.spool()
    old = [await accept(spool, f"{n}".encode(), uid=n, message_id=f"<{n}@x>") for n in (1, 2)]
    await spool.advance(BOX, EPOCH, 2)
    # The server renumbered: UID 1 is now the second mail, UID 2 is a new one.
    moved = await accept(spool, b"2", uid=1, uidvalidity=EPOCH + 1, message_id="<2@x>")
    new = await accept(spool, b"3", uid=2, uidvalidity=EPOCH + 1, message_id="<3@x>")
    assert (moved.id, moved.new) == (old[1].id, False)
    assert new.new
    assert await spool.seen(BOX, EPOCH + 1) == {1, 2}
    await spool.advance(BOX, EPOCH + 1, 2)
    assert await spool.cursor(BOX) == (EPOCH + 1, 2)


async def test_a_uid_that_comes_back_with_other_bytes_is_another_message(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, b"un", uid=7, message_id="<1@x>")
    await spool.marked(BOX, EPOCH, [7])
    other = await accept(spool, b"deux", uid=7, message_id="<2@x>")
    assert other.new
    assert set(await spool.due()) == {first.id, other.id}
    assert await spool.unmarked(BOX, EPOCH) == (7,)
    again = await accept(spool, b"deux", uid=7, message_id="<2@x>")
    assert (again.id, again.new) == (other.id, False)


async def test_a_uidvalidity_of_zero_is_an_epoch_like_any_other(bench: Bench) -> None:
    spool = bench.spool()
    await accept(spool, b"un", uid=1, uidvalidity=0)
    await spool.advance(BOX, 0, 1)
    assert await spool.cursor(BOX) == (0, 1)
    assert await spool.seen(BOX, 0) == {1}


async def test_the_largest_uids_of_imap_are_kept(bench: Bench) -> None:
    spool = bench.spool()
    most = 2**32 - 1
    await accept(spool, uid=most, uidvalidity=most)
    await spool.advance(BOX, most, most)
    assert await spool.seen(BOX, most) == {most}
    assert await spool.cursor(BOX) == (most, most)


async def test_arrivals_without_uid_are_known_by_their_bytes_alone(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, b"un", uid=0, uidvalidity=0)
    other = await accept(spool, b"deux", uid=0, uidvalidity=0)
    twin = await accept(spool, b"un", uid=0, uidvalidity=0)
    assert (first.new, other.new, twin.new, twin.id) == (True, True, False, first.id)
    assert await spool.seen(BOX, 0) == frozenset()


async def test_headers_that_no_database_takes_do_not_stop_the_door(bench: Bench) -> None:
    spool = bench.spool()
    odd = "<" + "é" * 40_000 + "\0\udcff@x>"
    first = await accept(spool, b"un", uid=1, message_id=odd, sender="a\0@x", recipients=("b\ud800\n@x",))
    twin = await accept(spool, b"un", uid=2, message_id=odd)
    assert (twin.id, twin.new) == (first.id, False)


async def test_marks_are_wanted_until_they_are_verified(bench: Bench) -> None:
    spool = bench.spool()
    for uid in (3, 1, 2):
        await accept(spool, f"{uid}".encode(), uid=uid)
    assert await spool.unmarked(BOX, EPOCH) == (1, 2, 3)
    await spool.marked(BOX, EPOCH, [1, 3])
    assert await spool.unmarked(BOX, EPOCH) == (2,)
    await spool.marked(BOX, EPOCH, [])


async def test_a_cursor_never_goes_back_within_an_epoch(bench: Bench) -> None:
    spool = bench.spool()
    assert await spool.cursor(BOX) is None
    await spool.advance(BOX, EPOCH, 9)
    await spool.advance(BOX, EPOCH, 4)
    assert await spool.cursor(BOX) == (EPOCH, 9)
    await spool.advance(BOX, EPOCH + 1, 2)
    assert await spool.cursor(BOX) == (EPOCH + 1, 2)


async def test_two_fetchers_of_the_same_mails_at_once_accept_each_once(bench: Bench) -> None:
    spools = [bench.spool("a"), bench.spool("b")]
    fetched = await asyncio.gather(
        *(accept(spool, f"{n}".encode(), uid=n, message_id=f"<{n}@x>") for n in range(1, 21) for spool in spools)
    )
    assert sum(one.new for one in fetched) == 20
    assert len({one.id for one in fetched}) == 20
    assert len(await spools[0].due()) == 20


# --- leases


async def test_of_two_loads_at_once_one_gets_the_lease(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    accepted = await accept(first)
    for _ in range(5):
        loaded = await asyncio.gather(first.load(accepted.id), second.load(accepted.id))
        assert sum(envelope is not None for envelope in loaded) == 1
        await first.yield_lease(accepted.id)
        await second.yield_lease(accepted.id)


async def test_a_leased_message_is_not_due_and_a_yielded_one_is(bench: Bench) -> None:
    spool = bench.spool()
    accepted = await accept(spool)
    await spool.load(accepted.id)
    assert await spool.due() == ()
    await spool.yield_lease(accepted.id)
    assert await spool.due() == (accepted.id,)
    await spool.yield_lease(accepted.id)


async def test_an_unknown_message_is_nothing_to_load(bench: Bench) -> None:
    assert await bench.spool().load("0" * 32) is None


async def test_a_renewed_lease_outlives_its_first_end(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    accepted = await accept(first)
    await first.load(accepted.id)
    for _ in range(3):
        bench.clock.tick(seconds=100)
        assert await first.renew(accepted.id)
    assert await second.load(accepted.id) is None
    assert await second.due() == ()


async def test_a_lease_that_ended_is_a_death_and_the_message_is_due(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    accepted = await accept(first)
    await first.load(accepted.id)
    bench.clock.tick(minutes=3)
    assert await second.due() == (accepted.id,)
    assert await second.due() == (accepted.id,)
    assert await bench.actions(accepted.id) == ["accept", "death"]
    assert await second.load(accepted.id) is not None
    assert not await first.renew(accepted.id)


async def test_a_hint_that_comes_before_the_sweep_counts_the_death_too(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    accepted = await accept(first)
    await first.load(accepted.id)
    bench.clock.tick(minutes=3)
    assert await second.load(accepted.id) is not None
    assert await bench.actions(accepted.id) == ["accept", "death"]


async def test_a_message_that_kills_its_worker_three_times_is_held(bench: Bench) -> None:
    accepted = await accept(bench.spool())
    for worker in ("a", "b", "c"):
        assert await bench.spool(worker).load(accepted.id) is not None
        bench.clock.tick(minutes=3)
    spool = bench.spool("d")
    assert await spool.due() == ()
    assert await bench.state(accepted.id) == "HELD"
    assert await bench.work() == [(accepted.id, "message", "worker-died")]
    assert await bench.actions(accepted.id) == ["accept", "death", "death", "hold"]
    assert await spool.load(accepted.id) is None


async def test_a_third_death_is_also_found_by_a_hint(bench: Bench) -> None:
    accepted = await accept(bench.spool())
    for worker in ("a", "b", "c"):
        assert await bench.spool(worker).load(accepted.id) is not None
        bench.clock.tick(minutes=3)
    assert await bench.spool("d").load(accepted.id) is None
    assert await bench.state(accepted.id) == "HELD"


async def test_a_deadly_message_does_not_stop_the_others(bench: Bench) -> None:
    spool = bench.spool()
    deadly = await accept(spool, b"1", uid=1)
    harmless = await accept(spool, b"2", uid=2)
    for worker in ("a", "b", "c"):
        await bench.spool(worker).load(deadly.id)
        bench.clock.tick(minutes=3)
    assert await spool.due() == (harmless.id,)


async def test_a_lost_lease_writes_nothing(bench: Bench) -> None:
    dead, living = bench.spool("dead"), bench.spool("living")
    message = await planned(dead, FILING, RECEIPT)
    bench.clock.tick(minutes=3)
    assert await living.load(message) is not None
    hold = Hold(reasons=(Reason("x", "x"),), reason="x")
    for attempt in (
        lambda: dead.record(message, 1, Done("filed")),
        lambda: dead.stage(message, 2, "sending", "<x@y>"),
        lambda: dead.save_plan(message, thought(FILING)),
        lambda: dead.rethink(message),
        lambda: dead.postpone(message, "x"),
        lambda: dead.hold(message, hold),
    ):
        with pytest.raises(LostLease):
            await attempt()
    assert not await dead.renew(message)
    await dead.yield_lease(message)
    assert [step.number for step in await living.open_steps(message) or ()] == [1, 2]
    assert await bench.step_states(message) == ["TODO", "TODO"]
    assert await living.renew(message)


async def test_a_process_that_still_carries_a_message_does_not_load_it_again(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING)
    bench.clock.tick(minutes=3)
    assert await spool.due() == (message,)
    assert await spool.load(message) is None
    with pytest.raises(LostLease):
        await spool.record(message, 1, Done())
    await spool.yield_lease(message)
    assert await spool.load(message) is not None


# --- plans and steps


async def test_a_message_without_plan_has_no_steps_yet(bench: Bench) -> None:
    spool = bench.spool()
    accepted = await accept(spool)
    await spool.load(accepted.id)
    assert await spool.open_steps(accepted.id) is None


async def test_a_saved_plan_is_found_by_the_next_worker(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    message = await planned(first, FILING, RECEIPT)
    await first.yield_lease(message)
    await second.load(message)
    opened = await second.open_steps(message) or ()
    assert [(step.number, step.step, step.attempts, step.outgoing_id) for step in opened] == [
        (1, FILING, 0, None),
        (2, RECEIPT, 0, None),
    ]
    assert await bench.state(message) == "PLANNED"


async def test_a_message_is_done_when_every_step_is(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING, RECEIPT)
    assert await spool.record(message, 1, Done("filed")) == Done("filed")
    assert await bench.state(message) == "PLANNED"
    assert [step.number for step in await spool.open_steps(message) or ()] == [2]
    assert await spool.record(message, 2, Done("250 ok")) == Done("250 ok")
    assert await bench.state(message) == "DONE"
    assert await spool.due() == ()
    assert await spool.load(message) is None
    assert await bench.actions(message) == ["accept", "plan", "filing", "receipt"]


async def test_a_plan_without_steps_is_done(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool)
    assert await bench.state(message) == "DONE"
    await spool.yield_lease(message)
    assert await spool.due() == ()


async def test_a_plan_cannot_be_saved_twice(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING)
    with pytest.raises(LostLease):
        await spool.save_plan(message, thought(FILING))
    assert await bench.step_states(message) == ["TODO"]


async def test_a_settled_step_cannot_be_recorded_again(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING, RECEIPT)
    await spool.record(message, 1, Done())
    with pytest.raises(Permanent):
        await spool.record(message, 1, Failed("x"))
    assert await bench.step_states(message) == ["DONE", "TODO"]


async def test_an_effect_gives_the_outcome_of_its_step(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING)

    def effect(connection: Connection) -> Outcome:
        return Done("already filed")

    assert await spool.record(message, 1, effect) == Done("already filed")
    assert await bench.state(message) == "DONE"


async def test_an_effect_that_raises_leaves_everything_as_it_was(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING, RECEIPT)

    def stale(connection: Connection) -> Outcome:
        raise StalePlan("a new version was filed")

    with pytest.raises(StalePlan):
        await spool.record(message, 1, stale)
    assert await bench.step_states(message) == ["TODO", "TODO"]
    assert await bench.actions(message) == ["accept", "plan"]
    assert await spool.record(message, 1, Done()) == Done()


async def test_a_hold_among_the_steps_holds_the_message_at_the_end(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, HOLD, RECEIPT)
    await spool.record(message, 1, Done("held"))
    assert await bench.state(message) == "PLANNED"
    await spool.record(message, 2, Done("250 ok"))
    assert await bench.state(message) == "HELD"
    assert await spool.due() == ()


async def test_a_failed_step_holds_the_message_with_a_line_in_the_work_list(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING, RECEIPT)
    await spool.record(message, 1, Done("filed"))
    assert await spool.record(message, 2, Failed("550 refused")) == Failed("550 refused")
    assert await bench.state(message) == "HELD"
    assert await bench.work() == [(message, "receipt", "receipt-failed")]


# --- trying again


async def test_a_deferred_step_is_due_again_and_later_each_time(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT)
    waits = []
    for _ in range(4):
        outcome = await spool.record(message, 1, Deferred(bench.clock.now, "no connection"))
        assert isinstance(outcome, Deferred)
        waits.append((outcome.until - bench.clock.now).total_seconds())
        await spool.yield_lease(message)
        bench.clock.now = outcome.until - timedelta(seconds=1)
        assert await spool.due() == ()
        assert await spool.load(message) is None
        bench.clock.now = outcome.until
        assert await spool.due() == (message,)
        assert await spool.load(message) is not None
        assert [step.number for step in await spool.open_steps(message) or ()] == [1]
    assert waits == [30, 60, 120, 240]


async def test_retries_are_spread_by_chance(bench: Bench) -> None:
    lengths = set()
    for uid, chance in enumerate((0.0, 0.5, 1.0), 1):
        spool = bench.spool(f"p{uid}", random=partial(float, chance))
        message = await planned(spool, RECEIPT, uid=uid)
        outcome = await spool.record(message, 1, Deferred(bench.clock.now))
        assert isinstance(outcome, Deferred)
        lengths.add((outcome.until - bench.clock.now).total_seconds())
    assert lengths == {22.5, 30, 37.5}


async def test_a_wish_for_a_later_time_is_granted_and_an_earlier_one_is_not(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT)
    late = bench.clock.now + timedelta(hours=1)
    assert await spool.record(message, 1, Deferred(late, "greylisted")) == Deferred(late, "greylisted")


async def test_a_deferred_step_does_not_keep_the_others_waiting(bench: Bench) -> None:
    spool = bench.spool()
    copy = Delivery(content="copy", recipient="equipe@exemple.mssante.fr")
    message = await planned(spool, copy, RECEIPT)
    await spool.record(message, 1, Deferred(bench.clock.now, "no connection"))
    assert [step.number for step in await spool.open_steps(message) or ()] == [2]
    await spool.record(message, 2, Done("250 ok"))
    await spool.yield_lease(message)
    assert await spool.due() == ()
    bench.clock.tick(seconds=31)
    assert await spool.due() == (message,)


async def test_attempts_used_up_are_a_failure_before_a_human(bench: Bench) -> None:
    spool = bench.spool(attempts=3)
    message = await planned(spool, RECEIPT)
    outcomes = []
    for _ in range(3):
        outcomes.append(await spool.record(message, 1, Deferred(bench.clock.now, "no connection")))
        await spool.yield_lease(message)
        bench.clock.tick(hours=1)
        await spool.load(message)
    assert [type(outcome) for outcome in outcomes] == [Deferred, Deferred, Failed]
    assert await bench.state(message) == "HELD"
    assert await bench.work() == [(message, "receipt", "receipt-failed")]


async def test_waits_that_add_up_to_the_age_are_a_failure_too(bench: Bench) -> None:
    """30 s, 1 min, 2 min; the clock has no say: it may jump, and the hub may have been switched off."""
    spool = bench.spool(give_up_after=timedelta(minutes=3), attempts=99)
    message = await planned(spool, RECEIPT)
    bench.clock.tick(days=400)
    outcomes = [await spool.record(message, 1, Deferred(bench.clock.now, "no connection")) for _ in range(3)]
    assert [type(outcome) for outcome in outcomes] == [Deferred, Deferred, Failed]
    assert outcomes[2] == Failed("gave up: no connection")


async def test_an_uncertain_delivery_is_due_again_under_the_same_message_id(bench: Bench) -> None:
    first, second = bench.spool("a"), bench.spool("b")
    message = await planned(first, RECEIPT)
    await first.stage(message, 1, "sending", "<forever@exemple.fr>")
    assert await first.record(message, 1, Uncertain("cut after the dot")) == Uncertain("cut after the dot")
    assert await bench.step_states(message) == ["UNCERTAIN"]
    await first.yield_lease(message)
    bench.clock.tick(minutes=1)
    assert await second.due() == (message,)
    await second.load(message)
    (opened,) = await second.open_steps(message) or ()
    assert (opened.stage, opened.outgoing_id, opened.attempts) == ("sending", "<forever@exemple.fr>", 1)
    await second.stage(message, 1, "sending", "<forever@exemple.fr>")
    assert await second.record(message, 1, Done("250 ok")) == Done("250 ok")


async def test_an_uncertain_delivery_that_stays_so_ends_before_a_human(bench: Bench) -> None:
    spool = bench.spool(attempts=1)
    message = await planned(spool, RECEIPT)
    outcome = await spool.record(message, 1, Uncertain("cut after the dot"))
    assert outcome == Failed("gave up, uncertain: cut after the dot")


async def test_a_staged_message_id_never_changes(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT)
    await spool.stage(message, 1, "sending", "<one@exemple.fr>")
    with pytest.raises(Permanent):
        await spool.stage(message, 1, "sending", "<two@exemple.fr>")
    (opened,) = await spool.open_steps(message) or ()
    assert opened.outgoing_id == "<one@exemple.fr>"


async def test_a_stage_survives_the_death_of_the_worker(bench: Bench) -> None:
    message = await planned(bench.spool("dead"), RECEIPT)
    dead = bench.spool("dead2")
    bench.clock.tick(minutes=3)
    await dead.load(message)
    await dead.stage(message, 1, "sending", "<one@exemple.fr>")
    bench.clock.tick(minutes=3)
    living = bench.spool("living")
    await living.load(message)
    (opened,) = await living.open_steps(message) or ()
    assert (opened.stage, opened.outgoing_id) == ("sending", "<one@exemple.fr>")


# --- what goes with the plan


async def ready_message(spool: IntakeAndSpool) -> str:
    accepted = await accept(spool)
    assert await spool.load(accepted.id) is not None
    return accepted.id


async def test_a_deed_that_goes_with_the_plan_is_done_with_it(bench: Bench) -> None:
    spool = bench.spool()
    message = await ready_message(spool)
    ready = Ready(deeds={0: lambda _: Done("filed")})
    assert await spool.save_plan(message, thought(FILING), ready) == ()
    assert await bench.state(message) == "DONE"
    assert await bench.step_states(message) == ["DONE"]
    assert await bench.actions(message) == ["accept", "plan", "filing"]
    with pytest.raises(LostLease):  # it ended with the plan
        await spool.postpone(message, "nothing is left")


async def test_a_hold_that_goes_with_the_plan_brings_the_message_before_a_human(bench: Bench) -> None:
    spool = bench.spool()
    message = await ready_message(spool)
    await spool.save_plan(message, thought(HOLD), Ready(deeds={0: lambda _: Done("held")}))
    assert await bench.state(message) == "HELD"
    assert await bench.actions(message) == ["accept", "plan", "hold"]


async def test_a_sending_is_staged_with_the_plan_and_survives_the_death_of_the_worker(bench: Bench) -> None:
    dead, living = bench.spool("dead"), bench.spool("living")
    message = await ready_message(dead)
    ready = Ready(deeds={0: lambda _: Done("filed")}, outgoing_ids={1: "<one@exemple.fr>"})
    (opened,) = await dead.save_plan(message, thought(FILING, RECEIPT), ready)
    assert (opened.number, opened.stage, opened.outgoing_id) == (2, "sending", "<one@exemple.fr>")
    assert opened.is_staged
    bench.clock.tick(minutes=3)
    assert await living.load(message) is not None
    (again,) = await living.open_steps(message) or ()
    assert (again.number, again.stage, again.outgoing_id) == (2, "sending", "<one@exemple.fr>")
    assert not again.is_staged  # nobody knows how far the dead one came


async def test_a_deed_that_raises_leaves_the_message_without_a_plan(bench: Bench) -> None:
    spool = bench.spool()
    message = await ready_message(spool)

    def stale(_: Connection) -> Outcome:
        raise StalePlan("another version came first")

    with pytest.raises(StalePlan):
        await spool.save_plan(message, thought(FILING, FILING), Ready(deeds={0: lambda _: Done("filed"), 1: stale}))
    assert await bench.state(message) == "ACCEPTED"
    assert await bench.step_states(message) == []
    assert await bench.actions(message) == ["accept"]
    assert len(await spool.save_plan(message, thought(FILING, FILING))) == 2  # under the same lease


async def test_a_message_id_given_before_is_kept_by_a_plan_that_offers_another(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT)
    await spool.stage(message, 1, "sending", "<one@exemple.fr>")
    await spool.record(message, 1, Uncertain("cut after the dot"))
    await spool.rethink(message)
    (opened,) = await spool.save_plan(message, thought(RECEIPT), Ready(outgoing_ids={0: "<two@exemple.fr>"}))
    assert opened.outgoing_id == "<one@exemple.fr>"


async def test_a_receipt_sent_before_is_not_opened_again_by_its_message_id(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT, FILING)
    await spool.record(message, 1, Done("250 ok"))
    await spool.rethink(message)
    assert await spool.save_plan(message, thought(RECEIPT), Ready(outgoing_ids={0: "<two@exemple.fr>"})) == ()
    assert await bench.state(message) == "DONE"


# --- thinking again, postponing, holding, releasing


async def test_thinking_again_keeps_what_is_done(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING, FILING, RECEIPT)
    await spool.record(message, 1, Done("filed"))
    await spool.rethink(message)
    assert await bench.state(message) == "ACCEPTED"
    assert await spool.open_steps(message) is None
    await spool.yield_lease(message)
    assert await spool.due() == (message,)
    await spool.load(message)
    opened = await spool.save_plan(message, thought(FILING, RECEIPT))
    assert [step.number for step in opened] == [4, 5]
    assert await bench.step_states(message) == ["DONE", "DROPPED", "DROPPED", "TODO", "TODO"]
    await spool.record(message, 4, Done("already filed"))
    await spool.record(message, 5, Done("250 ok"))
    assert await bench.state(message) == "DONE"


async def test_a_plan_that_is_always_stale_comes_before_a_human(bench: Bench) -> None:
    spool = bench.spool(attempts=3)
    message = await planned(spool, FILING)
    for _ in range(2):
        await spool.rethink(message)
        await spool.save_plan(message, thought(FILING))
    await spool.rethink(message)
    assert await bench.state(message) == "HELD"
    assert await bench.work() == [(message, "message", "gave-up")]


async def test_a_receipt_that_was_sent_is_not_sent_again_by_a_new_plan(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT, FILING)
    await spool.record(message, 1, Done("250 ok"))
    await spool.rethink(message)
    opened = await spool.save_plan(message, thought(RECEIPT, FILING))
    assert [step.number for step in opened] == [4]


async def test_a_receipt_that_may_have_been_sent_keeps_its_message_id_in_a_new_plan(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT, FILING)
    await spool.stage(message, 1, "sending", "<one@exemple.fr>")
    await spool.record(message, 1, Uncertain("cut after the dot"))
    await spool.rethink(message)
    opened = await spool.save_plan(message, thought(FILING, RECEIPT))
    assert [step.outgoing_id for step in opened] == [None, "<one@exemple.fr>"]


async def test_a_postponed_message_comes_back_later_each_time_then_goes_before_a_human(bench: Bench) -> None:
    spool = bench.spool(attempts=3)
    accepted = await accept(spool)
    waits = []
    for _ in range(2):
        await spool.load(accepted.id)
        await spool.postpone(accepted.id, "ValueError")
        waited = 0
        while not await spool.due():
            bench.clock.tick(seconds=10)
            waited += 10
        waits.append(waited)
    await spool.load(accepted.id)
    await spool.postpone(accepted.id, "ValueError")
    assert waits == [30, 60]
    assert await bench.state(accepted.id) == "HELD"
    assert await bench.work() == [(accepted.id, "message", "gave-up")]
    assert await bench.actions(accepted.id) == ["accept", "postpone", "postpone", "hold"]


async def test_an_uncounted_wait_uses_up_nothing(bench: Bench) -> None:
    spool = bench.spool(attempts=2)
    accepted = await accept(spool)
    for _ in range(5):
        await spool.load(accepted.id)
        await spool.postpone(accepted.id, "waits", bench.clock.now + timedelta(seconds=3), counted=False)
        assert await spool.due() == ()
        bench.clock.tick(seconds=3)
        assert await spool.due() == (accepted.id,)


async def test_attempts_are_not_forgotten_when_a_half_success_comes_between(bench: Bench) -> None:
    spool = bench.spool(attempts=2)
    message = await planned(spool, FILING, RECEIPT)
    await spool.postpone(message, "KeyError")
    bench.clock.tick(minutes=5)
    await spool.load(message)
    await spool.record(message, 1, Done("filed"))
    await spool.postpone(message, "KeyError")
    assert await bench.state(message) == "HELD"


async def test_a_message_held_as_a_whole_waits_for_a_human(bench: Bench) -> None:
    spool = bench.spool()
    accepted = await accept(spool)
    await spool.load(accepted.id)
    await spool.hold(accepted.id, Hold(reasons=(Reason("unreadable", "Illisible."),), reason="unreadable"))
    assert await bench.state(accepted.id) == "HELD"
    assert await bench.work() == [(accepted.id, "message", "unreadable")]
    assert await bench.step_states(accepted.id) == ["DONE"]
    assert await spool.due() == ()


async def test_a_released_message_follows_the_plan_of_the_human(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, HOLD)
    await spool.record(message, 1, Done("held"))
    ran = []

    def closing(connection: Connection) -> Outcome:
        ran.append(1)
        return Done()

    await spool.release(message, thought(FILING, RECEIPT, rule="human"), "a.martin", closing)
    assert ran == [1]
    assert await spool.due() == (message,)
    await spool.load(message)
    assert [step.number for step in await spool.open_steps(message) or ()] == [2, 3]
    await spool.record(message, 2, Done("filed"))
    await spool.record(message, 3, Done("250 ok"))
    assert await bench.state(message) == "DONE"  # the old hold is answered
    assert await bench.actions(message) == ["accept", "plan", "hold", "release", "filing", "receipt"]


async def test_a_release_gives_new_patience_and_drops_what_was_left_open(bench: Bench) -> None:
    spool = bench.spool(attempts=2)
    message = await planned(spool, FILING, RECEIPT)
    await spool.stage(message, 2, "sending", "<one@exemple.fr>")
    await spool.postpone(message, "KeyError")
    bench.clock.tick(days=5)
    await spool.load(message)
    await spool.postpone(message, "KeyError")
    assert await bench.state(message) == "HELD"
    await spool.release(message, thought(FILING, RECEIPT, rule="human"), "a.martin")
    await spool.load(message)
    opened = await spool.open_steps(message) or ()
    assert [step.outgoing_id for step in opened] == [None, "<one@exemple.fr>"]
    assert await bench.step_states(message) == ["DROPPED", "DROPPED", "DONE", "TODO", "TODO"]
    assert isinstance(await spool.record(message, 5, Deferred(bench.clock.now)), Deferred)


async def test_a_human_may_have_a_receipt_sent_again(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, RECEIPT, HOLD)
    await spool.record(message, 1, Done("250 ok"))
    await spool.record(message, 2, Done("held"))
    await spool.release(message, thought(RECEIPT, rule="human"), "a.martin")
    await spool.load(message)
    (opened,) = await spool.open_steps(message) or ()
    assert opened.outgoing_id is None


async def test_only_a_held_message_can_be_released(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, FILING)
    with pytest.raises(Permanent):
        await spool.release(message, thought(FILING), "a.martin")
    with pytest.raises(Permanent):
        await spool.release("0" * 32, thought(FILING), "a.martin")
    assert await bench.step_states(message) == ["TODO"]


async def test_a_release_whose_effect_raises_changes_nothing(bench: Bench) -> None:
    spool = bench.spool()
    message = await planned(spool, HOLD)
    await spool.record(message, 1, Done("held"))

    def refuses(connection: Connection) -> Outcome:
        raise Permanent("closed by another")

    with pytest.raises(Permanent):
        await spool.release(message, thought(FILING), "a.martin", refuses)
    assert await bench.state(message) == "HELD"
    assert await bench.step_states(message) == ["DONE"]


async def test_an_older_message_of_the_mailbox_that_is_open_is_seen(bench: Bench) -> None:
    spool = bench.spool()
    old = await accept(spool, b"1", uid=1, received_at=START - timedelta(minutes=5))
    new = await accept(spool, b"2", uid=2, received_at=START)
    far = await accept(spool, b"3", uid=3, received_at=START + timedelta(hours=1))
    other = await accept(spool, b"4", uid=4, mailbox="direction", received_at=START)
    within = timedelta(minutes=10)
    assert await spool.older_open(new.id, within)
    assert not await spool.older_open(old.id, within)
    assert not await spool.older_open(far.id, within)
    assert not await spool.older_open(other.id, within)
    await spool.load(old.id)
    await spool.save_plan(old.id, thought())
    assert not await spool.older_open(new.id, within)


async def test_within_one_second_the_order_of_the_mailbox_decides(bench: Bench) -> None:
    spool = bench.spool()
    first = await accept(spool, b"1", uid=1)
    second = await accept(spool, b"2", uid=2)
    assert await spool.older_open(second.id, timedelta(minutes=10))
    assert not await spool.older_open(first.id, timedelta(minutes=10))


async def test_the_oldest_due_come_first_and_the_limit_holds(bench: Bench) -> None:
    spool = bench.spool()
    ids = []
    for uid in range(1, 6):
        ids.append((await accept(spool, f"{uid}".encode(), uid=uid)).id)
        bench.clock.tick(seconds=1)
    assert await spool.due(limit=3) == tuple(ids[:3])
