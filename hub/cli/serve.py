"""`hub serve` runs the service. Its parts, for several machines (docs/growing.md): `hub watch` watches and sweeps
without worker processes; `hub door` takes what mail programs submit; `hub worker` carries, and is also what `hub serve`
starts."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import select
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.site import HERE, SiteOption, settings_file, settings_of
from hub.errors import Misconfigured
from hub.settings import Settings
from hub.wiring import open_house
from hub.wiring.door import keep_open
from hub.wiring.members import LiveMembers
from hub.wiring.rulebook import start_rulebook
from hub.worker.actors import CarryingWorker, Hints
from hub.worker.service import Service

log = logging.getLogger("hub.serve")

PARENT_LOOK_EVERY = 2.0  # seconds

HostName = Annotated[
    str | None,
    typer.Option("--host-name", envvar="HUB_HOST_NAME", help="Nom de cette machine parmi celles du site."),
]


def register(app: typer.Typer) -> None:
    app.command("serve")(serve)
    app.command("watch")(watch)
    app.command("door")(door)
    app.command("worker")(worker)


def serve(site: SiteOption = HERE, host_name: HostName = None) -> None:
    """Relève les boîtes aux lettres, reçoit les envois, traite et répond, jusqu'à l'arrêt (Ctrl-C ou SIGTERM)."""
    _run(site, host_name, processes=None, has_door=True)


def watch(site: SiteOption = HERE, host_name: HostName = None) -> None:
    """Relève les boîtes aux lettres et relance ce qui attend, sans traiter (« hub worker » traite, ici ou ailleurs)."""
    _run(site, host_name, processes=0, has_door=False)


def door(site: SiteOption = HERE) -> None:
    """Reçoit les envois des logiciels de messagerie (port de soumission), sans rien relever ni traiter."""
    settings = settings_of(site)
    start_logging(settings)
    if settings.submission.certificate is None:
        raise Misconfigured(f"{settings_file(site)}:1 submission.certificate - the door needs a certificate")
    house = open_house(settings)
    hints = Hints(house)

    async def hint(message_id: str) -> None:
        hints.send(message_id)

    async def run() -> None:
        await house.blobs.clean()
        await keep_open(house, hint, stop_asked())

    try:
        asyncio.run(run())
    finally:
        house.database.close()


def _run(site: Path, host_name: str | None, processes: int | None, has_door: bool) -> None:
    settings = settings_of(site)
    start_logging(settings)
    start_rulebook(
        settings, LiveMembers(settings)
    )  # wrong rules are told here and now, not by a worker that cannot start
    house = open_house(settings)

    async def run() -> None:
        # Name look-ups run in these threads, and one that hangs keeps its thread: never those of another mailbox.
        threads = ThreadPoolExecutor(16 + 2 * len(settings.mailboxes), "hub")
        asyncio.get_running_loop().set_default_executor(threads)
        file = settings_file(site).resolve()
        service = Service(house, file, processes=processes, host_name=host_name, has_door=has_door)
        gc.freeze()  # what is loaded by now stays: the collector need not look through it for ever
        await service.run(stop_asked())

    try:
        asyncio.run(run())
    finally:
        house.database.close()


def worker(
    site: SiteOption = HERE,
    parent: Annotated[int | None, typer.Option(help="S'arrêter quand ce processus n'est plus le parent.")] = None,
) -> None:
    """Traite les messages déjà relevés (« hub serve » en lance autant que réglé ; on peut en ajouter)."""
    settings = settings_of(site)
    start_logging(settings)
    end = EndAsked()
    carrying = CarryingWorker(settings)
    carrying.start()
    end.wait(parent)
    carrying.stop()


class EndAsked:
    """Hears from its making on that the system, or somebody at the keyboard, asks this process to end.

    By a pipe that the signal itself writes into: a flag that a handler sets is only seen when the main thread runs, and
    a signal that reaches another thread does not wake it."""

    def __init__(self) -> None:
        self._asked, heard = os.pipe()
        os.set_blocking(heard, False)
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: None)
        signal.set_wakeup_fd(heard, warn_on_full_buffer=False)

    def wait(self, parent: int | None = None) -> None:
        """Until asked; with a `parent`, also until this process is no child of it: the service was killed, and its
        workers do not outlive it. The kernel says when it ends, else we look."""
        watched: list[int] = [self._asked]
        every = None if parent is None else PARENT_LOOK_EVERY
        if parent is not None:
            with contextlib.suppress(AttributeError, OSError):  # another system, an older one, or it is gone
                watched.append(os.pidfd_open(parent))
                every = None
        while parent is None or os.getppid() == parent:
            if select.select(watched, [], [], every)[0]:
                return


def stop_asked() -> asyncio.Event:
    """Set when the system, or somebody at the keyboard, asks this process to end."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


def start_logging(settings: Settings) -> None:
    """Logs go to standard error, for the journal of the system. Ids, codes and reasons only (RH-81): of libraries only
    warnings and errors, whatever `log_level` says, since their debug lines quote what they carry (addresses, URLs,
    headers with keys). On SIGUSR1 the process writes there where each of its threads stands: files, lines and names of
    functions, nothing of what they work on."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(
        level=max(logging.WARNING, level), format="%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"
    )
    logging.getLogger("hub").setLevel(level)
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such signal, or no descriptor to write to
        faulthandler.register(signal.SIGUSR1, all_threads=True)
