"""`hub usagers`: the children whom the site looks after, imported from the DUI's export."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hub.cli.site import HERE, SiteOption, opened
from hub.errors import Misconfigured
from hub.records import Problem, parse_usagers


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Les usagers du site.", no_args_is_help=True)
    group.command("import")(import_)
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


def _refuse(file: Path, problems: tuple[Problem, ...]) -> NoReturn:
    print(f"Rien n'a été importé : {len(problems)} problème(s) dans {file}.")
    for problem in problems:
        print(f"  {problem}")
    raise typer.Exit(1)
