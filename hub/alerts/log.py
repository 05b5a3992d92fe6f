"""What the log must be told of the alerts: each one when it begins, at each of its steps, when it ends, and once a day
while it lasts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from hub.alerts.alert import Alert


@dataclass(frozen=True, slots=True)
class Line:
    """`is_urgent`: to be written as an error."""

    text: str
    is_urgent: bool = False


class AlertLog:
    """Remembers what it told, for one process: a new start tells everything that lasts once more."""

    def __init__(self, remind_every: timedelta) -> None:
        self._remind_every = remind_every
        self._told: dict[tuple[str, str], tuple[datetime, int]] = {}

    def lines(self, alerts: Iterable[Alert], at: datetime) -> tuple[Line, ...]:
        now = {(alert.code, alert.subject): alert for alert in alerts}
        lines = [Line(f"alert {_name(key)} ends") for key in self._told if key not in now]
        self._told = {key: told_at for key, told_at in self._told.items() if key in now}
        for key, alert in now.items():
            told_at, step = self._told.get(key, (None, 0))
            if told_at is None:
                lines.append(Line(f"alert {_name(key)} begins: {alert.text}", alert.is_urgent))
            elif alert.step > step:
                lines.append(Line(f"alert {_name(key)} comes nearer: {alert.text}", alert.is_urgent))
            elif abs(at - told_at) >= self._remind_every:  # also when the clock was put back by a year
                lines.append(Line(f"alert {_name(key)} lasts: {alert.text}", alert.is_urgent))
            else:
                continue
            self._told[key] = (at, alert.step)
        return tuple(lines)


def _name(key: tuple[str, str]) -> str:
    code, subject = key
    return f"{code} ({subject})" if subject else code
