"""A `hub.ports.Filer` in memory. `folders` maps (mailbox, folder) to the mails in it, by Message-ID, in order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from hub.raw import Raw, joined


@dataclass(frozen=True)
class Filed:
    message_id: str
    at: datetime
    raw: bytes


@dataclass
class MemoryFiler:
    """`failures` are raised first, one a call, whatever is asked. `cuts` are raised once a mail is filed: its answer
    was lost."""

    folders: dict[tuple[str, str], list[Filed]] = field(default_factory=dict)
    failures: deque[Exception] = field(default_factory=deque)
    cuts: deque[Exception] = field(default_factory=deque)
    calls: int = 0

    async def file(self, mailbox: str, folder: str, mail: Raw, message_id: str, at: datetime) -> str:
        self._meet()
        if self._named(mailbox, folder, message_id):
            return "already there"
        raw = await joined(mail)
        assert len(raw) == mail.size
        self.put(mailbox, folder, Filed(message_id, at, raw))
        if self.cuts:
            raise self.cuts.popleft()
        return "filed"

    async def holds(self, mailbox: str, folder: str, message_id: str, at: datetime) -> bool:
        self._meet()
        return bool(self._named(mailbox, folder, message_id))

    async def close(self) -> None:
        """Nothing is open."""

    def put(self, mailbox: str, folder: str, filed: Filed) -> None:
        self.folders.setdefault((mailbox, folder), []).append(filed)

    def _named(self, mailbox: str, folder: str, message_id: str) -> list[Filed]:
        return [one for one in self.folders.get((mailbox, folder), []) if one.message_id == message_id]

    def _meet(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.popleft()
