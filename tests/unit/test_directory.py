"""How addresses are asked for and how several directories answer as one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hub.directory import (
    Activity,
    Away,
    Entry,
    Found,
    Known,
    Wanted,
    closeness,
    department_of,
    folded,
    joined,
    known_of,
    terms_of,
)

AT = datetime(2026, 11, 26, tzinfo=UTC)
LEA = Entry(
    address="lea.exemple@medecin.mssante.fr",
    kind="PER",
    source="extraction",
    seen_at=AT,
    title="DR",
    family="EXEMPLE",
    given="Léa",
    activities=(Activity(profession="Médecin", organisation="CABINET", department="29"),),
)
MECS = Entry(
    address="secretariat@mecs.mssante.fr",
    kind="ORG",
    source="extraction",
    seen_at=AT,
    activities=(Activity(organisation="MECS L'ARBRE BLEU", service="SECRÉTARIAT", department="75"),),
)


@pytest.mark.parametrize(
    ("text", "plain"),
    [("Éléonore", "eleonore"), ("CŒUR", "coeur"), ("Ægir", "aegir"), ("L’Île-d’Yeu", "l'ile-d'yeu"), ("ABC", "abc")],
)
def test_accents_case_and_ligatures_are_folded(text: str, plain: str) -> None:
    assert folded(text) == plain


def forms(text: str) -> list[set[tuple[str, ...]]]:
    return [set(term.forms) for term in terms_of(text)]


def test_what_is_typed_becomes_terms() -> None:
    assert forms("Dupont  Éric") == [{("dupont",)}, {("eric",)}]
    assert forms("d'Aprével") == [{("aprevel",), ("daprevel",)}]
    assert forms("Jean-Loup") == [{("jean", "loup"), ("jeanloup",)}]
    assert forms("saint denis") == [{("saint",), ("st",)}, {("denis",)}]
    assert forms("maison de la mer") == [{("maison",)}, {("mer",), ("delamer",)}]
    assert forms("Le Goff") == [{("goff",), ("legoff",)}]
    assert forms("de la") == [{("de",)}, {("la",)}]
    assert forms("l'") == [{("l",)}]
    assert forms('dupont dupont - *" ') == [{("dupont",)}]
    assert len(terms_of(" ".join(f"mot{number}" for number in range(40)))) == 12


@pytest.mark.parametrize(
    ("code", "department"),
    [
        ("29200", "29"),
        ("20090", "2A"),
        ("20200", "2B"),
        ("97600", "976"),
        ("01000", "01"),
        ("", ""),
        ("7501", ""),
        ("ABCDE", ""),
    ],
)
def test_the_departement_follows_from_the_postal_code(code: str, department: str) -> None:
    assert department_of(code) == department


def test_an_entry_is_called_as_people_call_it() -> None:
    assert LEA.name == "DR Léa EXEMPLE"
    assert MECS.name == "MECS L'ARBRE BLEU - SECRÉTARIAT"
    assert replace(MECS, activities=(), description="Boîte du hub").name == "Boîte du hub"
    assert replace(MECS, activities=()).name == "secretariat@mecs.mssante.fr"


def test_whole_names_come_before_beginnings_and_the_gone_last() -> None:
    whole, beginning = LEA, replace(LEA, family="EXEMPLEMENT", address="b@x.fr")
    elsewhere = replace(LEA, family="AUTRE", address="a@x.fr")
    gone = replace(LEA, gone_at=AT, address="c@x.fr")
    terms = terms_of("exemple")
    entries = sorted((gone, elsewhere, beginning, whole), key=lambda entry: closeness(entry, terms))
    assert entries == [whole, beginning, elsewhere, gone]


def test_kind_and_departement_narrow() -> None:
    assert Wanted(text="x", kind="PER", department="29").fits(LEA)
    assert not Wanted(text="x", kind="ORG").fits(LEA)
    assert not Wanted(text="x", department="75").fits(LEA)
    assert Wanted(text="x", department="2a").fits(replace(LEA, activities=(Activity(department="2A"),)))


def test_one_answer_is_made_of_several_and_an_address_stands_in_it_once() -> None:
    book = replace(LEA, source="book", given="Léa (référente)", activities=(Activity(profession="Référente ASE"),))
    api = replace(MECS, source="api", address="SECRETARIAT@mecs.mssante.fr")
    wanted = Wanted(text="exemple")
    answers = [Found(entries=(LEA, MECS), is_whole=False), Found(entries=(book, api), away=(Away("api", "timeout"),))]
    found = joined(wanted, answers)
    assert [(entry.source, entry.address) for entry in found.entries] == [
        ("book", LEA.address),
        ("extraction", MECS.address),
    ]
    assert found.entries[0].activities == (*book.activities, *LEA.activities)
    assert (found.is_whole, found.away) == (False, (Away("api", "timeout"),))
    assert joined(replace(wanted, limit=1), answers[1:]).is_whole is False
    assert joined(wanted, []) == Found()


def test_what_the_site_no_longer_has_yields_to_a_directory_that_has_it() -> None:
    book = replace(LEA, source="book", gone_at=AT)
    (entry,) = joined(Wanted(text="exemple"), [Found(entries=(book,)), Found(entries=(LEA,))]).entries
    assert (entry.source, entry.gone_at) == ("extraction", None)


def test_what_is_known_of_an_address() -> None:
    later = replace(LEA, source="api", seen_at=AT + timedelta(days=1))
    known = known_of("LEA.exemple@MEDECIN.mssante.fr ", (MECS, later, LEA))
    assert known == Known(
        address=LEA.address,
        is_listed=True,
        kind="PER",
        name="DR Léa EXEMPLE",
        organisation="CABINET",
        seen_at=later.seen_at,
    )


def test_one_that_left_is_known_by_its_last_role_and_one_that_never_was_is_no_error() -> None:
    known = known_of(LEA.address, (replace(LEA, gone_at=AT),))
    assert (known.is_listed, known.gone_at, known.name) == (False, AT, "DR Léa EXEMPLE")
    assert known_of("hub@appli.mssante.fr", (LEA,)) == Known(address="hub@appli.mssante.fr")
