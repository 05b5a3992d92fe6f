"""The rulebook in force: `routes.yaml`, `document_types.yaml` and the member domains, taken without restart.

`current()` gives one immutable rulebook; a changed file is validated as a whole and swapped in, a wrong one leaves
the old rulebook in force, logs `file:line` and is counted in `refused`. A new list of member domains is taken whatever
the rules say: it is the publisher's, and addresses of rules that are no longer in it are only told. All are looked at
every four seconds (`stat` calls): the folder is the site's own, where the database writes all the time, so that a watch
of it by inotify would wake the hub for each of its own commits; and a look also sees changes on a network folder.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from zoneinfo import ZoneInfo

from hub import configuration, routing
from hub.domains import NO_MEMBERS, Members
from hub.errors import Misconfigured
from hub.message import Role
from hub.ports import SentFolder
from hub.settings import Settings
from hub.wiring.members import LiveMembers

log = logging.getLogger("hub.rulebook")

LOOK_EVERY = 4.0  # seconds
CONFIRM_AFTER = 0.5  # seconds, when a look saw a change


def policy_of(settings: Settings, members: Members) -> routing.Policy:
    """The mind's view of the settings."""
    deciding = settings.deciding
    return routing.Policy(
        kind_confidence=deciding.kind_confidence,
        qualified_statuses=frozenset(deciding.qualified_statuses),
        birth_place_required=deciding.birth_place_required,
        unknown_previous=deciding.unknown_previous,
        members=members,
        own_addresses=frozenset(mailbox.address.casefold() for mailbox in settings.mailboxes),
        public_url=settings.web.public_url or "",
        unsigned_domains=frozenset(domain.casefold() for domain in settings.sending.unsigned_domains),
        addresses=tuple((mailbox.name, mailbox.address) for mailbox in settings.mailboxes),
        zone=ZoneInfo(settings.site.timezone),
        roles=roles_of(settings),
        copied=frozenset(name for name, folder in sent_folders(settings).items() if not folder.is_kept_by_operator),
    )


def roles_of(settings: Settings) -> routing.Roles:
    declared = (Role(name=one.name, label=one.label, is_shared=one.shared) for one in settings.addressbook.roles)
    return routing.Roles(tuple(declared), settings.submission.roles_domain)


def sent_folders(settings: Settings) -> dict[str, SentFolder]:
    """Mailbox name -> where what it sends is kept; nothing for a mailbox of which no copy is filed or looked for."""
    folders: dict[str, SentFolder] = {}
    for box in settings.mailboxes:
        operator = settings.operator_of(box)
        if box.sent_folder is not None or operator.keeps_sent_copies:
            named = box.sent_folder if box.sent_folder not in (None, "auto") else operator.sent_folder
            folders[box.name] = SentFolder(named or "auto", operator.keeps_sent_copies)
    return folders


def load_rulebook(
    settings: Settings, members: Members = NO_MEMBERS, *, takes_outside: bool = False
) -> routing.Rulebook:
    """Read and validate both files. Raises Misconfigured with every `file:line path message`. Without `members` no
    domain is checked; `takes_outside`: a rule may name an address outside them."""
    types, routes = types_file(settings), settings.routes_file
    return routing.make_rulebook(
        types_text=configuration.read_file(types),
        types_name=str(types),
        routes_text=configuration.read_file(routes),
        routes_name=str(routes),
        policy=policy_of(settings, members),
        mailbox_names=frozenset(mailbox.name for mailbox in settings.mailboxes),
        takes_outside=takes_outside,
    )


def types_file(settings: Settings) -> Path:
    assert settings.document_types_file is not None  # made absolute when the settings were loaded
    return settings.document_types_file


class LiveRulebook:
    """Holds the rulebook in force. `refused` counts the changes that were not taken."""

    def __init__(self, settings: Settings, members: LiveMembers) -> None:
        self._settings = settings
        self._members = members
        self._files = (types_file(settings), settings.routes_file)
        self._taken = _stamps(self._files)  # before the first reading: a change during it is seen
        self._current = start_rulebook(settings, members)
        self._tell_strangers()
        self.refused = 0

    def current(self) -> routing.Rulebook:
        return self._current

    def reload(self) -> bool:
        """Take the files as they are now; False when they are wrong (the old rulebook stays in force)."""
        try:
            self._current = load_rulebook(self._settings, self._members.current())
        except Misconfigured as error:
            self.refused += 1
            log.error("rules not taken, the former ones stay in force:\n%s", error.private)
            return False
        log.info("rules taken into use")
        return True

    async def watch(self, stop: asyncio.Event) -> None:
        """Reload on every change of either file, until `stop` or cancelled; once two looks agree, so that no
        half-written file is read. And on every change of the member domains."""
        before = self._taken
        while not stop.is_set():
            stamps = _stamps(self._files)
            if stamps != self._taken and stamps == before:
                self._taken = stamps
                self.reload()
            before, seen_anew = stamps, stamps != self._taken
            if await self._members.take_changed():
                self._current = routing.with_members(self._current, self._members.current())
                self._tell_strangers()
            # For the stop nobody waits: it cancels.
            await asyncio.sleep(CONFIRM_AFTER if seen_anew else LOOK_EVERY)

    def _tell_strangers(self) -> None:
        for line in routing.strangers(self._current):
            log.error("%s: %s; nothing is sent there", self._settings.routes_file.name, line)


def start_rulebook(settings: Settings, members: LiveMembers) -> routing.Rulebook:
    """As a start takes it: where the list is published by others, a change of theirs keeps no hub from starting."""
    return load_rulebook(settings, members.current(), takes_outside=settings.members.is_listed)


def _stamps(files: tuple[Path, ...]) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes when a file is written, or replaced by a rename; None for one that is not there."""
    return tuple(map(_stamp, files))


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        seen = file.stat()
    except OSError:  # an editor is replacing it, or it is gone: reading it will say so
        return None
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
