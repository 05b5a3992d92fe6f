"""The story on fakes: what becomes of a message, whatever fails on the way. The real parts pass the same contracts."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from hub import routing
from hub.cda import Codes
from hub.compose import Letterhead
from hub.domains import members_of
from hub.errors import Damaged, Permanent, StalePlan, Temporary, UncertainDelivery
from hub.message import Filing, Limits, ParsedMessage, Receipt
from hub.parse import parse
from hub.ports import Arrival, Drafts, SentFolder
from hub.raw import Raw, joined
from hub.sandbox.letters import document_mail
from hub.sandbox.papers import DISCHARGE, Paper
from hub.sandbox.people import HOMONYM, HOSPITAL, LINA, STRANGER, TILLEULS
from hub.sentcopies import SentCopies
from hub.trip import Hub, carry
from tests.fakes_filer import MemoryFiler
from tests.fakes_outgoing import Archivist, MemoryBlobs, establishment
from tests.fakes_records import MemoryRecords
from tests.fakes_smtp import RecordingSender
from tests.fakes_spool import MemorySpool, MemoryStore
from tests.pieces import CODES
from tests.unit.routing_samples import rulebook

LETTERHEAD = Letterhead(
    address=TILLEULS.address, display_name=TILLEULS.name, product_reference="ESSAI1", reporting_ua="mecs; hub"
)
NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


class ParsingReader:
    """Reads in this process. `failures` are raised first, one a call."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.calls = 0

    async def read(
        self,
        raw: Raw,
        words_for: frozenset[str] | None = None,
        drafts: Drafts | None = None,
        received_at: datetime | None = None,
        clues: bool = False,
    ) -> ParsedMessage:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return parse(await joined(raw), Limits(), Codes.empty(), words_for=words_for)


class Town:
    """A hub on fakes, its clock set by hand."""

    def __init__(self) -> None:
        self.now = NOON
        self.store = MemoryStore()
        self.records = MemoryRecords(known=(LINA,), clock=lambda: self.now)
        self.spool = MemorySpool(self.store, clock=lambda: self.now, holding=self.records.holding)
        self.reader = ParsingReader()
        self.sender = RecordingSender()
        self.filer = MemoryFiler()
        self.sent_folder: SentFolder | None = None
        blobs = MemoryBlobs()
        numbers = count(1)
        self.hub = Hub(
            spool=self.spool,
            records=self.records,
            blobs=blobs,
            reader=self.reader,
            papers=Archivist(),
            sender=self.sender,
            copies=SentCopies(filer=self.filer, folder_of=lambda _: self.sent_folder, blobs=blobs),
            rulebook=rulebook,
            letterhead=lambda _: LETTERHEAD,
            writing_as=lambda _: establishment(LETTERHEAD),
            signer=lambda mailbox, at: None,
            codes=CODES,
            new_message_id=lambda address: f"<{next(numbers)}@{address.partition('@')[2]}>",
            clock=lambda: self.now,
            retry_in=lambda attempts: timedelta(minutes=1),
            lease=timedelta(minutes=2),
            order_grace=timedelta(minutes=10),
            evidence_within=timedelta(minutes=30),
            message_most=1_000_000,
            receipt_return_path=lambda _: "",
        )
        self._uids = count(1)

    async def accept(self, raw: bytes) -> str:
        blob = await self.spool.new_blob()
        await blob.write(raw)
        arrival = Arrival(mailbox="dossiers", uidvalidity=1, uid=next(self._uids), received_at=self.now, test=True)
        return (await self.spool.accept(arrival, blob)).id

    async def carry(self, message_id: str) -> str:
        """The state after one carry."""
        await carry(message_id, self.hub)
        return self.state(message_id)

    def state(self, message_id: str) -> str:
        return str(self.store.kept.messages[message_id].state)

    def pass_time(self, **span: Any) -> None:
        self.now += timedelta(**span)

    def held_codes(self) -> set[str]:
        return {code for line in self.records.lines for code in line.codes}


@pytest.fixture
def town() -> Town:
    return Town()


def letter(name: str = "lettre", *, who: Any = LINA.identity, version: int = 1, action: Any = "none") -> bytes:
    paper = Paper(
        name=name,
        structure=HOSPITAL,
        patient=who,
        type_code=DISCHARGE,
        title="Lettre (fictive)",
        lines=("Personne fictive.",),
        created_at=NOON,
        version=version,
        action=action,
    )
    return document_mail(f"{name}-{version}", [paper], sent_at=NOON)


def message_id_of(raw: bytes) -> bytes:
    head = raw.partition(b"\r\n\r\n")[0]
    return next(line for line in head.split(b"\r\n") if line.startswith(b"Message-ID:"))


