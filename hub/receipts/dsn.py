"""Reads the `message/delivery-status` part of a bounce (RFC 3464).

A bounce about several recipients becomes one Report that has them all (`recipients`); its own fields are those of the
worst of them (failed, then delayed, then the others). Diagnostic texts are not kept, they quote addresses; the reply
code is.
"""

from __future__ import annotations

import re

from hub.message import Report, Reported
from hub.receipts.fields import Group, address_of, first, groups_of, message_id_of

_RECIPIENT_FIELDS = frozenset({"final-recipient", "original-recipient", "action", "status"})
RECIPIENTS_MOST = 200  # of one bounce; a mail of ours has some tens
_ACTIONS = ("failed", "delayed", "relayed", "delivered", "expanded")  # the worst first
# Whole words only: three digits stand in most Message-IDs, which bounces quote.
_STATUS = re.compile(r"(?<![\w.@-])(?:[245][0-9]{2}-)?([245]\.[0-9]{1,3}\.[0-9]{1,3})(?![\w.@])")
_REPLY = re.compile(r"(?<![\w.@-])([245][0-9]{2})(?![\w.@])")


def read_dsn(raw_fields: bytes) -> Report:
    """What a bounce says. `raw_fields` is the decoded body of the message/delivery-status part.

    `error` is the SMTP reply code of the diagnostic (`550`), else the class of the status (`5`); None for success
    (class 2). Never raises.
    """
    groups = groups_of(raw_fields)
    everything: Group = [field for group in groups for field in group]
    recipients = tuple(_reported(group) for group in _recipients(groups)[:RECIPIENTS_MOST])
    worst = min(recipients, key=_badness, default=_reported(everything))
    return Report(
        form="dsn",
        original_message_id=message_id_of(first(everything, "original-message-id", "x-original-message-id")),
        original_envelope_id=first(everything, "original-envelope-id"),
        final_recipient=worst.final_recipient,
        original_recipient=worst.original_recipient,
        action=worst.action,
        status=worst.status,
        error=worst.error,
        recipients=recipients,
    )


def _reported(group: Group) -> Reported:
    diagnostic = first(group, "diagnostic-code")
    status = enhanced_in(first(group, "status")) or enhanced_in(diagnostic)
    return Reported(
        final_recipient=address_of(first(group, "final-recipient")),
        original_recipient=address_of(first(group, "original-recipient")),
        action=_action(group),
        status=status,
        error=_error(reply_in(diagnostic), status),
    )


def enhanced_in(text: str | None) -> str | None:
    """The first enhanced status code (RFC 3463) that stands in a text."""
    return _found(_STATUS, text)


def reply_in(text: str | None) -> str | None:
    """The first SMTP reply code that stands in a text."""
    return _found(_REPLY, text)


def _error(reply: str | None, status: str | None) -> str | None:
    found = reply or (status[0] if status else None)
    return found if found and found[0] != "2" else None


def _recipients(groups: list[Group]) -> list[Group]:
    """The groups that speak of a recipient; a second `Final-Recipient` in a group starts another (blank line lost)."""
    found: list[Group] = []
    for group in groups:
        here: Group = []
        for name, value in group:
            if name == "final-recipient" and first(here, "final-recipient"):
                found.append(here)
                here = []
            here.append((name, value))
        found.append(here)
    return [group for group in found if any(name in _RECIPIENT_FIELDS for name, _ in group)]


def _badness(one: Reported) -> int:
    return _ACTIONS.index(one.action) if one.action in _ACTIONS else len(_ACTIONS)


def _action(group: Group) -> str | None:
    words = re.findall(r"[a-z]+", (first(group, "action") or "").lower())
    return next((word for word in words if word in _ACTIONS), words[0] if words else None)


def _found(form: re.Pattern[str], text: str | None) -> str | None:
    match = form.search(text or "")
    return match[1] if match else None
