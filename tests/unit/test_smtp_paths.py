"""The addresses that the submission door hears: plain ones, and those for a role; the door out takes none of these."""

from __future__ import annotations

import pytest

from hub.errors import Permanent
from hub.smtp.answers import checked_address
from hub.smtp.lines import Refused, read_path

ROLE = "referent-ase@dossier.invalid"


@pytest.mark.parametrize("address", [ROLE, "Referent-ASE@Dossier.INVALID", "eds@ase-exemple.mssante.fr"])
def test_a_recipient_may_be_a_role(address: str) -> None:
    assert read_path("TO", f"TO:<{address}>").address == address


@pytest.mark.parametrize(
    "argument",
    [f"FROM:<{ROLE}>", "TO:<référent@dossier.invalid>", "TO:<a b@dossier.invalid>", "TO:<@dossier.invalid>",
     "TO:<x@.invalid>", "TO:<x@invalid>", "TO:<x@dossier.localhost>"],
)  # fmt: skip
def test_nothing_else_is_heard(argument: str) -> None:
    with pytest.raises(Refused):
        read_path(argument.partition(":")[0], argument)


def test_the_door_out_takes_no_role() -> None:
    with pytest.raises(Permanent):
        checked_address(ROLE)
