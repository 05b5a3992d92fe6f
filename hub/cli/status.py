"""`hub status`: where the work stands, in one screen. Exit code 1 when something waits for a human or does not work:
fit for a monitoring probe (complaints.md, row 1)."""

from __future__ import annotations

import asyncio

import typer

from hub.alerts import Gatherer, alerts_of, when
from hub.cli.show import STATES
from hub.cli.site import HERE, SiteOption, opened
from hub.wiring import House, now


def register(app: typer.Typer) -> None:
    app.command("status")(status)


def status(site: SiteOption = HERE) -> None:
    """Où en sont les messages, quelles boîtes sont relevées, ce qui ne va pas."""
    with opened(site) as house:
        raised = asyncio.run(_tell(house))
    if raised:
        raise typer.Exit(1)


async def _tell(house: House) -> bool:
    """Whether somebody must act."""
    settings, at = house.settings, now()
    facts = await Gatherer(settings, house.spool, house.records).facts(at)
    look = facts.look
    for state, label in STATES.items():
        print(f"{label:<28} {facts.counts.get(state, 0):>8}")
    print(f"{'décisions à prendre':<28} {facts.decisions:>8}")
    print(f"{'destinataires sans nouvelles':<28} {facts.silence.count:>8}")
    if look.carried_at is not None:
        print(f"{'dernier traitement':<28} le {when(look.carried_at, settings)}")
    for mailbox in settings.mailboxes:
        cursor, reckoned = look.cursors.get(mailbox.name), look.reckoned.get(mailbox.name)
        read = f"relevée le {when(cursor.compared_at, settings)}" if cursor else "jamais relevée"
        counted = f", comptée le {when(reckoned.at, settings)}" if reckoned else ""
        print(f"{f'boîte {mailbox.name}':<28} {read}{counted}")
    if facts.decisions:
        print("Des messages attendent une décision : hub held")
    raised = alerts_of(settings, facts, at)
    for alert in raised:
        print(f"{'ALARME' if alert.is_urgent else 'À prévoir'} : {alert.text}")
    return bool(facts.decisions) or any(alert.is_urgent for alert in raised)
