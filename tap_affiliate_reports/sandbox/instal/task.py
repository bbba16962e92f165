"""A task: its parameters and its state, which depends on the clock alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

PENDING, SUCCESS = "PENDING", "SUCCESS"


@dataclass(frozen=True)
class Query:
    """The parameters of an export; both days are included."""

    start: date
    stop: date
    sorting: str = "campaign_id"
    interval: str = "daily"
    csv_headers: bool = True


@dataclass
class Task:
    """One task; `ends` is its state after `seconds`, `result` the result of that state."""

    id: str
    query: Query
    created: datetime
    make: Callable[[Task], bytes]
    seconds: float = 0
    ends: str = SUCCESS
    result: str | None = None
    _file: bytes | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def completed(self) -> datetime:
        """When the task ends; may be in the future."""
        return self.created + timedelta(seconds=self.seconds)

    def state(self, now: datetime) -> str:
        """Return the state."""
        return self.ends if now >= self.completed else PENDING

    def file(self) -> bytes:
        """Return the bytes as of the completion of the task; they are created once."""
        with self._lock:
            if self._file is None:
                self._file = self.make(self)
            return self._file
