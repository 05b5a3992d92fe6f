"""What a report does to a sending of ours: news for its ladder, at most one letter, never a letter about a letter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from hub import compose, routing
from hub.errors import Misconfigured
from hub.message import (
    Delivery,
    Door,
    Envelope,
    Hold,
    Limits,
    MessageClass,
    News,
    ParsedMessage,
    Receipt,
    Report,
    Rung,
    Sending,
    Thought,
)
from hub.parse import parse
from hub.parse.signed import Witness
from hub.raw import joined
from hub.receipts import heard, keys_of
from hub.routing.rulebook import Policy
from hub.smime import Trust, sign
from tests.recipient import FORMS, Case, answer
from tests.signers import AT as SIGNED_AT
from tests.signers import Authority
from tests.unit.routing_samples import document, mail, rulebook
from tests.unit.test_correlate import ASE, AT, AUTHOR, DOCTOR, NO_CODES, a_sending

REPORT = "r" * 32
POLICY = Policy(
    own_addresses=frozenset({AUTHOR}),
    addresses=(("secretariat", AUTHOR),),
    zone=ZoneInfo("Europe/Paris"),
)
BOOK = rulebook(POLICY)


def thought(
    form: str,
    sending: Sending,
    *,
    recipient: str = ASE,
    book: routing.Rulebook = BOOK,
    known: Iterable[Sending] | None = None,
) -> Thought:
    """Of one answer of the recipient, with every key that its form may hold."""
    raw = answer(form, Case(sending, recipient, frozenset(FORMS[form].keys), AUTHOR))
    return routing.think(seen(parse(raw, Limits(), NO_CODES), (sending,) if known is None else known), book)


def seen(parsed: ParsedMessage, sendings: Iterable[Sending]) -> routing.Seen:
    envelope = Envelope(id=REPORT, door=Door.IMAP, mailbox="secretariat", received_at=AT + timedelta(hours=1))
    return routing.Seen(envelope=envelope, parsed=parsed, sendings=tuple(sendings))


def standing(sending: Sending, rung: Rung, status: str = "", report: str = "") -> Sending:
    sent_to = tuple(replace(one, rung=rung, status=status, report=report) for one in sending.sent_to)
    return replace(sending, sent_to=sent_to)


def names(thought: Thought) -> list[str]:
    return [type(step).__name__ for step in thought.plan.steps]


def letter_of(thought: Thought) -> Delivery:
    (letter,) = (step for step in thought.plan.steps if isinstance(step, Delivery))
    assert letter.content == "letter"
    return letter


@pytest.mark.parametrize("form", [form for form, case in FORMS.items() if case.rung is Rung.FAILED])
def test_a_failure_is_written_and_told_once_and_waits_for_nobody(form: str) -> None:
    told = thought(form, a_sending(ASE))
    assert (told.plan.rule, names(told)) == ("suite-d-un-envoi", ["News", "Delivery"])
    letter = letter_of(told)
    assert letter.recipient == AUTHOR
    assert "Ce qu'il faut faire" in letter.text
    assert ASE in letter.text


@pytest.mark.parametrize("form", [form for form, case in FORMS.items() if case.rung is not Rung.FAILED])
def test_other_news_are_written_and_told_to_nobody(form: str) -> None:
    told = thought(form, a_sending(ASE))
    assert (told.plan.rule, names(told)) == ("suite-d-un-envoi", ["News"])


@pytest.mark.parametrize(
    ("form", "subject"),
    [
        ("displayed", "Votre envoi a été lu"),
        ("processed", "Votre envoi a été intégré au dossier"),
        ("bounce", "Votre envoi n'est pas arrivé à tous ses destinataires"),
        ("refused, new form", "Votre envoi n'a pas pu être intégré par un destinataire"),
        ("deleted", "Votre envoi a été supprimé sans être lu"),
    ],
)
def test_who_asked_for_a_receipt_is_told_of_success_too(form: str, subject: str) -> None:
    assert letter_of(thought(form, replace(a_sending(ASE), wants_receipt=True))).subject == subject


def test_the_letter_says_what_happened_and_what_to_do() -> None:
    letter = letter_of(thought("bounce", a_sending(ASE, DOCTOR), recipient=DOCTOR))
    assert letter.text == (
        "Bonjour,\n"
        "\n"
        "Votre envoi n° 00000000 (Fiche navette), parti le 25/11/2026 à 10:00 de la boîte "
        "secretariat@mecs-exemple.mssante.example, n'a pas abouti pour :\n"
        "\n"
        "- Dr.Exemple@cabinet-exemple.mssante.example : l'adresse n'existe pas ou n'existe plus (5.1.1).\n"
        "  Ce qu'il faut faire : Vérifiez l'adresse dans l'annuaire, puis renvoyez, ou téléphonez au destinataire.\n"
    )


def test_the_address_of_an_usager_is_an_ins_and_stays_out_of_the_letter() -> None:
    usager = "215036912345678@patient.mssante.fr"
    letter = letter_of(thought("bounce", a_sending(usager), recipient=usager))
    assert "215036912345678" not in letter.text + letter.subject + letter.reason
    assert "un usager, dans Mon espace santé" in letter.text


@pytest.mark.parametrize(
    ("stands", "form"),
    [
        (standing(a_sending(ASE), Rung.FAILED, "5.1.1"), "bounce"),  # twice
        (standing(a_sending(ASE), Rung.FAILED, "902"), "refused, old form"),
        (standing(a_sending(ASE), Rung.FAILED, "902"), "delivered"),  # late
        (standing(a_sending(ASE), Rung.READ), "delivered"),
        (standing(a_sending(ASE), Rung.READ), "deleted"),
        (standing(replace(a_sending(ASE), wants_receipt=True), Rung.READ), "displayed"),
        (standing(replace(a_sending(ASE), wants_receipt=True), Rung.READ), "processed"),  # told when it was read
        (standing(replace(a_sending(ASE), wants_receipt=True), Rung.INTEGRATED), "displayed"),
    ],
)
def test_what_is_late_or_repeated_gives_no_letter(stands: Sending, form: str) -> None:
    told = thought(form, stands)
    assert (told.plan.rule, names(told)) == ("suite-d-un-envoi", ["News"])


def test_a_plan_made_anew_after_its_own_news_still_writes_the_letter() -> None:
    """The news were written, the letter not yet: the same report is thought about again."""
    told = thought("bounce", standing(a_sending(ASE), Rung.FAILED, "5.1.1", report=REPORT))
    assert names(told) == ["News", "Delivery"]


@pytest.mark.parametrize(
    ("stands", "form"),
    [
        (standing(a_sending(ASE), Rung.READ), "bounce"),
        (standing(a_sending(ASE), Rung.FAILED, "5.1.1"), "delivered"),
        (standing(a_sending(ASE), Rung.INTEGRATED), "refused, new form"),
    ],
)
def test_what_contradicts_is_written_and_comes_before_a_human(stands: Sending, form: str) -> None:
    told = thought(form, stands)
    assert (told.plan.rule, names(told)) == ("suite-contradictoire", ["News", "Hold"])


def test_an_author_whose_mailbox_is_gone_is_replaced_by_a_human() -> None:
    told = thought("bounce", replace(a_sending(ASE), mailbox="fermee"))
    assert (told.plan.rule, names(told)) == ("suite-contradictoire", ["News", "Hold"])


@pytest.mark.parametrize(
    ("form", "rule", "steps"),
    [
        ("bounce", "envoi-non-remis", ["Hold"]),
        ("refused, old form", "integration-refusee", ["Hold"]),
        ("KO mail", "integration-refusee", ["Hold"]),
        ("deleted", "efface-sans-lecture", ["Hold"]),
        ("qmail", "avis-peu-clair", ["Hold"]),
        ("delivered", "avis-de-remise", []),
        ("displayed", "accuse", []),
        ("vacation", "reponse-automatique", []),
    ],
)
def test_a_report_about_nothing_of_ours_is_treated_as_before(form: str, rule: str, steps: list[str]) -> None:
    told = thought(form, a_sending(ASE), known=())
    assert (told.plan.rule, names(told)) == (rule, steps)


@pytest.mark.parametrize(("form", "steps"), [("bounce", ["Hold"]), ("displayed", []), ("vacation", [])])
def test_a_report_that_does_not_say_of_whom_is_not_guessed(form: str, steps: list[str]) -> None:
    told = thought(form, a_sending(ASE, DOCTOR), recipient="autre@ailleurs.example")
    if form == "bounce":  # its envelope id says it: without that
        raw = answer(form, Case(a_sending(ASE, DOCTOR), "autre@ailleurs.example", frozenset({"original"}), AUTHOR))
        told = routing.think(seen(parse(raw, Limits(), NO_CODES), (a_sending(ASE, DOCTOR),)), BOOK)
    assert names(told) == steps


def test_defects_of_the_mail_given_back_do_not_stop_a_known_report() -> None:
    sending = a_sending(ASE)
    raw = answer("message non distribué", Case(sending, ASE, frozenset({"returned"}), AUTHOR))
    cut = parse(raw[: raw.rindex(b"--=_rapport--")], Limits(), NO_CODES)
    assert any(defect.grave for defect in cut.defects)
    assert names(routing.think(seen(cut, (sending,)), BOOK)) == ["News", "Delivery"]
    assert names(routing.think(seen(cut, ()), BOOK)) == ["Hold"]


def test_a_document_of_somebody_else_is_no_report() -> None:
    sending = a_sending(ASE)
    parsed = mail(document(), in_reply_to=sending.message_id)
    assert not any(isinstance(step, News) for step in routing.think(seen(parsed, (sending,)), BOOK).plan.steps)


# --- the condition of the rules


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("when: {class: dsn, sending: connu}", "connu is no known sending"),
        ("when: {class: xdm, sending: known}", "can never hold with class xdm"),
        ("when: {class: letter}", "letter is no known class"),
    ],
)
def test_a_slip_of_the_pen_is_said_at_load(rule: str, fault: str) -> None:
    routes = f"rules:\n  - name: a\n    {rule}\n    then: {{note: 'Vu.'}}\n  - name: z\n    then: {{hold: 'Lisez.'}}\n"
    with pytest.raises(Misconfigured, match=fault):
        rulebook(POLICY, routes)


def test_a_rule_may_ask_what_a_report_is_about() -> None:
    routes = (
        "rules:\n  - name: suivi\n    when: {sending: [known, unclear]}\n    then: {note: 'Vu.'}\n"
        "  - name: z\n    then: {hold: 'Lisez.'}\n"
    )
    book = rulebook(POLICY, routes)
    assert thought("bounce", a_sending(ASE), book=book).plan.rule == "suivi"
    assert thought("bounce", a_sending(ASE), book=book, known=()).plan.rule == "z"
    assert routing.think(seen(mail(document()), ()), book).plan.rule == "z"  # a person's mail is about no sending


def test_only_reports_are_looked_up() -> None:
    raw = answer("bounce", Case(a_sending(ASE), ASE, frozenset({"original"}), AUTHOR))
    assert routing.report_keys(parse(raw, Limits(), NO_CODES)) == (a_sending(ASE).message_id,)
    assert routing.report_keys(mail(document(), in_reply_to="<a@b.example>")) == ()


# --- letters that come back


def letter_raw(subject: str = "Votre envoi a été lu", auto: str = "auto-generated", to: str = AUTHOR) -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: <{AUTHOR}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nAuto-Submitted: {auto}\r\n"
        "Message-ID: <lettre@x.example>\r\n\r\nBonjour,\r\n"
    ).encode()


def test_a_letter_of_our_own_is_noted_and_closed() -> None:
    told = routing.think(seen(parse(letter_raw(), Limits(), NO_CODES), ()), BOOK)
    assert (told.classification.message_class, told.plan.rule, told.plan.steps) == (
        MessageClass.LETTER,
        "own-letter",
        (),
    )


AC = Authority("ec")
SIGNER = AC.signer(AUTHOR)


def signed_letter() -> bytes:
    head, _, _ = letter_raw().partition(b"\r\n\r\n")
    entity = b"Content-Type: text/plain; charset=UTF-8\r\n\r\nBonjour,\r\n"
    return head + b"\r\nMIME-Version: 1.0\r\n" + sign(entity, SIGNER, SIGNED_AT, "=_sig_a")


def test_so_is_one_that_the_hub_signed_and_none_whose_signature_is_false() -> None:
    witness = Witness(Trust(AC.anchors), SIGNED_AT)
    letter = parse(signed_letter(), Limits(), NO_CODES, witness=witness)
    assert letter.verdict is not None
    assert letter.verdict.outcome == "valid"
    assert routing.think(seen(letter, ()), BOOK).plan.rule == "own-letter"
    altered = parse(signed_letter().replace(b"Bonjour", b"Bonsoir"), Limits(), NO_CODES, witness=witness)
    assert routing.think(seen(altered, ()), BOOK).plan.rule != "own-letter"


@pytest.mark.parametrize(
    "parsed",
    [
        parse(letter_raw(auto="auto-replied"), Limits(), NO_CODES),  # somebody's absence
        parse(letter_raw(to="autre@ailleurs.example"), Limits(), NO_CODES),
        replace(parse(letter_raw(), Limits(), NO_CODES), from_address="autre@ailleurs.example"),
        replace(parse(letter_raw(), Limits(), NO_CODES), documents=(document(),)),
        replace(parse(letter_raw(), Limits(), NO_CODES), cc=("autre@ailleurs.example",)),
        replace(parse(letter_raw(), Limits(), NO_CODES), report=Report(form="mdn", disposition="displayed")),
    ],
)
def test_what_only_looks_like_a_letter_of_ours_goes_the_usual_way(parsed: ParsedMessage) -> None:
    assert routing.think(seen(parsed, ()), BOOK).plan.rule != "own-letter"


# --- two hubs, facing each other


@dataclass
class Hub:
    """One hub as its mind makes it, with an absence message on its only mailbox. `wire` is what it sends."""

    address: str
    wire: deque[tuple[str, bytes]]
    sendings: list[Sending] = field(default_factory=list)
    thoughts: list[Thought] = field(default_factory=list)
    number: int = 0

    async def receive(self, raw: bytes, away: bool) -> None:
        parsed = parse(raw, Limits(), NO_CODES)
        policy = Policy(own_addresses=frozenset({self.address}), addresses=(("boite", self.address),))
        keys = keys_of(parsed)
        known = tuple(one for one in self.sendings if one.message_id in keys)
        told = routing.think(seen(parsed, known), rulebook(policy))
        self.thoughts.append(told)
        for step in told.plan.steps:
            match step:
                case News():
                    self.sendings = [self._after(one, step) for one in self.sendings]
                case Delivery(content="letter"):
                    self.wire.append((step.recipient, await self._letter(step)))
                case Delivery() | Receipt():
                    raise AssertionError("an automatic mail was answered")
        if away:  # the mailbox's own responder, as careless as RFC 3834 §2 forbids: it answers everything but bounces
            answered = f"In-Reply-To: {parsed.message_id}\r\nReferences: {parsed.message_id}\r\n"
            if parsed.from_address and parsed.return_path != "":
                self.wire.append((parsed.from_address, self._mail(parsed.from_address, "Absence", answered)))

    def _after(self, sending: Sending, news: News) -> Sending:
        if sending.id != news.sending:
            return sending
        return replace(sending, sent_to=tuple(heard(one, news, AT, REPORT) for one in sending.sent_to))

    def _mail(self, to: str, subject: str, more: str, auto: str = "auto-replied") -> bytes:
        self.number += 1
        return (
            f"Return-Path: <{self.address}>\r\nFrom: <{self.address}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n"
            f"Message-ID: <{self.number}@{self.address.partition('@')[2]}>\r\n{more}Auto-Submitted: {auto}\r\n"
            "\r\nBonjour.\r\n"
        ).encode()

    async def _letter(self, step: Delivery) -> bytes:
        self.number += 1
        head = compose.Letterhead(
            address=self.address, display_name="Foyer fictif", product_reference="X1", reporting_ua="x; hub"
        )
        message_id = f"<lettre-{self.number}@{self.address.partition('@')[2]}>"
        return b"Return-Path: <>\r\n" + await joined(compose.notice(head, step.recipient, message_id, AT))


@pytest.mark.parametrize("form", ["vacation", "out of office", "bounce", "displayed", "refused, old form"])
async def test_two_hubs_with_automatic_answers_fall_silent(form: str) -> None:
    wire: deque[tuple[str, bytes]] = deque()
    one, two = Hub(AUTHOR, wire), Hub(ASE, wire)
    sending = replace(a_sending(ASE), mailbox="boite", wants_receipt=True)
    one.sendings = [sending]
    wire.append((AUTHOR, answer(form, Case(sending, ASE, frozenset(FORMS[form].keys), AUTHOR))))
    carried = 0
    while wire:
        to, raw = wire.popleft()
        carried += 1
        assert carried < 50, "they write to each other for ever"
        await {AUTHOR: one, ASE: two}[to].receive(raw, away=carried < 3)
    letters = [step for told in one.thoughts + two.thoughts for step in told.plan.steps if isinstance(step, Delivery)]
    assert len(letters) <= 1
    assert not any(isinstance(step, Hold) for told in one.thoughts for step in told.plan.steps)
