"""A job: queued, running, done; where it stands follows from the clock alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tap_affiliate_reports.sandbox.impact.report import File

QUEUED, RUNNING, COMPLETED, STUCK = "QUEUED", "RUNNING", "COMPLETED", "STUCK"
KEPT = timedelta(days=90)
"""How long a result is kept."""


@dataclass(frozen=True)
class Outcome:
    """How a job's run ends: a state word, or STUCK for one that runs for ever."""

    status: str = COMPLETED
    message: str = ""


@dataclass
class Job:
    """One job. `queued` is when its present run was asked for, `seconds` how long that takes."""

    id: str
    report_id: str
    params: dict[str, list[str]]
    created: datetime
    make: Callable[[datetime], File]
    seconds: float = 0
    outcome: Outcome = Outcome()
    queued: datetime = field(init=False)
    last_completed: datetime | None = None
    replays: int = 0
    replayable: bool = True
    type: str = "ApiReport"
    _file: File | None = None
    _made_at: datetime | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.queued = self.created

    @property
    def started(self) -> datetime:
        """When the present run begins, in the future perhaps."""
        return self.queued + timedelta(seconds=self.seconds * 0.1)

    @property
    def completed(self) -> datetime:
        """When the present run ends, in the future perhaps."""
        return self.queued + timedelta(seconds=self.seconds)

    def status(self, now: datetime) -> str:
        """Return the state word."""
        if now < self.started:
            return QUEUED
        if now < self.completed or self.outcome.status == STUCK:
            return RUNNING
        return self.outcome.status

    def done(self, now: datetime) -> bool:
        """Whether the present run has ended, well or not."""
        return self.status(now) not in {QUEUED, RUNNING}

    def expired(self, now: datetime) -> bool:
        """Whether the result is no longer kept."""
        return self.done(now) and now >= self.completed + KEPT

    def percent(self, now: datetime) -> int:
        """How much of the present run is over, 0 to 100; a stuck one stays at 99."""
        if now >= self.completed:
            return 99 if self.outcome.status == STUCK else 100
        if now < self.started:
            return 0
        return int(100 * (now - self.queued).total_seconds() / self.seconds)

    def replay(self, now: datetime) -> None:
        """Start again at `now`."""
        if self.status(now) == COMPLETED:
            self.last_completed = self.completed
        self.queued = now
        self.replays += 1

    def file(self, now: datetime) -> File | None:
        """Return the result as of the moment the job completed; None while there is none."""
        if self.status(now) != COMPLETED:
            return None
        with self._lock:
            if self._file is None or self._made_at != self.completed:
                self._file, self._made_at = self.make(self.completed), self.completed
            return self._file
