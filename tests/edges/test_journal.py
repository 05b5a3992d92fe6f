"""The journal on both engines: a chain that cannot be changed, shortened or forked unnoticed."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection

from hub import journal
from hub.database import Database
from hub.errors import Damaged
from tests.edges.engines import database, database_url, migrated, postgres_template, sqlite_template

__all__ = ["database", "database_url", "postgres_template", "sqlite_template"]

AT = datetime(2026, 7, 1, 8, 30, 15, 250_000, tzinfo=UTC).astimezone(ZoneInfo("Europe/Paris"))


def _written(database: Database, count: int = 5) -> None:
    def work(connection: Connection) -> None:
        for number in range(1, count + 1):
            journal.append(connection, AT, "hub", "accept", f"step {number}", "ok", f"m{number}")

    database.write_now(work)


def _verdict(database: Database) -> journal.Verdict:
    return database.read_now(journal.verify)


def _change(database: Database, *statements: str) -> None:
    def work(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    database.write_now(work)


def test_an_untouched_chain_is_whole(database: Database) -> None:
    assert _verdict(database) == journal.Verdict(entries=0)
    _written(database)
    verdict = _verdict(database)
    assert (verdict.entries, verdict.broken_at, verdict.reason) == (5, None, "")


def test_an_entry_says_who_what_when_and_the_answer_in_local_time(database: Database) -> None:
    database.write_now(lambda c: journal.append(c, AT, "a.martin", "release", "rule human", "filing", "m1"))
    (entry,) = database.read_now(lambda c: journal.entries(c, message="m1"))
    assert entry == journal.Entry(
        number=1,
        at="2026-07-01T10:30:15.250+02:00",
        author="a.martin",
        action="release",
        message="m1",
        request="rule human",
        answer="filing",
    )


def test_anyone_can_compute_the_chain_from_its_description(database: Database) -> None:
    database.write_now(lambda c: journal.append(c, AT, "hub", "accept", "é", "ok", None))
    row = database.read_now(lambda c: c.execute(text("SELECT * FROM journal")).one())
    written = f'[1,"{AT.isoformat(timespec="milliseconds")}","hub","accept",null,"\\u00e9","ok","{"0" * 64}"]'
    assert json.loads(written)[5] == "é"
    assert row.hash == hashlib.sha256(written.encode()).hexdigest()


def test_the_last_entries_come_oldest_first(database: Database) -> None:
    _written(database)
    assert [entry.number for entry in database.read_now(lambda c: journal.entries(c, last=2))] == [4, 5]
    assert [entry.number for entry in database.read_now(lambda c: journal.entries(c, message="m3"))] == [3]


COPY = (
    "INSERT INTO journal (number, at, author, action, message, request, answer, previous, hash) "
    "SELECT {number}, at, author, action, message, request, answer, previous, hash FROM journal WHERE number = {of}"
)


@pytest.mark.parametrize(
    ("tampering", "broken_at"),
    [
        (["UPDATE journal SET answer = 'no' WHERE number = 3"], 3),
        (["UPDATE journal SET author = 'a.martin' WHERE number = 1"], 1),
        (["UPDATE journal SET at = '2026-07-01T10:30:15.251+02:00' WHERE number = 5"], 5),
        (["UPDATE journal SET message = NULL WHERE number = 2"], 2),
        (["UPDATE journal SET hash = previous WHERE number = 2"], 2),
        (["DELETE FROM journal WHERE number = 1"], 1),
        (["DELETE FROM journal WHERE number = 3"], 3),
        (["DELETE FROM journal WHERE number = 5"], 5),
        (["DELETE FROM journal WHERE number > 2"], 3),
        (["DELETE FROM journal"], 1),
        # removed, and the numbers closed up
        (["DELETE FROM journal WHERE number = 3", "UPDATE journal SET number = 3 WHERE number = 4"], 3),
        # swapped
        (
            [
                "UPDATE journal SET number = 99 WHERE number = 2",
                "UPDATE journal SET number = 2 WHERE number = 3",
                "UPDATE journal SET number = 3 WHERE number = 99",
            ],
            2,
        ),
        # inserted beyond the head, before the first, and as a copy
        ([COPY.format(number=6, of=5)], 6),
        ([COPY.format(number=0, of=1)], 1),
        (["UPDATE journal_head SET number = 4"], 5),
        (["UPDATE journal_head SET hash = 'x'"], 5),
        (["DELETE FROM journal_head"], 6),
    ],
)
def test_tampering_shows_with_its_place(database: Database, tampering: list[str], broken_at: int) -> None:
    _written(database)
    _change(database, *tampering)
    verdict = _verdict(database)
    assert verdict.broken_at == broken_at
    assert verdict.reason


def test_an_entry_forged_beyond_the_head_with_a_right_link_shows(database: Database) -> None:
    _written(database)
    last = database.read_now(lambda c: c.execute(text("SELECT hash FROM journal WHERE number = 5")).scalar_one())
    forged = journal.Entry(number=6, at="x", author="hub", action="accept")
    link = journal.entry_hash(forged, last)
    _change(database, f"INSERT INTO journal VALUES (6, 'x', 'hub', 'accept', NULL, '', '', '{last}', '{link}')")
    assert (_verdict(database).broken_at, _verdict(database).reason) == (6, "added beyond the head")


def test_an_append_belongs_to_the_transaction_of_its_deed(database: Database) -> None:
    def fails(connection: Connection) -> None:
        journal.append(connection, AT, "hub", "filing")
        raise ValueError

    with pytest.raises(ValueError):
        database.write_now(fails)
    _written(database, 1)
    assert _verdict(database) == journal.Verdict(entries=1, head=_verdict(database).head)


def test_writers_at_once_do_not_fork_the_chain(database_url: str, database: Database) -> None:
    others = [Database(database_url) for _ in range(4)]

    def write_pairs(other: Database) -> None:
        def pair(connection: Connection) -> None:
            journal.append(connection, AT, "hub", "one")
            journal.append(connection, AT, "hub", "two")

        for _ in range(15):
            other.write_now(pair)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write_pairs, others))
    verdict = _verdict(database)
    assert (verdict.entries, verdict.broken_at) == (120, None)
    actions = [entry.action for entry in database.read_now(lambda c: journal.entries(c, last=120))]
    assert actions == ["one", "two"] * 60
    for other in others:
        other.close()


def test_a_naive_time_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="naive"):
        database.write_now(lambda c: journal.append(c, datetime(2026, 1, 1), "hub", "x"))


def test_without_its_head_nothing_is_journaled(database: Database) -> None:
    _change(database, "DELETE FROM journal_head")
    with pytest.raises(Damaged):
        database.write_now(lambda c: journal.append(c, AT, "hub", "x"))


def test_odd_characters_are_stored_and_verified(database: Database) -> None:
    database.write_now(lambda c: journal.append(c, AT, "a\0b", "x", "\ud800", "é" * 5_000))
    assert _verdict(database).broken_at is None


def test_a_value_of_a_type_that_the_hub_never_writes_shows(tmp_path: Path) -> None:
    """SQLite keeps any type in any column."""
    with migrated(f"sqlite:///{tmp_path / 'hub.db'}") as database:
        _written(database)
        for column in ("author", "request"):
            _change(database, f"UPDATE journal SET {column} = x'ff00' WHERE number = 3")
            assert (_verdict(database).broken_at, _verdict(database).reason) == (3, "changed")
