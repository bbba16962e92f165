"""How long to wait before a request is tried again, and what the headers say of limits."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

ATTEMPTS = 6
BACKOFF_BASE = 1.0
BACKOFF_CAP = 60.0
LIMIT_HEADERS = ("X-RateLimit-Remaining-hour", "X-RateLimit-Remaining", "RateLimit-Remaining")
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
        with contextlib.suppress(ValueError, TypeError):  # neither: the next header may tell
            return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    for name in RESET_HEADERS:
        with contextlib.suppress(ValueError):  # not there, or no number: the next one may tell
            seconds = float(headers.get(name, ""))
            # Some services give the moment of the reset instead of the seconds until then.
            return max(0.0, seconds - now.timestamp() if seconds > 1e9 else seconds)
    return None


def remaining(headers: Mapping[str, str]) -> str:
    """Return what the headers say may still be asked of this endpoint; "" where they don't."""
    return next((headers[name] for name in LIMIT_HEADERS if name in headers), "")
