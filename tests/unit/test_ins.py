"""The form and the key of the INS."""

import pytest

from hub import ins


@pytest.mark.parametrize("number", ["279035121518989", "277076322082910", "260058815400233"])
def test_a_right_key_is_accepted(number: str) -> None:
    assert ins.is_well_formed(number)
    assert ins.key_is_right(number)


@pytest.mark.parametrize("number", ["279035121518988", "222127505611201", "253097812634581"])
def test_a_wrong_key_is_seen_and_its_form_is_still_right(number: str) -> None:
    assert ins.is_well_formed(number)
    assert not ins.key_is_right(number)


@pytest.mark.parametrize(("body", "digits"), [("180032A123456", "1800319123456"), ("180032B123456", "1800318123456")])
def test_corsica_counts_as_19_and_18(body: str, digits: str) -> None:
    key = 97 - int(digits) % 97
    assert ins.key_of(body) == key
    assert ins.key_is_right(f"{body}{key:02d}")


@pytest.mark.parametrize(
    "number", ["", "27903512151898", "2790351215189890", "979035121518989", "2790351215189AB", "２" * 15]
)
def test_what_has_not_the_form_has_no_right_key(number: str) -> None:
    assert not ins.is_well_formed(number)
    assert not ins.key_is_right(number)


def test_a_key_of_other_than_13_digits_is_none() -> None:
    assert ins.key_of("123") is None
    assert ins.key_of("17903512151AA") is None


@pytest.mark.parametrize("last", [8, 9, 10, 11])
def test_four_oids_are_those_of_the_ins(last: int) -> None:
    assert ins.is_ins_oid(f"1.2.250.1.213.1.4.{last}")


@pytest.mark.parametrize("oid", ["1.2.250.1.213.1.4.13", "1.2.250.1.213.1.4.14", "1.2.250.1.213.1.4.2", "", None])
def test_a_social_security_number_and_an_old_ins_c_are_not_ins(oid: str | None) -> None:
    assert not ins.is_ins_oid(oid)
