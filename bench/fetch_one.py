"""`python -m bench.fetch_one SETTINGS NUMBER COUNT`: one watcher alone, until its mailbox is accepted and marked.

Prints what it took as JSON: seconds from before the connection, CPU of this process in that time.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from hub.settings import load_settings
from hub.wiring import open_house
from hub.worker.service import make_watcher


async def _fetch(settings_file: Path, number: int, count: int) -> dict[str, float]:
    settings = load_settings(settings_file)
    house = open_house(settings, migrated=False)
    mailbox = settings.mailboxes[number]
    stop = asyncio.Event()

    async def told(_message_id: str) -> None:
        """The hint is not part of fetching."""

    watcher = make_watcher(settings, mailbox, house, told)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    watching = asyncio.create_task(watcher.run(stop))
    while watcher.progress.accepted < count or watcher.progress.compared_at is None:
        if time.perf_counter() - began > 250:
            raise TimeoutError(repr(watcher.progress))
        await asyncio.sleep(0.01)
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    unmarked = watcher.progress.unmarked
    stop.set()
    await watching
    house.database.close()
    assert unmarked == 0, f"{unmarked} not marked"
    return {
        "seconds": seconds,
        "user": after.ru_utime - before.ru_utime,
        "system": after.ru_stime - before.ru_stime,
    }


def main() -> None:
    file, number, count = sys.argv[1:]
    print(json.dumps(asyncio.run(_fetch(Path(file), int(number), int(count)))))


if __name__ == "__main__":
    main()
