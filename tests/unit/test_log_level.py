"""`log_level` is how much the hub says, not how much its libraries do: their debug lines quote what they carry."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging, sys
from hub.cli.serve import start_logging
from hub.settings import Settings
start_logging(Settings(log_level=sys.argv[1]))
for name in ("hub.imap", "httpx", "httpcore.connection", "aioimaplib.aioimaplib", "dramatiq.worker", "uvicorn.access"):
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger(name), level)("%s-%s", name, level)
"""
LEVELS = ("debug", "info", "warning", "error")


@pytest.mark.parametrize("level", LEVELS)
def test_libraries_speak_from_warnings_on_whatever_the_level(level: str) -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT, level], capture_output=True, text=True, check=True).stderr
    said = [line.rpartition(" ")[2].rpartition("-") for line in told.splitlines()]
    assert [word for name, _, word in said if name == "hub.imap"] == list(LEVELS[LEVELS.index(level) :])
    of_others = {(name, word) for name, _, word in said if name != "hub.imap"}
    assert {word for _, word in of_others} == ({"error"} if level == "error" else {"warning", "error"})
    assert ("httpx", "error") in of_others
