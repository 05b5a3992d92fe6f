"""Who is of the trust space: exact names, whatever the case and the writing; and which names resemble a wrong one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.domains import NO_MEMBERS, Member, Members, compared, members_of
from tests.memberlists import OPERATOR, OTHER, many

LIST = members_of(
    [
        Member("cd12.mssante.fr", ("Département fictif",), (OPERATOR,)),
        "UC-CMP.mssante.fr",
        "hôpital-exemple.mssante.fr",
        "xn--clnique-7va.mssante.fr",
        "mssante.exemple-crypt.org",
        "chu-exempleville.mssante.fr",
        "vivre-ensemble.mssante.fr",
        "cd13.mssante.fr",
        "cd13.aura.mssante.fr",
    ]
)


@pytest.mark.parametrize(
    "address",
    [
        "a@cd12.mssante.fr",
        "a@CD12.MSSante.FR",
        "a@cd12.mssante.fr.",
        "cd12.mssante.fr",
        "a@uc-cmp.mssante.fr",
        "a@hôpital-exemple.mssante.fr",
        "a@HÔPITAL-EXEMPLE.mssante.fr",
        "a@ho\u0302pital-exemple.mssante.fr",  # the accent in two characters
        "a@xn--hpital-exemple-0ob.mssante.fr",
        "a@mssante.exemple-crypt.org",
    ],
)
def test_a_member_is_known_in_each_writing_of_its_name(address: str) -> None:
    assert (LIST.has(address), LIST.standing(address)) == (True, "member")


@pytest.mark.parametrize(
    "address",
    [
        "a@evil.mssante.fr",
        "a@evil.cd12.mssante.fr",
        "a@mssante.fr",
        "a@cd12.mssante.fr.example",
        "a@xcd12.mssante.fr",
        "a@cd12-mssante.fr",
        "a@cd12.mssante.fr..",
        "a@cd12..mssante.fr",
        "a@cd12.mssante.fr\u200b.example",
        "a@exemple-crypt.org",
        "a@",
        "",
        "a@" + "x" * 300 + ".mssante.fr",
        "a@" + "é" * 5000 + ".mssante.fr",
    ],
)
def test_nothing_is_a_member_for_resembling_one(address: str) -> None:
    assert (LIST.has(address), LIST.standing(address), LIST.of(address)) == (False, "outside", None)


def test_without_a_list_nobody_is_a_stranger() -> None:
    assert (NO_MEMBERS.has("a@gmail.com"), NO_MEMBERS.standing("a@gmail.com")) == (True, "unknown")
    assert NO_MEMBERS.nearest("a@gmail.com") == ()


def test_entries_of_one_name_are_one_member_with_all_its_operators() -> None:
    several = members_of([Member("A.mssante.fr", ("un",), (OPERATOR,)), Member("a.mssante.fr", ("deux",), (OTHER,))])
    member = several.of("x@a.mssante.fr")
    assert member == Member("A.mssante.fr", ("un", "deux"), (OPERATOR, OTHER))
    assert member.organisations == ("OPÉRATEUR EXEMPLE", "AUTRE EXEMPLE")


@pytest.mark.parametrize(
    ("dn", "said"),
    [
        (r"CN=x,O=GIE A\, B,C=FR", "GIE A, B"),
        ('CN=x, O="GIE A, B", C=FR', "GIE A, B"),
        ("CN=relais.exemple.fr,C=FR", "relais.exemple.fr"),
        ("O=SEUL", "SEUL"),
    ],
)
def test_an_operator_is_called_by_its_organisation(dn: str, said: str) -> None:
    assert Member("a.fr", (), (dn,)).organisations == (said,)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("ase@cd12.oc.mssante.fr", ("cd12.mssante.fr",)),  # a label too many
        ("ase@cd12.msante.fr", ("cd12.mssante.fr",)),  # a slip in what all have
        ("ase@cd12.mssante.com", ("cd12.mssante.fr",)),
        ("ase@chu-exempelville.mssante.fr", ("chu-exempleville.mssante.fr",)),
        ("ase@chuexempleville.mssante.fr", ("chu-exempleville.mssante.fr",)),
        ("ase@chu-exempleville.fr", ("chu-exempleville.mssante.fr",)),  # its public address
        ("ase@hopital-exemple.mssante.fr", ("hôpital-exemple.mssante.fr",)),
        ("ase@mssante.exemple-cript.org", ("mssante.exemple-crypt.org",)),
        ("ase@cd14.mssante.fr", ()),  # another number is another department
        ("parent@gmail.com", ()),
        ("parent@exemple.com", ()),
        ("ase@cd12.mssante.fr", ()),  # a member needs no suggestion
        ("n'importe quoi", ()),
    ],
)
def test_the_nearest_members_are_suggested_for_a_slip_of_the_pen(wrong: str, near: tuple[str, ...]) -> None:
    assert LIST.nearest(wrong) == near


def test_at_most_three_are_suggested_the_nearest_first() -> None:
    alike = members_of([f"clinique-des-lilas{end}.mssante.fr" for end in ("", "-a", "-ab", "-abc", "-abcd")])
    assert alike.nearest("x@clinique-des-lila.mssante.fr") == tuple(
        f"clinique-des-lilas{end}.mssante.fr" for end in ("", "-a", "-ab")
    )


def test_a_suggestion_among_ten_thousand_takes_no_time() -> None:
    """Measured: 35 ms of the processor once for the list, then 0.6 ms each."""
    large = members_of(entry[0] for entry in many(14_000))
    assert len(large.by_name) > 9_000
    large.nearest("a@premier.mssante.fr")
    began = time.process_time()
    for number in range(20):
        large.nearest(f"a@hopital-clinique.labo-{number}x.mssante.fr")
    assert (time.process_time() - began) / 20 < 0.05


@given(st.text(max_size=300))
def test_no_text_is_too_odd_to_be_compared(text: str) -> None:
    name = compared(text)
    assert name is None or compared(name) == name
    assert isinstance(LIST.nearest(text), tuple)
    assert LIST.has(text) is (LIST.of(text) is not None)


@given(st.text("abcdefghij.-", min_size=1, max_size=40))
def test_a_label_before_a_member_is_no_member(text: str) -> None:
    assert not Members(LIST.by_name).has(f"a@{text}.cd12.mssante.fr")
