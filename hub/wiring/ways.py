"""How the servers of each mailbox's operator are reached: where, with which certificate, and who is believed there.

The settings flow in; what `imap` and `smtp` ask at each new connection (`hub.ports.FindWay`) flows out: what was
renewed meanwhile is used without a restart (RH-01, RH-12).
"""

from __future__ import annotations

import asyncio

from hub.ports import FindWay, Way
from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.trust.tls import client_context


class Ways:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def imap(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.imap, operator, mailbox)

    def smtp(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.smtp, operator, mailbox)

    async def _way(self, endpoint: Endpoint, operator: Operator, mailbox: Mailbox) -> Way:
        """Raises Misconfigured."""
        certificate = mailbox.certificate or operator.certificate
        context = await asyncio.to_thread(client_context, operator, certificate)  # it reads files
        return Way(endpoint=endpoint, context=context)
