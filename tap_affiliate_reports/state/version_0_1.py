"""The form of STATE that version 0.1.0 wrote, turned into the present one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from tap_affiliate_reports.state.timestamps import from_timestamp


def is_old(state: Mapping[str, Any]) -> bool:
    """Whether a stream's state is not of the present form; an empty one or a user's is not."""
    return "form" not in state


def converted(state: Mapping[str, Any], dump_fingerprint: Any) -> dict[str, Any]:
    """Return a report's state in the present form."""
    pending = bool(state.get("version_pending"))
    version = state.get("version")
    # Merged onto an older state, a pending version stood beside windows of the version before.
    since = _moment(version) if pending and version else None
    fingerprint = state.get("fingerprint")
    return {
        "fingerprint": dump_fingerprint(fingerprint) if fingerprint is not None else "",
        "columns": [[name, kind] for name, kind in (state.get("columns") or {}).items()],
        "version": version,
        "version_pending": pending,
        "replication_key_value": state.get("replication_key_value"),
        "windows": _windows(state.get("windows"), since),
        "partitions": [
            {
                "context": partition["context"],
                "replication_key_value": partition.get("replication_key_value"),
                "windows": _windows(partition.get("windows"), since),
            }
            for partition in state.get("partitions") or ()
        ],
    }


def _windows(windows: Any, since: datetime | None) -> list[dict[str, Any]]:
    if windows is None:
        return []
    return [
        {
            "slot": slot,
            **entry,
            "unfinished": bool(entry.get("unfinished")) or _is_older(entry, since),
        }
        for slot, entry in windows.items()
    ]


def _is_older(entry: Mapping[str, Any], since: datetime | None) -> bool:
    finished = entry.get("refreshed_at")
    return bool(since and finished and from_timestamp(finished) < since)


def _moment(version: int) -> datetime:
    return datetime.fromtimestamp(version / 1000, tz=timezone.utc)
