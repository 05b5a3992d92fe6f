"""Letters to the author of a submission: golden texts, names in the text and never in the subject. All people are
fictional."""

# ruff: noqa: E501

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub import compose, routing
from hub.message import Answer, Candidate, Match, Reason, Rung, SentTo, Subjects
from hub.raw import joined
from hub.routing import letters
from hub.routing.about import About, about
from hub.routing.letters import Letter
from hub.routing.portraits import portrait
from hub.routing.reasons import reason
from tests.unit.routing_samples import OURS, envelope, mail, pdf, rulebook
from tests.unit.test_about import JEAN, LEA, TOM

AT = datetime(2026, 3, 12, 9, 5, tzinfo=UTC)
OUTSIDE = Reason("recipient-outside", "Cette adresse n'est pas dans l'espace de confiance.")
THEIRS = "referent@ase-exemple.mssante.fr"


def seen(subject: str = "Bilan DUPONT Léa 13/03/2012", **given_: Any) -> routing.Seen:
    subjects = Subjects(usagers=(LEA, TOM, JEAN))
    return routing.Seen(
        envelope=envelope(id="4f3a2b1c" + "0" * 24, **given_), parsed=mail(pdf(), subject=subject), subjects=subjects
    )


def held(one: routing.Seen, public_url: str = "") -> Letter:
    found = about(one, rulebook())
    return letters.held(one, found, found.match.reasons, public_url)


def test_a_letter_shows_who_it_could_be_and_how_to_answer() -> None:
    letter = held(seen(), "https://hub.mecs-exemple.fr/")
    assert letter.subject == "Votre envoi attend : de quel usager s'agit-il ? (réf. 4f3a2b1c)"
    assert (
        letter.text
        == """\
----- Si vous répondez, écrivez au-dessus de cette ligne -----

Bonjour,

Votre message « Bilan DUPONT Léa 13/03/2012 » n'est pas encore parti : il attend votre réponse. Rien n'est perdu.

Pourquoi :
- Aucun usager n'a exactement le nom, le prénom et la date de naissance écrits. Vérifiez-les, ou donnez le numéro de dossier.

Usagers possibles :
1. DUPONT Léa, née le 12/03/2012, dossier D-1
   Concorde : nom de naissance, premier prénom.
   Diffère : date de naissance (13/03/2012 dans votre message, 12/03/2012 dans le dossier).

Ce qu'il faut faire :
- répondez à ce courriel en écrivant : [dossier NUMÉRO], avec le numéro de dossier de l'usager ;
- ou répondez « annuler » : rien ne sera envoyé
- ou ouvrez la page https://hub.mecs-exemple.fr/held/4f3a2b1c000000000000000000000000
"""
    )


def test_a_letter_without_candidates_says_what_to_write() -> None:
    letter = held(seen("Bilan"))
    assert (
        letter.text
        == """\
----- Si vous répondez, écrivez au-dessus de cette ligne -----

Bonjour,

Votre message « Bilan » n'est pas encore parti : il attend votre réponse. Rien n'est perdu.

Pourquoi :
- Le message porte un document, mais rien ne dit de quel usager il s'agit. Donnez son numéro de dossier.

Ce qu'il faut faire :
- répondez à ce courriel en écrivant : [dossier NUMÉRO], avec le numéro de dossier de l'usager ;
- ou répondez « annuler » : rien ne sera envoyé
"""
    )


def test_a_letter_about_a_guard_asks_for_a_decision() -> None:
    found = About(match=Match(outcome="certain", candidates=(Candidate(usager_id="u"),)))
    guard = Reason("guard:G07", "Le lieu d'accueil de cet enfant est secret : le document peut le révéler.")
    letter = letters.held(seen("[dossier D-1] Bilan"), found, (guard,))
    assert letter.subject == "Votre envoi attend une décision (réf. 4f3a2b1c)"
    assert (
        letter.text
        == """\
----- Si vous répondez, écrivez au-dessus de cette ligne -----

Bonjour,

Votre message « [dossier D-1] Bilan » n'est pas encore parti : il attend votre réponse. Rien n'est perdu.

Pourquoi :
- Le lieu d'accueil de cet enfant est secret : le document peut le révéler.

Ce qu'il faut faire :
- corrigez ce qui est dit ci-dessus, puis renvoyez le message ;
- ou demandez à la personne qui suit les envois en attente dans le hub de décider ;
- ou répondez « annuler » : rien ne sera envoyé
"""
    )


