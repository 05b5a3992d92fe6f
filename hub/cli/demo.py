"""`hub demo`: the main job, both ways, on one machine, with a fake operator and fictional people; `hub sandbox`: that
operator alone, for integrators and training.

The demo makes a site in a folder, starts the real `hub serve` on it, drops the messages of `hub.sandbox.scenario` into
the fictional mailbox, then lets the fictional secretary send hers (`hub.sandbox.outgoing`) through the submission door,
and shows what the database and the correspondents' mailboxes say. It stops what it started. Exit code 0 when everything
is as expected, 1 otherwise (each difference is named).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from hub.cli.demo_sent import tell_ladders, tell_sent, tell_sent_differences
from hub.cli.demo_story import tell_differences, tell_next, tell_receipts, tell_table, tell_verdict
from hub.errors import Misconfigured, Permanent
from hub.records import parse_usagers
from hub.sandbox import findings
from hub.sandbox.authority import Authority
from hub.sandbox.operator import FakeOperator
from hub.sandbox.outgoing import Correspondence, look
from hub.sandbox.people import SECRETARY_LOGIN, TILLEULS
from hub.sandbox.scenario import Sample, samples
from hub.sandbox.secretary import MailProgram
from hub.sandbox.service import ANY_PORTS, PORTS, free_port
from hub.sandbox.service import run as run_sandbox
from hub.sandbox.site import MAILBOX, PASSWORD_FILE, write_site
from hub.settings import default_config_dir, load_settings
from hub.trust.keys import KeyRing
from hub.wiring import House, open_house, password_of

DEADLINE = 100.0  # seconds for all messages; a slow machine needs about 15
SENT_DEADLINE = 60.0  # seconds for what the secretary sends; a slow machine needs about 6
LOOK_EVERY = 0.25
STOP_WITHIN = 20.0


def register(app: typer.Typer) -> None:
    app.command("demo")(demo)
    app.command("sandbox")(sandbox)


def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Dossier de la démonstration, vide ou à créer (défaut : un dossier temporaire).")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="À la fin, laisser tourner l'opérateur et le hub jusqu'à Ctrl-C.")
    ] = False,
) -> None:
    """Démonstration complète, en moins de deux minutes, avec un opérateur et des personnes fictifs."""
    place = Path(tempfile.mkdtemp(prefix="hub-demo-")) if folder is None else folder
    if place.exists() and any(place.iterdir()):
        raise Misconfigured(f"{place}:1 - the folder of a demo must be empty or absent")
    console = Console()
    if console.width < 100 or not console.is_terminal:
        console = Console(width=118)
    if asyncio.run(_Demo(place.resolve(), console).run(keep)):
        raise typer.Exit(1)


def sandbox(
    folder: Annotated[Path, typer.Argument(help="Dossier de travail : certificats, copies des messages.")] = Path(
        "bac-a-sable"
    ),
    with_samples: Annotated[
        bool, typer.Option("--samples", help="Déposer les messages de la démonstration dans la boîte.")
    ] = False,
    any_port: Annotated[bool, typer.Option(help="Prendre des ports libres au lieu des ports fixes.")] = False,
) -> None:
    """Lance l'opérateur MSSanté fictif (IMAP et SMTP, en local) pour des essais d'intégration, jusqu'à Ctrl-C."""

    async def run() -> None:
        stop = _told_to_stop()
        ports = ANY_PORTS if any_port else PORTS
        await run_sandbox(folder, lambda line: print(line, flush=True), stop, with_samples=with_samples, ports=ports)

    asyncio.run(run())


def _told_to_stop() -> asyncio.Event:
    """Set by Ctrl-C or SIGTERM."""
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    return stop


