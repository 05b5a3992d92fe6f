"""Gathers what the alerts and the metrics are made of.

In: the spool, the records, the certificate files that the settings name, what `hub.trust` keeps. Out: `Facts`, one
moment. Failures: Temporary (database away); a certificate that cannot be read is left out (`hub check` and the
watcher's error tell it).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hub.alerts.peers import Met, MetGatherer
from hub.errors import Misconfigured
from hub.records import Overdue, Silence, SqlRecords
from hub.settings import Secret, Settings
from hub.spool import SqlSpool
from hub.spool.lookout import Look
from hub.trust.directory import DirectoryStanding, Standings
from hub.trust.discovery import Discovery
from hub.trust.members_kept import KeptMembers, Standing
from hub.trust.searched import searched
from hub.trust.srv import NotFound
from hub.trust.tls import CertificateFacts, certificate_facts

NO_SILENCE = Silence()
NOBODY_MET = Met()
NO_DIRECTORY = DirectoryStanding(is_set=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """A certificate that the hub shows to operators, or to recipients when it `signs`: then the last in line, the next
    one when there is one. `holder`: `operator NAME`, `mailbox NAME` or `signing NAME`, of the settings."""

    holder: str
    file: Path
    facts: CertificateFacts
    signs: bool = False


@dataclass(frozen=True, slots=True)
class Stale:
    """A server that the DNS no longer tells (`code`) since then; `mailboxes` use it as it was last known."""

    domain: str
    service: str
    since: datetime
    code: str
    mailboxes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """`decisions`: open lines of the work list; `met`: servers, and lists of their authorities; `silence`: recipients
    without news; `counts`: messages by state and `sent`: recipients by rung, both empty when not asked for."""

    look: Look
    decisions: int
    certificates: tuple[Shown, ...]
    met: Met = NOBODY_MET
    members: Standing | None = None  # of the list of member domains
    stale: tuple[Stale, ...] = ()
    silence: Silence = NO_SILENCE
    counts: Mapping[str, int] = field(default_factory=dict)
    directory: DirectoryStanding = NO_DIRECTORY
    sent: Mapping[str, int] = field(default_factory=dict)


class Gatherer:
    def __init__(self, settings: Settings, spool: SqlSpool, records: SqlRecords) -> None:
        self._alerting = settings.alerting
        self._sending = settings.sending
        self._spool = spool
        self._records = records
        self._certificates = Certificates(settings)
        self._met = MetGatherer(settings.data_dir / "trust")
        self._members = KeptMembers(settings.data_dir / "trust") if settings.members.is_listed else None
        self._directory = Standings(settings.directory, settings.data_dir / "trust")
        self._searched = searched(settings)
        self._discovery = Discovery(settings.dns, settings.data_dir / "trust", lambda: datetime.now(UTC))

    async def facts(self, at: datetime, *, counted: bool = True) -> Facts:
        """To count the messages by state costs 0.1 s for a million of them; no alert needs it."""
        sending = self._sending
        since = at - sending.silence_most
        overdue = Overdue(at - sending.silence_after, at - sending.silence_after_urgent)
        return Facts(
            look=await self._spool.look(at, at - self._alerting.carried_within, at - self._alerting.finished_within),
            decisions=await self._records.decisions(),
            certificates=await asyncio.to_thread(self._certificates.shown),
            met=await asyncio.to_thread(self._met.gather, at),
            members=await asyncio.to_thread(self._members.standing) if self._members is not None else None,
            directory=await asyncio.to_thread(self._directory.now),
            stale=tuple(await asyncio.to_thread(lambda: list(self._stale()))),
            silence=await self._records.silence(since, overdue),
            counts=await self._spool.counts() if counted else {},
            sent=await self._records.standing(since) if counted else {},
        )

    def _stale(self) -> Iterator[Stale]:
        for one in self._searched:
            with contextlib.suppress(NotFound, OSError):  # a name that cannot be asked for: its mailboxes tell it
                trouble = self._discovery.trouble(one.domain, one.service)
                if trouble is not None and trouble.since is not None:
                    yield Stale(one.domain, one.service, trouble.since, trouble.code, one.mailboxes)


class Certificates:
    """Remembers the certificates that it read until their files change: to open a PKCS#12 costs a tenth of a second."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._read: dict[Secret, tuple[tuple[int, ...], CertificateFacts]] = {}

    def shown(self) -> tuple[Shown, ...]:
        return tuple(self._shown())

    def _shown(self) -> Iterator[Shown]:
        named = [(f"operator {operator.name}", operator.certificate) for operator in self._settings.operators]
        named += [(f"mailbox {mailbox.name}", mailbox.certificate) for mailbox in self._settings.mailboxes]
        named += [("submission", self._settings.submission.certificate)]
        signing = [(box.name, box.signing) for box in self._settings.mailboxes if box.signing is not None]
        named += [(f"signing {name}", section.next or section.certificate) for name, section in signing]
        met: set[tuple[Secret, bool]] = set()
        for holder, certificate in named:
            signs = holder.startswith("signing ")
            if certificate is None or (certificate, signs) in met:
                continue
            met.add((certificate, signs))
            try:
                yield Shown(holder, certificate.file, self._facts_of(certificate), signs)
            except Misconfigured:
                continue

    def _facts_of(self, certificate: Secret) -> CertificateFacts:
        stamp = tuple(_stamp(file) for file in (certificate.file, certificate.password_file) if file is not None)
        known = self._read.get(certificate)
        if known is None or known[0] != stamp:
            known = self._read[certificate] = (stamp, certificate_facts(certificate))
        return known[1]


def _stamp(file: Path) -> int:
    """Changes when the file does; 0 when there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
