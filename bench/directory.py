"""`directory`: an extraction of the directory as large as the real one, imported, imported again the day after,
searched.

The import runs in a process of its own (its peak is VmHWM) and is also set against a floor: what no program can leave
out that reads the same ZIP and indexes the same words and beginnings of words with SQLite's FTS5, and nothing else (no
check, no address, no activities, no columns). Searches go through `Together`, as `hub directory find` does; each is
measured thrice and its best counts, since what is meant is the search and not the mood of the machine. CPU stands
beside what others delay.
"""

from __future__ import annotations

import asyncio
import io
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.extraction import LINES, WORST, queries, write_text, write_zip
from bench.figures import Figure, Options, Result, median_of, number, percentile, ratio_of
from bench.probes import MIB
from hub.directory import Wanted
from hub.trust.directory import ExtractionIndex, Together

TITLE = "the national directory: half a million lines"
SEARCHES = 400
_IMPORT = """
import sys, time
from datetime import UTC, datetime
from dataclasses import dataclass
from pathlib import Path
from hub.settings import DirectorySettings
from hub.trust.directory.build import build
source, draft, former = (Path(word) for word in sys.argv[1:])
began = time.perf_counter()
build(source, draft, former=former if former.exists() else None, at=datetime.now(UTC), settings=DirectorySettings())
took = time.perf_counter() - began
told = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(took, int(told["VmHWM"].split()[0]) / 1024, time.process_time())
"""


@dataclass(frozen=True)
class Took:
    """One import: seconds, MiB, seconds of CPU."""

    seconds: float
    peak: float
    cpu: float


@dataclass(frozen=True)
class Search:
    """Milliseconds; each the best of three."""

    text: str
    wall: float
    cpu: float


def run(options: Options) -> Result:
    count = options.messages or LINES
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as name:
        folder = Path(name)
        text, packed, made = folder / "text", folder / "packed.zip", folder / "directory.db"
        write_text(text, count)
        write_zip(packed, text)
        rounds = [_round(folder, packed, made) for _ in range(options.rounds or 1)]
        imports, floors = [one for one, _ in rounds], [floor for _, floor in rounds]
        again = _import(packed, folder / "again.db", made)
        usual, worst = asyncio.run(_searched(folder))
        size = made.stat().st_size / MIB
        figures = (
            median_of("import", [one.seconds for one in imports], "s", 60.0, note=_of(text, packed, count)),
            median_of("import: CPU", [one.cpu for one in imports], "s"),
            Figure("import: peak memory of its process", max(one.peak for one in imports), "MiB", 200.0),
            ratio_of("import over the floor, CPU", [one.cpu for one in imports], floors, 3.0),
            Figure("import over the former one", again.seconds, "s", 60.0, note=f"CPU {number(again.cpu)} s"),
            Figure("import over the former one: peak memory", again.peak, "MiB", 200.0),
            Figure("database", size, "MiB"),
            Figure("search: p50", percentile([one.wall for one in usual], 0.5), "ms", note=f"{len(usual)} searches"),
            Figure("search: p95", percentile([one.wall for one in usual], 0.95), "ms", 50.0),
            _slowest("search: slowest", usual),
            _slowest("search: slowest of the worst cases", worst),
        )
    return Result("directory", TITLE, figures, ({"rounds": rounds, "worst": worst},))


def _of(text: Path, packed: Path, count: int) -> str:
    return f"{count:,} lines, {number(text.stat().st_size / MIB)} MiB, {number(packed.stat().st_size / MIB)} MiB packed"


def _slowest(what: str, searches: list[Search]) -> Figure:
    slowest = max(searches, key=lambda one: one.wall)
    return Figure(what, slowest.wall, "ms", 50.0, note=f"« {slowest.text} », CPU {number(slowest.cpu)} ms")


def _round(folder: Path, packed: Path, made: Path) -> tuple[Took, float]:
    """An import, and the CPU seconds of the floor."""
    made.unlink(missing_ok=True)
    return _import(packed, made, folder / "absent"), _floor(packed, folder / "floor.db")


def _import(packed: Path, made: Path, former: Path) -> Took:
    words = [sys.executable, "-c", _IMPORT, str(packed), str(made), str(former)]
    took, peak, cpu = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    return Took(float(took), float(peak), float(cpu))


def _floor(packed: Path, made: Path) -> float:
    made.unlink(missing_ok=True)
    began = time.process_time()
    with closing(sqlite3.connect(made, isolation_level=None)) as database, zipfile.ZipFile(packed) as archive:
        database.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
            "CREATE TABLE entry (id INTEGER PRIMARY KEY, line TEXT);"
            "CREATE VIRTUAL TABLE word USING fts5("
            "line, content='', columnsize=0, detail=none, prefix='1 2 3', tokenize='unicode61 remove_diacritics 2')"
        )
        database.execute("BEGIN")
        with archive.open(archive.namelist()[0]) as raw:
            for number_, line in enumerate(io.TextIOWrapper(raw, encoding="utf-8")):
                database.execute("INSERT INTO entry VALUES (?, ?)", (number_, line))
                database.execute("INSERT INTO word (rowid, line) VALUES (?, ?)", (number_, line))
        database.execute("COMMIT")
        database.execute("INSERT INTO word(word) VALUES ('optimize')")
    return time.process_time() - began


async def _searched(folder: Path) -> tuple[list[Search], list[Search]]:
    """The usual searches, and the worst (each alone, by kind and by département)."""
    directory = Together({"extraction": ExtractionIndex(folder)})
    await directory.find(Wanted(text="premier"))  # the file is opened
    usual = [await _best(directory, Wanted(text=query)) for query in queries(SEARCHES)]
    worst = []
    for query in WORST:
        for one in (Wanted(text=query), Wanted(text=query, kind="ORG"), Wanted(text=query, department="29", limit=200)):
            worst.append(await _best(directory, one))
    return usual, worst


async def _best(directory: Together, wanted: Wanted) -> Search:
    walls, cpus = [], []
    for _ in range(3):
        began, spent = time.perf_counter(), time.process_time()
        await directory.find(wanted)
        walls.append((time.perf_counter() - began) * 1000)
        cpus.append((time.process_time() - spent) * 1000)
    return Search(wanted.text, min(walls), min(cpus))
