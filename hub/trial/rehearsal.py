"""The rehearsal of a mailbox's certificates, before their day: does the operator know them, what will recipients see?

In: the settings of a site (with the next certificate in the place of the current one: `with_next`), a mailbox, the
doors of the hub. Out: `Scene`s, one after the other, each with its answer in plain French and the time it took; the
first that fails is the last. Raises nothing for what operator or files do.
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
from hub.imap.folder import Folder
from hub.message import Verdict
from hub.ports import Clock, FindWay, Sender
from hub.settings import Mailbox, Operator, Settings
from hub.smime.words import in_words, parts_in_words, sentence
from hub.trial.letter import signed_letter
from hub.trial.round_trip import Post, opened, round_trip
from hub.trial.words import LEFT


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
        self._stage = stage
        self._within = within.total_seconds()
        self._post = Post(
            mailbox=mailbox,
            operator=settings.operator_of(mailbox),
            watching=settings.watching,
            find_imap=stage.imap,
            sender=stage.sender,
        )
        self._signer: smime.Signer | None = None
        self._raw = b""
        self.is_over = False

    def scenes(self) -> tuple[tuple[str, Callable[[], Awaitable[_Said]]], ...]:
        return (
            ("Ouverture de la boîte (IMAP)", self._open),
            ("Connexion d'envoi (SMTP)", self._reach),
            ("Certificat de signature", self._load),
            ("Aller et retour d'un courriel signé", self._go),
            ("Vérification de la signature", self._verify),
        )

    async def _open(self) -> _Said:
        session, way = await opened(self._post)
        try:
            await Folder.select(session, self._post.mailbox.folder, read_only=True)
            await session.logout()
        finally:
            session.close()
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

    async def _go(self) -> _Said:
        assert self._signer is not None
        stage, message_id = self._stage, self._stage.new_message_id(self._post.mailbox.address)
        letter = await asyncio.to_thread(signed_letter, stage.letterhead, message_id, stage.clock(), self._signer)
        came = await round_trip(self._post, letter.raw, message_id, within=self._within)
        self._raw = came.raw
        said = f"L'opérateur l'a pris ({came.answer}), il est revenu dans {came.folder} {came.back_in:.1f} s plus tard."
        return said, (LEFT[came.left],) if came.left != "removed" else ()

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


def _why(error: HubError | OSError) -> str:
    if isinstance(error, OSError):
        return f"La connexion a échoué ({error.strerror or type(error).__name__})."
    if isinstance(error, Misconfigured):
        return error.private
    if isinstance(error, UncertainDelivery):
        return f"La connexion a été coupée pendant la remise ({error.private}) : recommencez."
    return f"{error.public} ({error.private})"
