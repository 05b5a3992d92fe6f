"""Operators that the DNS no longer tells: what is gathered, and the alert.

In: what `hub.trust.discovery` keeps of the servers that the settings look for. Out: `Stale`, then alerts. Mail goes on,
to where the operator was: until it moves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from hub.alerts.alert import Alert, when
from hub.settings import Settings
from hub.trust.discovery import Discovery
from hub.trust.searched import searched
from hub.trust.srv import NotFound

_NAMED_MOST = 10  # mailboxes


@dataclass(frozen=True, slots=True)
class Stale:
    """A server that the DNS no longer tells (`code`) since then; `mailboxes` use it as it was last known."""

    domain: str
    service: str
    since: datetime
    code: str
    mailboxes: tuple[str, ...]


class StaleGatherer:
    def __init__(self, settings: Settings) -> None:
        self._searched = searched(settings)
        self._discovery = Discovery(settings.dns, settings.data_dir / "trust", lambda: datetime.now(UTC))

    def gather(self) -> tuple[Stale, ...]:
        return tuple(self._each())

    def _each(self) -> Iterator[Stale]:
        for one in self._searched:
            with contextlib.suppress(NotFound, OSError):  # a name that cannot be asked for: its mailboxes tell it
                trouble = self._discovery.trouble(one.domain, one.service)
                if trouble is not None and trouble.since is not None:
                    yield Stale(one.domain, one.service, trouble.since, trouble.code, one.mailboxes)


def of_dns(settings: Settings, stale: Iterable[Stale], at: datetime) -> Iterator[Alert]:
    for one in stale:
        if abs(at - one.since) <= settings.dns.told_after:
            continue
        boxes = ", ".join(one.mailboxes[:_NAMED_MOST])
        yield Alert(
            code="dns-stale",
            subject=f"{one.service} {one.domain}",
            is_urgent=False,
            since=one.since,
            text=f"Le DNS ne nomme plus de serveur {one.service} utilisable pour {one.domain} depuis le "
            f"{when(one.since, settings)} ({one.code}) : le hub va où il trouvait l'opérateur avant, rien ne s'arrête "
            f"(boîtes : {boxes}). Lancez hub operator test {one.mailboxes[0]}, puis prévenez l'opérateur, ou écrivez "
            "ses serveurs dans hub.yaml.",
        )
