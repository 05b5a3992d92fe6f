"""The postman of the alerts: one mail when something begins, comes nearer or ends (`hub.alerts.mailed`).

In: the alerts of a moment. Out: a mail to each of `alerting.mail_to`, signed as that mailbox signs. It goes straight
through the operator and not by the spool: what it tells may be that the spool or the workers stand still. The mail is
written down before it leaves, with its Message-ID; a crash sends it again under the same one at worst. A failure of its
own is never mailed: it waits, longer each time, and `alerts-not-mailed` stands in `hub status`. One host at a time, and
never two mails within `alerting.mail_rest`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime

from hub import compose, smime
from hub.alerts import Alert
from hub.alerts.mailed import Letter, Mailed, kept_in, letter_of, news_of, read_mailed, told_after, written
from hub.errors import HubError, Permanent, Temporary, UncertainDelivery
from hub.ports import Clock, Sender
from hub.settings import Settings
from hub.smtp.client import SmtpSender
from hub.trust.kept import Kept
from hub.wiring import House, letterheads, make_sender, new_message_id
from hub.wiring.signers import LiveSigners

log = logging.getLogger("hub.alerts")

SignerOf = Callable[[str | None, datetime], smime.Signer | None]
UNSIGNED = "\n\nCe courriel n'est pas signé : le certificat de signature de la boîte ne peut pas servir en ce moment."


def make_postman(house: House, sender: Sender, clock: Clock) -> Postman:
    settings = house.settings

    async def trace(message_id: str, answer: str) -> None:
        await house.spool.told(str(settings.alerting.mail_from), f"mail about alerts {message_id}", answer)

    async def is_member(address: str) -> bool:
        await house.members.take_changed()
        return house.members.current().has(address)

    signer = LiveSigners(settings).of
    return Postman(settings, sender, letterheads(settings), signer, new_message_id, clock, trace, is_member)


def make_alert_sender(house: House) -> SmtpSender | None:
    """The way out of the mailbox that writes; None when nobody is to be told."""
    alerting = house.settings.alerting
    box = house.settings.mailbox(alerting.mail_from or "")
    return make_sender(house.settings, house.ways, (box,)) if box is not None and alerting.mail_to else None


class Postman:
    """`letterhead`, `signer` and `new_message_id` are those of `hub.deeds.Hub`; `trace` writes into the journal what
    was sent (Message-ID) and what the operator said: not while the database is away, which silences nobody.
    `is_member`: whether an address is of the trust space, as far as that is known."""

    def __init__(
        self,
        settings: Settings,
        sender: Sender,
        letterhead: Callable[[str | None], compose.Letterhead | None],
        signer: SignerOf,
        new_message_id: Callable[[str], str],
        clock: Clock,
        trace: Callable[[str, str], Awaitable[None]],
        is_member: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._is_member = is_member
        self._trace = trace
        self._settings = settings
        self._alerting = settings.alerting
        self._sender = sender
        self._letterhead = letterhead(settings.alerting.mail_from)
        self._signer = signer
        self._new_message_id = new_message_id
        self._clock = clock
        self._kept: Kept = kept_in(settings)

    async def tell(self, alerts: Iterable[Alert], *, is_whole: bool) -> None:
        """One round: the mail that waits, or a new one when there is news. Raises OSError (the disk)."""
        if not self._alerting.mail_to or self._letterhead is None:
            return
        async with self._kept.alone():
            copy = await asyncio.to_thread(self._kept.read)
            mailed = read_mailed(copy.raw) if copy is not None else Mailed()
            if mailed.letter is None:
                mailed = await self._with_news(mailed, tuple(alerts), is_whole)
            if mailed.letter is not None:
                await self._sent(mailed, mailed.letter, self._letterhead)

    async def _with_news(self, mailed: Mailed, alerts: tuple[Alert, ...], is_whole: bool) -> Mailed:
        at = self._clock()
        rested = mailed.mailed_at is None or abs(at - mailed.mailed_at) >= self._alerting.mail_rest
        news = news_of(mailed, alerts, is_whole=is_whole)
        if not news or not rested or self._letterhead is None:
            return mailed
        subject, text = letter_of(news, at, self._settings)
        unsent = {one: self._new_message_id(self._letterhead.address) for one in self._alerting.mail_to}
        letter = Letter(subject, text, at, unsent)
        mailed = Mailed(told=told_after(mailed, news), letter=letter, mailed_at=at)
        await self._keep(mailed)
        return mailed

    async def _keep(self, mailed: Mailed) -> None:
        await asyncio.to_thread(self._kept.replace, written(mailed), self._clock())

    async def _sent(self, mailed: Mailed, letter: Letter, head: compose.Letterhead) -> None:
        fetching = self._settings.fetching  # the same patience as with whatever else cannot be had
        if not await asyncio.to_thread(self._kept.may_try, self._clock(), fetching):
            return
        for recipient, message_id in letter.unsent.items():
            if recipient in self._alerting.mail_to:  # else the settings have changed since
                try:
                    refused = await self._sent_to(recipient, message_id, letter, head)
                except Temporary as error:
                    log.error("the mail about alerts does not leave: %s", error.private)
                    await asyncio.to_thread(self._kept.failed, type(error).__name__.lower(), self._clock(), fetching)
                    return
                mailed = replace(mailed, refused=mailed.refused + refused)
            rest = {one: its for one, its in letter.unsent.items() if one != recipient}
            letter = replace(letter, unsent=rest)
            mailed = replace(mailed, letter=letter if rest else None)
            await self._keep(mailed)

    async def _sent_to(self, recipient: str, message_id: str, letter: Letter, head: compose.Letterhead) -> bool:
        """Whether it was refused for ever. Raises Temporary."""
        mail = await self._written(recipient, message_id, letter, head)
        number = self._alerting.mail_to.index(recipient) + 1
        if not await self._is_member(recipient):
            log.error("recipient %d of alerting.mail_to is outside the trust space: nothing is sent there", number)
            return True
        try:
            answer, refused = await self._sender.send(str(self._alerting.mail_from), "", recipient, mail), False
        except UncertainDelivery as error:
            log.warning("the mail about alerts to recipient %d may have left: %s", number, error.private)
            answer, refused = error.private, False
        except Permanent as error:
            log.error("the mail about alerts to recipient %d of alerting.mail_to is refused: %s", number, error.private)
            answer, refused = error.private, True
        with contextlib.suppress(Temporary):
            await self._trace(message_id, answer)
        return refused

    async def _written(self, recipient: str, message_id: str, letter: Letter, head: compose.Letterhead) -> compose.Mail:
        at = letter.written_at
        signer: smime.Signer | None = None
        text = letter.text
        try:
            signer = self._signer(self._alerting.mail_from, self._clock())
        except HubError as error:  # what it tells may be just that
            log.warning("the mail about alerts goes unsigned: %s", error.private)
            text += UNSIGNED
        mail = compose.letter_to_sign(head, recipient, message_id, at, letter.subject, text)
        if signer is None:
            return compose.Mail(mail.joined())
        boundary = compose.boundary_of(message_id)
        return compose.Mail(mail.joined(await asyncio.to_thread(smime.sign, mail.entity, signer, at, boundary)))
