"""What the records owe of what was sent, said once: the real ones (tests/edges/test_sendings.py) and the fake
(tests/unit/test_fake_sendings.py) pass it both.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import pytest

from hub.errors import Permanent, StalePlan
from hub.message import Done, News, Outcome, Rung, Sending, SentTo, Source
from hub.ports import Effect, LadderRule, StoredBlob
from hub.receipts import heard
from hub.records import Heard, Overdue

ASE = "Ase@departement-exemple.mssante.example"
DOCTOR = "docteur@cabinet-exemple.mssante.example"
AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MAIL = b"Subject: essai\r\n\r\nBonjour.\r\n"


class AnySendings(Protocol):
    """What both kinds offer to the tests."""

    def composing(self, sending: Sending, blob: StoredBlob) -> Effect: ...
    def telling(self, news: News, report: str, at: datetime, rule: LadderRule, outcome: Outcome = ...) -> Effect: ...
    async def sending(self, sending_id: str) -> Sending | None: ...
    async def find(self, keys: tuple[str, ...]) -> tuple[Sending, ...]: ...
    async def sent(
        self,
        since: datetime | None = None,
        usager_id: str | None = None,
        mailbox: str | None = None,
        overdue: Overdue | None = None,
        limit: int = 200,
    ) -> tuple[Sending, ...]: ...
    async def sendings_of(self, message_id: str) -> tuple[Sending, ...]: ...
    async def sendings_told_by(self, message_id: str) -> tuple[Sending, ...]: ...
    async def heard_of(self, sending_id: str) -> tuple[Heard, ...]: ...


@dataclass
class Room:
    """Records, and what a test does to them in the place of the spool. `store` makes a mail's bytes durable."""

    records: AnySendings
    run: Callable[[Effect], Awaitable[Outcome]]
    new_message: Callable[[], str]
    store: Callable[[bytes], Awaitable[StoredBlob]]

    async def compose(self, *recipients: str, **given: Any) -> Sending:
        made = a_sending(self.new_message(), *recipients, **given)
        assert await self.run(self.records.composing(made, await self.store(MAIL))) == Done("composed")
        return made

    async def tell(
        self, sending: Sending, rung: Rung, source: Source = "dsn", report: str = "", **given: Any
    ) -> Outcome:
        at = given.pop("at", AT + HOUR)
        outcome = given.pop("outcome", Done("told"))
        news = News(**{"sending": sending.id, "recipient": ASE, "rung": rung, "source": source, **given})
        return await self.run(self.records.telling(news, report, at, heard, outcome))

    async def stands(self, sending: Sending, recipient: str = ASE) -> SentTo:
        found = await self.records.sending(sending.id)
        assert found is not None
        return next(one for one in found.sent_to if one.recipient == recipient)


def a_sending(message: str, *recipients: str, **given: Any) -> Sending:
    number = uuid4().hex
    at = given.pop("at", AT)
    fields: dict[str, Any] = {
        "id": number,
        "message": message,
        "mailbox": "secretariat",
        "message_id": f"<{number}@mecs-exemple.mssante.example>",
        "composed_at": at,
        "sha256": hashlib.sha256(MAIL).hexdigest(),
        "size": len(MAIL),
        "by": "s.exemple",
        "kind": "fiche_navette",
        "sent_to": tuple(SentTo(recipient=one, rung=Rung.PREPARED, at=at) for one in recipients or (ASE, DOCTOR)),
    }
    return Sending(**{**fields, **given})


def since(moment: datetime, urgent: timedelta = timedelta(0)) -> Overdue:
    """`urgent`: how much later it is for urgent kinds."""
    return Overdue(moment, moment + urgent)


