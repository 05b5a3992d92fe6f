"""Dates of birth as people write them in a line of French: `12/03/2012`, `12.3.2012`, `2012-03-12`, `12 mars 2012`,
`1er mai 2012`, `12/03/12`.

Text in, the places of all dates out, each with what it can be read as (two digits of a year leave two centuries). And
the dates that one slip of the pen makes of a date, to find whoever is nearly meant. Pure; every pattern is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

FIRST_YEAR, LAST_YEAR = 1900, 2099

_MONTHS = (
    r"janv(?:ier)?|f[eé]v(?:r(?:ier)?)?|mars|avr(?:il)?|mai|juin|juil(?:let)?|ao[uû]t|sept(?:embre)?|oct(?:obre)?"
    r"|nov(?:embre)?|d[eé]c(?:embre)?"
)
_BEGINNINGS = ("jan", "fev", "mar", "avr", "mai", "juin", "juil", "aou", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?<![\w/.-])(?:"
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"|(?P<day2>\d{1,2})(?P<sep>[/.-])(?P<month2>\d{1,2})(?P=sep)(?P<year2>\d{4}|\d{2})"
    rf"|(?P<day3>\d{{1,2}})(?:er)?[ \u00a0]{{1,3}}(?P<month3>{_MONTHS})\.?[ \u00a0]{{1,3}}(?P<year3>\d{{4}})"
    r")(?![\w/-])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class DateFound:
    """A date at `start` to `end` (excluded) of the text. `readings` are ISO, one of them or two."""

    start: int
    end: int
    readings: tuple[str, ...]


def dates_in(text: str) -> list[DateFound]:
    """Every date of the calendar in the text, in order."""
    return [found for match in _DATE.finditer(text) if (found := _read(match)) is not None]


def _read(match: re.Match[str]) -> DateFound | None:
    given = match.groupdict()
    year = given["year"] or given["year2"] or given["year3"]
    month = given["month"] or given["month2"] or _number_of(given["month3"])
    day = given["day"] or given["day2"] or given["day3"]
    years = [year] if len(year) == 4 else [f"19{year}", f"20{year}"]
    readings = [iso for one in years if (iso := iso_date(int(one), int(month), int(day))) is not None]
    return DateFound(match.start(), match.end(), tuple(readings)) if readings else None


def _number_of(month: str) -> str:
    plain = month.lower().replace("é", "e").replace("û", "u")
    return str(next(n for n, beginning in enumerate(_BEGINNINGS, 1) if plain.startswith(beginning)))


def iso_date(year: int, month: int, day: int) -> str | None:
    """None when there is no such day, or nobody was born then."""
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def iso_of(text: str) -> str | None:
    """The date that the whole text is, None when it is none or leaves two centuries."""
    found = dates_in(text.strip())
    if len(found) != 1 or len(found[0].readings) != 1 or (found[0].start, found[0].end) != (0, len(text.strip())):
        return None
    return found[0].readings[0]


def near_dates(iso: str) -> tuple[str, ...]:
    """The dates of the calendar that one wrong digit, two digits swapped, or day and month swapped make of it; also the
    date cut short, as a record may know it."""
    slips = {iso[:4] + "-" + iso[8:10] + "-" + iso[5:7], *_one_digit_wrong(iso), *_two_digits_swapped(iso)}
    real = {one for one in slips if iso_date(int(one[:4]), int(one[5:7]), int(one[8:10])) == one}
    return (*sorted(real - {iso}), iso[:7], iso[:4])


_PLACES = (0, 1, 2, 3, 5, 6, 8, 9)  # of the digits


def _one_digit_wrong(iso: str) -> Iterator[str]:
    for place in _PLACES:
        for digit in "0123456789":
            yield iso[:place] + digit + iso[place + 1 :]


def _two_digits_swapped(iso: str) -> Iterator[str]:
    for number, one in enumerate(_PLACES):
        for other in _PLACES[number + 1 :]:
            swapped = list(iso)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            yield "".join(swapped)
