"""The story of what is written to a role, on fakes: who gets it is found anew at each sending, or it waits."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date, timedelta

import pytest

from hub import deeds, routing, trip
from hub.domains import NO_MEMBERS, members_of
from hub.errors import Permanent
from hub.message import Delivery, Hold, Rung
from hub.records.contacts import Described
from hub.records.held_roles_read import For
from hub.routing.roles import Roles
from hub.sandbox.people import LINA, TILLEULS
from tests.fakes_book import ROLES
from tests.unit.routing_samples import CONFIG, rulebook
from tests.unit.test_trip import letter
from tests.unit.test_trip_out import ABOUT_LINA, OURS, Desk

GARNIER, LOPEZ, BUREAU = (f"{name}@ase-exemple.mssante.fr" for name in ("garnier", "lopez", "secretariat-nord"))
REFERENT = "referent-ase@dossier.invalid"
OF_LINA = For(usager_id=LINA.id)
POLICY = routing.Policy(
    members=members_of({one.rpartition("@")[2] for one in (GARNIER, TILLEULS.address)}),
    own_addresses=frozenset({TILLEULS.address}),
    roles=Roles(ROLES, "dossier.invalid"),
)
RULES = (CONFIG / "routes.yaml").read_text(encoding="utf-8")
PASSED_ON = RULES.replace(
    "  - name: type-declare",
    """  - name: transmis-au-referent
    when: {class: [xdm, document], match: certain, sender: "*@*mssante*"}
    then: {file: true, copy: "role:referent_ase"}

  - name: type-declare""",
    1,
)


class Bureau(Desk):
    """A desk with an address book; 25 November 2026, noon."""

    def __init__(self, rules: str = RULES, policy: routing.Policy = POLICY) -> None:
        super().__init__()
        self.hub = replace(self.hub, rulebook=lambda: rulebook(policy, rules))
        self.records.book.clock = lambda: self.now
        for address in (GARNIER, LOPEZ, BUREAU):
            asyncio.run(self.records.book.add(address, Described(type="ORG"), "essai"))

    @property
    def today(self) -> date:
        return self.now.date()

    async def hold(self, address: str = GARNIER, since: date = date(2026, 3, 1), whom: For = OF_LINA) -> None:
        await self.records.book.say(whom, "referent_ase", address, since, None, "essai")

    def letter_text(self) -> str:
        return str(self.outgoing(OURS)[-1].get_content())

    async def release(self, message_id: str) -> routing.Rulebook:
        """As `hub release --usager` does."""
        envelope = await self.spool.envelope(message_id)
        assert envelope is not None
        rules = self.hub.rulebook()
        parsed = await self.reader.read(await self.spool.raw(envelope))
        seen = await trip.gather(envelope, parsed, self.records)
        seen = await deeds.with_roles(seen, rules, self.records, self.now, LINA.id)
        if envelope.is_submission:
            thought = routing.think_submission(seen, rules, chosen=LINA.id, by="Mme Essai")
        else:
            thought = routing.released(seen, rules, LINA.id, "Mme Essai")
        await self.spool.release(message_id, thought, "Mme Essai", self.records.closing(message_id, "E", "filed"))
        return rules

    async def steps(self, message_id: str) -> list[Delivery]:
        thought = await self.spool.thought(message_id)
        assert thought is not None
        return [step for step in thought.plan.steps if isinstance(step, Delivery)]


@pytest.fixture
def bureau() -> Bureau:
    return Bureau()


async def test_a_mail_to_a_role_goes_to_who_holds_it(bureau: Bureau) -> None:
    await bureau.hold()
    message_id = await bureau.submit(ABOUT_LINA, REFERENT)
    assert await bureau.carry(message_id) == "DONE"
    (mail,) = bureau.outgoing(GARNIER)
    assert mail["To"] == GARNIER
    assert "dossier.invalid" not in mail.as_string()
    assert {one.recipient for one in bureau.sender.sent} == {GARNIER}
    (step,) = (one for one in await bureau.steps(message_id) if one.content == "dispatch")
    assert step.role == "référent ASE de l'usager, depuis le 01/03/2026"


async def test_the_second_goes_to_the_new_referent(bureau: Bureau) -> None:
    await bureau.hold()
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT)) == "DONE"
    bureau.pass_time(days=10)
    await bureau.hold(LOPEZ, since=bureau.today)
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT)) == "DONE"
    assert (len(bureau.outgoing(GARNIER)), len(bureau.outgoing(LOPEZ))) == (1, 1)


async def test_a_change_noted_ahead_takes_effect_at_the_sites_midnight(bureau: Bureau) -> None:
    await bureau.hold()
    await bureau.hold(LOPEZ, since=date(2026, 11, 26))
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT)) == "DONE"
    assert bureau.outgoing(GARNIER)
    bureau.pass_time(hours=12)  # midnight UTC; POLICY has no zone of its own
    assert await bureau.carry(await bureau.submit(ABOUT_LINA + " (suite)", REFERENT)) == "DONE"
    assert bureau.outgoing(LOPEZ)


async def test_it_waits_without_a_holder_and_goes_once_the_book_knows_one(bureau: Bureau) -> None:
    message_id = await bureau.submit(ABOUT_LINA, REFERENT, GARNIER)
    assert await bureau.carry(message_id) == "HELD"
    assert bureau.held_codes() == {"role-unresolved"}
    assert not bureau.outgoing(GARNIER)  # one of both is not sent alone
    assert "hub usagers role set" in bureau.letter_text()
    await bureau.hold(LOPEZ)
    (letter_to_her,) = bureau.outgoing(OURS)
    answer = await bureau.reply(letter_to_her, f"[dossier {LINA.record_number}]")
    await bureau.carry(answer)
    assert await bureau.carry(message_id) == "DONE"
    assert (len(bureau.outgoing(GARNIER)), len(bureau.outgoing(LOPEZ))) == (1, 1)


async def test_a_role_that_ended_is_never_sent_to_the_last_one(bureau: Bureau) -> None:
    await bureau.hold()
    await bureau.records.book.end(OF_LINA, "referent_ase", GARNIER, bureau.today - timedelta(days=1), "essai")
    message_id = await bureau.submit(ABOUT_LINA, REFERENT)
    assert await bureau.carry(message_id) == "HELD"
    assert bureau.held_codes() == {"role-ended"}
    assert not bureau.outgoing(GARNIER)


async def test_released_after_a_change_it_goes_to_the_new_one(bureau: Bureau) -> None:
    await bureau.hold()
    message_id = await bureau.submit("le rapport", REFERENT)  # of nobody: it waits
    assert await bureau.carry(message_id) == "HELD"
    await bureau.hold(LOPEZ, since=bureau.today)
    await bureau.release(message_id)
    assert await bureau.carry(message_id) == "DONE"
    assert not bureau.outgoing(GARNIER)
    assert len(bureau.outgoing(LOPEZ)) == 1


async def test_released_while_nobody_holds_it_it_waits_again(bureau: Bureau) -> None:
    message_id = await bureau.submit("le rapport", REFERENT)
    await bureau.carry(message_id)
    await bureau.release(message_id)
    assert await bureau.carry(message_id) == "HELD"
    assert not bureau.outgoing(GARNIER)


async def test_released_after_a_change_nobody_gets_a_twin(bureau: Bureau) -> None:
    """The address of the référent was refused, the others have it: another mail then, and none of it for them."""
    await bureau.hold()
    bureau.sender.outcomes.append(Permanent("RCPT refused: 550 5.1.1 unknown"))
    message_id = await bureau.submit(ABOUT_LINA, REFERENT, BUREAU)
    assert await bureau.carry(message_id) == "HELD"
    assert len(bureau.outgoing(BUREAU)) == 1
    await bureau.hold(LOPEZ, since=bureau.today)
    await bureau.release(message_id)
    assert await bureau.carry(message_id) == "DONE"
    assert (len(bureau.outgoing(BUREAU)), len(bureau.outgoing(LOPEZ))) == (1, 1)
    (last,) = bureau.outgoing(LOPEZ)
    assert {LOPEZ, BUREAU} == {one.addr_spec for one in last["To"].addresses}
    (sending,) = (one for one in bureau.records.composed if one.message_id == last["Message-ID"])
    assert {one.recipient: one.rung for one in sending.sent_to} == {LOPEZ: Rung.SUBMITTED, BUREAU: Rung.SUBMITTED}


async def test_words_alone_to_a_role_ask_whom_they_are_about(bureau: Bureau) -> None:
    await bureau.hold()
    message_id = await bureau.submit("une question", REFERENT, pdf=None)
    assert await bureau.carry(message_id) == "HELD"
    assert bureau.held_codes() == {"role-without-usager"}
    (told,) = bureau.outgoing(OURS)
    assert "de quel usager" in told["Subject"]
    await bureau.carry(await bureau.reply(told, f"[dossier {LINA.record_number}]"))
    assert await bureau.carry(message_id) == "DONE"
    assert len(bureau.outgoing(GARNIER)) == 1


async def test_a_role_that_does_not_exist_is_told_and_the_others_get_it(bureau: Bureau) -> None:
    message_id = await bureau.submit(ABOUT_LINA, "referant@dossier.invalid", GARNIER)
    assert await bureau.carry(message_id) == "DONE"
    assert len(bureau.outgoing(GARNIER)) == 1
    assert "referent-ase@dossier.invalid" in bureau.letter_text()
    assert {one.recipient for one in bureau.sender.sent} == {GARNIER, OURS}


async def test_the_territory_stands_for_the_children_without_a_role_of_their_own(bureau: Bureau) -> None:
    bureau.records.known = (replace(LINA, territory="Vallée du Nord"),)
    await bureau.hold(BUREAU, whom=For(territory="vallee du nord"))
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT)) == "DONE"
    assert len(bureau.outgoing(BUREAU)) == 1


async def test_an_address_that_left_the_trust_space_gets_nothing() -> None:
    bureau = await asyncio.to_thread(Bureau, policy=replace(POLICY, members=members_of({"autre-exemple.mssante.fr"})))
    await bureau.hold()
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT)) == "HELD"
    assert bureau.held_codes() == {"role-outside"}
    assert not bureau.outgoing(GARNIER)


async def test_a_role_and_its_own_address_are_one_recipient(bureau: Bureau) -> None:
    await bureau.hold()
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, REFERENT, GARNIER)) == "DONE"
    assert len(bureau.outgoing(GARNIER)) == 1


async def test_who_writes_by_hand_to_a_former_referent_is_told(bureau: Bureau) -> None:
    await bureau.hold()
    await bureau.hold(LOPEZ, since=bureau.today)
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, GARNIER)) == "DONE"
    assert len(bureau.outgoing(GARNIER)) == 1  # as asked
    assert LOPEZ in bureau.letter_text()
    assert REFERENT in bureau.letter_text()
    before = len(bureau.outgoing(OURS))
    assert await bureau.carry(await bureau.submit(ABOUT_LINA, LOPEZ)) == "DONE"
    assert len(bureau.outgoing(OURS)) == before


# --- what comes in ------------------------------------------------------------------------------------------------


@pytest.fixture
def passing() -> Bureau:
    return Bureau(PASSED_ON, replace(POLICY, members=NO_MEMBERS))


async def test_a_document_received_is_passed_on_to_the_referent_of_the_child(passing: Bureau) -> None:
    await passing.hold()
    message_id = await passing.accept(letter())
    assert await passing.carry(message_id) == "DONE"
    assert len(passing.records.filed) == 1
    assert len(passing.outgoing(GARNIER)) == 1
    (step,) = await passing.steps(message_id)
    assert (step.content, step.role) == ("copy", "référent ASE de l'usager, depuis le 01/03/2026")


async def test_without_a_referent_it_waits_whole_and_goes_to_the_one_of_the_day_it_is_released(
    passing: Bureau,
) -> None:
    message_id = await passing.accept(letter())
    assert await passing.carry(message_id) == "HELD"
    assert passing.held_codes() == {"role-unresolved"}
    assert not passing.records.filed
    await passing.release(message_id)  # too early
    assert await passing.carry(message_id) == "HELD"
    assert not passing.records.filed
    await passing.hold(LOPEZ)
    await passing.release(message_id)
    assert await passing.carry(message_id) == "DONE"
    assert len(passing.records.filed) == 1
    assert len(passing.outgoing(LOPEZ)) == 1


async def test_what_was_passed_on_is_not_passed_on_twice(passing: Bureau) -> None:
    await passing.hold()
    message_id = await passing.accept(letter())
    await passing.carry(message_id)
    envelope = await passing.spool.envelope(message_id)
    assert envelope is not None
    rules = passing.hub.rulebook()
    seen = await trip.gather(envelope, await passing.reader.read(await passing.spool.raw(envelope)), passing.records)
    seen = await deeds.with_roles(seen, rules, passing.records, passing.now, LINA.id)
    again = routing.released(seen, rules, LINA.id, "Mme Essai", passed_on_before=True)
    assert not any(isinstance(step, Delivery) for step in again.plan.steps)


async def test_a_stranger_s_document_waits_for_its_usager_not_for_a_role(passing: Bureau) -> None:
    passing.records.known = ()
    message_id = await passing.accept(letter())
    assert await passing.carry(message_id) == "HELD"
    thought = await passing.spool.thought(message_id)
    assert thought is not None
    (held,) = (step for step in thought.plan.steps if isinstance(step, Hold))
    assert "role-without-usager" not in {one.code for one in held.reasons}
