"""Memory has ceilings: a mailbox of 10,000 messages, one of them of 150 MB, is watched and carried in under 300 MB a
process, and the commands that look at such a site stay under it too. What is measured is the peak (VmHWM).

`make test` reads them all and carries the first thousand; `HUB_MEMORY=whole` (`make memory`) carries them all, and
takes twenty letters of 25 MB instead of six of 12 MB.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bench.letters import letters
from hub.sandbox.people import usagers_csv
from tests.edges.dovecot import Dovecot
from tests.trips.house import HOME, Site, running_site

IS_WHOLE = os.environ.get("HUB_MEMORY") == "whole"
CEILING = 300  # MB resident, at the peak
MESSAGES = 10_000
HUGE = 150 * 1024**2
CARRIED = MESSAGES if IS_WHOLE else 1_000
TOGETHER, BALLAST = (20, 18_000_000) if IS_WHOLE else (6, 9_000_000)  # base64 makes it 25 MB, or 12 MB

_PEAK_OF_A_COMMAND = (
    "import atexit, sys; from hub.cli import main; sys.argv[0] = 'hub'\n"
    "peak = lambda: next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "atexit.register(lambda: print(peak(), file=sys.stderr))\n"
    "main()\n"
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, usagers_csv()) as site:
        yield site


@pytest.mark.timeout(3_600 if IS_WHOLE else 900)
def test_ten_thousand_messages_and_a_huge_one_stay_under_the_ceiling(site: Site) -> None:
    _fill(site.dovecot, MESSAGES)
    site.start()
    _wait_for(site, "1 = 1", MESSAGES + 1)
    _wait_for(site, "state IN ('HELD', 'DONE')", CARRIED)
    peaks = _peaks(site)
    for words in (("ledger",), ("status",), ("held",), ("journal", "verify")):
        peaks[f"hub {words[0]}"] = _peak_of_command(site, *words)
    print(f"MB at the peak: {peaks}")
    assert {"serve", "worker"} <= peaks.keys()
    assert all(peak < CEILING for role, peak in peaks.items() if role != "reader"), peaks


@pytest.mark.timeout(900)
def test_many_large_letters_at_once_cost_little_more_than_one(site: Site) -> None:
    """Aim and gate of performance.md §9, row 9: at most twice the peak of one."""
    site.start()
    site.dovecot.deliver(HOME, *letters(1, ballast=BALLAST))
    site.wait_until_settled(1)
    one = _peaks(site)
    site.dovecot.deliver(HOME, *letters(TOGETHER, first=1, ballast=BALLAST))
    counts = site.wait_until_settled(1 + TOGETHER, 600)
    many = _peaks(site)
    print(f"MB at the peak: one {one}, {TOGETHER} at once {many}")
    assert counts["DONE"] == 1 + TOGETHER
    for role in ("serve", "worker"):
        assert many[role] <= 2 * one[role], (one, many)
    assert sum(many.values()) <= 2 * sum(one.values()), (one, many)


def _fill(dovecot: Dovecot, count: int) -> None:
    """Straight into the Maildir, in order; the huge one in the middle."""
    maildir = dovecot.maildir(HOME)
    began = time.time_ns() // 1_000
    for number in range(count):
        text = f"Message-ID: <{number}@hopital.mssante.example>\r\nSubject: Note {number}\r\n\r\nNote d'essai.\r\n"
        _put(dovecot, maildir / "new" / f"{began + number}.N{number}.localhost", text.encode())
    line = b"0123456789abcdef" * 4 + b"\r\n"
    head = b"Message-ID: <grand@hopital.mssante.example>\r\nSubject: Grand\r\n\r\n"
    name = f"{began + count // 2}.N{count // 2}b.localhost"
    _put(dovecot, maildir / "new" / name, head + line * (HUGE // len(line)))


def _wait_for(site: Site, condition: str, count: int) -> None:
    """A look every other second: what is measured needs the processor."""
    until = time.monotonic() + (3_000 if IS_WHOLE else 600)
    with contextlib.closing(sqlite3.connect(site.folder / "hub.db", timeout=30)) as connection:
        while connection.execute(f"SELECT count(*) FROM message WHERE {condition}").fetchone()[0] < count:
            assert time.monotonic() < until, site.log()[-2000:]
            time.sleep(2)


def _put(dovecot: Dovecot, path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    os.chown(path, dovecot.mail_uid, dovecot.mail_gid)


def _peaks(site: Site) -> dict[str, float]:
    """Role -> the highest peak among its processes, in MB."""
    peaks: dict[str, float] = {}
    for one in site.tree():
        try:
            words = one.cmdline()
            role = next((word for word in ("serve", "worker") if word in words), "reader")
            peaks[role] = max(peaks.get(role, 0), _peak(Path(f"/proc/{one.pid}/status").read_text()))
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue
    return peaks


def _peak(status: str) -> float:
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return round(int(lines[0].split()[1]) / 1024, 1) if lines else 0.0  # none: it has just ended


def _peak_of_command(site: Site, *words: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PEAK_OF_A_COMMAND, *words, "--site", str(site.folder)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stderr
    return _peak(done.stderr)
