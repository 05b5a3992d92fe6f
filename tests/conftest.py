"""Shared fixtures. A part that is missing skips loudly at home and fails in CI (examples.md: dramatiq)."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

from tests.listening import EARS, Listening
from tests.pki import Authority

# No time limit for an example: a busy machine is no fault of the hub (each test has pytest's own).
# In CI the examples are the same each time, so that a change is judged and not the luck of the day; elsewhere they are
# new each time, and many with HUB_PROPERTIES=thorough (tests/amounts.py).
hypothesis.settings.register_profile(
    "hub",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
hypothesis.settings.load_profile("hub")

PROJECT_ROOT = Path(__file__).parent.parent


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Listening(EARS), "listening")


def missing(reason: str) -> None:
    """End the test: failed in CI, skipped elsewhere, the reason in plain sight."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def testkit() -> Path:
    """The official data, by `HUB_TESTKIT`."""
    root = Path(os.environ.get("HUB_TESTKIT", PROJECT_ROOT / "../shared/testkit")).resolve()
    if not (root / "xdm/expected.json").is_file():
        missing(f"test kit not found at {root}: set HUB_TESTKIT")
    return root


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))
