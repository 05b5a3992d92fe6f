"""`hub usagers roles`, `hub usagers role…`: who is what for an usager, from when to when; their territory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import routing
from hub.cli.days import checked, day_of, in_words, today_of
from hub.cli.defaults import Address, By, Mistake, RoleName, Since, Until, tell
from hub.cli.site import HERE, SiteOption, opened
from hub.cli.tables import read_file, tell_import
from hub.errors import Permanent
from hub.message import HeldRole, Usager
from hub.records.book_csv import parse_roles
from hub.records.held_roles_read import For
from hub.records.usagers_cells import territory as territory_of
from hub.wiring import House
from hub.wiring.rulebook import policy_of, roles_of

RecordNumber = Annotated[str, typer.Argument(help="N° de dossier.")]


def register(group: typer.Typer) -> None:
    group.command("roles")(show)
    group.command("territory")(territory)
    roles = typer.Typer(help="Qui est quoi pour un usager : référent ASE, secrétariat…", no_args_is_help=True)
    roles.command("set")(say)
    roles.command("end")(end)
    roles.command("import")(import_)
    group.add_typer(roles, name="role")


def show(
    number: RecordNumber,
    at: Annotated[str | None, typer.Option("--at", help="Tel jour (aujourd'hui, sinon).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Tout ce qui a été noté pour cet usager.")] = False,
    site: SiteOption = HERE,
) -> None:
    """À qui irait aujourd'hui, ou tel jour, un message adressé à chacun des rôles."""
    with opened(site) as house:
        found = _usager(house, number)
        day = day_of(at, "--at") or today_of(house)
        if everything:
            tell(asyncio.run(house.held_roles.of(For(usager_id=found.id))), "Rien n'a été noté pour cet usager.")
            return
        held = asyncio.run(house.records.held_roles(found.id))
        lines = _lines(house, held, day)
    console = Console(highlight=False)
    place = f", territoire {found.territory}" if found.territory else ""
    console.print(f"Dossier {escape(number)}{escape(place)}, le {in_words(day)}")
    table = Table("rôle", "adresse", "", box=None)
    for line in lines:
        table.add_row(escape(line.role), escape(line.address or "-"), escape(line.words))
    console.print(table)


def say(
    number: RecordNumber,
    role: RoleName,
    address: Address,
    since: Since = None,
    until: Until = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Confie un rôle à une adresse du carnet ; qui le tenait avant finit la veille."""
    with opened(site) as house:
        whom = For(usager_id=_usager(house, number).id)
        first = day_of(since, "--since") or today_of(house)
        tell(asyncio.run(house.held_roles.say(whom, role, address, first, day_of(until, "--until"), by)))


def end(
    number: RecordNumber,
    role: RoleName,
    address: Address,
    until: Until = None,
    mistake: Mistake = False,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Termine un rôle (dernier jour : aujourd'hui, sinon), ou reprend une erreur."""
    with opened(site) as house:
        whom = For(usager_id=_usager(house, number).id)
        last = day_of(until, "--until") or today_of(house)
        if mistake:
            left = asyncio.run(house.held_roles.withdraw(whom, role, address, by))
        else:
            left = asyncio.run(house.held_roles.end(whom, role, address, last, by))
        tell(left, "Plus personne ne tient ce rôle pour cet usager.")


def import_(
    file: Annotated[Path, typer.Argument(help="Fichier CSV : numero_dossier (ou territoire), role, adresse, du, au.")],
    rehearsal: Annotated[bool, typer.Option("--dry-run", help="Dire ce qui changerait, sans rien changer.")] = False,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Note les rôles d'un fichier, ligne par ligne : tout, ou rien s'il contient une erreur."""
    with opened(site) as house:
        read = parse_roles(read_file(file), roles_of(house.settings).declared)
        result = asyncio.run(house.held_roles.store(read, by, rehearsal))
    tell_import("Rôles", file, result, rehearsal, read.ignored)


def territory(
    number: RecordNumber,
    name: Annotated[str, typer.Argument(help='Le territoire, comme l\'écrit le carnet ; "" pour aucun.')],
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Note de quel territoire de l'ASE relève un usager ; le CSV des usagers a aussi une colonne « territoire »."""
    words = " ".join(name.split())
    settled = checked(territory_of, words, "TERRITOIRE") if words else None
    with opened(site) as house:
        asyncio.run(house.records.settle_territory(number, settled, by))
    print("C'est noté.")


@dataclass(frozen=True, slots=True)
class _Line:
    role: str
    address: str
    words: str


def _lines(house: House, held: tuple[HeldRole, ...], day: date) -> list[_Line]:
    policy = policy_of(house.settings, house.members.current())
    lines = []
    for role in policy.roles.declared:
        for one in routing.led_to(role, held, day, policy):
            words = one.role if one.doubt is None else one.doubt.text.partition(". ")[2]
            lines.append(_Line(role.label, one.address, words))
    return lines


def _usager(house: House, number: str) -> Usager:
    found = asyncio.run(house.records.usager(number))
    if found is None:
        raise Permanent("no such usager", "Aucun usager n'a ce numéro de dossier : vérifiez-le.")
    return found
