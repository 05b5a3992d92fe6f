"""The code tables: those that are shipped, and how a table is read."""

from pathlib import Path

import pytest

from hub.cda import Codes
from hub.errors import Misconfigured
from hub.message import Coded

SHIPPED = Path(__file__).parents[2] / "config/codes"
LOINC = "2.16.840.1.113883.6.1"


@pytest.fixture(scope="module")
def shipped() -> Codes:
    return Codes.from_tables({path.name: path.read_text("utf-8") for path in SHIPPED.glob("*.csv")})


def test_the_shipped_tables_know_the_type_of_social_documents(shipped: Codes) -> None:
    assert shipped.knows("types", "28653-4", LOINC)
    assert shipped.label(LOINC, "28653-4") == "Document du secteur social / médico-social"


def test_a_type_leads_to_its_class(shipped: Codes) -> None:
    assert shipped.class_of("28653-4", LOINC) == Coded("10", "1.2.250.1.213.1.1.4.1", "Compte rendu")
    assert shipped.class_of("28653-4", "elsewhere") is None


@pytest.mark.parametrize(
    ("table", "code", "system"),
    [
        ("facilities", "SA20", "1.2.250.1.71.4.2.4"),
        ("practice_settings", "ESSMS", "1.2.250.1.213.1.1.4.9"),
        ("confidentiality", "INVISIBLE_REPRESENTANTS_LEGAUX", "1.2.250.1.213.1.1.4.13"),
        ("specialties", "326", "1.2.250.1.213.1.6.1.107"),
        ("formats", "urn:ihe:iti:xds-sd:pdf:2008", "1.3.6.1.4.1.19376.1.2.3"),
        ("genders", "UN", "2.16.840.1.113883.5.1"),
        ("classes", "44", "1.2.250.1.213.1.1.4.1"),
    ],
)
def test_the_shipped_tables_hold_what_an_esms_needs(shipped: Codes, table: str, code: str, system: str) -> None:
    assert shipped.knows(table, code, system)


def test_every_shipped_table_says_where_it_comes_from_and_of_when_it_is(shipped: Codes) -> None:
    assert len(shipped.tables) == 12
    for name in shipped.tables:
        assert shipped.source(name), name
        assert len(shipped.date(name)) == 10, name


def test_the_right_code_under_a_wrong_system_is_unknown(shipped: Codes) -> None:
    assert not shipped.knows("types", "28653-4", "1.2.3")
    assert shipped.knows("types", "28653-4")


def test_without_tables_nothing_is_unknown_and_nothing_has_a_label() -> None:
    codes = Codes.empty()
    assert codes.knows("types", "whatever", "1.2.3")
    assert codes.label("1.2.3", "whatever") is None
    assert codes.source("types") == ""
    assert codes.date("types") == ""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("code,label\nA,b\n", 1),
        ("", 1),
        ("code,system,label,source,date\nA,1.2,lab,src,2024-01-01\n,1.2,lab,src,2024-01-01\n", 3),
        ("code,system,label,source,date\nA,1.2,lab\n", 2),
        ("code,system,label,source,date\nA,1.2,lab,src,2024-01-01,more\n", 2),
    ],
)
def test_a_malformed_table_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Misconfigured, match=rf"^types\.csv:{line} "):
        Codes.from_tables({"types.csv": text})
