"""Who signs for which mailbox, and when the next certificate takes over.

In: the settings. Out: `Signers`, asked for each mail. Every certificate is read and checked at once: a wrong one raises
Misconfigured with all that is wrong, each line with its file, before anything is signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hub.errors import Misconfigured, Temporary
from hub.settings import Mailbox, Secret, Settings, Signing
from hub.smime import Trust
from hub.trust.signing import SigningKey, load_anchors, load_signing_key

if TYPE_CHECKING:
    from hub.smime.fitness import Fitness


_ENDED = (
    "Le certificat de signature de votre boîte a expiré : vos envois attendent. Prévenez l'administrateur du hub, qui "
    "doit le remplacer."
)


@dataclass(frozen=True, slots=True)
class Turn:
    """A certificate, from when it signs (aware UTC; None: from the beginning), and when it ends."""

    key: SigningKey
    ends: datetime
    since: datetime | None = None


class Signers:
    """By mailbox. `warnings`: what is right and will be noticed by recipients, for `hub check`."""

    def __init__(self, turns: dict[str, tuple[Turn, ...]], warnings: tuple[str, ...] = ()) -> None:
        self._turns = turns
        self.warnings = warnings

    def of(self, mailbox: str | None, at: datetime) -> SigningKey | None:
        """Who signs what leaves `mailbox` (its name) at that moment; None when it signs nothing. Raises Temporary when
        its certificate has ended since the start: what is to be signed waits for a new one, nothing leaves unsigned or
        with a signature that recipients refuse."""
        due = [turn for turn in self._turns.get(mailbox or "", ()) if turn.since is None or turn.since <= at]
        if not due:
            return None
        if due[-1].ends < at:
            raise Temporary(f"the signing certificate of mailbox {mailbox} has ended", _ENDED)
        return due[-1].key


def trust_of(settings: Settings) -> Trust:
    """By which signatures of others are judged. Raises Misconfigured."""
    signatures = settings.signatures
    anchors = load_anchors(signatures.anchors) if signatures.anchors is not None else ()
    return Trust(anchors, frozenset(signatures.purposes))


def load_signers(settings: Settings, at: datetime) -> Signers:
    """Raises Misconfigured: one line for each thing that is wrong."""
    trust = trust_of(settings)
    turns: dict[str, tuple[Turn, ...]] = {}
    faults: list[str] = []
    warnings: list[str] = []
    for mailbox in settings.mailboxes:
        if mailbox.signing is None:
            continue
        try:
            looks = _Looks(mailbox, mailbox.signing, trust, ZoneInfo(settings.site.timezone))
            turns[mailbox.name] = looks.turns(at)
            faults += looks.faults
            warnings += looks.warnings
        except Misconfigured as error:
            faults += error.private.splitlines()
    if faults:
        raise Misconfigured("\n".join(faults), "Un certificat de signature du hub ne peut pas être utilisé.")
    return Signers(turns, tuple(warnings))


class _Looks:
    """One mailbox's certificates, looked at: each for the time when it will sign."""

    def __init__(self, mailbox: Mailbox, signing: Signing, trust: Trust, zone: ZoneInfo) -> None:
        self._mailbox = mailbox
        self._signing = signing
        self._trust = trust
        self._zone = zone
        self.faults: list[str] = []
        self.warnings: list[str] = []

    def turns(self, at: datetime) -> tuple[Turn, ...]:
        now = self._loaded(self._signing.certificate)
        current = self._fit(now, at)
        if self._signing.next is None:
            self._tell(now, current)
            return (Turn(now, current.not_after),)
        since = self._takes_over(current)
        following = self._loaded(self._signing.next)
        # The one that signs today is looked at today, the one that follows on its first day.
        later = self._fit(following, max(at, since))
        self._tell(following, later)
        if since > at:
            self._tell(now, current)
        return Turn(now, current.not_after), Turn(following, later.not_after, since)

    def _takes_over(self, current: Fitness) -> datetime:
        day = self._signing.next_from
        ends = current.not_after
        return ends if day is None else min(ends, datetime.combine(day, time(), self._zone).astimezone(UTC))

    def _loaded(self, secret: Secret) -> SigningKey:
        return load_signing_key(secret, self._signing.chain_file)

    def _fit(self, key: SigningKey, at: datetime) -> Fitness:
        from hub.smime.fitness import fitness  # 50 ms of libraries, for sites that sign

        address_required = self._signing.address_required
        address = self._mailbox.address
        return fitness(key.certificates, address, at, self._trust, address_required=address_required)

    def _tell(self, key: SigningKey, found: Fitness) -> None:
        place = f"{key.file}:1 - boîte {self._mailbox.name}"
        self.faults += [f"{place} : {fault}." for fault in found.faults]
        self.warnings += [f"{place} : {warning}." for warning in found.warnings]
