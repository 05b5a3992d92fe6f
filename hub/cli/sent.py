"""`hub sent`: what was sent, and what became of it with each recipient; which reports are about nothing of ours.

Also how a person's word gets on the ladder (`--read`): somebody telephoned, and the recipient has it. For a program:
`--json`, one object a sending. Exit code 1 with `--waiting` when somebody should look.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from hub import receipts
from hub.cli.ledger import moment
from hub.cli.site import HERE, SiteOption, opened
from hub.cli.story import CLASSES
from hub.errors import Misconfigured, Permanent
from hub.ids import shown
from hub.message import News, Rung, Sending, SentTo
from hub.receipts import ladder
from hub.records import Heard, LooseReport, Overdue
from hub.settings import Settings
from hub.wiring import House, now
from hub.wiring.rulebook import load_rulebook

SOURCES = {
    "smtp": "réponse de l'opérateur",
    "imap": "copie trouvée dans le dossier des messages envoyés",
    "dsn": "avis de remise",
    "mdn": "accusé du destinataire",
    "reply": "réponse automatique",
    "human": "noté à la main",
}
_BEFORE_WORDS = re.compile(r"\s+(?:\S+@\S+\s\s+|-> )")  # the recipient, or the mark of what is to be done
STATES = {"ACCEPTED": "pas encore lu", "PLANNED": "en cours", "HELD": "en attente (hub held)", "DONE": "noté"}


def register(app: typer.Typer) -> None:
    app.command("sent")(sent)


def sent(
    sending: Annotated[str | None, typer.Argument(help="Le début du n° d'un envoi : tout ce qu'on en sait.")] = None,
    site: SiteOption = HERE,
    usager: Annotated[str | None, typer.Option(help="N° de dossier : les envois de cet usager.")] = None,
    mailbox: Annotated[str | None, typer.Option(help="Les envois de cette boîte (son nom dans hub.yaml).")] = None,
    since: Annotated[str | None, typer.Option(help="Depuis : 24h, 7d, ou un jour (2026-11-02).")] = None,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="Seulement ce qu'il faut suivre : échecs, silences.")
    ] = False,
    unmatched: Annotated[bool, typer.Option("--unmatched", help="Les avis qui ne concernent aucun envoi.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Combien au plus, les plus récents.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Pour un programme.")] = False,
    read: Annotated[bool, typer.Option("--read", help="Noter que le destinataire dit l'avoir lu (téléphone).")] = False,
    recipient: Annotated[str | None, typer.Option(help="Avec --read : lequel, s'il y en a plusieurs.")] = None,
    by: Annotated[str, typer.Option(help="Avec --read : votre nom, écrit dans la trace.")] = "",
) -> None:
    """Les envois, et ce qu'ils sont devenus chez chaque destinataire."""
    if read and (sending is None or not by.strip()):
        raise typer.BadParameter("--read demande le n° de l'envoi et --by VOTRE_NOM")
    with opened(site) as house:
        if read:
            asyncio.run(_note_read(house, sending or "", recipient, by.strip()))
            return
        teller = Teller(house, now())
        begins = None if since is None else moment(since, teller.at, teller.zone)
        if waiting and begins is None:  # what is older is no longer to be mended
            begins = teller.at - house.settings.sending.silence_most
        if sending is not None:
            asyncio.run(_one(teller, sending, as_json))
        elif unmatched:
            _tell(as_json, *asyncio.run(_unmatched(teller, begins, limit)))
        else:
            found = asyncio.run(_found(teller, usager, mailbox, begins, waiting, limit))
            _tell(as_json, *teller.told(found))
            if waiting and found:
                raise typer.Exit(1)


def _tell(as_json: bool, lines: Iterable[str], objects: list[dict[str, Any]]) -> None:
    if as_json:
        print(json.dumps(objects, ensure_ascii=False, indent=2))
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in lines:
        print(fitted(line, width) if width else line)


def fitted(line: str, width: int) -> str:
    """A line of the ladder folded to a terminal's width, what follows under where its words began."""
    began = _BEFORE_WORDS.match(line)
    below = " " * (began.end() if began is not None else 4)
    return textwrap.fill(line, max(width, 80), subsequent_indent=below, break_long_words=False, break_on_hyphens=False)


async def _found(
    teller: Teller, usager: str | None, mailbox: str | None, since: datetime | None, waiting: bool, limit: int
) -> tuple[Sending, ...]:
    house = teller.house
    if mailbox is not None and house.settings.mailbox(mailbox) is None:
        raise Misconfigured(f"--mailbox {mailbox} - no mailbox has this name in hub.yaml")
    usager_id = None
    if usager is not None:
        known = await house.records.usager(usager)
        if known is None:
            raise Permanent("no usager has this record number", "Aucun usager ne porte ce n° de dossier.")
        usager_id = known.id
    overdue = teller.overdue if waiting else None
    found = await house.records.sent(since, usager_id, mailbox, overdue, limit)
    await teller.learn(found)
    return found


async def _one(teller: Teller, prefix: str, as_json: bool) -> None:
    found = await teller.house.records.sending_named(prefix)
    await teller.learn((found,))
    heard = await teller.house.records.heard_of(found.id)
    lines, objects = teller.told((found,))
    told = [{**objects[0], "news": [_heard_json(one) for one in heard]}]
    _tell(as_json, [*lines, *teller.history(heard)], told)


async def _unmatched(teller: Teller, since: datetime | None, limit: int) -> tuple[list[str], list[dict[str, Any]]]:
    loose = await teller.house.records.unmatched(since, limit)
    lines = [_loose_line(one, teller.zone) for one in loose]
    if loose:
        lines.append("Pour lire l'un d'eux : hub show MESSAGE")
    return lines or ["Tous les avis reçus concernent un envoi connu."], [_loose_json(one) for one in loose]


