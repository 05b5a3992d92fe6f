"""Keeps the directory's database fresh, from the address of the extraction or from a file that somebody put there.

Nothing is downloaded that has not changed: HEAD tells the name of what is published (mssante.md §10.3), and a whole
download happens once in `every`. One process of the site at a time (`Kept.alone`); a refusal (429, 403) or any failure
is waited out; an extraction that is wrong is remembered and not fetched again. Whatever fails, the last good database
stays in use. Out: `Outcome`. Failures: DiskFailed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from hub.errors import DiskFailed
from hub.ports import Clock
from hub.settings import DirectorySettings, Fetching
from hub.trust.directory.build import Account, build
from hub.trust.directory.extraction import Refused
from hub.trust.directory.index import FILE
from hub.trust.directory.standing import Look, Standings
from hub.trust.fetching import Answer, Fetcher, FetchFailed

BARRED = ("http-429", "http-403")  # the publisher asks us to wait, by hand too
_FILE_NAME = re.compile(r'filename\*?="?(?:UTF-8\'\')?([^";]{1,200})', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`what`: `taken` (a new database), `unchanged`, `not-due`, `waits` (a failure is waited out), `failed`, `off`
    (nothing is set). `code`: why, when it failed or waits."""

    what: Literal["taken", "unchanged", "not-due", "waits", "failed", "off"]
    code: str = ""
    account: Account | None = None


class Refresher:
    def __init__(
        self, settings: DirectorySettings, fetching: Fetching, folder: Path, fetcher: Fetcher, clock: Clock
    ) -> None:
        self._settings = settings
        self._fetching = fetching
        self._fetcher = fetcher
        self._clock = clock
        self._folder = folder
        self._standings = Standings(settings, folder)
        self._kept = self._standings.kept

    def is_due(self) -> bool:
        """Whether there is something to do now; cheap."""
        settings, at = self._settings, self._clock()
        if settings.extraction_file is not None:
            tag = _tag_of_file(settings.extraction_file)
            look = self._standings.look()
            if tag is None:
                return self._standings.account() is None and self._kept.may_try(at, self._fetching)
            if look is not None and look.tag == tag and look.refused:
                return False
            return look is None or look.tag != tag or self._standings.account() is None
        return settings.extraction_url is not None and self._is_old(at) and self._kept.may_try(at, self._fetching)

    async def refresh(
        self, *, by_hand: bool = False, file: Path | None = None, accepts_smaller: bool = False
    ) -> Outcome:
        """`by_hand`: somebody asks for it now; `file`: this extraction, instead of what the settings name. Raises
        DiskFailed, when not even a failure can be written down."""
        try:
            async with self._kept.alone():
                await asyncio.to_thread(self._clean)
                given = file or self._settings.extraction_file
                if given is not None:
                    return await self._from_file(given, by_hand or file is not None, accepts_smaller)
                if self._settings.extraction_url is None:
                    return Outcome("off")
                return await self._from_url(self._settings.extraction_url, by_hand, accepts_smaller)
        except OSError as error:
            raise DiskFailed(f"directory: {type(error).__name__}", errno.errorcode.get(error.errno or 0, "?")) from None

    # --- where it comes from

    async def _from_file(self, file: Path, by_hand: bool, accepts_smaller: bool) -> Outcome:
        tag, look = _tag_of_file(file), self._standings.look()
        if tag is None:
            return self._failed("no-file")
        if not by_hand and look is not None and look.tag == tag:
            if look.refused:
                return Outcome("waits", look.refused)
            if self._standings.account() is not None:
                return Outcome("unchanged")
        return await self._take(file, tag, accepts_smaller)

    async def _from_url(self, url: str, by_hand: bool, accepts_smaller: bool) -> Outcome:
        at = self._clock()
        trouble = self._kept.trouble()
        if not by_hand and not self._is_old(at):
            return Outcome("not-due")
        if (not by_hand or trouble.code in BARRED) and not self._kept.may_try(at, self._fetching):
            return Outcome("waits", trouble.code)
        try:
            tag = _tag_of(await self._fetcher.head(url))
            look = self._standings.look()
            if look is not None and tag and tag == look.tag:
                if look.refused and not accepts_smaller:
                    return self._failed(look.refused)
                if not look.refused and self._standings.account() is not None:
                    self._kept.still_good(at)
                    return Outcome("unchanged")
            if look is not None and look.refused and not by_hand and abs(at - look.at) < self._settings.every:
                return self._failed(look.refused)  # another one is there now, and one download a day is enough
            return await self._download(url, tag, accepts_smaller)
        except FetchFailed as error:
            self._kept.failed(error.code, at, self._fetching, error.retry_in)
            return Outcome("failed", error.code)

    async def _download(self, url: str, tag: str, accepts_smaller: bool) -> Outcome:
        settings, draft = self._settings, self._kept.draft()
        within = settings.download_within.total_seconds()
        try:
            try:
                answer = await self._fetcher.download(url, draft, most=settings.download_most, within=within)
            except OSError as error:
                return self._failed(_disk(error))
            return await self._take(draft, _tag_of(answer) or tag, accepts_smaller)
        finally:
            draft.unlink(missing_ok=True)

    # --- taking it

    async def _take(self, extraction: Path, tag: str, accepts_smaller: bool) -> Outcome:
        """Build the new database and put it in the place of the old one."""
        at, draft = self._clock(), self._kept.draft()
        former = self._kept.path if self._standings.account() is not None else None
        try:
            account = await asyncio.to_thread(
                build,
                extraction,
                draft,
                former=former,
                at=at,
                settings=self._settings,
                accepts_smaller=accepts_smaller,
            )
            await asyncio.to_thread(_flush, draft)
        except Refused as refused:
            self._standings.note(Look(tag, at, refused.code))
            return self._failed(refused.code)
        except (OSError, sqlite3.Error) as error:
            draft.unlink(missing_ok=True)
            return self._failed(_disk(error))
        self._kept.replace_by(draft, at)
        self._standings.note(Look(tag, at))
        return Outcome("taken", account=account)

    def _failed(self, code: str) -> Outcome:
        self._kept.failed(code, self._clock(), self._fetching)
        return Outcome("failed", code)

    def _is_old(self, at: datetime) -> bool:
        """A time ahead was left by a clock that has been put back."""
        looked = self._kept.fetched_at()
        return looked is None or abs(at - looked) >= self._settings.every or self._standings.account() is None

    def _clean(self) -> None:
        """What a crash left behind, before it fills the disk."""
        for left in self._folder.glob(f"{FILE}.*.new"):
            left.unlink(missing_ok=True)


def _tag_of(answer: Answer) -> str:
    """What tells one published extraction from the next: its name; for want of one its mark or its date."""
    name = _FILE_NAME.search(answer.headers.get("content-disposition", ""))
    return name[1].strip() if name else answer.headers.get("etag", answer.headers.get("last-modified", ""))


def _tag_of_file(file: Path) -> str | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return f"file {status.st_size} {status.st_mtime_ns}"


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _disk(error: Exception) -> str:
    return f"disk-{errno.errorcode.get(error.errno or 0, '?').lower()}" if isinstance(error, OSError) else "disk"
