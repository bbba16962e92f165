"""The rules of one report: its windows, its keys, and how its files are judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tap_affiliate_reports.errors import SettingsError
from tap_affiliate_reports.schema import ADDED, ALL_PROGRAMS, Column, Kind
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.windows import Freshness
from tap_affiliate_reports.zones import zone_name

REPLICATION_KEY = "_window_end"
NUMBERED_KEYS = ("_account", "_program_id", "_window_start", "_row_number")
"""The key columns of a report's rows, unless the setting primary_keys names others."""


def program_id(program: str) -> str:
    """Return the `_program_id` of a partition's rows, because a loader may turn "" into null."""
    return program or ALL_PROGRAMS


@dataclass(frozen=True)
class ReportRules:
    """What the settings and the service say about one report."""

    source: Source
    report: ReportSpec

    @property
    def stream(self) -> str:
        """The name of the report's stream."""
        return self.report.stream

    @cached_property
    def size(self) -> str:
        """The size of the windows: a word of `windows.SIZES`."""
        if self.report.options.window:
            return self.report.options.window
        return "month" if self.report.has_dates(self.report.id) else "none"

    @property
    def is_snapshot(self) -> bool:
        """Whether the report is requested without dates."""
        return self.size == "none"

    @property
    def replication_key(self) -> str | None:
        """The replication key; None for a snapshot."""
        return None if self.is_snapshot else REPLICATION_KEY

    @property
    def programs(self) -> tuple[str, ...]:
        """The programs that are exported separately; ("",) for all in one export."""
        return self.report.options.programs

    @property
    def newest_first(self) -> bool:
        """Whether new windows are loaded from the last one back."""
        return self.report.newest_first

    @property
    def own_keys(self) -> tuple[str, ...]:
        """The key columns that the setting primary_keys names."""
        return self.report.options.primary_keys

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns of the stream."""
        return ("_account", *self.own_keys) if self.own_keys else NUMBERED_KEYS

    @property
    def shares_keys(self) -> bool:
        """Whether rows of different windows may have the same key."""
        windows = set() if self.is_snapshot else {"_window_start"}
        programs = {"_program_id"} if any(self.programs) else set()
        return bool(self.own_keys) and not windows | programs <= set(self.own_keys)

    def check_keys(self, columns: Sequence[Column]) -> None:
        """Raise SettingsError if the setting primary_keys does not fit these columns."""
        keys = self.own_keys
        setting = f"{self.source.name}.report_options.{self.report.id}.primary_keys"
        known = {*ADDED, *(column.name for column in columns)}
        if unknown := [key for key in keys if key not in known]:
            msg = f"{setting}: the report has no column {', '.join(unknown)}"
            raise SettingsError(msg)
        has_date = any(column.kind in {Kind.DATE, Kind.DATETIME} for column in columns)
        if keys and not has_date and not self.is_snapshot and "_window_start" not in keys:
            msg = f"{setting}: the report has no date column, so add _window_start"
            raise SettingsError(msg)

    @cached_property
    def freshness(self) -> Freshness:
        """The rules by which a finished file is judged."""
        return Freshness(self.source.zone, self.report.options.lookback, self.source.policy.max_age)

    def fingerprint(self) -> dict[str, Any]:
        """Return the settings that define a window."""
        options = self.report.options
        settings = {
            **options.window_settings,
            "window": self.size,
            "timezone": zone_name(self.source.zone),
            "program_ids": [program for program in self.programs if program],
            "filters": {name: list(options.filters[name]) for name in sorted(options.filters)},
            "mode": "" if options.mode == "export" else options.mode,
            "primary_keys": list(options.primary_keys),
        }
        return {name: value for name, value in settings.items() if value}

    def resumable(self, job: str) -> str:
        """Return the id of a job if a later run can poll it, else ""."""
        return job if self.source.policy.keeps_jobs else ""
