"""The CSV of usagers: what is understood, what is refused, and that a problem never quotes a cell."""

from __future__ import annotations

from datetime import date

import pytest

from hub import ins
from hub.message import Identity
from hub.records.usagers_csv import UsagersRead, parse_usagers, read_usagers

TODAY = date(2026, 9, 1)


def with_key(body: str) -> str:
    return f"{body}{ins.key_of(body):02d}"


LEA = with_key("2120575112001")
TOM = with_key("1110675112002")

HEADERS = "numero_dossier;nom_naissance;prenom_naissance;prenoms;date_naissance;sexe;lieu_naissance;ins;oid;statut_ins"
LINE_LEA = f"D-001;Dubreuil-Sanchez;Léa;Léa Marie;31/05/2012;F;75112;{LEA};{ins.NIR};qualifiée"
LINE_TOM = f"D-002;Œuvrard;Tom;;2011-06-02;Masculin;2A004;{TOM};{ins.NIR};validee"


def read(*lines: str, headers: str = HEADERS) -> UsagersRead:
    return read_usagers("\r\n".join((headers, *lines, "")), TODAY)


def problems(*lines: str, headers: str = HEADERS) -> list[str]:
    return [str(problem) for problem in read(*lines, headers=headers).problems]


def test_a_whole_line_is_understood() -> None:
    found = read(LINE_LEA, LINE_TOM)
    assert found.problems == ()
    lea, tom = found.usagers
    assert lea.identity == Identity(
        ins=LEA,
        oid=ins.NIR,
        birth_name="Dubreuil-Sanchez",
        first_given="Léa",
        given_names="Léa Marie",
        birth_date="2012-05-31",
        sex="F",
        birth_place="75112",
    )
    assert (lea.record_number, lea.ins_status, lea.doubtful, lea.facility) == ("D-001", "qualifiee", False, None)
    assert (tom.identity.birth_date, tom.identity.sex, tom.identity.birth_place) == ("2011-06-02", "M", "2A004")
    assert found.lines == (2, 3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_encodings_and_separators_of_spreadsheets_are_understood(encoding: str, separator: str) -> None:
    text = "\n".join((HEADERS, LINE_LEA, LINE_TOM)).replace(";", separator)
    found = parse_usagers(text.encode(encoding), TODAY)
    assert found.problems == ()
    assert [usager.identity.birth_name for usager in found.usagers] == ["Dubreuil-Sanchez", "Œuvrard"]


def test_bytes_in_no_known_encoding_are_one_problem() -> None:
    found = parse_usagers("numero_dossier;nom".encode("utf-16"), TODAY)
    assert len(found.problems) == 1
    assert "UTF-8" in str(found.problems[0])


def test_headers_may_be_english_in_capitals_accented_and_in_any_order() -> None:
    headers = "Sex;Date de naissance;FIRST_GIVEN;Nom de naissance;N° dossier;Adresse"
    found = read("F;2012;Léa;Dubreuil;D-1;1 rue du Port", headers=headers)
    assert found.problems == ()
    assert found.usagers[0].identity.birth_date == "2012"
    assert found.ignored == 1
    assert found.columns == {"sex", "birth_date", "first_given", "birth_name", "record_number"}


def test_a_missing_or_doubled_header_stops_the_file() -> None:
    assert problems(LINE_LEA, headers="numero_dossier;nom_naissance;nom_naissance;prenoms;sexe") == [
        "ligne 1, colonne nom_naissance : cette colonne figure plusieurs fois",
        "ligne 1, colonne date_naissance : cette colonne est obligatoire et manque",
    ]


def test_a_file_without_headers_is_said_to_have_none() -> None:
    assert problems(headers=LINE_LEA) == [
        "ligne 1, colonne - : aucun en-tête connu : la première ligne doit nommer les colonnes"
    ]


@pytest.mark.parametrize("text", ["", "\n \n;;\n"])
def test_an_empty_file_is_a_problem(text: str) -> None:
    assert read_usagers(text, TODAY).problems[0].text == "le fichier est vide"


def test_the_first_of_all_given_names_stands_in_for_a_missing_one() -> None:
    found = read(
        "D-1;Dubreuil;Jean-Loup Marie;2012;M", headers="numero_dossier;nom_naissance;prenoms;date_naissance;sexe"
    )
    assert found.problems == ()
    assert found.usagers[0].identity.first_given == "Jean-Loup"
    assert "first_given" in found.columns


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("date_naissance", "31/02/2012"),
        ("date_naissance", "00/05/2012"),
        ("date_naissance", "2012-00"),
        ("date_naissance", "05/31/12"),
        ("date_naissance", "02/09/2026"),
        ("date_naissance", "1780-01-01"),
        ("date_naissance", ""),
        ("sexe", "X"),
        ("sexe", ""),
        ("nom_naissance", "Dubreuil 2"),
        ("nom_naissance", "--"),
        ("nom_naissance", "A" * 101),
        ("prenom_naissance", "L\x07a"),
        ("numero_dossier", ""),
        ("numero_dossier", "1,2E+05"),
        ("lieu_naissance", "Paris"),
        ("lieu_naissance", "1053"),
        ("ins", LEA[:13]),
        ("ins", LEA[:13] + f"{(int(LEA[13:]) + 1) % 97:02d}"),
        ("ins", "2,12058E+14"),
        ("ins", "9" + LEA[1:]),
        ("oid", "1.2.250.1.213.1.4.2"),
        ("oid", ""),
        ("ins", ""),
        ("statut_ins", "certifiée"),
    ],
)
def test_a_bad_cell_is_one_problem_that_names_line_and_column_and_quotes_nothing(column: str, bad: str) -> None:
    cells = dict(zip(HEADERS.split(";"), LINE_LEA.replace("qualifiée", "validee").split(";"), strict=True))
    if column == "prenom_naissance":
        cells["prenoms"] = ""
    cells[column] = bad
    found = problems(LINE_TOM, ";".join(cells.values()))
    assert len(found) == 1
    assert found[0].startswith(f"ligne 3, colonne {column} : ")
    for secret in ("Dubreuil", "Léa", LEA, LEA[:13], "D-001", "2012"):
        assert secret not in found[0]


