"""Spans of time are read as people mean them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidInputError
from registry.geo import Interval, parse_interval


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("2017", "2017-01-01T00:00:00Z/2017-12-31T23:59:59.999999Z"),
        ("2015/2017", "2015-01-01T00:00:00Z/2017-12-31T23:59:59.999999Z"),
        ("2020-02", "2020-02-01T00:00:00Z/2020-02-29T23:59:59.999999Z"),
        ("2021-12", "2021-12-01T00:00:00Z/2021-12-31T23:59:59.999999Z"),
        ("2022-08-25", "2022-08-25T00:00:00Z/2022-08-25T23:59:59.999999Z"),
        ("2015-06-01T00:00Z/..", "2015-06-01T00:00:00Z/.."),
        ("../2015-06-01T00:00:00Z", "../2015-06-01T00:00:00.999999Z"),
        ("2015-06-01/", "2015-06-01T00:00:00Z/.."),
        ("2015-06-01T12:00:00+02:00", "2015-06-01T10:00:00Z/2015-06-01T10:00:00.999999Z"),
        ("2015-06-01 12:00:00.25", "2015-06-01T12:00:00.250000Z/2015-06-01T12:00:00.250000Z"),
        ("9999", "9999-01-01T00:00:00Z/9999-12-31T23:59:59.999999Z"),
    ],
)
def test_what_is_said_coarsely_is_meant_whole(said, meant):
    assert str(parse_interval(said)) == meant


@pytest.mark.parametrize(
    "said",
    [
        "", "..", "../..", "/", "yesterday", "2017-13", "2017-02-30", "17", "2017/2015",
        "2017//2018", "2017-01-01T25:00Z", "0000", "\uff12\uff10\uff11\uff17",
        "0001-01-01T00:00:00+23:00", "2017-1-1",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_with_the_value(said):
    with pytest.raises(InvalidInputError) as refused:
        parse_interval(said)
    assert refused.value.hint


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 — a zone is added below
def test_an_instant_reads_back(moment):
    moment = moment.replace(tzinfo=UTC)
    span = parse_interval(moment.isoformat(timespec="microseconds"))
    assert span.start == span.end == moment
    assert span.covers(moment)


def test_open_ends_cover_everything_beyond():
    span = parse_interval("2017/..")
    assert span.covers(datetime(2999, 1, 1, tzinfo=UTC))
    assert not span.covers(datetime(2016, 12, 31, tzinfo=UTC))
    assert span.middle == span.start


def test_the_middle_of_a_day_is_noon():
    day = parse_interval("2020-01-01")
    assert abs(day.middle - datetime(2020, 1, 1, 12, tzinfo=UTC)) < timedelta(milliseconds=1)


def test_times_without_a_zone_cannot_make_an_interval():
    with pytest.raises(InvalidInputError, match="UTC"):
        Interval(start=datetime(2017, 1, 1), end=None)  # noqa: DTZ001 — what is refused