class _Demo:
    """One run. `folder/site` is the site, `folder/operateur` what the fake operator keeps."""

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder = folder
        self._site = folder / "site"
        self._console = console
        self._door_port = free_port()
        self._samples: tuple[Sample, ...] = ()

    async def run(self, keep: bool) -> int:
        """The number of samples that did not become what was expected."""
        began = time.monotonic()
        self._console.print(
            "[bold]Démonstration du hub MSSanté[/] : établissement, personnes, opérateur et certificats sont fictifs ;"
            " tout le reste est réellement fait."
        )
        stop = _told_to_stop()
        async with self._operator() as operator:
            house = await self._site_made(operator)
            try:
                async with self._serving():
                    await self._settled(operator, house, stop)
                    sent = await self._sent(operator, house, stop)
                    wrong = await self._tell(operator, house, sent, began)
                    if keep:
                        self._tell_kept(operator)
                        await stop.wait()
            finally:
                await house.close()
        return wrong

    @asynccontextmanager
    async def _operator(self) -> AsyncIterator[FakeOperator]:
        place = self._folder / "operateur"
        authority = await asyncio.to_thread(Authority, place / "certificats")
        operator = FakeOperator(place, authority)
        await operator.start()
        try:
            ports = f"IMAP {operator.imap_port}, SMTP {operator.smtp_port}"
            self._console.print(f"  autorité de certification jetable et opérateur factice : {ports} (TLS mutuel)")
            yield operator
        finally:
            await operator.stop()

    async def _site_made(self, operator: FakeOperator) -> House:
        """Settings, rules, sealing key, empty database, usagers, the secretary: what `hub init`, `hub usagers import`
        and `hub users add` do."""
        write_site(self._site, operator, self._door_port)
        (self._site / "routes.yaml").write_bytes((default_config_dir() / "routes.yaml").read_bytes())
        settings = load_settings(self._site / "hub.yaml")
        settings.key_file.parent.mkdir(mode=0o700, exist_ok=True)
        KeyRing.create(settings.key_file)
        house = await asyncio.to_thread(open_house, settings)
        read = parse_usagers((self._site / "usagers.csv").read_bytes())
        if read.problems:
            raise Misconfigured("\n".join(str(problem) for problem in read.problems))
        result = await house.records.import_usagers(read, by="demo")
        password = password_of(self._site / PASSWORD_FILE)
        await house.users.add(SECRETARY_LOGIN, "secretary", password, (MAILBOX,), "demo")
        self._console.print(f"  site de « {TILLEULS.name} » : clés, base, {result.added} usagers, une secrétaire")
        return house

    @asynccontextmanager
    async def _serving(self) -> AsyncIterator[None]:
        """The real service as a child process, its log in the folder; stopped at the end."""
        log_file = self._folder / "hub-serve.log"
        with log_file.open("wb") as log:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hub", "serve", "--site", str(self._site), stdout=log, stderr=log
            )
        watched = asyncio.create_task(child.wait())
        self._child_ended = watched
        self._console.print(f"  hub serve --site {self._site}  (processus {child.pid}, trace dans {log_file.name})\n")
        try:
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(asyncio.shield(watched), STOP_WITHIN)
            except TimeoutError:
                child.kill()
                await watched

    async def _settled(self, operator: FakeOperator, house: House, stop: asyncio.Event) -> None:
        """Drop every message, then wait until each is held or done. Raises Permanent when the service ends early."""
        self._samples = await asyncio.to_thread(samples, datetime.now(UTC).astimezone())
        total, different = len(self._samples), len({findings.digest(sample) for sample in self._samples})
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            dropped = progress.add_task("messages déposés dans la boîte", total=total)
            accepted = progress.add_task("relevés par le hub", total=total)
            settled = progress.add_task("traités (classés, en attente ou notés)", total=different)
            for sample in self._samples:
                await operator.deliver(TILLEULS.address, sample.raw)
                progress.advance(dropped)
            deadline = time.monotonic() + DEADLINE
            while not await self._progressed(house, progress, accepted, settled):
                if stop.is_set() or self._child_ended.done() or time.monotonic() > deadline:
                    break  # what is missing then shows as a difference
                await asyncio.sleep(LOOK_EVERY)
        if self._child_ended.done():
            raise Permanent("hub serve ended", f"« hub serve » s'est arrêté : voir {self._folder / 'hub-serve.log'}")

    async def _progressed(self, house: House, progress: Progress, accepted: TaskID, settled: TaskID) -> bool:
        """Whether everything is at rest; the bars are moved to what the database says."""
        cursor = await house.spool.cursor(MAILBOX)
        seen = len(await house.spool.seen(MAILBOX, cursor[0])) if cursor else 0
        counts = await house.spool.counts()
        at_rest = sum(count for state, count in counts.items() if state in findings.STATES_AT_REST)
        progress.update(accepted, completed=seen)
        progress.update(settled, completed=at_rest)
        return seen == len(self._samples) and at_rest == sum(counts.values())

    async def _sent(self, operator: FakeOperator, house: House, stop: asyncio.Event) -> Correspondence:
        """The secretary sends, answers when she is asked, and everything comes to its end."""
        password_file, port = self._site / PASSWORD_FILE, self._door_port
        program = MailProgram(port=port, ca_file=operator.authority.ca_file, password_file=password_file)
        correspondence = Correspondence(operator, program, datetime.now(UTC).astimezone())
        with self._console.status("la secrétaire envoie, l'ASE répond…"):
            await correspondence.send()
            deadline = time.monotonic() + SENT_DEADLINE
            while not await correspondence.is_settled(house):
                if stop.is_set() or self._child_ended.done() or time.monotonic() > deadline:
                    break  # what is missing then shows as a difference
                await correspondence.answer()
                await asyncio.sleep(LOOK_EVERY)
        return correspondence

    async def _tell(self, operator: FakeOperator, house: House, sent: Correspondence, began: float) -> int:
        console, samples = self._console, self._samples
        found = await findings.find(house)
        hub = house.start()
        arrived = await findings.receipts(operator, hub.reader)
        tell_table(console, samples, found, hub.rulebook().catalogue)
        tell_receipts(console, samples, arrived)
        came = await look(sent, operator, house, hub.reader)
        tell_sent(console, came, await sent.letters())
        await tell_ladders(console, house, came)
        wrong = tell_differences(console, samples, found, arrived) + tell_sent_differences(console, came)
        tell_verdict(console, wrong, len(samples), len(came), time.monotonic() - began)
        tell_next(console, self._folder, found, samples)
        return wrong

    def _tell_kept(self, operator: FakeOperator) -> None:
        lines = (
            "L'opérateur et le hub tournent encore ; Ctrl-C pour les arrêter.",
            f"Pour envoyer vous-même : serveur SMTP localhost, port {self._door_port}, STARTTLS, utilisateur "
            f"{SECRETARY_LOGIN}, mot de passe dans {self._site / PASSWORD_FILE}, expéditeur {TILLEULS.address},",
            f"autorité à reconnaître {operator.authority.ca_file}",
        )
        for line in ("", *lines):
            self._console.print(line, soft_wrap=True, highlight=False, markup=False)
