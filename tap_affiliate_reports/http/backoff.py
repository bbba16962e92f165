"""How long to wait before a request is tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime

from tap_affiliate_reports.http.service_clock import FURTHEST, http_date

ATTEMPTS = 6
BACKOFF_BASE = 1.0
BACKOFF_CAP = 60.0
RESET_HEADERS = ("RateLimit-Reset", "X-RateLimit-Reset")


def backoff(attempt: int, random_unit: float) -> float:
    """Return the pause after a failed attempt (counted from 0), in seconds, jittered by half."""
    return min(BACKOFF_CAP, BACKOFF_BASE * 2.0**attempt) * (0.5 + random_unit / 2)


def pause_asked_for(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that the service asks to wait: Retry-After, else RateLimit-Reset."""
    value = headers.get("Retry-After", "").strip()
    if value:
        with contextlib.suppress(ValueError):  # a date, perhaps
            return max(0.0, float(value))
        if (moment := http_date(value)) is not None:
            return _seconds_until(moment.timestamp(), headers, now)
    for name in RESET_HEADERS:
        with contextlib.suppress(ValueError):  # not there, or no number: the next one may tell
            seconds = float(headers.get(name, ""))
            # Some services give the moment of the reset instead of the seconds until then.
            return _seconds_until(seconds, headers, now) if seconds > 1e9 else max(0.0, seconds)
    return None


def _seconds_until(moment: float, headers: Mapping[str, str], now: datetime) -> float:
    here = now.timestamp()
    date = http_date(headers.get("Date", ""))
    if date is not None and abs(moment - here) > FURTHEST.total_seconds():
        # Named by a clock that is too wrong to count ages by, but its own Date is as wrong.
        here = date.timestamp()
    return max(0.0, moment - here)
