"""The export flow: schedule, poll, download; the only loop that sleeps.

All exports of a source share one queue, in the order in which they will be taken. At most
`max_concurrent_jobs` of them are in flight or spooled at once. The flow moves when it is asked to:
`take` waits for one export, `tick` does what is due without waiting. Downloads run beside it.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import (
    ApiError,
    ExportFailed,
    ExportTimedOut,
    Forbidden,
    NotFound,
    RateLimited,
    Rejected,
    TapError,
    Unauthorized,
    Unavailable,
)
from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import (
    LOADED_BEFORE,
    UNDER_WAY,
    Export,
    Limits,
    ResultFile,
    Step,
)
from tap_affiliate_reports.exports.job import ExportJob, ExportSource, JobState
from tap_affiliate_reports.exports.quota import Quota
from tap_affiliate_reports.http import NotReady

MAX_FAILURES = 3
LONGEST_PAUSE = 30.0
NEARLY_DONE = 80
HEARTBEAT = 30.0
# A failed job is replayed after this many poll intervals, then after twice as many.
REPLAY_PAUSE = 5

logger = logging.getLogger(__name__)


@dataclass
class ExportFlow:
    """Brings the files of many exports, in order, with a bounded number under way.

    `while_waiting` is called now and then, for whatever else must go on.
    """

    source: ExportSource
    clock: Clock
    spool: Path
    limits: Limits = field(default_factory=Limits)
    name: str = ""
    while_waiting: Callable[[], None] = lambda: None
    _waiting: deque[Export] = field(default_factory=deque)
    _active: list[Export] = field(default_factory=list)
    _heartbeat_due: float = 0.0

    def __post_init__(self) -> None:
        self._quota = Quota(self.limits.max_exports)
        self._downloads = Downloads(self.source, self.spool, self.name)

    def plan(self, exports: Iterable[Export]) -> None:
        """Queue exports in the order of taking; refreshes get what the quota leaves the others.

        Exports for which the quota does not suffice are left at once.
        """
        self._waiting.extend(exports)
        left = self._quota.left
        needed = (export for export in self._waiting if export.needs_export)
        for export in sorted(needed, key=lambda export: export.is_refresh):
            left -= 1
            if left < 0:
                export.leave(self._quota.line, is_quota=True)
        self._waiting = deque(export for export in self._waiting if export.step is Step.QUEUED)

    @property
    def exports_needed(self) -> int:
        """The number of exports that what is queued will spend."""
        return sum(export.needs_export for export in self._waiting)

    def take(self, export: Export) -> ResultFile | None:
        """Wait for one export's file; None where it was left as it is. Raises what went wrong."""
        # Of many that are left for the quota, none has anything to wait for.
        return None if export.is_left else self._wait_for(export)

    def _wait_for(self, export: Export) -> ResultFile | None:
        while True:
            self.while_waiting()
            self.tick()
            if export.step is Step.QUEUED:  # what is taken now never waits for a place
                self._waiting.remove(export)
                self._begin(export)
            if export.step is Step.READY:
                return export.result
            if export.error is not None:
                raise export.error
            if export.is_left:
                return None
            if export.step is not Step.QUEUED and export not in self._active:
                msg = f"{export}: lost by the queue as {export.step.value}"
                raise ExportFailed(msg)
            self._wait()

    def tick(self) -> None:
        """Do what is due, without waiting."""
        self._downloads.landed.clear()
        now = self.clock.monotonic()
        for export in list(self._active):
            if export.step is Step.DOWNLOADING and export.landed is not None:
                self._attempt(export, self._take_landed)
            elif export.step is Step.PAUSED and now >= export.next_try:
                self._attempt(export, self._replay)
        self._look(now)
        while self._waiting and self._under_way < self.limits.max_concurrent_jobs:
            export = self._waiting.popleft()
            if export.step is Step.QUEUED:
                self._begin(export)

    def release(self, export: Export) -> None:
        """Give up an export's place, and its file."""
        export.step = Step.DONE
        if export.result is not None:
            export.result.path.unlink(missing_ok=True)
        if export in self._active:
            self._active.remove(export)

    def abandon(self, stream: str) -> None:
        """Give up whatever of a stream is still queued, under way or spooled."""
        self._waiting = deque(export for export in self._waiting if export.stream != stream)
        for export in [export for export in self._active if export.stream == stream]:
            self.release(export)

    # Moving

    @property
    def _under_way(self) -> int:
        return sum(export.step in UNDER_WAY for export in self._active)

    def _begin(self, export: Export) -> None:
        self._active.append(export)
        self._attempt(export, self._start)

    def _attempt(self, export: Export, action: Callable[[Export], None]) -> None:
        try:
            action(export)
        except Unauthorized:
            raise
        except RateLimited as error:
            # A longer wait than we may make: nothing more can be asked in this run.
            for other in (*self._active, *self._waiting):
                if other.step not in {Step.READY, Step.FAILED, Step.LEFT}:
                    other.leave(str(error), is_quota=True)
        except TapError as error:
            export.step, export.error = Step.FAILED, _named(export, error)

    def _wait(self) -> None:
        now = self.clock.monotonic()
        if now >= self._heartbeat_due:
            if self._heartbeat_due:
                self._log_heartbeat()
            self._heartbeat_due = now + HEARTBEAT
        due = [e.next_try for e in self._active if e.step in {Step.RUNNING, Step.PAUSED}]
        pause = max(0.0, min(due, default=now + LONGEST_PAUSE) - now)
        if any(export.step is Step.DOWNLOADING for export in self._active):
            self._downloads.landed.wait(pause)
        elif pause:
            self.clock.sleep(pause)

    def _log_heartbeat(self) -> None:
        waiting = [e for e in self._active if e.step in UNDER_WAY and e.step is not Step.READY]
        told = ", ".join(f"{e} ({e.percent}%)" for e in waiting)
        logger.info("waiting for %d jobs: %s", len(waiting), told)

    # Polling

    def _look(self, now: float) -> None:
        """Poll what is due: by one look at the service's list where it shows more than one job."""
        running = [export for export in self._active if export.step is Step.RUNNING]
        listed = [export for export in running if export.is_listed]
        if len(listed) > 1 and any(now >= export.next_try for export in listed):
            self._attempt(listed[0], lambda _: self._poll_all(listed))
        for export in running:
            if export.step is Step.RUNNING and now >= export.next_try:
                self._attempt(export, self._poll)

    def _poll_all(self, exports: Sequence[Export]) -> None:
        try:
            shown = self.source.poll_all([export.job for export in exports if export.job])
        except (Forbidden, NotFound, Rejected, Unavailable):
            # The jobs themselves may still be asked for.
            shown = {}
        for export in exports:
            job = shown.get(export.job.id) if export.job else None
            if job is None:
                export.is_listed = False
            else:
                self._attempt(export, partial(self._judge, job=job))

    # One export

    def _start(self, export: Export) -> None:
        export.began = self.clock.monotonic()
        if not export.known_job:
            self._schedule(export)
            return
        self._asked(export)
        try:
            job = self.source.poll(export.known_job)
        except (NotFound, Rejected):
            # Some refuse an id that they no longer know as bad input.
            self._gone(export, export.known_job)
        except Unavailable as error:
            export.job = ExportJob(export.known_job, JobState.RUNNING)
            self._poll_again(export, error)
        else:
            self._judge(export, job)

    def _schedule(self, export: Export) -> None:
        if not export.request.synchronous:
            if export.known_job and self._planned_goes_first(export):
                return
            if not self._spend(export):
                export.leave(self._quota.line, is_quota=True)
                return
        self._asked(export)
        try:
            job = self.source.schedule(export.request, lambda: self._spend(export))
        except RateLimited as error:
            # Only this endpoint has a quota of its own: replays and downloads go on.
            export.exports_spent -= 1
            self._quota.refused(str(error))
            export.leave(self._quota.line, is_quota=True)
            return
        if job.id:
            logger.info("scheduled %s: job %s (%s)", export, job.id, job.word)
            self._quota.note(job.exports_left, self.exports_needed)
        export.seen_running = job.is_new
        if job.state is JobState.RUNNING:
            # It may be an old job, finished long ago: only a poll tells.
            export.job, export.step = job, Step.RUNNING
            export.next_try = self.clock.monotonic()
        else:
            self._judge(export, job)

    def _spend(self, export: Export) -> bool:
        may = self._quota.spend()
        export.exports_spent += may
        return may

    def _planned_goes_first(self, export: Export) -> bool:
        """Let what was planned to be spent come before an export that turned out to be needed."""
        promised = [other for other in self._waiting if other.needs_export]
        if promised and not self._quota.is_known:
            # What the service has left is told by the answer to an export request.
            self._waiting.remove(promised[0])
            self._begin(promised[0])
            self._active.remove(export)
            export.step = Step.QUEUED
            self._waiting.appendleft(export)
            return True
        if len(promised) >= self._quota.left:
            export.leave(self._quota.line, is_quota=True)
            return True
        return False

    def _poll(self, export: Export) -> None:
        job = export.job
        assert job is not None  # noqa: S101 # a running export has a job
        try:
            job = self.source.poll(job.id)
        except Unavailable as error:
            self._poll_again(export, error)
        except NotFound:
            self._gone(export, job.id)
        else:
            self._judge(export, job)

    def _poll_again(self, export: Export, error: Unavailable) -> None:
        logger.warning("%s: polling failed, the job goes on: %s", export, error)
        export.step = Step.RUNNING
        self._pause(export)

    def _judge(self, export: Export, job: ExportJob) -> None:
        export.job = job
        if job.state is JobState.FAILED:
            self._failed(export, job)
        elif job.state is JobState.READY and not export.is_wanted(job):
            export.leave(LOADED_BEFORE)
        elif job.state is JobState.READY and self._may_be_taken(export, job):
            self._fetch(export, job)
        elif job.state is JobState.READY and not export.replayed:
            self._replay(export)
        else:
            # A job that was replayed may show its old file for a while.
            export.seen_running = export.seen_running or job.state is JobState.RUNNING
            export.step = Step.RUNNING
            self._pause(export)

    def _may_be_taken(self, export: Export, job: ExportJob) -> bool:
        if export.seen_running or export.take_as_is or not job.id:
            return True
        if export.replayed:
            return job.finished_at is None or job.finished_at != export.stale_at
        return job.finished_at is not None and export.is_fresh(
            job.finished_at, self.source.server_now()
        )

    def _replay(self, export: Export) -> None:
        job = export.job
        assert job is not None  # noqa: S101 # only a job that is known is replayed
        self._asked(export)
        try:
            replayed = self.source.replay(job.id)
        except (Forbidden, Rejected) as error:
            self._replay_refused(export, job, error)
            return
        except NotFound:
            self._gone(export, job.id)
            return
        logger.info("replayed %s: job %s (%s)", export, replayed.id, replayed.word)
        export.replayed = True
        export.stale_at = job.finished_at if replayed.id == job.id else None
        if replayed.state is JobState.READY and self._may_be_taken(export, replayed):
            self._judge(export, replayed)
        else:
            # The answer may still tell of the run before: only polls are believed.
            export.job, export.step = replayed, Step.RUNNING
            self._pause(export)

    def _replay_refused(self, export: Export, before: ExportJob, error: ApiError) -> None:
        # A replay that is already running is refused too, so look before giving up.
        job = self.source.poll(before.id)
        moved = job.state is JobState.READY and job.finished_at != before.finished_at
        if job.state is JobState.RUNNING or moved:
            export.replayed, export.stale_at = True, before.finished_at
            self._judge(export, job)
        elif job.state is JobState.FAILED:
            msg = (
                f"{export}: job {job.id} ended as {job.word}: {job.message}; "
                f"its replay was refused: {error}"
            )
            raise ExportFailed(msg)
        elif export.was_loaded:
            logger.warning("%s: left as it was loaded: the replay of job %s was refused: %s",
                           export, job.id, error)  # fmt: skip
            export.leave("the replay was refused")
        else:
            logger.warning("%s: loaded as job %s made it at %s: its replay was refused: %s",
                           export, job.id, job.finished_at, error)  # fmt: skip
            export.take_as_is = True
            self._judge(export, job)

    def _failed(self, export: Export, job: ExportJob) -> None:
        export.failures += 1
        words = f"job {job.id} ended as {job.word}" + (f": {job.message}" if job.message else "")
        if not self.source.replays:
            msg = f"{export}: {words}"
            raise ExportFailed(msg)
        if export.failures >= MAX_FAILURES:
            msg = (
                f"{export}: {words} (tried {MAX_FAILURES} times). "
                "If the report is too large for one job, set a smaller window"
            )
            raise ExportFailed(msg)
        logger.warning("%s: %s; it is replayed", export, words)
        export.step = Step.PAUSED
        pause = REPLAY_PAUSE * self.limits.poll_interval * export.failures
        export.next_try = self.clock.monotonic() + pause

    def _gone(self, export: Export, job_id: str) -> None:
        if export.exports_spent or export.fetch_only:
            msg = f"{export}: the service no longer knows job {job_id}"
            raise ExportFailed(msg)
        logger.info("%s: job %s can't be taken up; it is exported anew", export, job_id)
        export.replayed = False
        self._schedule(export)

    def _asked(self, export: Export) -> None:
        export.asked = self.clock.monotonic()
        export.seen_running = False

    def _pause(self, export: Export) -> None:
        waited = self.clock.monotonic() - export.asked
        if waited >= self.limits.job_timeout:
            job = export.job or ExportJob(export.known_job, JobState.RUNNING)
            msg = (
                f"{export}: job {job.id} was not done after {self.limits.job_timeout:g} s "
                f"(job_timeout_seconds); its last state was {job.word or 'unknown'}"
                + (f" ({job.message})" if job.message else "")
                + ". The next sync asks for it again"
            )
            raise ExportTimedOut(msg)
        pause = max(self.limits.poll_interval, min(waited / 10, LONGEST_PAUSE))
        percent, before = export.job.percent if export.job else None, export.percent_seen
        if percent and percent >= NEARLY_DONE and (before is None or percent > before):
            # Half of what is left to wait, so that its end is seen soon.
            left = waited * (100 - percent) / percent
            pause = max(self.limits.poll_interval, min(pause, left / 2))
        export.percent_seen = percent
        # The last look is at the deadline itself.
        export.next_try = export.asked + min(waited + pause, self.limits.job_timeout)

    # Downloading

    def _fetch(self, export: Export, job: ExportJob) -> None:
        export.step, export.landed = Step.DOWNLOADING, None
        self._downloads.begin(export, job)

    def _take_landed(self, export: Export) -> None:
        landed, export.landed = export.landed, None
        job = export.job
        assert job is not None  # noqa: S101 # it was downloaded
        if isinstance(landed, NotReady):
            export.step = Step.RUNNING
            self._pause(export)
        elif isinstance(landed, NotFound):
            # The job is known but its file is not kept any longer.
            if export.replayed:
                self._gone(export, job.id)
            else:
                self._replay(export)
        elif isinstance(landed, TapError):
            raise landed
        elif landed is not None:
            export.result = ResultFile(
                job,
                job.finished_at or self.source.server_now(),
                *landed,
                seconds_waited=self.clock.monotonic() - export.began,
            )
            export.step = Step.READY


def _named(export: Export, error: TapError) -> TapError:
    """Return the error with its window's name in front, unless it is there."""
    if str(export) in str(error):
        return error
    named = copy.copy(error)
    named.args = (f"{export}: {error}",)
    return named
