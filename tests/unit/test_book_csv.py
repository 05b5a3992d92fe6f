"""The CSV files of the address book: what is understood, what is refused by line, and that nothing is ever quoted."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.records.book_csv import day, departement, parse_contacts, parse_roles
from hub.records.held_roles import RoleSaid
from tests.fakes_book import ROLES

GARNIER = "garnier@ase-exemple.mssante.fr"


def roles(*lines: str, headers: str = "numero_dossier;role;adresse;du;au;territoire") -> list[tuple[int, str]]:
    read = parse_roles("\r\n".join((headers, *lines)).encode(), ROLES)
    return [(one.line, one.column) for one in read.problems]


def test_a_line_of_roles_is_understood_however_a_spreadsheet_writes_it() -> None:
    headers = "\ufeffN° dossier\tRôle\tAdresse MSSanté\tDepuis\tJusqu'au\tCouleur"
    text = f"{headers}\nD-1\tréférent ase\t {GARNIER.upper()} \t1/3/2026\t2026-12-31\tbleu\n"
    for raw in (text.encode(), text.removeprefix("\ufeff").encode("cp1252")):
        read = parse_roles(raw, ROLES)
        assert read.problems == ()
        assert read.roles == (
            RoleSaid(
                role="referent_ase",
                address=GARNIER,
                since=date(2026, 3, 1),
                until=date(2026, 12, 31),
                record_number="D-1",
            ),
        )
        assert (read.lines, read.ignored) == ((2,), 1)


@pytest.mark.parametrize("word", ["referent_ase", "référent ASE", "Referent-ASE", "REFERENT ASE"])
def test_ways_to_write_a_role(word: str) -> None:
    assert roles(f"D-1;{word};{GARNIER};01/03/2026;;") == []


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (f"D-1;tonton;{GARNIER};01/03/2026;;", "role"),
        (f"D-1;;{GARNIER};01/03/2026;;", "role"),
        ("D-1;referent_ase;;01/03/2026;;", "adresse"),
        (f"D-1;referent_ase;{GARNIER};;;", "du"),
        (f"D-1;referent_ase;{GARNIER};31/02/2026;;", "du"),
        (f"D-1;referent_ase;{GARNIER};mars;;", "du"),
        (f"D-1;referent_ase;{GARNIER};02/03/2026;01/03/2026;", "au"),
        (f";referent_ase;{GARNIER};01/03/2026;;", "numero_dossier"),
        (f"D-1;referent_ase;{GARNIER};01/03/2026;;Nord", "numero_dossier"),
        (f"D-1;referent_ase;{GARNIER};01/03/2026;;;trop", "-"),
        (f'D-1;"referent_ase;{GARNIER}', "-"),
    ],
)
def test_a_wrong_line_is_told_by_its_number(line: str, column: str) -> None:
    assert roles(f"D-0;crip;{GARNIER};01/03/2026;;", line) == [(3, column)]


def test_wrong_headers_are_told_once() -> None:
    assert roles("x", headers="numero_dossier;role;role") == [(1, "role"), (1, "adresse"), (1, "du")]
    assert roles("x", headers="") == [(1, "role"), (1, "adresse"), (1, "du")]
    assert parse_roles(b"", ROLES).problems[0].line == 1
    assert parse_roles(b"\0\xff\0", ROLES).problems[0].line == 1


def test_an_address_stands_once_in_a_file_of_contacts() -> None:
    read = parse_contacts(f"adresse;type\n{GARNIER};PER\n{GARNIER.upper()};ORG\n".encode())
    assert [(one.line, one.column) for one in read.problems] == [(3, "adresse")]


@pytest.mark.parametrize(
    ("line", "column"),
    [(f"{GARNIER};BAL", "type"), (f"{GARNIER};", "type"), (";PER", "adresse"), (f"{GARNIER};PER;9999", "departement"),
     (f"{GARNIER};PER;38;{'x' * 201}", "nom"), (f"{GARNIER};PER;38;;02/02/2026;01/02/2026", "au")],
)  # fmt: skip
def test_a_wrong_contact_is_told_by_its_line(line: str, column: str) -> None:
    read = parse_contacts(f"adresse;type;departement;nom;du;au\n{line}\n".encode())
    assert [(one.line, one.column) for one in read.problems] == [(2, column)]


@pytest.mark.parametrize(("cell", "code"), [("1", "01"), ("2a", "2A"), ("974", "974"), ("38", "38")])
def test_a_departement(cell: str, code: str) -> None:
    assert departement(cell) == code


@given(st.dates(min_value=date(1900, 1, 1), max_value=date(2999, 12, 31)))
def test_a_day_is_read_both_ways(known: date) -> None:
    assert (
        day(known.isoformat()) == day(f"{known:%d/%m/%Y}") == day(f" {known.day}/{known.month}/{known.year} ") == known
    )


SECRET = "zzsecretzz"
CELL = st.sampled_from(
    ("", "D-1", "referent_ase", GARNIER, "01/03/2026", "31/02/2026", "PER", "38", SECRET, f'"{SECRET}', f"{SECRET};x")
) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.lists(CELL, max_size=8), max_size=6), st.sampled_from(";,\t"))
def test_whatever_stands_in_a_file_is_told_and_never_quoted(lines: list[list[str]], between: str) -> None:
    for headers in ("numero_dossier;territoire;role;adresse;du;au", "adresse;type;nom;departement;du;au"):
        text = "\n".join((headers.replace(";", between), *(between.join(line) for line in lines)))
        raw = text.encode()
        for read in (parse_roles(raw, ROLES), parse_contacts(raw)):
            for problem in read.problems:
                assert 1 <= problem.line <= text.count("\n") + text.count("\r") + 1
                assert SECRET not in str(problem)


ROWS = st.lists(
    st.tuples(
        st.sampled_from(("D-1", "D 2", "0003")),
        st.sampled_from([one.name for one in ROLES]),
        st.dates(date(2020, 1, 1), date(2026, 1, 1)),
        st.none() | st.dates(date(2026, 1, 1), date(2030, 1, 1)),
    ),
    max_size=10,
)


@given(ROWS, st.sampled_from(("utf-8", "utf-8-sig", "cp1252")), st.sampled_from(";,\t"))
def test_what_is_written_is_read(rows: list[tuple[str, str, date, date | None]], encoding: str, between: str) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=between)
    writer.writerow(("au", "du", "adresse", "rôle", "numéro dossier"))
    for number, role, since, until in rows:
        writer.writerow((f"{until:%d/%m/%Y}" if until else "", since.isoformat(), GARNIER, role, number))
    read = parse_roles(text.getvalue().encode(encoding), ROLES)
    assert read.problems == ()
    assert [(one.record_number, one.role, one.since, one.until) for one in read.roles] == rows
    assert read.lines == tuple(range(2, len(rows) + 2))
