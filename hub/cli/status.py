"""`hub status`: where the work stands, in one screen. Exit code 1 when something waits for a human or does not work:
fit for a monitoring probe (complaints.md, row 1)."""

from __future__ import annotations

import asyncio

import typer

from hub.cli import alarms
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
    counts, work = await house.spool.counts(), await house.records.work()
    compared, late = await house.spool.compared(), await house.spool.overdue(at - alarms.CARRIED_LATE)
    long = await house.spool.unfinished(at - alarms.UNDER_WAY_LONG)
    for state, label in STATES.items():
        print(f"{label:<28} {counts.get(state, 0):>8}")
    print(f"{'décisions à prendre':<28} {len(work):>8}")
    for mailbox in settings.mailboxes:
        last = compared.get(mailbox.name)
        print(
            f"{f'boîte {mailbox.name}':<28} {f'relevée le {alarms.when(last, settings)}' if last else 'jamais relevée'}"
        )
    if work:
        print("Des messages attendent une décision : hub held")
    raised = [
        *alarms.of_mailboxes(settings, compared, at),
        *alarms.of_carrying(late, long),
        *alarms.of_certificates(settings, at),
    ]
    for alarm in raised:
        print(f"{'ALARME' if alarm.is_urgent else 'À prévoir'} : {alarm.text}")
    return bool(work) or any(alarm.is_urgent for alarm in raised)
