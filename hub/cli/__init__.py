"""The `hub` command: one file a group of commands. Presentation only: what is decided is decided elsewhere.

Texts are French, for those who run the hub and for secretaries. Exit codes: 0 all is well, 1 the answer is no
(something is wrong or was refused), 2 the command was wrong, 3 try again later.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from hub.errors import HubError, Misconfigured, Temporary

LASTING = ("serve", "watch", "door", "worker")


def new_app() -> typer.Typer:
    return typer.Typer(
        name="hub",
        help="Le hub MSSanté de la protection de l'enfance : relève les boîtes aux lettres, classe, répond.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )


def app_of(words: Sequence[str]) -> typer.Typer:
    """The commands that are needed for this command line. What runs for weeks loads its own alone: the others, and the
    sandbox with them, would cost each of its processes 9 MiB, and its start a quarter of its time."""
    if words and words[0] in LASTING:
        from hub.cli import serve

        app = new_app()
        serve.register(app)
        return app
    from hub.cli.commands import app

    return app


def main() -> None:
    """Run the command; an error of ours is one clear text and an exit code, never a trace."""
    try:
        app_of(sys.argv[1:])()
    except Misconfigured as error:
        print(f"Configuration à corriger :\n{error.private}", file=sys.stderr)
        sys.exit(1)
    except HubError as error:
        print(f"{error.public}\n({type(error).__name__}: {error.private})", file=sys.stderr)
        sys.exit(3 if isinstance(error, Temporary) else 1)
    except BrokenPipeError:
        sys.exit(0)
