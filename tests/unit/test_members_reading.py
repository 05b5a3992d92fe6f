"""The list of member domains: the real form is read whole, whatever is cut or foul is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domains import members_of
from hub.trust import members_reading
from hub.trust.members_reading import ListRefused, read_members
from tests.memberlists import GENERATED_AT, OPERATOR, OTHER, a_list, many

RAW = a_list("cd12.mssante.fr", ("UC-CMP.mssante.fr", OPERATOR), ("UC-CMP.mssante.fr", OTHER))


def code(raw: bytes) -> str:
    with pytest.raises(ListRefused) as refused:
        read_members(raw)
    return refused.value.code


def test_names_repeat_and_operators_are_kept() -> None:
    listed = read_members(RAW)
    assert (listed.generated_at, len(listed.entries), listed.nameless) == (GENERATED_AT, 3, 0)
    assert listed.names == {"cd12.mssante.fr", "uc-cmp.mssante.fr"}
    assert listed.certificates == {OPERATOR, OTHER}
    assert (listed.is_signed, listed.is_cut) == (False, False)
    member = members_of(listed.entries).of("uc-cmp.mssante.fr")
    assert member is not None
    assert (member.name, len(member.operators)) == ("UC-CMP.mssante.fr", 2)


def test_blanks_of_all_kinds_are_no_part_of_a_name() -> None:
    listed = read_members(a_list("\u00a0cd12.mssante.fr\u00a0\n ", ("a.mssante.fr", OPERATOR, "Un\u00a0\u00a0nom\x85")))
    assert [entry.name for entry in listed.entries] == ["cd12.mssante.fr", "a.mssante.fr"]
    assert listed.entries[1].descriptions == ("Un nom",)


def test_a_name_that_is_none_is_counted_and_left_out() -> None:
    listed = read_members(a_list("cd12.mssante.fr", "", "pas un domaine", "seul"))
    assert (len(listed.entries), listed.nameless) == (1, 3)


@pytest.mark.parametrize("end", [b"", b"\n", b"   \r\n"])
def test_a_copy_without_the_end_of_its_root_is_whole(end: bytes) -> None:
    listed = read_members(a_list("cd12.mssante.fr", "a.mssante.fr", cut=True) + end)
    assert (len(listed.entries), listed.is_cut) == (2, True)


def test_a_prefix_changes_nothing_even_on_a_cut_copy() -> None:
    raw = a_list("cd12.mssante.fr").replace(b"xmlns=", b"xmlns:lb=")
    for name in (b"Liste", b"Date", b"Domaine", b"Nom", b"Desc", b"DN", b"Resp", b"Supp"):
        raw = raw.replace(b"<" + name, b"<lb:" + name).replace(b"</" + name, b"</lb:" + name)
    assert read_members(raw).names == {"cd12.mssante.fr"}
    cut = raw[: raw.index(b"</lb:ListeBlancheMSSante>")]
    assert read_members(cut).names == {"cd12.mssante.fr"}
    assert read_members(cut).is_cut


@given(st.integers(min_value=0, max_value=len(RAW) - 1))
def test_whatever_is_cut_before_the_end_of_the_list_is_refused(at: int) -> None:
    raw = RAW[:at]
    if raw.rstrip().endswith(b"</ListeDomaines>"):
        assert read_members(raw).names == {"cd12.mssante.fr", "uc-cmp.mssante.fr"}
    elif raw != RAW.rstrip():
        assert code(raw) in ("not-xml", "not-a-list")


def test_a_copy_cut_in_its_signature_is_refused() -> None:
    signature = '<Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo></SignedInfo></Signature>'
    raw = a_list("cd12.mssante.fr", more=signature)
    assert read_members(raw).is_signed
    assert code(raw[: raw.index(b"</SignedInfo>")]) == "not-xml"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not-xml"),
        (b"<html><body><br></body></html>", "not-a-list"),
        (b"<html><body>Request unsuccessful</body></html>", "not-a-list"),
        (a_list("a.fr").replace(b"https://listeblanche.mssante.fr/schema", b"https://autre.example/"), "not-a-list"),
        (a_list(), "empty"),
        (a_list("", ""), "empty"),
        (a_list("a.fr").replace(b"2026-06-14T", b"hier "), "no-date"),
        (a_list("a.fr").replace(b"DateDeGeneration", b"Date"), "no-date"),
        (a_list("a.fr", before='<!DOCTYPE x [<!ENTITY e "a.fr">]>'), "doctype"),
        (a_list("a.fr", before='<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "doctype"),
        (a_list("a.fr").decode().encode("utf-16"), "charset"),
        (a_list("a.fr").replace(b"UTF-8", b"UTF-7"), "charset"),
        (a_list("é.fr").decode().encode("latin-1"), "not-xml"),
        (b"x" * (members_reading.RAW_MOST + 1), "too-large"),
        (a_list("a.fr", more="<a/>" * 1_600_000), "too-large"),
        (a_list("a.fr", more="<a>" * 100_000), "not-xml"),
    ],
)
def test_what_is_no_such_list_is_refused_with_a_code(raw: bytes, said: str) -> None:
    assert code(raw) == said


def test_a_domain_that_does_not_stand_in_the_list_is_none() -> None:
    more = "<Autre><Domaine><Nom>evil.mssante.fr</Nom></Domaine></Autre><Domaine><Nom>evil.fr</Nom></Domaine>"
    assert read_members(a_list("a.mssante.fr", more=more)).names == {"a.mssante.fr"}


def test_too_many_entries_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members_reading, "ENTRIES_MOST", 10)
    assert code(a_list(*many(11))) == "too-large"
    assert len(read_members(a_list(*many(10))).entries) == 10


def test_a_date_without_a_zone_is_utc() -> None:
    raw = a_list("a.fr").replace(b"2026-06-14T14:54:10Z", b"2026-06-14T14:54:10")
    assert read_members(raw).generated_at == datetime(2026, 6, 14, 14, 54, 10, tzinfo=UTC)
