"""The bookmark and the ledgers of windows and of files, as they stand in Singer STATE.

One stream, or one partition of it, is one dictionary:

    {"replication_key": "_window_end", "replication_key_value": "2026-10-31",
     "windows": {"2026-10-01": {"end": "2026-10-31", "rows": 120,
                                "refreshed_at": "2026-11-02T03:04:05Z", "job": "..."}}}

`start` is there only where the first day asked for is not the slot's own; `job` only while the
window is unsettled; `unfinished` only between a window's first row and its last.

A stream of finished files has `loaded` in place of `windows`: {"export id": "finished at"}, and
`start`, from which on all are loaded.
"""

from __future__ import annotations

import contextlib
from collections.abc import MutableMapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pendulum

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.schema import Kind
from tap_affiliate_reports.windows import Loaded, Window

_OWN_LENGTHS = frozenset({len("2026-11-02T03:04:05Z"), len("2026-11-02T03:04:05.678901Z")})


def to_timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second, or finer where it is finer."""
    text = moment.astimezone(timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


def from_timestamp(text: str) -> datetime:
    """Read what `to_timestamp` wrote, or a hand."""
    if len(text) in _OWN_LENGTHS and text[10] == "T" and text[-1] == "Z":
        # A large ledger has many, and a parser of any form takes twenty times as long.
        with contextlib.suppress(ValueError):  # the parser below tells what is wrong
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    moment = pendulum.parse(text)
    if not isinstance(moment, pendulum.DateTime):
        msg = f"not a moment: {text!r}"
        raise ValueError(msg)  # noqa: TRY004 # the text is wrong, not the caller's type
    return moment.in_timezone("UTC")


def check(state: Any) -> None:
    """Refuse a STATE that has not the shape that this tap, or a hand, gives it."""
    bookmarks = state.get("bookmarks", {}) if isinstance(state, dict) else None
    if not isinstance(bookmarks, dict):
        msg = "the state is not a JSON object with an object of bookmarks"
        raise StreamError(msg)
    for stream, own in bookmarks.items():
        if (
            not isinstance(own, dict)
            or not isinstance(own.get("partitions", []), list)
            or not isinstance(own.get("fingerprint", {}), dict)
        ):
            msg = f"the state of {stream} can't be read: it is not an object"
            raise StreamError(msg)
        for part in (own, *own.get("partitions", [])):
            try:
                value = part.get("replication_key_value")
                if value:
                    pendulum.parse(str(value))
                for kind in part.get("columns", {}).values():
                    Kind(kind)
                Ledger(part, None)
                FileLedger(part, datetime.min.replace(tzinfo=timezone.utc))
            except (StreamError, ValueError, AttributeError) as error:
                msg = f"the state of {stream} can't be read: {error}"
                raise StreamError(msg) from None


class Ledger:
    """Reads and writes the state of one stream, or of one partition of it, in place."""

    def __init__(self, state: MutableMapping[str, Any], replication_key: str | None) -> None:
        self.state = state
        self.replication_key = replication_key
        try:
            self.windows = {
                date.fromisoformat(slot): _loaded(date.fromisoformat(slot), entry)
                for slot, entry in state.get("windows", {}).items()
            }
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"the state's ledger of windows can't be read: {error!r}"
            raise StreamError(msg) from None

    @property
    def bookmark(self) -> date | None:
        """The last complete day; None before the first."""
        value = self.state.get("replication_key_value")
        try:
            # A bookmark set by hand may be a date-time.
            return date.fromisoformat(str(value)[:10]) if value else None
        except ValueError:
            msg = f"the state's replication_key_value {value!r} is not a date"
            raise StreamError(msg) from None

    def begin(self, window: Window, rows: int, job: str) -> None:
        """Mark a window as unfinished, with as many rows as the warehouse may hold from now on."""
        before = self.windows.get(window.slot)
        self._write(
            window.slot,
            Loaded(
                window.start,
                window.end,
                rows=max(rows, before.rows if before else 0),
                refreshed_at=before.refreshed_at if before else None,
                job=job,
                unfinished=True,
            ),
        )

    def finish(self, window: Window, rows: int, refreshed_at: datetime, job: str) -> None:
        """Record a window as loaded; `job` is "" where it will not be asked for again."""
        self._write(window.slot, Loaded(window.start, window.end, rows, refreshed_at, job))

    def advance(self, day: date) -> None:
        """Move the bookmark to this day; it never moves back."""
        bookmark = self.bookmark
        if self.replication_key and (bookmark is None or day > bookmark):
            self.state["replication_key"] = self.replication_key
            self.state["replication_key_value"] = day.isoformat()

    def reopen(self, slot: date) -> None:
        """Take a window for one that was begun and not completed."""
        self._write(slot, replace(self.windows[slot], unfinished=True))

    def forget(self, slot: date) -> None:
        """Take a slot for one that was never loaded."""
        del self.windows[slot]
        del self.state["windows"][slot.isoformat()]

    def _write(self, slot: date, loaded: Loaded) -> None:
        self.windows[slot] = loaded
        self.state.setdefault("windows", {})[slot.isoformat()] = _entry(slot, loaded)


# A file may be listed a while after it was finished, so this much is looked at again.
OVERLAP = timedelta(days=1)


class FileLedger:
    """Knows which finished files are loaded; the state of one stream, in place.

    The bookmark is the date of the newest one before which none is missing, from `covered` on.
    `loaded` holds the ids of all others: those that are not well before the bookmark, and those
    from before `covered`, so that no file is taken twice or passed over.
    """

    def __init__(self, state: MutableMapping[str, Any], start: datetime) -> None:
        self.state = state
        self.start = start
        value, loaded, covered = (
            state.get(name) for name in ("replication_key_value", "loaded", "start")
        )
        try:
            self.bookmark = from_timestamp(str(value)) if value else None
            self.loaded = {str(key): from_timestamp(at) for key, at in (loaded or {}).items()}
            # From here on all is loaded up to the bookmark.
            self.covered = from_timestamp(str(covered)) if covered else start
        except (ValueError, TypeError, AttributeError) as error:
            msg = f"the state's ledger of files can't be read: {error!r}"
            raise StreamError(msg) from None
        if self.bookmark and start > self.bookmark:
            self.covered = start  # what lies between the two is passed over
        # Without a list of what is loaded, a bookmark set by hand is taken at its word.
        overlap = OVERLAP if loaded is not None else timedelta(0)
        self._passed = self.bookmark - overlap if self.bookmark else self.covered
        self.since = start if start < self.covered else max(start, self._passed)

    def has(self, export: str, finished_at: datetime) -> bool:
        """Tell whether a finished file is loaded; one from before `covered` only if it is noted."""
        return export in self.loaded or self.covered <= finished_at < self._passed

    def wants(self, export: str, finished_at: datetime) -> bool:
        """Tell whether a finished file that is listed is still to be loaded."""
        return finished_at >= self.start and not self.has(export, finished_at)

    def note(self, export: str, finished_at: datetime, not_past: datetime | None) -> None:
        """Record a file as loaded; the bookmark moves up to it, but not past a given moment."""
        self.loaded[export] = finished_at
        reached = finished_at if not_past is None else min(finished_at, not_past)
        self.bookmark = reached if self.bookmark is None else max(self.bookmark, reached)
        self.state["replication_key"] = "_completed_at"
        self.state["replication_key_value"] = to_timestamp(self.bookmark)
        self._write()

    def cover(self) -> bool:
        """Record that all files from an earlier start on are loaded; tell whether that is new."""
        if self.bookmark is None or self.start >= self.covered:
            return False
        self.covered = self.start
        self._write()
        return True

    def _write(self) -> None:
        assert self.bookmark is not None  # noqa: S101 # written from the first file on
        self.state["start"] = to_timestamp(self.covered)
        since = self.bookmark - OVERLAP
        self.state["loaded"] = {
            key: to_timestamp(at)
            for key, at in self.loaded.items()
            if at >= since or at < self.covered
        }


def _entry(slot: date, loaded: Loaded) -> dict[str, Any]:
    entry: dict[str, Any] = {"end": loaded.end.isoformat(), "rows": loaded.rows}
    if loaded.start != slot:
        entry["start"] = loaded.start.isoformat()
    if loaded.refreshed_at is not None:
        entry["refreshed_at"] = to_timestamp(loaded.refreshed_at)
    if loaded.job:
        entry["job"] = loaded.job
    if loaded.unfinished:
        entry["unfinished"] = True
    return entry


def _loaded(slot: date, entry: MutableMapping[str, Any]) -> Loaded:
    refreshed_at = entry.get("refreshed_at")
    return Loaded(
        start=date.fromisoformat(entry.get("start", slot.isoformat())),
        end=date.fromisoformat(entry["end"]),
        rows=int(entry["rows"]),
        refreshed_at=from_timestamp(refreshed_at) if refreshed_at else None,
        job=str(entry.get("job", "")),
        unfinished=bool(entry.get("unfinished", False)),
    )
