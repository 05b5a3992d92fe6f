"""Each golden mail gives the plan beside it, to the letter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trips.golden import FOLDER, plan_of

MAILS = sorted(FOLDER.glob("*.eml"))


@pytest.mark.parametrize("mail", MAILS, ids=lambda mail: mail.stem)
def test_the_mail_gives_the_plan_beside_it(mail: Path) -> None:
    assert plan_of(mail.read_bytes()) == json.loads(mail.with_suffix(".plan.json").read_text("utf-8"))


def test_every_mail_has_a_plan_and_every_plan_a_mail() -> None:
    assert {mail.stem for mail in MAILS} == {plan.name.removesuffix(".plan.json") for plan in FOLDER.glob("*.json")}
    assert len(MAILS) >= 12
