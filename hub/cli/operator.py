"""`hub operator test`: tries the operator of a mailbox step by step, and says in plain words what to do about each
fault.

Exit code 0 when nothing failed, 1 when a step did. Unless `--no-mail`, one mail goes from the mailbox to itself (two
when it signs) and is taken away again; it is noted in the journal, as all that the hub says to an operator.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from hub import migrations
from hub.cli.site import HERE, SiteOption, settings_of, sqlite_is_missing
from hub.errors import HubError, Misconfigured
from hub.settings import Mailbox, Settings
from hub.smime import Signer
from hub.trial import Steps, Tried, Trying, try_imap, try_mail, try_own_certificate, try_settings, try_smtp
from hub.wiring import House, letterheads, make_cell, make_sender, new_message_id, now, smtp_route
from hub.wiring.rulebook import sent_folders
from hub.wiring.signers import load_signers

_WENT = {"ok": "OK", "failed": "ÉCHEC", "note": "NOTE"}


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="L'opérateur de messagerie d'une boîte.", no_args_is_help=True)
    group.command("test")(try_operator)
    app.add_typer(group, name="operator")


def try_operator(
    mailbox: Annotated[str, typer.Argument(help="Le nom de la boîte dans hub.yaml.")],
    site: SiteOption = HERE,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Sans envoyer de message d'essai.")] = False,
    wait: Annotated[int, typer.Option(min=1, max=3600, help="Secondes d'attente du retour du message d'essai.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme.")] = False,
) -> None:
    """Essaie chaque étape vers l'opérateur d'une boîte : DNS, connexion, TLS, certificats, identification, dossiers,
    envoi, et un message d'essai à elle-même. Dit ce qui va, ce qui ne va pas, et que faire."""
    settings = settings_of(site)
    box = settings.mailbox(mailbox)
    if box is None:
        known = ", ".join(one.name for one in settings.mailboxes)
        raise Misconfigured(f"{mailbox} - no mailbox has this name in hub.yaml ({known or 'it has none'})")
    if not as_json:
        print(f"Essai de la boîte {box.name} chez l'opérateur {box.operator} :")
    steps = Steps((lambda _: None) if as_json else _print)
    asyncio.run(_try(House(settings), box, steps, None if no_mail else float(wait)))
    failed = sum(one.went == "failed" for one in steps.tried)
    if as_json:
        told = {"mailbox": box.name, "operator": box.operator, "well": steps.are_well}
        print(json.dumps({**told, "steps": [asdict(one) for one in steps.tried]}, ensure_ascii=False, indent=2))
    elif failed:
        print(f"\n{failed} étape(s) en échec : voyez les flèches ci-dessus.")
    else:
        print("\nTout va bien : la boîte peut être relevée et peut envoyer." + (" (sans message d'essai)" * no_mail))
    if failed:
        raise typer.Exit(1)


async def _try(house: House, box: Mailbox, steps: Steps, wait: float | None) -> None:
    """All steps; `wait`: seconds for the mail to come back, None for no mail."""
    settings = house.settings
    cell, sender = make_cell(settings), make_sender(settings, house.ways)
    try:
        trying = Trying(
            settings=settings,
            mailbox=box,
            find_imap=house.ways.imap(box),
            route=smtp_route(settings, house.ways, box),
            discovery=house.ways.discovery,
            clock=now,
            reader=cell,
            signer=_signer(settings, box, steps) if wait is not None and box.signing else None,
        )
        try_settings(trying, steps)
        try_own_certificate(trying, steps)
        opens = await try_imap(trying, sent_folders(settings).get(box.name), steps)
        offered = await try_smtp(trying, steps)
        if wait is not None and opens and offered is not None:
            letterhead = letterheads(settings)(box.name)
            assert letterhead is not None
            await try_mail(trying, sender, letterhead, new_message_id(box.address), offered, wait, steps)
        elif wait is not None:
            steps.note("mail-sent", "Message d'essai : non envoyé, des étapes qui le précèdent ont échoué")
        await _note(house, box, steps)
    finally:
        await sender.close()
        await cell.close()
        house.database.close()


def _signer(settings: Settings, box: Mailbox, steps: Steps) -> Signer | None:
    try:
        return load_signers(settings, now()).of(box.name, now())
    except HubError as error:  # it signs, and cannot: the rest is tried all the same
        seen = error.private.splitlines()
        steps.failed("signing", "Le certificat de signature ne peut pas être utilisé", *seen, remedy=error.public)
        return None


async def _note(house: House, box: Mailbox, steps: Steps) -> None:
    """In the journal; a database that is away, or not made yet, is no reason not to try an operator."""
    failed = [one.code for one in steps.tried if one.went == "failed"]
    try:
        if sqlite_is_missing(house.settings) or migrations.current(house.database) != migrations.LATEST:
            return
        await house.spool.told(box.name, "operator test", f"failed: {', '.join(failed)}" if failed else "ok")
    except HubError as error:
        print(f"(essai non noté dans la trace : {error.private})", file=sys.stderr)


def _print(one: Tried) -> None:
    took = "" if one.seconds is None else f"{one.seconds:.3f} s".replace(".", ",")
    print(f"  {_WENT[one.went]:<6}{took:>10}  {one.title}")
    for line in one.seen:
        print(f"{'':20}{line}")
    if one.remedy:
        print(f"{'':20}→ {one.remedy}")
