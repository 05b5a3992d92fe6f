"""`hub status`: where the work stands, in one screen. Exit code 1 when something waits for a human or failed."""

from __future__ import annotations

import asyncio

import typer

from hub.cli.show import STATES
from hub.cli.site import HERE, SiteOption, opened


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(site: SiteOption = HERE) -> None:
    """Combien de messages sont reçus, en cours, en attente, terminés."""
    with opened(site) as house:
        counts = asyncio.run(house.spool.counts())
        work = asyncio.run(house.records.work())
    for state, label in STATES.items():
        print(f"{label:<28} {counts.get(state, 0):>8}")
    print(f"{'décisions à prendre':<28} {len(work):>8}")
    if work:
        print("Voir : hub held")
        raise typer.Exit(1)
