"""Rows of former windows: when they are retired, and which of them have no successor."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from report_case import NOW, dates, planned, rules

from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.streams.planning import ReportPlan
from tap_affiliate_reports.streams.retirement import Retirement
from tap_affiliate_reports.streams.rules import NUMBERED_KEYS
from tap_affiliate_reports.windows import SNAPSHOT_SLOT, Reload


def former(first: str, last: str, rows: int = 3, **more: Any) -> FormerWindow:
    start = date.fromisoformat(first)
    return FormerWindow("A1", "all", start, start, date.fromisoformat(last), rows, **more)


def retirement(*windows: FormerWindow, size: str = "week") -> tuple[Retirement, ReportPlan]:
    """Return the retirement of these windows, in a plan of October by weeks."""
    own = rules(window=size)
    plan = planned(own, {}, dates("2026-10-01", "2026-10-31", Reload("all")))
    plan.state.former = windows
    return Retirement(own, plan.state, plan.partitions), plan


def finish(plan: ReportPlan, *numbers: int, rows: int = 3) -> None:
    for number in numbers:
        one = plan.windows[number]
        one.partition.ledger.finish(one.window, rows, NOW, "j")


def test_rows_are_retired_once_every_day_of_their_window_is_loaded() -> None:
    own, plan = retirement(former("2026-10-03", "2026-10-13"))
    finish(plan, 0, 1)
    assert own.covered() == []
    assert own.is_waiting
    finish(plan, 2)
    assert own.covered() == list(plan.state.former)
    own.forget(own.covered())
    assert (list(plan.state.former), own.is_waiting) == ([], False)


def test_a_window_whose_load_has_only_begun_covers_nothing() -> None:
    own, plan = retirement(former("2026-10-01", "2026-10-04"))
    finish(plan, 0)
    plan.windows[0].partition.ledger.begin(plan.windows[0].window, 5, "j")
    assert own.covered() == []


def test_a_former_snapshot_waits_for_every_requested_window() -> None:
    day = SNAPSHOT_SLOT.isoformat()
    own, plan = retirement(former(day, day))
    finish(plan, *range(len(plan.windows) - 1))
    assert own.covered() == []
    finish(plan, len(plan.windows) - 1)
    assert len(own.covered()) == 1


def test_rows_under_other_keys_go_before_the_window_that_replaces_them() -> None:
    own, plan = retirement(
        former("2026-10-03", "2026-10-07", retire_first=True, keys=NUMBERED_KEYS)
    )
    assert own.covered() == []
    assert not own.is_waiting
    assert [len(own.replaced_by(one.window)) for one in plan.windows] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize(("loaded", "numbers"), [(0, [1, 2, 3]), (2, [3]), (5, [])])
def test_a_row_that_a_new_row_replaced_has_no_tombstone(loaded: int, numbers: list[int]) -> None:
    own, plan = retirement(former("2026-10-05", "2026-10-11"))
    finish(plan, 1, rows=loaded)
    rows = own.tombstones(plan.state.former[0])
    assert [row["_row_number"] for row in rows] == numbers
    assert {row["_window_start"] for row in rows} <= {"2026-10-05"}


def test_rows_of_another_account_are_replaced_by_none() -> None:
    window = former("2026-10-05", "2026-10-11")
    other = FormerWindow("A0", "all", window.slot, window.start, window.end, 3)
    own, plan = retirement(other)
    finish(plan, 1, rows=9)
    assert len(own.tombstones(other)) == 3


def test_rows_with_the_keys_of_a_window_are_those_of_its_account_program_and_slot() -> None:
    own, plan = retirement(
        former("2026-10-05", "2026-10-31", rows=4),
        former("2026-10-12", "2026-10-31", rows=9),
    )
    assert own.rows_with_keys_of("A1", "all", plan.windows[1].window) == 4
    assert own.rows_with_keys_of("A1", "7", plan.windows[1].window) == 0
    assert own.rows_with_keys_of("A2", "all", plan.windows[1].window) == 0
