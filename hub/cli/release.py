"""`hub release`: a human finishes what the hub would not guess. The deed is recorded under that person's name."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hub import deeds, routing, trip
from hub.cli import story
from hub.cli.show import known
from hub.cli.site import HERE, SiteOption, opened_with_reader
from hub.errors import Permanent
from hub.message import Delivery, Hold, Receipt, Step, Thought
from hub.spool import StepSummary
from hub.wiring import House

NOT_SENT = ("FAILED", "DROPPED")  # states of a receipt, or of copies, that a human may still send


SAID = {
    "DONE": "C'est fait :",
    "HELD": "La décision est enregistrée, mais une étape n'a pas pu être menée à bien : voyez hub show. Il fallait :",
}


class Decision(StrEnum):
    FILED = "filed"
    DISMISSED = "dismissed"
    RECEIPT = "receipt"


def register(app: typer.Typer) -> None:
    app.command("release")(release)


def release(
    message: Annotated[str, typer.Argument(help="Le début de l'identifiant du message.")],
    by: Annotated[str, typer.Option(help="Votre nom : il est écrit dans la trace.")],
    usager: Annotated[str | None, typer.Option(help="N° de dossier de l'usager : classer, ou envoyer.")] = None,
    dismiss: Annotated[bool, typer.Option("--dismiss", help="Clore sans rien classer ni envoyer.")] = False,
    receipt: Annotated[bool, typer.Option("--receipt", help="Envoyer l'accusé de lecture resté en attente.")] = False,
    site: SiteOption = HERE,
) -> None:
    """Termine à la main un message en attente : le classer ou l'envoyer, le clore, ou envoyer son accusé."""
    if [usager is not None, dismiss, receipt].count(True) != 1:
        raise typer.BadParameter("choisissez une seule décision : --usager DOSSIER, --dismiss ou --receipt")
    if not by.strip():
        raise typer.BadParameter("--by : dites qui décide")
    decision = Decision.DISMISSED if dismiss else Decision.RECEIPT if receipt else Decision.FILED
    asyncio.run(_release(message, decision, usager, by.strip(), site))


async def _release(prefix: str, decision: Decision, usager: str | None, by: str, site: Path) -> None:
    async with opened_with_reader(site) as house:
        message_id = await house.spool.find(prefix)
        thought = await _decided(house, message_id, decision, usager, by)
        if (earlier := await house.spool.thought(message_id)) is not None:
            thought = replace(thought, verdict=earlier.verdict)  # given once, at reception
        effect = house.records.closing(message_id, by, decision.value)
        await house.spool.release(message_id, thought, by, effect)
        await trip.carry(message_id, house.start())
        summary = await known(house, message_id)
        print(SAID.get(summary.state, "La décision est enregistrée ; le hub la mènera à bien (voir hub show) :"))
        for step in thought.plan.steps:
            print(f"  - {story.in_words(step)}")
        if not thought.plan.steps:
            print("  - message clos sans classement ; il reste conservé.")


async def _decided(house: House, message_id: str, decision: Decision, usager: str | None, by: str) -> Thought:
    """The plan of the human's decision. Raises Permanent when it cannot be made."""
    hub = house.start()
    envelope = (await known(house, message_id)).envelope
    parsed = await hub.reader.read(await house.spool.raw(envelope), clues=envelope.is_submission)
    seen = await trip.gather(envelope, parsed, hub.records)
    steps = await house.spool.steps(message_id)
    receipt_sent = any(isinstance(step.step, Receipt) and step.state not in NOT_SENT for step in steps)
    match decision:
        case Decision.DISMISSED:
            return routing.dismissed(seen, by)
        case Decision.RECEIPT:
            if receipt_sent:
                raise Permanent("receipt already in the plan", "L'accusé de ce message est déjà parti ou en cours.")
            return routing.receipt_released(seen, by, _held_code(steps))
        case Decision.FILED:
            found = await house.records.usager(usager or "")
            if found is None:
                raise Permanent("no such usager", "Aucun usager n'a ce numéro de dossier : vérifiez-le.")
            rules = hub.rulebook()
            seen = await deeds.with_roles(seen, rules, hub.records, hub.clock(), found.id)
            if envelope.is_submission:
                return routing.think_submission(seen, rules, chosen=found.id, by=by)
            copied = any(_is_a_copy(step.step) and step.state not in NOT_SENT for step in steps)
            return routing.released(seen, rules, found.id, by, receipt_sent=receipt_sent, passed_on_before=copied)


def _is_a_copy(step: Step) -> bool:
    return isinstance(step, Delivery) and step.content == "copy"


def _held_code(steps: tuple[StepSummary, ...]) -> int | None:
    """What the held or failed receipt was to say; None when that is not known."""
    for step in reversed(steps):
        if isinstance(step.step, Receipt) and step.state == "FAILED":
            return step.step.code
        if isinstance(step.step, Hold) and step.step.about == "receipt" and step.step.reason.isdigit():
            return int(step.step.reason)
    return None
