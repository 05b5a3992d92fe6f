"""`hub journal`: who did what, when, with what answer (ECO.4.1.1, ECO.4.1.2)."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hub import journal as journal_room
from hub.cli.site import HERE, SiteOption, opened


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
    message: Annotated[str | None, typer.Option(help="Seulement les entrées de ce message.")] = None,
    last: Annotated[int, typer.Option(help="Nombre d'entrées, les plus récentes.", min=1, max=10_000)] = 50,
) -> None:
    """Affiche les dernières entrées de la trace."""
    with opened(site) as house:
        full_id = house.spool.find_now(message) if message else None
        entries = house.database.read_now(lambda c: journal_room.entries(c, message=full_id, last=last))
    table = Table("n°", "quand", "qui", "action", "message", "demande", "réponse", box=None)
    for entry in entries:
        short = (entry.message or "")[:8]
        table.add_row(str(entry.number), entry.at, entry.author, entry.action, short, entry.request, entry.answer)
    Console().print(table)
