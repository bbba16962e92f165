"""A job: queued, running, done; its state depends on the clock alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tap_affiliate_reports.sandbox.impact.report import File

QUEUED, RUNNING, COMPLETED, STUCK = "QUEUED", "RUNNING", "COMPLETED", "STUCK"
ERROR = "ERROR"
RETRY_PAUSE = timedelta(minutes=15)
"""How long after an ERROR the service runs the job again."""
MAX_RETRIES = 5
"""How often the service retries a job."""
KEPT = timedelta(days=90)
"""How long a result is kept."""


@dataclass(frozen=True)
class Outcome:
    """How a job ends: a state, or STUCK for a job that never ends.

    Before that, `errors` of its runs end in ERROR, and the service retries the job.
    """

    status: str = COMPLETED
    message: str = ""
    errors: int = 0


@dataclass
class Job:
    """One job. `queued` is when its present run was requested, `seconds` how long that takes."""

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

    def _run(self, now: datetime) -> int:
        """Return the number of the present run: 0, or that of the service's retry."""
        cycle = timedelta(seconds=self.seconds) + RETRY_PAUSE
        return max(0, min((now - self.queued) // cycle, self.outcome.errors))

    def _run_queued(self, now: datetime) -> datetime:
        return self.queued + self._run(now) * (timedelta(seconds=self.seconds) + RETRY_PAUSE)

    def started(self, now: datetime) -> datetime:
        """Return when the present run begins; may be in the future."""
        return self._run_queued(now) + timedelta(seconds=self.seconds * 0.1)

    def completed(self, now: datetime) -> datetime:
        """Return when the present run ends; may be in the future."""
        return self._run_queued(now) + timedelta(seconds=self.seconds)

    def status(self, now: datetime) -> str:
        """Return the state."""
        if now < self.started(now):
            return QUEUED
        if now < self.completed(now):
            return RUNNING
        if self._run(now) < self.outcome.errors:
            return ERROR
        return RUNNING if self.outcome.status == STUCK else self.outcome.status

    def done(self, now: datetime) -> bool:
        """Return whether the job has ended, successfully or not; ERROR is not an end."""
        return self.status(now) not in {QUEUED, RUNNING, ERROR}

    def message(self, now: datetime) -> str:
        """Return the message of a job that did not end successfully."""
        return "" if self.status(now) in {QUEUED, RUNNING, COMPLETED} else self.outcome.message

    def expired(self, now: datetime) -> bool:
        """Return whether the result is no longer kept."""
        return self.done(now) and now >= self.completed(now) + KEPT

    def percent(self, now: datetime) -> int:
        """Return the progress of the present run, 0 to 100; a stuck job stays at 99."""
        if now >= self.completed(now):
            return 99 if self.outcome.status == STUCK else 100
        if now < self.started(now):
            return 0
        return int(100 * (now - self._run_queued(now)).total_seconds() / self.seconds)

    def replay(self, now: datetime) -> None:
        """Start again at `now`."""
        if self.status(now) == COMPLETED:
            self.last_completed = self.completed(now)
        self.queued = now
        self.replays += 1

    def file(self, now: datetime) -> File | None:
        """Return the result as of the completion of the job; None before that."""
        if self.status(now) != COMPLETED:
            return None
        with self._lock:
            completed = self.completed(now)
            if self._file is None or self._made_at != completed:
                self._file, self._made_at = self.make(completed), completed
            return self._file
