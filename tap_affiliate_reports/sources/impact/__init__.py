"""impact.com: Partner Reports exported by jobs, and the account's lists of reports and jobs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Any

from requests.auth import HTTPBasicAuth

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.exports.job import ExportKind, ExportRequest
from tap_affiliate_reports.settings.shared import defaults
from tap_affiliate_reports.sources.impact import clicks, links
from tap_affiliate_reports.sources.impact import settings as declared
from tap_affiliate_reports.sources.impact.api import ImpactApi
from tap_affiliate_reports.sources.impact.errors import ERRORS
from tap_affiliate_reports.sources.impact.exports import ImpactExports
from tap_affiliate_reports.sources.impact.lists import ImpactLists
from tap_affiliate_reports.sources.impact.reports import ImpactReports, stream_name
from tap_affiliate_reports.sources.source import (
    ListSpec,
    ReportOptions,
    ReportSpec,
    Source,
    SourcePolicy,
    api_client,
    flow_limits,
)
from tap_affiliate_reports.sources.values import text_of
from tap_affiliate_reports.zones import ZoneChoice


class ImpactSource(Source):
    """One account of impact.com."""

    name = "impact"
    DESCRIPTION = "Partner Reports and jobs of impact.com."
    SETTINGS = declared.SETTINGS
    REQUIRED = declared.REQUIRED
    check = staticmethod(declared.check)

    exports: ImpactExports

    def __init__(
        self, settings: Mapping[str, Any], *, start: date, clock: Clock, user_agent: str
    ) -> None:
        self.settings = settings = links.resolved(settings)
        self.account = self.old_account = str(settings["account_sid"])
        token = str(settings["auth_token"])
        self.client = api_client(
            settings,
            HTTPBasicAuth(self.account, token),
            headers={"IR-Version": str(settings["api_version"])},
            clock=clock,
            user_agent=user_agent,
            secrets=(token, b64encode(f"{self.account}:{token}".encode()).decode(), self.account),
            error_format=ERRORS,
        )
        self.api = ImpactApi(self.client, self.account, settings.get("timezone") or "")
        self.exports = ImpactExports(self.api)
        self._reports = ImpactReports(self.api)
        self._lists = ImpactLists(self.api, self._reports, start)
        self._kind = ExportKind(limit=int(settings["max_exports"]))
        self._clicks = clicks.export_kind(int(settings[clicks.SETTING]))
        self.policy = SourcePolicy(
            limits=flow_limits(settings),
            max_age=timedelta(hours=float(settings["result_max_age_hours"])),
            kinds=(self._kind, self._clicks) if settings[clicks.NAME] else (self._kind,),
            catalog_decides="reports" not in settings,
            zone_setting="" if settings.get("timezone") else "impact.timezone",
        )

    @property
    def zone_choice(self) -> ZoneChoice:
        """The zone of the account's days, and where it comes from."""
        return self.api.zone_choice

    @property
    def zone(self) -> tzinfo:
        """The zone of the account's days; it is logged once."""
        return self.api.zone

    def check_credentials(self) -> None:
        """List the reports; raises Unauthorized if the service refuses the credentials."""
        _ = self._reports.listed

    def check_jobs(self) -> None:
        """Read the first page of the list of jobs."""
        next(self.api.pages(self.api.path("Jobs"), "Jobs"), None)

    def lists(self) -> Sequence[ListSpec]:
        """Return the streams reports, report_metadata and jobs."""
        return self._lists.specs()

    def reports(self) -> Sequence[ReportSpec]:
        """Return the exportable reports; raises SettingsError if a setting names another one."""
        named = self._reports.named(self.settings)
        reports = [
            ReportSpec(
                id=report,
                stream=stream_name(report),
                options=self._options(report),
                columns=self._reports.columns,
                has_dates=self._reports.has_dates,
                allowed=report in named,
                selected_by_default=report in named and not self.policy.catalog_decides,
                description=self._reports.description(report),
                kind=self._kind,
            )
            for report in self._reports.exportable
        ]
        if self.settings[clicks.NAME]:
            reports.append(clicks.report_spec(self._clicks_options(), self._clicks))
        return reports

    def streams_turned_off(self) -> Sequence[str]:
        """Return `clicks`, unless the setting of this name is true."""
        return () if self.settings[clicks.NAME] else (clicks.NAME,)

    def prefetch(self, reports: Iterable[ReportSpec]) -> None:
        """Fetch the MetaData of these reports in parallel."""
        self._reports.prefetch(one.id for one in reports if one.kind is self._kind)

    def preview(self, request: ExportRequest, rows: int, target: Path) -> None:
        """Store the first rows that the synchronous endpoint returns; clicks have none."""
        if clicks.is_clicks(request):
            super().preview(request, rows, target)
        else:
            self.exports.store_first(request, rows, target)

    def _options(self, report: str) -> ReportOptions:
        own = {**defaults(declared.REPORT_OPTIONS), **self._given_options(report)}
        days = own.get("lookback_days", self.settings["lookback_days"])
        programs = (str(one).strip() for one in self.settings.get("program_ids") or ("",))
        return ReportOptions(
            window=own.get("window") or self.settings.get("window"),
            lookback=timedelta(days=int(days)),
            programs=tuple(dict.fromkeys(programs)),
            filters=_filters(own),
            primary_keys=tuple(own.get("primary_keys") or ()),
            mode=own["mode"],
        )

    def _clicks_options(self) -> ReportOptions:
        own = self._given_options(clicks.NAME)
        days = own.get("lookback_days", clicks.LOOKBACK_DAYS)
        return ReportOptions(
            window="day", lookback=timedelta(days=int(days)), filters=_filters(own)
        )

    def _given_options(self, report: str) -> Mapping[str, Any]:
        return (self.settings.get("report_options") or {}).get(report) or {}


def _filters(options: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {
        name: tuple(map(text_of, value if isinstance(value, list) else [value]))
        for name, value in (options.get("filters") or {}).items()
    }
