"""What a sysadmin must be told: ONE list, made in one place from settings, facts and the time.

`gather` reads the facts at the far end (what reached the database, certificates on disk), `alerts_of` is the pure rule
that makes the list, `AlertLog` says what the log must be told of it. `hub status`, the log of `hub serve`, `/health`
and `/metrics` all show this list. A database that is away is itself an alert (`database_away`).
"""

from __future__ import annotations

from hub.alerts.alert import Alert, day, when
from hub.alerts.certificates import of_certificates
from hub.alerts.directory import directory_cause_of
from hub.alerts.dns import Stale
from hub.alerts.facts import Facts, Gatherer
from hub.alerts.log import AlertLog
from hub.alerts.rules import CODES, alerts_of, database_away, database_full

__all__ = [
    "CODES",
    "Alert",
    "AlertLog",
    "Facts",
    "Gatherer",
    "Stale",
    "alerts_of",
    "database_away",
    "database_full",
    "day",
    "directory_cause_of",
    "of_certificates",
    "when",
]
