"""Whose turn it is, and the inventory of what expires: files of a throw-away authority, moments given."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from hub.alerts import Alert, of_certificates
from hub.settings import Settings
from hub.trust.certificates import CertificateFacts
from hub.trust.inventory import Inventory, Item, State
from hub.trust.keys import KeyRing
from hub.trust.succession import Turns
from tests.signers import AT, Authority, Holder, new_key

DAY = timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")
AC = Authority("ec")
KEY = new_key("ec")
BOX = "dossiers"


def holder(begins: timedelta, ends: timedelta) -> Holder:
    return AC.signer(not_before=AT + begins, not_after=AT + ends, key=KEY)


NOW_GOOD = holder(-300 * DAY, 60 * DAY)
LATER_GOOD = holder(-DAY, 800 * DAY)


class Place:
    """A folder with files `current.pem` and `next.pem`, and settings that name them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, one: Holder) -> Path:
        path = self.folder / f"{name}.pem"
        path.write_bytes(one.certificate_pem + one.key_pem)
        return path

    def settings(self, *, on: str = "mailbox", day: date | None = None, has_next: bool = True, **more: Any) -> Settings:
        end = {"host": "h", "port": 1, "tls": "implicit"}
        shown: dict[str, Any] = {"certificate": {"file": self.folder / "current.pem"}, "next_from": day}
        if has_next:
            shown["next_certificate"] = {"file": self.folder / "next.pem"}
        operator = {"name": "op", "imap": end, "smtp": end, "ca_file": self.folder / "ca.pem", "sasl": "none"}
        box = {"name": BOX, "address": "a@b.example", "operator": "op"}
        (operator if on == "operator" else box).update(shown)
        site = {"product_reference": "ESSAI1", **more.pop("site", {})}
        key_file = self.folder / "data.keys"
        tree = {"site": site, "operators": [operator], "mailboxes": [box], "key_file": key_file, **more}
        return Settings.model_validate(tree)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.write("current", NOW_GOOD)
    place.write("next", LATER_GOOD)
    (tmp_path / "ca.pem").write_bytes(AC.root_pem)
    KeyRing.create(tmp_path / "data.keys")
    return place


def shown(settings: Settings, at: datetime) -> str:
    certificate = Turns(settings).of(settings.mailboxes[0], at).certificate
    return certificate.file.stem if certificate is not None else ""


def alerts(settings: Settings, at: datetime) -> list[tuple[str, bool]]:
    return [(one.code, one.is_urgent) for one in raised(settings, at)]


def raised(settings: Settings, at: datetime) -> list[Alert]:
    return list(of_certificates(settings, Inventory(settings).items(at), at))


def ours(settings: Settings, at: datetime) -> list[tuple[State, bool]]:
    return [(item.state, item.is_used) for item in Inventory(settings).certificates(at)]


# --- whose turn


@pytest.mark.parametrize("on", ["mailbox", "operator"])
def test_the_next_one_takes_over_when_the_current_one_ends(place: Place, on: str) -> None:
    settings, ends = place.settings(on=on), NOW_GOOD.certificate.not_valid_after_utc
    turn = Turns(settings).of(settings.mailboxes[0], AT)
    assert turn.until == ends
    assert [turn.is_over(at) for at in (AT, ends - timedelta(seconds=1), ends)] == [False, False, True]
    assert [shown(settings, at) for at in (AT, ends - timedelta(seconds=1), ends)] == ["current", "current", "next"]
    assert Turns(settings).of(settings.mailboxes[0], ends).until is None


def test_or_at_midnight_of_the_site_on_its_day(place: Place) -> None:
    settings = place.settings(day=date(2026, 6, 20))
    midnight = datetime(2026, 6, 20, tzinfo=PARIS).astimezone(UTC)
    turn = Turns(settings).of(settings.mailboxes[0], AT)
    assert turn.until == midnight
    assert shown(settings, midnight - timedelta(seconds=1)) == "current"
    assert shown(settings, midnight) == "next"


def test_a_certificate_of_the_mailbox_goes_before_that_of_its_operator(place: Place) -> None:
    settings = place.settings(on="operator", has_next=False)
    assert shown(settings, AT) == "current"
    place.write("own", LATER_GOOD)
    own = settings.mailboxes[0].model_copy(
        update={"certificate": settings.operators[0].certificate.model_copy(update={"file": place.folder / "own.pem"})}  # type: ignore[union-attr]
    )
    assert shown(settings.model_copy(update={"mailboxes": (own,)}), AT) == "own"


