"""`hub contacts role…`: the roles held for all usagers of a territory, or of the whole site."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.cli.days import checked, day_of, in_words, today_of
from hub.cli.site import HERE, SiteOption, opened
from hub.message import HeldRole
from hub.records.held_roles_read import For
from hub.records.usagers_cells import territory as territory_of

RoleName = Annotated[str, typer.Argument(help="Nom d'un rôle, comme secretariat_territoire (voir hub.yaml).")]
Address = Annotated[str, typer.Argument(help="Adresse du carnet.")]
Territory = Annotated[str | None, typer.Option(help="Pour ce territoire ; sinon, pour tout le site.")]
Since = Annotated[str | None, typer.Option(help="Premier jour (aujourd'hui, sinon).")]
Until = Annotated[str | None, typer.Option(help="Dernier jour.")]
Mistake = Annotated[bool, typer.Option("--mistake", help="C'était une erreur de saisie : reprendre ce qui a été dit.")]
By = Annotated[str, typer.Option(help="Qui fait ce changement (pour la trace).")]


def register(group: typer.Typer) -> None:
    group.command("roles")(show_all)
    roles = typer.Typer(help="Les rôles par défaut d'un territoire, ou de tout le site.", no_args_is_help=True)
    roles.command("set")(say)
    roles.command("end")(end)
    group.add_typer(roles, name="role")


def show_all(
    everything: Annotated[bool, typer.Option("--all", help="Aussi ce qui est terminé ou repris.")] = False,
    site: SiteOption = HERE,
) -> None:
    """Qui tient quel rôle par défaut : pour un territoire, ou pour tout le site."""
    with opened(site) as house:
        known = asyncio.run(house.held_roles.defaults())
        today = today_of(house)
    shown = [one for one in known if everything or _counts(one, today)]
    tell(shown, "Aucun rôle par défaut : « hub contacts role set » en note un.")


def say(
    role: RoleName,
    address: Address,
    territory: Territory = None,
    since: Since = None,
    until: Until = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Confie un rôle à une adresse, pour un territoire ou pour tout le site ; qui le tenait avant finit la veille."""
    with opened(site) as house:
        first = day_of(since, "--since") or today_of(house)
        now_true = house.held_roles.say(_whom(territory), role, address, first, day_of(until, "--until"), by)
        tell(asyncio.run(now_true))


def end(
    role: RoleName,
    address: Address,
    territory: Territory = None,
    until: Until = None,
    mistake: Mistake = False,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Termine un rôle (dernier jour : aujourd'hui, sinon), ou reprend une erreur."""
    with opened(site) as house:
        whom, last = _whom(territory), day_of(until, "--until") or today_of(house)
        if mistake:
            left = asyncio.run(house.held_roles.withdraw(whom, role, address, by))
        else:
            left = asyncio.run(house.held_roles.end(whom, role, address, last, by))
        tell(left, "Plus personne ne tient ce rôle.")


def tell(roles: list[HeldRole] | tuple[HeldRole, ...], nothing: str = "Rien.") -> None:
    """Each in the order of the days."""
    table = Table("rôle", "pour", "adresse", "du", "au", "noté par", "", box=None)
    for one in roles:
        withdrawn = f"repris par {one.withdrawn_by}" if one.withdrawn_at else ""
        words = (one.role, for_whom(one), one.contact.address, in_words(one.since), in_words(one.until), one.said_by)
        table.add_row(*map(escape, words), escape(withdrawn))
    Console(highlight=False).print(table if roles else nothing)


def for_whom(held: HeldRole) -> str:
    match held.level:
        case "usager":
            return f"dossier {held.record_number or '?'}"
        case "territory":
            return f"territoire {held.territory}"
        case "site":
            return "tout le site"


def _counts(held: HeldRole, today: date) -> bool:
    """Now, or later."""
    return held.withdrawn_at is None and (held.until is None or held.until >= today)


def _whom(territory: str | None) -> For:
    return For(territory=checked(territory_of, " ".join(territory.split()), "--territory") if territory else None)
