"""How the jobs under way are asked for: by one look at the service's list for all that it shows.

A list may lag, lie or fail: whatever it does not tell rightly, the job itself is asked for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.export import POLLED, Export, Limits
from tap_affiliate_reports.exports.job import ExportSource
from tap_affiliate_reports.exports.steps import Steps

# A job that so many looks did not show is asked for alone from then on.
MAX_MISSES = 3
# For so many seconds the list is believed that a job is still running.
LIST_TRUST = 600.0
# Seconds without a look after one that failed; doubled with each that fails.
LIST_REST = 60.0
MAX_DOUBLINGS = 5

logger = logging.getLogger(__name__)


@dataclass
class Polling:
    """Polls what is due; `attempt` takes an export a step further and keeps what goes wrong."""

    source: ExportSource
    clock: Clock
    limits: Limits
    steps: Steps
    attempt: Callable[[Export, Callable[[Export], None]], None]
    _next_look: float = 0.0
    _rests_until: float = 0.0
    _failures: int = 0

    def poll(self, exports: Iterable[Export]) -> None:
        """Poll those of these exports whose jobs run and are due."""
        now = self.clock.monotonic()
        running = [export for export in exports if export.step in POLLED]
        listed = self._listed(running, now)
        alone = [export for export in running if export not in listed]
        if now >= self._next_look and any(now >= export.next_try for export in listed):
            alone += self._look(listed)
            now = self.clock.monotonic()
        for export in alone:
            if export.step in POLLED and now >= export.next_try:
                export.asked_alone = now
                self.attempt(export, self.steps.poll)

    def due(self, exports: Sequence[Export]) -> list[float]:
        """Return when each of these exports is to be polled."""
        listed = self._listed(exports, self.clock.monotonic())
        return [
            max(export.next_try, self._next_look) if export in listed else export.next_try
            for export in exports
        ]

    def _listed(self, running: Iterable[Export], now: float) -> list[Export]:
        """Return what is polled by the list: two or more; the last poll is of the job itself."""
        found = [
            export
            for export in running
            if export.misses < MAX_MISSES
            and now < export.asked + self.limits.job_timeout
            and now < max(export.asked, export.asked_alone) + LIST_TRUST
        ]
        return found if len(found) > 1 and now >= self._rests_until else []

    def _look(self, exports: Sequence[Export]) -> list[Export]:
        """Look at the list once and return the exports of which it does not tell enough."""
        try:
            shown = self.source.poll_all([export.job for export in exports if export.job])
        except Unauthorized:
            raise
        except (Forbidden, NotFound, Rejected) as error:
            self._rest(math.inf, error)
            return list(exports)
        except TapError as error:
            # The jobs themselves may still be asked for, and a limit of theirs ends the run.
            asked_for = error.retry_after if isinstance(error, RateLimited) else None
            rest = LIST_REST * 2 ** min(self._failures, MAX_DOUBLINGS)
            self._rest(max(rest, asked_for or 0.0), error)
            return list(exports)
        now = self.clock.monotonic()
        self._next_look, self._failures = now + self.limits.poll_interval, 0
        untold = []
        for export in exports:
            job = shown.get(export.job.id) if export.job else None
            export.misses += job is None
            is_over = now >= export.asked + self.limits.job_timeout
            if job is None or is_over or not self.steps.believes(export, job):
                untold.append(export)
            elif export.step in POLLED:  # unless another's judgement ended it
                self.attempt(export, partial(self.steps.judge, job=job))
        return untold

    def _rest(self, seconds: float, error: Exception) -> None:
        self._failures += 1
        self._rests_until = self.clock.monotonic() + seconds
        logger.info("each job is polled by itself: %s", error)
