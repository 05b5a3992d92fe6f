"""The reader, and what it cannot know: whether the certificate of a mail's signer was revoked.

The reader's child is pure and has no lists. So its verdict is completed here, before anybody sees it, from the list
that the settings name for the signer's authority (`trust.points`). No list that counts: the verdict says that nobody
looked; a mail that came in is never held up for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from hub.errors import DiskFailed
from hub.message import ParsedMessage, Verdict
from hub.ports import Clock, Drafts, Reader
from hub.raw import Raw
from hub.smime.revoked import question_of, with_answer
from hub.trust.authorities import fingerprint

if TYPE_CHECKING:
    from hub.trust.revocation import Revocation

PATIENCE = 20.0  # seconds that a mail waits for a list that is not there yet


class CompletingReader:
    """A `hub.ports.Reader`. `authorities`: DER, those that may vouch for signers."""

    def __init__(self, reader: Reader, authorities: Iterable[bytes], revocation: Revocation, clock: Clock) -> None:
        self._reader = reader
        # Those whose lists the settings name: of the others nobody can be asked.
        self._authorities = {fingerprint(raw): raw for raw in authorities if revocation.has_lists_of(raw)}
        self._revocation = revocation
        self._clock = clock

    async def read(
        self,
        raw: Raw,
        words_for: frozenset[str] | None = None,
        drafts: Drafts | None = None,
        received_at: datetime | None = None,
        clues: bool = False,
    ) -> ParsedMessage:
        parsed = await self._reader.read(raw, words_for, drafts, received_at, clues)
        if parsed.verdict is None:
            return parsed
        verdict = await self._completed(parsed.verdict)
        return parsed if verdict is parsed.verdict else replace(parsed, verdict=verdict)

    async def _completed(self, verdict: Verdict) -> Verdict:
        question = question_of(verdict)
        issuer = self._authorities.get(question.issuer) if question is not None else None
        if question is None or issuer is None:
            return verdict
        try:
            async with asyncio.timeout(PATIENCE):
                is_revoked = await self._revocation.is_listed(question.serial, issuer, self._clock())
        except (TimeoutError, DiskFailed):
            return verdict
        return verdict if is_revoked is None else with_answer(verdict, is_revoked)
