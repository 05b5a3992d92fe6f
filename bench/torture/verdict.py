"""What was promised against what is there, set by set: the mailbox (the server's word), the spool, the records, the
correspondent's mailbox, the journal, the blobs, the wounds.

Each `Check` names what differs. Nothing here asks the hub how it feels: it reads its tables, its files and the other
side's mailboxes, and runs `hub ledger` and `hub journal verify`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from bench.torture.campaign import Done
from bench.torture.facts import Facts, look
from bench.torture.history import History
from bench.torture.points import Point
from bench.torture.post import End, Letter
from hub.wiring import House
from tests.trips.house import Site

FALSE_REASONS = ("worker-died", "gave-up", "unreadable", "-failed")  # a hold that the kills themselves would cause
SHOWN_MOST = 12


@dataclass(frozen=True)
class Check:
    """One promise. `differences` name ids, UIDs and points; none: it holds."""

    name: str
    told: str
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    checks: tuple[Check, ...]
    figures: dict[str, int]

    @property
    def holds(self) -> bool:
        return not any(check.differences for check in self.checks)


def judge(site: Site, history: History, done: Done, points: Iterable[Point]) -> Verdict:
    asked = {letter.message_id for letter in done.delivered if letter.asks_receipt}
    with site.opened() as house:
        facts = look(site, house, len(asked))
        checks = [
            *_at_the_door(facts, done),
            *_carried(facts, done),
            *_filed(facts, done),
            *_answered(facts, history, done, asked),
            *_kept(site, house, facts),
        ]
    checks += [*_books(site), *_processes(history, done, points)]
    return Verdict(tuple(checks), _figures(facts, history, done))


# --- the promises -------------------------------------------------------------------------------------------------


def _at_the_door(facts: Facts, done: Done) -> Iterator[Check]:
    acknowledged = Counter(letter.message_id for letter in done.delivered)
    announced = Counter(mail.message_id for mail in facts.box)
    yield Check(
        "acknowledged by the mail server = in the mailbox",
        f"{acknowledged.total()} acknowledged, {announced.total()} announced",
        _both_ways(acknowledged, announced, "not in the mailbox", "never delivered"),
    )
    uids = {mail.uid for mail in facts.box}
    yield Check(
        "in the mailbox = accepted by the hub (0 lost)",
        f"{len(uids)} announced, {len(facts.seen)} accepted",
        _both_ways(Counter(uids), Counter(facts.seen.keys()), "lost: UID", "accepted, not in the mailbox: UID"),
    )
    other = [
        f"UID {mail.uid}"
        for mail in facts.box
        if mail.uid in facts.seen and facts.messages[facts.seen[mail.uid].message].sha256 != mail.sha256
    ]
    yield Check("every message has the bytes that the server has", f"{len(facts.box)} compared", tuple(other))
    unmarked = [f"UID {mail.uid}: no mark in the mailbox" for mail in facts.box if not mail.is_marked]
    unmarked += [f"UID {uid}: mark not noted" for uid, row in facts.seen.items() if row.marked_at is None]
    yield Check("every accepted message is marked", f"{len(facts.box) - len(unmarked)} marked", tuple(unmarked))


def _carried(facts: Facts, done: Done) -> Iterator[Check]:
    expected = {letter.message_id: letter for letter in done.delivered if letter.end is not End.TWIN}
    rows: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in facts.messages.values():
        rows[row.message_id].append(row)
    bodies = _messages_of(done)
    copies = [f"{one}: {len(found)} messages" for one, found in rows.items() if len(found) != bodies[one]]
    yield Check("a copy in the mailbox is no second message", f"{len(facts.messages)} messages", tuple(copies))
    leased = [row.id for row in facts.messages.values() if row.lease_owner is not None]
    yield Check("no lease is left", "", tuple(leased))
    wrong = [
        f"{row.id}: {row.state}, expected {letter.end.value}"
        for message_id, letter in expected.items()
        for row in rows[message_id]
        if not _is_its_end(row, letter, facts)
    ]
    states = Counter(row.state for row in facts.messages.values())
    yield Check("every message ends as its letter must", ", ".join(f"{n} {s}" for s, n in states.items()), tuple(wrong))
    false = [
        f"{row.message}: {row.codes}" for row in facts.work if any(reason in row.codes for reason in FALSE_REASONS)
    ]
    held = Counter(code for row in facts.work if row.closed_at is None for code in row.codes.split())
    told = ", ".join(f"{n} × {code}" for code, n in held.most_common(4)) or "none"
    yield Check("held for a true reason only", told, tuple(false))


def _messages_of(done: Done) -> Counter[str]:
    """How many messages there are of each Message-ID: a copy in the mailbox is none, a second delivery is one."""
    return Counter(letter.message_id for letter in done.delivered if letter.end is not End.TWIN)


def _is_its_end(row: Row[Any], letter: Letter, facts: Facts) -> bool:
    match letter.end:
        case End.FILED | End.NOTED:
            return bool(row.state == "DONE")
        case End.HELD:
            released = any(entry.message == row.id and entry.action == "release" for entry in facts.journal)
            return bool(row.state == ("DONE" if released else "HELD"))
        case End.TWIN:
            return True


def _filed(facts: Facts, done: Done) -> Iterator[Check]:
    released = {entry.message for entry in facts.journal if entry.action == "release"}
    by_id = {row.message_id: row.id for row in facts.messages.values()}
    must = {
        letter.unique_id
        for letter in done.delivered
        if letter.unique_id and (letter.end is End.FILED or by_id.get(letter.message_id) in released)
    }
    found = Counter(row.unique_id for row in facts.documents)
    yield Check(
        "every document is filed",
        f"{len(must)} to file, {len(found)} filed",
        tuple(
            [*(f"missing: {one}" for one in must - found.keys()), *(f"not asked: {one}" for one in found - must)]
            if False
            else _sets(must, set(found))
        ),
    )
    twice = [f"{unique_id}: {count} times" for unique_id, count in found.items() if count > 1]
    yield Check("0 filed twice", f"{sum(found.values())} rows", tuple(twice))
    newest: dict[str, Letter] = {}
    for letter in done.delivered:
        if letter.set_id and letter.unique_id in must and letter.version >= newest.get(letter.set_id, letter).version:
            newest[letter.set_id] = letter
    in_force = Counter(row.unique_id for row in facts.documents if row.live)
    yield Check(
        "the newest version of each document is the one in force",
        f"{len(newest)} sets",
        _sets({letter.unique_id for letter in newest.values()}, set(in_force)),
    )


def _answered(facts: Facts, history: History, done: Done, asked: set[str]) -> Iterator[Check]:
    yield Check(
        "every asked receipt arrived, and no other",
        f"{len(asked)} asked, {len(facts.receipts)} answered",
        _sets(asked, set(facts.receipts)),
    )
    bodies = _messages_of(done)
    other_ids = [
        f"{original}: {len(set(own))} Message-IDs for {bodies[original]} message(s)"
        for original, own in facts.receipts.items()
        if len(set(own)) > bodies[original]
    ]
    yield Check("the receipts of one message carry one Message-ID", "", tuple(other_ids))
    arrivals = Counter(own for owns in facts.receipts.values() for own in owns)
    too_many = [
        f"{own}: {count} arrived, {len(facts.dots[own])} final dots"
        for own, count in arrivals.items()
        if count > len(facts.dots[own])
    ]
    twins = sum(count - 1 for count in arrivals.values())
    uncertain = sum(len(dots) - 1 for dots in facts.dots.values())
    yield Check(
        "at most as many twins as uncertain deliveries, for each receipt",
        f"{twins} twins, {uncertain} uncertain deliveries",
        tuple(too_many),
    )
    unexplained = [
        f"{own}: sent again after pid {dots[at][1]}, which nothing stopped"
        for own, dots in facts.dots.items()
        for at in range(len(dots) - 1)
        if not _is_explained(own, dots[at], dots[at + 1], facts, history)
    ]
    yield Check("no receipt is sent again without a reason", f"{uncertain} sent again", tuple(unexplained))


def _is_explained(own: str, first: tuple[float, int], again: tuple[float, int], facts: Facts, history: History) -> bool:
    """Whether between two final dots of one receipt its sender was killed, the database restarted, or the journal has a
    death, a refusal or an uncertain answer."""
    killed = [(event["t"], pid) for event in history.of("kill") for pid in event["pids"]]
    killed += [(one.at, one.pid) for one in facts.passages if one.what == "KILLED"]
    if any(pid == first[1] and first[0] - 0.01 <= at <= again[0] for at, pid in killed):
        return True
    restarts = [event["t"] for event in history.of("restart", "restarted")]
    if any(first[0] - 60 <= at <= again[0] for at in restarts):
        return True
    message = next((step.message for step in facts.steps if step.outgoing_id == own), None)
    return any(
        entry.message == message and (entry.action == "death" or entry.answer.startswith(("uncertain", "deferred")))
        for entry in facts.journal
    )


def _kept(site: Site, house: House, facts: Facts) -> Iterator[Check]:
    root = site.folder / "blobs"
    broken = []
    for sha256 in facts.blobs:
        try:
            clear = asyncio.run(house.blobs.get(sha256))
        except Exception as error:  # whatever it is, this blob is not whole
            broken.append(f"{sha256[:12]}: {type(error).__name__}")
            continue
        if hashlib.sha256(clear).hexdigest() != sha256:
            broken.append(f"{sha256[:12]}: other bytes")
    files = sum(facts.blobs.values())
    yield Check(
        "every blob that a row names is there and whole", f"{len(facts.blobs)}, {files} of them files", tuple(broken)
    )
    long_ago = time.time() - 2 * 3600
    before = _files(root)
    for path in before:
        os.utime(path, (long_ago, long_ago))
    cleaned = asyncio.run(house.blobs.clean())
    unnamed = [path.name[:12] for path in _files(root) if not facts.blobs.get(path.name)]
    told = f"{len(before)} files, the janitor removed {cleaned.temporary} temporary and {cleaned.unnamed} unnamed ones"
    yield Check("after the janitor, no file that no row names", told, tuple(unnamed))


def _files(root: Path) -> list[Path]:
    """Blobs and their temporary files."""
    return [path for folder in root.iterdir() if folder.is_dir() for path in folder.iterdir()]


def _books(site: Site) -> Iterator[Check]:
    for words, name in ((("ledger",), "hub ledger balances"), (("journal", "verify"), "the journal's chain is whole")):
        done = site.command(*words)
        differences = () if done.returncode == 0 else (f"exit code {done.returncode}: {done.stdout}{done.stderr}",)
        told = done.stdout.strip().splitlines()
        yield Check(name, told[0] if told else "", differences)


def _processes(history: History, done: Done, points: Iterable[Point]) -> Iterator[Check]:
    alone = [point.name for point in points if not done.fired.get(point.name)]
    yield Check("somebody was killed at every point", f"{sum(done.fired.values())} kills at points", tuple(alone))
    unsettled = [f"{event['met']} met, {event['open']} open" for event in history.of("not settled")]
    yield Check("everything settled", "", tuple(unsettled))
    codes = [
        f"{event['name']} ({event['pid']}): exit code {event['code']}"
        for event in history.of("stopped")
        if event["code"] not in (0, -signal.SIGTERM)  # the latter: asked before it could listen
    ]
    yield Check("every process stops when it is asked to", "", tuple(codes))
    restarts = [event["t"] for event in history.of("restart", "restarted")]
    ended = [
        f"{event['name']} ({event['pid']}): exit code {event['code']}"
        for event in history.of("ended")
        if not any(at - 1 <= event["t"] <= at + 60 for at in restarts)
    ]
    yield Check("no process ended by itself (but when the database was away)", "", tuple(ended))


def _figures(facts: Facts, history: History, done: Done) -> dict[str, int]:
    counts = history.counts()
    kills = sum(done.fired.values()) + counts["kill"]
    deaths = sum(row.deaths for row in facts.messages.values())
    return {
        "messages": len(done.delivered),
        "kills": kills,
        "flushes": counts["flush"],
        "restarts": counts["restart"],
        "releases": sum(event["code"] == 0 for event in history.of("release")),
        "leases that ended with their holder": deaths,
        "journal entries": len(facts.journal),
    }


def _sets(must: set[Any], found: set[Any]) -> tuple[str, ...]:
    return tuple([*(f"missing: {one}" for one in must - found), *(f"too much: {one}" for one in found - must)])


def _both_ways(must: Counter[Any], found: Counter[Any], lost: str, extra: str) -> tuple[str, ...]:
    missing, more = must - found, found - must
    return tuple([*(f"{lost} {one}" for one in missing.elements()), *(f"{extra} {one}" for one in more.elements())])
