"""`hub journal`: who did what, when, with what answer (ECO.4.1.1, ECO.4.1.2)."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import journal as journal_room
from hub.cli.site import HERE, SiteOption, opened
from hub.ids import shown


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="La trace : qui a fait quoi, quand, avec quelle réponse.", no_args_is_help=True)
    group.command("verify")(verify)
    group.command("show")(show)
    app.add_typer(group, name="journal")


def verify(site: SiteOption = HERE) -> None:
    """Vérifie que rien n'a été changé, retiré ou ajouté dans la trace."""
    with opened(site) as house:
        verdict = house.database.read_now(journal_room.verify)
    if verdict.broken_at is not None:
        print(
            f"La trace est rompue à l'entrée {verdict.broken_at} ({verdict.reason}).\n"
            "Une entrée a été modifiée, retirée ou ajoutée hors du hub : comparez avec la dernière sauvegarde."
        )
        raise typer.Exit(1)
    print(
        f"La trace est intacte : {verdict.entries} entrées, chaînées sans rupture.\n"
        f"Empreinte de la dernière : {verdict.head}\n"
        "Notez-la ailleurs : qui peut écrire dans la base pourrait refaire toute la chaîne, mais pas cette empreinte."
    )


def show(
    site: SiteOption = HERE,
    message: Annotated[str | None, typer.Option(help="Seulement ce message.")] = None,
    action: Annotated[str | None, typer.Option(help="Seulement cette action (connection, filing, receipt…).")] = None,
    author: Annotated[str | None, typer.Option(help="Seulement les actes de cette personne (ou du hub).")] = None,
    since: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Depuis ce jour (AAAA-MM-JJ).")] = None,
    last: Annotated[int, typer.Option(help="Nombre d'entrées, les plus récentes.", min=1, max=1_000_000)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Un objet JSON par ligne, pour exporter.")] = False,
) -> None:
    """Affiche ou exporte des entrées de la trace, de la plus ancienne à la plus récente."""
    with opened(site) as house:
        full_id = house.spool.find_now(message) if message else None
        day = since.date() if since else None
        entries = house.database.read_now(
            lambda c: journal_room.entries(c, message=full_id, action=action, author=author, since=day, last=last)
        )
    if as_json:
        for entry in entries:
            print(json.dumps(asdict(entry), ensure_ascii=False))
        return
    table = Table("n°", "quand", "qui", "action", "message", "demande", "réponse", box=None)
    for entry in entries:
        texts = (entry.author, entry.action, shown(entry.message or ""), entry.request, entry.answer)
        table.add_row(str(entry.number), entry.at, *(escape(text) for text in texts))
    Console(highlight=False).print(table)
