"""impact.com: Partner Reports made by jobs, and the account's lists of reports and jobs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from typing import Any

from requests.auth import HTTPBasicAuth

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.http import ApiClient
from tap_affiliate_reports.settings import ReportOptions
from tap_affiliate_reports.sources.impact.api import ImpactApi
from tap_affiliate_reports.sources.impact.errors import ERRORS
from tap_affiliate_reports.sources.impact.exports import ImpactExports
from tap_affiliate_reports.sources.impact.lists import ImpactLists
from tap_affiliate_reports.sources.impact.reports import ImpactReports, stream_name
from tap_affiliate_reports.sources.source import (
    FileSpec,
    ListSpec,
    ReportSpec,
    SourcePolicy,
    flow_limits,
)
from tap_affiliate_reports.sources.values import text_of

API_URL = "https://api.impact.com"
API_VERSION = "16"


class ImpactSource:
    """One account of impact.com, as its settings describe it."""

    name = "impact"

    def __init__(
        self, settings: Mapping[str, Any], *, start: date, clock: Clock, user_agent: str
    ) -> None:
        self.settings = settings
        self.account = self.old_account = str(settings["account_sid"])
        token = str(settings["auth_token"])
        client = ApiClient(
            base_url=str(settings.get("api_url", API_URL)),
            auth=HTTPBasicAuth(self.account, token),
            headers={
                "Accept": "application/json",
                "IR-Version": str(settings.get("api_version", API_VERSION)),
                "User-Agent": user_agent,
            },
            clock=clock,
            secrets=(token, b64encode(f"{self.account}:{token}".encode()).decode(), self.account),
            max_wait_seconds=float(settings.get("max_wait_seconds", 300)),
            error_format=ERRORS,
        )
        self.api = ImpactApi(client, self.account, settings.get("timezone", ""))
        self.exports = ImpactExports(self.api)
        self._reports = ImpactReports(self.api)
        self._lists = ImpactLists(self.api, self._reports, start)
        self.policy = SourcePolicy(
            limits=flow_limits(settings, max_exports=int(settings.get("max_exports", 90))),
            max_age=timedelta(hours=float(settings.get("result_max_age_hours", 20))),
            programs=tuple(
                dict.fromkeys(str(one).strip() for one in settings.get("program_ids") or ("",))
            ),
            catalog_decides="reports" not in settings,
            zone_setting="" if settings.get("timezone") else "impact.timezone",
        )

    @property
    def zone(self) -> tzinfo:
        """The zone of the account's days."""
        return self.api.zone

    def check_credentials(self) -> None:
        """Ask for something cheap; raises Unauthorized where the credentials are bad."""
        _ = self._reports.listed

    def lists(self) -> Sequence[ListSpec]:
        """Return the streams reports, report_metadata and jobs."""
        return self._lists.specs()

    def reports(self) -> Sequence[ReportSpec]:
        """Return the reports that can be exported; refuses settings that name others."""
        named = self._reports.named(self.settings)
        return [
            ReportSpec(
                id=report,
                stream=stream_name(report),
                options=self._options(report),
                columns=self._reports.columns,
                has_dates=self._reports.has_dates,
                allowed=report in named,
            )
            for report in self._reports.exportable
        ]

    def files(self) -> Sequence[FileSpec]:
        """There are none: what others exported names neither its report nor its days."""
        return ()

    def prefetch(self, reports: Iterable[ReportSpec]) -> None:
        """Fetch what the columns of these reports need, side by side."""
        self._reports.prefetch(report.id for report in reports)

    def _options(self, report: str) -> ReportOptions:
        own = self.settings.get("report_options", {}).get(report, {})
        days = own.get("lookback_days", self.settings.get("lookback_days", 60))
        return ReportOptions(
            window=own.get("window") or self.settings.get("window"),
            lookback=timedelta(days=int(days)),
            filters={
                name: tuple(map(text_of, value if isinstance(value, list) else [value]))
                for name, value in own.get("filters", {}).items()
            },
            primary_keys=tuple(own.get("primary_keys", ())),
            mode=own.get("mode", "export"),
        )
