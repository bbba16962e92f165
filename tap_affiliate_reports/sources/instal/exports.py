"""Instal.com's dialect of the export flow: tasks and their files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from tap_affiliate_reports.errors import NotFound, Rejected
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, ExportSource, JobState
from tap_affiliate_reports.formats import ResultFormat, csv
from tap_affiliate_reports.http import ApiClient, NotReady
from tap_affiliate_reports.sources.source import job_state
from tap_affiliate_reports.sources.values import text_of

# Two words are documented; the others are Celery's, whose task states they resemble.
STATES = {
    "PENDING": JobState.RUNNING,
    "QUEUED": JobState.RUNNING,
    "STARTED": JobState.RUNNING,
    "RETRY": JobState.RUNNING,
    "SUCCESS": JobState.READY,
    "FAILURE": JobState.FAILED,
    "REVOKED": JobState.FAILED,
}
# An id that never exists; asking for it checks the token and returns the server's Date.
NO_TASK = "00000000-0000-0000-0000-000000000000"


@dataclass
class _Task:
    """A task of this run: its request, when it was sent, and the link of the last poll."""

    request: ExportRequest
    requested_at: datetime
    link: str = ""


@dataclass
class InstalExports(ExportSource):
    """Requests tasks, polls and downloads them; each request creates a new task."""

    client: ApiClient
    interval: str
    sorting: str
    replays = True
    _tasks: dict[str, _Task] = field(default_factory=dict, repr=False)
    _has_answered: bool = False

    def check(self) -> None:
        """Poll an id that never exists; raises Unauthorized if the service refuses the token."""
        with contextlib.suppress(NotFound, Rejected):  # the expected answer
            self.client.json(NO_TASK)
        self._has_answered = True

    def server_now(self) -> datetime:
        """Return the present time by the service's Date headers."""
        if not self._has_answered:
            self.check()
        return self.client.server_now()

    def format_of(self, request: ExportRequest) -> ResultFormat:  # noqa: ARG002
        """CSV, the only format that is requested."""
        return csv

    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        """Request a task."""
        if request.start is None or request.end is None:
            msg = "internal error: the request has no dates"
            raise Rejected(msg)
        body = {
            "start_date": request.start.isoformat(),
            "stop_date": request.end.isoformat(),
            "sorting": self.sorting,
            "format": "csv",
            "csv_headers": True,
            "interval": self.interval,
        }
        answer = self.client.json("", method="POST", body=body, may_repeat=spend_again)
        document = answer.document if isinstance(answer.document, dict) else {}
        word, task = text_of(document.get("result")), text_of(document.get("task_id"))
        if not task or STATES.get(word.upper(), JobState.FAILED) is JobState.FAILED:
            answered = self.client.safe_message(str(document))
            msg = f"the request for {request.start} to {request.end} is refused: {answered}"
            raise Rejected(msg)
        self._tasks[task] = _Task(request, self.client.server_now())
        return ExportJob(task, JobState.RUNNING, word=word, is_new=True)

    def poll(self, job_id: str) -> ExportJob:
        """Return the state of a task; one of an earlier run may never end and counts as gone."""
        task = self._task(job_id)
        answer = self.client.json(quote(job_id, safe=""))
        document = answer.document if isinstance(answer.document, dict) else {}
        word = text_of(document.get("state")).strip()
        state = job_state(STATES, word, f"task {job_id}", self.client.safe_message)
        task.link = text_of(document.get("result")) if state is JobState.READY else ""
        if state is JobState.READY and not task.link:
            state, word = JobState.RUNNING, f"{word} without a link"
        # The answer has no date, but the file can't be older than its request.
        finished_at = task.requested_at if state is JobState.READY else None
        return ExportJob(job_id, state, word=word, finished_at=finished_at)

    def replay(self, job_id: str) -> ExportJob:
        """Request the same days again, as a new task."""
        return self.schedule(self._task(job_id).request, lambda: True)

    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:  # noqa: ARG002
        """Store a task's file; a link that has expired is requested again."""
        task = self._task(job.id)

        def link() -> str:
            if not task.link:
                self.poll(job.id)
            known, task.link = task.link, ""
            if not known:
                msg = f"task {job.id} no longer has a file"
                raise NotFound(msg)
            return known

        return self.client.download(link, target)

    def _task(self, job_id: str) -> _Task:
        if job_id not in self._tasks:
            msg = f"task {job_id} is not one of this run"
            raise NotFound(msg)
        return self._tasks[job_id]