@pytest.mark.parametrize(
    ("following", "at", "serves"),
    [
        (holder(90 * DAY, 800 * DAY), AT + 10 * DAY, "current"),  # its day has come, and it is not valid yet
        (holder(90 * DAY, 800 * DAY), AT + 70 * DAY, "next"),  # the current one is no better
        (holder(-9 * DAY, -DAY), AT + 10 * DAY, "current"),
        (None, AT + 10 * DAY, "current"),
        (None, AT + 70 * DAY, "current"),
    ],
)
def test_a_next_one_that_cannot_serve_never_takes_the_place_of_one_that_can(
    place: Place, following: Holder | None, at: datetime, serves: str
) -> None:
    if following is None:
        (place.folder / "next.pem").write_bytes(b"-----BEGIN nothing")
    else:
        place.write("next", following)
    settings = place.settings(day=(AT + 5 * DAY).date())
    assert shown(settings, at) == serves
    if serves == "current" and at < AT + 60 * DAY:
        assert Turns(settings).of(settings.mailboxes[0], at).until is None  # it serves on: no new connection each time


def test_a_file_that_is_replaced_is_read_anew(place: Place) -> None:
    settings = place.settings(has_next=False)
    inventory = Inventory(settings)
    at = AT + 100 * DAY
    assert inventory.certificates(at)[0].state is State.ENDED
    place.write("current", LATER_GOOD)
    os.utime(place.folder / "current.pem", (1, 1))
    assert inventory.certificates(at)[0].state is State.IN_USE


# --- the inventory


def test_the_inventory_names_everything_with_its_holder_state_and_end(place: Place) -> None:
    settings = place.settings()
    items = Inventory(settings).items(AT)
    assert [(item.what, item.holder, item.state) for item in items] == [
        ("client", f"mailbox {BOX}", State.IN_USE),
        ("client", f"mailbox {BOX}", State.NEXT),
        ("authority", "operator op", State.IN_USE),
        ("key", "keys", State.IN_USE),
    ]
    current, following, authority, key = items
    assert current.facts is not None
    assert current.facts.common_name == "BAL DU SECRETARIAT"
    assert current.facts.sha256 == NOW_GOOD.certificate.fingerprint(NOW_GOOD.certificate.signature_hash_algorithm).hex()  # type: ignore[arg-type]
    assert current.facts.serial == f"{NOW_GOOD.certificate.serial_number:x}"
    assert (current.facts.usages, current.facts.purposes) == (("digitalSignature",), ("emailProtection",))
    assert following.since == NOW_GOOD.certificate.not_valid_after_utc
    assert authority.facts is not None
    assert authority.facts.is_authority
    assert key.key is not None
    assert key.key.added_on == datetime.now(UTC).date()
    KeyRing.rotate(settings.key_file)
    assert [item.state for item in Inventory(settings).items(AT)[-2:]] == [State.REPLACED, State.IN_USE]


def test_states_follow_the_clock(place: Place) -> None:
    settings = place.settings()
    ends = NOW_GOOD.certificate.not_valid_after_utc
    assert ours(settings, AT) == [(State.IN_USE, True), (State.NEXT, False)]
    assert ours(settings, ends) == [(State.REPLACED, False), (State.IN_USE, True)]
    assert ours(settings, AT + 900 * DAY) == [(State.REPLACED, False), (State.ENDED, True)]
    assert ours(place.settings(has_next=False), ends) == [(State.ENDED, True)]
    place.write("current", holder(5 * DAY, 60 * DAY))
    assert ours(place.settings(has_next=False), AT) == [(State.NOT_YET, True)]
    (place.folder / "current.pem").unlink()
    assert ours(place.settings(has_next=False), AT) == [(State.UNREADABLE, True)]


def test_der_authorities_are_read_too(place: Place) -> None:
    (place.folder / "ca.pem").write_bytes(AC.root.certificate.public_bytes(Encoding.DER))
    authorities = [item for item in Inventory(place.settings()).items(AT) if item.what == "authority"]
    assert [item.facts.common_name for item in authorities if item.facts] == ["AC RACINE"]