async def test_a_document_of_a_known_usager_is_filed_then_answered(town: Town) -> None:
    message = await town.accept(letter())
    assert await town.carry(message) == "DONE"
    assert [row.usager_id for row in town.records.filed] == [LINA.id]
    (sent,) = town.sender.sent
    assert sent.recipient == HOSPITAL.address
    assert sent.sender == ""
    assert b"automatic-action/MDN-sent-automatically; processed\r\n" in sent.raw


async def test_who_is_certain_by_ins_is_compared_with_nobody_else(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of one whose INS and traits agree is the only one read; without the INS, the homonym is read too."""
    town.records.known = (LINA, replace(LINA, id="0" * 31 + "2", identity=HOMONYM))
    compared: list[tuple[str, ...]] = []
    honest = town.records.look_up

    async def noted(*asked: Any) -> Any:
        found = await honest(*asked)
        compared.append(tuple(usager.id for usager in found[0]))
        return found

    monkeypatch.setattr(town.records, "look_up", noted)
    assert await town.carry(await town.accept(letter())) == "DONE"
    nameless = replace(LINA.identity, ins=None, local_ids=())
    assert await town.carry(await town.accept(letter("sans-ins", who=nameless))) == "HELD"
    assert compared == [(LINA.id,), tuple(usager.id for usager in town.records.known)]


async def test_carrying_again_does_nothing_more(town: Town) -> None:
    message = await town.accept(letter())
    for _ in range(3):
        await town.carry(message)
    assert len(town.records.filed) == len(town.sender.sent) == town.reader.calls == 1


async def test_an_unknown_child_is_held_and_the_sender_is_told(town: Town) -> None:
    message = await town.accept(letter(who=STRANGER))
    assert await town.carry(message) == "HELD"
    assert not town.records.filed
    assert "902" in town.held_codes()
    assert b"Error: 902^" in town.sender.sent[0].raw


async def test_a_worker_that_dies_after_filing_leaves_only_the_receipt_to_do(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await town.accept(letter())

    async def die(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(town.sender, "send", die)
        with pytest.raises(KeyboardInterrupt):
            await town.carry(message)
    assert len(town.records.filed) == 1
    town.pass_time(hours=1)
    assert await town.carry(message) == "DONE"
    assert len(town.records.filed) == len(town.sender.sent) == 1


async def test_a_cut_after_the_dot_goes_out_again_under_the_same_message_id(town: Town) -> None:
    message = await town.accept(letter())
    town.sender.outcomes.append(UncertainDelivery("cut after the dot"))
    town.sender.sent_anyway = True
    assert await town.carry(message) == "PLANNED"
    town.pass_time(hours=3)
    assert await town.carry(message) == "DONE"
    first, second = (message_id_of(sent.raw) for sent in town.sender.sent)
    assert first == second


async def test_an_operator_that_is_away_makes_the_receipt_later(town: Town) -> None:
    message = await town.accept(letter())
    town.sender.outcomes.append(Temporary("no connection"))
    assert await town.carry(message) == "PLANNED"
    assert not town.sender.sent
    assert await town.carry(message) == "PLANNED"  # not due yet
    town.pass_time(hours=3)
    assert await town.carry(message) == "DONE"
    assert len(town.sender.sent) == 1


async def test_a_receipt_that_is_refused_comes_before_a_human(town: Town) -> None:
    message = await town.accept(letter())
    town.sender.outcomes.append(Permanent("550 5.1.1"))
    assert await town.carry(message) == "HELD"
    assert len(town.records.filed) == 1


async def test_a_message_that_kills_the_reader_is_held_whole(town: Town) -> None:
    message = await town.accept(letter())
    town.reader.failures.append(Damaged("the reader died twice"))
    assert await town.carry(message) == "HELD"
    assert town.held_codes() == {"unreadable"}


async def test_an_unknown_exception_is_tried_again_and_at_last_comes_before_a_human(town: Town) -> None:
    message = await town.accept(letter())
    town.reader.failures += [ZeroDivisionError() for _ in range(100)]
    states = []
    for _ in range(40):
        states.append(await town.carry(message))
        town.pass_time(hours=3)
    assert states[0] == "ACCEPTED"
    assert states[-1] == "HELD"
    assert town.reader.calls < 40


async def test_an_unknown_exception_that_goes_away_does_no_harm(town: Town) -> None:
    message = await town.accept(letter())
    town.reader.failures.append(ZeroDivisionError())
    await town.carry(message)
    town.pass_time(hours=3)
    assert await town.carry(message) == "DONE"


async def test_a_message_over_the_limit_is_held_unread(town: Town) -> None:
    message = await town.accept(letter() + b"x" * 1_000_000)
    assert await town.carry(message) == "HELD"
    assert town.held_codes() == {"too-large"}
    assert town.reader.calls == 0


async def test_a_document_that_is_filed_and_answered_costs_one_plan_and_one_record(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await town.accept(letter())
    calls: list[str] = []
    for name in ("save_plan", "stage", "record"):
        honest = getattr(town.spool, name)

        def noted(*arguments: Any, name: str = name, honest: Any = honest) -> Any:
            calls.append(name)
            return honest(*arguments)

        monkeypatch.setattr(town.spool, name, noted)
    assert await town.carry(message) == "DONE"
    assert calls == ["save_plan", "record"]


async def test_a_stale_plan_is_thought_about_again(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    message = await town.accept(letter())
    honest = town.records.filing

    async def stale(*_: object) -> Any:
        raise StalePlan("another version was filed meanwhile")

    with monkeypatch.context() as patch:
        patch.setattr(town.records, "filing", stale)
        assert await town.carry(message) == "ACCEPTED"
    assert town.records.filing == honest
    town.pass_time(hours=3)
    assert await town.carry(message) == "DONE"
    assert len(town.records.filed) == 1


async def test_what_the_records_refuse_for_ever_comes_before_a_human(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await town.accept(letter())

    async def refuse(*_: object) -> Any:
        raise Permanent("the version is in another record")

    monkeypatch.setattr(town.records, "filing", refuse)
    assert await town.carry(message) == "HELD"


async def test_a_replacement_waits_for_the_older_message_that_brings_what_it_replaces(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.trip.ORDER_LOOK_EVERY", 0)
    older = await town.accept(letter())
    town.pass_time(seconds=1)
    newer = await town.accept(letter(version=2, action="replace"))
    assert await town.carry(newer) == "ACCEPTED"
    assert await town.carry(older) == "DONE"
    town.pass_time(minutes=1)
    assert await town.carry(newer) == "DONE"
    assert [(row.version, row.live) for row in town.records.filed] == [("1", False), ("2", True)]


RULES = """
rules:
  - name: essai
    when: {match: certain}
    then: {%s}
  - name: sinon
    then: {hold: "À lire."}
"""


def ruled(town: Town, deeds: str) -> Hub:
    return replace(town.hub, rulebook=lambda: rulebook(routes=RULES % deeds))


async def test_a_rule_sends_a_copy_and_a_notice_beside_the_filing(town: Town) -> None:
    message = await town.accept(letter())
    deeds = "file: true, copy: medecin@ch.mssante.example, notify: cadre@mecs.mssante.example"
    await carry(message, ruled(town, deeds))
    assert town.state(message) == "DONE"
    assert len(town.records.filed) == 1
    copied, noticed, answered = town.sender.sent
    assert (copied.recipient, noticed.recipient) == ("medecin@ch.mssante.example", "cadre@mecs.mssante.example")
    assert answered.recipient == HOSPITAL.address
    assert letter() in copied.raw
    notice = email.message_from_bytes(noticed.raw, policy=email.policy.default)
    told = f"{notice['Subject']} {notice.get_content()}"
    assert "vous concerne" in told
    named = (LINA.identity.birth_name, LINA.identity.first_given, LINA.identity.ins)
    assert not [word for word in named if word and word in told]
    assert len({message_id_of(sent.raw) for sent in town.sender.sent}) == 3


async def test_a_copy_that_fails_for_now_is_sent_once_and_files_once(town: Town) -> None:
    message = await town.accept(letter())
    hub = ruled(town, "file: true, copy: medecin@ch.mssante.example")
    town.sender.outcomes.append(Temporary("no connection"))
    await carry(message, hub)
    town.pass_time(hours=3)
    await carry(message, hub)
    assert town.state(message) == "DONE"
    assert sorted(sent.recipient for sent in town.sender.sent) == sorted(
        ["medecin@ch.mssante.example", HOSPITAL.address]
    )
    assert len(town.records.filed) == 1


async def test_a_copy_to_a_domain_that_left_the_trust_space_stays_here_and_the_document_is_filed(town: Town) -> None:
    """The rules named it while it was a member; a human is told of the copy that did not go."""
    message = await town.accept(letter())
    hub = ruled(town, "file: true, copy: medecin@ch.mssante.example, notify: cadre@mecs.mssante.example")
    members = members_of([HOSPITAL.address.partition("@")[2], "mecs.mssante.example"])
    rules = routing.with_members(hub.rulebook(), members)
    await carry(message, replace(hub, rulebook=lambda: rules))
    assert town.state(message) == "HELD"
    assert len(town.records.filed) == 1
    assert "medecin@ch.mssante.example" not in [sent.recipient for sent in town.sender.sent]


async def test_a_rule_that_refuses_files_nothing_and_tells_the_sender(town: Town) -> None:
    message = await town.accept(letter())
    await carry(message, ruled(town, 'refuse: "Pas pour nous."'))
    assert town.state(message) == "DONE"
    assert not town.records.filed
    (told,) = town.sender.sent
    assert told.recipient == HOSPITAL.address
    assert b"Error: 906^" in told.raw


async def test_the_plan_files_before_it_answers(town: Town) -> None:
    message = await town.accept(letter())
    await town.carry(message)
    types = [type(step.step) for step in town.store.kept.messages[message].steps.values()]
    assert types == [Filing, Receipt]
