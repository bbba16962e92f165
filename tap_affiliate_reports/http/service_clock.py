"""The service's clock, as the Date headers of its responses show it."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

from tap_affiliate_reports.clock import Clock

MAX_OFFSET = timedelta(days=7)
"""How far the service's clock may differ from this machine's; a Date further off is ignored."""

IGNORED_DATE = (
    "ignoring the Date header %s of %s: it is %d days off this machine's clock. "
    "Check this machine's clock and the proxies on the way"
)

logger = logging.getLogger(__name__)


def http_date(text: str) -> datetime | None:
    """Return the moment in a header, in UTC; None if it is not a date."""
    try:
        moment = parsedate_to_datetime(text)
        # Dates in HTTP are in GMT, whether they say so or not.
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return aware.astimezone(timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


@dataclass
class ServiceClock:
    """Follows the last plausible Date header; this machine's clock until there is one."""

    clock: Clock
    host: str
    seen_offset: timedelta | None = field(init=False, default=None)
    """How far the last Date header was ahead of this machine's clock, plausible or not."""
    _offset: timedelta = field(init=False, default=timedelta(0))
    _has_warned: bool = field(init=False, default=False)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def now(self) -> datetime:
        """Return the present moment by the service's clock."""
        return self.clock.now() + self._offset

    def note(self, date: str) -> None:
        """Set the clock by a Date header, unless it differs too much from this machine's clock."""
        moment = http_date(date)
        if moment is None:
            return
        self.seen_offset = offset = moment - self.clock.now()
        if abs(offset) <= MAX_OFFSET:
            self._offset = offset
            return
        with self._lock:
            is_first, self._has_warned = not self._has_warned, True
        if is_first:
            logger.warning(IGNORED_DATE, moment.isoformat(), self.host, abs(offset).days)
