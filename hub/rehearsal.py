"""The rehearsal of a mailbox's certificates, before their day: does the operator know them, what will recipients see?

In: the settings of a site (with the next certificate in the place of the current one: `with_next`), a mailbox, the
doors of the hub. Out: `Scene`s, one after the other, each with its answer in plain French and the time it took; the
first that fails is the last. The mail goes from the mailbox to itself, says that nobody has to do anything, and has the
form of the hub's own letters: the trip notes and closes it (`hub.routing.tidings`). Nothing is changed in the mailbox;
it is read by a connection that only looks. Raises nothing for what operator or files do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from hub import compose, smime
from hub.errors import HubError, Misconfigured, Permanent, UncertainDelivery
from hub.imap.failures import CommandRefused, MessageGone
from hub.imap.folder import Folder
from hub.imap.opening import credentials_of, open_session
from hub.imap.session import Session
from hub.message import Verdict
from hub.ports import Clock, FindWay, Sender
from hub.settings import Mailbox, Operator, Settings
from hub.smime.words import in_words, parts_in_words, sentence

LOOK_EVERY = 1.0  # seconds between two looks for the mail
LATEST = 50  # UIDs looked through where the server does not say which comes next
_MOST = 1024**2  # bytes of our own mail on its way back
SUBJECT = "Essai d'un certificat du hub : ne rien faire"
_TEXT = """\
Bonjour,

