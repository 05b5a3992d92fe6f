"""`hub web`: /health and /metrics over HTTP, for monitoring."""

from __future__ import annotations

import typer

from hub.cli.serve import start_logging
from hub.cli.site import HERE, SiteOption, settings_of
from hub.wiring import open_house


def register(app: typer.Typer) -> None:
    app.command("web")(web)


def web(site: SiteOption = HERE) -> None:
    """Montre l'état du hub à la supervision (/health et /metrics), jusqu'à l'arrêt (Ctrl-C ou SIGTERM)."""
    from hub.web.serving import serve  # only this command needs FastAPI, which takes half a second to load

    settings = settings_of(site)
    start_logging(settings)
    house = open_house(settings, migrated=False)  # a database that is away is shown, not a reason not to start
    try:
        serve(house)
    finally:
        house.database.close()
