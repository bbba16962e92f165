"""The account's jobs: scheduling, identical requests, replays, and the document of a job."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tap_affiliate_reports.sandbox.impact.job import COMPLETED, ERROR, MAX_RETRIES, Job, Outcome
from tap_affiliate_reports.sandbox.impact.limits import CLICK_EXPORT, REPORT_EXPORT, Limits
from tap_affiliate_reports.sandbox.impact.report import File, Query, Report
from tap_affiliate_reports.sandbox.impact.wire import Refused
from tap_affiliate_reports.sandbox.message import Clock

ENDED = {
    COMPLETED: "CompletedDate",
    "CANCELLED": "CancelledDate",
    "FAILED": "FailedDate",
    ERROR: "FailedDate",
}

CLICK_EXPORTS_PER_DAY = 10
CLICKS = "clicks"
"""The report id of ClickExport jobs."""
JOB_TYPES = {REPORT_EXPORT: "ApiReport", CLICK_EXPORT: "ClickExport"}
"""The types of the jobs that each endpoint schedules."""

Params = dict[str, list[str]]


@dataclass(frozen=True)
class Export:
    """One ReportExport or ClickExport request that counted against its quota of the day."""

    time: datetime
    report_id: str
    params: Params
    job_id: str
    scheduled: bool
    """False if an earlier identical request scheduled the job."""


class JobBoard:
    """Reports, clicks, and their export jobs.

    `job_seconds` is how long a run takes, or a function of the job. With `replay_new_id` a replay
    is a new job. `job_words` renames states (`{"COMPLETED": "DONE"}`). `reports` and `jobs` are
    by id (a report without id by its name); `exports` are the ReportExport requests that counted,
    oldest first, `click_exports` the ClickExport requests. `clicks` is the report that ClickExport
    returns, a day at a time; it is not in the list of reports.
    """

    def __init__(
        self,
        now: Clock,
        zone: ZoneInfo,
        account_sid: str,
        job_seconds: float | Callable[[Job], float],
        exports_per_day: int,
    ) -> None:
        self.now = now
        self.zone = zone
        self.account_sid = account_sid

        self.job_seconds = job_seconds
        daily = {REPORT_EXPORT: exports_per_day, CLICK_EXPORT: CLICK_EXPORTS_PER_DAY}
        self.limits = Limits(now, zone, daily)
        self.replay_new_id = False
        self.replay_forbidden: bool | Callable[[Job], bool] = False
        self.job_words: dict[str, str] = {}

        self.reports: dict[str, Report] = {}
        self.clicks = Report(CLICKS, "Clicks")
        self.jobs: dict[str, Job] = {}
        self.exports: list[Export] = []
        self.click_exports: list[Export] = []
        self.replays = 0

        self.lock = threading.Lock()
        self._outcomes: deque[tuple[str | None, Outcome]] = deque()
        self._identical: dict[tuple[object, ...], str] = {}

    @property
    def base(self) -> str:
        """The path of the account's resources."""
        return f"/Mediapartners/{self.account_sid}"

    @property
    def exports_per_day(self) -> int:
        """How many ReportExport requests the account has a day."""
        return self.limits.daily[REPORT_EXPORT]

    @exports_per_day.setter
    def exports_per_day(self, count: int) -> None:
        self.limits.daily[REPORT_EXPORT] = count

    @property
    def exports_today(self) -> int:
        """How many of them it has used on the present day of its zone."""
        return self.limits.used(REPORT_EXPORT)

    @property
    def click_exports_per_day(self) -> int:
        """How many ClickExport requests the account has a day."""
        return self.limits.daily[CLICK_EXPORT]

    @click_exports_per_day.setter
    def click_exports_per_day(self, count: int) -> None:
        self.limits.daily[CLICK_EXPORT] = count

    @property
    def click_exports_today(self) -> int:
        """How many of them it has used on the present day of its zone."""
        return self.limits.used(CLICK_EXPORT)

    def fail_next(
        self,
        status: str = "FAILED",
        message: str = "",
        times: int = 1,
        report: str | None = None,
        heals_after: int | None = 1,
    ) -> None:
        """End the next jobs (exports and replays) in any state; STUCK never ends.

        The service retries a job in ERROR. The job completes after `heals_after` retries; with
        None, or more retries than the service's limit, it ends in FAILED.
        """
        outcome = Outcome(status, message)
        if status == ERROR:
            if heals_after is not None and heals_after <= MAX_RETRIES:
                outcome = Outcome(COMPLETED, message, heals_after)
            else:
                outcome = Outcome("FAILED", message, MAX_RETRIES)
        self._outcomes.extend([(report, outcome)] * times)

    def export(self, report: Report, params: Params, query: Query) -> Job:
        """Return the job of an identical request, or schedule one; both count."""
        report_id = str(report.id)

        def make(moment: datetime) -> File:
            return self.reports.get(report_id, report).file_at(moment, query)

        return self._find_or_schedule(REPORT_EXPORT, report_id, params, make, self.exports)

    def export_clicks(self, query: Query) -> Job:
        """Return the job of an identical request for clicks, or schedule one; both count.

        The parameters of the job are those of the query, with the defaults.
        """
        params = {"Date": [str(query.start)], **query.filters, "ResultFormat": [query.format]}

        def make(moment: datetime) -> File:
            return self.clicks.file_at(moment, query)

        return self._find_or_schedule(CLICK_EXPORT, CLICKS, params, make, self.click_exports)

    def _find_or_schedule(
        self,
        endpoint: str,
        report_id: str,
        params: Params,
        make: Callable[[datetime], File],
        counted: list[Export],
    ) -> Job:
        with self.lock:
            now = self.now()
            if self.limits.exceeded(endpoint):
                raise Refused(429, f"The account has no {endpoint} requests left today")
            key = (endpoint, *identity(report_id, params))
            job = self.jobs.get(self._identical.get(key, ""))
            scheduled = job is None or job.expired(now)
            if job is None or scheduled:
                job = Job(str(uuid.uuid4()), report_id, params, now, make, type=JOB_TYPES[endpoint])
                self._identical[key] = self._schedule(job).id
            self.limits.count_accepted(endpoint)
            counted.append(Export(now, report_id, params, job.id, scheduled))
            return job

    def _schedule(self, job: Job) -> Job:
        job.seconds = self.job_seconds(job) if callable(self.job_seconds) else self.job_seconds
        job.outcome = self._next_outcome(job.report_id)
        self.jobs[job.id] = job
        return job

    def _next_outcome(self, report_id: str) -> Outcome:
        for index, (wanted, outcome) in enumerate(self._outcomes):
            if wanted in {None, report_id}:
                del self._outcomes[index]
                return outcome
        return Outcome()

    def job(self, job_id: str, gone: int = 404) -> Job:
        """Return a job that is still kept; `gone` is the HTTP status for one that is not."""
        job = self.jobs.get(job_id)
        if job is None:
            raise Refused(404, f"There is no job {job_id}")
        if job.expired(self.now()):
            raise Refused(gone, f"The result of job {job_id} is no longer kept")
        return job

    def replay(self, job: Job) -> Job:
        """Run a finished job again, as itself or as a new one."""
        refused = self.replay_forbidden
        with self.lock:
            if callable(refused):
                refused = refused(job)
            if refused or not job.replayable or not job.done(self.now()):
                raise Refused(403, "The job can't be replayed now")
            self.replays += 1
            if self.replay_new_id:
                job = self._successor(job)
            else:
                job.replay(self.now())
            return self._schedule(job)

    def _successor(self, job: Job) -> Job:
        successor = Job(
            str(uuid.uuid4()), job.report_id, job.params, self.now(), job.make, type=job.type
        )
        successor.replays = job.replays + 1
        for key, job_id in self._identical.items():
            if job_id == job.id:
                self._identical[key] = successor.id
        return successor

    def document(self, job: Job) -> dict[str, object]:
        """Return the document of a job: every value is text, "" for no date."""
        now = self.now()
        file = job.file(now)
        well = job.status(now) == COMPLETED
        started, completed = job.started(now), job.completed(now)
        dates = {
            "CreatedDate": job.created,
            "StartedDate": started if now >= started else None,
            "CompletedDate": job.last_completed,
            "AbandonedDate": None,
            "CancelledDate": None,
            "FailedDate": None,
            "LastProgressUpdateDate": min(now, completed) if now >= started else None,
        }
        if ended := ENDED.get(job.status(now)):
            dates[ended] = completed
        uri = f"{self.base}/Jobs/{job.id}"
        return {
            "Id": job.id,
            "Type": job.type,
            "ProgramId": job.params.get("ProgramId" if _has_clicks(job) else "SUBAID", [""])[0],
            "CreatedBy": self.account_sid,
            **{name: self._date(moment) for name, moment in dates.items()},
            "Status": self.word(job, now),
            "StatusMessage": job.message(now),
            "RecordsProcessed": self._records(job, file.records if file else 0) if well else "0",
            "PercentageComplete": str(job.percent(now)),
            "Replayable": str(job.replayable).lower(),
            "ResultUri": f"{uri}/Download",
            "Uri": uri,
        }

    def _records(self, job: Job, count: int | None) -> str:
        report = self.clicks if _has_clicks(job) else self.reports.get(job.report_id)
        shown: int | str | None = count
        if report and report.records_processed:
            shown = report.records_processed(count)
        return "" if shown is None else str(shown)

    def _date(self, moment: datetime | None) -> str:
        return moment.astimezone(self.zone).isoformat(timespec="seconds") if moment else ""

    def word(self, job: Job, now: datetime) -> str:
        """Return the state in the service's words."""
        word = job.status(now)
        return self.job_words.get(word, word)


def identity(report_id: str, query: Params, ignore: set[str] | None = None) -> tuple[object, ...]:
    """Return the identity of a request: the report and every parameter not ignored."""
    kept = ((name, tuple(values)) for name, values in query.items() if name not in (ignore or ()))
    return (report_id, *sorted(kept))


def _has_clicks(job: Job) -> bool:
    return job.type == JOB_TYPES[CLICK_EXPORT]
