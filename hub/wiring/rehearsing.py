"""Builds the stage of a rehearsal (`hub.trial.rehearsal`) from the settings: the mailbox's real doors, a real reader.
No database: certificates can be tried while it is away, or before the first start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from hub.errors import Permanent
from hub.message import Verdict
from hub.ports import nobody_told
from hub.raw import Whole
from hub.settings import Mailbox, Settings
from hub.smime import Signer
from hub.smtp.session import look
from hub.trial import Stage
from hub.wiring import letterheads, make_cell, make_sender, new_message_id, now, smtp_route
from hub.wiring.signers import load_signers
from hub.wiring.ways import Ways


@asynccontextmanager
async def staged(settings: Settings, mailbox: Mailbox) -> AsyncIterator[Stage]:
    """Raises Misconfigured (the anchors)."""
    ways = Ways(settings, now)
    sender, cell = make_sender(settings, ways, (mailbox,)), make_cell(settings)
    letterhead = letterheads(settings)(mailbox.name)
    if letterhead is None:
        raise Permanent(f"no mailbox {mailbox.name}")

    async def reach() -> None:
        sending = settings.sending
        within = (sending.connect_timeout.total_seconds(), sending.command_timeout.total_seconds())
        await look(smtp_route(settings, ways, mailbox), *within, nobody_told)

    def signer(at: datetime) -> tuple[Signer | None, tuple[str, ...]]:
        found = load_signers(settings, at, (mailbox,))
        return found.of(mailbox.name, at), found.warnings

    async def judge(raw: bytes, at: datetime) -> Verdict | None:
        return (await cell.read(Whole(raw), received_at=at)).verdict

    try:
        yield Stage(
            imap=ways.imap(mailbox),
            reach=reach,
            sender=sender,
            signer=signer,
            judge=judge,
            letterhead=letterhead,
            new_message_id=new_message_id,
            clock=now,
        )
    finally:
        await sender.close()
        await cell.close()
