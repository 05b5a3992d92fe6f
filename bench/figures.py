"""What a row of the bench says: figures with their gates, as text, as JSON and as a table for docs/performance.md.

A row measures in one run what it compares (A B A B), so that the machine's mood falls on both sides alike; a figure
is the median of the pairwise ratios, with the least and the most beside it. Raw rounds go to the JSON file.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Options:
    """How far a row goes; None is the row's own quick profile."""

    rounds: int | None = None
    messages: int | None = None
    databases: tuple[str, ...] = ("sqlite", "postgresql")
    brokers: tuple[str, ...] = ("sql", "amqp", "redis")
    largest: int = 1_000_000


@dataclass(frozen=True)
class Figure:
    """One measured value. `gate` is the bound that the hub must keep: at most it, or at least it."""

    what: str
    value: float
    unit: str = ""
    gate: float | None = None
    bound: Literal["most", "least"] = "most"
    spread: tuple[float, float] | None = None
    note: str = ""

    @property
    def keeps(self) -> bool | None:
        if self.gate is None:
            return None
        return self.value <= self.gate if self.bound == "most" else self.value >= self.gate

    def shown(self) -> str:
        return f"{number(self.value)}{f' {self.unit}' if self.unit else ''}"

    def gate_shown(self) -> str:
        if self.gate is None:
            return ""
        sign = "≤" if self.bound == "most" else "≥"
        return f"{sign} {number(self.gate)}{f' {self.unit}' if self.unit else ''}"

    def verdict(self) -> str:
        return {None: "", True: "kept", False: "MISSED"}[self.keeps]

    def spread_shown(self) -> str:
        return f"{number(self.spread[0])} to {number(self.spread[1])}" if self.spread else ""


@dataclass(frozen=True)
class Result:
    """One row of the bench: its figures, and what was measured round by round."""

    name: str
    title: str
    figures: tuple[Figure, ...]
    rounds: tuple[object, ...] = ()
    seconds: float = 0.0
    missing: str = field(default="")  # why nothing was measured

    @property
    def keeps(self) -> bool:
        return all(figure.keeps is not False for figure in self.figures)


def number(value: float) -> str:
    """Three digits that say something."""
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def ratio_of(
    what: str,
    these: Sequence[float],
    those: Sequence[float],
    gate: float | None = None,
    bound: Literal["most", "least"] = "most",
    note: str = "",
) -> Figure:
    """The median of the pairwise ratios these/those."""
    ratios = [one / other for one, other in zip(these, those, strict=True)]
    return Figure(what, statistics.median(ratios), "times", gate, bound, (min(ratios), max(ratios)), note)


def median_of(
    what: str,
    values: Iterable[float],
    unit: str,
    gate: float | None = None,
    bound: Literal["most", "least"] = "most",
    note: str = "",
) -> Figure:
    listed = list(values)
    return Figure(what, statistics.median(listed), unit, gate, bound, (min(listed), max(listed)), note)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` of them (0 to 1) do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(part * len(ordered) + 0.5) - 1))]


def told(result: Result) -> str:
    """The text of one row."""
    lines = [f"{result.name}: {result.title}  ({result.seconds:.0f} s)"]
    if result.missing:
        lines.append(f"  not measured: {result.missing}")
    for figure in result.figures:
        beside = "  ".join(filter(None, (figure.spread_shown(), figure.gate_shown(), figure.verdict(), figure.note)))
        lines.append(f"  {figure.what:<62} {figure.shown():>16}  {beside}")
    return "\n".join(lines)


def table(results: Iterable[Result]) -> str:
    """The Markdown table of docs/performance.md."""
    lines = ["| row | figure | measured | least to most | gate | |", "|---|---|---|---|---|---|"]
    for result in results:
        for figure in result.figures:
            cells = (
                result.name,
                figure.what + (f" ({figure.note})" if figure.note else ""),
                figure.shown(),
                figure.spread_shown(),
                figure.gate_shown(),
                figure.verdict(),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write(result: Result) -> None:
    """bench/results/NAME.json"""
    RESULTS.mkdir(parents=True, exist_ok=True)
    kept = {
        "name": result.name,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "figures": [asdict(figure) | {"keeps": figure.keeps} for figure in result.figures],
        "rounds": result.rounds,
        "seconds": round(result.seconds, 1),
        "missing": result.missing,
    }
    (RESULTS / f"{result.name}.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return asdict(value)


def machine() -> dict[str, str]:
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?"
    )
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    return {
        "cpu": model,
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory) // 1024} MiB",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
