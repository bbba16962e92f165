"""Rows per day: nothing is lost or added on the way into the bars."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from harness import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_affiliate_reports.sync_report.days import MOST_BARS, MOST_TICKS, DayAxis, axis
from tap_affiliate_reports.sync_report.facts import WindowFacts, WindowState

DAYS = st.dates(date(2015, 1, 1), date(2030, 12, 31))


@st.composite
def drawn(draw: st.DrawFn) -> list[WindowFacts]:
    """Draw windows, some of which have no days."""
    found = []
    for first in draw(st.lists(DAYS, min_size=1, max_size=6)):
        days = (first, first + timedelta(days=draw(st.integers(0, 400))))
        is_dated = draw(st.integers(0, 5)) > 0
        rows = draw(st.integers(0, 10**7))
        found.append(WindowFacts(days if is_dated else None, rows, WindowState.COMPLETE))
    return found


@given(drawn())
@settings(max_examples=examples(200))
def test_the_bars_hold_all_rows(windows: list[WindowFacts]) -> None:
    found = axis(windows)
    dated = [window for window in windows if window.days is not None]
    if found is None:
        assert dated == []
        return
    bars = found.rows(windows)
    assert len(bars) == found.bars <= MOST_BARS
    rows = sum(window.rows for window in dated)
    assert sum(bars) * found.days_a_bar == pytest.approx(rows)


@given(drawn())
@settings(max_examples=examples(200))
def test_each_window_lies_on_the_axis(windows: list[WindowFacts]) -> None:
    if (found := axis(windows)) is None:
        return
    for first, last in (window.days for window in windows if window.days):
        assert 0 <= found.place(first) <= found.place(last) < found.bars


@given(DAYS, st.integers(0, 6000))
@settings(max_examples=examples(200))
def test_the_labels_are_few_and_in_order(first: date, days: int) -> None:
    ticks = list(DayAxis(first, first + timedelta(days=days)).ticks())
    assert 1 <= len(ticks) <= MOST_TICKS + 1
    places = [place for place, _ in ticks]
    assert places == sorted(set(places))
    assert 0 <= places[0] <= places[-1] < 1


def test_rows_are_divided_evenly_over_the_days_of_a_window() -> None:
    first = date(2026, 1, 1)
    month = WindowFacts((first, date(2026, 1, 31)), 62, WindowState.COMPLETE)
    day = WindowFacts((first, first), 5, WindowState.COMPLETE)
    found = DayAxis(first, date(2026, 2, 1))
    assert found.rows([month, day]) == [7.0, *[2.0] * 30, 0.0]


def test_a_few_days_are_labelled_by_day_and_many_by_month() -> None:
    first = date(2026, 11, 1)
    assert [text for _, text in DayAxis(first, date(2026, 11, 3)).ticks()] == [
        "Nov 1",
        "Nov 2",
        "Nov 3",
    ]
    labels = [text for _, text in DayAxis(first, date(2027, 2, 27)).ticks()]
    assert labels == ["Nov", "Dec", "2027", "Feb"]
