"""`hub certs`: all that expires or must be kept, with its end; `hub certs rehearse`: the trial of a certificate before
its day (`hub.cli.certs_rehearse`). Exit code 1 when something does not work now. `--json`: one object an item."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import typer

from hub.alerts.inventory_words import MOODS, Row, days_left, mood_of, row_of
from hub.cli.certs_rehearse import rehearsed
from hub.cli.site import HERE, SiteOption, settings_of
from hub.settings import Settings
from hub.trust.inventory import Inventory, Item
from hub.wiring import now

_HEADINGS = ("", "À qui", "Quoi", "État", "Début", "Fin", "Jours")


def register(app: typer.Typer) -> None:
    certs = typer.Typer(help="Les certificats du hub : ce qui expire, et l'essai avant le jour.")
    certs.callback(invoke_without_command=True)(listed)
    certs.command("rehearse")(rehearsed)
    app.add_typer(certs, name="certs")


def listed(
    context: typer.Context,
    site: SiteOption = HERE,
    details: Annotated[bool, typer.Option("--details", help="Aussi nom, structure, usages, n° de série.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme : un objet par ligne.")] = False,
) -> None:
    """Tout ce qui expire ou doit être gardé : certificats, autorités, clés ; leur état et leur fin."""
    if context.invoked_subcommand is not None:
        return
    settings, at = settings_of(site), now()
    items = Inventory(settings).items(at)
    if as_json:
        for item in items:
            print(json.dumps(_object(item, settings, at), ensure_ascii=False))
    else:
        _print([row_of(item, settings, at) for item in items], details)
    if any(mood_of(item, settings, at) == "bad" for item in items):
        raise typer.Exit(1)


def _print(rows: list[Row], details: bool) -> None:
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    for line, row in zip(lines, (None, *rows), strict=True):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        if row is None:
            continue
        if row.remark:
            print(f"      ! {row.remark}")
        if details:
            print(f"      fichier : {row.file}")
            for what, value in row.details:
                print(f"      {what} : {value}")


def _cells(row: Row) -> tuple[str, ...]:
    return (MOODS[row.mood], row.holder, row.what, row.state, row.begins, row.ends, row.left)


def _object(item: Item, settings: Settings, at: datetime) -> dict[str, Any]:
    facts, key = item.facts, item.key
    known: dict[str, Any] = {
        "what": item.what,
        "holder": item.holder,
        "place": "next" if item.is_next else "current",
        "state": item.state.value,
        "verdict": mood_of(item, settings, at),
        "is_used": item.is_used,
        "file": str(item.file),
        "takes_over_at": _moment(item.since),
        "is_foreign": item.is_foreign,
        "fault": item.fault,
    }
    if facts is not None:
        known |= {
            "common_name": facts.common_name,
            "unit": facts.unit,
            "organisation": facts.organisation,
            "issuer": facts.issuer,
            "usages": facts.usages,
            "purposes": facts.purposes,
            "serial": facts.serial,
            "sha256": facts.sha256,
            "not_before": _moment(facts.not_before),
            "not_after": _moment(facts.not_after),
            "days_left": days_left(item, at),
        }
    if key is not None:
        known |= {"id": key.id, "added_on": key.added_on.isoformat() if key.added_on is not None else None}
    return known


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at is not None else None
