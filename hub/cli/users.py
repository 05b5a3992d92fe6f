"""`hub users`: who may log in to the hub, and from which mailboxes each may send.

Passwords are asked on the terminal or read from a file: an argument would stand in the list of processes and in the
shell's history."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub.cli.site import HERE, SiteOption, opened
from hub.errors import Permanent
from hub.records.users import ROLES, UserSummary
from hub.settings import Settings
from hub.wiring import now, password_of

Login = Annotated[str, typer.Argument(help="Identifiant : une adresse, ou un mot sans accent ni blanc.")]
Mailbox = Annotated[str, typer.Argument(help="Nom d'une boîte aux lettres de hub.yaml.")]
By = Annotated[str, typer.Option(help="Qui fait ce changement (pour la trace).")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", help="Fichier dont la première ligne est le mot de passe ; sinon il est demandé."),
]
_ROLE_NAMES = {"secretary": "secrétariat", "officer": "cadre", "sysadmin": "administrateur"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Les utilisateurs : qui se connecte, depuis quelles boîtes chacun envoie.")
    for name, command in (
        ("add", add),
        ("list", show_all),
        ("grant", grant),
        ("revoke", revoke),
        ("lock", lock),
        ("unlock", unlock),
        ("password", password),
    ):
        group.command(name)(command)
    app.add_typer(group, name="users")


def add(
    login: Login,
    mailbox: Annotated[list[str] | None, typer.Option("--mailbox", help="Boîte d'envoi ; peut être répété.")] = None,
    role: Annotated[str, typer.Option(help=f"L'un de : {', '.join(ROLES)}.")] = "secretary",
    password_file: PasswordFile = None,
    site: SiteOption = HERE,
    by: By = "sysadmin",
) -> None:
    """Crée un utilisateur ; son mot de passe est demandé."""
    known = next((one for one in ROLES if one == role), None)
    if known is None:
        raise Permanent("no such role", f"Rôle inconnu : choisissez parmi {', '.join(ROLES)}.")
    with opened(site) as house:
        boxes = tuple(dict.fromkeys(_known_box(house.settings, one) for one in mailbox or ()))
        given = _password(password_file)
        asyncio.run(house.users.add(login, known, given, boxes, by))
    sends = f"peut envoyer depuis : {', '.join(boxes)}" if boxes else "ne peut encore envoyer depuis aucune boîte"
    print(f"Utilisateur créé ; {sends}.")


def show_all(site: SiteOption = HERE) -> None:
    """Les utilisateurs, leurs boîtes, et qui est fermé ou doit attendre."""
    with opened(site) as house:
        zone = ZoneInfo(house.settings.site.timezone)
        found = asyncio.run(house.users.all())
        known = {box.name for box in house.settings.mailboxes}
    table = Table("identifiant", "rôle", "envoie depuis", "état", "créé le", box=None)
    for user in found:
        boxes = ", ".join(one if one in known else f"{one} (n'existe plus)" for one in user.mailboxes)
        created = f"{user.created_at.astimezone(zone):%d/%m/%Y}"
        table.add_row(
            escape(user.login), _ROLE_NAMES.get(user.role, user.role), boxes or "-", _state(user, zone), created
        )
    console = Console(highlight=False)
    console.print(table if found else "Aucun utilisateur : créez-en un avec « hub users add ».")


def grant(login: Login, mailbox: Mailbox, site: SiteOption = HERE, by: By = "sysadmin") -> None:
    """Permet à un utilisateur d'envoyer depuis une boîte."""
    with opened(site) as house:
        asyncio.run(house.users.grant(login, _known_box(house.settings, mailbox), by))
    print(f"C'est fait : envoi permis depuis {mailbox}.")


def revoke(login: Login, mailbox: Mailbox, site: SiteOption = HERE, by: By = "sysadmin") -> None:
    """Retire ce droit ; il cesse en quelques secondes, même pour une connexion ouverte."""
    with opened(site) as house:
        asyncio.run(house.users.revoke(login, mailbox, by))
    print(f"C'est fait : plus d'envoi depuis {mailbox}.")


def lock(login: Login, site: SiteOption = HERE, by: By = "sysadmin") -> None:
    """Ferme l'accès d'un utilisateur ; ce qu'il a envoyé reste."""
    with opened(site) as house:
        asyncio.run(house.users.close_user(login, by))
    print("Accès fermé. Pour le rouvrir : hub users unlock")


def unlock(login: Login, site: SiteOption = HERE, by: By = "sysadmin") -> None:
    """Rouvre l'accès, et met fin à l'attente due à de mauvais mots de passe."""
    with opened(site) as house:
        asyncio.run(house.users.reopen(login, by))
    print("Accès ouvert.")


def password(login: Login, password_file: PasswordFile = None, site: SiteOption = HERE, by: By = "sysadmin") -> None:
    """Change un mot de passe ; il est demandé."""
    with opened(site) as house:
        asyncio.run(house.users.set_password(login, _password(password_file), by))
    print("Mot de passe changé : l'ancien ne vaut plus.")


def _password(file: Path | None) -> str:
    if file is not None:
        return password_of(file)
    asked: str = typer.prompt("Mot de passe", hide_input=True, confirmation_prompt="Encore une fois")
    return asked


def _known_box(settings: Settings, name: str) -> str:
    if settings.mailbox(name) is None:
        known = ", ".join(box.name for box in settings.mailboxes) or "aucune"
        raise Permanent("no such mailbox", f"Aucune boîte ne s'appelle {name} dans hub.yaml (connues : {known}).")
    return name


def _state(user: UserSummary, zone: ZoneInfo) -> str:
    if user.is_closed:
        return "fermé"
    if user.locked_until is not None and user.locked_until > now():
        until = f"{user.locked_until.astimezone(zone):%H:%M}"
        return f"attend jusqu'à {until} ({user.failures} mauvais mots de passe)"
    return "ouvert" if user.has_password else "sans mot de passe"
