"""The small form of `make contention`: some seconds, fewer processes. And what `make soak` calls a leak."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import contention
from bench.soak import Sample, trends


@pytest.mark.timeout(600)  # on a busy machine the processes take long to start
def test_nobody_hears_that_sqlite_is_busy(tmp_path: Path) -> None:
    found = contention.run(tmp_path, seconds=12, workers=3, seed=20261125)
    assert found.holds, found
    assert set(found.commands) == {" ".join(words) for words in contention.READERS}


def grows(what: str, by: float) -> bool:
    """Whether the soak sees it: a minute of samples, `by` more each second."""
    samples = [
        Sample(
            at=float(second),
            role="worker",
            pid=1,
            memory=90 + by * second * (what == "memory"),
            descriptors=int(20 + by * second * (what == "descriptors")),
        )
        for second in range(60)
    ]
    return not all(trend.is_flat for trend in trends(samples, seconds=60))


def test_a_leak_is_no_flat_line() -> None:
    assert grows("memory", by=0.6)
    assert grows("descriptors", by=0.3)
    assert not grows("memory", by=0.05)
    assert not grows("descriptors", by=0.0)
