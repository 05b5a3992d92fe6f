"""The long-running service: what fails beside it does not end it."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from typing import Any

import pytest

from hub.cli.start import init
from hub.settings import load_settings
from hub.wiring import open_house
from hub.worker.service import Service


async def test_a_worker_that_cannot_be_started_now_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(tmp_path / "site")
    file = tmp_path / "site" / "hub.yaml"
    house = open_house(load_settings(file))
    honest, tries, started = asyncio.create_subprocess_exec, 0, asyncio.Event()

    async def short_of_memory(*words: Any, **options: Any) -> asyncio.subprocess.Process:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        started.set()
        return await honest(*words, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", short_of_memory)
    stop = asyncio.Event()
    running = asyncio.create_task(Service(house, file).run(stop))
    try:
        await asyncio.wait_for(started.wait(), 15)
        assert not running.done()
    finally:
        stop.set()
        await asyncio.wait_for(running, 60)
        house.database.close()
