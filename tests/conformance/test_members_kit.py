"""The published list of member domains, as far as the kit has it: read whole, with the counts that it states."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.domains import compared, members_of
from hub.trust.members_reading import MemberList, read_members


@pytest.fixture(scope="module")
def raw(testkit: Path) -> bytes:
    return (testkit / "whitelist" / "listeblanchemssante-extrait.xml").read_bytes()


@pytest.fixture(scope="module")
def listed(raw: bytes) -> MemberList:
    return read_members(raw)


def test_the_list_has_the_counts_that_its_readme_states(listed: MemberList) -> None:
    assert (len(listed.entries), len(listed.names), len(listed.certificates), listed.nameless) == (300, 274, 42, 0)
    written = {entry.name for entry in listed.entries}
    assert {name for name in written if name != name.lower()} == {"UC-CMP.mssante.fr"}
    elsewhere = [entry.name for entry in listed.entries if not entry.name.endswith(".mssante.fr")]
    assert (len(elsewhere), len(set(elsewhere))) == (4, 2)
    assert f"{listed.generated_at:%Y-%m-%d %H:%M:%S%z}" == "2025-03-13 14:54:10+0000"
    assert (listed.is_signed, listed.is_cut) == (False, False)


def test_a_name_that_repeats_is_one_member_with_each_operator(listed: MemberList) -> None:
    members = members_of(listed.entries)
    assert len(members.by_name) == 274
    member = members.of("quelqu'un@15-20.mssante.fr")
    assert member is not None
    assert (len(member.operators), len(member.organisations)) == (5, 3)
    assert members.has("a@uc-cmp.mssante.fr")
    assert members.has("a@mssante.apicrypt.org")
    assert not members.has("a@apicrypt.org")
    assert not members.has("a@evil.mssante.fr")


def test_every_name_is_found_again_and_none_below_it(listed: MemberList) -> None:
    members = members_of(listed.entries)
    for entry in listed.entries:
        assert members.has(f"x@{entry.name.upper()}")
        below = f"x@en-dessous.{entry.name}"
        assert members.has(below) is (compared(below.partition("@")[2]) in members.by_name)
        assert not members.has(below)


def test_the_same_list_cut_as_public_copies_are_is_the_same(raw: bytes, listed: MemberList) -> None:
    end = raw.index(b"</ListeDomaines>") + len(b"</ListeDomaines>")
    cut = read_members(raw[:end])
    assert (cut.is_cut, cut.entries) == (True, listed.entries)


def test_a_slip_in_a_real_name_is_suggested(listed: MemberList) -> None:
    members = members_of(listed.entries)
    assert members.nearest("a@vivredevenir.mssante.fr") == ("vivre-devenir.mssante.fr",)
    assert members.nearest("a@adapei42.mssante.fr")[0] == "adapei42.aura.mssante.fr"
