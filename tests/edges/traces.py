"""strace as an observer: what processes really asked of the kernel, in which order.

`with traced(pids, into) as trace:` attaches; afterwards `trace.calls()` gives the calls of all of them in one order.
A call lasts from `began` to `ended` (places in the trace): `a.is_before(b)` says that it had returned before the other
was made. Ends the test through `tests.conftest.missing` where strace is not there or not allowed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import missing

DURABLE = ("fsync", "fdatasync")
CALLS = (*DURABLE, "rename", "renameat", "renameat2", "link", "unlink", "mkdir", "pwrite64", "write", "sendto")

_LINE = re.compile(r"(\d+) +[0-9.]+ (?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$")
_ON = re.compile(r"\d+<((?:TCP|UNIX)[^\]]*\]|[^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """`on` is the file or `TCP:[from->to]` of its first argument; `arguments` is what strace printed."""

    pid: int
    name: str
    arguments: str
    on: str
    began: int
    ended: int

    def is_before(self, other: Call) -> bool:
        return self.ended < other.began


class Trace:
    def __init__(self, file: Path) -> None:
        self._file = file

    def place(self) -> int:
        """How long the trace is by now."""
        return len(self._file.read_text(errors="replace").splitlines())

    def calls(self, since: int = 0) -> list[Call]:
        """Those that began from that place on and succeeded, by their end."""
        open_calls: dict[tuple[int, str], tuple[int, str]] = {}
        found: list[Call] = []
        for place, line in enumerate(self._file.read_text(errors="replace").splitlines()):
            matched = _LINE.match(line)
            if matched is None:
                continue
            pid, name, said = int(matched[1]), matched[2] or matched[4], matched[3] or matched[5] or ""
            began = place
            if matched[4] and said.endswith("<unfinished ...>"):
                open_calls[pid, name] = (place, said.removesuffix("<unfinished ...>"))
                continue
            if matched[2]:
                began, head = open_calls.pop((pid, name), (place, ""))
                said = head + said
            arguments, _, result = said.rpartition(" = ")
            if result.startswith("-1"):
                continue
            on = _ON.match(arguments)
            found.append(Call(pid, name, arguments, on[1] if on else "", began, place))
        return [call for call in found if call.began >= since]


@contextmanager
def traced(pids: Sequence[int], file: Path) -> Iterator[Trace]:
    """All threads of these processes, and what they start."""
    if shutil.which("strace") is None:
        missing("strace is not installed (Debian package strace)")
    words = ["strace", "-f", "-yy", "-ttt", "-s", "0", "-e", f"trace={','.join(CALLS)}", "-o", str(file)]
    said = file.with_suffix(".err")
    with said.open("wb") as stderr:
        strace = subprocess.Popen([*words, *(f"-p{pid}" for pid in pids)], stderr=stderr)
    try:
        _wait_until_attached(strace, said, pids)
        yield Trace(file)
    finally:
        strace.terminate()  # it lets go of the processes
        strace.wait(20)


def _wait_until_attached(strace: subprocess.Popen[bytes], said: Path, pids: Sequence[int]) -> None:
    until = time.monotonic() + 20
    while True:
        told = said.read_text(errors="replace")
        if "Operation not permitted" in told or "Could not attach" in told:
            missing(f"strace may not trace here: {told.strip()[:200]}")
        if all(re.search(rf"Process {pid} attached", told) for pid in pids):
            return
        if strace.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"strace did not attach: {told[-500:]}")
        time.sleep(0.05)
