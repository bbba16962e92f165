"""The state of each window of a report when a sync has ended.

It follows from the ledger in the state, the windows that the sync planned, and what became of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import cache

from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.streams import ReportStream
from tap_affiliate_reports.streams.partition import Partition
from tap_affiliate_reports.streams.window_load import WindowLoad
from tap_affiliate_reports.sync_report.facts import ProgramFacts, WindowFacts, WindowState
from tap_affiliate_reports.windows import Window, windows

# A year is the longest slot.
LONGEST_SLOT = timedelta(days=366)


def has_failed(export: Export, *, stream_failed: bool) -> bool:
    """Return whether this sync tried to load an export's file, and could not."""
    began_rows = export.rows_began is not None and export.rows_ended is None
    return export.error is not None or (began_rows and stream_failed)


def programs(stream: ReportStream, now: datetime, stream_failed: bool) -> Iterator[ProgramFacts]:
    """Yield the windows of each program, in the order of their days."""
    for partition in stream.retirement.partitions:
        loads = {load.window.slot: load for load in stream.loads if load.partition is partition}
        found = [
            _window(stream, partition, window, loads.get(window.slot), now, stream_failed)
            for window in _slots(partition, loads)
        ]
        yield ProgramFacts(partition.program, found)


def _slots(partition: Partition, loads: Mapping[date, WindowLoad]) -> list[Window]:
    """Return the windows of a program: as loaded, else as planned or requested."""
    found = {window.slot: window for window in partition.requested}
    found.update((slot, load.window) for slot, load in loads.items())
    for slot, entry in partition.ledger.windows.items():
        if entry.refreshed_at is not None:
            found[slot] = Window(slot, entry.start, entry.end)
    return sorted(found.values())


def _window(
    stream: ReportStream,
    partition: Partition,
    window: Window,
    load: WindowLoad | None,
    now: datetime,
    stream_failed: bool,
) -> WindowFacts:
    entry = partition.ledger.windows.get(window.slot)
    rules, export = stream.rules, load.export if load else None
    in_this_sync = export is not None and export.rows_ended is not None
    is_left = export is not None and not in_this_sync
    # One that is loaded again, by a refresh, a reload or a full refresh, has all of its days.
    lacks_days = load is not None and is_left and window != load.window
    is_settled = False
    if export is not None and has_failed(export, stream_failed=stream_failed):
        state = WindowState.FAILED
    elif entry is None or entry.refreshed_at is None or entry.unfinished or lacks_days:
        state = WindowState.MISSING
    elif window.is_snapshot:
        state = WindowState.OPEN if is_left else WindowState.COMPLETE
    else:
        is_settled = rules.freshness.is_settled(entry.end, entry.refreshed_at)
        is_over = _last_day(rules.size, window.slot) <= entry.end and (
            rules.freshness.is_complete(entry.end, entry.refreshed_at)
        )
        is_due = is_left or bool(entry.reload_after) or rules.freshness.is_due(entry, now)
        # What this sync loaded is not due, even if every sync is to load it.
        is_complete = is_over and (in_this_sync or not is_due)
        state = WindowState.COMPLETE if is_complete else WindowState.OPEN
    return WindowFacts(
        days=None if window.is_snapshot else (window.start, window.end),
        rows=entry.rows if entry is not None and entry.refreshed_at is not None else 0,
        state=state,
        is_settled=is_settled,
        in_this_sync=in_this_sync,
        reason=export.skip_reason if export is not None else "",
    )


@cache
def _last_day(size: str, slot: date) -> date:
    """Return the last day of a calendar slot."""
    return next(windows(size, slot, slot + LONGEST_SLOT)).end
