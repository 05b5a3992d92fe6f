"""`hub check` and `hub schema`: validates everything that a sysadmin writes, before it is used."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import typer

from hub import migrations
from hub.cli.site import HERE, SiteOption, settings_of
from hub.database import Database
from hub.errors import HubError, Misconfigured
from hub.settings import Mailbox, Settings
from hub.trust.keys import KeyRing
from hub.trust.tls import client_context
from hub.wiring import password_of
from hub.wiring.rulebook import load_rulebook


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check(site: SiteOption = HERE) -> None:
    """Vérifie réglages, règles, types de documents, clés, certificats et base ; n'envoie ni ne lit aucun message."""
    settings = settings_of(site)
    problems: list[str] = []
    _note(problems, lambda: KeyRing.load(settings.key_file))
    _note(problems, lambda: load_rulebook(settings))
    for mailbox in settings.mailboxes:
        _note(problems, partial(password_of, mailbox.password_file))
        _note(problems, partial(_context, settings, mailbox))
    _note(problems, lambda: _schema(settings))
    if problems:
        print("Configuration à corriger :")
        for line in problems:
            print(f"  {line}")
        raise typer.Exit(1)
    boxes = len(settings.mailboxes)
    print(f"Tout est en ordre : {boxes} boîte(s) aux lettres, règles et types de documents valides.")
    if not boxes:
        print("Aucune boîte aux lettres n'est encore réglée dans hub.yaml : le hub n'a rien à relever.")


def _note(problems: list[str], look: Callable[[], object]) -> None:
    """Run one look; what it raises becomes lines of the report."""
    try:
        look()
    except Misconfigured as error:
        problems.extend(error.private.splitlines())
    except HubError as error:
        problems.append(error.private)


def _context(settings: Settings, mailbox: Mailbox) -> ssl.SSLContext:
    operator = settings.operator_of(mailbox)
    return client_context(operator, mailbox.certificate or operator.certificate)


def _schema(settings: Settings) -> None:
    """The database answers and its schema is not newer than this program."""
    database = Database(settings.database_url)
    try:
        if settings.database_url.startswith("sqlite:") and not _sqlite_file(settings).exists():
            raise Misconfigured(f"{_sqlite_file(settings)}:1 - the database does not exist yet: hub init")
        if migrations.current(database) is None:
            raise Misconfigured("database_url - the database is empty: hub init")
    finally:
        database.close()


def _sqlite_file(settings: Settings) -> Path:
    return Path(settings.database_url.removeprefix("sqlite:///"))
