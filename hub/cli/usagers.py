"""`hub usagers`: the children whom the site looks after, imported from the DUI's export."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.cli import roles
from hub.cli.site import HERE, SiteOption, opened, settings_of
from hub.errors import Misconfigured, Permanent
from hub.ids import shown
from hub.records import Problem, parse_usagers
from hub.wiring.rulebook import load_rulebook


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Les usagers du site.", no_args_is_help=True)
    group.command("import")(import_)
    group.command("show")(show)
    roles.register(group)
    app.add_typer(group, name="usagers")


def import_(
    file: Annotated[Path, typer.Argument(help="Fichier CSV exporté du DUI.")],
    site: SiteOption = HERE,
    by: Annotated[str, typer.Option(help="Qui importe (pour la trace).")] = "sysadmin",
) -> None:
    """Importe ou met à jour les usagers : tout le fichier, ou rien s'il contient une erreur."""
    try:
        parsed = parse_usagers(file.read_bytes())
    except OSError as error:
        raise Misconfigured(f"{file}:1 - cannot be read: {error.strerror}") from None
    if parsed.problems:
        _refuse(file, parsed.problems)
    with opened(site) as house:
        result = asyncio.run(house.records.import_usagers(parsed, by=by))
    if result.problems:
        _refuse(file, result.problems)
    print(f"Usagers : {result.added} ajouté(s), {result.changed} modifié(s), {result.unchanged} inchangé(s).")


def show(
    usager: Annotated[str, typer.Argument(help="N° de dossier.")],
    site: SiteOption = HERE,
    everything: Annotated[bool, typer.Option("--all", help="Aussi les versions remplacées ou supprimées.")] = False,
) -> None:
    """Le dossier d'un usager : ses documents, du plus récent au plus ancien."""
    asyncio.run(_show(usager, site, everything))


async def _show(number: str, site: Path, everything: bool) -> None:
    settings = settings_of(site)
    label, zone = load_rulebook(settings).catalogue.label, ZoneInfo(settings.site.timezone)
    with opened(site) as house:
        usager = await house.records.usager(number)
        if usager is None:
            raise Permanent("no such usager", "Aucun usager n'a ce numéro de dossier : vérifiez-le.")
        documents = await house.records.documents_of(usager.id, live_only=not everything)
    table = Table("classé le", "type", "titre", "date", "version", "état", "message", box=None)
    for document in documents:
        state = "demande de suppression" if document.is_deletion else "supprimé" if document.deleted else "remplacé"
        table.add_row(
            f"{document.filed_at.astimezone(zone):%d/%m/%Y %H:%M}",
            escape(label(document.kind)),
            escape(document.title),
            (document.act_at or document.created_at or "")[:10],
            escape(document.version or ""),
            "à lire" if document.live else state,
            shown(document.message),
        )
    console = Console(highlight=False)
    console.print(f"Dossier {escape(usager.record_number or usager.id)} : {len(documents)} document(s)")
    console.print(table)


def _refuse(file: Path, problems: tuple[Problem, ...]) -> NoReturn:
    print(f"Rien n'a été importé : {len(problems)} problème(s) dans {file}.")
    for problem in problems:
        print(f"  {problem}")
    raise typer.Exit(1)
