"""The account's limits: requests a day in its own zone, or an hour, per kind of endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

from tap_affiliate_reports.sandbox.message import Clock

REPORT_EXPORT, CLICK_EXPORT = "ReportExport", "ClickExport"
HOURLY = {"Run": 500}
ANY_OTHER = 1000


class Limits:
    """Counts requests; the hourly limits are in headers, and enforced with `enforce_hourly`.

    `daily` is how many requests a day an endpoint accepts; the other endpoints have hourly limits.
    """

    def __init__(self, now: Clock, zone: ZoneInfo, daily: Mapping[str, int]) -> None:
        self.now = now
        self.zone = zone
        self.daily = dict(daily)
        self.hourly = dict(HOURLY)
        self.enforce_hourly = False
        self._used: Counter[tuple[str, datetime]] = Counter()

    def used(self, endpoint: str) -> int:
        """Return how many requests were counted on the present day, or in the present hour."""
        return self._used[self._slot(endpoint)]

    def count(self, endpoint: str) -> None:
        """Count a request; one with a daily limit counts once accepted, by `count_accepted`."""
        if endpoint not in self.daily:
            self._used[self._slot(endpoint)] += 1

    def count_accepted(self, endpoint: str) -> None:
        """Count an accepted request against the day."""
        self._used[self._slot(endpoint)] += 1

    def exceeded(self, endpoint: str) -> bool:
        """Whether this request has to wait for the next day or hour."""
        if endpoint in self.daily:
            return self.used(endpoint) >= self.daily[endpoint]
        return self.enforce_hourly and self.used(endpoint) > self._limit(endpoint)

    def headers(self, endpoint: str) -> dict[str, str]:
        """Return the headers of the limit, the remaining requests and the reset."""
        limit = self._limit(endpoint)
        return {
            "X-RateLimit-Limit-hour": str(limit),
            "X-RateLimit-Remaining-hour": str(max(0, limit - self.used(endpoint))),
            "RateLimit-Reset": str(self._seconds_left(endpoint)),
        }

    def _limit(self, endpoint: str) -> int:
        if endpoint in self.daily:
            return self.daily[endpoint]
        return self.hourly.get(endpoint, ANY_OTHER)

    def _slot(self, endpoint: str) -> tuple[str, datetime]:
        local = self.now().astimezone(self.zone)
        if endpoint in self.daily:
            return endpoint, datetime.combine(local.date(), time(), self.zone)
        kind = endpoint if endpoint in self.hourly else ""
        return kind, local.replace(minute=0, second=0, microsecond=0)

    def _seconds_left(self, endpoint: str) -> int:
        _, start = self._slot(endpoint)
        if endpoint in self.daily:
            tomorrow = start.date() + timedelta(days=1)
            end = datetime.combine(tomorrow, time(), self.zone)
        else:
            end = start + timedelta(hours=1)
        return max(1, ceil(end.timestamp() - self.now().timestamp()))
