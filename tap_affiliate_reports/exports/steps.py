"""The steps of one export: request, poll, evaluate, replay, and what a download brought.

A step calls the service at most a few times and never waits. It records what it saw in the export
and returns an outcome, on which the flow acts. Errors that a step cannot handle propagate to the
flow.
"""

from __future__ import annotations

import logging
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
    Unavailable,
)
from tap_affiliate_reports.exports.export import Export, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportJob, ExportSource, JobState
from tap_affiliate_reports.exports.order import Limits
from tap_affiliate_reports.exports.outcomes import Next, Outcome, Ready, Skip, Wait
from tap_affiliate_reports.exports.quota import Quotas
from tap_affiliate_reports.http import NotReady

MAX_FAILURES = 3
LONGEST_PAUSE = 30.0
NEARLY_DONE = 80
# A failed job is replayed after this many poll intervals, then after twice as many.
REPLAY_PAUSE = 5

ALREADY_LOADED = "its file is already loaded"
REPLAY_REFUSED = "the service refused to rerun the job"
NOT_REFRESHED = "%s: not refreshed, rows in the warehouse unchanged: rerun of job %s refused: %s"
USING_OLD_FILE = (
    "%s: using the existing file of job %s from %s: the service refused to rerun the job: %s"
)
TOO_LARGE = ". If the report is too large for one job, set a smaller window"
JOB_UNKNOWN = "%s: job %s no longer exists; requesting a new export"
JOB_GONE = "%s: job %s no longer exists"
JOB_RETRIED = "%s: job %s is in state %s%s; the service will retry it"
JOB_TIMED_OUT = "job %s was not finished after %g s (job_timeout_seconds)"
POLL_FAILED = "%s: polling failed, the job goes on: %s"

logger = logging.getLogger(__name__)


