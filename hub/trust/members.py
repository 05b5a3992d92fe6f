"""The list of member domains (liste blanche) that is in use: where it comes from, whether a newer one may replace it.

In: what is published at a URL, a copy that somebody put into a file. Out: the last good list, kept in data_dir for
every process of the site, with what was found of its signature. A list that is unreadable, wrongly signed, older than
the one in use or much shorter is refused: the former stays, and the reason is kept for the alerts (RH-88). Nothing
raises but OSError (the disk).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from hub.domains import members_of
from hub.errors import Misconfigured
from hub.settings import Fetching, Membership
from hub.trust.fetching import Answer, Fetcher, FetchFailed
from hub.trust.members_kept import InUse, KeptMembers, Seal, Source
from hub.trust.members_reading import RAW_MOST, ListRefused, MemberList, read_members
from hub.trust.members_signature import signed_part

_AHEAD_MOST = timedelta(days=1)  # for clocks that differ

Outcome = Literal["taken", "same", "refused", "unreachable", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of one source. `code`: why it was refused or not reached; `added` and `removed`: names."""

    source: Source
    outcome: Outcome
    code: str = ""
    detail: str = ""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A list that was read, only what was signed of it if it is, and its signature."""

    listed: MemberList
    seal: Seal
    signer: str = ""


def judge(raw: bytes, wanted: Membership, anchors: Callable[[], tuple[bytes, ...]], at: datetime) -> Judged:
    """Raises ListRefused."""
    listed = read_members(raw)
    if listed.generated_at > at + _AHEAD_MOST:  # once in use, every later one would be older
        raise ListRefused("future")
    if wanted.signature == "off":
        return Judged(listed=listed, seal="unchecked")
    if not listed.is_signed:
        if wanted.signature == "required":
            raise ListRefused("unsigned")
        return Judged(listed=listed, seal="absent")
    try:
        signed = signed_part(raw, anchors(), wanted.signer, at)
    except Misconfigured:
        raise ListRefused("no-anchors") from None
    return Judged(listed=read_members(signed.raw), seal="verified", signer=signed.signer)


class Refresher:
    """Takes newer lists into use. `anchors` are asked for when a signature is judged. One process of a site at a time
    is in `refresh`."""

    def __init__(
        self,
        folder: Path,
        wanted: Membership,
        fetching: Fetching,
        make_fetcher: Callable[[], Fetcher],
        anchors: Callable[[], tuple[bytes, ...]],
    ) -> None:
        self.kept = KeptMembers(folder)
        self._wanted = wanted
        self._fetching = fetching
        self._make_fetcher = make_fetcher
        self._anchors = anchors

    async def refresh(self, at: datetime, *, now: bool = False, accept: bool = False) -> tuple[Tried, ...]:
        """What became of each source that was looked at: those that are due, with `now` all. `accept`: a list that is
        shorter or older is taken too, since a human says so."""
        if not (now or self._may_be_due(at)):
            return ()
        tried: list[Tried] = []
        async with self.kept.list.alone():
            file = self._wanted.file
            if file is not None and (now or self._has_changed(file)):
                tried.append(await asyncio.to_thread(self._from_file, file, at, accept))
            if self._wanted.url is not None and (now or self._is_due(at)):
                tried.append(await self._from_url(self._wanted.url, at, accept))
        return tuple(tried)

    def _may_be_due(self, at: datetime) -> bool:
        """A look without the lock: three `stat` calls."""
        changed = self._wanted.file is not None and self._has_changed(self._wanted.file)
        return changed or (self._wanted.url is not None and self._is_due(at))

    def _is_due(self, at: datetime) -> bool:
        """A copy with a time ahead was left by a clock that has jumped."""
        if not self.kept.list.may_try(at, self._fetching):
            return False
        in_use = self.kept.in_use()
        is_other = in_use is None or in_use.demands != self._demands or in_use.source != "url"
        tried_in_vain = self.kept.list.trouble().failures > 0
        return is_other or tried_in_vain or in_use is None or abs(at - in_use.at) >= self._wanted.every

    @property
    def _demands(self) -> str:
        """Of its signature: a list that was taken under others is looked at again."""
        return f"{self._wanted.signature} {self._wanted.signer or ''}"

    # --- a copy put there by hand

    def _has_changed(self, file: Path) -> bool:
        seen = self.kept.of_file.read()
        return seen is None or seen.raw != self._state_of(file)

    def _state_of(self, file: Path) -> bytes:
        try:
            status = file.stat()
        except OSError:
            return b"absent"
        return f"{status.st_mtime_ns} {status.st_size} {status.st_ino} {self._demands}".encode()

    def _from_file(self, file: Path, at: datetime, accept: bool) -> Tried:
        state = self._state_of(file)
        try:
            tried = self._weighed("file", _read(file), "", at, accept)
        except FileNotFoundError:
            tried = Tried(source="file", outcome="absent")
        except OSError:
            tried = Tried(source="file", outcome="refused", code="unreadable")
        self.kept.of_file.replace(state, at)
        if tried.outcome == "refused":
            self.kept.of_file.failed(tried.code, at, self._fetching)
        return tried

    # --- what is published

    async def _from_url(self, url: str, at: datetime, accept: bool) -> Tried:
        in_use = self.kept.in_use()
        is_same_demand = in_use is not None and in_use.demands == self._demands
        headers = {"if-modified-since": in_use.modified} if in_use and is_same_demand and in_use.modified else {}
        try:
            answer = await self._make_fetcher().get(url, most=RAW_MOST, headers=headers)
        except FetchFailed as error:
            if error.code == "http-304" and headers:
                self.kept.list.still_good(at)
                return Tried(source="url", outcome="same")
            code = error.code
        except Misconfigured:
            code = "no-anchors"
        else:
            return await asyncio.to_thread(self._from_answer, answer, at, accept)
        self.kept.list.failed(code, at, self._fetching)
        return Tried(source="url", outcome="refused" if code == "too-large" else "unreachable", code=code)

    def _from_answer(self, answer: Answer, at: datetime, accept: bool) -> Tried:
        tried = self._weighed("url", answer.raw, answer.headers.get("last-modified", "")[:100], at, accept)
        if tried.outcome == "same":
            self.kept.list.still_good(at)
        elif tried.outcome == "refused":
            self.kept.list.failed(tried.code, at, self._fetching)
        return tried

    # --- both

    def _weighed(self, source: Source, raw: bytes, modified: str, at: datetime, accept: bool) -> Tried:
        """Taken into use, or why not."""
        in_use = self.kept.in_use()
        sha256 = hashlib.sha256(raw).hexdigest()
        is_known = in_use is not None and in_use.sha256 == sha256
        if in_use is not None and is_known and in_use.demands == self._demands and in_use.source in (source, "url"):
            return Tried(source=source, outcome="same")
        try:
            judged = judge(raw, self._wanted, self._anchors, at)
            names = judged.listed.names
            if in_use is not None and not is_known and not accept:
                if source == "file" and judged.listed.generated_at <= in_use.generated_at:
                    return Tried(source=source, outcome="same")  # it served its time
                self._look_back(judged.listed, in_use, len(names))
        except ListRefused as error:
            return Tried(source=source, outcome="refused", code=error.code, detail=error.detail)
        before = self._names_in_use()
        facts = InUse(
            at=at,
            generated_at=judged.listed.generated_at,
            source=source,
            names=len(names),
            entries=len(judged.listed.entries),
            certificates=len(judged.listed.certificates),
            seal=judged.seal,
            signer=judged.signer,
            is_cut=judged.listed.is_cut,
            sha256=sha256,
            modified=modified,
            demands=self._demands,
        )
        self.kept.replace(facts, members_of(judged.listed.entries).by_name)
        added, removed = (tuple(sorted(one)) for one in (names - before, before - names))
        return Tried(source=source, outcome="taken", added=added, removed=removed)

    def _names_in_use(self) -> frozenset[str]:
        try:
            return frozenset(self.kept.members())
        except ValueError:  # somebody wrote into the file
            return frozenset()

    def _look_back(self, listed: MemberList, in_use: InUse, names: int) -> None:
        if listed.generated_at < in_use.generated_at:
            raise ListRefused("older", f"{listed.generated_at:%Y-%m-%d} < {in_use.generated_at:%Y-%m-%d}")
        if names < in_use.names * (100 - self._wanted.shrink_most) / 100:
            raise ListRefused("shrunk", f"{names} < {in_use.names}")


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(RAW_MOST + 1)
