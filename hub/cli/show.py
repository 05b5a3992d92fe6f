"""`hub held` and `hub show`: what waits for a human, with the reasons, and all that is known of one message."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hub import journal
from hub.cli import story
from hub.cli.sent import Teller
from hub.cli.site import HERE, SiteOption, opened, opened_with_reader, settings_of
from hub.errors import Damaged, Permanent
from hub.ids import shown
from hub.spool import MessageSummary
from hub.wiring import House, now
from hub.wiring.rulebook import load_rulebook

STATES = {"ACCEPTED": "reçu", "PLANNED": "en cours", "HELD": "en attente d'une décision", "DONE": "terminé"}
STEP_STATES = {
    "TODO": "à faire",
    "DONE": "fait",
    "DEFERRED": "reporté",
    "UNCERTAIN": "incertain, sera repris",
    "FAILED": "échoué",
}


def register(app: typer.Typer) -> None:
    app.command("held")(held)
    app.command("show")(show)


def held(site: SiteOption = HERE) -> None:
    """La liste de travail : chaque message en attente, avec ses raisons et ce qu'il faut faire."""
    asyncio.run(_held(site))


async def _held(site: Path) -> None:
    settings = settings_of(site)
    label, zone = load_rulebook(settings).catalogue.label, ZoneInfo(settings.site.timezone)
    with opened(site) as house:
        lines = await house.records.work()
        if not lines:
            print("Rien n'attend de décision.")
            return
        console = Console(highlight=False)
        console.print(f"{len(lines)} message(s) en attente d'une décision, du plus ancien au plus récent")
        for line in lines:
            summary = await known(house, line.message)
            thought = await house.spool.thought(line.message)
            what = "son accusé de lecture" if line.about == "receipt" else label(summary.kind) or "type non reconnu"
            console.print(
                f"\n[bold]{shown(line.message)}[/]  {line.opened_at.astimezone(zone):%d/%m/%Y %H:%M}"
                f"  boîte {summary.envelope.mailbox or '-'}  {escape(what)}"
            )
            for candidate in thought.match.candidates if thought and line.about == "message" else ():
                console.print(f"    dossier possible : {escape(candidate.record_number or candidate.usager_id)}")
            for reason in line.hold.reasons:
                console.print(f"    · {escape(reason.text)}")
    console.print(
        "\nPour comparer les identités, trait par trait : hub show MESSAGE\n"
        "Pour classer, ou laisser partir un envoi : hub release MESSAGE --usager DOSSIER --by VOTRE_NOM\n"
        "Pour clore sans classer, sans rien envoyer : hub release MESSAGE --dismiss --by VOTRE_NOM\n"
        "Pour envoyer un accusé en attente : hub release MESSAGE --receipt --by VOTRE_NOM"
    )


def show(
    message: Annotated[str, typer.Argument(help="Le début de l'identifiant du message.")],
    site: SiteOption = HERE,
    save: Annotated[Path | None, typer.Option(help="Enregistrer ici le message tel que reçu (.eml).")] = None,
) -> None:
    """Tout ce que le hub sait d'un message : contenu, usager trait par trait, règle, plan, état, trace."""
    asyncio.run(_show(message, site, save))


async def _show(prefix: str, site: Path, save: Path | None) -> None:
    async with opened_with_reader(site) as house:
        message_id = await house.spool.find(prefix)
        console = Console()
        await _tell_state(console, house, message_id)
        try:
            await _tell_contents(console, house, message_id, save)
        except Damaged as error:
            console.print(f"\nLe contenu ne peut pas être relu sans risque ({escape(error.private)}).")
        await _tell_steps(console, house, message_id)
        await _tell_sendings(console, house, message_id)
        _tell_journal(console, house, message_id)


async def known(house: House, message_id: str) -> MessageSummary:
    """The message of a full id that `find` gave."""
    summary = await house.spool.message(message_id)
    if summary is None:
        raise Permanent("no message has this id", "Aucun message ne porte cet identifiant.")
    return summary


async def _tell_state(console: Console, house: House, message_id: str) -> None:
    summary = await known(house, message_id)
    envelope = summary.envelope
    console.rule(f"message {message_id}", align="left")
    console.print(f"État : {STATES[summary.state]}   boîte : {envelope.mailbox or '-'}   {envelope.size} octets")
    zone = ZoneInfo(house.settings.site.timezone)
    console.print(
        f"Reçu le {envelope.received_at.astimezone(zone):%d/%m/%Y %H:%M:%S}   empreinte {envelope.sha256[:16]}…"
    )


async def _tell_contents(console: Console, house: House, message_id: str, save: Path | None) -> None:
    hub = house.start()
    raw = await house.spool.raw((await known(house, message_id)).envelope)
    if save is not None:
        with save.open("wb") as file:
            async for piece in raw.pieces():
                file.write(piece)
        console.print(f"Message enregistré dans {save}.")
    parsed = await hub.reader.read(raw)
    thought = await house.spool.thought(message_id)
    if thought is None:
        story.tell_contents(console, parsed)
    else:
        rulebook = hub.rulebook()
        story.tell_found(console, "contenu", parsed, thought, rulebook.catalogue.label, rulebook.policy.members)
        console.print(f"\n[bold]La règle[/] : {escape(thought.plan.rule)}")


async def _tell_steps(console: Console, house: House, message_id: str) -> None:
    table = Table("n°", "étape", "état", "réponse", title="Étapes", title_justify="left", box=None)
    for step in await house.spool.steps(message_id):
        table.add_row(str(step.number), escape(story.in_words(step.step)), STEP_STATES[step.state], escape(step.answer))
    console.print()
    console.print(table)
    for line in await house.records.work_of(message_id):
        state = f"close par {line.closed_by} ({line.decision})" if line.closed_at else "ouverte"
        console.print(f"Liste de travail : {escape(state)}")
        for reason in line.hold.reasons:
            console.print(f"  · {escape(reason.text)}")


async def _tell_sendings(console: Console, house: House, message_id: str) -> None:
    """What became of what was submitted; what a report was about."""
    made = await house.records.sendings_of(message_id)
    about = await house.records.sendings_told_by(message_id)
    if not made and not about:
        return
    teller = Teller(house, now())
    await teller.learn((*made, *about))
    for title, found in (("Ce que c'est devenu", made), ("L'envoi dont il est question", about)):
        for one in found:
            console.print(f"\n[bold]{title}[/] :")
            for line in teller.lines(one):
                console.print(escape(line), soft_wrap=True)


def _tell_journal(console: Console, house: House, message_id: str) -> None:
    table = Table("quand", "qui", "action", "demande", "réponse", title="Trace", title_justify="left", box=None)
    for entry in house.database.read_now(lambda c: journal.entries(c, message=message_id, last=200)):
        table.add_row(entry.at, *(escape(x) for x in (entry.author, entry.action, entry.request, entry.answer)))
    console.print()
    console.print(table)
