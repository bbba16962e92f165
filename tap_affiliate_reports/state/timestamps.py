"""Timestamps of STATE."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone

import pendulum

_OWN_LENGTHS = frozenset({len("2026-11-02T03:04:05Z"), len("2026-11-02T03:04:05.678901Z")})


def to_timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC; microseconds are omitted if they are 0."""
    text = moment.astimezone(timezone.utc).isoformat()
    return text.replace("+00:00", "Z")


def from_timestamp(text: str) -> datetime:
    """Return the moment of a timestamp from the state, possibly edited by hand."""
    if len(text) in _OWN_LENGTHS and text[10] == "T" and text[-1] == "Z":
        # A large ledger has many timestamps, and the general parser is twenty times slower.
        with contextlib.suppress(ValueError):  # the parser below raises a clear error
            return datetime.fromisoformat(text[:-1]).replace(tzinfo=timezone.utc)
    moment = pendulum.parse(text)
    if not isinstance(moment, pendulum.DateTime):
        msg = f"not a date-time: {text!r}"
        raise ValueError(msg)  # noqa: TRY004 # the text is wrong, not the caller's type
    return moment.in_timezone("UTC")


def to_optional(moment: datetime | None) -> str | None:
    """Return the timestamp of a moment; None for None."""
    return None if moment is None else to_timestamp(moment)


def from_optional(text: str | None) -> datetime | None:
    """Return the moment of a timestamp; None for null and ""."""
    return from_timestamp(text) if text else None