def test_a_pdf_that_cannot_be_read_is_to_be_checked() -> None:
    found = About(match=Match(outcome="certain", candidates=(Candidate(usager_id="u"),)))
    letter = letters.held(seen(), found, (reason("pdf-encrypted"),))
    assert "- vérifiez que le PDF s'ouvre chez vous, sans mot de passe, puis renvoyez le message ;" in letter.text


def test_an_unsuitable_recipient_is_told_alone() -> None:
    letter = letters.unsuitable(seen(), "mere@exemple.fr", OUTSIDE)
    assert letter.subject == "Votre envoi n'est pas parti pour un destinataire (réf. 4f3a2b1c)"
    assert (
        letter.text
        == """\
Bonjour,

Votre message « Bilan DUPONT Léa 13/03/2012 » n'est pas parti pour mere@exemple.fr.

Pourquoi : Cette adresse n'est pas dans l'espace de confiance.

Ce qu'il faut faire : si l'adresse est fausse, renvoyez le message à la bonne adresse. Les autres destinataires, s'il y en a, ne sont pas concernés : ne leur renvoyez rien.
"""
    )


def stands(rung: Rung, status: str = "", recipient: str = THEIRS) -> SentTo:
    return SentTo(recipient=recipient, rung=rung, at=AT, status=status)


def test_a_failure_says_why_and_what_to_do() -> None:
    letter = letters.not_sent(None, stands(Rung.FAILED, "5.1.1"))
    assert letter.subject == "Votre envoi n'est pas arrivé"
    assert (
        letter.text
        == """\
Bonjour,

Votre envoi n'est pas arrivé à referent@ase-exemple.mssante.fr : l'adresse n'existe pas ou n'existe plus (5.1.1).

Ce qu'il faut faire : Vérifiez l'adresse dans l'annuaire, puis renvoyez, ou téléphonez au destinataire.
"""
    )


def test_what_is_uncertain_asks_for_a_call() -> None:
    letter = letters.not_sent(None, stands(Rung.UNCERTAIN))
    assert letter.subject == "Votre envoi est peut-être arrivé : à vérifier"
    assert "peut-être arrivé, peut-être pas" in letter.text
    assert "Téléphonez au destinataire pour savoir s'il l'a reçu. S'il ne l'a pas, renvoyez-le." in letter.text


CODES = (
    "101 111 420 421 422 431 432 441 442 450 451 452 500 501 502 503 504 510 512 513 523 530 541 550 551 552 553 554"
    " 902 906 5.2.2 4.4.7"
)


@pytest.mark.parametrize("code", CODES.split())
def test_every_code_of_a_failure_gives_a_whole_letter(code: str) -> None:
    """mssante.md §5.5."""
    letter = letters.not_sent(None, stands(Rung.FAILED, code))
    assert code in letter.text
    assert "Ce qu'il faut faire : " in letter.text


def test_the_address_of_an_usager_is_never_shown() -> None:
    usager = "2150369123456@patient.mssante.fr"
    for letter in (
        letters.not_sent(None, stands(Rung.FAILED, "5.1.1", usager)),
        letters.unsuitable(seen(), usager, reason("recipient-outside")),
    ):
        assert "2150369" not in letter.text
        assert "l'usager, dans Mon espace santé" in letter.text


# --- after a reply


def test_a_reply_that_is_not_clear_is_told_with_the_candidates_again() -> None:
    match = about(seen(), rulebook()).match
    letter = letters.answered(Answer(message="4f3a2b1c", reason=reason("answer-several")), match)
    assert letter is not None
    assert letters.asks(letter.subject)
    assert (
        letter.text
        == """\
----- Si vous répondez, écrivez au-dessus de cette ligne -----

Bonjour,

Votre réponse n'a pas été comprise : votre envoi attend toujours, il n'est pas parti.

Pourquoi : Votre réponse contient plusieurs numéros de dossier.

Usagers possibles :
1. DUPONT Léa, née le 12/03/2012, dossier D-1
   Concorde : nom de naissance, premier prénom.
   Diffère : date de naissance (13/03/2012 dans votre message, 12/03/2012 dans le dossier).

Ce qu'il faut faire :
- répondez à ce courriel en écrivant : [dossier NUMÉRO], avec le numéro de dossier de l'usager ;
- ou répondez « annuler » : rien ne sera envoyé
"""
    )