class SendingsContract:
    async def test_what_was_composed_is_found_whole(self, room: Room) -> None:
        made = await room.compose(wants_receipt=True)
        assert await room.records.sending(made.id) == made
        assert await room.records.sendings_of(made.message) == (made,)
        assert await room.records.sending("0" * 32) is None

    async def test_composing_twice_changes_nothing(self, room: Room) -> None:
        made = await room.compose()
        again = a_sending(made.message, "autre@ailleurs.example", id=made.id)
        assert await room.run(room.records.composing(again, await room.store(MAIL))) == Done("already composed")
        assert await room.records.sending(made.id) == made

    async def test_keys_find_by_message_id_and_by_envelope_id(self, room: Room) -> None:
        one, two, _other = await room.compose(), await room.compose(), await room.compose()
        assert await room.records.find((one.message_id,)) == (one,)
        assert await room.records.find((f"{one.id.upper()}.1",)) == (one,)
        found = await room.records.find(("<inconnu@x.example>", two.id, one.message_id))
        assert {each.id for each in found} == {one.id, two.id}
        assert await room.records.find(()) == ()
        assert await room.records.find(("inconnu", "<a@b.example>")) == ()
        assert await room.records.find((one.message_id.upper(),)) == ()

    async def test_news_move_the_ladder_of_one_recipient(self, room: Room) -> None:
        made, report = await room.compose(), room.new_message()
        assert await room.tell(made, Rung.DELIVERED, report=report) == Done("told")
        assert await room.stands(made) == SentTo(recipient=ASE, rung=Rung.DELIVERED, at=AT + HOUR, report=report)
        assert (await room.stands(made, DOCTOR)).rung is Rung.PREPARED
        assert await room.records.sendings_told_by(report) == (await room.records.sending(made.id),)

    async def test_what_a_report_tells_is_written_once(self, room: Room) -> None:
        made, report = await room.compose(), room.new_message()
        for _ in range(3):
            assert await room.tell(made, Rung.FAILED, report=report, status="5.1.1", stood=Rung.PREPARED) == Done(
                "told"
            )
        (line,) = await room.records.heard_of(made.id)
        assert line == Heard(recipient=ASE, rung=Rung.FAILED, at=AT + HOUR, source="dsn", status="5.1.1", report=report)

    async def test_each_attempt_of_ours_is_written(self, room: Room) -> None:
        made = await room.compose()
        taken = Done("250 2.0.0 queued")
        assert await room.tell(made, Rung.SUBMITTED, "smtp", status="250", outcome=taken) == taken
        await room.tell(made, Rung.FAILED, report=room.new_message(), at=AT + 2 * HOUR, status="5.1.1")
        assert await room.tell(made, Rung.SUBMITTED, "smtp", at=AT + 3 * HOUR, status="250", outcome=taken) == taken
        assert (await room.stands(made)).rung is Rung.SUBMITTED
        assert [line.rung for line in await room.records.heard_of(made.id)] == [
            Rung.SUBMITTED,
            Rung.FAILED,
            Rung.SUBMITTED,
        ]

    async def test_late_news_are_written_and_move_nothing(self, room: Room) -> None:
        made = await room.compose()
        await room.tell(made, Rung.READ, "mdn", report=room.new_message())
        await room.tell(made, Rung.DELIVERED, report=room.new_message(), at=AT + 2 * HOUR)
        stands = await room.stands(made)
        assert (stands.rung, stands.at) == (Rung.READ, AT + HOUR)
        assert len(await room.records.heard_of(made.id)) == 2

    async def test_an_automatic_answer_is_remembered(self, room: Room) -> None:
        made = await room.compose()
        await room.tell(made, Rung.SUBMITTED, "smtp")
        await room.tell(made, Rung.SUBMITTED, "reply", report=room.new_message(), at=AT + 2 * HOUR)
        stands = await room.stands(made)
        assert (stands.rung, stands.at, stands.answered_at) == (Rung.SUBMITTED, AT + HOUR, AT + 2 * HOUR)

    async def test_a_plan_that_saw_another_rung_is_stale(self, room: Room) -> None:
        made, report = await room.compose(), room.new_message()
        await room.tell(made, Rung.FAILED, report=room.new_message(), status="5.1.1")
        with pytest.raises(StalePlan):
            await room.tell(made, Rung.FAILED, report=report, status="5.1.1", stood=Rung.PREPARED)
        assert len(await room.records.heard_of(made.id)) == 1
        await room.tell(made, Rung.FAILED, report=report, status="5.1.1", stood=Rung.FAILED)
        assert len(await room.records.heard_of(made.id)) == 2

    async def test_recipients_are_compared_without_case(self, room: Room) -> None:
        made = await room.compose()
        await room.tell(made, Rung.DELIVERED, recipient=ASE.upper())
        assert (await room.stands(made)).rung is Rung.DELIVERED

    async def test_news_of_a_stranger_is_refused(self, room: Room) -> None:
        made = await room.compose()
        with pytest.raises(Permanent):
            await room.tell(made, Rung.DELIVERED, recipient="autre@ailleurs.example")
        with pytest.raises(Permanent):
            await room.tell(a_sending("m"), Rung.DELIVERED)
        assert await room.records.heard_of(made.id) == ()

    async def test_the_list_is_filtered_newest_first(self, room: Room) -> None:
        old = await room.compose(at=AT - 10 * HOUR, mailbox="direction")
        new = await room.compose(usager_id="u1")
        assert await room.records.sent() == (new, old)
        assert await room.records.sent(limit=1) == (new,)
        assert await room.records.sent(since=AT) == (new,)
        assert await room.records.sent(mailbox="direction") == (old,)
        assert await room.records.sent(usager_id="u1") == (new,)

    async def test_what_somebody_should_look_at(self, room: Room) -> None:
        silent = await room.compose(ASE)
        failed, unsure, read, fresh = [await room.compose(ASE, at=AT + n * HOUR) for n in (1, 2, 3, 4)]
        await room.tell(failed, Rung.FAILED, at=AT + 9 * HOUR)
        await room.tell(unsure, Rung.UNCERTAIN, "smtp", at=AT + 9 * HOUR)
        await room.tell(read, Rung.READ, "mdn", at=AT + 3 * HOUR)
        found = [one.id for one in await room.records.sent(overdue=since(AT))]
        assert found == [unsure.id, failed.id, silent.id]
        await room.tell(fresh, Rung.SUBMITTED, "smtp", at=AT + 4 * HOUR)
        assert fresh.id in [one.id for one in await room.records.sent(overdue=since(AT + 4 * HOUR))]

    async def test_urgent_kinds_are_overdue_earlier(self, room: Room) -> None:
        urgent = await room.compose(ASE, urgency="P0", at=AT + HOUR)
        await room.compose(ASE, urgency="P2", at=AT + HOUR)
        await room.compose(ASE, at=AT + HOUR)
        assert await room.records.sent(overdue=since(AT)) == ()
        assert await room.records.sent(overdue=since(AT, urgent=HOUR)) == (urgent,)
