"""One export's steps: schedule, poll, judge, replay, download; each leads to the next.

What a step can't mend it raises, and whoever took it decides what becomes of the others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

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
    Unavailable,
)
from tap_affiliate_reports.exports.download import Downloads
from tap_affiliate_reports.exports.export import LOADED_BEFORE, Export, Limits, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportJob, ExportSource, JobState
from tap_affiliate_reports.exports.quota import Quota
from tap_affiliate_reports.http import NotReady

MAX_FAILURES = 3
LONGEST_PAUSE = 30.0
NEARLY_DONE = 80
# A failed job is replayed after this many poll intervals, then after twice as many.
REPLAY_PAUSE = 5

logger = logging.getLogger(__name__)


@dataclass
class Steps:
    """Takes one export a step further; none of them waits.

    Before an export that was not planned is spent, `gives_way` may put it behind those that were;
    `still_needed` is how many exports these will spend. `has_slot` says whether a file may be
    downloaded now.
    """

    source: ExportSource
    clock: Clock
    limits: Limits
    quota: Quota
    downloads: Downloads
    gives_way: Callable[[Export], bool]
    still_needed: Callable[[], int]
    has_slot: Callable[[Export], bool]

    def start(self, export: Export) -> None:
        """Look at the job that was noted before, else ask for a new one."""
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
            self.judge(export, job)

    def _schedule(self, export: Export) -> None:
        if not export.request.synchronous:
            if export.known_job and self.gives_way(export):
                return
            if not self._spend(export):
                export.leave(self.quota.line, is_quota=True)
                return
        self._asked(export)
        try:
            job = self.source.schedule(export.request, lambda: self._spend(export))
        except RateLimited as error:
            # Only this endpoint has a quota of its own: replays and downloads go on.
            export.exports_spent -= 1
            self.quota.refused(str(error))
            export.leave(self.quota.line, is_quota=True)
            return
        if job.id:
            logger.info("scheduled %s: job %s (%s)", export, job.id, job.word)
            self.quota.note(job.exports_left, self.still_needed())
        export.seen_running = job.is_new
        if job.state is JobState.RUNNING:
            # It may be an old job, finished long ago: only a poll tells.
            export.job, export.step = job, Step.RUNNING
            export.next_try = self.clock.monotonic()
        else:
            self.judge(export, job)

    def _spend(self, export: Export) -> bool:
        may = self.quota.spend()
        export.exports_spent += may
        return may

    def poll(self, export: Export) -> None:
        """Ask how far the job is."""
        job = export.job
        assert job is not None  # noqa: S101 # a running export has a job
        try:
            job = self.source.poll(job.id)
        except Unavailable as error:
            self._poll_again(export, error)
        except NotFound:
            self._gone(export, job.id)
        else:
            self.judge(export, job)

    def _poll_again(self, export: Export, error: Unavailable) -> None:
        logger.warning("%s: polling failed, the job goes on: %s", export, error)
        if export.step is not Step.RETRYING:
            export.step = Step.RUNNING
        self._pause(export)

    def judge(self, export: Export, job: ExportJob) -> None:
        """Go on as the job stands: fetch its file, replay it, or wait for it."""
        export.job = job
        if job.state is JobState.FAILED:
            self._failed(export, job)
        elif job.state is JobState.READY and not export.is_wanted(job):
            export.leave(LOADED_BEFORE)
        elif job.state is JobState.READY and self._may_be_taken(export, job):
            export.step = Step.FINISHED
            if self.has_slot(export):
                self.download(export)
        elif job.state is JobState.READY and not export.replayed:
            self.replay(export)
        elif job.state is JobState.READY:
            # A job that was replayed may show its old file for a while.
            export.step = Step.RUNNING
            self._pause(export)
        else:
            self._wait_for_end(export, job)

    def _wait_for_end(self, export: Export, job: ExportJob) -> None:
        export.seen_running = True
        # A date that is shown before the end is that of the old file.
        export.stale_at = job.finished_at or export.stale_at
        if job.state is JobState.RETRYING and export.step is not Step.RETRYING:
            logger.warning(
                "%s: job %s is in state %s%s; the service will retry it",
                export, job.id, job.word, f" ({job.message})" if job.message else "",
            )  # fmt: skip
        export.step = Step.RETRYING if job.state is JobState.RETRYING else Step.RUNNING
        self._pause(export)

    def _may_be_taken(self, export: Export, job: ExportJob) -> bool:
        if export.take_as_is or not job.id:
            return True
        is_new = job.finished_at is None or job.finished_at != export.stale_at
        if is_new and (export.seen_running or export.replayed):
            return True
        if export.replayed:
            return False
        return job.finished_at is not None and export.is_fresh(
            job.finished_at, self.source.server_now()
        )

    def believes(self, export: Export, job: ExportJob) -> bool:
        """Tell whether a list's word of the job is enough: it may be older than the last poll."""
        if job.state is not JobState.READY or job.finished_at is None:
            return job.state in {JobState.RUNNING, JobState.RETRYING}
        if export.replayed:
            return job.finished_at != export.stale_at
        return export.is_fresh(job.finished_at, self.source.server_now())

    def replay(self, export: Export) -> None:
        """Have the job run again."""
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
        same_id = replayed.id == job.id
        export.stale_at = (job.finished_at or export.stale_at) if same_id else None
        if replayed.state is JobState.READY and self._may_be_taken(export, replayed):
            self.judge(export, replayed)
        else:
            # The answer may still tell of the run before: only polls are believed.
            export.job, export.step = replayed, Step.RUNNING
            self._pause(export)

    def _replay_refused(self, export: Export, before: ExportJob, error: ApiError) -> None:
        # A replay that is already running is refused too, so look before giving up.
        job = self.source.poll(before.id)
        moved = job.state is JobState.READY and job.finished_at != before.finished_at
        if job.state in {JobState.RUNNING, JobState.RETRYING} or moved:
            export.replayed, export.stale_at = True, before.finished_at
            self.judge(export, job)
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
            self.judge(export, job)

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
            last = export.job or ExportJob(export.known_job, JobState.RUNNING)
            msg = (
                f"{export}: job {last.id} was not done after {self.limits.job_timeout:g} s "
                f"(job_timeout_seconds); its last state was {last.word or 'unknown'}"
                + (f" ({last.message})" if last.message else "")
                + ". The next sync asks for it again"
            )
            raise ExportTimedOut(msg)
        pause = max(self.limits.poll_interval, min(waited / 10, LONGEST_PAUSE))
        # The percentage of a job in error is that of the run that failed.
        job = export.job if export.step is not Step.RETRYING else None
        percent, before = job.percent if job else None, export.percent_seen
        if percent and percent >= NEARLY_DONE and (before is None or percent > before):
            # Half of what is left to wait, so that its end is seen soon.
            left = waited * (100 - percent) / percent
            pause = max(self.limits.poll_interval, min(pause, left / 2))
        export.percent_seen = percent
        # The last look is at the deadline itself.
        export.next_try = export.asked + min(waited + pause, self.limits.job_timeout)

    def download(self, export: Export) -> None:
        """Start to download the file of a finished job."""
        job = export.job
        assert job is not None  # noqa: S101 # it is finished
        export.step, export.landed = Step.DOWNLOADING, None
        self.downloads.begin(export, job)

    def take_landed(self, export: Export) -> None:
        """Go on with what a download brought."""
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
                self.replay(export)
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
