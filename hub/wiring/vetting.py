"""Who vets the servers of the site's operators: name or pin, chain, revocation; each refusal is written down.

The settings flow in; what a `Way` asks after each handshake flows out. Everything that a handshake leaves open is
looked at here, before anything else is said to the server (ECO.1.1.5, 1.1.6, 1.1.10; RH-05..RH-09).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from hub.errors import Untrusted
from hub.ports import Clock
from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.trust.authorities import Authorities, authorities_of
from hub.trust.fetching import Fetcher
from hub.trust.names import check_name, check_pin
from hub.trust.peers import Peer, Peers
from hub.trust.revocation import Policy, Revocation

log = logging.getLogger("hub.trust")


class Vetting:
    """One for each process. Belongs to one event loop."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        folder = settings.data_dir / "trust"
        self._settings = settings
        self._clock = clock
        self.peers = Peers(folder)
        self.revocation = Revocation(folder, Fetcher(settings.fetching), settings.trust, settings.fetching)

    def authorities_of(self, operator: Operator, *, is_test: bool) -> Authorities:
        """Reads files. Raises Misconfigured."""
        return authorities_of(operator, self._settings.trust, is_test=is_test)

    def of(
        self, operator: Operator, mailbox: Mailbox, endpoint: Endpoint, authorities: Authorities
    ) -> Callable[[bytes], Awaitable[None]]:
        """Called with the server's certificate (DER); raises Untrusted, DiskFailed."""

        async def vet(leaf: bytes) -> None:
            at = self._clock()
            place = f"{endpoint.host}:{endpoint.port}"
            peer = Peer(operator=operator.name, is_test=mailbox.test, server=place, certificate=leaf, met_at=at)
            try:
                await self._look(operator, endpoint, leaf, authorities, at)
            except Untrusted as error:
                log.warning("operator %s: %s: refused: %s: %s", operator.name, place, error.code, error.private)
                await asyncio.to_thread(self.peers.met, peer, error, at)
                raise
            await asyncio.to_thread(self.peers.met, peer, None, at)

        return vet

    async def _look(
        self, operator: Operator, endpoint: Endpoint, leaf: bytes, authorities: Authorities, at: datetime
    ) -> None:
        if operator.pins:
            check_pin(leaf, operator.pins)
        else:
            check_name(leaf, endpoint.server_name or endpoint.host)
        await self.revocation.check(leaf, authorities, policy_of(operator), at)

    async def keep(self, at: datetime) -> None:
        """Fetch what is due: for the authorities of the operators, and for every server met lately; and look again at
        those that could not be judged. Raises Misconfigured, OSError."""
        for operator in self._settings.operators:
            for is_test in sorted({box.test for box in self._settings.mailboxes if box.operator == operator.name}):
                if policy_of(operator) != "off":
                    await self._keep(operator, is_test, at)

    async def _keep(self, operator: Operator, is_test: bool, at: datetime) -> None:
        authorities = await asyncio.to_thread(self.authorities_of, operator, is_test=is_test)
        for authority in authorities.known:
            await self.revocation.refresh_lists_of(authority, at)
        for peer in await asyncio.to_thread(self.peers.all, at):
            if (peer.operator, peer.is_test) == (operator.name, is_test):
                try:
                    await self._keep_of(peer, operator, authorities, at)
                except Untrusted:
                    continue  # told when it is met

    async def _keep_of(self, peer: Peer, operator: Operator, authorities: Authorities, at: datetime) -> None:
        await self.revocation.refresh(peer.certificate, authorities, at)
        if peer.refusal is not None and peer.refusal.code == "peer-revocation-unknown":
            await self.revocation.check(peer.certificate, authorities, policy_of(operator), at)
            await asyncio.to_thread(self.peers.cleared, peer, at)

    async def close(self) -> None:
        await self.revocation.close()


def policy_of(operator: Operator) -> Policy:
    """IGC-Santé publishes what it revokes; an authority of a site's own may not."""
    return operator.revocation or ("required" if operator.ca_file is None else "published")
