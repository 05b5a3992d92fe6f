"""The large documents of one message while it is carried (`hub.ports.Drafts`): sealed temp files of the blob store."""

from __future__ import annotations

from collections.abc import Callable

from hub.ports import Draft


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

    async def discard(self) -> None:
        for draft in self._all:
            await draft.discard()