def test_each_reply_has_its_letter() -> None:
    assert letters.answered(Answer(message="m", number="D-1")) is None
    cancelled = letters.answered(Answer(message="m", cancels=True))
    late = letters.answered(Answer(message="m", reason=reason("answer-too-late")))
    assert cancelled is not None
    assert cancelled.subject == "Votre envoi est annulé (réf. m)"
    assert late is not None
    assert late.subject == "Votre réponse arrive trop tard (réf. m)"
    assert not letters.asks(cancelled.subject)
    assert not letters.asks(late.subject)


# --- candidates


def test_at_most_five_candidates_are_shown_and_the_others_are_said_to_be_there() -> None:
    many = tuple(replace(LEA, id=f"u{n}", record_number=f"D-{n}") for n in range(8))
    one = replace(seen("DUPONT Léa 12/03/2012"), subjects=Subjects(usagers=many))
    text = held(one).text
    assert text.count("dossier D-") == 5
    assert "D'autres usagers ressemblent aussi : cherchez le bon dans vos dossiers." in text


def test_a_portrait_hides_the_ins_and_says_that_it_differs() -> None:
    candidate = about(
        replace(seen("[dossier D-1]"), parsed=mail(pdf(text="x"), subject="[dossier D-9] DUPONT Léa 13/03/2012")),
        rulebook(),
    ).match.candidates[0]
    traits = tuple(
        replace(one, agreement="different", stated="1" * 15, known="2" * 15) if one.name == "ins" else one
        for one in candidate.traits
    )
    text = "\n".join(portrait(replace(candidate, traits=traits)))
    assert "INS" in text
    assert "1" * 15 not in text
    assert "2" * 15 not in text


def test_a_portrait_of_somebody_little_known_is_still_one() -> None:
    assert portrait(Candidate(usager_id="u")) == ["Usager, dossier sans numéro"]


@given(subject=st.text(max_size=300), recipient=st.text(max_size=80))
def test_no_subject_of_a_letter_quotes_what_the_author_wrote(subject: str, recipient: str) -> None:
    """Guard G14: the subjects of letters are our own words and a reference."""
    one = seen(subject)
    written = (
        held(one).subject,
        letters.unsuitable(one, recipient, reason("recipient-outside")).subject,
        letters.not_sent(None, stands(Rung.FAILED, "550", recipient)).subject,
        letters.not_made(recipient).subject,
    )
    plain = seen("")
    assert written == (
        held(plain).subject,
        letters.unsuitable(plain, "", reason("recipient-outside")).subject,
        letters.not_sent(None, stands(Rung.FAILED, "550", "")).subject,
        letters.not_made("").subject,
    )


@given(st.text(max_size=300))
def test_what_the_author_wrote_stays_on_its_line(subject: str) -> None:
    lines = held(seen(subject)).text.split("\n")
    assert sum(line.startswith("Votre message") for line in lines) == 1
    assert lines[0] == letters.REPLY_ABOVE


# --- as a mail


async def test_a_letter_is_a_plain_mail_that_answers_what_was_sent() -> None:
    head = compose.Letterhead(address=OURS, display_name="Secrétariat", product_reference="HUB1", reporting_ua="x; hub")
    letter = held(seen())
    raw = await joined(
        compose.letter(head, OURS, "<l@mecs-exemple.mssante.fr>", AT, letter.subject, letter.text, "<s@exemple.fr>")
    )
    assert raw.isascii()
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["Subject"] == letter.subject
    assert parsed["Auto-Submitted"] == "auto-generated"
    assert (parsed["In-Reply-To"], parsed["References"]) == ("<s@exemple.fr>",) * 2
    assert parsed.get_content().replace("\r\n", "\n").rstrip() == letter.text.rstrip()
    alone = await joined(compose.letter(head, OURS, "<l@mecs-exemple.mssante.fr>", AT, letter.subject, letter.text))
    assert message_from_bytes(alone)["In-Reply-To"] is None
