"""Windows of dates: calendar slots, ends of days, and the plan of what to load and refresh."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Literal, get_args

import pendulum

Size = Literal["day", "week", "month", "quarter", "year", "none"]
SIZES: tuple[str, ...] = get_args(Size)

# A day is only requested once it has been over for this long.
GRACE = timedelta(hours=6)
# The slot of a report without dates, constant so that each load replaces the previous one.
SNAPSHOT_SLOT = date(1970, 1, 1)

_FIRST_DAY: dict[str, Callable[[pendulum.Date], pendulum.Date]] = {
    "day": lambda day: day,
    "week": lambda day: day.start_of("week"),
    "month": lambda day: day.start_of("month"),
    "quarter": lambda day: day.first_of("quarter"),
    "year": lambda day: day.start_of("year"),
}
_LENGTH: dict[str, dict[str, int]] = {
    "day": {"days": 1},
    "week": {"weeks": 1},
    "month": {"months": 1},
    "quarter": {"months": 3},
    "year": {"years": 1},
}


@dataclass(frozen=True, order=True)
class Window:
    """One export: its calendar slot, and the days requested, both ends inclusive."""

    slot: date
    start: date
    end: date

    @property
    def is_snapshot(self) -> bool:
        """Whether this is a report without dates."""
        return self.slot == SNAPSHOT_SLOT

    def __str__(self) -> str:
        return "snapshot" if self.is_snapshot else f"{self.start}..{self.end}"


SNAPSHOT = Window(SNAPSHOT_SLOT, SNAPSHOT_SLOT, SNAPSHOT_SLOT)


@dataclass(frozen=True)
class Reload:
    """The value of the setting `reload`: the windows of some days, or all windows without days."""

    text: str
    first: date | None = None
    last: date | None = None

    @property
    def is_all(self) -> bool:
        """Whether every window is requested."""
        return self.first is None

    def touches(self, start: date, end: date) -> bool:
        """Return whether a window of these days, both inclusive, is requested."""
        return (self.first is None or self.first <= end) and (
            self.last is None or self.last >= start
        )


@dataclass(frozen=True)
class DateRange:
    """The days to fetch, both inclusive, and the moment by which ages are counted.

    `is_end_set` says that the last day is a setting, not the last day that is over, `moves_on`
    that a run of tomorrow has another last day. `reload` is what is to be loaded again.
    """

    start: date
    end: date
    now: datetime
    is_end_set: bool = False
    moves_on: bool = False
    reload: Reload | None = None


@dataclass(frozen=True)
class LedgerEntry:
    """The ledger's entry of a window: days requested, rows loaded, when its file was finished.

    `refreshed_at` is None until the window was loaded once. `unfinished` means that a load has
    begun and not finished; `rows` is then an upper bound of the rows in the warehouse. A window
    with `reload_after` needs a file that was finished after that moment. `job` is the id of the job
    to replay, or "". `content` identifies what was loaded, None if it is not known; `loaded_at` is
    when the loaded file was finished, None if that is `refreshed_at`: a newer file was identical.
    """

    start: date
    end: date
    rows: int
    refreshed_at: datetime | None
    job: str = ""
    unfinished: bool = False
    reload_after: datetime | None = None
    content: str | None = None
    loaded_at: datetime | None = None

    @property
    def rows_refreshed_at(self) -> datetime | None:
        """The `_refreshed_at` of the window's rows."""
        return self.loaded_at or self.refreshed_at

    @property
    def is_complete(self) -> bool:
        """Whether the last load that began was also finished."""
        return self.refreshed_at is not None and not self.unfinished


