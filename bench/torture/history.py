"""What happened, in order: one JSON object a line, for whoever wants to check the verdict himself.

`t` is seconds since the epoch, `what` the event; ids, pids, counts and names of points only.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Passage:
    """One line of `wounds/passages`: who passed where, when (`bench.torture.wounds`)."""

    at: float
    pid: int
    role: str
    what: str
    detail: str


def passages(wounds: Path) -> Iterator[Passage]:
    """In the order in which they were written."""
    for line in (wounds / "passages").read_text(errors="replace").splitlines():
        at, pid, role, what, detail = line.split("\t")
        yield Passage(float(at), int(pid), role, what, detail)


class History:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.events: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")

    def note(self, what: str, *, t: float | None = None, **facts: Any) -> None:
        event = {"t": round(time.time() if t is None else t, 3), "what": what, **facts}
        with self._lock:
            self.events.append(event)
            with self.file.open("a") as out:
                out.write(json.dumps(event) + "\n")

    def of(self, *whats: str) -> list[dict[str, Any]]:
        with self._lock:
            return [event for event in self.events if event["what"] in whats]

    def counts(self) -> Counter[str]:
        with self._lock:
            return Counter(event["what"] for event in self.events)
