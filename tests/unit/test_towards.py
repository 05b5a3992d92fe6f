"""Where a role leads on the day of a sending: the whole table, and how roles are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from hub import routing
from hub.domains import members_of
from hub.errors import Misconfigured
from hub.message import Contact, HeldRole
from hub.routing.roles import Roles
from hub.routing.towards import ROLE_DOUBTS, successor, towards
from hub.routing.view import Seen
from tests.fakes_book import ROLES
from tests.unit.routing_samples import OURS, envelope, mail, rulebook

TODAY = date(2026, 11, 25)
YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
POLICY = routing.Policy(
    members=members_of({"ase-exemple.mssante.fr", "mecs-exemple.mssante.fr"}),
    own_addresses=frozenset({OURS}),
    roles=Roles(ROLES, "dossier.invalid"),
)


def contact(name: str, **given: Any) -> Contact:
    address = given.pop("address", f"{name}@ase-exemple.mssante.fr")
    return Contact(id=name, address=address, type="PER", changed_at=NOON, changed_by="essai", **given)


def held(name: str = "garnier", **given: Any) -> HeldRole:
    defaults: dict[str, Any] = {
        "id": f"h-{name}",
        "role": "referent_ase",
        "contact": contact(name),
        "level": "usager",
        "since": date(2026, 3, 1),
        "said_at": NOON,
        "said_by": "essai",
    }
    return HeldRole(**{**defaults, **given})


def seen(*roles: HeldRole, today: date | None = TODAY) -> Seen:
    return Seen(envelope=envelope(), parsed=mail(), held_roles=roles, today=today)


def led(*roles: HeldRole, usager: str | None = "u-1", policy: routing.Policy = POLICY, **given: Any) -> list[str]:
    """The addresses, or the code of the doubt."""
    found = towards("role:referent_ase", usager, seen(*roles), policy, **given)
    return [one.doubt.code if one.doubt is not None else one.address for one in found]


GARNIER, LOPEZ, BUREAU = (f"{name}@ase-exemple.mssante.fr" for name in ("garnier", "lopez", "bureau"))
OF_TERRITORY = held("bureau", level="territory", territory="Nord")
OF_SITE = held("crip", level="site")


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ((), "role-unresolved"),
        ((held(),), GARNIER),
        ((held(until=TODAY),), GARNIER),  # its last day is a day
        ((held(since=TODAY),), GARNIER),  # and so is its first
        ((held(until=YESTERDAY),), "role-ended"),
        ((held(since=TOMORROW),), "role-not-yet"),
        ((held(until=YESTERDAY), held("lopez", since=TODAY)), LOPEZ),
        ((held(until=TODAY), held("lopez", since=TOMORROW)), GARNIER),
        ((held(until=YESTERDAY), held("lopez", since=TOMORROW)), "role-ended"),
        ((held(), held("lopez")), "role-several"),
        ((held(withdrawn_at=NOON),), "role-unresolved"),
        ((held(role="crip"),), "role-unresolved"),
        ((OF_TERRITORY,), BUREAU),
        ((OF_SITE, OF_TERRITORY), BUREAU),
        ((OF_SITE, OF_TERRITORY, held()), GARNIER),
        ((OF_TERRITORY, held(until=YESTERDAY)), BUREAU),
        ((held(contact=contact("garnier", until=YESTERDAY)),), "role-contact-ended"),
        ((held(contact=contact("garnier", since=TOMORROW)),), "role-contact-ended"),
        ((held(contact=contact("garnier", until=YESTERDAY)), OF_TERRITORY), "role-contact-ended"),
        ((held(contact=contact("garnier", address="garnier@exemple.com")),), "role-outside"),
    ],
)
def test_the_table(roles: tuple[HeldRole, ...], expected: str) -> None:
    assert led(*roles) == [expected]


def test_without_the_usager_or_the_day_it_leads_nowhere() -> None:
    assert led(held(), usager=None) == ["role-without-usager"]
    assert [one.address for one in towards("role:referent_ase", "u-1", seen(held(), today=None), POLICY)] == [""]


def test_what_came_in_is_never_passed_on_to_a_mailbox_of_ours() -> None:
    ours = held(contact=contact("nous", address=OURS))
    assert led(ours) == [OURS]
    assert led(ours, may_be_ours=False) == ["role-own-mailbox"]


def test_a_shared_role_leads_to_each() -> None:
    shared = tuple(replace(one, is_shared=True) for one in ROLES)
    assert led(held(), held("lopez"), policy=replace(POLICY, roles=Roles(shared, "dossier.invalid"))) == [
        GARNIER,
        LOPEZ,
    ]


def test_it_says_as_what_somebody_gets_it() -> None:
    ((of_usager,), (of_territory,)) = (
        towards("referent-ase@dossier.invalid", "u-1", seen(one), POLICY) for one in (held(), OF_TERRITORY)
    )
    assert of_usager.role == "référent ASE de l'usager, depuis le 01/03/2026"
    assert of_territory.role == "référent ASE, selon le territoire de l'usager, depuis le 01/03/2026"


def test_a_doubt_names_the_role_and_the_day_and_nobody() -> None:
    (ended,) = towards("role:referent_ase", "u-1", seen(held(until=YESTERDAY)), POLICY)
    assert ended.doubt is not None
    assert ended.doubt.text.startswith("Rôle « référent ASE » (jusqu'au 24/11/2026).")
    assert "garnier" not in ended.doubt.text
    assert ended.doubt.code in ROLE_DOUBTS


@pytest.mark.parametrize(
    "written",
    ["role:referent_ase", "ROLE:Referent-ASE", "referent-ase@dossier.invalid", "Referent_ASE@Dossier.Invalid",
     "referent.ase@dossier.invalid", "referentase@dossier.invalid"],
)  # fmt: skip
def test_ways_to_write_a_role(written: str) -> None:
    (found,) = towards(written, "u-1", seen(held()), POLICY)
    assert found.address == GARNIER


def test_an_unknown_role_is_told_with_those_that_exist() -> None:
    (found,) = towards("referant-ase@dossier.invalid", "u-1", seen(held()), POLICY)
    assert found.doubt is not None
    assert found.doubt.code == "role-unknown"
    assert "referent-ase@dossier.invalid" in found.doubt.text


def test_other_addresses_are_as_they_are() -> None:
    (found,) = towards("Referent-ASE@ase-exemple.mssante.fr", None, seen(), POLICY)
    assert (found.address, found.role) == ("Referent-ASE@ase-exemple.mssante.fr", "")


# --- who was written to by hand ----------------------------------------------------------------------------------


def test_the_successor_of_a_former_holder_is_known() -> None:
    known = seen(held(until=YESTERDAY), held("lopez", since=TODAY))
    found = successor(GARNIER.upper(), "u-1", known, POLICY)
    assert found is not None
    assert (found[0].name, found[1], found[2].address) == ("referent_ase", TODAY, LOPEZ)


@pytest.mark.parametrize(
    "roles",
    [
        (),
        (held(), held("lopez", role="crip")),
        (held(until=YESTERDAY),),  # nobody follows
        (held(until=YESTERDAY), held("lopez", since=TODAY), held(role="crip")),  # something else for the usager
        (held(until=YESTERDAY, level="site"), held("lopez", since=TODAY)),  # never of this usager
    ],
)
def test_there_is_nothing_to_tell(roles: tuple[HeldRole, ...]) -> None:
    assert successor(GARNIER, "u-1", seen(*roles), POLICY) is None


# --- in the rules ------------------------------------------------------------------------------------------------

RULES = """
rules:
  - name: au-referent
    when: {{class: xdm, match: certain}}
    then: {{file: true, copy: "{copy}"}}
  - name: sinon
    then: {{hold: "Une personne."}}
submissions:
  - name: vers-le-referent
    when: {{recipient: "{recipient}"}}
    then: {{send: true}}
  - name: sinon
    then: {{hold: "Une personne."}}
"""


def made(copy: str = "role:referent_ase", recipient: str = "role:referent_ase") -> routing.Rulebook:
    return rulebook(POLICY, RULES.format(copy=copy, recipient=recipient))


def test_rules_may_name_roles() -> None:
    assert made().names_roles
    assert not made(copy=GARNIER).names_roles
    assert made(recipient="role:*").submissions


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"copy": "role:referant_ase"}, "no role of the settings"),
        ({"copy": "referant@dossier.invalid"}, "no role of the settings"),
        ({"recipient": "role:referant_ase"}, "no role of the settings"),
        ({"copy": "role:"}, "copy"),
    ],
)
def test_a_rule_that_names_no_role_of_the_site_is_refused(wrong: dict[str, str], told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        made(**wrong)
    assert told in caught.value.private
    assert "routes.yaml:" in caught.value.private
