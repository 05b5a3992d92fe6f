"""`instructions`: user instructions of one signed 60 KB archive, from the mailbox to the record, hub over floor.

What `filing` measures in time, counted by Valgrind (callgrind) and therefore the same on every machine and at every
load. A row of its own: it takes minutes. Service and worker run as they do, one of them under Valgrind at a time; the
reader's code is run in a process without its limits, which Valgrind cannot bear. What comes at the start (imports,
first messages, statements made ready) is not counted.

Valgrind hides the processor's own SHA-256 and AES: libcrypto counts three to ten times what it costs. The ratio is
therefore given without libcrypto on either side; the other one is printed beside it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.figures import Figure, Options, Result
from bench.filing import judging
from bench.letters import signed_letters
from bench.sites import SETTLED, bench_site, looking
from tests.trips.house import HOME, wait_for

TITLE = "user instructions of a signed 60 KB archive, from the mailbox to the record"
WARM_UP = 20
_CRYPTO = "libcrypto"
_SLOW = 900  # seconds: Valgrind takes fifty times as long


@dataclass
class Counted:
    """Instructions by the object that they are in (libpython3.11.so.1.0, libcrypto.so.3…)."""

    by_object: Counter[str] = field(default_factory=Counter)

    def each(self, messages: int, *, crypto: bool) -> float:
        """Millions a message."""
        kept = (number for name, number in self.by_object.items() if crypto or not name.startswith(_CRYPTO))
        return sum(kept) / messages / 1e6


def run(options: Options) -> Result:
    if shutil.which("valgrind") is None:
        return Result("instructions", TITLE, (), missing="valgrind is not installed (sh scripts/setup.sh measures)")
    count = options.messages or 60
    told = {
        "floor": _alone("floor", count),
        "reader": _alone("reader", count),
        "worker": _at_work("worker", count),
        "service": _at_work("serve", count),
    }
    return Result("instructions", TITLE, tuple(_figures(told, count)), (_shares(told, count),))


def _figures(told: dict[str, Counted], count: int) -> list[Figure]:
    parts = ("service", "worker", "reader")

    def hub(*, crypto: bool) -> float:
        return sum(told[part].each(count, crypto=crypto) for part in parts)

    floor, whole_floor = (told["floor"].each(count, crypto=crypto) for crypto in (False, True))
    return [
        Figure(
            "over the floor, both verify, without libcrypto", hub(crypto=False) / floor, "times", 3.0, note="aim 2.0"
        ),
        Figure("the same with libcrypto", hub(crypto=True) / whole_floor, "times"),
        Figure("hub, without libcrypto", hub(crypto=False), "M", 20.0),
        *(Figure(f"hub, {part}, without libcrypto", told[part].each(count, crypto=False), "M") for part in parts),
        Figure("floor, without libcrypto", floor, "M"),
    ]


def _shares(told: dict[str, Counted], count: int) -> dict[str, dict[str, float]]:
    return {
        part: {name: round(number / count / 1e6, 3) for name, number in counted.by_object.most_common(12)}
        for part, counted in told.items()
    }


def _alone(part: str, count: int) -> Counted:
    """The floor, or the reader's code, over the same messages, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder, _valgrind(Path(folder)) as watched:
        process = watched.start("bench.counted_one", part, str(WARM_UP), str(count))
        assert process.stdin
        assert process.stdout
        for says, then in ((b"warm", watched.count), (b"done", watched.stop_counting)):
            assert process.stdout.readline().strip() == says
            then()
            process.stdin.write(b"\n")
            process.stdin.flush()
    return watched.counted


def _at_work(command: str, count: int) -> Counted:
    """The service or the worker of a real site, the other one beside it."""
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(
            Path(folder), replace(judging(Path(folder) / "anchors.pem"), processes=int(command == "serve"))
        ) as site,
        looking(site) as looker,
        _valgrind(Path(folder)) as watched,
    ):
        if command == "worker":
            site.start()
        watched.start("hub", command, "--site", str(site.folder))
        site.dovecot.deliver(HOME, *signed_letters(WARM_UP, receipts=False))
        wait_for(lambda: looker.count(SETTLED) >= WARM_UP, _SLOW, lambda: site.log()[-3000:])
        letters = list(signed_letters(count, first=WARM_UP, receipts=False))
        time.sleep(5)  # what the last ones left to do
        watched.count()
        site.dovecot.deliver(HOME, *letters)
        wait_for(lambda: looker.count(SETTLED) >= WARM_UP + count, _SLOW, lambda: site.log()[-3000:])
        watched.stop_counting()
    return watched.counted


class _Watched:
    """One process under Valgrind, which counts between `count` and `stop_counting`."""

    def __init__(self, folder: Path) -> None:
        self._out = folder / "callgrind.out"
        self._process: subprocess.Popen[bytes] | None = None
        self.counted = Counted()

    def start(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self._out}"]
        self._process = subprocess.Popen(
            [*valgrind, sys.executable, "-m", module, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        return self._process

    def count(self) -> None:
        self._control("--instr=on")

    def stop_counting(self) -> None:
        self._control("--dump")
        self._control("--instr=off")
        self.counted = counted_in(max(self._out.parent.glob("callgrind.out.*"), key=lambda file: file.stat().st_mtime))

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _control(self, what: str) -> None:
        assert self._process is not None
        subprocess.run(
            ["callgrind_control", what, str(self._process.pid)], check=True, capture_output=True, timeout=120
        )


@contextmanager
def _valgrind(folder: Path) -> Iterator[_Watched]:
    watched = _Watched(folder)
    try:
        yield watched
    finally:
        watched.end()


_OBJECT = re.compile(r"c?ob=\((\d+)\)(?: (.*))?")


def counted_in(file: Path) -> Counted:
    """The costs of a callgrind file by object; what a call costs in all stands with who is called."""
    counted, names = Counted(), dict[str, str]()
    current, is_call = "", False
    for line in file.read_text(errors="replace").splitlines():
        if found := _OBJECT.fullmatch(line):
            if found[2]:
                names[found[1]] = Path(found[2]).name
            if line.startswith("ob="):
                current = names[found[1]]
        elif line.startswith("calls="):
            is_call = True  # the next line is the call's
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            _, _, cost = line.partition(" ")
            if not is_call:
                counted.by_object[current] += int(cost or 0)
            is_call = False
    return counted
