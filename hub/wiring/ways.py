"""How the servers of each mailbox's operator are reached: where, with which certificate, and who is believed there.

The settings flow in; what `imap` and `smtp` ask at each new connection (`hub.ports.FindWay`) flows out: what was
renewed meanwhile is used without a restart (RH-01, RH-12).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hub.ports import Clock, FindWay, Way
from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.trust.succession import Turns
from hub.trust.tls import client_context
from hub.wiring.vetting import Vetting


def _now() -> datetime:
    return datetime.now(UTC)


class Ways:
    def __init__(self, settings: Settings, clock: Clock = _now) -> None:
        self._settings = settings
        self._clock = clock
        self._turns = Turns(settings)
        self.vetting = Vetting(settings, clock)

    def imap(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.imap, operator, mailbox)

    def smtp(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.smtp, operator, mailbox)

    async def _way(self, endpoint: Endpoint, operator: Operator, mailbox: Mailbox) -> Way:
        """Raises Misconfigured."""
        turn = await asyncio.to_thread(self._turns.of, mailbox, self._clock())  # it reads files, and so does the next
        authorities = await asyncio.to_thread(self.vetting.authorities_of, operator, is_test=mailbox.test)
        context = await asyncio.to_thread(client_context, operator, turn.certificate, authorities.anchors)
        context.check_hostname = False  # `vet` compares: it can tell which names the certificate carries
        vet = self.vetting.of(operator, mailbox, endpoint, authorities)
        return Way(
            endpoint=endpoint,
            context=context,
            vet=vet,
            names_are_checked=False,
            lasts=lambda: not turn.is_over(self._clock()),
        )
