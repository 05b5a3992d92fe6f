"""Runs the targets, two at a time, each for its time; begins anew after a finding; prints what was done.

Exit code 1 when something was found. What each process printed lies in `var/fuzz/TARGET.log`, the bytes of a finding in
`var/fuzz/found/`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.seeds import write_seeds, write_words
from tests.fuzz.targets import TARGETS

HOME = Path(__file__).parents[2] / "var" / "fuzz"
MEMORY_MOST = 700  # MB of the fuzzing process, its corpus and coverage included
LENGTH_MOST = 64 * 1024
FINDINGS_MOST = 20
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_COVERED = re.compile(r"cov: (\d+)")
_CORPUS = re.compile(r"corp: (\d+)")
_PEAK = re.compile(r"stat::peak_rss_mb:\s+(\d+)")
_PLACE = re.compile(r"^\s*(?:=== Uncaught Python exception: ===|  File \"(?P<place>[^\"]+)\", line \d+)", re.MULTILINE)
_ERROR = re.compile(r"=== Uncaught Python exception: ===\n(?P<error>[^\n]*)")


@dataclass
class Campaign:
    target: str
    executed: int = 0
    covered: int = 0
    corpus: int = 0
    peak: int = 0
    seconds: float = 0
    findings: list[str] = field(default_factory=list)

    def told(self) -> str:
        pace = self.executed / self.seconds if self.seconds else 0
        return (
            f"{self.target:5} {self.seconds:6.0f} s  {self.executed:10,} executions ({pace:,.0f}/s)  "
            f"coverage {self.covered:,}  corpus {self.corpus:,}  peak {self.peak} MB  findings {len(self.findings)}"
        )


def fuzz(target: str, seconds: int) -> Campaign:
    campaign, until = Campaign(target), time.monotonic() + seconds
    corpus, words, found = HOME / "corpus" / target, HOME / f"{target}.dict", HOME / "found"
    write_seeds(target, corpus)
    write_words(target, words)
    found.mkdir(parents=True, exist_ok=True)
    log = HOME / f"{target}.log"
    log.write_bytes(b"")
    while (left := int(until - time.monotonic())) > 0 and len(campaign.findings) < FINDINGS_MOST:
        arguments = [
            f"-max_total_time={left}", f"-rss_limit_mb={MEMORY_MOST}", f"-max_len={LENGTH_MOST}", "-timeout=60",
            f"-dict={words}", f"-artifact_prefix={found}/{target}-", "-print_final_stats=1", str(corpus),
        ]  # fmt: skip
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.one", target, *arguments],
            capture_output=True,
            text=True,
            errors="replace",
        )
        campaign.seconds += time.monotonic() - start
        told = done.stdout + done.stderr
        with log.open("a", encoding="utf-8") as file:
            file.write(told)
        campaign.executed += _last(_EXECUTED, told)
        campaign.covered = max(campaign.covered, _last(_COVERED, told))
        campaign.corpus = max(campaign.corpus, _last(_CORPUS, told))
        campaign.peak = max(campaign.peak, _last(_PEAK, told))
        if done.returncode:
            error = _ERROR.search(told)
            campaign.findings.append(error["error"] if error else f"exit {done.returncode}: {told[-300:]}")
    return campaign


def _last(form: re.Pattern[str], told: str) -> int:
    return int((form.findall(told) or ["0"])[-1])


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options.add_argument("--seconds", type=int, default=600, help="for each target")
    options.add_argument("--at-once", type=int, default=2)
    given = options.parse_args()
    targets = given.targets or list(TARGETS)
    if not set(targets) <= set(TARGETS):
        options.error(f"targets are {', '.join(TARGETS)}")
    with ThreadPoolExecutor(given.at_once) as pool:
        campaigns = list(pool.map(lambda target: fuzz(target, given.seconds), targets))
    for campaign in campaigns:
        print(campaign.told())
        for finding in dict.fromkeys(campaign.findings):
            print(f"      {finding}")
    return 1 if any(campaign.findings for campaign in campaigns) else 0


if __name__ == "__main__":
    sys.exit(main())
