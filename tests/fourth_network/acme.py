"""An invented network, added as any other: one report by windows, exported by jobs as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pendulum
from singer_sdk import typing as th

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import Rejected
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest, ExportSource, JobState
from tap_affiliate_reports.formats import ResultFormat, csv
from tap_affiliate_reports.http import ApiClient, HeaderAuth, NotReady
from tap_affiliate_reports.schema import Column, Kind
from tap_affiliate_reports.settings.shared import (
    FLOW,
    RESULT_MAX_AGE,
    api_url,
    lookback,
    secret,
    window,
)
from tap_affiliate_reports.sources.source import (
    ReportOptions,
    ReportSpec,
    Source,
    SourcePolicy,
    api_client,
    flow_limits,
    job_state,
)
from tap_affiliate_reports.sources.values import moment, text_of

REPORT = "acme_sales"
COLUMNS = [
    Column("sale_id", "sale_id", Kind.STRING, "The sale."),
    Column("day", "day", Kind.STRING, "The day of the sale."),
    Column("payout", "payout", Kind.DECIMAL, "The commission."),
]
STATES = {
    "WORKING": JobState.RUNNING,
    "DONE": JobState.READY,
    "BROKEN": JobState.FAILED,
}


@dataclass
class AcmeExports(ExportSource):
    """Requests, polls and downloads the exports of one account."""

    client: ApiClient

    def server_now(self) -> datetime:
        return self.client.server_now()

    def format_of(self, request: ExportRequest) -> ResultFormat:
        return csv

    def schedule(self, request: ExportRequest, spend_again: Callable[[], bool]) -> ExportJob:
        days = {"from": str(request.start), "to": str(request.end)}
        answer = self.client.json("exports", method="POST", body=days, may_repeat=spend_again)
        return replace(self._job(answer.document), is_new=True)

    def poll(self, job_id: str) -> ExportJob:
        return self._job(self.client.json(f"exports/{job_id}").document)

    def download(self, request: ExportRequest, job: ExportJob, target: Path) -> NotReady | None:
        return self.client.download(f"exports/{job.id}/file", target)

    def _job(self, document: Any) -> ExportJob:
        job_id = text_of(document.get("id")) if isinstance(document, dict) else ""
        if not job_id:
            msg = "the answer has no export with an id"
            raise Rejected(msg)
        word = text_of(document.get("state"))
        state = job_state(STATES, word, f"export {job_id}", self.client.safe_message)
        finished_at = moment(document.get("finished_at"), pendulum.UTC)
        return ExportJob(job_id, state, word=word, finished_at=finished_at)


class AcmeSource(Source):
    """One account of Acme."""

    name = "acme"
    DESCRIPTION = "Sales of Acme."
    SETTINGS = th.ObjectType(
        secret("token", "API token."),
        api_url("https://api.acme.example/v2"),
        window("Calendar period of one export.", default="month"),
        lookback(45),
        RESULT_MAX_AGE,
        *FLOW,
        additional_properties=False,
    )
    REQUIRED = ("token",)

    def __init__(
        self, settings: Mapping[str, Any], *, start: date, clock: Clock, user_agent: str
    ) -> None:
        self.account = self.old_account = self.name
        token = str(settings["token"])
        auth = HeaderAuth("Authorization", f"Bearer {token}")
        self.client = api_client(
            settings, auth, clock=clock, user_agent=user_agent, secrets=(token,)
        )
        self.exports = AcmeExports(self.client)
        self.policy = SourcePolicy(
            limits=flow_limits(settings),
            max_age=timedelta(hours=float(settings["result_max_age_hours"])),
        )
        self._options = ReportOptions(
            window=settings["window"], lookback=timedelta(days=int(settings["lookback_days"]))
        )

    @property
    def zone(self) -> tzinfo:
        return pendulum.UTC

    def check_credentials(self) -> None:
        self.client.json("me")

    def reports(self) -> Sequence[ReportSpec]:
        return [ReportSpec(REPORT, REPORT, self._options, lambda _: COLUMNS, lambda _: True)]
