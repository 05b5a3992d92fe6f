"""A `hub.ports.Sender` that keeps what it was given, and fails where a test says so."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hub.ports import DsnAsked, Outgoing
from hub.raw import joined


@dataclass(frozen=True)
class Sent:
    mailbox: str
    sender: str
    recipient: str
    raw: bytes
    ask: DsnAsked | None = None


@dataclass
class RecordingSender:
    """`sent` is what went out, in order. `outcomes` are used up one a call: an exception is raised (the mail counts as
    not sent, except after UncertainDelivery put with `sent_anyway`), a text is the server's last line."""

    sent: list[Sent] = field(default_factory=list)
    outcomes: deque[Exception | str] = field(default_factory=deque)
    sent_anyway: bool = False
    closed: bool = False

    async def send(self, mailbox: str, sender: str, recipient: str, mail: Outgoing, ask: DsnAsked | None = None) -> str:
        outcome = self.outcomes.popleft() if self.outcomes else "250 2.0.0 Ok"
        if isinstance(outcome, str) or self.sent_anyway:
            raw = await joined(mail)
            assert len(raw) == mail.size
            assert raw.isascii() == mail.is_ascii
            self.sent.append(Sent(mailbox, sender, recipient, raw, ask))
        if isinstance(outcome, str):
            return outcome
        raise outcome

    async def close(self) -> None:
        self.closed = True
