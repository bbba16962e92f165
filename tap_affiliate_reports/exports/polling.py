"""Which of the running jobs are due, and how they are polled: all by one look at the job list.

The list may be stale or fail; jobs that it does not show reliably are polled individually.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.export import POLLED, Export
from tap_affiliate_reports.exports.job import ExportJob, ExportSource, JobState
from tap_affiliate_reports.exports.order import Limits

# A job that this many looks did not show is polled individually from then on.
MAX_ABSENT = 3
# For this many seconds the list is trusted that a job is still running.
LIST_TRUST = 600.0
# Seconds without a look after one that failed; doubled with each failure.
LIST_REST = 60.0
MAX_DOUBLINGS = 5

NO_LIST = "job list unavailable, polling jobs individually: %s"

logger = logging.getLogger(__name__)


@dataclass
class Polling:
    """Decides which jobs are polled now, and looks at the list of jobs for them."""

    source: ExportSource
    clock: Clock
    limits: Limits
    _next_look: float = field(default=0.0, init=False)
    _rests_until: float = field(default=0.0, init=False)
    _failures: int = field(default=0, init=False)

    def polls(self, exports: Iterable[Export]) -> Iterator[tuple[Export, ExportJob | None]]:
        """Yield each export that is due, with its job as the list shows it reliably.

        The job is None for those that are to be polled individually. What happens to an export
        that was yielded may end others before their turn.
        """
        now = self.clock.monotonic()
        running = [export for export in exports if export.step in POLLED]
        listed = self._listed(running, now)
        alone = [export for export in running if export not in listed]
        if now >= self._next_look and any(now >= export.next_try for export in listed):
            for export, job in self._look(listed):
                if job is None:
                    alone.append(export)
                elif export.step in POLLED:
                    yield export, job
            now = self.clock.monotonic()
        for export in alone:
            if export.step in POLLED and now >= export.next_try:
                yield export, None

    def due(self, exports: Sequence[Export]) -> list[float]:
        """Return when each of these exports is to be polled."""
        listed = self._listed(exports, self.clock.monotonic())
        return [
            max(export.next_try, self._next_look) if export in listed else export.next_try
            for export in exports
        ]

    def _listed(self, running: Iterable[Export], now: float) -> list[Export]:
        """Return the exports that are polled by the list, if they are two or more."""
        found = [
            export
            for export in running
            if export.absent_from_list < MAX_ABSENT
            and now < export.requested_at + self.limits.job_timeout
            and now < max(export.requested_at, export.polled_at) + LIST_TRUST
        ]
        return found if len(found) > 1 and now >= self._rests_until else []

    def _look(self, exports: Sequence[Export]) -> list[tuple[Export, ExportJob | None]]:
        """Look at the list once; return each export with its job, None if that is not reliable."""
        try:
            shown = self.source.poll_all([export.job for export in exports if export.job])
        except Unauthorized:
            raise
        except (Forbidden, NotFound, Rejected) as error:
            self._rest(math.inf, error)
            return [(export, None) for export in exports]
        except TapError as error:
            # The jobs may still answer, and a rate limit of theirs ends the run.
            requested = error.retry_after if isinstance(error, RateLimited) else None
            rest = LIST_REST * 2 ** min(self._failures, MAX_DOUBLINGS)
            self._rest(max(rest, requested or 0.0), error)
            return [(export, None) for export in exports]
        now = self.clock.monotonic()
        self._next_look, self._failures = now + self.limits.poll_interval, 0
        found = []
        for export in exports:
            job = shown.get(export.job.id) if export.job else None
            export.absent_from_list += job is None
            # The last poll before a deadline is of the job itself.
            is_over = now >= export.requested_at + self.limits.job_timeout
            is_reliable = job is not None and not is_over and self._is_reliable(export, job)
            found.append((export, job if is_reliable else None))
        return found

    def _is_reliable(self, export: Export, job: ExportJob) -> bool:
        """Return whether the list's entry is enough: it may be older than the last poll."""
        if job.state is not JobState.READY or job.finished_at is None:
            return job.state in {JobState.RUNNING, JobState.RETRYING}
        if export.run.is_replay:
            return job.finished_at != export.run.old_finished_at
        return export.order.judge.is_fresh(job.finished_at, self.source.server_now())

    def _rest(self, seconds: float, error: Exception) -> None:
        self._failures += 1
        self._rests_until = self.clock.monotonic() + seconds
        logger.info(NO_LIST, error)
