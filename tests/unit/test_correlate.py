"""Every form of report met in the field, from its bytes to the news: correlated when any key is left, never guessed.

The reports are those of the scripted recipient (tests/recipient.py); people and domains are fictional."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cda import Codes
from hub.message import Limits, MessageClass, News, ParsedMessage, Rung, Sending, SentTo
from hub.parse import parse
from hub.receipts import correlate, envelope_id, keys_of
from hub.routing.classify import message_class_of
from tests.recipient import FORMS, Case, answer

AUTHOR = "secretariat@mecs-exemple.mssante.example"
ASE = "ase@departement-exemple.mssante.example"
DOCTOR = "Dr.Exemple@cabinet-exemple.mssante.example"
SCHOOL = "infirmerie@ecole-exemple.mssante.example"
AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
NO_CODES = Codes.from_tables({})


def a_sending(*recipients: str, number: int = 1) -> Sending:
    return Sending(
        id=f"{number:032x}",
        message="m" * 32,
        mailbox="secretariat",
        message_id=f"<envoi-{number}.{number:032x}@mecs-exemple.mssante.example>",
        composed_at=AT,
        sha256="a" * 64,
        size=1000,
        kind="fiche_navette",
        sent_to=tuple(SentTo(recipient=one, rung=Rung.SUBMITTED, at=AT) for one in recipients),
    )


def read(raw: bytes) -> tuple[ParsedMessage, MessageClass]:
    parsed = parse(raw, Limits(), NO_CODES)
    return parsed, message_class_of(parsed)[0]


def said(form: str, sending: Sending, recipient: str, *keys: str, known: tuple[Sending, ...] = ()) -> tuple[News, ...]:
    """What is concluded, when the records hold `known` and find by the keys alone."""
    parsed, message_class = read(answer(form, Case(sending, recipient, frozenset(keys), AUTHOR)))
    keyed = keys_of(parsed)
    found = [
        one
        for one in (sending, *known)
        if one.message_id in keyed or one.id in (key.partition(".")[0] for key in keyed)
    ]
    return correlate(parsed, message_class, found).news


ONE_KEY = [(form, key) for form, case in FORMS.items() for key in case.keys]


@pytest.mark.parametrize(("form", "key"), ONE_KEY)
def test_one_key_is_enough(form: str, key: str) -> None:
    (news,) = said(form, a_sending(ASE), ASE, key)
    expected = FORMS[form]
    assert (news.recipient, news.rung, news.status) == (ASE, expected.rung, expected.status)
    assert news.stood is Rung.SUBMITTED


@pytest.mark.parametrize(("form", "key"), ONE_KEY)
def test_one_of_several_recipients_is_found_by_its_name(form: str, key: str) -> None:
    found = said(form, a_sending(ASE, DOCTOR, SCHOOL), DOCTOR, key)
    if FORMS[form].names_nobody and key != "envelope":
        assert found == ()
    else:
        assert [(one.recipient, one.rung) for one in found] == [(DOCTOR, FORMS[form].rung)]


@pytest.mark.parametrize("form", FORMS)
def test_without_a_key_nothing_is_guessed(form: str) -> None:
    assert said(form, a_sending(ASE), ASE) == ()


@pytest.mark.parametrize("form", FORMS)
def test_all_keys_at_once_say_the_same(form: str) -> None:
    (news,) = said(form, a_sending(ASE), ASE, *FORMS[form].keys)
    assert (news.rung, news.status) == (FORMS[form].rung, FORMS[form].status)


def test_every_form_is_correlated_to_the_last() -> None:
    """The figure: forms times keys, all of them."""
    found = [bool(said(form, a_sending(ASE), ASE, key)) for form, key in ONE_KEY]
    assert (sum(found), len(found)) == (len(ONE_KEY), len(ONE_KEY))
    assert len(found) >= 90


def test_an_alias_is_the_only_recipient() -> None:
    (news,) = said("displayed", a_sending(ASE), "cellule.crip@departement-exemple.mssante.example", "original")
    assert (news.recipient, news.rung) == (ASE, Rung.READ)


@pytest.mark.parametrize("form", ["displayed", "bounce", "vacation", "qmail"])
def test_somebody_else_is_nobody_when_there_are_several(form: str) -> None:
    sending = a_sending(ASE, DOCTOR)
    parsed, message_class = read(answer(form, Case(sending, "autre@ailleurs.example", frozenset({"reply"}), AUTHOR)))
    found = correlate(parsed, message_class, [sending])
    assert (found.sending, found.news, found.is_whole) == (sending, (), False)


def test_the_surest_key_decides_between_two_sendings() -> None:
    """A receipt for the answer, in a thread whose first mail was ours too."""
    first, second = a_sending(ASE), a_sending(ASE, number=2)
    case = Case(second, ASE, frozenset({"original"}), AUTHOR)
    raw = answer("displayed", case).replace(
        b"MIME-Version", f"References: {first.message_id}\r\nMIME-Version".encode(), 1
    )
    parsed, message_class = read(raw)
    assert [one.sending for one in correlate(parsed, message_class, [first, second]).news] == [second.id]


def test_the_newest_mail_of_a_thread_is_answered() -> None:
    first, second = a_sending(ASE), a_sending(ASE, number=2)
    parsed, message_class = read(answer("vacation", Case(second, ASE, frozenset({"thread"}), AUTHOR)))
    parsed = replace(parsed, references=(first.message_id, second.message_id))
    assert [one.sending for one in correlate(parsed, message_class, [first, second]).news] == [second.id]


def of_group(name: str, action: str, status: str, *, original: str = "") -> str:
    ours = f"Original-Recipient: rfc822;{original}\r\n" if original else ""
    return f"{ours}Final-Recipient: rfc822; {name}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"


def several(sending: Sending, *groups: str) -> tuple[ParsedMessage, MessageClass]:
    case = Case(sending, ASE, frozenset({"original"}), AUTHOR)
    fields = f"Reporting-MTA: dns; x\r\n{case.original_field().strip()}\r\n\r\n{''.join(groups)}"
    head = case.head("MAILER-DAEMON@ailleurs.example", "Delivery Status Notification")
    return read((head + case.report("delivery-status", "Voici.", fields)).replace("\r\n", "\n").encode())


def test_a_bounce_tells_of_each_of_its_recipients() -> None:
    sending = a_sending(ASE, DOCTOR, SCHOOL)
    parsed, message_class = several(
        sending,
        of_group(ASE, "delivered", "2.0.0"),
        of_group(DOCTOR.lower(), "failed", "5.2.2"),
        of_group("SMTP:" + SCHOOL, "delayed", "4.4.1"),
    )
    found = correlate(parsed, message_class, [sending])
    assert [(one.recipient, one.rung, one.status) for one in found.news] == [
        (ASE, Rung.DELIVERED, ""),
        (DOCTOR, Rung.FAILED, "5.2.2"),
        (SCHOOL, Rung.DELAYED, "4.4.1"),
    ]
    assert found.is_whole


def test_of_a_list_behind_an_address_the_worst_counts() -> None:
    sending = a_sending(ASE, DOCTOR)
    parsed, message_class = several(
        sending,
        of_group("un@liste.example", "delivered", "2.0.0", original=ASE),
        of_group("deux@liste.example", "failed", "5.1.1", original=ASE),
        of_group("trois@liste.example", "delivered", "2.0.0", original=ASE),
    )
    (news,) = correlate(parsed, message_class, [sending]).news
    assert (news.recipient, news.rung) == (ASE, Rung.FAILED)


def test_a_bounce_about_a_stranger_too_is_not_whole() -> None:
    sending = a_sending(ASE, DOCTOR)
    parsed, message_class = several(
        sending, of_group(ASE, "failed", "5.1.1"), of_group("autre@ailleurs.example", "failed", "5.1.1")
    )
    found = correlate(parsed, message_class, [sending])
    assert ([one.recipient for one in found.news], found.is_whole) == ([ASE], False)


def test_a_recipient_given_back_as_xtext_is_known() -> None:
    plus = "ase+crip@departement-exemple.mssante.example"
    sending = a_sending(plus, DOCTOR)
    written = plus.replace("+", "+2B")
    parsed, message_class = several(sending, of_group("x@y.example", "failed", "5.1.1", original=written))
    assert [one.recipient for one in correlate(parsed, message_class, [sending]).news] == [plus]


def test_processed_is_an_integration_only_of_a_document() -> None:
    ordinary = replace(a_sending(ASE), kind=None)
    (news,) = said("processed", ordinary, ASE, "original")
    assert news.rung is Rung.DELIVERED


def test_a_report_of_another_sort_is_no_bounce() -> None:
    sending = a_sending(ASE)
    case = Case(sending, ASE, frozenset({"reply", "returned"}), AUTHOR)
    raw = case.head("abuse@ailleurs.example", "Rapport") + case.report("feedback-report", "Plainte.", "x: y").replace(
        "message/disposition-notification", "message/feedback-report"
    )
    parsed, message_class = read(raw.encode())
    assert message_class is MessageClass.DSN
    found = correlate(parsed, message_class, [sending])
    assert (found.sending, found.news) == (sending, ())


def test_what_a_person_wrote_tells_nothing() -> None:
    sending = a_sending(ASE)
    raw = f"From: {ASE}\nTo: {AUTHOR}\nSubject: Re: Fiche\nIn-Reply-To: {sending.message_id}\n\nMerci.\n"
    parsed, message_class = read(raw.encode())
    assert message_class is MessageClass.TEXT
    assert correlate(parsed, message_class, [sending]).news == ()


def test_an_envelope_id_names_the_sending_and_the_recipient() -> None:
    sending = a_sending(ASE, DOCTOR)
    assert envelope_id(sending, DOCTOR.upper()) == f"{sending.id}.1"
    assert envelope_id(sending, "autre@ailleurs.example") == sending.id


FIELD_NAMES = st.sampled_from(
    ["Final-Recipient", "Original-Recipient", "Action", "Status", "Disposition", "Error", "X"]
)
FIELDS = st.builds(lambda name, value: f"{name}: {value}", FIELD_NAMES, st.text(max_size=30) | st.just("failed"))


@given(
    st.sampled_from(["delivery-status", "disposition-notification"]),
    st.lists(FIELDS, max_size=12),
    st.text(max_size=200),
    st.sampled_from(list(MessageClass)),
)
def test_whatever_comes_nothing_raises_and_nobody_else_is_named(
    kind: str, fields: list[str], body: str, message_class: MessageClass
) -> None:
    sending = a_sending(ASE, DOCTOR)
    case = Case(sending, ASE, frozenset({"reply"}), AUTHOR)
    raw = case.head("MAILER-DAEMON@ailleurs.example", body.replace("\n", " ")[:50]) + case.report(
        kind, body, "\n".join(fields)
    )
    parsed = parse(raw.encode("utf-8", "replace"), Limits(), NO_CODES)
    found = correlate(parsed, message_class, [sending])
    assert {one.recipient for one in found.news} <= {ASE, DOCTOR}
    assert len(found.news) == len({one.recipient for one in found.news})


def test_a_warning_that_speaks_of_hours_is_a_delay_and_one_of_a_virus_a_failure() -> None:
    sending = a_sending(ASE)
    rungs = []
    for subject in ("Warning: could not send message for past 4 hours", "Warning: virus found in your message"):
        case = Case(sending, ASE, frozenset({"reply"}), AUTHOR)
        parsed, message_class = read((case.head("MAILER-DAEMON@ailleurs.example", subject) + "\nVoici.\n").encode())
        rungs += [one.rung for one in correlate(parsed, message_class, [sending]).news]
    assert rungs == [Rung.DELAYED, Rung.FAILED]


def test_keys_are_bounded_and_the_surest_stay() -> None:
    many = tuple(f"<{n}@x.example>" for n in range(500))
    body = " ".join(f"<b{n}@x.example>" for n in range(5_000))
    keys = keys_of(
        ParsedMessage(in_reply_to="<r@x.example>", references=many, carried_ids=("<c@x.example>",), body=body)
    )
    assert keys[:2] == ("<r@x.example>", "<499@x.example>")
    assert "<c@x.example>" in keys
    assert len(keys) == 64
