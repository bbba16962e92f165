"""Instal.com: the Advertiser Report, made by tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import NotFound, Rejected, UnknownJobState
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, JobState
from tap_affiliate_reports.formats import ResultFormat, csv
from tap_affiliate_reports.http import ApiClient, HeaderAuth, NotReady
from tap_affiliate_reports.schema import Column, Kind
from tap_affiliate_reports.settings import ReportOptions, parse_zone
from tap_affiliate_reports.sources.source import (
    FileSpec,
    ListSpec,
    ReportSpec,
    SourcePolicy,
    account_label,
    flow_limits,
)
from tap_affiliate_reports.sources.values import text_of

API_URL = "https://dashboard.instal.com/advertiser/api/v1/reports/exports/"
REPORT = "advertiser_report"

COLUMNS = [
    Column(name, name, kind, description)
    for name, kind, description in (
        ("aff_sub_id", Kind.STRING, "The affiliate."),
        ("time", Kind.STRING, "The hour, day or month; the service tells no time zone."),
        ("clicks_aggr", Kind.INTEGER, "Clicks."),
        ("campaign", Kind.STRING, "The campaign's name."),
        ("country", Kind.STRING, "The country."),
        ("creative_id", Kind.STRING, "The creative's name."),
        ("app_id", Kind.STRING, "The app's package name."),
        ("campaign_id", Kind.INTEGER, "The campaign."),
        ("cost_aggr", Kind.DECIMAL, "Costs."),
        ("cr", Kind.DECIMAL, "The conversion rate."),
        ("conversions_aggr", Kind.INTEGER, "Conversions."),
        ("name_os", Kind.STRING, "The operating system."),
        ("version_os", Kind.STRING, "The operating system's version, such as 4.4.2."),
        ("lang", Kind.STRING, "The user's language."),
        ("publisher_id", Kind.INTEGER, "The publisher."),
    )
]

# Two words are documented; the others are those of the task queue they look like.
STATES = {
    "PENDING": JobState.RUNNING,
    "QUEUED": JobState.RUNNING,
    "STARTED": JobState.RUNNING,
    "RETRY": JobState.RUNNING,
    "SUCCESS": JobState.READY,
    "FAILURE": JobState.FAILED,
    "REVOKED": JobState.FAILED,
}
# What no task is called: an answer to it shows the service's clock and what it says of the token.
NO_TASK = "00000000-0000-0000-0000-000000000000"


@dataclass
class _Task:
    """A task of this run: what was asked for, when, and the link that the last look brought."""

    request: ExportRequest
    asked_at: datetime
    link: str = ""


@dataclass
class InstalExports:
    """Asks for tasks, polls and downloads them; each request makes a new one."""

    client: ApiClient
    interval: str
    sorting: str
    replays = True
    _tasks: dict[str, _Task] = field(default_factory=dict, repr=False)
    _has_answered: bool = False

    def check(self) -> None:
        """Ask for something cheap; raises Unauthorized where the token is bad."""
        with contextlib.suppress(NotFound, Rejected):  # there is no such task
            self.client.json(NO_TASK)
        self._has_answered = True

    def server_now(self) -> datetime:
        """Return the present moment by the service's Date headers."""
        if not self._has_answered:
            self.check()
        return self.client.server_now()

    def format_of(self, request: ExportRequest) -> ResultFormat:  # noqa: ARG002
        """Only CSV is asked for."""
        return csv

    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        """Ask for a task."""
        if request.start is None or request.end is None:
            msg = "the report needs dates"
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
            told = self.client.safe_message(str(document))
            msg = f"the request for {request.start} to {request.end} is refused: {told}"
            raise Rejected(msg)
        self._tasks[task] = _Task(request, self.client.server_now())
        return ExportJob(task, JobState.RUNNING, word=word, is_new=True)

    def poll(self, job_id: str) -> ExportJob:
        """Look at a task of this run; any other may never end, so it counts as gone."""
        task = self._task(job_id)
        answer = self.client.json(quote(job_id, safe=""))
        document = answer.document if isinstance(answer.document, dict) else {}
        word = text_of(document.get("state")).strip()
        state = STATES.get(word.upper())
        if state is None:
            told = self.client.safe_message(word)
            msg = f"task {job_id}: unknown state {told!r}; known are {', '.join(STATES)}"
            raise UnknownJobState(msg)
        task.link = text_of(document.get("result")) if state is JobState.READY else ""
        if state is JobState.READY and not task.link:
            state, word = JobState.RUNNING, f"{word} without a link"
        # No date is told, but the file can't be older than its request.
        finished_at = task.asked_at if state is JobState.READY else None
        return ExportJob(job_id, state, word=word, finished_at=finished_at)

    def poll_all(self, jobs: Sequence[ExportJob]) -> Mapping[str, ExportJob]:  # noqa: ARG002
        """Show none: there is no list of tasks."""
        return {}

    def replay(self, job_id: str) -> ExportJob:
        """Ask for the same days again: it is a new task."""
        return self.schedule(self._task(job_id).request, lambda: True)

    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:  # noqa: ARG002
        """Store a task's file; a link that has expired is asked for again."""
        task = self._task(job.id)

        def link() -> str:
            if not task.link:
                self.poll(job.id)
            known, task.link = task.link, ""
            if not known:
                msg = f"task {job.id} has a file no longer"
                raise NotFound(msg)
            return known

        return self.client.download(link, target)

    def _task(self, job_id: str) -> _Task:
        if job_id not in self._tasks:
            msg = f"task {job_id} is not one of this run"
            raise NotFound(msg)
        return self._tasks[job_id]


