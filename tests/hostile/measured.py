"""What a child of the cell took: its peak and its processor time, read from the kernel before the child is let go."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hub.cell import Cell, pool
from hub.message import Limits

_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")
_KILL = pool._Child.kill


@dataclass
class Measured:
    """A cell of one child; `peak` in bytes and `processor` in seconds, the most that any child took for a message."""

    cell: Cell
    peak: int = 0
    processor: float = 0.0
    deaths: int = 0
    _before: dict[int, float] = field(default_factory=dict)

    def begin(self) -> None:
        """Forget what was; a child that lives on is measured from here."""
        self.peak, self.processor, self.deaths = 0, 0.0, 0
        child = self.cell._places[0].fill()
        self._before = {child.popen.pid: _processor(child.popen.pid)}
        Path(f"/proc/{child.popen.pid}/clear_refs").write_text("5")  # its peak is what it holds now

    def look(self, pid: int) -> None:
        """Raises nothing: a child that is gone has said all it had to say. A zombie has no memory any more, and its
        processor time still stands."""
        try:
            spent = _processor(pid) - self._before.get(pid, 0.0)
            found = _PEAK.search(Path(f"/proc/{pid}/status").read_text("ascii"))
        except (OSError, IndexError):
            return
        self.processor = max(self.processor, spent)
        if found:
            self.peak = max(self.peak, int(found[1]) * 1024)
        else:
            self.deaths += 1

    def end(self) -> None:
        child = self.cell._places[0]._child
        if child is not None:
            self.look(child.popen.pid)


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def measured_cell(
    monkeypatch: pytest.MonkeyPatch, memory: int, seconds: float, codes_dir: Path
) -> AsyncIterator[Measured]:
    cell = Cell(Limits(), memory, seconds, processes=1, recycle_after=10**6, codes_dir=codes_dir)
    measured = Measured(cell)

    def kill(child: pool._Child) -> None:
        measured.look(child.popen.pid)
        _KILL(child)

    monkeypatch.setattr(pool._Child, "kill", kill)
    try:
        yield measured
    finally:
        await cell.close()
