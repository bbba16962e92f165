"""The account's limits: exports a day in its own zone, requests an hour per kind of endpoint."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from tap_affiliate_reports.sandbox.message import Clock

EXPORT = "ReportExport"
HOURLY = {"Run": 500}
ANY_OTHER = 1000


class Limits:
    """Counts requests; the hourly limits are in headers, and enforced with `enforce_hourly`."""

    def __init__(self, now: Clock, zone: ZoneInfo, exports_per_day: int) -> None:
        self.now = now
        self.zone = zone
        self.exports_per_day = exports_per_day
        self.hourly = dict(HOURLY)
        self.enforce_hourly = False
        self._used: Counter[tuple[str, datetime]] = Counter()

    @property
    def exports_today(self) -> int:
        """Exports counted on the present day."""
        return self._used[self._slot(EXPORT)]

    def count(self, endpoint: str) -> None:
        """Count a request; an export counts only once it is accepted, by `count_export`."""
        if endpoint != EXPORT:
            self._used[self._slot(endpoint)] += 1

    def count_export(self) -> None:
        """Count an export against the day."""
        self._used[self._slot(EXPORT)] += 1

    def exceeded(self, endpoint: str) -> bool:
        """Whether this request has to wait for the next day or hour."""
        if endpoint == EXPORT:
            return self.exports_today >= self.exports_per_day
        used = self._used[self._slot(endpoint)]
        return self.enforce_hourly and used > self._limit(endpoint)

    def headers(self, endpoint: str) -> dict[str, str]:
        """Return the headers of the limit, the remaining requests and the reset."""
        limit, slot = self._limit(endpoint), self._slot(endpoint)
        return {
            "X-RateLimit-Limit-hour": str(limit),
            "X-RateLimit-Remaining-hour": str(max(0, limit - self._used[slot])),
            "RateLimit-Reset": str(self._seconds_left(endpoint)),
        }

    def _limit(self, endpoint: str) -> int:
        if endpoint == EXPORT:
            return self.exports_per_day
        return self.hourly.get(endpoint, ANY_OTHER)

    def _slot(self, endpoint: str) -> tuple[str, datetime]:
        local = self.now().astimezone(self.zone)
        if endpoint == EXPORT:
            return EXPORT, datetime.combine(local.date(), time(), self.zone)
        kind = endpoint if endpoint in self.hourly else ""
        return kind, local.replace(minute=0, second=0, microsecond=0)

    def _seconds_left(self, endpoint: str) -> int:
        _, start = self._slot(endpoint)
        if endpoint == EXPORT:
            tomorrow = start.date() + timedelta(days=1)
            end = datetime.combine(tomorrow, time(), self.zone)
        else:
            end = start + timedelta(hours=1)
        return max(1, ceil(end.timestamp() - self.now().timestamp()))
