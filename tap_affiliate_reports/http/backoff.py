"""Pauses between attempts, and the headers that request one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime

from tap_affiliate_reports.http.service_clock import MAX_OFFSET, http_date

ATTEMPTS = 6
BACKOFF_BASE = 1.0
BACKOFF_CAP = 60.0
RESET_HEADERS = ("RateLimit-Reset", "X-RateLimit-Reset")


def backoff(attempt: int, random_unit: float) -> float:
    """Return the pause after a failed attempt (counted from 0), in seconds.

    Up to half of it is jitter; `random_unit` is a random number between 0 and 1.
    """
    return min(BACKOFF_CAP, BACKOFF_BASE * 2.0**attempt) * (0.5 + random_unit / 2)


def requested_pause(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the pause that the service requests, in seconds: Retry-After, else RateLimit-Reset."""
    value = headers.get("Retry-After", "").strip()
    if value:
        with contextlib.suppress(ValueError):  # it may be a date
            return max(0.0, float(value))
        if (moment := http_date(value)) is not None:
            return _seconds_until(moment.timestamp(), headers, now)
    for name in RESET_HEADERS:
        with contextlib.suppress(ValueError):  # missing or not a number: try the next header
            seconds = float(headers.get(name, ""))
            # Some services send the moment of the reset instead of the seconds until then.
            return _seconds_until(seconds, headers, now) if seconds > 1e9 else max(0.0, seconds)
    return None


def _seconds_until(moment: float, headers: Mapping[str, str], now: datetime) -> float:
    here = now.timestamp()
    date = http_date(headers.get("Date", ""))
    if date is not None and abs(moment - here) > MAX_OFFSET.total_seconds():
        # The service's clock is wrong, but its Date header is wrong by the same amount.
        here = date.timestamp()
    return max(0.0, moment - here)
