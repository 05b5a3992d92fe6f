"""`hub database move`: from SQLite to PostgreSQL, for a site that grows (docs/growing.md).

Presentation only: `hub.migrations.moving` copies and compares, `hub.journal` says whether the chain is whole there.
hub.yaml is not changed: the sysadmin changes one line when all is well, and the old file stays as it was.
"""

from __future__ import annotations

from typing import Annotated

import typer

from hub import journal, migrations
from hub.cli.site import HERE, SiteOption, settings_file, settings_of
from hub.database import Database
from hub.errors import Damaged, Misconfigured
from hub.migrations import moving


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="La base de données du site.", no_args_is_help=True)
    group.callback()(_group)
    group.command("move")(move)
    app.add_typer(group, name="database")


def _group() -> None:
    """La base de données du site."""


def move(
    to: Annotated[str, typer.Option("--to", help="postgresql://utilisateur@machine/base : une base vide.")],
    site: SiteOption = HERE,
) -> None:
    """Copie toutes les données de la base SQLite du site dans une base PostgreSQL vide, puis compare."""
    settings = settings_of(site)
    if not settings.database_url.startswith("sqlite:"):
        raise Misconfigured("database_url: only the data of an SQLite database can be moved")
    if not to.startswith("postgresql://"):
        raise Misconfigured("--to: postgresql://user@host/name is expected")
    target = Database(to)
    try:
        migrations.upgrade(target)
        moved = moving.move(settings.database_url, target, _journal_is_whole, _tell)
    finally:
        target.close()
    print(
        f"\n{sum(one.rows for one in moved)} lignes copiées et comparées une à une ; la trace est intacte.\n"
        "Le fichier SQLite n'a pas été modifié. Pour passer à la nouvelle base :\n"
        f"  1. Dans {settings_file(site)}, mettez la ligne (sans mot de passe : ~/.pgpass ou PGPASSFILE)\n"
        f'       database_url: "{_without_password(to)}"\n'
        f"  2. Vérifiez : hub check --site {site}     puis relancez : hub serve --site {site}\n"
        "  3. Gardez l'ancien fichier jusqu'à la première sauvegarde de la nouvelle base, puis effacez-le : "
        "il contient les mêmes données."
    )


def _tell(moved: moving.Moved) -> None:
    print(f"{moved.table:<16} {moved.rows:>10} ligne(s)   empreinte {moved.digest[:16]}", flush=True)


def _journal_is_whole(connection: object) -> None:
    verdict = journal.verify(connection)  # type: ignore[arg-type]  # SQLAlchemy is no business of this room
    if verdict.broken_at is not None:
        raise Damaged(
            f"journal: broken at entry {verdict.broken_at} ({verdict.reason})",
            f"La trace est rompue à l'entrée {verdict.broken_at} : rien n'a été copié. Voyez : hub journal verify",
        )


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    scheme, separator, user = head.partition("://")
    return f"{scheme}{separator}{user.partition(':')[0]}{at}{tail}" if at else url
