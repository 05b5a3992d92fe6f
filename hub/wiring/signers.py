"""Who signs for which mailbox, and when the next certificate takes over.

In: the settings. Out: `Signers`, all of them read and checked at once: a wrong one raises Misconfigured with all that
is wrong, each line with its file. `LiveSigners` is asked for each mail and takes up what was replaced meanwhile: what
is wrong with one mailbox stops what is to be signed there, and nothing else.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hub.errors import Awaited, Misconfigured
from hub.settings import Mailbox, Secret, Settings, Signing
from hub.smime import Trust
from hub.trust.files import file_stamp, stamp_of
from hub.trust.signing import SigningKey, load_anchors, load_signing_key
from hub.trust.succession import takes_over_at

if TYPE_CHECKING:
    from hub.smime.fitness import Fitness


log = logging.getLogger("hub.wiring")

LOOK_AGAIN = timedelta(minutes=1)
RETRY = timedelta(minutes=5)  # of what waits for a certificate
_UNUSABLE = "Un certificat de signature du hub ne peut pas être utilisé."
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
        """Who signs what leaves `mailbox` (its name) at that moment; None when it signs nothing. Raises Awaited when
        its certificate has ended since the start: what is to be signed waits for a new one, nothing leaves unsigned or
        with a signature that recipients refuse."""
        due = [turn for turn in self._turns.get(mailbox or "", ()) if turn.since is None or turn.since <= at]
        if not due:
            return None
        if due[-1].ends < at:
            raise Awaited(f"the signing certificate of mailbox {mailbox} has ended", _ENDED, RETRY)
        return due[-1].key


@dataclass(frozen=True, slots=True)
class _Looked:
    """`signers` is None when nothing can sign; `is_right`: nothing was wrong."""

    stamp: object
    at: datetime
    signers: Signers | None
    is_right: bool = True


class LiveSigners:
    """Each mailbox's certificates, read anew when their files change. Where something was wrong they are looked at
    again after a while: a certificate may only have waited for its day."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked: dict[str, _Looked] = {}
        self._told: dict[str, str] = {}

    def of(self, mailbox: str | None, at: datetime) -> SigningKey | None:
        """As `Signers.of`. Raises Awaited too when a certificate cannot be used: what comes in goes on, what goes out
        waits."""
        box = self._settings.mailbox(mailbox or "")
        if box is None or box.signing is None:
            return None
        stamp, looked = _stamp_of(box.signing), self._looked.get(box.name)
        is_old = looked is not None and not looked.is_right and abs(at - looked.at) >= LOOK_AGAIN
        if looked is None or looked.stamp != stamp or is_old:
            looked = self._looked[box.name] = self._look(box, box.signing, stamp, at)
        if looked.signers is None:
            raise Awaited(f"the signing certificate of mailbox {box.name} cannot be used", _UNUSABLE, RETRY)
        return looked.signers.of(box.name, at)

    def look(self, at: datetime) -> None:
        """Read them all, so that the log tells at once what is wrong."""
        for box in self._settings.mailboxes:
            with contextlib.suppress(Awaited):
                self.of(box.name, at)

    def _look(self, box: Mailbox, signing: Signing, stamp: object, at: datetime) -> _Looked:
        """Where one of two is wrong, the other serves alone: a next one stops nothing before its day."""
        try:
            return _Looked(stamp, at, load_signers(self._settings, at, (box,)))
        except Misconfigured as error:
            if self._told.get(box.name) != error.private:
                self._told[box.name] = error.private
                log.error("mailbox %s: signing certificates:\n%s", box.name, error.private)
        for one in (signing.certificate, signing.next) if signing.next is not None else ():
            alone = signing.model_copy(update={"certificate": one, "next": None, "next_from": None})
            with contextlib.suppress(Misconfigured):  # told already
                signers = load_signers(self._settings, at, (box.model_copy(update={"signing": alone}),))
                return _Looked(stamp, at, signers, is_right=False)
        return _Looked(stamp, at, None, is_right=False)


def _stamp_of(signing: Signing) -> tuple[object, ...]:
    chain = file_stamp(signing.chain_file) if signing.chain_file is not None else None
    return stamp_of(signing.certificate), stamp_of(signing.next) if signing.next is not None else None, chain


def trust_of(settings: Settings) -> Trust:
    """By which signatures of others are judged. Raises Misconfigured."""
    signatures = settings.signatures
    anchors = load_anchors(signatures.anchors) if signatures.anchors is not None else ()
    return Trust(anchors, frozenset(signatures.purposes))


def load_signers(settings: Settings, at: datetime, boxes: Iterable[Mailbox] | None = None) -> Signers:
    """Of all mailboxes, or of `boxes`. Raises Misconfigured: one line for each thing that is wrong."""
    trust = trust_of(settings)
    turns: dict[str, tuple[Turn, ...]] = {}
    faults: list[str] = []
    warnings: list[str] = []
    for mailbox in settings.mailboxes if boxes is None else boxes:
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
        raise Misconfigured("\n".join(faults), _UNUSABLE)
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
        since = takes_over_at(current.not_after, self._signing.next_from, self._zone)
        following = self._loaded(self._signing.next)
        # The one that signs today is looked at today, the one that follows on its first day.
        later = self._fit(following, max(at, since))
        self._tell(following, later)
        if since > at:
            self._tell(now, current)
        return Turn(now, current.not_after), Turn(following, later.not_after, since)

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