@dataclass
class ExportSteps:
    """Takes one export a step further."""

    source: ExportSource
    clock: Clock
    limits: Limits
    quotas: Quotas

    def start(self, export: Export) -> Outcome:
        """Poll the job of an earlier run; without one, request an export."""
        export.started_at = self.clock.monotonic()
        previous = export.order.previous_job
        if not previous:
            return Next.REQUEST
        self._mark_requested(export)
        try:
            job = self.source.poll(previous)
        except (NotFound, Rejected):
            # Some services reject an id that they no longer know.
            return self._unknown(export, previous)
        except Unavailable as error:
            export.job = ExportJob(previous, JobState.RUNNING)
            return self._poll_again(export, error)
        return self.evaluate(export, job)

    def request(self, export: Export) -> Outcome:
        """Request a new export, if the quota allows it."""
        quota = self.quotas.of_export(export)
        if not export.order.request.synchronous and not self._spend(export):
            return Skip(quota.reason, for_quota=True)
        self._mark_requested(export)
        try:
            job = self.source.schedule(export.order.request, lambda: self._spend(export))
        except RateLimited as error:
            # Only this endpoint has a quota of its own: replays and downloads go on.
            export.exports_spent -= 1
            quota.refuse(str(error))
            return Skip(quota.reason, for_quota=True)
        if job.id:
            logger.info("requested %s: job %s (%s)", export, job.id, job.word)
            quota.update(job.exports_left)
        export.run.seen = job.is_new
        if job.state is JobState.RUNNING:
            # The job may be an old one that finished long ago: only a poll can say.
            export.job = job
            return Wait(Step.RUNNING, self.clock.monotonic())
        return self.evaluate(export, job)

    def poll(self, export: Export) -> Outcome:
        """Poll the job itself."""
        export.polled_at = self.clock.monotonic()
        job_id = self.job_of(export).id
        try:
            job = self.source.poll(job_id)
        except Unavailable as error:
            return self._poll_again(export, error)
        except NotFound:
            return self._unknown(export, job_id)
        return self.evaluate(export, job)

    def evaluate(self, export: Export, job: ExportJob) -> Outcome:
        """Decide by the job's state: fetch its file, replay it, or wait."""
        export.job = job
        if job.state is JobState.FAILED:
            return self._failed(export, job)
        if job.state is JobState.READY:
            if not export.order.judge.claim(job):
                return Skip(ALREADY_LOADED)
            if self._accepts(export, job):
                return Next.FETCH
            # A job that was replayed may show its old file for a while.
            return self._wait(export, Step.RUNNING) if export.run.is_replay else Next.REPLAY
        return self._wait_for_end(export, job)

    def replay(self, export: Export) -> Outcome:
        """Have the service run the job again."""
        job = self.job_of(export)
        self._mark_requested(export)
        try:
            replayed = self.source.replay(job.id)
        except (Forbidden, Rejected) as error:
            return self._replay_refused(export, job, error)
        except NotFound:
            return self._unknown(export, job.id)
        logger.info("replayed %s: job %s (%s)", export, replayed.id, replayed.word)
        run = export.run
        run.is_replay = True
        is_same = replayed.id == job.id
        run.old_finished_at = (job.finished_at or run.old_finished_at) if is_same else None
        if replayed.state is JobState.READY and self._accepts(export, replayed):
            return self.evaluate(export, replayed)
        # The answer may still describe the run before. Only polls are reliable.
        export.job = replayed
        return self._wait(export, Step.RUNNING)

    def downloaded(self, export: Export) -> Outcome:
        """Return the downloaded file; raise what went wrong with the download."""
        job, download, export.download = self.job_of(export), export.download, None
        if download is None:
            raise ExportFailed(f"{export}: internal error: no download was started")
        try:
            outcome = download.result()
        except NotFound:
            # The service knows the job but no longer keeps its file.
            return self._unknown(export, job.id) if export.run.is_replay else Next.REPLAY
        if isinstance(outcome, NotReady):
            return self._wait(export, Step.RUNNING)
        return Ready(
            ResultFile(
                job,
                job.finished_at or self.source.server_now(),
                outcome.path,
                outcome.summary,
                seconds_waited=self.clock.monotonic() - export.started_at,
            )
        )

    def job_of(self, export: Export) -> ExportJob:
        """Return the export's job; every step after the request has one."""
        if export.job is None:
            raise ExportFailed(f"{export}: internal error: no job is known")
        return export.job

    # How it is done

    def _spend(self, export: Export) -> bool:
        may = self.quotas.of_export(export).spend()
        export.exports_spent += may
        return may

    def _mark_requested(self, export: Export) -> None:
        export.requested_at = self.clock.monotonic()
        export.run.seen = False

    def _accepts(self, export: Export, job: ExportJob) -> bool:
        if not job.id:
            return True
        is_of_last_run = export.run.has_written(job.finished_at)
        if is_of_last_run is not None:
            return is_of_last_run
        return job.finished_at is not None and export.order.judge.is_fresh(
            job.finished_at, self.source.server_now()
        )

    def _poll_again(self, export: Export, error: Unavailable) -> Outcome:
        logger.warning(POLL_FAILED, export, error)
        step = Step.RETRYING if export.step is Step.RETRYING else Step.RUNNING
        return self._wait(export, step)

    def _wait_for_end(self, export: Export, job: ExportJob) -> Outcome:
        export.run.seen = True
        # A date that is shown before the job ends is that of the old file.
        export.run.old_finished_at = job.finished_at or export.run.old_finished_at
        if job.state is not JobState.RETRYING:
            return self._wait(export, Step.RUNNING)
        if export.step is not Step.RETRYING:
            message = f" ({job.message})" if job.message else ""
            logger.warning(JOB_RETRIED, export, job.id, job.word, message)
        return self._wait(export, Step.RETRYING)

    def _replay_refused(self, export: Export, before: ExportJob, error: ApiError) -> Outcome:
        # A replay that is already running is refused too, so poll before giving up.
        job = self.source.poll(before.id)
        moved = job.state is JobState.READY and job.finished_at != before.finished_at
        if job.state in {JobState.RUNNING, JobState.RETRYING} or moved:
            export.run.is_replay, export.run.old_finished_at = True, before.finished_at
            return self.evaluate(export, job)
        if job.state is JobState.FAILED:
            msg = (
                f"{export}: job {job.id} ended as {job.word}: {job.message}; "
                f"the service refused to rerun it: {error}"
            )
            raise ExportFailed(msg)
        if export.order.has_rows:
            logger.warning(NOT_REFRESHED, export, job.id, error)
            return Skip(REPLAY_REFUSED)
        logger.warning(USING_OLD_FILE, export, job.id, job.finished_at, error)
        export.run.accepts_any_file = True
        return self.evaluate(export, job)

    def _failed(self, export: Export, job: ExportJob) -> Outcome:
        export.failures += 1
        ended = f"job {job.id} ended as {job.word}" + (f": {job.message}" if job.message else "")
        if not self.source.replays:
            msg = f"{export}: {ended}"
            raise ExportFailed(msg)
        if export.failures >= MAX_FAILURES:
            request = export.order.request
            advice = "" if request.is_one_day else TOO_LARGE
            msg = f"{export}: {ended} (tried {MAX_FAILURES} times){advice}"
            raise ExportFailed(msg)
        logger.warning("%s: %s; replaying it", export, ended)
        pause = REPLAY_PAUSE * self.limits.poll_interval * export.failures
        return Wait(Step.PAUSED, self.clock.monotonic() + pause)

    def _unknown(self, export: Export, job_id: str) -> Outcome:
        if export.exports_spent or export.order.never_request:
            raise ExportFailed(JOB_GONE % (export, job_id))
        logger.info(JOB_UNKNOWN, export, job_id)
        export.run.is_replay = False
        return Next.REQUEST

    def _wait(self, export: Export, step: Step) -> Wait:
        """Return when the job is polled next; raise ExportTimedOut at its deadline."""
        waited = self.clock.monotonic() - export.requested_at
        if waited >= self.limits.job_timeout:
            last = export.job or ExportJob(export.order.previous_job, JobState.RUNNING)
            timed_out = JOB_TIMED_OUT % (last.id, self.limits.job_timeout)
            message = f" ({last.message})" if last.message else ""
            msg = (
                f"{export}: {timed_out}; its last state was {last.word or 'unknown'}{message}. "
                "The next sync tries again"
            )
            raise ExportTimedOut(msg)
        pause = max(self.limits.poll_interval, min(waited / 10, LONGEST_PAUSE))
        # The percentage of a job in error is that of the run that failed.
        job = export.job if step is not Step.RETRYING else None
        percent, before = job.percent if job else None, export.last_percent
        if percent and percent >= NEARLY_DONE and (before is None or percent > before):
            # Half of the time that remains, so that the end is seen soon.
            remaining = waited * (100 - percent) / percent
            pause = max(self.limits.poll_interval, min(pause, remaining / 2))
        export.last_percent = percent
        # The last poll is at the deadline itself.
        return Wait(step, export.requested_at + min(waited + pause, self.limits.job_timeout))
