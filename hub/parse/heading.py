"""What a door must know of a mail before it is accepted: whom it says it is from, and its Message-ID.

Read by the same scanner as the whole mail later, so that the door and the trip never see two different authors.
"""

from __future__ import annotations

from dataclasses import dataclass

from hub.message import Limits
from hub.parse.addresses import read_addresses
from hub.parse.doubts import Doubts
from hub.parse.headers import first_line, read_block


@dataclass(frozen=True, slots=True)
class Heading:
    """`author` is the one address of the one From header; None when there is none, or more than one, or one that can be
    read in two ways. `message_id` as found, stripped; None without one."""

    author: str | None
    message_id: str | None


def read_heading(block: bytes, limits: Limits) -> Heading:
    """`block` is the head of a mail, with the blank line that ends it when there is one."""
    doubts = Doubts()
    headers = read_block(block, first_line(block, 0, len(block)), len(block), limits, doubts, "")
    fields = headers.every("from")
    found = read_addresses(fields[0], doubts, "from") if len(fields) == 1 else ()
    codes = {defect.code for defect in doubts.all()}
    is_clear = len(found) == 1 and not codes & {"bad-address", "ambiguous-structure", "header-block-too-large"}
    message_id = (headers.first("message-id") or b"").decode("latin-1").strip()
    return Heading(found[0].address if is_clear else None, message_id or None)
