"""HL7 times (`20210401134745+0100`, cut short at will) as ISO 8601 and as intervals that can be compared.

A time without a zone may stand anywhere on earth: its interval is widened to UTC-12…UTC+14. A mere day is taken for the
day in UTC or in Paris. So two times are said to differ only when no reading makes them agree. What is not a time is
None; nothing raises.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

KEPT_MOST = 40  # characters of a time whose reading is kept: a document states one time in several places
_ISO = re.compile(r"\d{4}-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?", re.ASCII)
_TIME = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d+)?)?)?)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_DAY = re.compile(r"\d{4,8}", re.ASCII)
_EAST, _WEST, _PARIS = timedelta(hours=14), timedelta(hours=12), timedelta(hours=2)
_CUTS = {1: 4, 2: 7, 3: 10, 6: 19}  # characters of an ISO time, by how many of its parts were stated
_LENGTHS = {4: timedelta(hours=1), 5: timedelta(minutes=1), 6: timedelta(seconds=1)}


@dataclass(frozen=True, slots=True)
class Moment:
    """A stated time: ISO 8601 text (UTC with `Z` when `zoned`, else local and cut as stated), and the UTC interval
    in which it lies."""

    iso: str
    zoned: bool
    start: datetime
    end: datetime

    def agrees_with(self, other: Moment) -> bool:
        if not self.zoned and not other.zoned:  # two local times: as far as both go
            return self.iso.startswith(other.iso) or other.iso.startswith(self.iso)
        return self.start < other.end and other.start < self.end


def read_moment(value: str | None, utc: bool = False) -> Moment | None:
    """The time that an HL7 value states. `utc`: a time of day without zone is UTC (XDS metadata, ITI TF-3 4.2.3)."""
    if not value:
        return None
    return (_read_before if len(value) <= KEPT_MOST else _read)(value, utc)


def _read(value: str, utc: bool) -> Moment | None:
    match = _TIME.fullmatch(_as_hl7(value))
    if match is None:
        return None
    parts = [int(part) for part in match.groups()[:6] if part is not None]
    try:
        return _moment(parts, match[7], utc)
    except (ValueError, OverflowError):  # the 31st of February, the year 0, the edge of the calendar
        return None


_read_before = lru_cache(maxsize=64)(_read)


def _as_hl7(value: str) -> str:
    """A value as HL7 writes it; careless programs write ISO 8601 (`2026-03-01T10:15:00+01:00`)."""
    written = value.strip()
    if written[4:5] != "-" or _ISO.fullmatch(written) is None:
        return written
    return written[:10].replace("-", "") + written[10:].replace("T", "", 1).replace(":", "")


def _moment(parts: list[int], zone: str | None, utc: bool) -> Moment | None:
    year, month, day, hour, minute, second = (parts + [1, 1, 0, 0, 0][len(parts) - 1 :])[:6]
    start = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    precision = len(parts)
    timed = precision > 3
    if timed and (zone or utc):
        start -= _offset(zone)
        return Moment(f"{_iso(start, precision)}Z", True, start, start + _LENGTHS[precision])
    if timed:
        return Moment(_iso(start, precision), False, start - _EAST, start + _LENGTHS[precision] + _WEST)
    return Moment(_iso(start, precision), False, start - _PARIS, _next(start, precision))


def _offset(zone: str | None) -> timedelta:
    if zone is None or zone == "Z":
        return timedelta()
    digits = zone[1:].replace(":", "")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return -size if zone[0] == "-" else size


def _next(start: datetime, precision: int) -> datetime:
    if precision == 1:
        return start.replace(year=start.year + 1)
    if precision == 2:
        return (start + timedelta(days=31)).replace(day=1)
    return start + timedelta(days=1)


def _iso(moment: datetime, precision: int) -> str:
    return moment.isoformat()[: _CUTS.get(precision, 16)]


def read_day(value: str | None) -> str | None:
    """The ISO date at the head of a value (`19790328…` gives `1979-03-28`), cut short when it states no more; zeros for
    an unknown month or day (`19790000`) count as not stated."""
    digits = _DAY.match(_as_hl7(value)) if value else None
    if digits is None:
        return None
    text = digits[0]
    year, month, day = text[:4], text[4:6].replace("00", ""), text[6:8].replace("00", "")
    try:
        date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        return None
    return "-".join([year, *([month] if len(month) == 2 else []), *([day] if len(month) == len(day) == 2 else [])])
