"""impact.com's dialect of the export flow: ReportExport, Jobs, and the synchronous Reports."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tap_affiliate_reports.errors import NotFound, Rejected, UnknownJobState
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, ExportSource, JobState
from tap_affiliate_reports.formats import ResultFormat, csv, records
from tap_affiliate_reports.http import NotReady, disk
from tap_affiliate_reports.sources.impact import clicks
from tap_affiliate_reports.sources.impact.api import ImpactApi
from tap_affiliate_reports.sources.source import job_state
from tap_affiliate_reports.sources.values import moment, number, text_of

# The service's words for a job's state. A job in ERROR is not finished: the service runs it again
# every 15 minutes, up to five times, and only then sets FAILED.
STATES = {
    "QUEUED": JobState.RUNNING,
    "RUNNING": JobState.RUNNING,
    "COMPLETED": JobState.READY,
    "FAILED": JobState.FAILED,
    "ERROR": JobState.RETRYING,
    "CANCELLED": JobState.FAILED,
}

# Pages of the job list to read in one poll, at most. Whether the list has pages is not documented.
LIST_PAGES = 3
# One attempt is enough, because jobs can be polled individually.
LIST_ATTEMPTS = 1
# The headers that report the exports remaining, in the order in which they are trusted.
REMAINING_HEADERS = ("X-RateLimit-Remaining-hour", "X-RateLimit-Remaining", "RateLimit-Remaining")
# Results are kept for 90 days.
OLDEST = timedelta(days=90)
# Rows on a page of the synchronous endpoint.
RUN_PAGE_ROWS = 20_000
IF_TOO_LONG = "If the service refuses the range of days, set a smaller window"
IF_TOO_OLD = "If the service has no clicks of so old a day, set a later start_date"
IF_CUT = "use mode: export"


@dataclass
class ImpactExports(ExportSource):
    """Schedules, polls, replays and downloads the exports of one account."""

    api: ImpactApi
    replays = True

    def server_now(self) -> datetime:
        """Return the present time by the service's Date headers."""
        return self.api.client.server_now()

    def format_of(self, request: ExportRequest) -> ResultFormat:
        """Return CSV for a job, JSON records for the synchronous endpoint."""
        return records if request.synchronous else csv

    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        """Request an export; a synchronous request is ready without a job."""
        if request.synchronous:
            return ExportJob("", JobState.READY)
        path, params, advice = self._export(request)
        params["ResultFormat"] = "CSV"
        try:
            reply = self.api.client.json(path, params, may_repeat=spend_again)
        except (NotFound, Rejected) as error:  # bad input may be answered with 404
            msg = f"{error}. {advice}"
            raise Rejected(msg) from None
        answer = reply.document
        uri = text_of(answer.get("QueuedUri")) if isinstance(answer, dict) else ""
        job_id = unquote(re.split("[?#]", uri)[0].rstrip("/").rpartition("/")[2])
        if job_id in {"", ".", ".."}:
            msg = f"{request.report}: the answer to the export request names no job"
            raise Rejected(msg)
        # The answer is QUEUED even for a job that finished long ago.
        return ExportJob(
            job_id,
            JobState.RUNNING,
            word=text_of(answer.get("Status")),
            exports_left=number(_remaining(reply.headers)),
        )

    def _export(self, request: ExportRequest) -> tuple[str, dict[str, Any], str]:
        """Return the path and the parameters of a request, and the advice if it is rejected."""
        if clicks.is_clicks(request):
            return self.api.path("ClickExport"), clicks.params(request), IF_TOO_OLD
        return self.api.path("ReportExport", request.report), _params(request), IF_TOO_LONG

    def poll(self, job_id: str) -> ExportJob:
        """Return the present state of a job."""
        return self._job(self.api.client.json(self.api.path("Jobs", job_id)).document, job_id)

    def poll_all(self, jobs: Sequence[ExportJob]) -> Mapping[str, ExportJob]:
        """Return those of the jobs that the list shows, from the creation day of the oldest on."""
        wanted = {job.id for job in jobs}
        now = self.server_now()
        first = min(job.created_at or now for job in jobs)
        since = max(first, now - OLDEST).date() - timedelta(days=1)
        shown: dict[str, ExportJob] = {}
        pages = self.api.pages(
            self.api.path("Jobs"),
            "Jobs",
            {"CreatedAfter": since.isoformat()},
            attempts=LIST_ATTEMPTS,
        )
        # More pages would cost more requests than polling each job.
        for page in islice(pages, min(LIST_PAGES, len(jobs) - 1)):
            for document in page:
                job_id = text_of(document.get("Id")) if isinstance(document, dict) else ""
                if job_id in wanted:
                    with contextlib.suppress(UnknownJobState):  # raised by its own poll
                        shown[job_id] = self._job(document, job_id)
            if wanted <= shown.keys():
                break
        return shown

    def replay(self, job_id: str) -> ExportJob:
        """Run a job again; the answer names the job to poll."""
        path = self.api.path("Jobs", job_id, "Replay")
        document = self.api.client.json(path, method="PUT").document
        if not isinstance(document, dict) or not document.get("Status"):
            named = document.get("Id") if isinstance(document, dict) else None
            return ExportJob(text_of(named) or job_id, JobState.RUNNING)
        return self._job(document, job_id)

    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:
        """Store the job's file, or all pages of the synchronous endpoint."""
        if request.synchronous:
            with disk(target), target.open("wb") as file:
                records.write_records(file, self._run(request))
            return None
        return self.api.client.download(self.api.path("Jobs", job.id, "Download"), target)

    def store_first(self, request: ExportRequest, rows: int, target: Path) -> None:
        """Store the first rows of the synchronous endpoint's first page."""
        path = self.api.path("Reports", request.report)
        first = next(self.api.pages(path, "Records", _params(request)))
        with disk(target), target.open("wb") as file:
            records.write_records(file, first[:rows])

    def _job(self, document: Any, job_id: str) -> ExportJob:
        word = text_of(document.get("Status")).strip() if isinstance(document, dict) else ""
        state = job_state(STATES, word, f"job {job_id}", self.api.client.safe_message)
        return ExportJob(
            id=text_of(document.get("Id")) or job_id,
            state=state,
            word=word,
            message=self.api.client.safe_message(text_of(document.get("StatusMessage"))),
            created_at=moment(document.get("CreatedDate"), self.api.zone),
            finished_at=moment(document.get("CompletedDate"), self.api.zone),
            records=number(document.get("RecordsProcessed")),
            percent=number(document.get("PercentageComplete")),
        )

    def _run(self, request: ExportRequest) -> Iterator[dict[str, Any]]:
        path = self.api.path("Reports", request.report)
        rows = 0
        for page in self.api.pages(path, "Records", _params(request), if_cut=IF_CUT):
            rows = len(page)
            yield from page
        if rows >= RUN_PAGE_ROWS:
            msg = (
                f"{request.report}: the last page of the synchronous answer is full "
                f"({rows} rows) and has no link to a next one, so rows are missing: {IF_CUT}"
            )
            raise Rejected(msg)


def _remaining(headers: Mapping[str, str]) -> str:
    return next((headers[name] for name in REMAINING_HEADERS if name in headers), "")


def _params(request: ExportRequest) -> dict[str, Any]:
    params: dict[str, Any] = {name: list(values) for name, values in request.filters.items()}
    if request.start is not None and request.end is not None:
        params |= {"START_DATE": request.start.isoformat(), "END_DATE": request.end.isoformat()}
    if request.program:
        params["SUBAID"] = request.program
    return params
