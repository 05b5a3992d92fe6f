"""Where the directory of a site stands: what was imported, what came last, what goes wrong. Read from `data_dir/trust`,
by whoever refreshes it and whoever tells people about it. Failures: OSError of the disk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from hub.settings import DirectorySettings
from hub.trust.directory.build import Account
from hub.trust.directory.index import FILE, DirectoryAway, ExtractionIndex
from hub.trust.kept import Kept, Trouble


@dataclass(frozen=True, slots=True)
class DirectoryStanding:
    """`is_set`: something is to be fetched or imported; `account` None: nothing is there yet; `checked_at`: when it was
    last known to be what is published."""

    is_set: bool
    account: Account | None = None
    trouble: Trouble = field(default_factory=Trouble)
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The last extraction that came. `tag` tells it from others; `at`: when it came; `refused`: why it was not
    taken."""

    tag: str
    at: datetime
    refused: str = ""


class Standings:
    def __init__(self, settings: DirectorySettings, folder: Path) -> None:
        self.kept = Kept(folder, FILE)
        self._looks = Kept(folder, "directory-look.json")
        self._is_set = settings.extraction_url is not None or settings.extraction_file is not None
        self._index = ExtractionIndex(folder)

    def now(self) -> DirectoryStanding:
        """Never raises: a folder that cannot be read is trouble of the disk."""
        try:
            return DirectoryStanding(self._is_set, self.account(), self.kept.trouble(), self.kept.fetched_at())
        except OSError:
            return DirectoryStanding(self._is_set, None, Trouble(1, "disk"))

    def account(self) -> Account | None:
        """None: nothing that can be read."""
        try:
            return self._index.account()
        except DirectoryAway:
            return None

    def look(self) -> Look | None:
        copy = self._looks.read()
        try:
            told = json.loads(copy.raw) if copy is not None else None
            return None if told is None else Look(told["tag"], datetime.fromisoformat(told["at"]), told["refused"])
        except (ValueError, KeyError, TypeError):
            return None

    def note(self, look: Look) -> None:
        told = {"tag": look.tag, "at": look.at.isoformat(), "refused": look.refused}
        self._looks.replace(json.dumps(told).encode("utf-8"), look.at)
