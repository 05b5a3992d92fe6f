"""The letters that a reply may answer, found by the Message-ID under which they were sent, on both engines."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from hub.message import Delivery, Done, LetterSent
from hub.spool.statements import STEP
from tests.edges.engines import postgres_template, sqlite_template
from tests.edges.spools import BOX, HOLD, RECEIPT, SqlBench, planned, sql_bench

__all__ = ["postgres_template", "sql_bench", "sqlite_template"]

LETTER = Delivery(
    content="letter", recipient="secretariat@mecs-exemple.mssante.fr", subject="Votre envoi", text="Bonjour"
)


async def test_a_letter_is_found_by_the_id_under_which_it_was_sent(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, LETTER, HOLD)
    await spool.stage(message, 1, "sending", "<lettre@exemple.fr>")
    expected = LetterSent(
        message=message,
        number=1,
        outgoing_id="<lettre@exemple.fr>",
        mailbox=BOX,
        recipient=LETTER.recipient,
        subject=LETTER.subject,
        is_held=False,
    )
    assert await spool.letters(["<autre@exemple.fr>", "<lettre@exemple.fr>"]) == (expected,)
    assert await spool.letters(["<autre@exemple.fr>"]) == await spool.letters([]) == ()


async def test_a_letter_says_whether_its_message_still_waits(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, LETTER, HOLD)
    await spool.stage(message, 1, "sending", "<lettre@exemple.fr>")
    await spool.record(message, 1, Done("250 ok"))
    await spool.record(message, 2, Done("held"))
    assert [letter.is_held for letter in await spool.letters(["<lettre@exemple.fr>"])] == [True]


async def test_what_is_no_letter_is_not_found(sql_bench: SqlBench) -> None:
    spool = sql_bench.spool()
    message = await planned(spool, RECEIPT)
    await spool.stage(message, 1, "sending", "<accuse@exemple.fr>")
    assert await spool.letters(["<accuse@exemple.fr>"]) == ()


async def test_letters_are_found_by_an_index(sql_bench: SqlBench) -> None:
    database = sql_bench.database
    if not database.is_sqlite:
        pytest.skip("the plan is read on SQLite")
    with database.engine.connect() as connection:
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT * FROM {STEP.name} WHERE outgoing_id IN ('a', 'b')"))
        assert "ix_step_outgoing" in " ".join(row[-1] for row in plan)
