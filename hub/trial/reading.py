"""Tries the door in of a mailbox: the IMAP server, the folder that is read, the folder of sent mails. Changes
nothing."""

from __future__ import annotations

from hub.errors import HubError
from hub.imap.cabinet import Cabinet
from hub.imap.failures import CommandRefused
from hub.imap.folder import Folder
from hub.imap.opening import credentials_of, open_session
from hub.imap.session import Session
from hub.ports import SentFolder
from hub.trial.going import Going, Trying, find
from hub.trial.steps import Steps


async def try_imap(trying: Trying, sent_folder: SentFolder | None, steps: Steps) -> bool:
    """Whether the mailbox could be opened. `sent_folder`: where what it sends is kept, None for nowhere."""
    way = await find(trying, "imap", trying.find_imap, steps)
    if way is None:
        return False
    going, watching = Going(trying, "imap", way, steps), trying.settings.watching
    try:
        session = await open_session(
            way,
            credentials_of(trying.mailbox, trying.operator),
            watching.connect_timeout.total_seconds(),
            watching.command_timeout.total_seconds(),
            going.reached,
        )
    except HubError as error:
        await going.stopped(error)
        return False
    try:
        is_there = await _try_folder(trying, session, steps)
        _try_idle(session, steps)
        await _try_sent_folder(trying, session, sent_folder, steps)
    except HubError as error:  # the connection was lost meanwhile
        steps.failed("imap-folder", "IMAP : la connexion a été perdue", error.private, remedy="Recommencez.")
        return False
    finally:
        await session.logout()
    return is_there


async def _try_folder(trying: Trying, session: Session, steps: Steps) -> bool:
    name = trying.mailbox.folder
    try:
        folder = await Folder.select(session, name, read_only=True)
    except CommandRefused as error:
        steps.failed(
            "imap-folder",
            f"IMAP : le dossier {name} ne peut pas être ouvert",
            error.private,
            remedy="Vérifiez folder dans hub.yaml : le nom entier, avec ses majuscules.",
        )
        return False
    seen = folder.selected
    steps.ok(
        "imap-folder",
        f"IMAP : dossier {name} ouvert, {seen.exists} message(s)",
        f"UIDVALIDITY {seen.uidvalidity}" + ("" if seen.has_lasting_uids else ", numéros qui ne durent pas"),
    )
    return True


def _try_idle(session: Session, steps: Steps) -> None:
    if "IDLE" in session.capabilities:
        steps.ok("imap-idle", "IMAP : le serveur annonce les arrivées (IDLE)")
    else:
        steps.note(
            "imap-idle",
            "IMAP : le serveur n'annonce pas les arrivées (pas d'IDLE)",
            remedy="La boîte est regardée toutes les watching.poll : réduisez cette durée si elle est trop longue.",
        )


async def _try_sent_folder(trying: Trying, session: Session, sent: SentFolder | None, steps: Steps) -> None:
    if sent is None:
        steps.note("imap-sent", "Messages envoyés : aucune copie n'est rangée dans la boîte (sent_folder)")
        return
    never = frozenset(name.casefold() for name in trying.settings.watched_folders(trying.mailbox))
    by = "l'opérateur range les copies" if sent.is_kept_by_operator else "le hub range une copie"
    try:
        name = await Cabinet(session, never).found(sent.name)
    except CommandRefused as error:
        name, why = None, error.private
    except HubError as error:
        steps.failed("imap-sent", "Messages envoyés : le dossier n'est pas clair", error.private, remedy=error.public)
        return
    else:
        why = ""
    if name is None:
        seen = (why,) if why else ()
        steps.note("imap-sent", "Messages envoyés : aucun dossier encore, il sera créé au premier envoi", *seen)
    else:
        steps.ok("imap-sent", f"Messages envoyés : dossier {name} ({by})")