def day_end(day: date, zone: tzinfo) -> datetime:
    """Return the moment at which a day is over in a zone, in UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time.min, tzinfo=zone)
    return midnight.astimezone(timezone.utc)


def last_finished_day(now: datetime, zone: tzinfo, grace: timedelta = GRACE) -> date:
    """Return the last day in a zone that ended at least `grace` ago."""
    day = now.astimezone(zone).date()
    while day_end(day, zone) + grace > now:
        day -= timedelta(days=1)
    return day


def windows(size: str, start: date, end: date) -> Iterator[Window]:
    """Yield the windows from start to end in order, without gap or overlap.

    The first and the last window may cover only a part of their slots.
    """
    if size == "none":
        yield SNAPSHOT
        return
    day = start
    while day <= end:
        first = _FIRST_DAY[size](pendulum.date(day.year, day.month, day.day))
        following = first.add(**_LENGTH[size])
        last = following.subtract(days=1)
        yield Window(_plain(first), day, min(_plain(last), end))
        day = _plain(following)


def _plain(day: date) -> date:
    return date(day.year, day.month, day.day)


@dataclass(frozen=True)
class Freshness:
    """The rules that decide whether a finished file is settled, complete or fresh.

    Rows may change until `lookback` after their day; until then, a file is fresh for `max_age`.
    """

    zone: tzinfo
    lookback: timedelta
    max_age: timedelta

    def is_settled(self, end: date, finished_at: datetime) -> bool:
        """Return whether the last day no longer changes after a file finished then."""
        return finished_at >= day_end(end, self.zone) + max(self.lookback, GRACE)

    def is_complete(self, end: date, finished_at: datetime) -> bool:
        """Return whether the last day had been over for long enough when the file was finished."""
        return finished_at >= day_end(end, self.zone) + GRACE

    def is_fresh(self, window: Window, finished_at: datetime, now: datetime) -> bool:
        """Return whether the file of a finished job may be used without a new export."""
        young = now - finished_at < self.max_age
        if window.is_snapshot:
            return young
        if self.is_settled(window.end, finished_at):
            return True
        # The last day is only requested before it is over if end_date is set to it.
        return young and (
            self.is_complete(window.end, finished_at) or not self.is_complete(window.end, now)
        )

    def complete_through(self, end: date, finished_at: datetime) -> date:
        """Return the last day up to `end` that was over when the file was finished."""
        return min(end, last_finished_day(finished_at, self.zone, timedelta(0)))

    def is_due(self, entry: LedgerEntry, now: datetime) -> bool:
        """Return whether a loaded window must be refreshed now."""
        finished_at = entry.refreshed_at
        if finished_at is None:
            return True
        if self.is_settled(entry.end, finished_at):
            return False
        too_early = not self.is_complete(entry.end, finished_at)
        if too_early and self.is_complete(entry.end, now):
            return True
        return now - finished_at >= self.max_age


# Why a window is loaded.
NEVER_LOADED = "missing: never loaded"
FULL_REFRESH = "missing: a full refresh loads it again"
SNAPSHOT_AGAIN = "snapshot: loaded in every sync"
NOT_FINISHED = "unfinished: a load of it began and did not end"
NOT_COLLECTED = "missing: its job was requested by an earlier run"
MOVED_ON = "open: loaded up to %s"
MOVED_BACK = "missing: loaded from %s on"
RELOAD = "reload: requested by the setting reload"
TOO_EARLY = "stale: its file was finished before its last day was over"
MAY_CHANGE = "stale: its file is of {} UTC, and rows may change until {}"


@dataclass(frozen=True)
class Plan:
    """The windows of a stream that one sync loads and refreshes.

    `new` is in the order of dates, `refresh` begins with the window that was refreshed first, and
    `unchanged` is the number of requested windows that need nothing. `why` has the reason for each
    of the others by its slot, for people.
    """

    new: list[Window] = field(default_factory=list)
    refresh: list[Window] = field(default_factory=list)
    unchanged: int = 0
    why: dict[date, str] = field(default_factory=dict)


def plan(
    windows: Sequence[Window],
    ledger: Mapping[date, LedgerEntry],
    freshness: Freshness,
    now: datetime,
    *,
    everything: bool = False,
) -> Plan:
    """Plan the windows requested, and other windows that are unfinished or to be reloaded.

    The days of a loaded slot never shrink. `everything` loads all windows again.
    """
    new: list[Window] = []
    refresh: list[tuple[datetime, Window]] = []
    unchanged = 0
    why: dict[date, str] = {}
    for wanted in windows:
        entry = ledger.get(wanted.slot)
        if entry is None or wanted.is_snapshot:
            new.append(wanted)
            why[wanted.slot] = NEVER_LOADED if entry is None else SNAPSHOT_AGAIN
            continue
        window = Window(wanted.slot, min(wanted.start, entry.start), max(wanted.end, entry.end))
        is_widened = (window.start, window.end) != (entry.start, entry.end)
        if everything or is_widened or not entry.is_complete or entry.refreshed_at is None:
            new.append(window)
            why[window.slot] = FULL_REFRESH if everything else _why_new(window, entry)
        elif entry.reload_after or freshness.is_due(entry, now):
            refresh.append((entry.refreshed_at, window))
            why[window.slot] = _why_refresh(entry, freshness, entry.refreshed_at)
        else:
            unchanged += 1
    requested = {window.slot for window in windows}
    for slot, entry in ledger.items():
        window = Window(slot, entry.start, entry.end)
        if slot in requested or not (entry.refreshed_at or entry.rows):
            continue
        if entry.unfinished or entry.refreshed_at is None:
            new.append(window)  # the warehouse may have a part of its rows
            why[slot] = _why_new(window, entry)
        elif entry.reload_after:
            refresh.append((entry.refreshed_at, window))
            why[slot] = RELOAD
    new.sort()
    return Plan(new, [window for _, window in sorted(refresh)], unchanged, why)


def _why_new(window: Window, entry: LedgerEntry) -> str:
    if entry.refreshed_at is None:
        return NOT_FINISHED if entry.rows else NOT_COLLECTED
    if entry.unfinished:
        return NOT_FINISHED
    return MOVED_ON % entry.end if window.end > entry.end else MOVED_BACK % entry.start


def _why_refresh(entry: LedgerEntry, freshness: Freshness, finished_at: datetime) -> str:
    if entry.reload_after:
        return RELOAD
    if not freshness.is_complete(entry.end, finished_at):
        return TOO_EARLY
    settled = (day_end(entry.end, freshness.zone) + freshness.lookback).astimezone(freshness.zone)
    return MAY_CHANGE.format(f"{finished_at:%Y-%m-%d %H:%M}", settled.date())
