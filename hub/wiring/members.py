"""The member domains in force: the list that is kept, and those that the site adds; taken into use without restart.

`current()` gives one immutable `Members`, read at the first call. Whoever fetched a new list (this process or another,
on this host or another) has replaced the kept file: `changed` sees that by its stamp, `take` reads it. A kept file that
cannot be read leaves the former members in force.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from functools import partial

from hub.domains import Member, Members, members_of
from hub.settings import Settings
from hub.trust.authorities import igc_sante
from hub.trust.fetching import Fetcher, publisher_context
from hub.trust.members import Refresher
from hub.trust.members_kept import KeptMembers
from hub.trust.signing import load_anchors

log = logging.getLogger("hub.members")

LOOK_EVERY = 2.0  # seconds: one `stat`


class LiveMembers:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.kept = KeptMembers(settings.data_dir / "trust")
        self._taken: tuple[int, int] | None = None
        self._current: Members | None = None

    def current(self) -> Members:
        if self._current is None:
            self.take()
        assert self._current is not None
        return self._current

    def has_changed(self) -> bool:
        if self._current is None or not self._settings.members.is_listed:
            return False
        try:
            return self.kept.stamp() != self._taken
        except OSError:  # the folder is away for now: what is in force stays
            return False

    def take(self) -> None:
        """Read the kept list: 20 ms for 10,000 entries, in a thread where messages are carried."""
        try:
            self._taken = self.kept.stamp() if self._settings.members.is_listed else None
            listed = self._listed()
        except (ValueError, OSError) as error:
            log.error("the kept list of member domains cannot be read: %s", type(error).__name__)
            if self._current is None:
                self._current = Members()
            return
        if not listed and self._settings.members.is_listed:
            self._current = Members()  # none was ever had: nobody is called a stranger for it
        else:
            self._current = Members({**members_of(self._settings.deciding.member_domains).by_name, **listed})

    def _listed(self) -> Mapping[str, Member]:
        return self.kept.members() if self._settings.members.is_listed else {}

    async def take_changed(self) -> bool:
        """Whether there was a new list, which is now in force."""
        if not self.has_changed():
            return False
        await asyncio.to_thread(self.take)
        log.info("member domains taken into use: %d names", len(self.current().by_name))
        return True

    async def watch(self, stop: asyncio.Event) -> None:
        """Take each new list, until `stop` or cancelled."""
        while not stop.is_set():
            await self.take_changed()
            await asyncio.sleep(LOOK_EVERY)


def make_refresher(settings: Settings) -> Refresher:
    anchors = partial(anchors_of, settings)
    return Refresher(
        settings.data_dir / "trust", settings.members, settings.fetching, partial(_fetcher, settings), anchors
    )


def anchors_of(settings: Settings) -> tuple[bytes, ...]:
    """Who may vouch for the server of the list and for its signature (DER). Raises Misconfigured."""
    place = settings.members.ca_file
    return load_anchors(place) if place is not None else igc_sante().anchors


def _fetcher(settings: Settings) -> Fetcher:
    """Raises Misconfigured: the authorities."""
    context: ssl.SSLContext | None = None
    if (settings.members.url or "").startswith("https:"):
        context = publisher_context(anchors_of(settings))
    return Fetcher(settings.fetching, context)
