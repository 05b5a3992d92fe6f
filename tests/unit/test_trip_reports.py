"""The trip of a report, on fakes: from the mailbox to the ladder and the letter, whatever comes twice, at once or back.

People and domains are fictional."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hub.message import Rung, Sending, SentTo
from hub.routing.rulebook import Policy
from tests.fakes_smtp import Sent
from tests.recipient import FORMS, Case, answer
from tests.unit.routing_samples import rulebook
from tests.unit.test_correlate import ASE, DOCTOR, a_sending
from tests.unit.test_trip import LETTERHEAD, Town

OURS = LETTERHEAD.address
POLICY = Policy(own_addresses=frozenset({OURS}), addresses=(("dossiers", OURS),))


class ReportTown(Town):
    """A hub that sent one mail; `answered` brings an answer into its mailbox and carries it."""

    def __init__(self, *recipients: str, policy: Policy = POLICY, **given: object) -> None:
        super().__init__()
        self.hub = replace(self.hub, rulebook=lambda: rulebook(policy))
        made = replace(a_sending(*(recipients or (ASE,))), mailbox="dossiers", **given)  # type: ignore[arg-type]
        self.sending = made
        self.records.composed.append(made)

    def answer(self, form: str, recipient: str = ASE) -> bytes:
        return answer(form, Case(self.sending, recipient, frozenset(FORMS[form].keys), OURS))

    async def answered(self, form: str, recipient: str = ASE) -> str:
        return await self.carry(await self.accept(self.answer(form, recipient).replace(b"reponse@", self._unique())))

    def _unique(self) -> bytes:
        return f"reponse-{len(self.store.kept.messages)}@".encode()

    def stands(self, recipient: str = ASE) -> SentTo:
        return next(one for one in self.records.composed[0].sent_to if one.recipient == recipient)

    @property
    def letters(self) -> list[Sent]:
        return self.sender.sent


@pytest.fixture
def town() -> ReportTown:
    return ReportTown()


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_reaches_the_ladder_and_leaves_nothing_to_do(town: ReportTown, form: str) -> None:
    assert await town.answered(form) == "DONE"
    assert town.stands().rung is FORMS[form].rung
    assert town.records.lines == []
    assert len(town.letters) == (FORMS[form].rung is Rung.FAILED)


async def test_a_failure_is_told_once_however_often_it_is_reported(town: ReportTown) -> None:
    for form in ("bounce", "bounce", "Exchange bounce", "qmail", "bounce after days"):
        assert await town.answered(form) == "DONE"
    (letter,) = town.letters
    assert (letter.recipient, letter.sender) == (OURS, "")
    assert len(town.records.told) == 5  # all of it is written down


async def test_a_letter_that_comes_back_is_noted_and_answered_by_nothing(town: ReportTown) -> None:
    await town.answered("bounce")
    (letter,) = town.letters
    back = await town.accept(b"Return-Path: <>\r\n" + letter.raw)
    assert await town.carry(back) == "DONE"
    assert len(town.letters) == 1
    assert town.records.lines == []


async def test_a_bounce_of_a_letter_comes_before_a_human_and_not_into_another_letter(town: ReportTown) -> None:
    await town.answered("bounce")
    (letter,) = town.letters
    head, _, _ = letter.raw.partition(b"\r\n\r\n")
    bounce = town.answer("bounce").decode()
    for key in (town.sending.message_id, town.sending.id):
        bounce = bounce.replace(key, "<lettre@perdue.example>" if key.startswith("<") else "0" * 32)
    bounced = await town.accept(bounce.replace("Fiche navette", "Votre envoi").encode() + head)
    assert await town.carry(bounced) == "HELD"
    assert len(town.letters) == 1


async def test_two_reports_at_once_tell_the_author_once(town: ReportTown) -> None:
    """Both were thought about before either was written: the later one finds another rung, and thinks again."""
    first, second = (
        await town.accept(town.answer("bounce")),
        await town.accept(town.answer("bounce").replace(b"reponse@", b"autre@")),
    )
    plain = town.records.find
    overtaken = False

    async def find(keys: object) -> tuple[Sending, ...]:
        nonlocal overtaken
        found = await plain(keys)  # type: ignore[arg-type]
        if not overtaken:
            overtaken = True
            assert await town.carry(second) == "DONE"
        return found

    town.records.find = find  # type: ignore[method-assign]
    assert await town.carry(first) in ("ACCEPTED", "DONE")
    town.pass_time(minutes=2)
    assert await town.carry(first) == "DONE"
    assert len(town.letters) == 1
    assert len(town.records.told) == 2


async def test_a_worker_that_dies_after_the_news_still_writes_the_letter(
    town: ReportTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = await town.accept(town.answer("bounce"))

    async def die(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(town.sender, "send", die)
        with pytest.raises(KeyboardInterrupt):
            await town.carry(message)
    assert town.stands().rung is Rung.FAILED
    assert town.letters == []
    town.pass_time(minutes=5)
    await town.spool.due()
    assert await town.carry(message) == "DONE"
    assert len(town.letters) == 1


async def test_each_recipient_has_a_ladder_of_its_own() -> None:
    town = ReportTown(ASE, DOCTOR, wants_receipt=True)
    await town.answered("displayed", ASE)
    await town.answered("bounce", DOCTOR)
    assert (town.stands(ASE).rung, town.stands(DOCTOR).rung) == (Rung.READ, Rung.FAILED)
    assert len(town.letters) == 2  # it was read, and the author had asked; it did not arrive


async def test_what_contradicts_is_held_and_written(town: ReportTown) -> None:
    assert await town.answered("displayed") == "DONE"
    assert await town.answered("bounce") == "HELD"
    assert town.stands().rung is Rung.READ
    assert "rule:suite-contradictoire" in town.held_codes()
    assert town.letters == []


async def test_a_report_about_nothing_is_held_as_before(town: ReportTown) -> None:
    town.records.composed.clear()
    assert await town.answered("bounce") == "HELD"
    assert "rule:envoi-non-remis" in town.held_codes()


# --- two hubs, facing each other, each mailbox with an absence message of its own


class Side:
    """One of two hubs: what comes in is carried, what goes out lies on the wire. `away`: the operator's own absence
    message, as careless as RFC 3834 §2 forbids: it answers everything that has a return path."""

    def __init__(self, address: str, other: str) -> None:
        self.address = address
        policy = Policy(own_addresses=frozenset({address}), addresses=(("dossiers", address),))
        self.town = ReportTown(other, policy=policy, wants_receipt=True)
        head = replace(LETTERHEAD, address=address)
        self.town.hub = replace(self.town.hub, letterhead=lambda _: head)
        self.taken = 0

    async def take(self, raw: bytes, away: bool) -> list[tuple[str, bytes]]:
        self.taken += 1
        assert await self.town.carry(await self.town.accept(raw)) in ("DONE", "HELD")
        out = [(one.recipient, f"Return-Path: <{one.sender}>\r\n".encode() + one.raw) for one in self.town.sender.sent]
        self.town.sender.sent.clear()
        author = _header(raw, "From").strip("<>")
        if away and _header(raw, "Return-Path") != "<>":
            answered = _header(raw, "Message-ID")
            out.append((author, self._absence(author, answered)))
        return out

    def _absence(self, to: str, answered: str) -> bytes:
        return (
            f"Return-Path: <{self.address}>\r\nFrom: <{self.address}>\r\nTo: <{to}>\r\nSubject: Absence\r\n"
            f"Message-ID: <absence-{self.taken}@{self.address.partition('@')[2]}>\r\nIn-Reply-To: {answered}\r\n"
            "Auto-Submitted: auto-replied\r\n\r\nJe suis absente.\r\n"
        ).encode()


def _header(raw: bytes, name: str) -> str:
    lines = raw.partition(b"\r\n\r\n")[0].decode("ascii", "replace").split("\r\n")
    return next((line.partition(":")[2].strip() for line in lines if line.lower().startswith(name.lower() + ":")), "")


@pytest.mark.parametrize("form", ["vacation", "bounce", "displayed", "refused, old form", "deleted", "KO mail"])
async def test_two_hubs_fall_silent(form: str) -> None:
    one, two = Side(OURS, ASE), Side(ASE, OURS)
    sides = {OURS: one, ASE: two}
    wire = [(OURS, one.town.answer(form))]
    carried = 0
    while wire:
        to, raw = wire.pop(0)
        carried += 1
        assert carried < 20, "they write to each other for ever"
        wire += await sides[to].take(raw, away=carried < 5)
        one.town.now += timedelta(minutes=1)
    assert one.town.stands().rung is FORMS[form].rung
