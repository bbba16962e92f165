"""A report as the SDK, the plan and a reload see it: keys, partitions, windows and bookmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import ADDED, Column
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.state import StreamState
from tap_affiliate_reports.streams.base import FULL_TABLE
from tap_affiliate_reports.streams.file_check import FileCheck
from tap_affiliate_reports.streams.planning import Planner
from tap_affiliate_reports.streams.retirement import Retirement
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.streams.table import TableStream
from tap_affiliate_reports.streams.window_load import WindowLoad
from tap_affiliate_reports.windows import DateRange

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.singerlib import Catalog


class WindowedStream(TableStream):
    """The windows of one report, which this class plans and a subclass loads."""

    def __init__(
        self,
        tap: Tap,
        run: Run,
        source: Source,
        report: ReportSpec,
        columns: Sequence[Column],
        *,
        singer_decimal: bool,
    ) -> None:
        self.rules = ReportRules(source, report)
        self.description = report.description
        self.selected_by_default = report.selected_by_default
        self.loads: list[WindowLoad] = []
        self.retirement = Retirement(self.rules, StreamState({}), ())
        super().__init__(
            tap, run, source, report.stream, columns, added=ADDED, singer_decimal=singer_decimal
        )

    # The SDK's questions

    @override
    def _keys(self) -> tuple[Sequence[str], str | None]:
        self.rules.check_keys(self.columns)
        return self.rules.keys, self.rules.replication_key

    @property
    @override
    def selected(self) -> bool:
        return self.rules.report.allowed and bool(self.mask.get((), True))

    @selected.setter
    def selected(self, value: bool | None) -> None:
        self.select(value)

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        if catalog.get_stream(self.name) is None:
            self.select(self.rules.report.selected_if_omitted)

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        programs = self.rules.programs
        if programs == ("",):
            return None
        return [{"_program_id": program} for program in programs]

    @override
    def names_of(self, header: Sequence[str]) -> Sequence[str]:
        return self.rules.report.names_in(header)

    # The plan

    @override
    def plan(self, dates: DateRange) -> list[Export]:
        planner = Planner(
            self.rules,
            dates,
            self.stream_state,
            everything=self.replication_method == FULL_TABLE,
            new_version=self.tap.initialized_at if self.emits_versions else None,
        )
        plan = planner.plan()
        check = FileCheck(self.rules, lambda: self.columns, self.singer_decimal)
        self.retirement = Retirement(self.rules, plan.state, plan.partitions)
        self.loads = [WindowLoad(self.rules, window, check) for window in plan.windows]
        self.exports = [load.export for load in self.loads]
        self.totals.unchanged = plan.unchanged
        self.version = plan.state.version
        self.adds_a_day = self.rules.newest_first and dates.moves_on
        return self.exports

    @property
    def state(self) -> StreamState:
        """The stream's STATE, as the plan adopted it."""
        return self.retirement.state

    @override
    def bookmark(self) -> str:
        found = [one.ledger.bookmark for one in self.retirement.partitions]
        return min((day.isoformat() for day in found if day), default="")

    @override
    def note_jobs(self) -> None:
        for load in self.loads:
            load.note_job()

    @override
    def may_be_short(self) -> bool:
        # Rows that a rate limit kept from being refreshed may be wrong.
        is_stale = any(
            export.is_rate_limited and export.order.is_refresh for export in self.exports
        )
        has_newest = all(one.has_newest for one in self.retirement.partitions)
        return self.rules.newest_first and has_newest and not is_stale

    # A reload

    @override
    def is_reloaded(self) -> bool:
        # Days that wait for their first load are no part of a reload.
        return not self.retirement.is_waiting and not any(
            entry.reload_after
            for partition in self.retirement.partitions
            for entry in partition.ledger.windows.values()
        )

    @property
    @override
    def reload(self) -> str | None:
        return self.state.reload

    @override
    def end_reload(self) -> None:
        self.state.reload = None
