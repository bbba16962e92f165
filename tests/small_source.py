"""Reports of a few rows a day whose every change is remembered, and what a warehouse must hold."""

from __future__ import annotations

import copy
from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from harness import windows_of

from tap_affiliate_reports.sandbox import Attribute, Report, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from harness import FakeClock, Warehouse, windows_of

COLUMNS = [Attribute("Action_Id"), Attribute("Day", "Date"), Attribute("Payout", "Decimal")]
CLICKS = "clicks"
CLICKS_COLUMNS = [Attribute("Id"), Attribute("SubId1"), Attribute("Payout")]
FIRST = date(2026, 10, 1)
Row = tuple[str, str, str]


class SmallSource:
    """Small reports in a sandbox, in place of its own; `put` changes a day and remembers when.

    With the name `clicks`, these are the account's clicks, with a day in `SubId1`.
    """

    def __init__(self, sandbox: Sandbox, clock: FakeClock, reports: Iterable[str]) -> None:
        self.clock = clock
        self._days: dict[str, dict[date, list[Row]]] = {}
        self._history: dict[str, list[tuple[datetime, dict[date, list[Row]]]]] = {}
        for report in list(sandbox.impact.reports):
            sandbox.impact.remove(report)
        for report in reports:
            self._days[report] = {
                FIRST + timedelta(days=number): _rows(report, number) for number in range(120)
            }
            self._history[report] = [(datetime.min, copy.copy(self._days[report]))]
            rows = self._rows_of(report)
            if report == CLICKS:
                sandbox.impact.clicks = Report(CLICKS, columns=CLICKS_COLUMNS, rows_as_of=rows)
            else:
                sandbox.impact.add(Report(report, report, columns=COLUMNS, rows_as_of=rows))

    def _rows_of(self, report: str) -> Any:
        def rows(
            moment: datetime, start: date | None, end: date | None, *_: object
        ) -> Iterator[Row]:
            assert start is not None
            assert end is not None
            return iter(self.at(report, moment, start, end))

        return rows

    def put(self, report: str, day: date, payouts: Iterable[str]) -> None:
        """Give a day other rows from the next second on."""
        self.clock.advance(seconds=1)
        self._days[report][day] = [
            (f"{report}-{day}-{number}", day.isoformat(), f"{payout}.{'0' * 17}1")
            for number, payout in enumerate(payouts)
        ]
        self._history[report].append((self.clock.now(), copy.copy(self._days[report])))
        self.clock.advance(seconds=1)

    def at(self, report: str, moment: datetime, start: date, end: date) -> list[Row]:
        """Return the rows of some days (inclusive) as they stood at a moment."""
        days: dict[date, list[Row]] = {}
        for since, then in self._history[report]:
            if since == datetime.min or since <= moment:
                days = then
        return [row for day in sorted(days) if start <= day <= end for row in days[day]]


def _rows(report: str, number: int) -> list[Row]:
    day = FIRST + timedelta(days=number)
    return [
        (f"{report}-{day}-{row}", day.isoformat(), f"{number}.{row}{'0' * 16}1")
        for row in range(1 + number % 2)
    ]


def live(warehouse: Warehouse, report: str) -> dict[str, list[Row]]:
    """Return what the warehouse shows of each window, in the order of its row numbers.

    Rows of an older load than their window's newest are not shown; see `check_retired`.
    """
    windows: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    key, day = ("Id", "SubId1") if report == CLICKS else ("Action_Id", "Day")
    for row in warehouse.live(report):
        payout = row["Payout"]
        shown = (row[key], row[day], f"{Decimal(payout):.18f}")
        windows[row["_window_start"]].append((row["_row_number"], shown))
    for slot, numbered in windows.items():
        numbered.sort()
        numbers = [number for number, _ in numbered]
        assert numbers == list(range(1, len(numbers) + 1)), f"{report} {slot}: {numbers}"
    return {slot: [row for _, row in numbered] for slot, numbered in windows.items()}


def check_retired(warehouse: Warehouse, report: str, state: Mapping[str, Any]) -> None:
    """Check that no row of an older load is left in a window that the ledger calls loaded.

    This holds whenever the tap is killed, not where the target gives back an older STATE.
    """
    windows = windows_of(state.get("bookmarks", {}).get(report, {}))
    shown = {id(row) for row in warehouse.live(report)}
    for row in warehouse.tables[report].values():
        whole = not windows.get(row["_window_start"], {"unfinished": True}).get("unfinished")
        if whole and row["_sdc_deleted_at"] is None:
            assert id(row) in shown, f"{report}: never retired: {row}"


def check_ledger(
    source: SmallSource, warehouse: Warehouse, state: Mapping[str, Any], report: str
) -> dict[str, Mapping[str, Any]]:
    """Check that each window the ledger calls loaded shows the source as it was then."""
    windows = windows_of(state.get("bookmarks", {}).get(report, {}))
    shown = live(warehouse, report)
    for slot, entry in windows.items():
        if entry.get("unfinished") or not entry["refreshed_at"]:
            continue
        then = datetime.fromisoformat(entry["refreshed_at"].replace("Z", "+00:00"))
        start, end = (date.fromisoformat(text) for text in (entry.get("start", slot), entry["end"]))
        assert shown.get(slot, []) == source.at(report, then, start, end), f"{report} {slot}"
    return windows


def check_exact(
    source: SmallSource, warehouse: Warehouse, report: str, start: date, end: date
) -> None:
    """Check that the warehouse shows what the source has now, no more and no less."""
    shown = live(warehouse, report)
    rows = [row for slot in sorted(shown) for row in shown[slot]]
    assert rows == source.at(report, source.clock.now(), start, end)


def check_bookmark(state: Mapping[str, Any], report: str, start: date) -> None:
    """Check that every day up to the bookmark lies in a window that was loaded whole."""
    entry = state.get("bookmarks", {}).get(report, {})
    mark = entry.get("replication_key_value")
    if not mark:
        return
    day = start
    for slot, window in sorted(windows_of(entry).items()):
        if date.fromisoformat(window.get("start", slot)) <= day and window["refreshed_at"]:
            day = max(day, date.fromisoformat(window["end"]) + timedelta(days=1))
    assert date.fromisoformat(mark) < day, f"{report}: {mark} is past {day}"
