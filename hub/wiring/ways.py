"""How the servers of each mailbox's operator are reached: where, with which certificate, and who is believed there.

The settings flow in; what `imap` and `smtp` ask at each new connection (`hub.ports.FindWay`) flows out: what was
renewed meanwhile is used without a restart (RH-01, RH-12). Where the settings name no server, the DNS does (ECO.1.1.9).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from hub.ports import Clock, FindWay, Way
from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.trust.discovery import Discovery
from hub.trust.searched import domain_of, searched, wanted_of
from hub.trust.srv import NotFound, Service
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
        self.discovery = Discovery(settings.dns, settings.data_dir / "trust", clock)

    def imap(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.imap, "imap", operator, mailbox)

    def smtp(self, mailbox: Mailbox) -> FindWay:
        operator = self._settings.operator_of(mailbox)
        return lambda: self._way(operator.smtp, "submission", operator, mailbox)

    async def look_again(self) -> None:
        """Renew what is due, so that a change of an operator, or a DNS that fails, is noticed before a connection needs
        it. What cannot be found is told by whoever needs it."""
        for one in searched(self._settings):
            try:
                await self.discovery.find(one.domain, one.service, one.wanted)
            except NotFound:
                continue

    async def _way(self, endpoint: Endpoint | None, service: Service, operator: Operator, mailbox: Mailbox) -> Way:
        """Raises Misconfigured, NotFound."""
        if endpoint is None:
            domain, wanted = domain_of(mailbox), wanted_of(operator)
            endpoint = await self.discovery.endpoint(domain, service, wanted, operator.server_name)
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
