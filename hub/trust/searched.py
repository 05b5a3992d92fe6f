"""What a site must find by DNS: a service of a domain, for the mailboxes whose operator has no such server in the
settings. Settings flow in; nothing is asked here."""

from __future__ import annotations

from dataclasses import dataclass

from hub.settings import Endpoint, Mailbox, Operator, Settings
from hub.trust.srv import Service, Wanted


@dataclass(frozen=True, slots=True)
class Searched:
    """`mailboxes`: the names of those that need it."""

    domain: str
    service: Service
    wanted: Wanted
    mailboxes: tuple[str, ...]


def searched(settings: Settings) -> tuple[Searched, ...]:
    """By domain, service and what the operator's settings want."""
    found: dict[tuple[str, Service, Wanted], list[str]] = {}
    for mailbox in settings.mailboxes:
        operator = settings.operator_of(mailbox)
        services: tuple[tuple[Endpoint | None, Service], ...] = ((operator.imap, "imap"), (operator.smtp, "submission"))
        for service in (service for endpoint, service in services if endpoint is None):
            found.setdefault((domain_of(mailbox), service, wanted_of(operator)), []).append(mailbox.name)
    return tuple(Searched(*key, tuple(names)) for key, names in found.items())


def domain_of(mailbox: Mailbox) -> str:
    return mailbox.address.rpartition("@")[2].lower()


def wanted_of(operator: Operator) -> Wanted:
    return Wanted(operator.srv_priority, operator.srv_targets)
