"""The last good copy of what was fetched, shared by all processes and hosts of a site through `data_dir`.

`Kept` is one such file: `read` gives it with the time of its fetching, `replace` puts a new one in its place whole
(a crash leaves the old one or the new one), `alone` lets one process at a time fetch it, and `failed` remembers that it
could not be had, so that no process asks before `may_try` (back-off, doubling). Failures: OSError of the disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.settings import Fetching

_LOOK_EVERY = 0.05  # seconds between two looks at a lock that another process holds


@dataclass(frozen=True, slots=True)
class Copy:
    """`fetched_at`: when it came (aware UTC), from the file's own time."""

    fetched_at: datetime
    raw: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Trouble:
    """How often in a row it could not be had, why the last time (a code), since when, and until when nobody asks."""

    failures: int = 0
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None


class Kept:
    """`name` becomes a file name of `folder`: letters, digits, `.`, `-` and `_`."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / name
        self._trouble_file = folder / f"{name}.trouble"
        self._lock_file = folder / f"{name}.lock"

    def stamp(self) -> tuple[int, int] | None:
        """Changes when the copy does; None: there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino

    def fetched_at(self) -> datetime | None:
        """When the copy came, or was found to be good still; None: there is none."""
        stamp = self.stamp()
        return None if stamp is None else datetime.fromtimestamp(stamp[0] / 1e9, UTC)

    def read(self) -> Copy | None:
        try:
            with self.path.open("rb") as file:
                seconds = os.fstat(file.fileno()).st_mtime
                return Copy(datetime.fromtimestamp(seconds, UTC), file.read())
        except FileNotFoundError:
            return None

    def replace(self, raw: bytes, at: datetime) -> None:
        """`at` (aware): when it was fetched. Forgets all trouble."""
        self.replace_by(self._drafted(raw), at)

    def _drafted(self, raw: bytes) -> Path:
        """On a disk that takes nothing no draft is left: one would come for each try."""
        draft = self.draft()
        try:
            with draft.open("xb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        return draft

    def draft(self) -> Path:
        """A path for a new copy, in the same folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.new")

    def replace_by(self, draft: Path, at: datetime) -> None:
        """The same with a file that is written already, and flushed; it is moved."""
        os.utime(draft, (at.timestamp(), at.timestamp()))
        draft.replace(self.path)
        self.recovered()

    def still_good(self, at: datetime) -> None:
        """It was asked for again and has not changed."""
        os.utime(self.path, (at.timestamp(), at.timestamp()))
        self.recovered()

    def recovered(self) -> None:
        """Forget all trouble."""
        self._trouble_file.unlink(missing_ok=True)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """While it lasts no other process, and no other task of this one, is in here for the same file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while not _is_taken(descriptor):  # noqa: ASYNC110  (another process lets go, no event of ours)
                await asyncio.sleep(_LOOK_EVERY)
            yield
        finally:
            os.close(descriptor)  # which gives the lock back

    def trouble(self) -> Trouble:
        try:
            told = json.loads(self._trouble_file.read_bytes())
            return Trouble(
                int(told["failures"]),
                str(told["code"]),
                datetime.fromisoformat(told["since"]),
                datetime.fromisoformat(told["until"]),
            )
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return Trouble()

    def may_try(self, at: datetime, fetching: Fetching) -> bool:
        """Whether it may be asked for now. A wait longer than any of ours was left by a clock that has jumped."""
        until = self.trouble().until
        return until is None or at >= until or until - at > fetching.backoff_most

    def failed(self, code: str, at: datetime, fetching: Fetching, asked: timedelta | None = None) -> Trouble:
        """Remember a failure: nobody asks again before a wait that doubles, nor before the one that we were `asked` for
        (never more than the longest of ours)."""
        before = self.trouble()
        doubled: timedelta = fetching.backoff_first * 2 ** min(before.failures, 20)
        wait = min(fetching.backoff_most, max(doubled, asked or timedelta(0)))
        trouble = Trouble(before.failures + 1, code, before.since or at, at + wait)
        told = {
            "failures": trouble.failures,
            "code": code,
            "since": (trouble.since or at).isoformat(),
            "until": (at + wait).isoformat(),
        }
        self._drafted(json.dumps(told).encode("ascii")).replace(self._trouble_file)
        return trouble


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
