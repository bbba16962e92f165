"""Windows: slots without gap or overlap, ends of days in every zone, and what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_affiliate_reports.windows import (
    GRACE,
    SIZES,
    SNAPSHOT,
    Freshness,
    LedgerEntry,
    Window,
    day_end,
    last_finished_day,
    plan,
    windows,
)

UTC = timezone.utc
DAY = timedelta(days=1)
CALENDAR = [size for size in SIZES if size != "none"]
# Zones with summer time, with half hours, and with days that have no midnight or do not exist.
ZONES = [
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
    "America/Havana",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
]
sizes = st.sampled_from(CALENDAR)
days = st.dates(date(1999, 12, 1), date(2040, 3, 1))
lengths = st.integers(0, 900)
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))

MONTHLY = Freshness(UTC, lookback=timedelta(days=60), max_age=timedelta(hours=20))
NOW = datetime(2026, 11, 19, 15, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def months(start: str, end: str) -> list[Window]:
    return list(windows("month", date.fromisoformat(start), date.fromisoformat(end)))


def loaded(window: Window, finished: datetime, **more: object) -> LedgerEntry:
    return replace(LedgerEntry(window.start, window.end, 3, finished, "job"), **more)


class TestSlots:
    @given(sizes, days, lengths)
    def test_windows_cover_every_requested_day_once_and_in_order(
        self, size: str, start: date, length: int
    ) -> None:
        end = start + length * DAY
        found = list(windows(size, start, end))
        assert (found[0].start, found[-1].end) == (start, end)
        assert all(window.start <= window.end for window in found)
        assert all(b.start == a.end + DAY for a, b in pairwise(found))

    @given(sizes, days, lengths, lengths, lengths)
    def test_the_slot_of_a_day_does_not_depend_on_the_requested_dates(
        self, size: str, day: date, length: int, earlier: int, later: int
    ) -> None:
        def slot_of_day(start: date, end: date) -> date:
            return next(w.slot for w in windows(size, start, end) if w.start <= day <= w.end)

        alone = slot_of_day(day, day)
        assert slot_of_day(day - earlier * DAY, day + later * DAY) == alone
        assert slot_of_day(day, day + length * DAY) == alone

    @given(sizes, days, lengths)
    def test_slots_are_distinct_and_only_the_ends_are_clipped(
        self, size: str, start: date, length: int
    ) -> None:
        found = list(windows(size, start, start + length * DAY))
        assert len({window.slot for window in found}) == len(found)
        assert all(window.slot <= window.start for window in found)
        assert all(window.slot == window.start for window in found[1:])
        for window, following in pairwise(found):
            whole = next(windows(size, window.slot, following.slot))
            assert (whole.slot, whole.end) == (window.slot, window.end)

    @pytest.mark.parametrize(
        ("size", "slot", "last"),
        [
            ("day", "2028-02-29", "2028-02-29"),
            ("week", "2028-02-28", "2028-03-05"),
            ("month", "2028-02-01", "2028-02-29"),
            ("quarter", "2028-01-01", "2028-03-31"),
            ("year", "2028-01-01", "2028-12-31"),
        ],
    )
    def test_a_leap_day_lies_in_its_calendar_slot(self, size: str, slot: str, last: str) -> None:
        leap = date(2028, 2, 29)
        first, *_ = windows(size, leap, date(2029, 12, 31))
        assert first == Window(date.fromisoformat(slot), leap, date.fromisoformat(last))

    def test_a_week_begins_on_monday_and_may_span_two_years(self) -> None:
        (week,) = windows("week", date(2026, 12, 31), date(2027, 1, 3))
        assert week.slot == date(2026, 12, 28)

    def test_no_day_at_all_makes_no_window(self) -> None:
        assert list(windows("month", date(2026, 11, 2), date(2026, 11, 1))) == []

    @given(days, days)
    def test_a_report_without_dates_has_one_constant_window(self, start: date, end: date) -> None:
        assert list(windows("none", start, end)) == [SNAPSHOT]
        assert (SNAPSHOT.slot, SNAPSHOT.is_snapshot) == (date(1970, 1, 1), True)

    def test_a_window_is_named_by_its_days(self) -> None:
        assert str(Window(date(2026, 9, 1), date(2026, 9, 10), date(2026, 9, 30))) == (
            "2026-09-10..2026-09-30"
        )
        assert str(SNAPSHOT) == "snapshot"


class TestDayEnds:
    @given(zones, days)
    @example(ZoneInfo("America/New_York"), date(2026, 3, 8))
    @example(ZoneInfo("America/New_York"), date(2026, 11, 1))
    @example(ZoneInfo("America/Sao_Paulo"), date(2018, 11, 3))
    @example(ZoneInfo("America/Sao_Paulo"), date(2018, 2, 17))
    @example(ZoneInfo("Africa/Cairo"), date(2023, 4, 27))
    @example(ZoneInfo("Asia/Beirut"), date(2022, 3, 26))
    @example(ZoneInfo("America/Havana"), date(2022, 11, 5))
    @example(ZoneInfo("Africa/Casablanca"), date(2026, 2, 15))
    @example(ZoneInfo("Pacific/Apia"), date(2011, 12, 29))
    @example(ZoneInfo("Pacific/Apia"), date(2011, 12, 30))
    def test_a_day_ends_at_the_first_moment_of_a_later_day(self, zone: ZoneInfo, day: date) -> None:
        end = day_end(day, zone)
        assert end.astimezone(zone).date() > day
        assert (end - timedelta(seconds=1)).astimezone(zone).date() <= day

    @pytest.mark.parametrize(
        ("zone", "day", "end"),
        [
            ("America/New_York", "2026-03-08", "2026-03-09T04:00"),
            ("America/New_York", "2026-11-01", "2026-11-02T05:00"),
            ("Europe/Berlin", "2026-10-25", "2026-10-25T23:00"),
            ("Asia/Kolkata", "2026-10-25", "2026-10-25T18:30"),
            ("Pacific/Apia", "2026-10-25", "2026-10-25T11:00"),
            ("Africa/Casablanca", "2026-06-30", "2026-06-30T23:00"),
        ],
    )
    def test_a_day_ends_at_its_own_zones_midnight(self, zone: str, day: str, end: str) -> None:
        assert day_end(date.fromisoformat(day), ZoneInfo(zone)) == at(end)

    @given(zones, moments, st.integers(0, 30).map(lambda hours: timedelta(hours=hours)))
    @example(ZoneInfo("Pacific/Apia"), at("2011-12-30T10:00"), timedelta(0))
    def test_the_last_finished_day_is_over_for_the_grace_and_the_next_one_is_not(
        self, zone: ZoneInfo, now: datetime, grace: timedelta
    ) -> None:
        day = last_finished_day(now, zone, grace)
        assert day_end(day, zone) + grace <= now
        assert day_end(day + DAY, zone) + grace > now

    @pytest.mark.parametrize(
        ("now", "day"), [("2026-11-19T10:59:59", "2026-11-17"), ("2026-11-19T11:00", "2026-11-18")]
    )
    def test_a_day_counts_as_finished_six_hours_after_its_end(self, now: str, day: str) -> None:
        assert last_finished_day(at(now), ZoneInfo("America/New_York")) == date.fromisoformat(day)


class TestFreshness:
    window = Window(date(2026, 10, 1), date(2026, 10, 1), date(2026, 10, 31))

    def test_a_window_is_settled_by_a_file_finished_after_the_look_back(self) -> None:
        end = self.window.end
        assert not MONTHLY.is_settled(end, at("2026-12-30T23:59:59"))
        assert MONTHLY.is_settled(end, at("2026-12-31T00:00:01"))

    def test_without_look_back_a_window_is_settled_six_hours_after_its_end(self) -> None:
        rules = replace(MONTHLY, lookback=timedelta(0))
        assert not rules.is_settled(self.window.end, at("2026-11-01T05:59:59"))
        assert rules.is_settled(self.window.end, at("2026-11-01T06:00:01"))

    @pytest.mark.parametrize(
        ("finished", "now", "fresh"),
        [
            ("2026-11-19T00:00", "2026-11-19T15:00", True),
            ("2026-11-18T19:00:01", "2026-11-19T15:00", True),
            ("2026-11-18T18:59:59", "2026-11-19T15:00", False),
            ("2026-11-01T05:59:59", "2026-11-01T15:00", False),
            ("2026-11-01T06:00:01", "2026-11-01T15:00", True),
            ("2026-12-31T00:00:01", "2027-06-01T00:00", True),
        ],
    )
    def test_a_file_is_fresh_if_young_and_complete_or_if_it_settles_its_window(
        self, finished: str, now: str, *, fresh: bool
    ) -> None:
        assert MONTHLY.is_fresh(self.window, at(finished), at(now)) is fresh

    def test_a_file_of_today_is_fresh_while_today_lasts(self) -> None:
        today = Window(date(2026, 11, 1), date(2026, 11, 1), date(2026, 11, 19))
        assert MONTHLY.is_fresh(today, at("2026-11-19T14:00"), NOW)
        assert not MONTHLY.is_fresh(today, at("2026-11-19T14:00"), at("2026-11-20T07:00"))

    def test_a_snapshot_is_fresh_while_it_is_young_however_old_its_slot(self) -> None:
        assert MONTHLY.is_fresh(SNAPSHOT, at("2026-11-19T00:00"), NOW)
        assert not MONTHLY.is_fresh(SNAPSHOT, at("2026-11-18T00:00"), NOW)

    @given(zones, days, st.integers(0, 90), moments, st.timedeltas(timedelta(0), 200 * DAY))
    def test_a_fresh_file_never_misses_the_end_of_a_finished_day(
        self, zone: ZoneInfo, day: date, lookback: int, finished: datetime, later: timedelta
    ) -> None:
        rules = Freshness(zone, lookback * DAY, timedelta(hours=20))
        window, now = Window(day, day, day), finished + later
        if rules.is_fresh(window, finished, now) and day_end(day, zone) + GRACE <= now:
            assert finished >= day_end(day, zone) + GRACE

    @given(zones, days, moments)
    def test_a_file_completes_no_day_that_was_not_over_when_it_was_made(
        self, zone: ZoneInfo, end: date, finished: datetime
    ) -> None:
        day = replace(MONTHLY, zone=zone).complete_through(end, finished)
        assert day <= end
        assert day_end(day, zone) <= finished
        assert day == end or day_end(day + DAY, zone) > finished


class TestPlan:
    def test_what_the_ledger_does_not_know_is_new_in_order_of_date(self) -> None:
        asked = months("2026-09-10", "2026-11-18")
        assert plan(asked, {}, MONTHLY, NOW).new == asked

    def test_loaded_windows_are_refreshed_when_due_and_not_when_fresh(self) -> None:
        july, august, september, october = months("2026-07-01", "2026-10-31")
        ledger = {
            july.slot: loaded(july, at("2026-10-30T00:00")),
            august.slot: loaded(august, at("2026-10-30T00:00")),
            september.slot: loaded(september, at("2026-11-18T00:00")),
            october.slot: loaded(october, at("2026-11-19T00:00")),
        }
        found = plan([july, august, september, october], ledger, MONTHLY, NOW)
        assert (found.new, found.refresh, found.unchanged) == ([], [august, september], 2)

    def test_refreshes_go_longest_unrefreshed_first(self) -> None:
        september, october, november = months("2026-09-01", "2026-11-18")
        ledger = {
            september.slot: loaded(september, at("2026-11-17T00:00")),
            october.slot: loaded(october, at("2026-11-15T00:00")),
            november.slot: loaded(november, at("2026-11-18T12:00")),
        }
        found = plan([september, october, november], ledger, MONTHLY, NOW)
        assert found.refresh == [october, september, november]

    def test_the_open_slot_is_requested_completely_when_its_last_day_moves(self) -> None:
        (before,) = months("2026-11-01", "2026-11-17")
        (asked,) = months("2026-11-01", "2026-11-18")
        ledger = {before.slot: loaded(before, at("2026-11-19T14:00"))}
        assert plan([asked], ledger, MONTHLY, NOW).new == [asked]

    def test_a_load_that_was_begun_and_not_finished_is_new(self) -> None:
        (october,) = months("2026-10-01", "2026-10-31")
        for entry in (
            loaded(october, at("2026-11-19T14:00"), unfinished=True),
            LedgerEntry(october.start, october.end, 3, None, "job", unfinished=True),
        ):
            assert plan([october], {october.slot: entry}, MONTHLY, NOW).new == [october]

    def test_an_earlier_start_widens_the_first_slot_and_adds_those_before_it(self) -> None:
        (before,) = months("2026-10-20", "2026-10-31")
        ledger = {before.slot: loaded(before, at("2026-11-19T14:00"))}
        asked = months("2026-08-15", "2026-10-31")
        found = plan(asked, ledger, MONTHLY, NOW)
        assert found.new == asked
        assert found.new[-1].start == date(2026, 10, 1)

    def test_everything_loads_settled_windows_too(self) -> None:
        asked = months("2026-01-01", "2026-02-28")
        ledger = {window.slot: loaded(window, NOW) for window in asked}
        assert plan(asked, ledger, MONTHLY, NOW).unchanged == 2
        assert plan(asked, ledger, MONTHLY, NOW, everything=True).new == asked

    @given(sizes, days, lengths, days, lengths, moments)
    def test_a_loaded_slot_never_shrinks_and_none_outside_the_dates_is_touched(
        self, size: str, start: date, length: int, other: date, other_length: int, now: datetime
    ) -> None:
        before = list(windows(size, start, start + length * DAY))
        ledger = {window.slot: loaded(window, now - 2 * DAY) for window in before}
        asked = list(windows(size, other, other + other_length * DAY))
        found = plan(asked, ledger, MONTHLY, now)
        touched = [*found.new, *found.refresh]
        assert len(touched) + found.unchanged == len(asked)
        assert {window.slot for window in touched} <= {window.slot for window in asked}
        by_slot = {window.slot: window for window in asked}
        for window in touched:
            one = by_slot[window.slot]
            was = ledger.get(window.slot)
            assert window.start == (min(one.start, was.start) if was else one.start)
            assert window.end == (max(one.end, was.end) if was else one.end)
            widened = was is None or (window.start, window.end) != (was.start, was.end)
            assert (window in found.new) is widened

    @given(sizes, days, lengths, moments, st.integers(1, 60))
    def test_a_window_just_loaded_is_unchanged_until_it_is_old(
        self, size: str, start: date, length: int, now: datetime, nights: int
    ) -> None:
        rules = replace(MONTHLY, lookback=timedelta(days=20_000))
        end = min(start + length * DAY, last_finished_day(now, UTC))
        asked = list(windows(size, start, end))
        ledger = {window.slot: loaded(window, now) for window in asked}
        assert plan(asked, ledger, rules, now).unchanged == len(asked)
        assert plan(asked, ledger, rules, now + nights * DAY).refresh == asked
