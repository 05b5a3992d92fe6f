"""Identities of the metadata, and two identities compared."""

from dataclasses import replace

import pytest

from hub.cda.identity import differences, from_metadata, merged, read_cx, same_person
from hub.message import Defect, Identity, LocalId

OID = "1.2.250.1.213.1.4.10"
LEA = Identity(
    ins="212053155501232",
    oid=OID,
    local_ids=(LocalId("2.25.1", "42"),),
    birth_name="MARTINEAU",
    first_given="LÉA",
    given_names="LÉA ROSE",
    birth_date="2012-05-12",
    sex="F",
    birth_place="31555",
)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (f"212053155501232^^^&{OID}&ISO^NH", LocalId(OID, "212053155501232")),
        ("42^^^&2.25.1&ISO^PI", LocalId("2.25.1", "42")),
        ("42^^^Hôpital&2.25.1&ISO", LocalId("2.25.1", "42")),
        ("42", None),
        ("^^^&2.25.1&ISO", None),
        ("", None),
        (None, None),
    ],
)
def test_a_cx_is_a_value_and_its_authority(written: str | None, found: LocalId | None) -> None:
    assert read_cx(written) == found


def test_the_metadata_state_ids_and_traits() -> None:
    stated = from_metadata(
        f"212053155501232^^^&{OID}&ISO^NH",
        "42^^^&2.25.1&ISO^PI",
        (
            "PID-11|^^^^^^BDL^^2A004",
            "PID-8|F",
            "PID-7|20120512",
            "PID-5|DUPUIS^ROSE^^^^^D",
            "PID-5|MARTINEAU^LEA^LEA ROSE^^^^L",
            "nonsense",
        ),
    )
    assert stated.defects == ()
    assert stated.identity == Identity(
        ins="212053155501232",
        oid=OID,
        local_ids=(LocalId("2.25.1", "42"),),
        birth_name="MARTINEAU",
        first_given="LEA",
        given_names="LEA ROSE",
        used_name="DUPUIS",
        used_given="ROSE",
        birth_date="2012-05-12",
        sex="F",
        birth_place="2A004",
    )


def test_repeated_fields_of_foreign_senders_are_read() -> None:
    stated = from_metadata(
        None, None, ("PID-3|1^^^&2.25.1&ISO~2^^^&2.25.2&ISO", "PID-5|Newcombe^Ada^Jane^^^^L", "PID-11|1 Main^^X")
    )
    assert stated.identity.local_ids == (LocalId("2.25.1", "1"), LocalId("2.25.2", "2"))
    assert stated.identity.given_names is None  # Jane is a further name, not all names
    assert (stated.identity.first_given, stated.identity.birth_place) == ("Ada", None)


def test_an_ins_without_its_form_is_said() -> None:
    assert from_metadata(f"123^^^&{OID}&ISO^NH", None, ()).defects == (Defect("ins-form"),)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ()),
        ({"birth_name": "Martineau", "first_given": "Lea", "given_names": "léa  rose"}, ()),
        ({"ins": "279035121518989"}, ("ins",)),
        ({"oid": "1.2.250.1.213.1.4.8"}, ("oid",)),
        ({"ins": None, "oid": None}, ()),
        ({"ins": None, "oid": None, "local_ids": (LocalId("2.25.1", "43"),)}, ("local_id",)),
        ({"ins": None, "oid": None, "local_ids": (LocalId("2.25.9", "43"),)}, ()),
        ({"local_ids": (LocalId("2.25.1", "43"),)}, ()),  # the INS decides
        ({"birth_name": "MARTINET"}, ("birth_name",)),
        ({"birth_name": None}, ()),
        ({"first_given": "ROSE", "sex": "M"}, ("first_given", "sex")),
        ({"sex": "U"}, ()),
        ({"birth_date": "2012"}, ()),
        ({"birth_date": "2012-05-13"}, ("birth_date",)),
        ({"birth_place": "75056"}, ("birth_place",)),
        ({"used_name": "DUPUIS"}, ()),
    ],
)
def test_a_contradiction_is_named_and_silence_is_none(change: dict[str, object], found: tuple[str, ...]) -> None:
    other = replace(LEA, **change)  # type: ignore[arg-type]
    assert differences(LEA, other) == found
    assert differences(other, LEA) == found


def test_two_may_be_one_when_they_share_an_id_or_the_main_traits() -> None:
    assert same_person(LEA, Identity(ins=LEA.ins, oid=OID))
    assert same_person(LEA, Identity(local_ids=LEA.local_ids))
    assert same_person(LEA, Identity(birth_name="martineau", birth_date="2012-05-12"))
    assert not same_person(LEA, Identity(birth_name="martineau"))
    assert not same_person(LEA, Identity(sex="F"))
    assert not same_person(LEA, replace(LEA, sex="M"))


def test_what_one_does_not_state_comes_from_the_other() -> None:
    bare = Identity(birth_name="MARTINEAU", birth_date="2012", local_ids=(LocalId("2.25.7", "x"),))
    both = merged(bare, LEA)
    assert (both.ins, both.oid, both.sex, both.birth_date) == (LEA.ins, OID, "F", "2012-05-12")
    assert both.local_ids == (LocalId("2.25.7", "x"), LocalId("2.25.1", "42"))
