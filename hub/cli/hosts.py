"""`hub hosts`: which machine watches which mailbox, and which one sweeps (docs/growing.md)."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import typer

from hub.cli.site import HERE, SiteOption, opened
from hub.spool.duties import SWEEP, mailbox_duty, roll_of


def register(app: typer.Typer) -> None:
    app.command("hosts")(hosts)


def hosts(site: SiteOption = HERE) -> None:
    """Quelles machines relèvent les boîtes, et lesquelles. Code 1 : une boîte n'est relevée par aucune."""
    with opened(site) as house:
        roll = house.database.read_now(roll_of)
        zone = ZoneInfo(house.settings.site.timezone)
        names = {host.id: host.name for host in roll.hosts}
        for host in sorted(roll.hosts, key=lambda one: (one.name, one.started_at)):
            since = host.started_at.astimezone(zone).strftime("%d/%m/%Y à %H:%M")
            sweeps = ", relance ce qui attend" if roll.taken.get(SWEEP) == host.id else ""
            print(f"machine {host.name:<24} depuis le {since}{sweeps}")
        unwatched = 0
        for mailbox in house.settings.mailboxes:
            holder = roll.taken.get(mailbox_duty(mailbox.name))
            unwatched += holder is None
            print(f"boîte {mailbox.name:<26} {names.get(holder or '', 'relevée par aucune machine')}")
    if unwatched:
        raise typer.Exit(1)
