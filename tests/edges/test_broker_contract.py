"""What every broker of the hub does, with dramatiq's real worker, on private servers: the same suite for the embedded
one (SQLite, PostgreSQL), RabbitMQ and Redis. A hint may be lost, doubled or late, never stolen; a dead worker's come
back.
"""

from __future__ import annotations

import threading
import time

from tests.edges import brokers, engines
from tests.edges.brokers import BACK_WITHIN, OTHER_QUEUE, QUEUE, Bench, hint, until, working

bench = brokers.bench
postgres_template, sqlite_template = engines.postgres_template, engines.sqlite_template


def names(number: int) -> list[str]:
    return [f"m{each:03}" for each in range(number)]


def test_a_hint_given_before_and_one_given_after_the_worker_came_arrive(bench: Bench) -> None:
    bench.send("before")
    carried: list[str] = []
    with working(bench.opened(), carried.append):
        until(lambda: carried)
        bench.send("after")
        until(lambda: carried == ["before", "after"])
    assert bench.broker.depth(QUEUE) == 0


def test_two_workers_share_a_queue(bench: Bench) -> None:
    one, two = bench.child(seconds=0.005), bench.child(seconds=0.005)
    bench.send(*names(200))
    until(lambda: len(one.noted("end")) == 200)
    one.stop()
    two.stop()
    assert sorted(one.noted("begin")) == names(200)
    assert len(one.writers()) == 2


def test_hints_of_a_killed_worker_come_back_to_another(bench: Bench) -> None:
    bench.send(*names(8))
    first = bench.child(seconds=60)
    until(lambda: len(first.noted("begin")) == 2)
    second = bench.child(ledger="second")
    first.kill()
    killed_at = time.monotonic()
    until(lambda: sorted(set(second.noted("end"))) == names(8), BACK_WITHIN)
    print(f"back after {time.monotonic() - killed_at:.1f} s")


def test_a_stopped_worker_gives_back_at_once_what_it_did_not_begin(bench: Bench) -> None:
    bench.send(*names(6))
    child = bench.child(seconds=0.5)
    until(lambda: child.noted("begin"))
    child.stop()
    ended = child.noted("end")
    assert sorted(child.noted("begin")) == sorted(ended)
    assert 0 < len(ended) < 6
    until(lambda: bench.broker.depth(QUEUE) == 6 - len(ended), 5)


def test_a_doubled_hint_arrives_at_least_once(bench: Bench) -> None:
    bench.send("m1", "m1")
    bench.send("m1", "m2")
    carried: list[str] = []
    with working(bench.opened(), carried.append):
        until(lambda: {"m1", "m2"} <= set(carried) and bench.broker.depth(QUEUE) == 0)
    assert set(carried) == {"m1", "m2"}


def test_a_hint_given_while_its_twin_is_at_work_is_not_lost(bench: Bench) -> None:
    began, go_on, carried = threading.Event(), threading.Event(), list[str]()

    def deed(message: str) -> None:
        carried.append(message)
        began.set()
        go_on.wait(20)

    bench.send("m1")
    with working(bench.opened(), deed):
        assert began.wait(20)
        bench.send("m1")
        go_on.set()
        until(lambda: carried == ["m1", "m1"])


def test_the_depth_is_what_waits_and_a_flush_drops_it(bench: Bench) -> None:
    assert bench.broker.depth(QUEUE) == 0
    bench.send(*names(30))
    assert bench.broker.depth(QUEUE) == 30
    bench.flush()
    assert bench.broker.depth(QUEUE) == 0


def test_after_a_flush_workers_go_on_with_what_comes(bench: Bench) -> None:
    carried: list[str] = []
    with working(bench.opened(), carried.append):
        bench.send(*names(3))
        until(lambda: len(carried) == 3)
        bench.flush()
        bench.send("m9")
        until(lambda: "m9" in carried)


def test_two_sites_on_one_broker_never_take_each_others_hints(bench: Bench) -> None:
    bench.broker.declare_queue(OTHER_QUEUE)
    bench.send(*names(5), queue=OTHER_QUEUE)
    ours: list[str] = []
    with working(bench.opened(), ours.append):
        bench.send("m9")
        until(lambda: ours)
        time.sleep(0.5)
    assert ours == ["m9"]
    assert bench.broker.depth(OTHER_QUEUE) == 5


def test_a_hint_whose_actor_fails_or_that_no_actor_takes_is_done_with(bench: Bench) -> None:
    carried: list[str] = []

    def deed(message: str) -> None:
        carried.append(message)
        raise RuntimeError("the spool will say it again")

    bench.send("m1")
    bench.broker.enqueue_all([hint("m2", actor="gone")])
    with working(bench.opened(), deed):
        until(lambda: carried)
        time.sleep(0.5)
    with working(bench.opened(), carried.append):
        bench.send("m3")
        until(lambda: "m3" in carried)
    assert carried == ["m1", "m3"]
    assert bench.broker.depth(QUEUE) == 0


def test_a_broker_that_answers_passes_its_check(bench: Bench) -> None:
    bench.broker.check()