class InstalSource:
    """One advertiser of Instal.com, as the settings describe it."""

    name = "instal"

    def __init__(
        self,
        settings: Mapping[str, Any],
        *,
        start: date,  # noqa: ARG002 # no list depends on it
        clock: Clock,
        user_agent: str,
    ) -> None:
        self.settings = settings
        self.account = account_label(settings)
        self.old_account = str(settings.get("account", ""))
        token = str(settings["auth_token"])
        client = ApiClient(
            base_url=str(settings.get("api_url", API_URL)).rstrip("/") + "/",
            auth=HeaderAuth("Authorization", f"Token {token}"),
            headers={"Accept": "application/json", "User-Agent": user_agent},
            clock=clock,
            secrets=(token,),
            max_wait_seconds=float(settings.get("max_wait_seconds", 300)),
        )
        interval = str(settings.get("interval", "daily"))
        self.exports = InstalExports(client, interval, str(settings.get("sorting", "time")))
        self.policy = SourcePolicy(
            limits=flow_limits(settings, max_exports=None),
            max_age=timedelta(hours=float(settings.get("result_max_age_hours", 20))),
            # A task of an earlier run may stay unfinished for ever.
            keeps_jobs=False,
        )

    @property
    def zone(self) -> tzinfo:
        """The zone of the account's days, as set."""
        return parse_zone("instal.timezone", str(self.settings.get("timezone", "UTC")))

    def check_credentials(self) -> None:
        """Ask for a task that is none; raises Unauthorized where the token is bad."""
        self.exports.check()

    def lists(self) -> Sequence[ListSpec]:
        """There are none."""
        return ()

    def reports(self) -> Sequence[ReportSpec]:
        """Return the one report there is; a header without half of its columns is none."""
        options = ReportOptions(
            window=self.settings.get("window"),
            lookback=timedelta(days=int(self.settings.get("lookback_days", 30))),
            interval=self.exports.interval,
        )
        return [
            ReportSpec(
                id=REPORT,
                stream=REPORT,
                options=options,
                columns=lambda _: COLUMNS,
                has_dates=lambda _: True,
                least_columns=(len(COLUMNS) + 1) // 2,
            )
        ]

    def files(self) -> Sequence[FileSpec]:
        """There are none: a task is known by its request only."""
        return ()

    def prefetch(self, reports: Iterable[ReportSpec]) -> None:
        """There is nothing to fetch: the columns are documented."""
