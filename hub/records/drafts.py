"""The large documents of one message while it is carried (`hub.ports.Drafts`): sealed temp files of the blob store, or
in memory when they are needed at once."""

from __future__ import annotations

from collections.abc import Callable

from hub.errors import Temporary
from hub.ports import Draft, StoredBlob


class BlobDrafts:
    def __init__(self, new_draft: Callable[[], Draft]) -> None:
        self._new_draft = new_draft
        self._all: list[Draft] = []
        self._by_digest: dict[str, Draft] = {}

    def begin(self, sha256: str) -> Draft:
        draft = self._new_draft()
        self._all.append(draft)
        self._by_digest[sha256] = draft
        return draft

    def of(self, sha256: str) -> Draft | None:
        return self._by_digest.get(sha256)

    def held(self, sha256: str) -> bytes | None:
        return None

    async def discard(self) -> None:
        for draft in self._all:
            await draft.discard()


class HeldDrafts:
    """Never filed: what is submitted is a document of ours, whose record is elsewhere."""

    def __init__(self) -> None:
        self._by_digest: dict[str, HeldDraft] = {}

    def begin(self, sha256: str) -> HeldDraft:
        self._by_digest[sha256] = draft = HeldDraft()
        return draft

    def of(self, sha256: str) -> Draft | None:
        return None

    def held(self, sha256: str) -> bytes | None:
        draft = self._by_digest.get(sha256)
        return None if draft is None else bytes(draft.raw)

    async def discard(self) -> None:
        self._by_digest.clear()


class HeldDraft:
    def __init__(self) -> None:
        self.size = 0
        self.raw = bytearray()

    async def write(self, piece: bytes) -> None:
        self.size += len(piece)
        self.raw += piece

    async def finish(self) -> StoredBlob:
        raise Temporary("a document held in memory is no blob")

    async def discard(self) -> None:
        self.raw.clear()