async def _note_read(house: House, prefix: str, recipient: str | None, by: str) -> None:
    found = await house.records.sending_named(prefix)
    names = [
        one.recipient for one in found.sent_to if recipient is None or one.recipient.casefold() == recipient.casefold()
    ]
    if not names:
        raise Permanent("not a recipient of this sending", "Cet envoi n'a pas été adressé à ce destinataire.")
    if len(names) > 1:
        raise Permanent(
            "several recipients", "Cet envoi a plusieurs destinataires : dites lequel avec --recipient ADRESSE."
        )
    news = News(sending=found.id, recipient=names[0], rung=Rung.READ, source="human")
    await house.records.note(news, by, receipts.heard)
    print(f"C'est noté : lu par {names[0]}, d'après {by}.")


class Teller:
    """Says, as of `at`, where the recipients of sendings stand."""

    def __init__(self, house: House, at: datetime) -> None:
        self.house = house
        self.at = at
        self.zone = ZoneInfo(house.settings.site.timezone)
        self.overdue = overdue_of(house.settings, at)
        self._label = load_rulebook(house.settings).catalogue.label
        self._numbers: dict[str, str] = {}

    async def learn(self, sendings: Iterable[Sending]) -> None:
        """The record numbers of their usagers."""
        for usager_id in {one.usager_id for one in sendings if one.usager_id is not None}:
            usager = await self.house.records.usager(usager_id)
            self._numbers[usager_id] = (usager.record_number or usager.id) if usager is not None else usager_id

    def told(self, sendings: tuple[Sending, ...]) -> tuple[list[str], list[dict[str, Any]]]:
        lines = [line for one in sendings for line in self.lines(one)]
        return lines or ["Aucun envoi à montrer."], [self.json(one) for one in sendings]

    def lines(self, sending: Sending) -> list[str]:
        is_ordinary = sending.kind is None and sending.usager_id is None
        kind = "courriel" if is_ordinary else self._label(sending.kind)
        about = f"  dossier {self._numbers.get(sending.usager_id, '?')}" if sending.usager_id else ""
        head = f"Envoi {shown(sending.id)}  {self._when(sending.composed_at)}  boîte {sending.mailbox}  {kind}{about}"
        return [head, *self.rungs(sending)]

    def rungs(self, sending: Sending) -> Iterator[str]:
        """A line for each recipient, and what to do below it."""
        silence_after = self.house.settings.sending.silence_of(sending.urgency)
        width = max((len(one.recipient) for one in sending.sent_to), default=0)
        for one in sending.sent_to:
            yield f"    {one.recipient:<{width}}  {ladder.in_words(one, self.at, silence_after)}"
            if todo := ladder.what_to_do(one, self.at, silence_after):
                yield f"    {'':<{width}}  -> {todo}"

    def history(self, heard: tuple[Heard, ...]) -> Iterator[str]:
        yield "Ce qu'on en a appris :" if heard else "On n'en a encore rien appris."
        for one in heard:
            code = f" ({one.status})" if one.status else ""
            by = f", message {shown(one.report)}" if one.report else ""
            rung = "" if one.source == "reply" else f"{ladder.name_of(one.rung)}{code} : "
            yield f"    {self._when(one.at)}  {one.recipient}  {rung}{SOURCES[one.source]}{by}"

    def json(self, sending: Sending) -> dict[str, Any]:
        return {
            "id": sending.id,
            "message": sending.message,
            "mailbox": sending.mailbox,
            "message_id": sending.message_id,
            "composed_at": sending.composed_at.isoformat(),
            "usager": self._numbers.get(sending.usager_id or ""),
            "kind": sending.kind,
            "urgency": sending.urgency,
            "by": sending.by,
            "wants_receipt": sending.wants_receipt,
            "recipients": [self._recipient_json(one, sending) for one in sending.sent_to],
        }

    def _recipient_json(self, one: SentTo, sending: Sending) -> dict[str, Any]:
        silence_after = self.house.settings.sending.silence_of(sending.urgency)
        return {
            "recipient": one.recipient,
            "rung": one.rung.value,
            "since": one.at.isoformat(),
            "age_seconds": int((self.at - one.at).total_seconds()),
            "status": one.status,
            "silent": ladder.is_silent(one, self.at, silence_after),
            "answered_at": one.answered_at.isoformat() if one.answered_at else None,
            "text": ladder.in_words(one, self.at, silence_after),
            "todo": ladder.what_to_do(one, self.at, silence_after),
        }

    def _when(self, at: datetime) -> str:
        return f"{at.astimezone(self.zone):%d/%m/%Y %H:%M}"


def overdue_of(settings: Settings, at: datetime) -> Overdue:
    return Overdue(at - settings.sending.silence_after, at - settings.sending.silence_after_urgent)


def _heard_json(one: Heard) -> dict[str, Any]:
    return {
        "recipient": one.recipient,
        "rung": one.rung.value,
        "at": one.at.isoformat(),
        "source": one.source,
        "status": one.status,
        "report": one.report,
    }


def _loose_line(one: LooseReport, zone: ZoneInfo) -> str:
    return (
        f"{shown(one.message)}  {one.received_at.astimezone(zone):%d/%m/%Y %H:%M}  boîte {one.mailbox or '-'}  "
        f"{CLASSES[one.message_class]}  {STATES[one.state]}"
    )


def _loose_json(one: LooseReport) -> dict[str, Any]:
    return {
        "message": one.message,
        "mailbox": one.mailbox,
        "class": one.message_class,
        "received_at": one.received_at.isoformat(),
        "state": one.state,
    }
