"""The story of what somebody of ours wants sent, on fakes: composed once, delivered to each, told to its author."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import cast
from zoneinfo import ZoneInfo

import pypdfium2
import pytest
from sqlalchemy.engine import Connection

from hub import receipts, routing
from hub.domains import members_of
from hub.errors import Permanent, Temporary, UncertainDelivery
from hub.message import Candidate, Limits, Match, News, Plan, Rung, Thought
from hub.parse import parse
from hub.ports import Effect, Submission
from hub.sandbox.pdf import one_page_pdf
from hub.sandbox.people import LINA
from hub.trip import gather
from tests.fakes_outgoing import establishment
from tests.pieces import CODES
from tests.unit.routing_samples import rulebook
from tests.unit.test_trip import LETTERHEAD, Town

OURS = LETTERHEAD.address
ASE = "eds@ase-exemple.mssante.fr"
SCAN = one_page_pdf("Compte rendu (fictif)", ["Transport de mercredi."])
CLINIC = "secretariat@clinique-exemple.mssante.fr"


class Desk(Town):
    """A town with somebody who writes."""

    async def submit(self, subject: str, *recipients: str, pdf: bytes | None = SCAN, **headers: str) -> str:
        mail = EmailMessage(policy=email.policy.SMTP)
        mail["From"], mail["To"], mail["Subject"] = OURS, ", ".join(recipients), subject
        for name, value in headers.items():
            mail[name.replace("_", "-")] = value
        mail.set_content("Bonjour,\n\nVoici le document.\n")
        if pdf is not None:
            mail.add_attachment(pdf, maintype="application", subtype="pdf", filename="scan0012.pdf")
        return await self.submit_raw(mail.as_bytes(), *recipients)

    async def submit_raw(self, raw: bytes, *recipients: str) -> str:
        blob = await self.spool.new_blob()
        await blob.write(raw)
        submission = Submission(
            mailbox="dossiers",
            by="amelie",
            sender=OURS,
            recipients=recipients,
            received_at=self.now,
            test=True,
        )
        return (await self.spool.submit(submission, blob)).id

    async def reply(self, letter: EmailMessage, words: str) -> str:
        answer = EmailMessage(policy=email.policy.SMTP)
        answer["From"], answer["To"], answer["Subject"] = OURS, OURS, f"Re: {letter['Subject']}"
        answer["In-Reply-To"] = letter["Message-ID"]
        answer.set_content(f"{words}\n\n> " + "\n> ".join(letter.get_content().splitlines()))
        return await self.submit_raw(answer.as_bytes(), OURS)

    def outgoing(self, to: str) -> list[EmailMessage]:
        policy = email.policy.default
        return [email.message_from_bytes(one.raw, policy=policy) for one in self.sender.sent if one.recipient == to]

    async def hear(self, message_id: str, recipient: str, rung: Rung) -> None:
        (sending,) = (one for one in self.records.composed if one.message == message_id)
        news = News(sending=sending.id, recipient=recipient, rung=rung, source="dsn")
        self.records.telling(news, "a-report", self.now, receipts.heard)(cast(Connection, None))

    async def rungs(self, message_id: str) -> dict[str, Rung]:
        return {
            one.recipient: one.rung
            for sending in self.records.composed
            if sending.message == message_id
            for one in sending.sent_to
        }


@pytest.fixture
def desk() -> Desk:
    return Desk()


ABOUT_LINA = f"[dossier {LINA.record_number}] [fiche navette] transport de mercredi"


async def test_a_document_goes_to_each_recipient_as_a_conformant_message(desk: Desk) -> None:
    message_id = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message_id) == "DONE"
    (to_ase,), (to_clinic,) = desk.outgoing(ASE), desk.outgoing(CLINIC)
    assert to_ase.as_bytes() == to_clinic.as_bytes()
    assert next(part.get_filename() for part in to_ase.iter_attachments()) == "IHE_XDM.zip"
    assert to_ase["X-MSS-CODECDA"] == "28653-4"
    assert (LINA.identity.birth_name or "") not in to_ase["Subject"]
    assert await desk.rungs(message_id) == {ASE: Rung.SUBMITTED, CLINIC: Rung.SUBMITTED}
    (sending,) = desk.records.composed
    assert {one.ask.envelope_id for one in desk.sender.sent if one.ask} == {f"{sending.id}.0", f"{sending.id}.1"}
    assert not desk.outgoing(OURS)


async def test_a_mail_without_usager_waits_and_its_author_is_told_how_to_answer(desk: Desk) -> None:
    message_id = await desk.submit("le rapport", ASE)
    assert await desk.carry(message_id) == "HELD"
    (letter,) = desk.outgoing(OURS)
    assert "[dossier" in letter.get_content()
    assert letter["Auto-Submitted"] == "auto-generated"
    assert not desk.outgoing(ASE)


async def test_a_human_names_the_usager_and_it_leaves_under_that_name(desk: Desk) -> None:
    message_id = await desk.submit("le rapport", ASE)
    await desk.carry(message_id)
    envelope = desk.store.kept.messages[message_id].envelope
    parsed = await desk.reader.read(await desk.spool.raw(envelope))
    seen = await gather(envelope, parsed, desk.records)
    thought = routing.think_submission(seen, desk.hub.rulebook(), chosen=LINA.id, by="Mme Essai")
    await desk.spool.release(message_id, thought, "Mme Essai", desk.records.closing(message_id, "Mme Essai", "filed"))
    assert await desk.carry(message_id) == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert [one.by for one in desk.records.composed] == ["Mme Essai"]


async def test_nothing_leaves_the_trust_space_and_the_others_get_it(desk: Desk) -> None:
    outside = "parent@exemple.com"
    policy = routing.Policy(members=members_of(["ase-exemple.mssante.fr"]), own_addresses=frozenset({OURS}))
    desk.hub = replace(desk.hub, rulebook=lambda: rulebook(policy))
    message_id = await desk.submit(ABOUT_LINA, ASE, outside)
    assert await desk.carry(message_id) == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert not desk.outgoing(outside)
    (letter,) = desk.outgoing(OURS)
    assert outside in letter.get_content()
    assert "ressembl" not in letter.get_content()


async def test_a_slip_in_a_domain_is_answered_with_the_nearest_members(desk: Desk) -> None:
    wrong = ASE.replace("ase-exemple.", "ase-exemple.oc.")
    policy = routing.Policy(members=members_of(["ase-exemple.mssante.fr"]))
    desk.hub = replace(desk.hub, rulebook=lambda: rulebook(policy))
    message_id = await desk.submit(ABOUT_LINA, wrong)
    assert await desk.carry(message_id) == "DONE"
    assert not desk.records.composed
    (letter,) = desk.outgoing(OURS)
    assert f"n'est pas parti pour {wrong}" in letter.get_content()
    said = " ".join(letter.get_content().split())
    assert "L'adresse ressemble à celles de : ase-exemple.mssante.fr. Vérifiez-la" in said


async def test_a_domain_that_leaves_the_list_before_the_mail_has_left_gets_nothing(desk: Desk) -> None:
    """Planned and composed while it was a member, and the operator was away; the list changes before the next try."""
    known = [members_of(["ase-exemple.mssante.fr"])]
    desk.hub = replace(desk.hub, rulebook=lambda: rulebook(routing.Policy(members=known[0])))
    desk.sender.outcomes.append(Temporary("451 4.3.0 later"))
    message_id = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message_id) == "PLANNED"
    assert not desk.outgoing(ASE)
    known[0] = members_of(["autre.mssante.fr"])
    desk.pass_time(hours=1)
    assert await desk.carry(message_id) == "HELD"
    assert not desk.outgoing(ASE)
    (letter,) = desk.outgoing(OURS)
    assert "n'est plus, dans l'espace de confiance" in " ".join(letter.get_content().split())


async def test_the_words_of_a_mail_about_an_usager_are_a_document_of_the_kind_named(desk: Desk) -> None:
    message_id = await desk.submit(ABOUT_LINA, ASE, pdf=None)
    assert await desk.carry(message_id) == "DONE"
    (sending,) = desk.records.composed
    assert (sending.kind, sending.urgency) == ("fiche_navette", "P2")
    (mail,) = desk.outgoing(ASE)
    archive = parse(mail.as_bytes(), Limits(), CODES)
    assert [document.title for document in archive.documents] == ["Fiche navette"]


async def test_the_times_that_people_read_are_those_of_the_site(desk: Desk) -> None:
    """Half an hour after midnight in Paris, the eve in London."""
    policy = routing.Policy(zone=ZoneInfo("Europe/Paris"), own_addresses=frozenset({OURS}))
    desk.hub = replace(desk.hub, rulebook=lambda: rulebook(policy))
    desk.now = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    await desk.carry(await desk.submit(ABOUT_LINA, ASE, pdf=None))
    (mail,) = desk.outgoing(ASE)
    (_, copy) = mail.iter_attachments()
    assert str(copy.get_filename()).startswith("20261125_")
    page = pypdfium2.PdfDocument(copy.get_content())[0]
    assert "25/11/2026 à 00:30" in page.get_textpage().get_text_range()
    assert str(mail["Date"]) == "Wed, 25 Nov 2026 00:30:00 +0100"
    (sending,) = desk.records.composed
    assert sending.composed_at == desk.now


async def test_an_ordinary_mail_goes_as_she_wrote_it(desk: Desk) -> None:
    message_id = await desk.submit("Réunion de mardi", ASE, pdf=None, X_Mailer="Essai 1")
    assert await desk.carry(message_id) == "DONE"
    (mail,) = desk.outgoing(ASE)
    assert mail["Subject"] == "Réunion de mardi"
    assert "Voici le document." in mail.get_content()
    assert mail["X-Mailer"] is None
    assert mail["X-MSS-NIL"] == LETTERHEAD.product_reference


async def test_a_refused_recipient_is_told_once_and_the_message_waits(desk: Desk) -> None:
    desk.sender.outcomes.extend([Permanent("RCPT refused: 550 5.1.1 unknown"), "250 Ok", "250 Ok"])
    message_id = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message_id) == "HELD"
    assert await desk.rungs(message_id) == {ASE: Rung.FAILED, CLINIC: Rung.SUBMITTED}
    (letter,) = desk.outgoing(OURS)
    assert "5.1.1" in letter.get_content()
    assert ASE in letter.get_content()


async def test_a_mail_released_once_more_goes_to_those_only_who_have_it_not(desk: Desk) -> None:
    desk.sender.outcomes.append(Permanent("RCPT refused: 550 5.1.1 unknown"))
    message_id = await desk.submit(ABOUT_LINA, ASE, CLINIC)
    assert await desk.carry(message_id) == "HELD"
    envelope = desk.store.kept.messages[message_id].envelope
    seen = await gather(envelope, await desk.reader.read(await desk.spool.raw(envelope)), desk.records)
    thought = routing.think_submission(seen, desk.hub.rulebook(), chosen=LINA.id, by="Mme Essai")
    await desk.spool.release(message_id, thought, "Mme Essai", desk.records.closing(message_id, "Mme Essai", "filed"))
    assert await desk.carry(message_id) == "DONE"
    assert (len(desk.outgoing(ASE)), len(desk.outgoing(CLINIC))) == (1, 1)
    assert await desk.rungs(message_id) == {ASE: Rung.SUBMITTED, CLINIC: Rung.SUBMITTED}


async def test_what_cannot_leave_now_is_tried_again_without_a_word(desk: Desk) -> None:
    desk.sender.outcomes.extend([Temporary("451 4.3.0 later")])
    message_id = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message_id) == "PLANNED"
    assert await desk.rungs(message_id) == {ASE: Rung.PREPARED}
    desk.pass_time(hours=1)
    assert await desk.carry(message_id) == "DONE"
    assert await desk.rungs(message_id) == {ASE: Rung.SUBMITTED}
    assert len(desk.outgoing(ASE)) == 1
    assert not desk.outgoing(OURS)


async def test_an_operator_that_never_takes_it_is_given_up_and_told(desk: Desk) -> None:
    desk.sender.outcomes.extend([Temporary("451 4.3.0 later")] * 12)
    message_id = await desk.submit(ABOUT_LINA, ASE)
    for _ in range(30):
        if await desk.carry(message_id) == "HELD":
            break
        desk.pass_time(hours=3)
    assert desk.state(message_id) == "HELD"
    assert await desk.rungs(message_id) == {ASE: Rung.FAILED}
    assert len(desk.outgoing(OURS)) == 1


async def test_a_cut_after_the_dot_waits_for_a_sign_then_asks_a_human(desk: Desk) -> None:
    desk.sender.outcomes.append(UncertainDelivery("no answer after the final dot"))
    message_id = await desk.submit(ABOUT_LINA, ASE)
    assert await desk.carry(message_id) == "PLANNED"
    assert await desk.rungs(message_id) == {ASE: Rung.UNCERTAIN}
    assert not desk.outgoing(OURS)
    for _ in range(3):
        desk.pass_time(minutes=31)
        if await desk.carry(message_id) == "HELD":
            break
    assert desk.state(message_id) == "HELD"
    assert not desk.outgoing(ASE)  # never sent again by itself
    (letter,) = desk.outgoing(OURS)
    assert "peut-être" in letter.get_content()


async def test_a_sign_that_it_arrived_ends_the_doubt(desk: Desk) -> None:
    desk.sender.outcomes.append(UncertainDelivery("no answer after the final dot"))
    message_id = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message_id)
    await desk.hear(message_id, ASE, Rung.DELIVERED)
    for _ in range(3):
        desk.pass_time(minutes=31)
        if await desk.carry(message_id) == "DONE":
            break
    assert desk.state(message_id) == "DONE"
    assert not desk.outgoing(OURS)


async def test_a_mail_that_cannot_be_made_is_told_once_and_held_with_its_reason(desk: Desk) -> None:
    small = establishment(LETTERHEAD, size_most=20_000)
    desk.hub = replace(desk.hub, writing_as=lambda _: small)
    message_id = await desk.submit(ABOUT_LINA, ASE, pdf=SCAN + b"%" * 40_000)
    assert await desk.carry(message_id) == "HELD"
    assert not desk.outgoing(ASE)
    (letter,) = desk.outgoing(OURS)
    assert "Faites plusieurs envois" in letter.get_content()
    (line,) = desk.records.lines
    assert "Faites plusieurs envois" in line.hold.reasons[0].text


async def test_a_crash_between_composing_and_sending_keeps_the_bytes_and_the_message_id(desk: Desk) -> None:
    desk.sender.outcomes.append(OSError("the worker dies"))
    message_id = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message_id)
    (before,) = desk.records.composed
    desk.pass_time(hours=1)
    assert await desk.carry(message_id) == "DONE"
    (after,) = desk.records.composed
    assert (before.message_id, before.sha256) == (after.message_id, after.sha256)
    assert [mail["Message-ID"] for mail in desk.outgoing(ASE)] == [before.message_id]


async def test_a_receipt_that_her_program_makes_passes_as_it_is(desk: Desk) -> None:
    report = (
        b"From: " + OURS.encode() + b"\r\nTo: " + ASE.encode() + b"\r\nSubject: Lu : rapport\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=disposition-notification; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nLu.\r\n--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        b"Final-Recipient: rfc822; " + OURS.encode() + b"\r\nOriginal-Message-ID: <un@ase-exemple.mssante.fr>\r\n"
        b"Disposition: manual-action/MDN-sent-manually; displayed\r\n\r\n--b--\r\n"
    )
    message_id = await desk.submit_raw(report, ASE)
    assert await desk.carry(message_id) == "DONE"
    (mail,) = desk.outgoing(ASE)
    assert mail.get_content_type() == "multipart/report"
    assert mail["Disposition-Notification-To"] is None
    assert not desk.outgoing(OURS)


async def answered(desk: Desk, words: str) -> tuple[str, str]:
    """(held submission, answer): the author answers the letter about it with these words."""
    held = await desk.submit("le rapport", ASE)
    await desk.carry(held)
    (letter,) = desk.outgoing(OURS)
    answer_id = await desk.reply(letter, words)
    await desk.carry(answer_id)
    return held, answer_id


async def test_the_author_answers_with_the_number_and_it_leaves(desk: Desk) -> None:
    held, answer_id = await answered(desk, f"[dossier {LINA.record_number}]")
    assert desk.state(answer_id) == "DONE"
    assert await desk.carry(held) == "DONE"
    assert len(desk.outgoing(ASE)) == 1
    assert [one.usager_id for one in desk.records.composed] == [LINA.id]
    assert len(desk.outgoing(OURS)) == 1  # the question; the answer itself went nowhere


async def test_the_author_cancels_and_is_told_so(desk: Desk) -> None:
    held, answer_id = await answered(desk, "annuler")
    assert desk.state(answer_id) == "DONE"
    assert await desk.carry(held) == "DONE"
    assert not desk.outgoing(ASE)
    assert "annulé" in desk.outgoing(OURS)[-1]["Subject"]


async def test_an_answer_that_names_nobody_is_told_and_the_mail_still_waits(desk: Desk) -> None:
    held, answer_id = await answered(desk, "[dossier 999999]")
    assert desk.state(answer_id) == "DONE"
    assert desk.state(held) == "HELD"
    assert len(desk.outgoing(OURS)) == 2
    assert not desk.outgoing(ASE)


async def test_a_document_never_passes_as_an_automatic_mail(desk: Desk) -> None:
    """Neither a subject nor a header that machines write takes a document past the question whose it is."""
    by_subject = await desk.submit("Absence du bureau", ASE)
    by_header = await desk.submit("le rapport", ASE, Auto_Submitted="auto-replied")
    assert await desk.carry(by_subject) == await desk.carry(by_header) == "HELD"
    assert not desk.outgoing(ASE)


async def test_a_file_that_cannot_travel_as_a_document_holds_the_mail(desk: Desk) -> None:
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = OURS, ASE, ABOUT_LINA
    mail.set_content("Bonjour")
    mail.add_attachment(SCAN, maintype="application", subtype="pdf", filename="un.pdf")
    mail.add_attachment(b"PK\x03\x04", maintype="application", subtype="msword", filename="deux.doc")
    message_id = await desk.submit_raw(mail.as_bytes(), ASE)
    assert await desk.carry(message_id) == "HELD"
    assert not desk.outgoing(ASE)


async def test_a_blind_copy_is_seen_by_nobody(desk: Desk) -> None:
    mail = EmailMessage(policy=email.policy.SMTP)
    mail["From"], mail["To"], mail["Subject"] = OURS, ASE, ABOUT_LINA
    mail.set_content("Bonjour")
    mail.add_attachment(SCAN, maintype="application", subtype="pdf", filename="un.pdf")
    message_id = await desk.submit_raw(mail.as_bytes(), ASE, CLINIC)  # the clinic stands in the envelope only
    assert await desk.carry(message_id) == "DONE"
    (to_ase,), (to_clinic,) = desk.outgoing(ASE), desk.outgoing(CLINIC)
    assert CLINIC not in to_ase.as_string()
    assert ASE not in to_clinic.as_string()
    assert to_ase["Message-ID"] != to_clinic["Message-ID"]
    assert await desk.rungs(message_id) == {ASE: Rung.SUBMITTED, CLINIC: Rung.SUBMITTED}


async def test_what_she_wrote_in_the_subject_stands_above_her_words(desk: Desk) -> None:
    message_id = await desk.submit(ABOUT_LINA, ASE)
    await desk.carry(message_id)
    (mail,) = desk.outgoing(ASE)
    words = mail.get_body(("plain",))
    assert words is not None
    assert words.get_content().startswith("Objet : transport de mercredi\r\n")
    assert LINA.record_number in mail["Subject"]


async def test_an_unclear_answer_is_shown_the_candidates_again(desk: Desk) -> None:
    held = await desk.submit(f"[dossier {LINA.record_number}] pour ESSAI Paul né le 01/02/2003", ASE)
    await desk.carry(held)
    (question,) = desk.outgoing(OURS)
    await desk.carry(await desk.reply(question, "je ne sais pas"))
    again = desk.outgoing(OURS)[-1].get_content()
    assert LINA.record_number in question.get_content()
    assert LINA.record_number in again


async def test_an_answer_that_a_colleague_overtook_is_told_that_it_comes_too_late(desk: Desk) -> None:
    """Between the thought and the deed somebody released it: the letter must not say that nothing was sent."""
    held = await desk.submit("le rapport", ASE)
    await desk.carry(held)
    (question,) = desk.outgoing(OURS)
    answer = await desk.reply(question, "annuler")
    released = desk.spool.release

    async def overtaken(message_id: str, thought: Thought, by: str, effect: Effect | None = None) -> None:
        desk.spool.release = released  # type: ignore[method-assign]
        named = replace(thought, match=Match(outcome="certain", candidates=(Candidate(usager_id="somebody"),)))
        named = replace(named, plan=Plan(rule="document-de-l-usager"))
        await released(message_id, named, "une collègue")
        await released(message_id, thought, by, effect)

    desk.spool.release = overtaken  # type: ignore[method-assign]
    assert await desk.carry(answer) == "ACCEPTED"  # thought about again
    assert await desk.carry(answer) == "DONE"
    assert "trop tard" in desk.outgoing(OURS)[-1]["Subject"]
    assert not [mail for mail in desk.outgoing(OURS) if "annulé" in mail["Subject"]]
