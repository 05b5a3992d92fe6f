"""The rulebook in force: `routes.yaml` and `document_types.yaml`, loaded whole or not at all, without restart.

`current()` gives one immutable rulebook; a changed file is validated as a whole and swapped in, a wrong one leaves
the old rulebook in force, logs `file:line` and is counted in `refused`. The folder is watched, not the file, so
that an editor's atomic rename is seen (libs.md §9).
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from watchfiles import awatch

from hub import configuration, routing
from hub.errors import Misconfigured
from hub.settings import Settings

log = logging.getLogger("hub.rulebook")


def policy_of(settings: Settings) -> routing.Policy:
    """The mind's view of the settings."""
    deciding = settings.deciding
    return routing.Policy(
        kind_confidence=deciding.kind_confidence,
        qualified_statuses=frozenset(deciding.qualified_statuses),
        birth_place_required=deciding.birth_place_required,
        unknown_previous=deciding.unknown_previous,
        member_domains=frozenset(domain.casefold() for domain in deciding.member_domains),
        own_addresses=frozenset(mailbox.address.casefold() for mailbox in settings.mailboxes),
    )


def load_rulebook(settings: Settings) -> routing.Rulebook:
    """Read and validate both files. Raises Misconfigured with every `file:line path message`."""
    types, routes = types_file(settings), settings.routes_file
    return routing.make_rulebook(
        types_text=configuration.read_file(types),
        types_name=str(types),
        routes_text=configuration.read_file(routes),
        routes_name=str(routes),
        policy=policy_of(settings),
        mailbox_names=frozenset(mailbox.name for mailbox in settings.mailboxes),
    )


def types_file(settings: Settings) -> Path:
    assert settings.document_types_file is not None  # made absolute when the settings were loaded
    return settings.document_types_file


class LiveRulebook:
    """Holds the rulebook in force. `refused` counts the changes that were not taken."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._current = load_rulebook(settings)
        self.refused = 0

    def current(self) -> routing.Rulebook:
        return self._current

    def reload(self) -> bool:
        """Take the files as they are now; False when they are wrong (the old rulebook stays in force)."""
        try:
            self._current = load_rulebook(self._settings)
        except Misconfigured as error:
            self.refused += 1
            log.error("rules not taken, the former ones stay in force:\n%s", error.private)
            return False
        log.info("rules taken into use")
        return True

    async def watch(self, stop: asyncio.Event) -> None:
        """Reload on every change of either file, until `stop`."""
        files = {str(file) for file in (types_file(self._settings), self._settings.routes_file)}
        folders = {os.path.dirname(file) for file in files}
        async for changes in awatch(*folders, stop_event=stop, debounce=200, step=50, recursive=False):
            if files & {path for _, path in changes}:
                self.reload()
