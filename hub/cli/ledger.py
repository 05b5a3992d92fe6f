"""`hub ledger`: what each operator announces in a mailbox against what the hub made of it, to the unit.

Looks into the mailbox read only (EXAMINE); `--take` also brings over what the hub does not know and should. Exit code 0
when every account balances, 1 when one does not, 3 when a mailbox cannot be looked at now.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from hub.cli.site import HERE, SiteOption, opened
from hub.errors import HubError, Misconfigured
from hub.reckoning import Account, Reckoner
from hub.settings import Mailbox
from hub.spool.intake import ranges
from hub.spool.ledger import Fate
from hub.wiring import House, now

FATES = {
    Fate.FILED: "classés",
    Fate.DELIVERED: "transmis",
    Fate.REFUSED: "refusés",
    Fate.NOTED: "notés, rien à faire",
    Fate.WAITING: "en cours",
    Fate.HELD: "en attente d'une décision",
    Fate.IN_ERROR: "en erreur",
}
_SPANS = {"m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    app.command("ledger")(ledger)


def ledger(
    site: SiteOption = HERE,
    mailbox: Annotated[str | None, typer.Option(help="Seulement cette boîte.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Seulement ce qui est arrivé depuis : 24h, 7d, 2026-11-02 ou 2026-11-02T08:30.")
    ] = None,
    take: Annotated[bool, typer.Option("--take", help="Relever maintenant les messages inconnus du hub.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme.")] = False,
) -> None:
    """Compare ce que chaque boîte contient chez l'opérateur à ce que le hub en a fait, à l'unité."""
    with opened(site) as house:
        boxes = [box for box in house.settings.mailboxes if mailbox in (None, box.name)]
        if mailbox and not boxes:
            raise Misconfigured(f"--mailbox {mailbox} - no mailbox has this name in hub.yaml")
        begins = None if since is None else moment(since, now(), ZoneInfo(house.settings.site.timezone))
        tellings: list[dict[str, object]] = []
        codes = [asyncio.run(_account(house, box, begins, take, tellings.append if as_json else None)) for box in boxes]
        if as_json:
            print(json.dumps(tellings, ensure_ascii=False, indent=2))
    if any(codes):
        raise typer.Exit(max(codes))


def moment(text: str, at: datetime, zone: ZoneInfo) -> datetime:
    """`24h`, `7d`, or a day or time of the site. Raises Misconfigured."""
    if span := re.fullmatch(r"([0-9]{1,5})([mhd])", text):
        return at - timedelta(**{_SPANS[span[2]]: int(span[1])})
    try:
        begins = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"--since {text} - 24h, 7d or a day such as 2026-11-02 is expected") from None
    return begins if begins.tzinfo else begins.replace(tzinfo=zone)


async def _account(
    house: House, box: Mailbox, since: datetime | None, take: bool, told: Callable[[dict[str, object]], None] | None
) -> int:
    """Tell one mailbox, as text or to `told`; its exit code."""
    reckoner = Reckoner(house.settings, house.spool, house.ways.imap, now)
    try:
        account = await reckoner.reckon(box, since)
        if take and account.unknown:
            taken = await reckoner.take(box, account.unknown)
            if told is None:
                print(f"boîte {box.name} : {taken} message(s) inconnu(s) relevé(s) maintenant ; nouveau compte :")
            account = await reckoner.reckon(box, since)
    except HubError as error:
        if told is None:
            print(f"boîte {box.name} : ne peut pas être consultée maintenant ({error.private})")
        else:
            told({"mailbox": box.name, "error": error.private})
        return 3
    if told is None:
        _print(house, box, account)
    else:
        told(_as_json(account))
    return 0 if account.balances else 1


def _print(house: House, box: Mailbox, account: Account) -> None:
    selected, zone = account.selected, ZoneInfo(house.settings.site.timezone)
    since = f" depuis le {account.since.astimezone(zone):%d/%m/%Y à %H:%M}" if account.since else ""
    print(
        f"boîte {box.name} : {account.announced} message(s) annoncé(s){since} "
        f"(UIDVALIDITY {selected.uidvalidity}, UIDNEXT {selected.uidnext or '?'})"
    )
    if account.is_new_epoch:
        print("  l'opérateur a renuméroté la boîte : le hub la compare à nouveau en entier")
    for fate, label in FATES.items():
        _line(label, account.here[fate])
    if account.fresh:
        _line("pas encore relevés", len(account.fresh), f"UID {ranges(account.fresh)}")
    if account.skipped:
        _line(
            "laissés dans la boîte",
            len(account.skipped),
            ", ".join(f"UID {uid} ({why})" for uid, why in account.skipped),
        )
    if account.unknown:
        _line("INCONNUS DU HUB", len(account.unknown), f"UID {ranges(account.unknown)}")
    if account.unlisted:
        _line("ANNONCÉS MAIS NON MONTRÉS", account.unlisted)
    if account.gone:
        parts = ", ".join(f"{FATES[fate]} {account.gone[fate]}" for fate in FATES if account.gone[fate])
        print(f"  (et {account.gone.total()} relevé(s) auparavant, qui n'y sont plus : déplacés ou effacés ; {parts})")
    if account.moved_to is not None:
        print(f"  (le dossier {box.move_to}, où le hub les déplace, en contient {account.moved_to})")
    if account.balances:
        print("  le compte est bon")
    elif account.unknown:
        print(f"  LE COMPTE N'EST PAS BON : pour relever les inconnus, hub ledger --mailbox {box.name} --take")
    else:
        print("  LE COMPTE N'EST PAS BON : demandez à l'opérateur pourquoi sa boîte annonce plus qu'elle ne montre")


def _line(label: str, count: int, more: str = "") -> None:
    print(f"  {label:<28} {count:>8}   {more}".rstrip())


def _as_json(account: Account) -> dict[str, object]:
    return {
        "mailbox": account.mailbox,
        "at": account.at.isoformat(),
        "since": account.since.isoformat() if account.since else None,
        "uidvalidity": account.selected.uidvalidity,
        "uidnext": account.selected.uidnext,
        "exists": account.selected.exists,
        "announced": account.announced,
        "here": _numbers(account.here),
        "gone": _numbers(account.gone),
        "fresh": ranges(account.fresh),
        "skipped": [{"uid": uid, "reason": why} for uid, why in account.skipped],
        "unknown": ranges(account.unknown),
        "unlisted": account.unlisted,
        "moved_to": account.moved_to,
        "balances": account.balances,
    }


def _numbers(counts: Counter[Fate]) -> dict[str, int]:
    return {fate.value: counts[fate] for fate in Fate}
