"""All that expires, or must be kept, in one list: what the hub shows to operators, what it signs with, its door, whom
it trusts, the keys of what it keeps.

In: the settings and a moment. Out: `Item`s, each with its holder (a name of the settings), its file, what the
certificate says, and where it stands. Nothing here raises: what cannot be read is an item that says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from hub.errors import Misconfigured
from hub.settings import Mailbox, Secret, Settings, default_config_dir
from hub.trust.authorities import PINS
from hub.trust.certificates import CertificateFacts, Certificates
from hub.trust.keys import KeyFacts, read_facts
from hub.trust.signing import anchor_files
from hub.trust.succession import Succession, chosen, facts_or_none, is_over, own_of, takes_over_at

What = Literal["client", "signing", "door", "authority", "key"]


class State(StrEnum):
    IN_USE = "in-use"
    NEXT = "next"  # waits for its turn
    REPLACED = "replaced"  # the next one has taken over
    ENDED = "ended"
    NOT_YET = "not-yet"  # in use, and not valid yet
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`holder`: `operator NAME`, `mailbox NAME`, `signing NAME`, `submission`, `igc-sante`, `test`, `signatures`,
    `broker` (whom we trust), `keys`; the same for the current certificate and the next one. `is_used`: it is the one
    that serves now; `is_last`: no other one stands ready to follow it; `since`: when a next one takes over. `facts` is
    None for a key, and for what cannot be read (`fault` says why, with the file). `expected`: the national ids of the
    structure it should be of, as far as the settings know them."""

    what: What
    holder: str
    file: Path
    state: State
    facts: CertificateFacts | None = None
    is_next: bool = False
    is_used: bool = True
    is_last: bool = True
    since: datetime | None = None
    fault: str = ""
    key: KeyFacts | None = None
    expected: tuple[str, ...] = ()

    @property
    def ends(self) -> datetime | None:
        return self.facts.not_after if self.facts is not None else None

    @property
    def is_foreign(self) -> bool:
        """Whether it is that of another structure. Ids of another sort (SIRET, FINESS) are not compared."""
        structure = self.facts.structure if self.facts is not None else ""
        same_sort = [one for one in self.expected if structure and one[0] == structure[0]]
        return bool(same_sort) and structure not in same_sort

    @property
    def leaves_a_gap(self) -> bool:
        """A next one that is not valid yet when it should take over."""
        return self.since is not None and self.facts is not None and self.facts.not_before > self.since


class Inventory:
    """Remembers what it read until the files change."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._zone = ZoneInfo(settings.site.timezone)
        self._certificates = Certificates()

    def items(self, at: datetime) -> tuple[Item, ...]:
        """In the order of the settings; keys and authorities last."""
        return (*self.certificates(at), *self._authorities(at), *self._keys())

    def certificates(self, at: datetime) -> tuple[Item, ...]:
        """Ours: those that are shown, that sign, and that of the door."""
        return tuple(self._ours(at))

    # --- ours

    def _ours(self, at: datetime) -> Iterator[Item]:
        settings = self._settings
        for operator in settings.operators:
            if (found := own_of(operator)) is not None:
                yield from self._of(found, "client", f"operator {operator.name}", at, self._ids(operator.structure))
        for mailbox in settings.mailboxes:
            if (found := own_of(mailbox)) is not None:
                yield from self._of(found, "client", f"mailbox {mailbox.name}", at, self._ids_of(mailbox))
        for mailbox in settings.mailboxes:
            if mailbox.signing is not None:
                signing = mailbox.signing
                found = Succession(signing.certificate, signing.next, signing.next_from)
                yield from self._of(found, "signing", f"signing {mailbox.name}", at, self._ids_of(mailbox))
        if settings.submission.certificate is not None:
            yield from self._of(Succession(settings.submission.certificate), "door", "submission", at, ())

    def _ids_of(self, mailbox: Mailbox) -> tuple[str, ...]:
        return self._ids(mailbox.structure or self._settings.operator_of(mailbox).structure)

    def _ids(self, own: str) -> tuple[str, ...]:
        site = self._settings.site
        known = (f"1{site.finess}" if site.finess else "", f"3{site.siret}" if site.siret else "")
        return (own,) if own else tuple(filter(None, known))

    def _of(self, found: Succession, what: What, holder: str, at: datetime, ids: tuple[str, ...]) -> Iterator[Item]:
        used = chosen(found, at, self._zone, self._certificates)
        current = facts_or_none(found.current, self._certificates)
        following = facts_or_none(found.following, self._certificates) if found.following is not None else None
        lasts = following is not None and (current is None or following.not_after > current.not_after)
        is_used = used == found.current
        state = _state(current, at) if is_used else State.REPLACED
        yield self._item(found.current, what, holder, ids, state=state, is_used=is_used, is_last=not lasts)
        if found.following is None:
            return
        since = takes_over_at(current.not_after, found.day, self._zone) if is_used and current is not None else None
        state = State.NEXT if is_used and not is_over(following, at) else _state(following, at)
        following_is = self._item(found.following, what, holder, ids, state=state, is_used=not is_used, is_last=lasts)
        yield replace(following_is, is_next=True, since=since)

    def _item(
        self,
        secret: Secret,
        what: What,
        holder: str,
        ids: tuple[str, ...],
        *,
        state: State,
        is_used: bool,
        is_last: bool,
    ) -> Item:
        try:
            facts, fault = self._certificates.facts(secret), ""
        except Misconfigured as error:
            facts, fault, state = None, error.private, State.UNREADABLE
        return Item(
            what=what,
            holder=holder,
            file=secret.file,
            state=state,
            facts=facts,
            is_used=is_used,
            is_last=is_last,
            fault=fault,
            expected=ids,
        )

    # --- what is trusted, and the keys

    def _authorities(self, at: datetime) -> Iterator[Item]:
        settings = self._settings
        for operator in settings.operators:
            for file in anchor_files(operator.ca_file) if operator.ca_file is not None else ():
                yield from self._trusted(f"operator {operator.name}", file, at)
        if any(operator.ca_file is None for operator in settings.operators):
            for name in PINS:
                yield from self._trusted("igc-sante", default_config_dir() / "igc-sante" / name, at)
            for file in anchor_files(settings.trust.test_authorities) if settings.trust.test_authorities else ():
                yield from self._trusted("test", file, at)
        if settings.signatures.anchors is not None:
            for file in anchor_files(settings.signatures.anchors):
                yield from self._trusted("signatures", file, at)
        if settings.broker_ca_file is not None:
            yield from self._trusted("broker", settings.broker_ca_file, at)

    def _trusted(self, holder: str, file: Path, at: datetime) -> Iterator[Item]:
        try:
            found = self._certificates.authorities(file)
        except Misconfigured as error:
            yield Item(what="authority", holder=holder, file=file, state=State.UNREADABLE, fault=error.private)
            return
        for facts in found:
            yield Item(what="authority", holder=holder, file=file, facts=facts, state=_state(facts, at))

    def _keys(self) -> Iterator[Item]:
        file = self._settings.key_file
        try:
            keys = read_facts(file)
        except Misconfigured as error:
            yield Item(what="key", holder="keys", file=file, state=State.UNREADABLE, fault=error.private)
            return
        for key in keys:
            state = State.IN_USE if key == keys[-1] else State.REPLACED  # the last one seals; older ones still open
            yield Item(what="key", holder="keys", file=file, key=key, state=state)


def _state(facts: CertificateFacts | None, at: datetime) -> State:
    if facts is None:
        return State.UNREADABLE
    if is_over(facts, at):
        return State.ENDED
    return State.NOT_YET if facts.not_before > at else State.IN_USE
