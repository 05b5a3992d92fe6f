"""What the author of a held submission answers: the number that they wrote now, never one of the letter that they
quote. All people are fictional."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.message import Answer, Candidate, Door, LetterSent, Match, ParsedMessage, Report, Subjects
from hub.routing import letters
from hub.routing.reasons import reason
from hub.routing.replies import answer_of, answered_ids, new_lines, usager_named
from tests.unit.routing_samples import OURS, envelope
from tests.unit.test_about import LEA, TOM

SENT = LetterSent(
    message="m7",
    number=1,
    outgoing_id="<lettre@mecs-exemple.mssante.fr>",
    mailbox="secretariat",
    recipient=OURS,
    subject="Votre envoi attend : de quel usager s'agit-il ? (réf. m7)",
    is_held=True,
)
MATCH = Match(
    outcome="proposed",
    code=906,
    candidates=tuple(
        Candidate(usager_id=f"u{n}", record_number=number) for n, number in enumerate(("D-1", "1234", "77"))
    ),
)
QUOTED = "\n".join(
    (letters.REPLY_ABOVE, "", "Bonjour,", "par exemple : [dossier D-1]", "1. DUPONT Léa, dossier D-1", "dossier 1234")
)


def reply(body: str, **given_: Any) -> ParsedMessage:
    usual: dict[str, Any] = {"from_address": OURS, "in_reply_to": SENT.outgoing_id, "subject": f"Re: {SENT.subject}"}
    return ParsedMessage(body=body, **usual | given_)


def answer(
    parsed: ParsedMessage, *sent: LetterSent, door: Door = Door.SMTP, mailbox: str | None = "secretariat"
) -> Answer | None:
    return answer_of(parsed, envelope(id="m9", door=door, mailbox=mailbox), sent or (SENT,), MATCH)


def said(body: str, **given_: Any) -> str | None:
    """The number, `annuler`, or the code of what is not clear."""
    found = answer(reply(body, **given_))
    if found is None:
        return None
    assert found.message == "m7"
    if found.reason is not None:
        return found.reason.code
    return found.number or ("annuler" if found.cancels else None)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ("[dossier D-1]", "D-1"),
        ("[dossier d-1]", "D-1"),
        ("Bonjour,\n\nIl s'agit du [dossier 1234].\n\nMerci", "1234"),
        ("dossier n° 1234", "1234"),
        ("C'est le dossier D-1, merci.", "D-1"),
        ("1234", "1234"),
        ("  1234.  ", "1234"),
        ("d-1", "D-1"),
        ("n° 1234, merci", "1234"),
        ("C'est le 1234", "1234"),
        ("Bonjour, 1234 merci d'avance", "1234"),
        ("[dossier 9999]", "9999"),  # no candidate: the records will say
        ("1234\n\nSophie Secrétaire\nTél. 04 00 00 00 00\n77 rue des Lilas", "1234"),
        ("1234\n-- \n77", "1234"),
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "{}\n\n" + QUOTED, "{}\n\nLe 12/03/2026 à 10:05, Hub a écrit :\n> " + QUOTED.replace("\n", "\n> ")]
)
def test_the_number_that_is_newly_written_is_the_answer(body: str, number: str, around: str) -> None:
    assert said(around.format(body)) == number


def test_of_two_records_told_apart_by_a_capital_the_written_one_is_meant() -> None:
    pair = tuple(Candidate(usager_id=number, record_number=number) for number in ("d-5", "D-5"))
    for number in ("d-5", "D-5"):
        found = answer_of(reply(number), envelope(door=Door.SMTP), (SENT,), Match(candidates=pair))
        assert found is not None
        assert found.number == number


def test_an_answer_below_the_quoted_letter_is_read_too() -> None:
    assert said("> " + QUOTED.replace("\n", "\n> ") + "\n\n1234") == "1234"


@pytest.mark.parametrize("below", ["\n1234", "\n\n1234\n\n-- \nSophie Secrétaire\n77 rue des Lilas"])
@pytest.mark.parametrize("head", ["Le 12/03/2026 à 10:05, Hub a écrit :", "-----Message d'origine-----"])
def test_what_thunderbird_puts_below_the_quoted_letter_is_read(head: str, below: str) -> None:
    """Its cursor stands there unless it is told otherwise (docs/thunderbird.md)."""
    assert said(f"{head}\n> " + QUOTED.replace("\n", "\n> ") + below) == "1234"


def test_the_end_of_a_quoted_line_that_was_folded_is_no_answer() -> None:
    folded = "Le 12/03/2026, Hub a écrit :\n> Usagers possibles :\n> 1. DUPONT Léa, née le 01/02/2012,\ndossier D-1\n"
    assert said(f"{folded}> Ce qu'il faut faire :\n> - répondez\n") == "answer-empty"
    assert said(f"{folded}> Ce qu'il faut faire :\n> - répondez\n1234") == "1234"


def test_below_a_letter_that_is_not_quoted_to_its_end_nothing_is_read() -> None:
    assert said("> " + QUOTED.replace("\n", "\n> ") + "\n> x" * 3_000 + "\n1234") == "answer-empty"
    assert said("1234\n> " + QUOTED.replace("\n", "\n> ") + "\n> x" * 3_000) == "1234"


@pytest.mark.parametrize(
    "body",
    [
        QUOTED,
        "> " + QUOTED.replace("\n", "\n> "),
        "Bonjour,\n\n" + QUOTED,
        "-----Message d'origine-----\nDe : Hub\nbonjour [dossier D-1]",
        "________________________________\nDe : Hub <x@y>\nEnvoyé : jeudi\n[dossier D-1]",
        "Le jeu. 12 mars 2026 à 10:05, Hub <x@y> a écrit :\n[dossier D-1]",
        "De : Hub <x@y>\n[dossier D-1]",
        "Envoyé de mon iPhone\n[dossier D-1]",
        "-- \n[dossier D-1]",
        "",
        "Merci",
        "5678",  # alone, and no candidate's
        "Tél. 77",
        "D-1 et D-2 peut-être",
        "[dossier NUMÉRO]",  # as the letter shows it
        "04 00 00 12 34",
    ],
)
def test_what_gives_no_number_is_not_clear(body: str) -> None:
    assert said(body) == "answer-empty"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[dossier D-1] ou [dossier 1234]", "answer-several"),
        ("D-1\n1234", "answer-several"),
        ("annuler\n[dossier D-1]", "answer-both"),
        ("ce n'est pas [dossier D-1]", "answer-denied"),
        ("Non, pas le dossier 1234", "answer-denied"),
    ],
)
def test_what_says_two_things_or_denies_is_not_clear(body: str, why: str) -> None:
    assert said(body) == why


@pytest.mark.parametrize(
    "body",
    [
        "annuler",
        "Annuler.",
        "ANNULER",
        "« annuler »",
        "Bonjour,\n\nAnnulez l'envoi svp\n\nMerci",
        "Merci d'annuler",
        "Annuler, merci",
        "Bonjour, annulez svp. Cordialement",
        "ne pas envoyer",
    ],
)
def test_an_author_may_cancel(body: str) -> None:
    assert said(body) == "annuler"


@pytest.mark.parametrize(
    "body", ["n'annulez pas", "j'avais peur de devoir annuler cet envoi", "Il faut annuler ou pas ?"]
)
def test_a_word_in_passing_cancels_nothing(body: str) -> None:
    assert said(body) == "answer-empty"


def test_a_number_written_into_the_subject_counts_and_must_agree() -> None:
    assert said("", subject="Re: [dossier D-1]") == "D-1"
    assert said("1234", subject="Re: [dossier D-1]") == "answer-several"


# --- which mails are answers


def test_only_the_author_answers_and_only_from_their_mailbox() -> None:
    assert answer(reply("1234", from_address="collegue@mecs-exemple.mssante.fr")) is None
    assert answer(reply("1234", from_address=OURS.upper())) is not None
    assert answer(reply("1234"), mailbox="autre") is None
    assert answer(reply("1234"), replace(SENT, mailbox=None), mailbox=None) is None
    assert answer(reply("1234"), door=Door.IMAP) is None  # nobody logged in


def test_only_a_reply_to_a_letter_that_asks_is_an_answer() -> None:
    assert answer(reply("1234", in_reply_to=None, references=(SENT.outgoing_id,))) is None
    assert answer(reply("1234", in_reply_to="<autre@exemple.fr>")) is None
    assert answer(reply("1234"), replace(SENT, subject="Votre envoi a été lu")) is None
    assert answered_ids(reply("1234")) == (SENT.outgoing_id,)
    assert answered_ids(reply("1234", in_reply_to=None)) == ()


@pytest.mark.parametrize(
    "given_",
    [
        {"auto_submitted": "auto-replied"},
        {"auto_submitted": "auto-generated; x"},
        {"report": Report(form="mdn")},
        {"return_path": ""},
    ],
)
def test_no_machine_answers(given_: dict[str, Any]) -> None:
    assert answer(reply("1234", **given_)) is None


def test_the_number_of_an_answer_names_one_usager_or_none() -> None:
    site = Subjects(usagers=(LEA, TOM, replace(TOM, id="u-d-2", record_number="d-2")))
    assert usager_named(Answer(message="m", number="d-1"), site) == "u-D-1"
    assert usager_named(Answer(message="m", number="d-2"), site) == "u-d-2"  # as written
    assert usager_named(Answer(message="m", number="D-9"), site) == reason("number-unknown")
    assert usager_named(Answer(message="m", number=" D-2"), site) == reason("number-of-several")
    assert usager_named(Answer(message="m", reason=reason("answer-several")), site) == reason("answer-several")


def test_an_answer_that_comes_too_late_is_told_when_it_says_something() -> None:
    late = replace(SENT, is_held=False)
    for body in ("1234", "annuler"):
        found = answer(reply(body), late)
        assert found is not None
        assert found.reason is not None
        assert found.reason.code == "answer-too-late"
    assert answer(reply("Merci !"), late) is None


@given(st.text(max_size=400))
def test_nothing_of_a_quoted_letter_is_ever_read(words: str) -> None:
    """Whatever stands above it, a quoted letter adds no number."""
    assert new_lines(words + "\n" + QUOTED) == new_lines(words)


@given(st.text(max_size=300))
def test_any_reply_is_read_without_an_error(body: str) -> None:
    found = answer(reply(body))
    assert found is not None
    assert sum((found.number is not None, found.cancels, found.reason is not None)) == 1
