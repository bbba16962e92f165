"""Converts the STATE of version 0.1.0 to the present form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

from tap_affiliate_reports.state.timestamps import from_timestamp
from tap_affiliate_reports.windows import windows as slots


def is_old(state: Mapping[str, Any]) -> bool:
    """Return whether a stream's state lacks the present form; also true if a user wrote it."""
    return "form" not in state


def converted(state: Mapping[str, Any], dump_fingerprint: Any) -> dict[str, Any]:
    """Return a report's state in the present form."""
    pending = bool(state.get("version_pending"))
    version = state.get("version")
    # After a merge onto an older state, windows of the previous version may be present.
    since = _moment(version) if pending and version else None
    fingerprint = state.get("fingerprint")
    size = (fingerprint or {}).get("window")
    return {
        "fingerprint": dump_fingerprint(fingerprint) if fingerprint is not None else "",
        "columns": [[name, kind] for name, kind in (state.get("columns") or {}).items()],
        "version": version,
        "version_pending": pending,
        "replication_key_value": state.get("replication_key_value"),
        "windows": _windows(state.get("windows"), since, size),
        "partitions": [
            {
                "context": partition["context"],
                "replication_key_value": partition.get("replication_key_value"),
                "windows": _windows(partition.get("windows"), since, size),
            }
            for partition in state.get("partitions") or ()
        ],
    }


def _windows(windows: Any, since: datetime | None, size: str | None) -> list[dict[str, Any]]:
    """Return the windows, without those of another size that a merge by Meltano kept."""
    if windows is None:
        return []
    return [
        {
            "slot": slot,
            **entry,
            "unfinished": bool(entry.get("unfinished")) or _is_older(entry, since),
        }
        for slot, entry in windows.items()
        if size is None or _is_slot(date.fromisoformat(slot), size)
    ]


def _is_slot(day: date, size: str) -> bool:
    return next(slots(size, day, day)).slot == day


def _is_older(entry: Mapping[str, Any], since: datetime | None) -> bool:
    finished = entry.get("refreshed_at")
    return bool(since and finished and from_timestamp(finished) < since)


def _moment(version: int) -> datetime:
    return datetime.fromtimestamp(version / 1000, tz=timezone.utc)
