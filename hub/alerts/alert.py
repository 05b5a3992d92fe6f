"""What an alert is, and how its moments are written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from hub.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """`code` is stable, for monitoring; `subject` what it is about, "" for the whole hub. `is_urgent`: something does
    not work now; else something will not work soon. `step` grows while it lasts, as what it announces comes nearer:
    each step is told anew."""

    code: str
    text: str
    is_urgent: bool = True
    subject: str = ""
    since: datetime | None = None
    step: int = 0


def when(at: datetime, settings: Settings) -> str:
    """The site's local time, to the minute."""
    return at.astimezone(ZoneInfo(settings.site.timezone)).strftime("%d/%m/%Y à %H:%M")


def day(at: datetime, settings: Settings) -> str:
    """The site's local day."""
    return at.astimezone(ZoneInfo(settings.site.timezone)).strftime("%d/%m/%Y")
