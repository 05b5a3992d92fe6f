"""HL7 times and dates."""

import pytest

from hub.cda.times import read_day, read_moment


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("20210401134745+0100", "2021-04-01T12:47:45Z"),
        ("20210401003000.123+0200", "2021-03-31T22:30:00Z"),
        ("202104011347-0430", "2021-04-01T18:17Z"),
        ("20210401134745Z", "2021-04-01T13:47:45Z"),
        ("20210401134745", "2021-04-01T13:47:45"),
        ("20210401", "2021-04-01"),
        ("202104", "2021-04"),
        ("2021", "2021"),
        (" 20210401 ", "2021-04-01"),
    ],
)
def test_a_time_is_utc_when_its_zone_is_known_and_as_stated_when_not(value: str, iso: str) -> None:
    moment = read_moment(value)
    assert moment is not None
    assert moment.iso == iso
    assert moment.zoned == iso.endswith("Z")


@pytest.mark.parametrize(
    "value", [None, "", "hier", "20210231", "20211301", "00000101", "2021040113474", "20210401T1347"]
)
def test_what_is_no_time_is_nothing(value: str | None) -> None:
    assert read_moment(value) is None


@pytest.mark.parametrize("value", ["99991231235959-1400", "9999", "00010101000000+1400", "0001"])
def test_the_edges_of_the_calendar_do_not_raise(value: str) -> None:
    read_moment(value)


def test_a_time_of_the_metadata_is_utc() -> None:
    moment = read_moment("20210401124745", utc=True)
    assert moment is not None
    assert moment.iso == "2021-04-01T12:47:45Z"


@pytest.mark.parametrize(
    ("metadata", "cda", "agree"),
    [
        ("20210401124745", "20210401134745+0100", True),
        ("20210401124745", "20210401134746+0100", False),
        ("20210401134745", "20210401134745+0100", False),  # local time where UTC belongs
        ("202104011247", "20210401134745+0100", True),
        ("20210401", "20210401134745+0100", True),
        ("20210401", "20210402003000+0200", True),  # the UTC day
        ("20210402", "20210402003000+0200", True),  # the day in Paris
        ("20210401", "20210402134745+0100", False),
        ("20210331235959", "20210402", False),
        ("20210401", "20210402", False),
        ("202104", "20210402", True),
        ("20210401", "20210401134745", True),
        ("20210401", "20210402134745", False),
        ("20210331230000", "20210401", True),  # one o'clock in Paris
        ("20210401124745", "20210401134745", True),  # no zone: perhaps Paris
        ("20210401124745", "20210402134745", False),  # no zone is 25 hours away
        ("20210401", "20210401", True),
        ("2021", "20210401134745+0100", True),
        ("2020", "20210401134745+0100", False),
    ],
)
def test_two_times_differ_only_when_no_reading_makes_them_agree(metadata: str, cda: str, agree: bool) -> None:
    one, other = read_moment(metadata, utc=True), read_moment(cda)
    assert one is not None
    assert other is not None
    assert one.agrees_with(other) is agree
    assert other.agrees_with(one) is agree


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("19790328", "1979-03-28"),
        ("197903281200+0100", "1979-03-28"),
        ("197903", "1979-03"),
        ("1979", "1979"),
        ("19790000", "1979"),
        ("19790300", "1979-03"),
        ("19791332", None),
        ("", None),
        (None, None),
        ("inconnue", None),
    ],
)
def test_a_birth_date_is_cut_where_the_source_stops(value: str | None, day: str | None) -> None:
    assert read_day(value) == day


@pytest.mark.parametrize(
    ("value", "iso"),
    [
        ("2026-03-01T10:15:00+01:00", "2026-03-01T09:15:00Z"),
        ("2026-03-01T10:15:00.5Z", "2026-03-01T10:15:00Z"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03", "2026-03"),
    ],
)
def test_a_time_written_as_iso_8601_is_read_too(value: str, iso: str) -> None:
    moment = read_moment(value)
    assert moment is not None
    assert moment.iso == iso


def test_a_birth_date_written_as_iso_8601_keeps_its_day() -> None:
    assert read_day("2012-05-12") == "2012-05-12"
    assert read_day("2012-05-12T08:30:00+02:00") == "2012-05-12"
    assert read_day("2012-05") == "2012-05"
