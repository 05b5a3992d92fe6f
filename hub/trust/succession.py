"""Which certificate serves at a moment: the current one, or the next one that stands beside it in the settings.

In: what the settings name, the moment, what the certificates say of themselves. Out: the one to use. The next one takes
over on its day, or as soon as the current one ends, whichever comes first; and only while it is good for something: a
next one that cannot be read or is not valid yet never takes the place of a current one that is. One that is valid also
serves while the current one cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from hub.errors import Misconfigured
from hub.settings import Mailbox, Operator, Secret, Settings
from hub.trust.certificates import CertificateFacts, Certificates


@dataclass(frozen=True, slots=True)
class Succession:
    """`day`: on which the next one takes over; None: when the current one ends."""

    current: Secret
    following: Secret | None = None
    day: date | None = None


def takes_over_at(ends: datetime, day: date | None, zone: ZoneInfo) -> datetime:
    """When the next one takes over from one that ends at `ends` (aware UTC); a day begins at the site's midnight."""
    return ends if day is None else min(ends, datetime.combine(day, time(), zone).astimezone(UTC))


@dataclass(frozen=True, slots=True)
class Turn:
    """`certificate` None: none is shown. `until`: when another one takes its place, as far as that is known."""

    certificate: Secret | None
    until: datetime | None = None

    def is_over(self, at: datetime) -> bool:
        return self.until is not None and at >= self.until


class Turns:
    """Whose turn it is to be shown to the operator of a mailbox; asked at each connection."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._zone = ZoneInfo(settings.site.timezone)
        self._certificates = Certificates()

    def of(self, mailbox: Mailbox, at: datetime) -> Turn:
        found = of_mailbox(self._settings, mailbox)
        if found is None:
            return Turn(None)
        used, current = chosen(found, at, self._zone, self._certificates), None
        if found.following is not None and used == found.current:
            current = facts_or_none(found.current, self._certificates)
        until = takes_over_at(current.not_after, found.day, self._zone) if current is not None else None
        # One that should be over, and is not, has nobody ready to follow it: it serves on.
        return Turn(used, until if until is not None and until > at else None)


def own_of(holder: Operator | Mailbox) -> Succession | None:
    """What its section of the settings names."""
    if holder.certificate is None:
        return None
    return Succession(holder.certificate, holder.next_certificate, holder.next_from)


def of_mailbox(settings: Settings, mailbox: Mailbox) -> Succession | None:
    """How the mailbox shows itself to its operator: by its own certificate, or that of the operator's section."""
    return own_of(mailbox) or own_of(settings.operator_of(mailbox))


def chosen(found: Succession, at: datetime, zone: ZoneInfo, certificates: Certificates) -> Secret:
    """Never raises for a file that cannot be used: whoever opens it says what is wrong."""
    if found.following is None:
        return found.current
    current, following = facts_or_none(found.current, certificates), facts_or_none(found.following, certificates)
    if following is None or not is_valid(following, at):
        # An ended one is as good as another; the next one then says best what is missing.
        return found.following if following is not None and is_over(current, at) else found.current
    if current is None:  # gone, or being replaced: one that works is better than none
        return found.following
    return found.following if at >= takes_over_at(current.not_after, found.day, zone) else found.current


def is_valid(facts: CertificateFacts, at: datetime) -> bool:
    return facts.not_before <= at < facts.not_after


def is_over(facts: CertificateFacts | None, at: datetime) -> bool:
    return facts is not None and facts.not_after <= at


def facts_or_none(secret: Secret, certificates: Certificates) -> CertificateFacts | None:
    try:
        return certificates.facts(secret)
    except Misconfigured:
        return None
