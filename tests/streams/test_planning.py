"""The plan of a report: which windows are new, refreshed or unchanged, by STATE and settings."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_case import NOW, dates, planned, rules

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.streams.planning import ReportPlan, changes
from tap_affiliate_reports.windows import Reload

MONTHS = ["2026-09-01", "2026-10-01", "2026-11-01"]


def slots(plan: ReportPlan, *, is_refresh: bool = False) -> list[str]:
    return [one.window.slot.isoformat() for one in plan.windows if one.is_refresh is is_refresh]


def load_all(plan: ReportPlan, rows: int = 3) -> None:
    """Record every planned window as loaded now."""
    for one in plan.windows:
        one.partition.ledger.finish(one.window, rows, NOW, "j1")


def copied(raw: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(raw))


def test_a_first_plan_has_every_window_in_order_and_begins_a_version() -> None:
    raw: dict[str, Any] = {}
    plan = planned(rules(), raw)
    assert slots(plan) == MONTHS
    assert (plan.state.version, plan.state.version_pending, raw["form"]) == (7, True, 2)


def test_without_activate_version_no_version_begins() -> None:
    assert planned(rules(), {}, new_version=None).state.version is None


def test_a_settled_window_is_unchanged_and_an_old_file_of_another_is_refreshed() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(), raw))
    for entry in raw["windows"]:
        entry["refreshed_at"] = "2026-11-17T00:00:00Z"
    plan = planned(rules(), raw)
    assert (slots(plan), plan.unchanged) == ([], 1)
    assert slots(plan, is_refresh=True) == ["2026-10-01", "2026-11-01"]


@given(st.integers(0, 400), st.sampled_from(["day", "week", "month", "quarter", "year"]))
def test_a_plan_after_all_is_loaded_is_empty_until_a_file_is_old(days: int, size: str) -> None:
    raw: dict[str, Any] = {}
    last = date(2026, 11, 18)
    span = dates((last - timedelta(days=days)).isoformat(), last.isoformat())
    first = planned(rules(window=size), raw, span)
    load_all(first)
    again = planned(rules(window=size), raw, span)
    assert (again.windows, again.unchanged) == ([], len(first.windows))


def test_each_program_is_a_partition_and_new_windows_of_all_come_before_refreshes() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(programs=("1",)), raw, dates(last="2026-10-31")))
    for entry in raw["partitions"][0]["windows"]:
        entry["refreshed_at"] = "2026-11-01T07:00:00Z"
    plan = planned(rules(programs=("1",)), raw)
    found = [(one.partition.program, str(one.window.slot), one.is_refresh) for one in plan.windows]
    assert found == [("1", "2026-11-01", False), ("1", "2026-10-01", True)]


def test_other_settings_are_refused_with_what_to_do() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(), raw))
    with pytest.raises(StreamError, match=r"window: 'month' -> 'week'.*reload: all"):
        planned(rules(window="week"), copied(raw))


def test_another_time_zone_names_the_setting_that_keeps_the_old_one() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(zone="UTC", zone_setting="acme.timezone"), raw))
    with pytest.raises(StreamError, match=r"Set acme\.timezone: UTC to keep them, or run"):
        planned(rules(zone="Asia/Tokyo", zone_setting="acme.timezone"), copied(raw))


def test_zones_of_the_same_rules_are_no_change() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(zone="America/New_York"), raw))
    assert planned(rules(zone="US/Eastern"), raw).windows == []


def test_reload_all_makes_windows_of_other_settings_former() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(), raw))
    plan = planned(rules(window="week"), raw, dates(reload=Reload("all")))
    former = plan.state.former
    assert [one.slot.isoformat() for one in former] == MONTHS
    assert {one.rows for one in former} == {3}
    assert slots(plan)[0] == "2026-09-07"


def test_days_of_former_windows_that_touch_the_dates_are_loaded_too() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(window="quarter"), raw, dates("2026-07-01")))
    plan = planned(rules(), raw, dates("2026-09-10", reload=Reload("all")))
    assert slots(plan)[0] == "2026-07-01"


def test_a_reload_of_days_plans_the_windows_that_have_them() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(), raw))
    reload = Reload("2026-09-30/2026-10-01", date(2026, 9, 30), date(2026, 10, 1))
    plan = planned(rules(), raw, dates(reload=reload))
    assert slots(plan, is_refresh=True) == ["2026-09-01", "2026-10-01"]
    assert raw["reload"] == reload.text


def test_a_full_refresh_counts_nothing_as_loaded() -> None:
    raw: dict[str, Any] = {}
    load_all(planned(rules(), raw))
    plan = planned(rules(), raw, everything=True, new_version=8)
    assert slots(plan) == MONTHS
    assert all(entry["unfinished"] for entry in raw["windows"])
    assert (plan.state.version, raw["replication_key_value"]) == (8, None)


def test_windows_before_a_bookmark_of_a_users_count_as_loaded_if_settled() -> None:
    raw: dict[str, Any] = {"replication_key_value": "2026-11-10"}
    assert slots(planned(rules(), raw, dates("2026-08-01"))) == ["2026-10-01", "2026-11-01"]


def test_a_snapshot_is_loaded_in_every_sync() -> None:
    raw: dict[str, Any] = {}
    own = rules(window="none")
    load_all(planned(own, raw))
    assert [str(one.window) for one in planned(own, raw).windows] == ["snapshot"]
    assert own.replication_key is None


def test_changes_name_each_setting_that_differs() -> None:
    assert changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == "b: 2 -> 3, c: None -> 4"
    assert changes({"a": 1}, {"a": 1}) == ""
