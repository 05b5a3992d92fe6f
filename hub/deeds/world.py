"""What a deed works with: the world as the hub has it (`Hub`), and the message under way (`Carriage`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from hub import compose, routing, smime
from hub.cda import Codes
from hub.message import Envelope, ParsedMessage
from hub.pdf import Archived
from hub.ports import Blobs, Clock, Drafts, Reader, Records, Sender, Spool
from hub.raw import Raw
from hub.sentcopies import SentCopies


class Papers(Protocol):
    """Opens a PDF that somebody sent, out of harm's way, for its copy (`hub.pdf.archival`)."""

    async def archival(self, raw: bytes, at: datetime) -> Archived:
        """Never raises for what the PDF holds: one that kills its process is given back as it is, with the reason.
        Raises Temporary when no process can be started."""
        ...


@dataclass(frozen=True, kw_only=True)
class Hub:
    """All that the story needs from the world. Built by `hub.wiring`, by fakes in tests."""

    spool: Spool
    records: Records
    blobs: Blobs
    reader: Reader
    papers: Papers
    sender: Sender
    copies: SentCopies
    rulebook: Callable[[], routing.Rulebook]
    letterhead: Callable[[str | None], compose.Letterhead | None]
    writing_as: Callable[[str | None], compose.WritingAs | None]
    signer: Callable[[str | None, datetime], smime.Signer | None]  # who signs what leaves a mailbox, if anybody
    codes: Codes
    new_message_id: Callable[[str], str]  # for an address of ours: `<random@its-domain>`
    clock: Clock
    retry_in: Callable[[int], timedelta]  # after so many attempts
    lease: timedelta
    order_grace: timedelta
    evidence_within: timedelta  # how long an uncertain delivery waits for a sign that it arrived
    message_most: int  # bytes; a larger message goes before a human unread
    receipt_return_path: Callable[[str], str]  # the MAIL FROM of a receipt, from our address


@dataclass(frozen=True, slots=True)
class Carriage:
    """One message under way: what the wire said of it, its bytes, what the reader understood, and where its large
    documents wait."""

    envelope: Envelope
    raw: Raw
    parsed: ParsedMessage
    drafts: Drafts
