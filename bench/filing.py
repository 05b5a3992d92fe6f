"""`filing`: user CPU of one signed 60 KB archive, from the mailbox to the record, over the floor of performance.md §5.

The hub is the real `hub serve` with its worker and reader on a real Dovecot; what counts is the user time of all its
processes over the messages only (start-up and a warm-up are left out), since system time is the shared disk's noise.
Both judge the signature and who vouches for it; the ratio to the floor that looks at none is printed beside.

The gate is asked core for core: the floor is one process on one core, so the hub and its Dovecot get that core alone
too. On two cores its three processes and Dovecot's share caches and clock, which makes the same instructions cost more
of either side's time; that figure is printed beside.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from bench.figures import Figure, Options, Result, median_of, ratio_of
from bench.floor import floor_cpu
from bench.letters import signed_letters, signer
from bench.probes import Cpu, counts_instructions, cpu_by_role, instructions, on_one_core, spent, whole
from bench.sites import DONE, SETTLED, Wanted, bench_site, looking
from tests.trips.house import HOME, Site, wait_for

TITLE = "from the mailbox to the record, CPU of a signed 60 KB archive"
WARM_UP = 40


@dataclass(frozen=True)
class Measured:
    """Per message: milliseconds of CPU, by role too; user instructions in millions when the machine counts them."""

    user: float
    system: float
    per_second: float
    roles: dict[str, tuple[float, float]]
    instructions: float | None


def run(options: Options) -> Result:
    rounds, count = options.rounds or 3, options.messages or 400
    raws = list(signed_letters(count, first=WARM_UP, receipts=False))
    told = []
    for _ in range(rounds):
        with on_one_core():
            bare, verifying = _floor(raws, verify=False), _floor(raws, verify=True)
            one = {"floor": bare, "verifying": verifying, "filed": _hub(count, False)}
        free = {"free verifying": _floor(raws, verify=True), "free filed": _hub(count, False)}
        told.append(one | free | {"free answered": _hub(count, True)})
    return Result("filing", TITLE, tuple(_figures(told)), tuple(told))


def _figures(told: list[dict[str, Measured]]) -> list[Figure]:
    def user(which: str) -> list[float]:
        return [one[which].user for one in told]

    filed = [one["filed"] for one in told]
    figures = [
        ratio_of(
            "user CPU over the floor, both verify, one core", user("filed"), user("verifying"), 3.0, note="aim 2.0"
        ),
        ratio_of("the same, both cores free", user("free filed"), user("free verifying")),
        ratio_of("user CPU over the floor without verification", user("filed"), user("floor")),
        ratio_of("filed and answered by SMTP, both cores free", user("free answered"), user("free verifying")),
        median_of("floor with verification, user", user("verifying"), "ms"),
        median_of("hub, user", user("filed"), "ms"),
        median_of("hub, system", [one.system for one in filed], "ms"),
    ]
    for role in ("service", "worker", "reader"):
        figures.append(median_of(f"hub, user, {role}", [one.roles[role][0] for one in filed], "ms"))
    free = [one["free filed"] for one in told]
    figures.append(median_of("hub, user, both cores free", [one.user for one in free], "ms"))
    figures.append(median_of("messages a second, one worker, both cores free", [one.per_second for one in free], "/s"))
    counted = [one.instructions for one in filed if one.instructions is not None]
    if counted:
        figures.append(median_of("hub, user instructions", counted, "M", 20.0))
    return figures


def _floor(raws: list[bytes], *, verify: bool) -> Measured:
    with tempfile.TemporaryDirectory(prefix="hub-bench-") as folder:
        cpu, wall = floor_cpu(raws, Path(folder), verify=verify)
    return Measured(cpu.user * 1000, cpu.system * 1000, 1 / wall, {}, None)


def _hub(count: int, receipts: bool) -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        bench_site(Path(folder), judging(Path(folder) / "anchors.pem")) as site,
        looking(site) as looker,
    ):
        site.start()
        site.dovecot.deliver(HOME, *signed_letters(WARM_UP, receipts=receipts))
        _settled(site, WARM_UP)
        time.sleep(1.5)
        letters = list(signed_letters(count, first=WARM_UP, receipts=receipts))
        before, began = cpu_by_role(site.tree()), time.monotonic()
        with instructions([process.pid for process in site.tree()]) as counted:
            site.dovecot.deliver(HOME, *letters)
            _settled(site, WARM_UP + count)
        wall = time.monotonic() - began
        shares = spent(before, cpu_by_role(site.tree()))
        assert looker.count(DONE) == WARM_UP + count, f"not all were filed\n{site.log()[-2000:]}"
    return _measured(shares, count, wall, counted.user)


def judging(anchors: Path) -> Wanted:
    """A site that knows who vouches for the letters: it judges their signatures whole, as the floor does."""
    anchors.write_bytes(signer().authority.public_bytes(serialization.Encoding.PEM))
    return Wanted(more={"signatures": {"anchors": str(anchors)}})


def _settled(site: Site, count: int) -> None:
    with looking(site) as looker:
        wait_for(lambda: looker.count(SETTLED) >= count, 300, lambda: site.log()[-3000:])


def _measured(shares: dict[str, Cpu], count: int, wall: float, counted: float | None) -> Measured:
    total = whole(shares)
    return Measured(
        user=total.user * 1000 / count,
        system=total.system * 1000 / count,
        per_second=count / wall,
        roles={role: (cpu.user * 1000 / count, cpu.system * 1000 / count) for role, cpu in shares.items()},
        instructions=counted / count / 1e6 if counted is not None else None,
    )


def note() -> str:
    return "" if counts_instructions() else "user instructions are not counted on this machine (perf stat)"
