"""To a server of an operator: where it is, the connection, TLS and its certificate, the log-in; each a step.

In: how the mailbox's doors find and open it. Out: steps. A handshake that fails is made once more, verifying nothing
and saying nothing, only to name what the server shows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from hub.errors import HubError, Misconfigured, Untrusted
from hub.imap.failures import PeerRefused
from hub.ports import Clock, FindWay, Handshake, Opening, Reader, Way
from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.smime import Signer
from hub.smtp.route import Route
from hub.trial import words
from hub.trial.steps import Steps
from hub.trust.discovery import Discovery
from hub.trust.searched import domain_of, wanted_of
from hub.trust.shown import NotShown, ShownCertificate, facts_of, shown_by
from hub.trust.srv import NotFound, Service, srv_name, usable

Protocol = Literal["imap", "smtp"]
_PEEK_SECONDS = 10.0
_IS_OURS = re.compile("refused: certificate-|server certificate:")  # of `imap.failures` and `smtp.opening`


@dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """What a trial of one mailbox needs. `signer` signs what leaves it now, None when it signs nothing."""

    settings: Settings
    mailbox: Mailbox
    find_imap: FindWay
    route: Route
    discovery: Discovery
    clock: Clock
    reader: Reader | None = None
    signer: Signer | None = None

    @property
    def operator(self) -> Operator:
        return self.settings.operator_of(self.mailbox)

    @property
    def domain(self) -> str:
        return domain_of(self.mailbox)


async def find(trying: Trying, protocol: Protocol, find_way: FindWay, steps: Steps) -> Way | None:
    """Where the server is, and with what it is opened; None when that is not known."""
    endpoint = trying.operator.imap if protocol == "imap" else trying.operator.smtp
    if endpoint is None:
        await _look_up(trying, "imap" if protocol == "imap" else "submission", protocol, steps)
    steps.begin()
    try:
        way = await find_way()
    except NotFound as error:
        steps.failed(f"{protocol}-where", words.NO_SERVER[protocol], error.private, remedy=words.DNS_REMEDY)
        return None
    except Misconfigured as error:
        steps.failed(f"{protocol}-where", words.WRONG_FILE, *error.private.splitlines(), remedy=words.CHECK)
        return None
    place = way.endpoint
    said = "d'après hub.yaml" if endpoint is not None else "d'après le DNS"
    steps.ok(f"{protocol}-where", f"{protocol.upper()} : serveur {place.host}:{place.port} ({place.tls}), {said}")
    return way


async def _look_up(trying: Trying, service: Service, protocol: Protocol, steps: Steps) -> None:
    """What the DNS says now; that it says nothing usable only stops whoever knows no former answer."""
    name, wanted = srv_name(trying.domain, service), wanted_of(trying.operator)
    try:
        answer = await trying.discovery.ask(trying.domain, service)
        found = tuple(f"trouvé : {record}" for record in answer.records)
        chosen = usable(name, answer.records, wanted)
    except NotFound as error:
        why = words.DNS.get(error.code, error.code)
        found = tuple(f"trouvé : {record}" for record in error.found)
        steps.note(f"{protocol}-dns", f"DNS {name} : {why}", *found, remedy=words.DNS_REMEDY)
        return
    taken = f"retenu : priorité {wanted.priority} (serveurs à certificat) : {', '.join(one.target for one in chosen)}"
    steps.ok(f"{protocol}-dns", f"DNS {name} : {len(answer.records)} enregistrement(s)", *found, taken)


class Going:
    """Tells the steps of one connection as they are reached; `stopped` tells the one that was not."""

    def __init__(self, trying: Trying, protocol: Protocol, way: Way, steps: Steps) -> None:
        self._trying = trying
        self._protocol: Protocol = protocol
        self._way = way
        self._steps = steps
        self._last: Opening | None = None
        self._shown_leaf: ShownCertificate | None = None

    def reached(self, opening: Opening, handshake: Handshake | None) -> None:
        self._last = opening
        if opening is Opening.SECURED and handshake is not None:
            self._secured(handshake)
            return
        self._steps.ok(self._code(opening), words.REACHED[opening].format(protocol=self._protocol.upper()))

    def _code(self, opening: Opening) -> str:
        return f"{self._protocol}-{opening.value}"

    def _secured(self, handshake: Handshake) -> None:
        title = f"TLS : {handshake.version}, {handshake.suite}"
        try:
            self._shown_leaf = facts_of(handshake.leaf)
            seen = words.certificate(self._shown_leaf)
        except NotShown:
            seen = ()
        self._steps.ok(self._code(Opening.SECURED), title, *seen)

    async def stopped(self, error: HubError) -> None:
        """The step after the last one that was reached."""
        order = [one for one in Opening if one is not Opening.OFFERED or self._way.endpoint.tls == "starttls"]
        at = order[0] if self._last is None else order[min(order.index(self._last) + 1, len(order) - 1)]
        place = f"{self._way.endpoint.host}:{self._way.endpoint.port}"
        title = words.STOPPED[at].format(protocol=self._protocol.upper(), place=place)
        seen: tuple[str, ...] = (error.private,)
        remedy = words.REMEDIES[at]
        if at is Opening.SECURED:
            more, remedy = await self._shown()
            if not _IS_OURS.search(error.private):  # they ended it: it is we who were refused
                more, remedy = more[:-1], words.BROKEN_OFF
            seen += more
        elif at is Opening.BELIEVED and isinstance(error, Untrusted | PeerRefused):
            seen += (error.public,)
            if error.code in ("peer-no-name", "peer-other-name") and self._shown_leaf is not None:
                _, remedy = words.why_refused(self._shown_leaf, self._way.server_name, self._trying.clock())
        self._steps.failed(self._code(at), title, *seen, remedy=remedy)

    async def _shown(self) -> tuple[tuple[str, ...], str]:
        """(what the server shows, what to do about it)."""
        endpoint: Endpoint = self._way.endpoint
        try:
            shown = facts_of((await shown_by(endpoint, self._protocol, _PEEK_SECONDS))[0])
        except NotShown as error:
            return (f"{words.NOTHING_SHOWN} ({error.private})",), words.REMEDIES[Opening.SECURED]
        why, remedy = words.why_refused(shown, self._way.server_name, self._trying.clock())
        return (*words.certificate(shown), why), remedy