# --- what is told of it


def test_each_notice_is_a_step_and_the_code_stays(place: Place) -> None:
    settings, ends = place.settings(has_next=False), NOW_GOOD.certificate.not_valid_after_utc
    steps = []
    for days in (91, 90, 61, 60, 30, 14, 7, 1):
        found = raised(settings, ends - days * DAY)
        assert {alert.code for alert in found} <= {"certificate-ends-soon"}
        steps.append(found[0].step if found else 0)
    assert steps == [0, 1, 1, 2, 3, 4, 5, 5]
    (last,) = raised(settings, ends)
    assert (last.code, last.is_urgent) == ("certificate-expired", True)
    assert "rien n'est relevé ni envoyé" in last.text


def test_with_a_next_one_ready_nothing_is_told_and_the_next_one_is_watched_in_its_turn(place: Place) -> None:
    settings, ends = place.settings(), LATER_GOOD.certificate.not_valid_after_utc
    assert alerts(settings, AT) == []
    assert alerts(settings, NOW_GOOD.certificate.not_valid_after_utc + DAY) == []
    assert alerts(settings, ends - 30 * DAY) == [("certificate-ends-soon", False)]
    assert alerts(settings, ends) == [("certificate-expired", True)]


def test_a_next_one_that_will_not_serve_is_told_while_there_is_time(place: Place) -> None:
    place.write("next", holder(90 * DAY, 800 * DAY))
    assert alerts(place.settings(), AT) == [("certificate-next-unusable", False)]
    place.write("next", holder(-9 * DAY, -DAY))
    assert alerts(place.settings(), AT) == [
        ("certificate-ends-soon", False),
        ("certificate-next-unusable", False),
    ]
    (place.folder / "next.pem").write_bytes(b"nothing")
    codes = [code for code, _ in alerts(place.settings(), AT)]
    assert codes == ["certificate-ends-soon", "certificate-unreadable"]
    (place.folder / "current.pem").unlink()
    assert ("certificate-unreadable", True) in alerts(place.settings(), AT)


def test_a_next_one_that_works_serves_while_the_current_one_cannot_be_read(place: Place) -> None:
    (place.folder / "current.pem").unlink()
    settings = place.settings()
    assert shown(settings, AT) == "next"
    (alert,) = raised(settings, AT)
    assert (alert.code, alert.is_urgent) == ("certificate-unreadable", False)
    assert "Le certificat suivant sert à sa place." in alert.text
    assert ours(settings, AT) == [(State.UNREADABLE, False), (State.IN_USE, True)]


@pytest.mark.parametrize(
    ("unit", "expected", "is_foreign"),
    [
        ("1690000001", ("1690000001", "312345678900011"), False),
        ("312345678900011", ("1690000001", "312345678900011"), False),
        ("1690000002", ("1690000001", "312345678900011"), True),
        ("312345678900029", ("1690000001", "312345678900011"), True),
        ("312345678900029", ("1690000001",), False),  # the SIRET of the site is not known: nothing to compare
        ("10B0221636", ("10B0221637",), True),  # test FINESS hold letters
        ("BAC A SABLE", ("1690000001",), False),  # no national id at all
        ("0002 187512751", ("1690000001",), False),
    ],
)
def test_the_structure_in_the_name_is_compared_with_the_same_sort_of_number(
    unit: str, expected: tuple[str, ...], is_foreign: bool
) -> None:
    facts = CertificateFacts(common_name="bal", unit=unit, not_before=AT - DAY, not_after=AT + 300 * DAY)
    known: dict[str, Any] = {"what": "client", "holder": "operator op", "file": Path("a.p12"), "state": State.IN_USE}
    assert Item(**known, facts=facts, expected=expected).is_foreign is is_foreign


def test_a_structure_of_the_mailbox_goes_before_that_of_its_operator_and_the_site(place: Place) -> None:
    site = {"finess": "690000001", "siret": "12345678900011"}
    settings = place.settings(site=site)
    assert Inventory(settings).certificates(AT)[0].expected == ("1690000001", "312345678900011")
    boxes = (settings.mailboxes[0].model_copy(update={"structure": "1690000009"}),)
    settings = settings.model_copy(update={"mailboxes": boxes})
    assert Inventory(settings).certificates(AT)[0].expected == ("1690000009",)
