"""`hub serve` runs the service. Its parts, for several machines (docs/growing.md): `hub watch` watches and sweeps
without worker processes; `hub door` takes what mail programs submit; `hub worker` carries, and is also what `hub serve`
starts."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import select
import signal
import threading
import time
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
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stop.set())
    carrying = CarryingWorker(settings)
    carrying.start()
    if parent is not None:  # when the service is killed: do not outlive it
        threading.Thread(target=_end_with, args=(parent, stop), name="hub-parent", daemon=True).start()
    stop.wait()
    carrying.stop()


def _end_with(parent: int, stop: threading.Event) -> None:
    """Set `stop` when this process is no child of `parent`: the kernel says when that ends, else we look."""
    with contextlib.suppress(AttributeError, OSError):  # another system, or an older one; it may be gone already
        descriptor = os.pidfd_open(parent)
        if os.getppid() == parent:
            select.select([descriptor], [], [])
    while os.getppid() == parent:
        time.sleep(PARENT_LOOK_EVERY)
    stop.set()


def stop_asked() -> asyncio.Event:
    """Set when the system, or somebody at the keyboard, asks this process to end."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


def start_logging(settings: Settings) -> None:
    """Logs go to standard error, for the journal of the system. Ids, codes and reasons only (RH-81): of libraries only
    warnings and errors, whatever `log_level` says, since their debug lines quote what they carry (addresses, URLs,
    headers with keys)."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(
        level=max(logging.WARNING, level), format="%(asctime)s %(levelname)s %(name)s %(process)d %(message)s"
    )
    logging.getLogger("hub").setLevel(level)
