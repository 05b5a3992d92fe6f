"""Which commands a command line loads: all of them, or those of what runs for weeks alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from hub.cli import LASTING, app_of
from hub.cli.commands import app


def _names(words: list[str]) -> set[str]:
    return set(get_command(app_of(words)).commands)  # type: ignore[attr-defined]


def test_every_command_is_there_for_whoever_asks_for_help_or_for_another() -> None:
    everything = set(get_command(app).commands)  # type: ignore[attr-defined]
    for words in ([], ["--help"], ["check", "--site", "."], ["no-such-command"]):
        assert _names(words) == everything
    assert set(LASTING) < everything


@pytest.mark.parametrize("word", LASTING)
def test_what_runs_for_weeks_loads_its_own_commands_alone(word: str) -> None:
    assert _names([word, "--site", "."]) == set(LASTING)
    looked = (
        f"import sys; from hub.cli import app_of; app_of([{word!r}]); "
        "print(*(name for name in ('hub.sandbox', 'pymap', 'httpx', 'rich', 'hub.cli.demo') if name in sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", looked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == ""
