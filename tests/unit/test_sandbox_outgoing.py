"""The sandbox's way out: what the fictional secretary writes, how her correspondents answer, what the demo demands."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage

import pypdfium2
import pytest

from hub import pdf, receipts
from hub.cda import Codes
from hub.message import (
    Document,
    DocumentForm,
    Header,
    Identity,
    Limits,
    LocalId,
    ParsedMessage,
    Rung,
    Sending,
    SentTo,
    Verdict,
)
from hub.parse import parse
from hub.routing.classify import message_class_of
from hub.sandbox.answering import Taken, answers
from hub.sandbox.outgoing import Came, Errand, differences, errands
from hub.sandbox.pdf import scanned_pdf
from hub.sandbox.people import ASE, CLOSED_MAILBOX, HOSPITAL, SECRETARY, TILLEULS
from hub.sandbox.secretary import Written, replied

NOW = datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
CODES = Codes.from_tables({})
SHUTTLE, NOTE = errands(NOW)


def _mail(raw: bytes) -> EmailMessage:
    parsed = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


# --- what she writes


def test_her_mail_is_what_a_mail_program_makes_and_says_nothing_of_mssante() -> None:
    mail = _mail(SHUTTLE.mail.as_bytes(NOW))
    assert mail["From"].addresses[0].display_name == SECRETARY
    assert [one.addr_spec for one in mail["To"].addresses] == list(SHUTTLE.mail.to)
    assert mail["Subject"] == "[dossier TIL-0101] [fiche navette] vacances d'avril"
    assert mail["Disposition-Notification-To"]
    assert not [name for name in mail if name.lower().startswith("x-mss")]
    (scan,) = mail.iter_attachments()
    assert (scan.get_filename(), scan.get_content()) == SHUTTLE.mail.files[0]
    body = mail.get_body()
    assert body is not None
    assert body.get_content().replace("\r\n", "\n") == SHUTTLE.mail.words


def test_lines_end_as_smtp_wants_them() -> None:
    for written in (SHUTTLE.mail, NOTE.mail):
        raw = written.as_bytes(NOW)
        assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")


def test_a_reply_quotes_the_letter_below_her_words() -> None:
    reply = _mail(replied("<lettre@hub.example>", "Qui ?", "[dossier 12]", "Bonjour\n\nQui ?").as_bytes(NOW))
    assert (reply["In-Reply-To"], reply["Subject"]) == ("<lettre@hub.example>", "Re: Qui ?")
    assert reply.get_content().splitlines() == ["[dossier 12]", "", "> Bonjour", ">", "> Qui ?"]


def test_every_mail_has_a_message_id_of_its_own() -> None:
    later = errands(datetime(2026, 11, 26, 9, 31, tzinfo=UTC))
    assert len({one.mail.message_id for one in (SHUTTLE, NOTE, *later)}) == 4


def test_a_scan_is_one_grey_page_that_can_become_pdfa() -> None:
    raw = scanned_pdf("FICHE NAVETTE", ["Enfant : Lina"])
    document = pypdfium2.PdfDocument(raw)
    page = document[0].render(scale=1).to_pil().convert("L")
    assert len(document) == 1
    assert page.getextrema()[0] < 100  # something is written there
    assert not document[0].get_textpage().get_text_bounded().strip()
    assert pdf.archival(raw, NOW).claim == "1B"
    assert raw == scanned_pdf("FICHE NAVETTE", ["Enfant : Lina"])


def test_a_scan_never_shows_boxes_instead_of_accents() -> None:
    with pytest.raises(ValueError, match="ASCII"):
        scanned_pdf("Été", [])


# --- how the others answer


def _taken(recipient: str, *, sender: str = TILLEULS.address, notify: str = "SUCCESS", **headers: str) -> Taken:
    mail = EmailMessage()
    mail["Message-ID"] = SENDING.message_id
    for name, value in headers.items():
        mail[name.replace("_", "-")] = value
    asked = receipts.envelope_id(SENDING, recipient)
    return Taken(sender=sender, recipient=recipient, headers=mail, envelope_id=asked, notify=frozenset({notify}))


SENDING = Sending(
    id="5" * 32,
    message="6" * 32,
    mailbox="dossiers",
    message_id="<envoi@mecs-les-tilleuls.mssante.example>",
    composed_at=NOW,
    sha256="a" * 64,
    size=1,
    kind="fiche_navette",
    sent_to=tuple(SentTo(recipient=one, rung=Rung.SUBMITTED, at=NOW) for one in SHUTTLE.mail.to),
)
ASKS = {"Disposition_Notification_To": f"<{TILLEULS.address}>"}


def _news(taken: Taken) -> list[tuple[str, Rung]]:
    """What the hub concludes of the answers, in the order of their arrival."""
    told = []
    for answer in sorted(answers(taken, NOW), key=lambda one: one.after):
        assert answer.mailbox == TILLEULS.address
        parsed = parse(answer.raw, Limits(), CODES)
        news = receipts.correlate(parsed, message_class_of(parsed)[0], [SENDING]).news
        told += [(one.recipient, one.rung) for one in news]
    return told


def test_the_ase_gets_it_reads_it_and_files_it() -> None:
    climbed = [Rung.DELIVERED, Rung.READ, Rung.INTEGRATED]
    assert _news(_taken(ASE.address, **ASKS)) == [(ASE.address, rung) for rung in climbed]


def test_the_hospital_has_not_opened_it_yet() -> None:
    assert _news(_taken(HOSPITAL.address, **ASKS)) == [(HOSPITAL.address, Rung.DELIVERED)]


def test_a_closed_mailbox_gives_it_back() -> None:
    assert _news(_taken(CLOSED_MAILBOX, **ASKS)) == [(CLOSED_MAILBOX, Rung.FAILED)]


def test_nothing_is_told_that_was_not_asked() -> None:
    assert _news(_taken(ASE.address, notify="FAILURE")) == []


@pytest.mark.parametrize("machine", [{"sender": ""}, {"Auto_Submitted": "auto-generated"}])
def test_no_machine_is_ever_answered(machine: dict[str, str]) -> None:
    assert answers(_taken(ASE.address, **ASKS, **machine), NOW) == ()


# --- what the demo demands


def _came(errand: Errand) -> Came:
    """As it must be."""
    patient = Identity(local_ids=(LocalId("1.2", f"3990000029/{errand.record_number}"),))
    document = Document(
        form=DocumentForm.CDA,
        unique_id="1",
        sha256="a",
        size=1,
        media_type="text/xml",
        title=errand.title,
        patient=patient,
    )
    arrived = ParsedMessage(
        headers=(Header("X-MSS-NIL", "BACASABLE1"),),
        subject=f"XDM/1.0/DDM+Document dossier {errand.record_number}",
        documents=(document,),
        verdict=Verdict(integrity="good", chain="good", sender="good", time="good", at=NOW),
    )
    sent_to = tuple(SentTo(recipient=one, rung=rung, at=NOW) for one, rung in errand.rungs.items())
    question = EmailMessage() if errand.answer else None
    return Came(errand=errand, sending=replace(SENDING, sent_to=sent_to), question=question, arrived=arrived)


@pytest.mark.parametrize("errand", [SHUTTLE, NOTE])
def test_what_is_as_it_must_be_has_no_difference(errand: Errand) -> None:
    assert differences(_came(errand)) == []


def _other_rung(came: Came) -> Came:
    sending = came.sending
    assert sending is not None
    return replace(
        came, sending=replace(sending, sent_to=tuple(replace(one, rung=Rung.READ) for one in sending.sent_to))
    )


def _changed(came: Came, **what: object) -> Came:
    assert came.arrived is not None
    return replace(came, arrived=replace(came.arrived, **what))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spoiled", "named"),
    [
        (lambda came: replace(came, arrived=None), "pas arrivé"),
        (lambda came: replace(came, sending=None), "pas arrivé"),
        (_other_rung, "échelons"),
        (lambda came: replace(came, question=EmailMessage()), "question"),
        (lambda came: _changed(came, verdict=None), "signature"),
        (lambda came: _changed(came, headers=()), "X-MSS-NIL"),
        (lambda came: _changed(came, subject="Fiche de Lina MARCHETERRE"), "objet"),
        (lambda came: _changed(came, documents=()), "titre"),
    ],
)
def test_each_difference_is_named(spoiled: object, named: str) -> None:
    assert callable(spoiled)
    lines = differences(spoiled(_came(SHUTTLE)))
    assert any(named in line for line in lines), lines


def test_she_asks_to_be_told_of_the_reading_of_one_only() -> None:
    """So that the demo shows both: a letter that was asked, and a ladder that climbs without one."""
    assert (SHUTTLE.mail.asks_receipt, NOTE.mail.asks_receipt) == (True, False)
    assert isinstance(SHUTTLE.mail, Written)