def test_a_status_that_supposes_an_ins_needs_one() -> None:
    assert problems("D-1;Dubreuil;Léa;;2012;F;;;;qualifiee") == [
        "ligne 2, colonne statut_ins : ce statut suppose un INS : donnez l'INS, ou corrigez le statut"
    ]


def test_a_test_matricule_may_have_a_wrong_key_and_a_real_one_may_not() -> None:
    wrong = LEA[:13] + f"{(int(LEA[13:]) + 1) % 97:02d}"
    line = f"D-1;Dubreuil;Léa;;2012;F;75112;{wrong};%s;qualifiee"
    assert problems(line % ins.TEST) == []
    assert len(problems(line % ins.NIA)) == 1


def test_an_ins_or_a_record_number_met_twice_names_both_lines() -> None:
    assert problems(LINE_LEA, LINE_TOM, LINE_LEA.replace("D-001", "D-003"), LINE_TOM.replace(TOM, LEA[:13])) == [
        "ligne 4, colonne ins : cet INS figure déjà à la ligne 2",
        "ligne 5, colonne ins : 15 caractères attendus : il manque la clé (deux derniers chiffres)",
        "ligne 5, colonne numero_dossier : ce numéro de dossier figure déjà à la ligne 3",
    ]


def test_lines_are_counted_as_an_editor_counts_them() -> None:
    two_lines = '"D-9";"Dubreuil\nSanchez";Léa;;2012;F;;;;'
    found = read("", two_lines, "", LINE_TOM.replace("Masculin", "?"))
    assert [str(problem) for problem in found.problems] == ["ligne 6, colonne sexe : M, F ou I (indéterminé) attendu"]
    assert found.usagers[0].identity.birth_name == "Dubreuil Sanchez"


def test_too_many_cells_are_a_problem_but_empty_ones_at_the_end_are_not() -> None:
    assert problems(LINE_LEA + ";;;") == []
    assert problems(LINE_LEA + ";reste") == [
        "ligne 2, colonne - : 11 cellules pour 10 en-têtes : une cellule contient le séparateur ?"
    ]


def test_a_quote_left_open_is_a_problem() -> None:
    found = problems(LINE_TOM, LINE_LEA.replace("Dubreuil", '"Dubreuil'))
    assert [line for line in found if "guillemets" in line]
    assert found[-1].startswith("ligne 3, ")


@pytest.mark.parametrize(("word", "doubtful"), [("oui", True), ("VRAI", True), ("Non", False), ("", False)])
def test_a_doubtful_identity_is_said_so(word: str, doubtful: bool) -> None:
    found = read(f"{LINE_LEA};{word};920000123", headers=f"{HEADERS};douteux;finess")
    assert found.problems == ()
    assert (found.usagers[0].doubtful, found.usagers[0].facility) == (doubtful, "920000123")
