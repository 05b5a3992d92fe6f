"""How far a watcher is: the far-end marks from which `hub status`, the ledger and alerts are made.

A watcher that is alive proves nothing (complaints.md, row 1): what counts is `compared_at`, the last time that the
folder was compared with the spool to the end. Codes and numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WatcherState(StrEnum):
    STOPPED = "stopped"
    CONNECTING = "connecting"
    COMPARING = "comparing"  # listing, fetching, accepting, marking
    WAITING = "waiting"  # in IDLE, or between two polls
    BACKING_OFF = "backing-off"


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message that is in the folder and not in the spool, and why: `too-large`, or the code of its last failure.

    It is tried again at each poll and after each restart: the cursor stays behind the oldest one."""

    uid: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One moment of a watcher. `last_uid` is the highest UID met in epoch `uidvalidity`; `accepted` counts new
    messages since the start; `failures` counts connections lost since the last whole comparison; `unmarked` are
    accepted messages whose mark is not verified, `mark_error` why (empty: they are being marked)."""

    state: WatcherState = WatcherState.STOPPED
    compared_at: datetime | None = None
    uidvalidity: int | None = None
    last_uid: int = 0
    accepted: int = 0
    failures: int = 0
    last_error: str = ""
    failed_at: datetime | None = None
    skipped: tuple[Skipped, ...] = ()
    unmarked: int = 0
    mark_error: str = ""
