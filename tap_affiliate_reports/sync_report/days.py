"""Rows per day, and the axis of days that all charts share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from tap_affiliate_reports.sync_report.facts import WindowFacts

# More bars than this can't be told apart on a wide screen.
MOST_BARS = 400
MOST_TICKS = 7
# Below this many days, the axis has days in place of months.
FEW_DAYS = 50
DAY = timedelta(days=1)
# Months between two ticks of the axis.
MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True)
class DayAxis:
    """The days from `first` to `last`, both inclusive, in bars of `days_a_bar` days."""

    first: date
    last: date

    @property
    def days(self) -> int:
        """The number of days."""
        return (self.last - self.first).days + 1

    @property
    def days_a_bar(self) -> int:
        """The days of one bar; one, unless there are too many."""
        return -(-self.days // MOST_BARS)

    @property
    def bars(self) -> int:
        """The number of bars; the last one may reach past the last day."""
        return -(-self.days // self.days_a_bar)

    def place(self, day: date) -> float:
        """Return where a day begins, in bars."""
        return (day - self.first).days / self.days_a_bar

    def rows(self, windows: Iterable[WindowFacts]) -> list[float]:
        """Return the mean rows a day of each bar.

        The rows of a window are divided evenly over its days.
        """
        bars = [0.0] * self.bars
        for window in windows:
            if window.days is None or not window.rows:
                continue
            first, last = window.days
            a_day = window.rows / ((last - first).days + 1)
            for offset in range((first - self.first).days, (last - self.first).days + 1):
                bars[offset // self.days_a_bar] += a_day / self.days_a_bar
        return bars

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield the place of a label, as a fraction of the axis, and its text."""
        width = self.bars * self.days_a_bar
        if self.days < FEW_DAYS:
            step = -(-self.days // MOST_TICKS)
            for number in range(0, self.days, step):
                day = self.first + number * DAY
                yield number / width, f"{day:%b} {day.day}"
            return
        for day in _months(self.first, self.last):
            text = f"{day:%Y}" if day.month == 1 else f"{day:%b}"
            yield (day - self.first).days / width, text


def axis(windows: Iterable[WindowFacts]) -> DayAxis | None:
    """Return the axis that holds all windows; None if none of them has days."""
    days = [day for window in windows for day in window.days or ()]
    return DayAxis(min(days), max(days)) if days else None


def _months(first: date, last: date) -> Sequence[date]:
    """Return the first days of months, few enough for an axis."""
    found: list[date] = []
    for step in MONTHS:
        found = [
            date(number // 12, number % 12 + 1, 1)
            for number in range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
            if number % 12 % min(step, 12) == 0 and (number // 12) % max(1, step // 12) == 0
        ]
        found = [day for day in found if first <= day]
        if len(found) <= MOST_TICKS:
            break
    return found
