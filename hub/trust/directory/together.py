"""Several directories asked as one: the extraction, the API, the site's own address book.

A question flows in, one answer flows out: an address stands in it once, as its nearest source has it. A source that is
away is named in the answer and harms nobody; all others answer all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from hub.directory import Away, Entry, Found, Known, Source, Wanted, joined, known_of
from hub.errors import HubError
from hub.ports import Directory


class Together:
    def __init__(self, sources: Mapping[Source, Directory]) -> None:
        self._sources = sources

    async def find(self, wanted: Wanted) -> Found:
        """Never raises what a source raises."""
        asked = [self._find(name, source, wanted) for name, source in self._sources.items()]
        return joined(wanted, await asyncio.gather(*asked))

    async def at(self, address: str) -> tuple[tuple[Entry, ...], tuple[Away, ...]]:
        """What each source has of an address, and which sources are away."""
        told = await asyncio.gather(*(self._at(name, source, address) for name, source in self._sources.items()))
        entries = tuple(one for one in told if isinstance(one, Entry))
        return entries, tuple(one for one in told if isinstance(one, Away))

    async def known(self, address: str) -> Known:
        """What is known of an address, by whoever can be asked now."""
        entries, _ = await self.at(address)
        return known_of(address, entries)

    async def _find(self, name: Source, source: Directory, wanted: Wanted) -> Found:
        try:
            return await source.find(wanted)
        except HubError as error:
            return Found(away=(_away(name, error),))

    async def _at(self, name: Source, source: Directory, address: str) -> Entry | Away | None:
        try:
            return await source.at(address)
        except HubError as error:
            return _away(name, error)


def _away(name: Source, error: HubError) -> Away:
    return Away(name, getattr(error, "code", "") or type(error).__name__.lower())
