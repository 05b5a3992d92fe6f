"""The `hub` command: one file a group of commands. Presentation only: what is decided is decided elsewhere.

Texts are French, for those who run the hub and for secretaries. Exit codes: 0 all is well, 1 the answer is no
(something is wrong or was refused), 2 the command was wrong, 3 try again later.
"""

from __future__ import annotations

import sys

import typer

from hub.cli import (
    certs,
    check,
    contacts,
    database,
    demo,
    directory,
    explain,
    hosts,
    journal,
    keys,
    ledger,
    members,
    operator,
    release,
    send,
    sent,
    serve,
    show,
    start,
    status,
    usagers,
    users,
    web,
)
from hub.errors import HubError, Misconfigured, Temporary

app = typer.Typer(
    name="hub",
    help="Le hub MSSanté de la protection de l'enfance : relève les boîtes aux lettres, classe, répond.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for group in (
    *(start, check, serve, explain, show, release, send, sent, usagers, contacts, users, journal, keys, certs),
    *(status, ledger, operator, members, hosts, database, directory, web, demo),
):
    group.register(app)


def main() -> None:
    """Run the command; an error of ours is one clear text and an exit code, never a trace."""
    try:
        app()
    except Misconfigured as error:
        print(f"Configuration à corriger :\n{error.private}", file=sys.stderr)
        sys.exit(1)
    except HubError as error:
        print(f"{error.public}\n({type(error).__name__}: {error.private})", file=sys.stderr)
        sys.exit(3 if isinstance(error, Temporary) else 1)
    except BrokenPipeError:
        sys.exit(0)
