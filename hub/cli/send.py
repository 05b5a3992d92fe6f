"""`hub send`: what a secretary does from her mail program, from a shell: files and a few words, to some recipients.

The message goes the same way as hers: through the spool, the rules, the guards; nothing is decided here.
"""

from __future__ import annotations

import asyncio
import getpass
import mimetypes
import sys
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Annotated

import typer

from hub import trip
from hub.cli import story
from hub.cli.show import STEP_STATES, known
from hub.cli.site import HERE, SiteOption, opened_with_reader
from hub.domains import Members
from hub.errors import Permanent
from hub.message import Refusal
from hub.ports import Submission
from hub.routing import Roles
from hub.routing.reasons import recipient_outside
from hub.settings import Mailbox, Settings
from hub.smtp.answers import checked_address
from hub.wiring import House, new_message_id
from hub.wiring.rulebook import roles_of

SAID = {
    "DONE": "C'est parti :",
    "PLANNED": "Le hub s'en charge et réessaiera :",
    "ACCEPTED": "Le hub s'en charge :",
    "HELD": "Rien n'est parti, une décision est attendue (voyez hub held) :",
}


def register(app: typer.Typer) -> None:
    app.command("send")(send)


def send(
    files: Annotated[list[Path] | None, typer.Argument(help="Les fichiers PDF à envoyer.")] = None,
    sender: Annotated[str, typer.Option("--from", help="La boîte d'envoi : son nom, ou son adresse.")] = "",
    to: Annotated[
        list[str] | None, typer.Option(help="Un destinataire, ou un rôle comme role:referent_ase ; à répéter.")
    ] = None,
    usager: Annotated[str | None, typer.Option(help="N° de dossier de l'usager.")] = None,
    kind: Annotated[str | None, typer.Option(help="Type du document (voir document_types.yaml).")] = None,
    subject: Annotated[str, typer.Option(help="Quelques mots, sans nom de personne.")] = "",
    text: Annotated[str | None, typer.Option(help="Le texte du courriel ; « - » pour le lire sur l'entrée.")] = None,
    by: Annotated[str, typer.Option(help="Votre nom : il est écrit dans la trace.")] = "",
    site: SiteOption = HERE,
) -> None:
    """Envoie des documents comme le ferait un secrétariat depuis son logiciel de messagerie."""
    if not sender or not to:
        raise typer.BadParameter("dites d'où (--from) et à qui (--to) envoyer")
    if not files and text is None:
        raise typer.BadParameter("rien à envoyer : donnez un fichier PDF, ou un texte avec --text")
    words = sys.stdin.read() if text == "-" else text or ""
    tags = [f"[dossier {usager}]" if usager else "", f"[{kind}]" if kind else "", subject]
    asyncio.run(_send(site, sender, to, " ".join(filter(None, tags)), words, files or [], by.strip()))


async def _send(site: Path, sender: str, to: list[str], subject: str, words: str, files: list[Path], by: str) -> None:
    async with opened_with_reader(site) as house:
        mailbox = _mailbox(house.settings, sender)
        recipients = tuple(_address(one.strip(), roles_of(house.settings)) for one in to)
        mail = _mail(mailbox, recipients, subject, words, files)
        message_id = await _submitted(house, mailbox, recipients, mail, by or getpass.getuser())
        await trip.carry(message_id, house.start())
        summary = await known(house, message_id)
        print(f"message {message_id}")
        print(SAID.get(summary.state, "Le hub s'en charge :"))
        steps = await house.spool.steps(message_id)
        for step in steps:
            print(f"  - {story.in_words(step.step)} : {STEP_STATES.get(step.state, step.state)}")
        if not any(isinstance(step.step, Refusal) for step in steps):  # which says it already
            _tell_strangers(recipients, house.members.current())


def _tell_strangers(recipients: tuple[str, ...], members: Members) -> None:
    """Some of several recipients: the letter tells them too, and is in the mailbox only."""
    for one in recipients:
        if not members.has(one):
            print(f"Rien n'est parti pour {one}. {recipient_outside(one, members).text}")


def _address(written: str, roles: Roles) -> str:
    """`role:referent_ase` as a mail program writes it."""
    words = roles.asked(written)
    if words is None:
        return checked_address(written)
    role = roles.called(words)
    if role is None:
        known = ", ".join(f"role:{one.name}" for one in roles.declared)
        raise Permanent("no such role", f"Aucun rôle ne s'appelle ainsi dans le carnet d'adresses (connus : {known}).")
    return roles.address(role)


def _mailbox(settings: Settings, named: str) -> Mailbox:
    wanted = named.strip().casefold()
    for mailbox in settings.mailboxes:
        if wanted in (mailbox.name, mailbox.address.casefold()):
            return mailbox
    raise Permanent("no such mailbox", "Cette boîte d'envoi n'est pas dans les réglages du site (hub.yaml).")


def _mail(mailbox: Mailbox, recipients: tuple[str, ...], subject: str, words: str, files: list[Path]) -> EmailMessage:
    """What a mail program would have written."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = mailbox.address
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = new_message_id(mailbox.address)
    mail.set_content(words)
    for file in files:
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise Permanent(
                "a file cannot be read", f"Le fichier {file} ne peut pas être lu : {error.strerror}."
            ) from None
        main, _, sub = (mimetypes.guess_type(file.name)[0] or "application/octet-stream").partition("/")
        mail.add_attachment(raw, maintype=main, subtype=sub, filename=file.name)
    return mail


async def _submitted(house: House, mailbox: Mailbox, recipients: tuple[str, ...], mail: EmailMessage, by: str) -> str:
    blob = await house.spool.new_blob()
    try:
        await blob.write(mail.as_bytes())
        submission = Submission(
            mailbox=mailbox.name,
            by=by,
            sender=mailbox.address,
            recipients=recipients,
            received_at=datetime.now(UTC),
            message_id=mail["Message-ID"],
            peer="hub send",
            test=mailbox.test,
        )
        return (await house.spool.submit(submission, blob)).id
    finally:
        await blob.discard()
