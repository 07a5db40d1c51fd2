from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.schedule.times import Cron, Every, interval_text, parse_interval

MOMENTS = st.integers(946_684_800, 2_524_608_000).map(lambda s: datetime.fromtimestamp(s, UTC))


def ticks(line, zone, first, number=3):
    after = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = islice(Cron(line=line, timezone=zone).after(after), number)
    return [tick.astimezone(ZoneInfo(zone)).isoformat() for tick in found]


def test_a_time_that_the_clock_leaves_out_comes_once_when_the_gap_ends():
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00") == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
        "2026-03-31T02:30:00+02:00",
    ]


def test_a_time_that_the_clock_shows_twice_comes_once():
    assert ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00") == [
        "2026-10-25T02:30:00+02:00",
        "2026-10-26T02:30:00+01:00",
        "2026-10-27T02:30:00+01:00",
    ]


def test_a_starred_line_goes_by_the_hours_that_pass():
    found = islice(
        Cron(line="*/20 * * * *", timezone="Europe/Berlin").after(
            datetime(2026, 10, 24, 12, tzinfo=UTC)
        ),
        200,
    )
    assert {b - a for a, b in pairwise(found)} == {timedelta(minutes=20)}


@pytest.mark.parametrize(
    ("day", "first", "second"),
    [
        # The clock goes back from 02:00 to 01:30, so 02:00 is there once, half an hour later.
        ("2026-04-05T01:00", "2026-04-05T02:00:00+10:30", "2026-04-05T04:00:00+10:30"),
        # It goes forth from 02:00 to 02:30.
        ("2026-10-04T01:00", "2026-10-04T04:00:00+11:00", "2026-10-04T06:00:00+11:00"),
    ],
)
def test_a_clock_that_moves_by_half_an_hour(day, first, second):
    assert ticks("0 */2 * * *", "Australia/Lord_Howe", day, 2) == [first, second]


def test_short_names():
    assert ticks("@daily", "UTC", "2026-01-01T12:00", 1) == ["2026-01-02T00:00:00+00:00"]
    assert ticks("@weekly", "UTC", "2026-01-01T12:00", 1) == ["2026-01-04T00:00:00+00:00"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("61 * * * *", "bad minute"),
        ("0 2 * *", "needs five fields"),
        ("0 0 2 * * *", "needs five fields"),
        ("@reboot", "needs five fields"),
        ("", "needs five fields"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("5-1 * * * *", "bad minute"),
        ("*/0 * * * *", "bad minute"),
    ],
)
def test_a_line_that_can_not_be(line, message):
    with pytest.raises(UsageError, match=message):
        Cron(line=line)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe"])
def test_a_zone_that_is_none(zone):
    with pytest.raises(UsageError, match="no time zone"):
        Cron(line="@daily", timezone=zone)


@given(
    seconds=st.integers(1, 10**6),
    anchor=MOMENTS,
    after=MOMENTS,
)
def test_intervals_keep_their_distance_from_the_anchor(seconds, anchor, after):
    first, second = islice(Every(seconds=seconds, anchor=anchor).after(after), 2)
    step = timedelta(seconds=seconds)
    assert after < first <= after + step
    assert second - first == step
    assert (first - anchor) % step == timedelta()


@given(st.integers(1, 10**8))
def test_intervals_are_read_as_they_are_written(seconds):
    assert parse_interval(interval_text(seconds), what="--every") == seconds


@pytest.mark.parametrize("text", ["", "6", "h", "6 h", "1.5h", "-1h", "1h x"])
def test_an_interval_that_is_none(text):
    with pytest.raises(UsageError, match="--every can't be"):
        parse_interval(text, what="--every")
