"""`hub ledger`: what each operator announces in a mailbox against what the hub made of it, to the unit.

Looks into the mailbox read only (EXAMINE). Exit code 0 when every account balances, 1 when the hub does not know a
message that lies below its cursor, 3 when a mailbox cannot be looked at now.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

import typer

from hub.cli.site import HERE, SiteOption, opened
from hub.errors import HubError, Misconfigured
from hub.imap.folder import Folder, Selected
from hub.imap.opening import credentials_of, open_session
from hub.settings import Mailbox, Settings
from hub.spool.intake import ranges
from hub.spool.ledger import Fate, fates
from hub.trust.tls import client_context
from hub.wiring import House

FATES = {
    Fate.FILED: "classés",
    Fate.DELIVERED: "transmis",
    Fate.NOTED: "notés, rien à faire",
    Fate.WAITING: "en cours",
    Fate.HELD: "en attente d'une décision",
    Fate.REFUSED: "refusés",
    Fate.IN_ERROR: "en erreur",
}


@dataclass(frozen=True, slots=True)
class Account:
    """One mailbox. UIDs: `unknown` lie there below the cursor and were never accepted; `fresh` lie above it; `gone`
    were accepted and are no longer there (moved or deleted)."""

    selected: Selected
    counts: Counter[Fate]
    unknown: tuple[int, ...]
    fresh: tuple[int, ...]
    gone: int

    @property
    def balances(self) -> bool:
        there = sum(self.counts.values()) + len(self.unknown) + len(self.fresh)
        return not self.unknown and there == self.selected.exists


def register(app: typer.Typer) -> None:
    app.command("ledger")(ledger)


def ledger(
    site: SiteOption = HERE,
    mailbox: Annotated[str | None, typer.Option(help="Seulement cette boîte.")] = None,
) -> None:
    """Compare ce que chaque boîte contient chez l'opérateur à ce que le hub en a fait, à l'unité."""
    with opened(site) as house:
        boxes = [box for box in house.settings.mailboxes if mailbox in (None, box.name)]
        if mailbox and not boxes:
            raise Misconfigured(f"--mailbox {mailbox} - no mailbox has this name in hub.yaml")
        codes = [_tell(house, box) for box in boxes]
    if any(codes):
        raise typer.Exit(max(codes))


def _tell(house: House, box: Mailbox) -> int:
    try:
        account = asyncio.run(account_of(house, box))
    except HubError as error:
        print(f"boîte {box.name} : ne peut pas être consultée maintenant ({error.private})")
        return 3
    selected = account.selected
    print(
        f"boîte {box.name} : {selected.exists} message(s) annoncé(s) "
        f"(UIDVALIDITY {selected.uidvalidity}, UIDNEXT {selected.uidnext or '?'})"
    )
    for fate, label in FATES.items():
        print(f"  {label:<28} {account.counts[fate]:>8}")
    if account.fresh:
        print(f"  {'pas encore relevés':<28} {len(account.fresh):>8}   UID {ranges(account.fresh)}")
    if account.unknown:
        print(f"  {'INCONNUS DU HUB':<28} {len(account.unknown):>8}   UID {ranges(account.unknown)}")
    if account.gone:
        print(f"  (et {account.gone} relevé(s) auparavant, qui n'y sont plus : déplacés ou effacés)")
    print("  le compte est bon" if account.balances else "  LE COMPTE N'EST PAS BON : hub status, puis le journal")
    return 0 if account.balances else 1


async def account_of(house: House, box: Mailbox) -> Account:
    """Look into the mailbox, then into the spool. Raises Temporary, Permanent, Misconfigured."""
    selected, there = await _announced(house.settings, box)
    known = await house.database.read(lambda c: fates(c, box.name, selected.uidvalidity))
    cursor = await house.spool.cursor(box.name)
    last = cursor[1] if cursor is not None and cursor[0] == selected.uidvalidity else 0
    missing = [uid for uid in there if uid not in known]
    return Account(
        selected=selected,
        counts=Counter(known[uid] for uid in there if uid in known),
        unknown=tuple(uid for uid in missing if uid <= last),
        fresh=tuple(uid for uid in missing if uid > last),
        gone=len(known.keys() - set(there)),
    )


async def _announced(settings: Settings, box: Mailbox) -> tuple[Selected, tuple[int, ...]]:
    """What the server says of the folder, and its UIDs."""
    operator, watching = settings.operator_of(box), settings.watching
    session = await open_session(
        operator.imap,
        client_context(operator, box.certificate or operator.certificate),
        credentials_of(box, operator),
        watching.connect_timeout.total_seconds(),
        watching.command_timeout.total_seconds(),
    )
    try:
        folder = await Folder.select(session, box.folder, read_only=True)
        uids = await folder.uids_from(1)
        await session.logout()
        return folder.selected, uids
    finally:
        session.close()
