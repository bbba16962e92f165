"""The bookmark and the ledger of windows of one report, or of one partition of it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from tap_affiliate_reports.errors import StreamError
from tap_affiliate_reports.state.timestamps import from_optional, to_optional
from tap_affiliate_reports.windows import LedgerEntry, Window


class Ledger:
    """Reads and writes the windows and the bookmark in one object of STATE, in place."""

    def __init__(self, state: MutableMapping[str, Any], replication_key: str | None) -> None:
        self.state = state
        self.replication_key = replication_key
        try:
            self.windows = dict(map(_entry, state.get("windows") or ()))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f"the state's ledger of windows can't be read: {error!r}"
            raise StreamError(msg) from None
        self._rows = sorted(self.windows)
        bookmark = self.bookmark
        state["replication_key"] = replication_key
        state["replication_key_value"] = bookmark.isoformat() if bookmark else None
        state["windows"] = [_row(slot, self.windows[slot]) for slot in self._rows]

    @property
    def bookmark(self) -> date | None:
        """The last complete day; None before the first."""
        return bookmark_of(self.state)

    def begin(self, window: Window, rows: int, job: str) -> None:
        """Mark a window as unfinished; `rows` is an upper bound of its rows in the warehouse."""
        before = self.windows.get(window.slot)
        self._write(
            window.slot,
            LedgerEntry(
                window.start,
                window.end,
                rows=max(rows, before.rows if before else 0),
                refreshed_at=before.refreshed_at if before else None,
                job=job,
                unfinished=True,
                reload_after=before.reload_after if before else None,
                loaded_at=before.loaded_at if before else None,
            ),
        )

    def finish(
        self,
        window: Window,
        rows: int,
        refreshed_at: datetime,
        job: str,
        content: str | None = None,
    ) -> None:
        """Record a window as loaded; `job` is the id of the job to replay, or ""."""
        entry = LedgerEntry(window.start, window.end, rows, refreshed_at, job, content=content)
        self._write(window.slot, entry)

    def note_unchanged(
        self, slot: date, refreshed_at: datetime, job: str, content: str | None
    ) -> None:
        """Record that a newer file of a loaded window is identical to the one loaded."""
        before = self.windows[slot]
        entry = replace(
            before,
            refreshed_at=refreshed_at,
            job=job,
            content=content,
            loaded_at=before.rows_refreshed_at,
        )
        self._write(slot, entry)

    def advance_bookmark(self, day: date) -> None:
        """Move the bookmark to this day, if that is later."""
        bookmark = self.bookmark
        if self.replication_key and (bookmark is None or day > bookmark):
            self.state["replication_key_value"] = day.isoformat()

    def retract_bookmark(self, day: date | None) -> None:
        """Move the bookmark back to this day, None for no day, if it is later."""
        bookmark = self.bookmark
        if bookmark is not None and (day is None or bookmark > day):
            self.state["replication_key_value"] = day.isoformat() if day else None

    def forget_bookmark(self) -> None:
        """Remove the bookmark: no day counts as complete."""
        self.retract_bookmark(None)

    def reopen(self, slot: date) -> None:
        """Mark a loaded window as unfinished, because its rows may be missing."""
        self._write(slot, replace(self.windows[slot], unfinished=True))

    def forget_contents(self) -> None:
        """Forget what the loaded files held, so that all files are sent."""
        for slot, entry in list(self.windows.items()):
            self._write(slot, replace(entry, content=None))

    def request_reload(self, slot: date, moment: datetime) -> None:
        """Require that the next file of a window is finished after this moment."""
        self._write(slot, replace(self.windows[slot], reload_after=moment))

    def forget(self, slots: Iterable[date]) -> None:
        """Remove windows from the ledger."""
        for slot in slots:
            place = bisect_left(self._rows, slot)
            del self.windows[slot], self._rows[place], self.state["windows"][place]

    def _write(self, slot: date, entry: LedgerEntry) -> None:
        place, row = bisect_left(self._rows, slot), _row(slot, entry)
        # STATE may be written between any two lines, by the handler of a signal.
        if slot in self.windows:
            self.state["windows"][place] = row
        else:
            self.state["windows"].insert(place, row)
            self._rows.insert(place, slot)
        self.windows[slot] = entry


def bookmark_of(state: Mapping[str, Any]) -> date | None:
    """Return the bookmark in an object of STATE, the last complete day."""
    value = state.get("replication_key_value")
    try:
        # A user may have set it to a date-time.
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        msg = f"the state's replication_key_value {value!r} is not a date"
        raise StreamError(msg) from None


def _row(slot: date, entry: LedgerEntry) -> dict[str, Any]:
    return {
        "slot": slot.isoformat(),
        "start": entry.start.isoformat(),
        "end": entry.end.isoformat(),
        "rows": entry.rows,
        "refreshed_at": to_optional(entry.refreshed_at),
        "job": entry.job,
        "unfinished": entry.unfinished,
        "reload_after": to_optional(entry.reload_after),
        "content": entry.content,
        "loaded_at": to_optional(entry.loaded_at),
    }


def _entry(row: Mapping[str, Any]) -> tuple[date, LedgerEntry]:
    slot = date.fromisoformat(row["slot"])
    return slot, LedgerEntry(
        start=date.fromisoformat(row.get("start") or row["slot"]),
        end=date.fromisoformat(row["end"]),
        rows=int(row["rows"]),
        refreshed_at=from_optional(row.get("refreshed_at")),
        job=str(row.get("job") or ""),
        unfinished=bool(row.get("unfinished")),
        reload_after=from_optional(row.get("reload_after")),
        content=str(row["content"]) if row.get("content") else None,
        loaded_at=from_optional(row.get("loaded_at")),
    )
