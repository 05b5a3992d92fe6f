"""The copy among the sent mails, on fakes: filed once, at no cost for the sending; what an operator's own proves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub import routing
from hub.errors import Damaged, Permanent, Temporary, UncertainDelivery
from hub.message import Rung
from hub.ports import SentFolder
from tests.fakes_filer import Filed
from tests.unit.routing_samples import rulebook
from tests.unit.test_trip_out import ABOUT_LINA, ASE, CLINIC, OURS, Desk

COPIED = routing.Policy(own_addresses=frozenset({OURS}), copied=frozenset({"dossiers"}))


@pytest.fixture
def desk() -> Desk:
    """A mailbox whose sent mails the hub files."""
    made = Desk()
    made.sent_folder = SentFolder("auto")
    made.hub = replace(made.hub, rulebook=lambda: rulebook(COPIED))
    return made


@pytest.fixture
def watched_desk() -> Desk:
    """A mailbox whose operator files the sent mails by itself."""
    made = Desk()
    made.sent_folder = SentFolder("Sent", is_kept_by_operator=True)
    return made


def copies(desk: Desk, folder: str = "auto") -> list[Filed]:
    return desk.filer.folders.get(("dossiers", folder), [])


def operator_files(desk: Desk, message: str) -> None:
    (sending,) = (one for one in desk.records.composed if one.message == message)
    desk.filer.put("dossiers", "Sent", Filed(sending.message_id, desk.now, b""))


def answers(desk: Desk, message: str, content: str) -> list[str]:
    """What the steps of this content came to."""
    steps = desk.store.kept.messages[message].steps.values()
    return [facts.answer for facts in steps if getattr(facts.step, "content", "") == content]


async def carry_until(desk: Desk, message: str, *states: str, every: int = 40, times: int = 40) -> str:
    for _ in range(times):
        if (state := await desk.carry(message)) in states:
            return state
        desk.pass_time(minutes=every)
    return desk.state(message)


# --- the hub's own copy


async def test_the_copy_is_the_very_mail_that_left_and_there_is_one_for_all_recipients(desk: Desk) -> None:
    message = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message) == "DONE"
    (sending,) = desk.records.composed
    (copy,) = copies(desk)
    assert {copy.raw} == {one.raw for one in desk.sender.sent}
    assert (copy.message_id, copy.at) == (sending.message_id, sending.composed_at)
    assert answers(desk, message, "sent-copy") == ["filed"]


async def test_a_mailbox_without_folder_plans_no_copy(desk: Desk) -> None:
    desk.hub = replace(desk.hub, rulebook=rulebook)
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "DONE"
    assert answers(desk, message, "sent-copy") == []
    assert desk.filer.calls == 0


async def test_a_mail_held_or_automatic_has_no_copy(desk: Desk) -> None:
    assert await desk.carry(await desk.submit("le rapport", ASE)) == "HELD"
    absence = await desk.submit("Absence", ASE, pdf=None, Auto_Submitted="auto-replied")
    assert await desk.carry(absence) == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert copies(desk) == []


async def test_nothing_is_filed_before_it_left_for_somebody(desk: Desk) -> None:
    desk.sender.outcomes.append(Temporary("451 4.3.0 later"))
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    assert copies(desk) == []
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(copies(desk)) == 1


async def test_one_recipient_is_enough(desk: Desk) -> None:
    desk.sender.outcomes.extend([Permanent("RCPT refused: 550 5.1.1 unknown"), "250 Ok"])
    message = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message) == "HELD"
    assert len(copies(desk)) == 1


async def test_a_mail_that_left_for_nobody_has_no_copy(desk: Desk) -> None:
    desk.sender.outcomes.append(Permanent("RCPT refused: 550 5.1.1 unknown"))
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "HELD"
    assert copies(desk) == []
    assert answers(desk, message, "sent-copy") == ["no copy: the mail did not leave"]


async def test_a_bounce_afterwards_does_not_take_the_copy_away(desk: Desk) -> None:
    desk.filer.failures.append(Temporary("imap connection lost: closed"))
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    await desk.hear(message, ASE, Rung.FAILED)
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(copies(desk)) == 1


async def test_a_copy_that_fails_harms_nothing_and_is_noted_once_patience_is_used_up(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.filer.failures.extend([Temporary("imap connection lost: connect-timeout")] * 50)
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    assert await desk.rungs(message) == {ASE: Rung.SUBMITTED}
    assert await carry_until(desk, message, "DONE", "HELD", every=180) == "DONE"
    assert answers(desk, message, "sent-copy") == ["no copy: imap connection lost: connect-timeout"]
    assert "no copy in the folder of sent mails" in caplog.text
    assert len(desk.outgoing(ASE)) == 1
    assert not desk.outgoing(OURS)
    assert not desk.records.lines


@pytest.mark.parametrize(
    "failure", [Permanent("imap command refused: append-no-noperm"), Damaged("the blob was altered")]
)
async def test_what_will_never_be_filed_is_noted_at_once(desk: Desk, failure: Exception) -> None:
    desk.filer.failures.append(failure)
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "DONE"
    assert answers(desk, message, "sent-copy") == [f"no copy: {failure}"]


async def test_our_own_fault_in_filing_is_not_counted_against_the_sending(desk: Desk) -> None:
    desk.filer.failures.extend([RuntimeError("Lou Martineau"), RuntimeError("Lou Martineau")])
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    assert answers(desk, message, "sent-copy") == ["RuntimeError"]
    assert desk.store.kept.messages[message].attempts == 0
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(copies(desk)) == 1


async def test_a_human_who_is_to_be_asked_does_not_wait_for_a_copy(desk: Desk) -> None:
    desk.sender.outcomes.extend(["250 Ok", Permanent("RCPT refused: 550 5.1.1 unknown")])
    desk.filer.failures.extend([Temporary("imap connection lost: connect-timeout")] * 50)
    message = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message) == "HELD"


async def test_a_crash_between_the_append_and_its_record_makes_no_twin(desk: Desk) -> None:
    desk.filer.cuts.append(OSError("the worker dies"))
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    assert len(copies(desk)) == 1
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(copies(desk)) == 1
    assert answers(desk, message, "sent-copy") == ["already there"]


async def test_a_folder_taken_out_of_the_settings_meanwhile_ends_it(desk: Desk) -> None:
    desk.filer.failures.append(Temporary("imap connection lost: closed"))
    message = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message)
    desk.sent_folder = None
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert copies(desk) == []


# --- the operator's own copy


async def test_the_operators_copy_ends_the_doubt_within_a_minute(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.sender.outcomes.append(UncertainDelivery("no answer after the final dot"))
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "PLANNED"
    assert await desk.rungs(message) == {ASE: Rung.UNCERTAIN}
    operator_files(desk, message)
    desk.pass_time(minutes=1)
    assert await carry_until(desk, message, "DONE", every=1) == "DONE"
    assert await desk.rungs(message) == {ASE: Rung.SUBMITTED}
    assert not desk.outgoing(ASE)  # never sent again
    assert not desk.outgoing(OURS)
    assert answers(desk, message, "dispatch") == ["the operator's own copy is there"]


@pytest.mark.parametrize("is_away", [False, True])
async def test_without_a_copy_a_human_is_asked_once_the_evidence_is_late(watched_desk: Desk, is_away: bool) -> None:
    desk = watched_desk
    desk.sender.outcomes.append(UncertainDelivery("no answer after the final dot"))
    message = await desk.submit(ABOUT_LINA, ASE)
    began = desk.now
    if is_away:
        desk.filer.failures.extend([Temporary("imap connection lost: connect-timeout")] * 50)
    assert await carry_until(desk, message, "HELD", "DONE", every=1, times=80) == "HELD"
    assert 30 <= (desk.now - began).total_seconds() / 60 <= 70
    assert desk.filer.calls > 3
    assert not desk.outgoing(ASE)
    (letter,) = desk.outgoing(OURS)
    assert "peut-être" in letter.get_content()


async def test_with_several_recipients_a_copy_proves_nothing_of_one_of_them(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.sender.outcomes.extend(["250 Ok", UncertainDelivery("no answer after the final dot")])
    message = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    await desk.carry(message)
    operator_files(desk, message)  # that of the first
    assert await carry_until(desk, message, "HELD", "DONE", every=31) == "HELD"
    assert await desk.rungs(message) == {ASE: Rung.SUBMITTED, CLINIC: Rung.UNCERTAIN}


async def test_a_worker_killed_after_the_dot_finds_the_copy_and_sends_no_twin(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.sender.sent_anyway = True
    desk.sender.outcomes.append(OSError("the worker dies after the dot"))
    message = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message)
    operator_files(desk, message)
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert await desk.rungs(message) == {ASE: Rung.SUBMITTED}


async def test_a_worker_killed_before_the_dot_finds_none_and_sends_it(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.sender.outcomes.append(OSError("the worker dies before the dot"))
    message = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message)
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(desk.outgoing(ASE)) == 1


async def test_nobody_looks_for_a_copy_before_the_first_try(watched_desk: Desk) -> None:
    message = await watched_desk.submit(ABOUT_LINA, ASE)
    assert await watched_desk.carry(message) == "DONE"
    assert watched_desk.filer.calls == 0


async def test_what_the_operator_said_it_did_not_take_is_not_looked_for(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.sender.outcomes.append(Temporary("content refused: 451 4.3.0 later"))
    message = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message)
    operator_files(desk, message)  # before it thought better of it
    assert await carry_until(desk, message, "DONE") == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert desk.filer.calls == 0


async def test_where_the_operator_files_the_hub_files_none(watched_desk: Desk) -> None:
    desk = watched_desk
    desk.hub = replace(desk.hub, rulebook=lambda: rulebook(COPIED))  # planned before the setting changed
    message = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message) == "DONE"
    assert answers(desk, message, "sent-copy") == ["left to the operator"]
    assert not desk.filer.folders
