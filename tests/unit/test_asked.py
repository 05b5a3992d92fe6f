"""By what the usager of a submission is found: record numbers, dates, names and threads as people write them. All
people are fictional."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.birthdates import dates_in, iso_of, near_dates
from hub.message import Clue, Identity, ParsedMessage
from hub.routing.asked import asked_of
from hub.routing.named import persons
from tests.unit.routing_samples import LOU_INS, document, mail, pdf


def numbers_of(subject: str = "", *names: str) -> list[str]:
    """The first spelling of each record number found."""
    clues = asked_of(mail(*(pdf(name=name) for name in names), subject=subject)).clues
    return [clue.numbers[0] for clue in clues if clue.way == "number"]


@pytest.mark.parametrize(
    ("subject", "numbers"),
    [
        ("[dossier 1234]", ["1234"]),
        ("[Dossier n° 1234] Rapport de situation", ["1234"]),
        ("[DOSSIER N°1234]", ["1234"]),
        ("RE: TR: [dossier nº 1234]", ["1234"]),
        ("[dossier no 1234]", ["1234"]),
        ("[dossier numéro 1234]", ["1234"]),
        ("[n° de dossier : D-12]", ["D-12"]),
        ("[dossier : D-12/A.3]", ["D-12/A.3"]),
        ("[ dossier  usager  D 12 ]", ["D 12"]),
        ("[dossier 1234 - Rapport]", ["1234 - Rapport"]),
        ("[dossiers 12 et 13]", ["12", "13"]),
        ("[dossier 12, 13]", ["12", "13"]),
        ("[dossier\u00a012]", ["12"]),
        ("dossier 1234 : demande", ["1234"]),
        ("Suite à notre appel, dossier n°D-12, urgent", ["D-12"]),
        ("dossiers 12 et 13", ["12", "13"]),
        ("Dossier médical", []),
        ("[dossier médical]", ["médical"]),
        ("[URGENT] [fiche navette]", []),
        ("sous-dossier", []),
        ("Mondossier 12", []),
        ("dossiers en cours", []),
        ("", []),
    ],
)
def test_a_record_number_is_read_in_the_subject(subject: str, numbers: list[str]) -> None:
    assert numbers_of(subject) == numbers


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("dossier 1234.pdf", ["1234"]),
        ("Dossier n°1234.PDF", ["1234"]),
        ("dossier-1234.pdf", ["1234"]),
        ("DOSSIER_D-12.pdf", ["D-12"]),
        ("rapport dossier 1234 (2).pdf", ["1234"]),
        ("dossier.pdf", []),
        ("bilan 1234.pdf", []),
        ("dossier admission.pdf", []),
    ],
)
def test_a_record_number_is_read_in_a_file_name(name: str, numbers: list[str]) -> None:
    assert numbers_of("", name) == numbers


def test_what_follows_a_number_in_a_file_name_may_belong_to_it() -> None:
    (clue,) = asked_of(mail(pdf(name="Dossier_D-12_rapport.pdf"))).clues
    assert clue.numbers[0] == "D-12_rapport"
    assert {"D-12", "d-12"} <= set(clue.numbers)
    assert "D" not in clue.numbers  # no digit


def test_a_number_is_looked_for_as_written_in_capitals_and_without_blanks() -> None:
    (clue,) = asked_of(ParsedMessage(subject="[dossier d  12]")).clues
    assert clue.numbers == ("d 12", "D 12", "D12")


@pytest.mark.parametrize(
    ("subject", "is_clear"),
    [("dossier 2025", False), ("dossier n° 2025", True), ("[dossier 2025]", True), ("dossier 20255", True)],
)
def test_what_may_be_a_year_is_not_clear_without_a_sign(subject: str, is_clear: bool) -> None:
    (clue,) = asked_of(ParsedMessage(subject=subject)).clues
    assert clue.is_clear == is_clear


def test_tags_are_what_stands_in_brackets_and_is_no_number() -> None:
    assert asked_of(ParsedMessage(subject="[fiche navette] [dossier 12] [dossier médical]")).tags == (
        "fiche navette",
        "dossier médical",
    )


def test_a_thread_is_looked_for_by_its_last_messages() -> None:
    many = tuple(f"<{n}@exemple.fr>" for n in range(50))
    (clue,) = asked_of(ParsedMessage(in_reply_to="<50@exemple.fr>", references=many)).clues
    assert clue.message_ids[0] == "<50@exemple.fr>"
    assert len(clue.message_ids) == 20


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("12/03/2012", ("2012-03-12",)),
        ("12.3.2012", ("2012-03-12",)),
        ("2-3-2012", ("2012-03-02",)),
        ("2012-03-12", ("2012-03-12",)),
        ("12 mars 2012", ("2012-03-12",)),
        ("1er mai 2012", ("2012-05-01",)),
        ("3 AOÛT 2010", ("2010-08-03",)),
        ("3 aout 2010", ("2010-08-03",)),
        ("14 févr. 2011", ("2011-02-14",)),
        ("8 déc 2009", ("2009-12-08",)),
        ("8 juin 2009", ("2009-06-08",)),
        ("8 juil. 2009", ("2009-07-08",)),
        ("12/03/12", ("1912-03-12", "2012-03-12")),
        ("29/02/00", ("2000-02-29",)),  # 1900 had none
    ],
)
def test_a_date_is_read_as_people_write_it(text: str, readings: tuple[str, ...]) -> None:
    (found,) = dates_in(f"le {text}, hier")
    assert found.readings == readings


@pytest.mark.parametrize(
    "text", ["31/02/2012", "12/03", "12/3/201", "112/03/2012", "12/03/20123", "1.2.3.4", "12/03-2012", "03/12/1812"]
)
def test_what_is_no_day_of_the_calendar_is_no_date(text: str) -> None:
    assert dates_in(text) == []


def test_a_whole_text_is_a_date_or_none() -> None:
    assert iso_of(" 12/03/2012 ") == "2012-03-12"
    assert [iso_of(text) for text in ("12/03/12", "le 12/03/2012", "", "12/03/2012 13/03/2012")] == [None] * 4


def test_near_dates_are_one_slip_away() -> None:
    near = near_dates("2012-03-12")
    assert {"2012-12-03", "2012-03-21", "2013-03-12", "2012-03-13", "2021-03-12", "2012-03", "2012"} <= set(near)
    assert "2012-03-12" not in near
    assert "2014-04-14" not in near
    assert len(near) < 80


Name = tuple[str | None, str | None, str | None]


def names_of(subject: str) -> list[Name]:
    """(surname, given, date) of the dated readings."""
    clues = (clue for clue in persons(subject, "subject") if clue.readings[0].birth_date)
    return [(r.birth_name, r.first_given or r.given_names, r.birth_date) for clue in clues for r in clue.readings]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("DUPONT Jean 12/03/2012", ("DUPONT", "Jean", "2012-03-12")),
        ("Jean DUPONT 12/03/2012", ("DUPONT", "Jean", "2012-03-12")),
        ("DUPONT Jean, né le 12 mars 2012", ("DUPONT", "Jean", "2012-03-12")),
        ("Jean Dupont né le 12 mars 2012", ("Dupont", "Jean", "2012-03-12")),
        ("Léa Dupont (née le 1er mai 2012)", ("Dupont", "Léa", "2012-05-01")),
        ("Léa Dupont née(e) 12/03/2012", None),
        ("Léa Dupont né(e) le 12/03/2012", ("Dupont", "Léa", "2012-03-12")),
        ("Jean DUPONT ddn : 12/03/2012", ("DUPONT", "Jean", "2012-03-12")),
        ("Jean DUPONT, date de naissance 12/03/2012", ("DUPONT", "Jean", "2012-03-12")),
        ("TR: Re: Rapport de situation - DUPONT Jean - 12/03/2012", ("DUPONT", "Jean", "2012-03-12")),
        ("RAPPORT DE SITUATION DUPONT JEAN 12/03/2012", ("DUPONT", "JEAN", "2012-03-12")),
        ("rapport de situation pour dupont jean 12/03/2012", ("dupont", "jean", "2012-03-12")),
        ("Bilan de Jean DUPONT-MARTIN né le 12.03.2012 à Lyon", ("DUPONT-MARTIN", "Jean", "2012-03-12")),
        ("Jean-Pierre DE LA TOUR D'AUVERGNE, né le 3/8/2010", ("DE LA TOUR D'AUVERGNE", "Jean-Pierre", "2010-08-03")),
        ("12/03/2012 Jean de LA TOUR", ("de LA TOUR", "Jean", "2012-03-12")),
        ("M. d'ORMESSON Luc né le 03.04.2011", ("d'ORMESSON", "Luc", "2011-04-03")),
        ("bilan d'Emma MARTIN, née le 2/4/2013", ("MARTIN", "Emma", "2013-04-02")),
        ("[fiche navette] DUPONT Jean Marie 12/03/12", ("DUPONT", "Jean Marie", "2012-03-12")),
        ("Attestation scolaire Jean Dupont 12/03/2012", ("Dupont", "Jean", "2012-03-12")),
        ("Photos récentes Jean Dupont 12/03/2012", ("Dupont", "Jean", "2012-03-12")),
    ],
)
def test_a_name_and_a_date_are_read_in_the_subject(subject: str, expected: Name | None) -> None:
    assert expected is None or expected in names_of(subject)
    assert (expected is None) == (names_of(subject) == [])


@pytest.mark.parametrize(
    "subject",
    [
        "Audience du 12/05/2025",
        "Réunion PJJ Bobigny 12/05/2025",
        "Dupont 12/03/2012",
        "Situation au 12/03/2012",
        "dossier 12 du 12/03/2012",
        "12/03/2012",
    ],
)
def test_a_date_alone_names_nobody(subject: str) -> None:
    assert names_of(subject) == []


def test_a_name_is_never_cut() -> None:
    read = {name for name, _, _ in names_of("DUPONT MARTIN Léa 12/03/2012")}
    assert read == {"DUPONT MARTIN"}
    read = {name for name, _, _ in names_of("Dupont Martin Léa 12/03/2012")}
    assert "Martin" not in read


def test_capitals_tell_the_surname_and_small_letters_leave_both_orders() -> None:
    assert names_of("DUPONT Jean 12/03/2012") == [("DUPONT", "Jean", "2012-03-12")]
    assert [name for name, _, _ in names_of("Jean Dupont 12/03/2012")] == ["Jean", "Dupont"]


@pytest.mark.parametrize(
    ("subject", "is_clear"),
    [
        ("DUPONT Jean 12/03/2012", True),
        ("Jean Dupont né le 12/03/2012", True),
        ("Jean Dupont 12/03/2012", False),
        ("Rapport DUPONT Jean", False),
    ],
)
def test_a_name_is_clear_by_its_capitals_or_by_the_word_born(subject: str, is_clear: bool) -> None:
    (clue,) = persons(subject, "subject")
    assert clue.is_clear == is_clear


def test_only_the_date_of_birth_counts_when_it_is_said() -> None:
    assert {born for _, _, born in names_of("Audience 12/05/2025 Jean DUPONT né le 12/03/2012")} == {"2012-03-12"}


def test_the_order_of_the_clues_is_the_order_in_which_they_count() -> None:
    form = Clue(way="form", place="pdf-form", numbers=("9",))
    parsed = mail(
        pdf(clues=(form,), name="dossier 7.pdf"),
        document(archive=None),
        subject="DUPONT Jean 12/03/2012 [dossier 8]",
        in_reply_to="<a@exemple.fr>",
    )
    ways = [(clue.way, clue.place) for clue in asked_of(parsed).clues]
    assert ways == [
        ("form", "pdf-form"),
        ("document", "cda"),
        ("number", "subject"),
        ("number", "file-name"),
        ("thread", "headers"),
        ("name", "subject"),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"INS : {LOU_INS}", [LOU_INS]),
        ("n° " + " ".join((LOU_INS[0], LOU_INS[1:3], LOU_INS[3:5], LOU_INS[5:7], LOU_INS[7:10], LOU_INS[10:13]))
         + " " + LOU_INS[13:], [LOU_INS]),
        (f"facture {LOU_INS[:14]}{(int(LOU_INS[14]) + 1) % 10}", []),  # a wrong key: any number of 15 digits
        (f"INS {LOU_INS[:14]}{(int(LOU_INS[14]) + 1) % 10}", [f"{LOU_INS[:14]}{(int(LOU_INS[14]) + 1) % 10}"]),
        (f"9{LOU_INS}", []),
        (f"{LOU_INS}1", []),
    ],
)  # fmt: skip
def test_an_ins_is_seen_in_the_text_of_a_pdf(text: str, found: list[str]) -> None:
    clues = asked_of(mail(pdf(text=text))).clues
    assert [clue.readings for clue in clues] == [(Identity(ins=number),) for number in found]
    assert not any(clue.is_clear for clue in clues)


@given(st.text(max_size=300), st.text(max_size=60), st.text(max_size=300))
def test_any_text_is_read_without_an_error(subject: str, name: str, text: str) -> None:
    asked = asked_of(mail(pdf(name=name, text=text), subject=subject, in_reply_to=subject))
    assert len([number for clue in asked.clues for number in clue.numbers]) <= 40


@pytest.mark.parametrize(
    "subject",
    [
        "dossier " * 3000,
        "[dossier " * 3000,
        "12/03/2012 " * 3000,
        "A" * 50_000,
        "n° " * 9000,
        "Dupont " * 5000,
        "1 " * 9000,
    ],
)
def test_a_long_subject_costs_little(subject: str) -> None:
    began = time.process_time()
    asked_of(mail(pdf(name=subject, text=subject), subject=subject))
    assert time.process_time() - began < 0.5
