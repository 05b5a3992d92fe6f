"""`hub certs rehearse`: the certificates of a mailbox are tried at the operator, before their day or when in doubt.

Each step is told as it ends, with its time. Exit code 1 when one fails, or when a certificate is not valid today."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

import typer

from hub.alerts.causes import cause_of
from hub.alerts.inventory_words import row_of
from hub.cli.site import HERE, SiteOption, settings_of
from hub.errors import Permanent
from hub.settings import Mailbox, Settings
from hub.trial import Scene, rehearse, with_next
from hub.trust.inventory import Inventory, State
from hub.wiring import now
from hub.wiring.rehearsing import staged


def rehearsed(
    mailbox: Annotated[str, typer.Argument(help="La boîte, par son nom dans hub.yaml.")],
    next_one: Annotated[
        bool, typer.Option("--next", help="Essayer les certificats suivants, avant leur jour.")
    ] = False,
    within: Annotated[int, typer.Option(min=5, max=3_600, help="Secondes pour le retour du courriel.")] = 120,
    site: SiteOption = HERE,
) -> None:
    """Essaie les certificats d'une boîte : ouverture, envoi, et un courriel signé à elle-même, relu et vérifié."""
    settings = settings_of(site)
    box = _box(settings, mailbox)
    if next_one:
        settings = with_next(settings, box)
        box = _box(settings, mailbox)
    are_valid = _show(settings, box)
    is_good = asyncio.run(_rehearse(settings, box, timedelta(seconds=within)))
    if not (is_good and are_valid):
        print("Essai manqué : ces certificats ne doivent pas encore entrer en service.")
        raise typer.Exit(1)
    print("Essai réussi.")


def _box(settings: Settings, name: str) -> Mailbox:
    box = settings.mailbox(name)
    if box is None:
        known = ", ".join(one.name for one in settings.mailboxes)
        raise Permanent(f"no mailbox is called {name}", f"Aucune boîte de hub.yaml ne s'appelle {name} ({known}).")
    return box


def _show(settings: Settings, box: Mailbox) -> bool:
    """Name what is tried; whether all of it is valid today."""
    at = now()
    shown = f"mailbox {box.name}" if box.certificate is not None else f"operator {box.operator}"
    are_valid = True
    for item in Inventory(settings).certificates(at):
        if item.holder not in (shown, f"signing {box.name}") or item.is_next:
            continue
        row = row_of(item, settings, at)
        print(f"{row.what} : {row.file}, {row.state}, du {row.begins} au {row.ends} ({row.left} jours)")
        if row.remark:
            print(f"  ! {row.remark}")
        are_valid = are_valid and item.state is State.IN_USE and not item.is_foreign
    return are_valid


async def _rehearse(settings: Settings, box: Mailbox, within: timedelta) -> bool:
    is_good = True
    async with staged(settings, box) as stage:
        async for scene in rehearse(settings, box, stage, within):
            _tell(scene)
            is_good = is_good and scene.is_good
    return is_good


def _tell(scene: Scene) -> None:
    print(f"{'bon   ' if scene.is_good else 'MANQUÉ'}  {scene.title} ({scene.took:.2f} s) : {scene.answer}")
    if scene.code:
        cause, remedy = cause_of(scene.code)
        print(f"        {cause} : {remedy}.")
    for remark in scene.remarks:
        print(f"        à savoir : {remark}")
