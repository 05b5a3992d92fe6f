"""Dates that others write: any year, leap days that are none, the last second of 32 bits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from hub.imap.grammar import read_date as read_internal_date
from hub.imap.grammar import written_date
from hub.parse.dates import read_date as read_header_date

PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("19-Jan-2038 03:14:08 +0000", datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)),
        ("29-Feb-2028 23:30:00 -0100", datetime(2028, 3, 1, 0, 30, tzinfo=UTC)),
        ("25-Oct-2026 02:30:00 +0200", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # the hour that comes twice
        ("25-Oct-2026 02:30:00 +0100", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("31-Dec-9998 23:59:59 +0000", datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("31-Dec-9999 23:59:59 -1200", None),
        ("31-Dec-9999 23:30:00 +0000", None),
        ("01-Jan-0001 00:00:00 +1200", None),
        ("01-Jan-0001 00:00:00 +0000", None),
        ("29-Feb-2027 12:00:00 +0000", None),
        ("00-Jan-0000 00:00:00 +0000", None),
    ],
)
def test_an_internal_date_is_one_that_can_be_counted_with_or_none(written: str, read: datetime | None) -> None:
    found = read_internal_date(written.encode())
    assert found == read
    if found is not None:  # what the hub does with it: a grace before, the site's zone, and back
        assert found - timedelta(days=1) < found.astimezone(PARIS)
        assert read_internal_date(written_date(found).strip(chr(34)).encode()) == found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08+00:00"),
        ("Tue, 29 Feb 2028 12:00:00 +0100", "2028-02-29T12:00:00+01:00"),
        ("Mon, 29 Feb 2027 12:00:00 +0100", None),
        ("Fri, 31 Dec 9999 23:59:59 -1200", "9999-12-31T23:59:59-12:00"),
        ("Mon, 1 Jan 0001 00:00:00 +1400", "0001-01-01T00:00:00+14:00"),
        ("Sun, 25 Oct 2026 02:30:00 +0200", "2026-10-25T02:30:00+02:00"),
        ("Sat, 0 Jan 0000 00:00:00 +0000", None),
    ],
)
def test_a_date_header_is_read_as_it_stands(written: str, read: str | None) -> None:
    """It is text for people: nothing is computed from it, so that no zone can throw it off the calendar."""
    assert read_header_date(written) == read
