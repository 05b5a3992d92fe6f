"""The long-running service: one watcher a mailbox that is ours, the sweep, and the worker processes.

Several hosts may serve one site: `hub.worker.watching` knows which mailboxes are ours, and one host sweeps for all.
`Service.run` returns when `stop` is set, after the watchers have let go and the workers have finished what they
hold. A watcher or a worker that fails harms no other: watchers back off by themselves, a dead worker process is
started again with a growing delay. Killed at any instant, the next start finishes (docs/states.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from hub.errors import HubError, Misconfigured
from hub.imap.reader import Watcher
from hub.settings import Mailbox, Settings
from hub.spool.duties import Duties, mailbox_duty
from hub.spool.incarnation import of_this_process
from hub.wiring import House, now
from hub.wiring.directory import refresher_of
from hub.wiring.door import keep_open
from hub.worker.actors import Hints
from hub.worker.freshness import keep_fresh
from hub.worker.lists import keep_lists
from hub.worker.lookout import Lookout
from hub.worker.members import keep_members_fresh
from hub.worker.watching import Watching, boot_time

log = logging.getLogger("hub.service")

RESTART_MOST = 60.0  # seconds
# For the C library's allocator: the pieces of a large message go back to the system as soon as they are free. Left to
# itself it learns from the first of them to keep such blocks, in one heap a thread.
FRUGAL = {"MALLOC_MMAP_THRESHOLD_": "262144", "MALLOC_ARENA_MAX": "2"}
SWEEP_SOON = 1.0  # seconds
STOP_WITHIN = 75.0  # a worker finishes what it holds (60 s in `CarryingWorker.stop`), then it is killed


class Service:
    def __init__(
        self,
        house: House,
        settings_file: Path,
        *,
        processes: int | None = None,
        host_name: str | None = None,
        has_door: bool = True,
    ) -> None:
        """`processes`: worker processes, those of the settings by default; `host_name`: this host's, for people;
        `has_door`: the submission door is opened too, when the settings have one."""
        self._house = house
        self._settings = house.settings
        self._file = settings_file
        self._hints = Hints(house)
        self._fresh: list[str] = []  # accepted, no hint sent yet
        self._has_door = has_door
        self._processes = self._settings.working.processes if processes is None else processes
        boxes = self._settings.mailboxes
        self.watchers = [make_watcher(self._settings, box, house, self._hint) for box in boxes]
        self._watching = Watching(
            Duties(house.database, of_this_process(host_name), self._settings.hosts.lease, now, boot_time),
            self._settings.hosts,
            {mailbox_duty(box.name): watcher for box, watcher in zip(boxes, self.watchers, strict=True)},
        )
        named = {box.name: watcher for box, watcher in zip(boxes, self.watchers, strict=True)}
        self._lookout = Lookout(house, named, self._watching.sweeps.is_set)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`."""
        cleaned = await self._house.blobs.clean()
        if cleaned.temporary or cleaned.unnamed:
            log.info("start: %s temporary and %s unnamed file(s) removed", cleaned.temporary, cleaned.unnamed)
        tasks = [asyncio.create_task(self._watching.run(stop), name="watching")]
        tasks += [asyncio.create_task(self._sweeping(stop), name="sweep")]
        tasks += [asyncio.create_task(self._lookout.run(stop), name="lookout")]
        tasks += [asyncio.create_task(keep_lists(self._house.ways.vetting, stop), name="lists")]
        tasks += [asyncio.create_task(keep_members_fresh(self._settings, stop), name="members")]
        tasks += [asyncio.create_task(self._directory_kept_fresh(stop), name="directory")]
        if self._has_door:
            tasks += [asyncio.create_task(self._door_kept_open(stop), name="door")]
        tasks += [
            asyncio.create_task(self._worker_kept_alive(number, stop), name="worker")
            for number in range(1, self._processes + 1)
        ]
        log.info("serving %s mailbox(es), %s worker process(es)", len(self.watchers), self._processes)
        await asyncio.gather(*tasks)

    async def _hint(self, message_id: str) -> None:
        """The first of those that were accepted together sends the hints of all."""
        self._fresh.append(message_id)
        if len(self._fresh) > 1:
            return
        await asyncio.sleep(0)  # the others were woken with it: one turn of the loop, and they are in the list
        fresh, self._fresh = self._fresh, []
        self._hints.send(*fresh)

    async def _sweeping(self, stop: asyncio.Event) -> None:
        """Give a hint for whatever is due, as long as this host is the one that sweeps: N hosts would give every hint
        N times, and a broker that keeps twins would do N times the work. The database being away is only a reason to
        try again."""
        every = self._settings.spooling.sweep_every.total_seconds()
        while await self._is_ours_to_sweep(stop):
            is_more_due = False
            try:
                is_more_due = await self._hints.sweep(self._house)
            except HubError as error:
                log.warning("sweep: %s", error.private)
            except Exception as error:  # our fault: the next sweep is the retry, the watchers must not suffer
                log.error("sweep: %s", type(error).__name__)
            await _wait(stop, min(SWEEP_SOON, every) if is_more_due else every)

    async def _is_ours_to_sweep(self, stop: asyncio.Event) -> bool:
        """Wait until this host sweeps, or until `stop` (False)."""
        waiting = [asyncio.create_task(event.wait()) for event in (stop, self._watching.sweeps)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        return not stop.is_set()

    async def _door_kept_open(self, stop: asyncio.Event) -> None:
        """A door that cannot be opened now (its port is taken, its certificate wrong) harms no watcher."""
        delay = 1.0
        while not stop.is_set():
            try:
                await keep_open(self._house, self._hint, stop)
                return
            except HubError as error:
                log.error("submission door closed: %s; again in %.0f s", error.private, delay)
            await _wait(stop, delay)
            delay = min(RESTART_MOST, delay * 2)

    async def _directory_kept_fresh(self, stop: asyncio.Event) -> None:
        try:
            is_due = refresher_of(self._settings).is_due
        except Misconfigured as error:
            log.error("directory: %s", error.private)
            return
        within = 2 * self._settings.directory.download_within.total_seconds()
        await keep_fresh(is_due, self._file, within, stop)

    async def _worker_kept_alive(self, number: int, stop: asyncio.Event) -> None:
        delay = 1.0
        while not stop.is_set():
            began = asyncio.get_running_loop().time()
            try:
                child = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "hub", "worker", "--site", str(self._file), "--parent", str(os.getpid())),
                    env={**FRUGAL, **os.environ},
                )
            except OSError as error:  # no memory or no process to be had now: the watchers go on
                log.error("worker %s cannot be started: %s; again in %.0f s", number, error.strerror, delay)
                await _wait(stop, delay)
                delay = min(RESTART_MOST, delay * 2)
                continue
            ended = asyncio.create_task(child.wait())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if stop.is_set():
                await _stopped(child, ended)
                return
            log.error("worker %s ended with code %s; started again in %.0f s", number, child.returncode, delay)
            await _wait(stop, delay)
            lived_long = asyncio.get_running_loop().time() - began > RESTART_MOST
            delay = 1.0 if lived_long else min(RESTART_MOST, delay * 2)


async def _stopped(child: asyncio.subprocess.Process, ended: asyncio.Task[int]) -> None:
    """Ask a worker to end; kill it when it does not (the spool redoes what it held)."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(ended, STOP_WITHIN)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def make_watcher(
    settings: Settings, mailbox: Mailbox, house: House, on_accepted: Callable[[str], Awaitable[None]]
) -> Watcher:
    """The watcher of one mailbox, with its own certificate and credentials (RH-01)."""
    return Watcher(
        mailbox,
        settings.operator_of(mailbox),
        settings.watching,
        house.spool,
        house.ways.imap(mailbox),
        on_accepted,
        clock=now,
        random=random.random,
    )
