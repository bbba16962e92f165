"""Time zones by name: reading names back, and comparing the rules of two zones."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.settings import parse_zone
from tap_affiliate_reports.zones import fixed_zone, read_zone, same_rules, zone_name

START, END = date(2024, 3, 5), date(2026, 11, 19)
NOON = datetime(2026, 7, 1, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("US/Eastern", "America/New_York", True),
        ("Asia/Calcutta", "Asia/Kolkata", True),
        ("Asia/Kolkata", "+05:30", True),
        ("UTC", "+00:00", True),
        ("UTC", "Atlantic/Reykjavik", True),
        ("UTC", "Europe/London", False),
        ("America/New_York", "-05:00", False),
        ("America/New_York", "America/Havana", False),
        ("Europe/Berlin", "Africa/Lagos", False),
        ("Europe/Lisbon", "Europe/London", True),
        # The clocks of both change on the same days, but at different hours.
        ("Asia/Beirut", "Europe/Athens", False),
        ("Mars/Olympus", "UTC", False),
        ("Mars/Olympus", "Mars/Olympus", True),
        (None, "UTC", False),
        (5, "UTC", False),
        ({"a": 1}, "UTC", False),
        ("", "UTC", False),
        ("+99:99", "UTC", False),
        ("localtime", "UTC", False),
    ],
)
def test_zones_are_compared_by_their_offsets(first: object, second: object, same: bool) -> None:
    assert same_rules(first, second, START, END) is same
    assert same_rules(second, first, START, END) is same


def test_only_the_years_synced_count() -> None:
    # Mexico City had summer time until 2022.
    assert same_rules("America/Mexico_City", "-06:00", date(2023, 1, 1), END)
    assert not same_rules("America/Mexico_City", "-06:00", date(2022, 12, 1), END)
    # Greenland changed its offset in 2023, and its clocks from 2024 on.
    assert same_rules("America/Nuuk", "America/Scoresbysund", date(2025, 1, 1), END)
    assert not same_rules("America/Nuuk", "America/Scoresbysund", date(2023, 1, 1), END)


@pytest.mark.parametrize("start", [date.min, date.max])
def test_any_start_can_be_compared(start: date) -> None:
    assert same_rules("UTC", "Etc/UTC", start, date(1975, 1, 1))


@given(
    st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})),
    st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(timezone.utc)),
)
def test_zones_of_the_same_rules_have_the_same_time_at_any_moment(
    first: str, second: str, moment: datetime
) -> None:
    offsets = {moment.astimezone(read_zone(name)).utcoffset() for name in (first, second)}
    if len(offsets) > 1:
        assert not same_rules(first, second, date(2026, 1, 1), date(2026, 12, 31))


@given(st.integers(-14 * 60, 14 * 60))
@example(0)
@example(-30)
def test_a_fixed_offset_is_read_back_by_its_name(minutes: int) -> None:
    zone = fixed_zone(timedelta(minutes=minutes))
    assert read_zone(zone_name(zone)).utcoffset(NOON) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    "text",
    ["localtime", "posixrules", "Factory", "right/UTC", "posix/UTC", "+05:30", "America", ""],
)
def test_a_setting_takes_iana_names_only(text: str) -> None:
    with pytest.raises(SettingsError, match=r"instal\.timezone"):
        parse_zone("instal.timezone", text)