Ce courriel est un essai : le hub vérifie que le certificat de cette boîte sera accepté et que sa signature est bonne.
Il n'y a rien à faire, et il peut être supprimé.
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """`took` in seconds; `remarks`: what recipients will see, or what to look at; `code`: that of a connection that
    failed."""

    title: str
    is_good: bool
    answer: str
    took: float
    remarks: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a rehearsal needs from the hub. `signer` raises Misconfigured with all that is wrong; it gives None for a
    mailbox that does not sign, and what recipients will notice. `judge` gives the verdict of our own reader."""

    imap: FindWay
    reach: Callable[[], Awaitable[None]]  # opens the way out, and leaves
    sender: Sender
    signer: Callable[[datetime], tuple[smime.Signer | None, tuple[str, ...]]]
    judge: Callable[[bytes, datetime], Awaitable[Verdict | None]]
    letterhead: compose.Letterhead
    new_message_id: Callable[[str], str]
    clock: Clock


def with_next(settings: Settings, mailbox: Mailbox) -> Settings:
    """The settings of the day when the next certificates of a mailbox have taken over. Raises Misconfigured: it has
    none."""
    operator, later, box = settings.operator_of(mailbox), _in_its_place(settings.operator_of(mailbox)), mailbox
    if mailbox.certificate is not None:
        later, box = operator, _in_its_place(mailbox)
    if box.signing is not None and box.signing.next is not None:
        update = {"certificate": box.signing.next, "next": None, "next_from": None}
        box = box.model_copy(update={"signing": box.signing.model_copy(update=update)})
    if box is mailbox and later is operator:
        what = "aucun certificat suivant n'est réglé (next_certificate, signing.next)"
        raise Misconfigured(f"boîte {mailbox.name} : {what}.")
    operators = tuple(later if one is operator else one for one in settings.operators)
    boxes = tuple(box if one is mailbox else one for one in settings.mailboxes)
    return settings.model_copy(update={"operators": operators, "mailboxes": boxes})


_Holder = TypeVar("_Holder", Operator, Mailbox)


def _in_its_place(holder: _Holder) -> _Holder:
    """With the next certificate in the place of the current one; the same when there is none."""
    if holder.next_certificate is None:
        return holder
    update = {"certificate": holder.next_certificate, "next_certificate": None, "next_from": None}
    return holder.model_copy(update=update)


async def rehearse(settings: Settings, mailbox: Mailbox, stage: Stage, within: timedelta) -> AsyncIterator[Scene]:
    """`within`: how long the mail may take to come back."""
    played = _Play(settings, mailbox, stage, within)
    for title, scene in played.scenes():
        began = time.monotonic()
        try:
            answer, remarks = await scene()
        except (HubError, OSError) as error:
            code = str(getattr(error, "code", ""))
            yield Scene(title, False, _why(error), time.monotonic() - began, code=code)
            return
        yield Scene(title, True, answer, time.monotonic() - began, remarks)
        if played.is_over:
            return


_Said = tuple[str, tuple[str, ...]]


class _Play:
    def __init__(self, settings: Settings, mailbox: Mailbox, stage: Stage, within: timedelta) -> None:
        self._settings = settings
        self._mailbox = mailbox
        self._stage = stage
        self._within = within.total_seconds()
        self._signer: smime.Signer | None = None
        self._first: dict[str, int] = {}  # folder -> the first UID that the mail can have
        self._message_id = ""
        self._raw = b""
        self.is_over = False

    def scenes(self) -> tuple[tuple[str, Callable[[], Awaitable[_Said]]], ...]:
        return (
            ("Ouverture de la boîte (IMAP)", self._open),
            ("Connexion d'envoi (SMTP)", self._reach),
            ("Certificat de signature", self._load),
            ("Envoi signé à la boîte elle-même", self._send),
            ("Retour dans la boîte", self._fetch),
            ("Vérification de la signature", self._verify),
        )

    async def _open(self) -> _Said:
        """Also notes where the mail will lie: the watcher may have moved it before we look."""
        way = await self._stage.imap()
        async with _session(await self._session()) as session:
            folders = [self._mailbox.folder, *([self._mailbox.move_to] if self._mailbox.after == "move" else [])]
            for name in folders:
                try:
                    folder = await Folder.select(session, name, read_only=True)
                except CommandRefused:
                    if name == self._mailbox.folder:
                        raise
                    self._first[name] = 1  # made by the first move
                    continue
                following = folder.selected.uidnext
                self._first[name] = following or max((await folder.uids_from(1))[-LATEST:], default=0) + 1
        return f"{way.endpoint.host}:{way.endpoint.port} accepte le certificat, le dossier s'ouvre.", ()

    async def _reach(self) -> _Said:
        await self._stage.reach()
        return "L'opérateur accepte le certificat aussi pour l'envoi.", ()

    async def _load(self) -> _Said:
        self._signer, warnings = await asyncio.to_thread(self._stage.signer, self._stage.clock())
        if self._signer is None:
            self.is_over = True
            return "Cette boîte ne signe rien : il n'y a pas de signature à essayer, aucun courriel n'est envoyé.", ()
        return "Lisible, complet avec ses autorités, prévu pour signer les courriels de cette boîte.", warnings

    async def _send(self) -> _Said:
        assert self._signer is not None
        stage, at = self._stage, self._stage.clock()
        head, address = stage.letterhead, self._mailbox.address
        self._message_id = stage.new_message_id(address)
        mail = compose.letter_to_sign(head, address, self._message_id, at, SUBJECT, _TEXT)
        boundary = compose.boundary_of(self._message_id)
        signed = await asyncio.to_thread(smime.sign, mail.entity, self._signer, at, boundary)
        answer = await stage.sender.send(self._mailbox.name, "", address, compose.Mail(mail.joined(signed)))
        return f"L'opérateur l'a pris : {answer}", ()

    async def _fetch(self) -> _Said:
        until = time.monotonic() + self._within
        async with _session(await self._session()) as session:
            while True:
                for name, first in self._first.items():
                    raw = await self._found(session, name, first)
                    if raw is not None:
                        self._raw = raw
                        return f"Arrivé dans {name}, {len(raw)} octets.", ()
                if time.monotonic() > until:
                    said = f"not back within {self._within:.0f} s"
                    raise Permanent(
                        said,
                        f"Le courriel d'essai n'est pas revenu dans la boîte en {self._within:.0f} secondes. Regardez "
                        "dans la boîte s'il est arrivé depuis ou s'il est classé ailleurs, puis recommencez.",
                    )
                await asyncio.sleep(LOOK_EVERY)

    async def _found(self, session: Session, name: str, first: int) -> bytes | None:
        try:
            folder = await Folder.select(session, name, read_only=True)
        except CommandRefused:  # the folder of `move` may still be to be made
            return None
        for uid in await folder.uids_from(first):
            try:
                if await folder.message_id(uid) == self._message_id:
                    pieces: list[bytes] = []
                    await folder.raw(uid, _into(pieces), 64 * 1024, _MOST, 0)
                    return b"".join(pieces)
            except MessageGone:  # moved by the watcher meanwhile: it lies in the other folder
                continue
        return None

    async def _verify(self) -> _Said:
        verdict = await self._stage.judge(self._raw, self._stage.clock())
        if verdict is None:
            raise Permanent("no signature left", "La signature a disparu en route : l'opérateur modifie les courriels.")
        parts = parts_in_words(verdict)
        told = " ; ".join(f"{part} : {found}" for part, found, _ in parts)
        reasons = tuple(sentence(code) for code in verdict.reasons)
        if any(finding == "bad" for _, _, finding in parts):
            raise Permanent(f"verdict {verdict.outcome}", " ".join((f"{told}.", *reasons)))
        return f"{in_words(verdict)} ({told}).", reasons

    async def _session(self) -> Session:
        watching = self._settings.watching
        credentials = await asyncio.to_thread(credentials_of, self._mailbox, self._settings.operator_of(self._mailbox))
        return await open_session(
            await self._stage.imap(),
            credentials,
            watching.connect_timeout.total_seconds(),
            watching.command_timeout.total_seconds(),
        )


class _session:
    """Leaves politely, and lets go whatever happens."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def __aenter__(self) -> Session:
        return self._session

    async def __aexit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                await self._session.logout()
        finally:
            self._session.close()


def _into(pieces: list[bytes]) -> Callable[[bytes], Awaitable[None]]:
    async def write(piece: bytes) -> None:
        pieces.append(piece)

    return write


def _why(error: HubError | OSError) -> str:
    if isinstance(error, OSError):
        return f"La connexion a échoué ({error.strerror or type(error).__name__})."
    if isinstance(error, Misconfigured):
        return error.private
    if isinstance(error, UncertainDelivery):
        return f"La connexion a été coupée pendant la remise ({error.private}) : recommencez."
    return f"{error.public} ({error.private})"
