"""The Date header as ISO 8601: tolerant, total, without a clock.

`Tue, 3 Mar 2026 09:05:00 +0100` → `2026-03-03T09:05:00+01:00`. No zone, an unknown one or `-0000` (RFC 5322 §3.3:
the zone is not known): no offset in the result. What cannot be a date gives None.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_DATE = re.compile(
    r"(?<![0-9])(\d{1,2})[ .-]+([A-Za-zéûÉÛ]{3,9})\.?[ .,-]+(\d{4}|\d{2})(?![0-9])[ ,T]+"
    r"(\d{1,2})[:.](\d{2})(?:[:.](\d{2}))?\s*([+-]\d{4}|[A-Za-z]{1,4})?"
)
# The first letters of months in English and in French, as writers that ignore RFC 5322 put them.
_MONTHS = (
    ("jan",), ("feb", "fev", "fév"), ("mar",), ("apr", "avr"), ("may", "mai"), ("jun", "juin"), ("jul", "juil"),
    ("aug", "aou", "aoû"), ("sep",), ("oct",), ("nov",), ("dec", "déc"),
)  # fmt: skip
_ZONES = {
    "ut": 0,
    "utc": 0,
    "gmt": 0,
    "z": 0,
    "est": -5,
    "edt": -4,
    "cst": -6,
    "cdt": -5,
    "mst": -7,
    "pst": -8,
    "cet": 1,
    "cest": 2,
}


def read_date(value: str) -> str | None:
    found = _DATE.search(value[:200])
    if found is None:
        return None
    day, name, year, hour, minute, second, zone = found.groups()
    name = name.lower()
    month = next((i for i, names in enumerate(_MONTHS, 1) if name.startswith(names)), None)
    if month is None:
        return None
    full_year = int(year) if len(year) == 4 else int(year) + (2000 if int(year) < 50 else 1900)
    try:
        offset = _zone(zone or "")
        moment = datetime(full_year, month, int(day), int(hour), int(minute), min(int(second or 0), 59), tzinfo=offset)
    except ValueError:
        return None
    return moment.isoformat()


def _zone(zone: str) -> timezone | None:
    """Raises ValueError for an offset of a day or more."""
    if zone[:1] in ("+", "-") and zone != "-0000":
        offset = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:5]))
        return timezone(-offset if zone[0] == "-" else offset)
    return timezone(timedelta(hours=_ZONES[zone.lower()])) if zone.lower() in _ZONES else None
