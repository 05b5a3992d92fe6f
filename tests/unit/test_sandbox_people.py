"""The fictional world is fictional, coherent, and in the form that `hub usagers import` reads."""

from __future__ import annotations

import re

import pytest

from hub import ins
from hub.records import parse_usagers
from hub.sandbox import people


def test_every_ins_stands_under_the_test_oid_with_its_right_key() -> None:
    stated = [usager.identity for usager in people.USAGERS if usager.identity.ins]
    stated += [people.STRANGER, people.HOMONYM]
    assert all(who.oid == ins.TEST and ins.key_is_right(who.ins or "") for who in stated)
    assert len({who.ins for who in stated}) == len(stated)


def test_an_ins_agrees_with_sex_birth_date_and_place() -> None:
    for usager in people.USAGERS:
        who = usager.identity
        if who.ins:
            year, month = (who.birth_date or "").split("-")[:2]
            assert who.ins[0] == ("1" if who.sex == "M" else "2")
            assert who.ins[1:5] == year[2:] + month
            assert who.ins[5:10] == who.birth_place


def test_the_cast_has_homonyms_twins_and_identities_that_are_not_certain() -> None:
    emma, emma_bis = people.EMMA.identity, people.EMMA_BIS.identity
    assert (emma.birth_name, emma.given_names) == (emma_bis.birth_name, emma_bis.given_names)
    assert emma.ins != emma_bis.ins
    hugo, louise = people.HUGO.identity, people.LOUISE.identity
    assert (hugo.birth_name, hugo.birth_date, hugo.birth_place) == (
        louise.birth_name,
        louise.birth_date,
        louise.birth_place,
    )
    assert people.TOM.ins_status == "recuperee"
    assert people.ADAM.identity.ins is None
    assert people.INES.doubtful
    assert len(people.USAGERS) == 12


def test_structures_and_addresses_say_that_they_are_fictional() -> None:
    for structure in people.STRUCTURES:
        assert "fictif" in structure.name or "fictive" in structure.name
        assert structure.address.endswith(".example")
        assert re.fullmatch(r"[12]990\d{6}", structure.national_id)


def test_the_export_of_usagers_is_read_back_whole() -> None:
    read = parse_usagers(people.usagers_csv())
    assert not read.problems
    known = {usager.record_number: usager for usager in people.USAGERS}
    assert len(read.usagers) == len(known)
    for usager in read.usagers:
        expected = known[usager.record_number]
        assert (usager.ins_status, usager.doubtful, usager.facility) == (
            expected.ins_status,
            expected.doubtful,
            expected.facility,
        )
        for trait in ("ins", "oid", "birth_name", "first_given", "given_names", "birth_date", "sex", "birth_place"):
            assert getattr(usager.identity, trait) == getattr(expected.identity, trait)


def test_an_ins_is_made_only_from_thirteen_characters() -> None:
    with pytest.raises(ValueError, match="13 digits"):
        people.make_ins("21403693839")
