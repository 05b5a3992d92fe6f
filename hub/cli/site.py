"""The site that a command works on: its folder, its settings, its opened parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hub.errors import Misconfigured
from hub.settings import Settings, load_settings
from hub.wiring import House, open_house

SiteOption = Annotated[
    Path,
    typer.Option("--site", envvar="HUB_SITE", help="Dossier du site (celui de hub.yaml), ou le fichier lui-même."),
]
HERE = Path(".")


def settings_file(site: Path) -> Path:
    return site if site.is_file() else site / "hub.yaml"


def settings_of(site: Path) -> Settings:
    """Raises Misconfigured when there is no site there, or a wrong one."""
    file = settings_file(site)
    if not file.is_file():
        raise Misconfigured(f"{file}:1 - no site here; make one with: hub init {site}")
    return load_settings(file)


def sqlite_is_missing(settings: Settings) -> bool:
    """Whether the database would be a file that is not there yet: to open it would make it."""
    url = settings.database_url
    return url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:///")).exists()


@contextmanager
def opened(site: Path) -> Iterator[House]:
    """The parts of the site for a command that only reads and writes the database."""
    house = open_house(settings_of(site))
    try:
        yield house
    finally:
        house.database.close()


@asynccontextmanager
async def opened_with_reader(site: Path) -> AsyncIterator[House]:
    """The parts of the site and its reader, for a command that thinks."""
    house = open_house(settings_of(site))
    try:
        house.start()
        yield house
    finally:
        await house.close()
