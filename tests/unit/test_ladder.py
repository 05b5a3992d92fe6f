"""The ladder of one recipient: what moves it, what is late, what contradicts; the words for each rung."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.message import News, Rung, SentTo, Source
from hub.receipts.failures import DELETED, REFUSED, remedy, why
from hub.receipts.ladder import Turn, age, heard, in_words, is_silent, turn_of, waits, what_to_do

AT = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
HOUR, DAY2 = timedelta(hours=1), timedelta(hours=48)


def on(rung: Rung, status: str = "", ago: timedelta = HOUR) -> SentTo:
    return SentTo(recipient="a@b.example", rung=rung, at=AT - ago, status=status)


def news(rung: Rung, source: Source = "dsn", status: str = "") -> News:
    return News(sending="s", recipient="a@b.example", rung=rung, source=source, status=status)


BOUNCE = news(Rung.FAILED, "dsn", "5.1.1")
REFUSAL = news(Rung.FAILED, "mdn", "902")
ARRIVED = news(Rung.DELIVERED)
READ = news(Rung.READ, "mdn")
INTEGRATED = news(Rung.INTEGRATED, "mdn")
DELAY = news(Rung.DELAYED, "dsn", "4.4.1")
ANSWER = news(Rung.SUBMITTED, "reply")
TAKEN = news(Rung.SUBMITTED, "smtp", "250")
CUT = news(Rung.UNCERTAIN, "smtp")


@pytest.mark.parametrize(
    ("stands", "said", "turn"),
    [
        (on(Rung.PREPARED), TAKEN, Turn.MOVED),
        (on(Rung.PREPARED), CUT, Turn.MOVED),
        (on(Rung.UNCERTAIN), TAKEN, Turn.MOVED),
        (on(Rung.UNCERTAIN), ARRIVED, Turn.MOVED),
        (on(Rung.UNCERTAIN), ANSWER, Turn.MOVED),  # who answers has got it
        (on(Rung.UNCERTAIN), DELAY, Turn.MOVED),
        (on(Rung.SUBMITTED), DELAY, Turn.MOVED),
        (on(Rung.SUBMITTED), ARRIVED, Turn.MOVED),
        (on(Rung.SUBMITTED), READ, Turn.MOVED),
        (on(Rung.SUBMITTED), TAKEN, Turn.KNOWN),
        (on(Rung.SUBMITTED), ANSWER, Turn.KNOWN),
        (on(Rung.SUBMITTED), CUT, Turn.KNOWN),
        (on(Rung.DELAYED), ARRIVED, Turn.MOVED),
        (on(Rung.DELAYED), BOUNCE, Turn.MOVED),
        (on(Rung.DELAYED), DELAY, Turn.KNOWN),
        (on(Rung.DELIVERED), DELAY, Turn.KNOWN),  # late
        (on(Rung.DELIVERED), BOUNCE, Turn.MOVED),  # bad news wins
        (on(Rung.DELIVERED), news(Rung.FAILED, "smtp", "550"), Turn.KNOWN),  # a second copy was refused
        (on(Rung.READ), ARRIVED, Turn.KNOWN),  # a DSN after the MDN
        (on(Rung.READ), READ, Turn.KNOWN),
        (on(Rung.READ), BOUNCE, Turn.DISPUTED),
        (on(Rung.READ), REFUSAL, Turn.MOVED),
        (on(Rung.READ), news(Rung.FAILED, "mdn", DELETED), Turn.KNOWN),  # read, then thrown away
        (on(Rung.INTEGRATED), READ, Turn.KNOWN),
        (on(Rung.INTEGRATED), REFUSAL, Turn.DISPUTED),
        (on(Rung.INTEGRATED), news(Rung.FAILED, "smtp", "550"), Turn.KNOWN),
        (on(Rung.FAILED, "5.1.1"), BOUNCE, Turn.KNOWN),
        (on(Rung.FAILED, "5.1.1"), ARRIVED, Turn.DISPUTED),
        (on(Rung.FAILED, "5.1.1"), READ, Turn.MOVED),  # somebody has it on his screen
        (on(Rung.FAILED, "5.1.1"), REFUSAL, Turn.MOVED),  # it arrived, and was refused
        (on(Rung.FAILED, "5.1.1"), TAKEN, Turn.MOVED),  # a new attempt
        (on(Rung.FAILED, "5.1.1"), CUT, Turn.MOVED),
        (on(Rung.FAILED, "5.1.1"), ANSWER, Turn.KNOWN),
        (on(Rung.FAILED, "902"), ARRIVED, Turn.KNOWN),  # of course it had arrived
        (on(Rung.FAILED, "902"), READ, Turn.KNOWN),  # reading mends no integration
        (on(Rung.FAILED, "902"), INTEGRATED, Turn.MOVED),
        (on(Rung.FAILED, "902"), BOUNCE, Turn.KNOWN),
        (on(Rung.SUBMITTED), news(Rung.READ, "human"), Turn.MOVED),
        (on(Rung.READ), news(Rung.FAILED, "human"), Turn.MOVED),  # a person's word is final
        (on(Rung.READ), news(Rung.READ, "human"), Turn.KNOWN),
    ],
)
def test_what_a_piece_of_news_changes(stands: SentTo, said: News, turn: Turn) -> None:
    assert turn_of(stands, said) is turn
    now = heard(stands, said, AT, "r1")
    if turn is Turn.MOVED:
        assert (now.rung, now.status, now.at, now.report) == (said.rung, said.status, AT, "r1")
    else:
        assert (now.rung, now.status, now.at, now.report) == (stands.rung, stands.status, stands.at, "")


REPORTS = (BOUNCE, REFUSAL, ARRIVED, READ, INTEGRATED)


@pytest.mark.parametrize("heard_of", [*permutations(REPORTS, 2), *permutations(REPORTS, 3)])
def test_reports_in_another_order_end_on_the_same_rung(heard_of: tuple[News, ...]) -> None:
    def last(order: tuple[News, ...]) -> tuple[Rung, str]:
        end = reduce(lambda stands, said: heard(stands, said, AT), order, on(Rung.SUBMITTED))
        return end.rung, end.status

    assert {last(order) for order in permutations(heard_of)} == {last(heard_of)}


@given(st.lists(st.sampled_from((*REPORTS, DELAY, ANSWER, TAKEN, CUT)), max_size=12))
def test_what_is_told_twice_changes_nothing_the_second_time(order: list[News]) -> None:
    stands = on(Rung.PREPARED)
    for said in order:
        stands = heard(stands, said, AT)
        assert heard(stands, said, AT + HOUR).rung is stands.rung
        assert turn_of(stands, said) is not Turn.MOVED or said.source == "smtp"


def test_nothing_ever_goes_back_but_to_bad_news() -> None:
    forward = (Rung.PREPARED, Rung.SUBMITTED, Rung.DELIVERED, Rung.READ, Rung.INTEGRATED)
    sources: tuple[Source, ...] = ("smtp", "dsn", "mdn", "reply")
    for stands, said, source in product(forward, forward, sources):
        now = heard(on(stands), news(said, source), AT)
        assert forward.index(now.rung) == max(forward.index(stands), forward.index(said))


# --- silence


def test_an_automatic_answer_does_not_end_a_silence_but_is_remembered() -> None:
    stands = heard(on(Rung.SUBMITTED, ago=DAY2), ANSWER, AT - HOUR)
    assert stands.answered_at == AT - HOUR
    assert is_silent(stands, AT, DAY2)
    assert what_to_do(stands, AT, DAY2).startswith("Une réponse automatique est arrivée")


@pytest.mark.parametrize(
    ("stands", "silent", "looked_at"),
    [
        (on(Rung.SUBMITTED, ago=DAY2 - timedelta(seconds=1)), False, False),
        (on(Rung.SUBMITTED, ago=DAY2), True, True),
        (on(Rung.DELIVERED, ago=DAY2), True, True),
        (on(Rung.DELAYED, ago=DAY2), True, True),
        (on(Rung.PREPARED, ago=DAY2), True, True),
        (on(Rung.UNCERTAIN), False, True),
        (on(Rung.FAILED), False, True),
        (on(Rung.READ, ago=10 * DAY2), False, False),
        (on(Rung.INTEGRATED, ago=10 * DAY2), False, False),
    ],
)
def test_when_news_are_overdue(stands: SentTo, silent: bool, looked_at: bool) -> None:
    assert (is_silent(stands, AT, DAY2), waits(stands, AT, DAY2)) == (silent, looked_at)
    assert bool(what_to_do(stands, AT, DAY2)) is looked_at


# --- words


@pytest.mark.parametrize(
    ("stands", "words"),
    [
        (on(Rung.PREPARED, ago=timedelta(minutes=3)), "préparé (depuis 3 minutes)"),
        (on(Rung.SUBMITTED, ago=2 * HOUR), "remis à l'opérateur il y a 2 heures"),
        (on(Rung.SUBMITTED, ago=26 * HOUR), "sans nouvelles depuis 26 heures (remis à l'opérateur)"),
        (on(Rung.DELIVERED), "remis dans la boîte du destinataire il y a 1 heure"),
        (on(Rung.DELIVERED, ago=72 * HOUR), "sans nouvelles depuis 3 jours (remis dans la boîte du destinataire)"),
        (on(Rung.READ, ago=72 * HOUR), "lu il y a 3 jours"),
        (on(Rung.INTEGRATED, ago=timedelta(seconds=5)), "intégré au dossier du destinataire il y a moins d'une minute"),
        (on(Rung.DELAYED), "retardé, l'opérateur essaie encore (depuis 1 heure)"),
        (on(Rung.UNCERTAIN), "incertain, la connexion a été coupée pendant la remise (il y a 1 heure)"),
        (on(Rung.FAILED, "5.1.1"), "échec il y a 1 heure : l'adresse n'existe pas ou n'existe plus (5.1.1)"),
        (
            on(Rung.FAILED, "902"),
            "échec il y a 1 heure : l'intégration au dossier a été refusée, « Identifiant de patient inconnu » (902)",
        ),
    ],
)
def test_each_rung_in_plain_french_with_its_age(stands: SentTo, words: str) -> None:
    assert in_words(stands, AT, timedelta(hours=24)) == words


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "moins d'une minute"),  # a clock that was put back
        (timedelta(seconds=59), "moins d'une minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59, seconds=59), "59 minutes"),
        (timedelta(hours=1), "1 heure"),
        (timedelta(hours=47, minutes=59), "47 heures"),
        (timedelta(hours=48), "2 jours"),
    ],
)
def test_ages_are_told_as_people_do(span: timedelta, words: str) -> None:
    assert age(span) == words


@pytest.mark.parametrize(
    ("status", "cause", "deed"),
    [
        ("5.2.2", "la boîte du destinataire est pleine (5.2.2)", "Prévenez-le"),
        ("552", "le message est trop volumineux", "Réduisez"),
        ("4.4.7", "n'a pas répondu à temps", "Renvoyez plus tard"),
        ("451", "n'a pas répondu à temps", "Renvoyez plus tard"),
        ("5.7.1", "refusé par les règles", "Vérifiez que l'adresse est une adresse MSSanté"),
        (DELETED, "le message a été supprimé sans avoir été ouvert", "Assurez-vous"),
        (REFUSED, "l'intégration au dossier a été refusée", "Le destinataire a reçu"),
        ("900", "Version du document incorrecte", "Le destinataire a une autre version"),
        ("5", "le message a été refusé (5)", "Vérifiez l'adresse"),
        ("", "le message n'a pas été remis", "Vérifiez l'adresse"),
        ("500", "le message a été refusé (500)", "Vérifiez l'adresse"),
    ],
)
def test_each_failure_says_why_and_what_to_do(status: str, cause: str, deed: str) -> None:
    assert cause in why(status)
    assert remedy(status).startswith(deed)
