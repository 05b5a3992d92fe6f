"""kill -9 at every commit of a message's trip while messages arrive: the small form of `make torture`, which has more
points, more chance, and every pair of database and broker.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.torture.__main__ import run
from bench.torture.campaign import Size
from bench.torture.points import POINTS, ROWS
from tests.conftest import PROJECT_ROOT

COMMITS = ("accept", "marked", "lease", "plan", "record-receipt")
SMALL = {f"{deed}.{moment}" for deed in COMMITS for moment in ("before-commit", "committed")} | {
    "mark.stored",
    "smtp.dot",
}
SMALLER = {"accept.committed", "plan.committed", "smtp.dot"}


@pytest.mark.timeout(600)  # fifteen processes die and are started again
def test_nothing_is_lost_filed_twice_or_left_unanswered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = Size(messages=40, kills=1, chances=1, flushes=1)
    points = tuple(point for point in POINTS if point.name in SMALL)
    verdict = run("sqlite+sql", size, 20261125, results=tmp_path, points=points)
    assert verdict.holds, capsys.readouterr().out


@pytest.mark.timeout(600)
def test_nor_on_other_ground(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    size = Size(messages=20, kills=1, chances=0, flushes=1, restarts=1)
    points = tuple(point for point in POINTS if point.name in SMALLER)
    verdict = run("postgresql+amqp", size, 20261126, results=tmp_path, points=points)
    assert verdict.holds, capsys.readouterr().out


def test_every_row_of_what_a_crash_leaves_has_its_points() -> None:
    page = (PROJECT_ROOT / "docs/states.md").read_text(encoding="utf-8")
    table = page[page.index("| killed after…") :].split("\n\n")[0]
    rows = [re.split(r"\s*\|\s*", line)[1] for line in table.splitlines()[2:]]
    assert rows == list(ROWS)
    assert {name for names in ROWS.values() for name in names} <= {point.name for point in POINTS}
