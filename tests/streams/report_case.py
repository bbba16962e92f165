"""A report of an account that no service stands behind, for tests that need no sync."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum

from tap_affiliate_reports.exports.export import ResultFile
from tap_affiliate_reports.exports.job import ExportJob, JobState
from tap_affiliate_reports.exports.order import Limits
from tap_affiliate_reports.formats import Summary, csv
from tap_affiliate_reports.schema import Column, Kind
from tap_affiliate_reports.sources.source import ReportOptions, ReportSpec, SourcePolicy
from tap_affiliate_reports.streams.planning import Planner, ReportPlan
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.windows import DateRange, Reload

NOW = datetime(2026, 11, 19, 15, 0, tzinfo=timezone.utc)
COLUMNS = [Column("Id", "Id", Kind.INTEGER), Column("Amount", "Amount", Kind.DECIMAL)]


def rules(
    *,
    programs: tuple[str, ...] = ("",),
    keeps_jobs: bool = True,
    zone_setting: str = "",
    zone: str = "UTC",
    least_columns: int = 1,
    **options: Any,
) -> ReportRules:
    """Return the rules of the report `sales`, with these options."""
    exports = SimpleNamespace(server_now=lambda: NOW, format_of=lambda _request: csv)
    source: Any = SimpleNamespace(
        name="acme",
        account="A1",
        old_account="A1",
        zone=pendulum.timezone(zone),
        exports=exports,
        policy=SourcePolicy(
            Limits(max_concurrent_jobs=5, poll_interval=2, job_timeout=600),
            max_age=timedelta(hours=20),
            keeps_jobs=keeps_jobs,
            zone_setting=zone_setting,
        ),
    )
    report = ReportSpec(
        "sales",
        "sales",
        ReportOptions(
            **{
                "window": "month",
                "lookback": timedelta(days=30),
                "programs": programs,
                **options,
            }
        ),
        columns=lambda _: COLUMNS,
        has_dates=lambda _: True,
        least_columns=least_columns,
    )
    return ReportRules(source, report)


def dates(
    first: str = "2026-09-10", last: str = "2026-11-18", reload: Reload | None = None
) -> DateRange:
    return DateRange(date.fromisoformat(first), date.fromisoformat(last), NOW, reload=reload)


def planned(
    own: ReportRules,
    raw: dict[str, Any],
    days: DateRange | None = None,
    *,
    everything: bool = False,
    new_version: int | None = 7,
) -> ReportPlan:
    """Plan one sync over a stream's object of STATE, which is changed in place."""
    planner = Planner(own, days or dates(), raw, everything=everything, new_version=new_version)
    return planner.plan()


def result(rows: int, finished_at: datetime = NOW, *, records: int | None = None) -> ResultFile:
    """Return a downloaded file of this many rows."""
    summary = Summary(["Id", "Amount"], rows, 100 + rows, f"digest of {rows}", terminated=True)
    job = ExportJob("j1", JobState.READY, records=records)
    return ResultFile(job, finished_at, Path("never opened"), summary, 1.5)
