"""`hub explain FILE…`: the whole trip of a message, without doing it.

Reads mails, bare archives and bare CDA. With a site, its rules, usagers and filed versions are used (read only);
without one, the shipped rules and no usager. `--json` prints one object a line; its form is documented in
docs/explain.md and does not change without a CHANGELOG line.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hub import deeds, routing, trip
from hub.cell import Cell
from hub.cli import story, story_json
from hub.cli.site import HERE, SiteOption, settings_file, settings_of
from hub.errors import Damaged, HubError, Misconfigured, Temporary
from hub.message import Door, Envelope, ParsedMessage, Thought
from hub.settings import Settings, default_config_dir, with_absolute_paths
from hub.wiring import House, make_cell, now
from hub.wiring.members import LiveMembers
from hub.wiring.rulebook import start_rulebook


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


@dataclass(frozen=True)
class Ground:
    """What an explanation stands on: the reader, the rules, the records when there are some."""

    cell: Cell
    rulebook: routing.Rulebook
    house: House | None

    async def seen(self, envelope: Envelope, parsed: ParsedMessage) -> routing.Seen:
        """As the trip gathers it; without records, or when they do not answer, nobody and nothing filed."""
        if self.house is not None:
            try:
                seen = await trip.gather(envelope, parsed, self.house.records)
                return await deeds.with_roles(seen, self.rulebook, self.house.records, envelope.received_at)
            except HubError as error:
                print(f"avertissement : usagers et dossiers non consultés ({error.private})", file=sys.stderr)
        return routing.Seen(envelope=envelope, parsed=parsed)


def explain(
    files: Annotated[list[Path], typer.Argument(help="Messages (.eml), archives (.zip) ou CDA (.xml).")],
    site: SiteOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Un objet JSON par ligne.")] = False,
    mailbox: Annotated[str | None, typer.Option(help="Faire comme si cette boîte l'avait reçu.")] = None,
    test: Annotated[bool, typer.Option("--test", help="Faire comme si la boîte était de la branche de test.")] = False,
) -> None:
    """Explique tout le trajet d'un message sans rien faire : ce qu'il contient, à qui, quelle règle, quel plan."""
    settings = _settings(site)
    box = settings.mailbox(mailbox) if mailbox else None
    if mailbox and box is None:
        raise Misconfigured(f"--mailbox {mailbox} - no mailbox has this name in hub.yaml")
    failed = asyncio.run(_explain_all(files, settings, mailbox, test or bool(box and box.test), as_json))
    if failed:
        raise typer.Exit(1)


def _settings(site: Path) -> Settings:
    """Those of the site; without a site, the defaults with the shipped rules."""
    if settings_file(site).is_file():
        return settings_of(site)
    return with_absolute_paths(Settings(routes_file=default_config_dir() / "routes.yaml"), site.resolve())


async def _explain_all(files: list[Path], settings: Settings, mailbox: str | None, test: bool, as_json: bool) -> int:
    """How many files could not be read."""
    house = _house(settings)
    ground = Ground(make_cell(settings), start_rulebook(settings, LiveMembers(settings)), house)
    failed = 0
    try:
        for file in files:
            try:
                await _explain(file, ground, mailbox, test, as_json)
            except (OSError, Damaged) as error:
                failed += 1
                why = error.private if isinstance(error, Damaged) else error.strerror or type(error).__name__
                print(json.dumps({"file": str(file), "error": why}) if as_json else f"{file} : illisible ({why})")
            sys.stdout.flush()
    finally:
        await ground.cell.close()
        if house is not None:
            house.database.close()
    return failed


def _house(settings: Settings) -> House | None:
    """The records, when the site has a key and a database that answers; an explanation never creates or migrates."""
    database = Path(settings.database_url.removeprefix("sqlite:///"))
    if not settings.key_file.exists() or (settings.database_url.startswith("sqlite:") and not database.exists()):
        return None
    try:
        return House(settings)
    except (Misconfigured, Temporary) as error:
        print(f"avertissement : usagers et dossiers non consultés ({error.private})", file=sys.stderr)
        return None


async def _explain(file: Path, ground: Ground, mailbox: str | None, test: bool, as_json: bool) -> None:
    raw = file.read_bytes()
    at = now()
    parsed = await ground.cell.read_file(raw, file.name, at)
    envelope = Envelope(
        id=hashlib.sha256(raw).hexdigest()[:32],
        door=Door.FILE,
        received_at=at,
        mailbox=mailbox,
        sender=parsed.return_path,
        size=len(raw),
        sha256=hashlib.sha256(raw).hexdigest(),
        test=test,
    )
    seen = await ground.seen(envelope, parsed)
    _print(str(file), parsed, routing.think(seen, ground.rulebook), as_json, ground.rulebook)


def _print(file: str, parsed: ParsedMessage, thought: Thought, as_json: bool, rulebook: routing.Rulebook) -> None:
    members = rulebook.policy.members
    if as_json:
        print(json.dumps(story_json.as_json(file, parsed, thought, members), ensure_ascii=False))
    else:
        story.tell(Console(), file, parsed, thought, rulebook.catalogue.label, members)
