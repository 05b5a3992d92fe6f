"""The list of member domains at its largest: 10,000 entries read, judged, held in memory and asked.

    python -m bench.members [--entries N]

Each figure in a process of its own, so that one leaves no memory to the other; seconds of the processor, which a busy
machine does not stretch. No gate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from hub.domains import members_of
from hub.settings import Settings
from hub.trust.members_reading import read_members
from hub.trust.members_signature import signed_part
from hub.wiring.members import LiveMembers, make_refresher
from tests.memberlists import a_list, many, signed
from tests.signers import AT, Authority

SLIPS = ("hopital-hopital.hopital-1x.mssante.fr", "ehpad-clinique.mecs-42.oc.mssante.fr", "parent@exemple.com")


def _status(name: str) -> float:
    """VmRSS or VmHWM of this process, in MB."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split(f"{name}:")[1].split()[0]) / 1024


def _reading(raw: bytes) -> dict[str, float]:
    """A list from bytes to members, and what it holds in memory."""
    before = _status("VmRSS")
    began = time.process_time()
    members = members_of(read_members(raw).entries)
    taken = time.process_time() - began
    held, peak = _status("VmRSS") - before, _status("VmHWM") - before
    return {"names": len(members.by_name), "seconds": taken, "MB held": held, "MB at the peak": peak}


def _judging(raw: bytes) -> dict[str, float]:
    """Its XML signature."""
    authority = Authority()
    listed = signed(raw, authority.signer())
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_judged, (listed, authority.anchors))


def _judged(raw: bytes, anchors: tuple[bytes, ...]) -> dict[str, float]:
    before, began = _status("VmRSS"), time.process_time()
    signed_part(raw, anchors, None, AT)
    return {"seconds": time.process_time() - began, "MB at the peak": _status("VmHWM") - before}


def _asking(raw: bytes) -> dict[str, float]:
    """What one message costs: a look for a member; a suggestion for a stranger."""
    members = members_of(read_members(raw).entries)
    began = time.process_time()
    for _ in range(100_000):
        members.has("secretariat@ehpad-clinique.mecs-42.mssante.fr")
    asked = (time.process_time() - began) / 100_000
    began = time.process_time()
    members.nearest(SLIPS[0])
    first = time.process_time() - began
    began = time.process_time()
    for number in range(100):
        members.nearest(f"x{number}-{SLIPS[number % 3]}")
    return {
        "µs a look": asked * 1e6,
        "ms the first suggestion": first * 1e3,
        "ms a suggestion": (time.process_time() - began) * 10,
    }


def _taking(raw: bytes) -> dict[str, float]:
    """A new list taken by a process that carries messages: how long its loop stands still."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "liste.xml"
        file.write_bytes(raw)
        chosen = Settings.model_validate({"data_dir": folder, "members": {"file": str(file)}})
        return asyncio.run(_taken(chosen))


async def _taken(chosen: Settings) -> dict[str, float]:
    live = LiveMembers(chosen)
    live.current()
    await make_refresher(chosen).refresh(datetime.now(UTC))
    idle, taking = await _stood_still(asyncio.sleep(1)), await _stood_still(live.take_changed())
    began = time.process_time()
    live.take()
    taken = (time.process_time() - began) * 1e3
    return {"ms": taken, "ms the loop stood still at most": taking, "ms without a list to take": idle}


async def _stood_still(meanwhile: Awaitable[object]) -> float:
    """The longest turn of a loop that has a millisecond's work again and again, by the clock: on a busy machine both
    figures are its own."""
    stop, longest = asyncio.Event(), [0.0]

    async def carrying() -> None:
        while not stop.is_set():
            began = time.monotonic()
            await asyncio.sleep(0.001)
            longest[0] = max(longest[0], time.monotonic() - began)

    other = asyncio.create_task(carrying())
    await meanwhile
    stop.set()
    await other
    return longest[0] * 1e3


FIGURES: tuple[Callable[[bytes], dict[str, float]], ...] = (_reading, _judging, _asking, _taking)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.members")
    parser.add_argument("--entries", type=int, default=10_000)
    raw = a_list(*many(parser.parse_args().entries))
    print(f"{len(raw) / 1e6:.1f} MB of XML")
    for figure in FIGURES:
        if figure is _judging:  # makes a process of its own
            found = figure(raw)
        else:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(figure, (raw,))
        print(
            figure.__name__.strip("_"),
            json.dumps({name: round(value, 3) for name, value in found.items()}, ensure_ascii=False),
        )


if __name__ == "__main__":
    main()
