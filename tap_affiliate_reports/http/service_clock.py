"""The service's clock, as the Date headers of its answers show it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from tap_affiliate_reports.clock import Clock

FURTHEST = timedelta(days=7)
"""How far the service's clock may be from this machine's; a Date further off is a fault."""

logger = logging.getLogger(__name__)


def http_date(text: str) -> datetime | None:
    """Return the moment that a header names, in UTC; None where it names none."""
    try:
        moment = parsedate_to_datetime(text)
        # Dates in HTTP are in GMT, whether they say so or not.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass
class ServiceClock:
    """Tells the time by the last Date header that can be right, else by this machine's clock."""

    clock: Clock
    host: str
    _offset: timedelta = timedelta(0)
    _has_warned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> datetime:
        """Return the present moment by the service's clock."""
        return self.clock.now() + self._offset

    def note(self, date: str) -> None:
        """Set the clock by a Date header, unless it is too far from this machine's clock."""
        moment = http_date(date)
        if moment is None:
            return
        offset = moment - self.clock.now()
        if abs(offset) <= FURTHEST:
            self._offset = offset
            return
        with self._lock:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            logger.warning(
                "ignoring the Date header %s of %s: it is %d days away from this machine's clock. "
                "Check this machine's clock and the proxies on the way",
                moment.isoformat(), self.host, abs(offset).days,
            )  # fmt: skip
