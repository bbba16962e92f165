"""One sync: the plan of all streams before the first record, and the result after the last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tap_affiliate_reports import settings
from tap_affiliate_reports.batches import batch_config, make_folders
from tap_affiliate_reports.discovery import Discovery
from tap_affiliate_reports.errors import (
    ENDS_THE_RUN,
    StreamError,
    SyncFailed,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.exports.job import ExportKind
from tap_affiliate_reports.run import Run, with_stream
from tap_affiliate_reports.selection import Selection
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.streams import AffiliateStream, ListStream, TableStream
from tap_affiliate_reports.streams.totals import summary_lines
from tap_affiliate_reports.windows import DateRange, Reload, last_finished_day

RELOAD_IS_SET = (
    "reload is set to %s: these windows are loaded again in every run until the setting is removed"
)
STREAM_PLAN = "plan of %s, %s: %d new, %d to refresh, %d unchanged"
SOURCE_PLAN = "plan of %s: %s to %s, %s"
COST = "%d %s to spend"
OF_AT_MOST = "%s of at most %d in this run"
START_IN_FUTURE = "start_date: %s is after the last day to fetch: nothing is loaded"
REPORT_GONE = (
    "%s: the account no longer has this report. Remove it from the catalog, and its entry from the "
    "state"
)
SUMMARY = "summary: %s"

logger = logging.getLogger(__name__)


class Sync:
    """Plans all streams at once, lets each fail alone, and reports the result.

    `is_first` says that no state was given.
    """

    def __init__(
        self,
        run: Run,
        discovery: Discovery,
        selection: Selection,
        config: Mapping[str, Any],
        *,
        is_first: bool,
        write_state: Callable[[], None],
    ) -> None:
        self.run = run
        self.discovery = discovery
        self.selection = selection
        self.config = config
        self.is_first = is_first
        self.write_state = write_state
        text = config.get("reload")
        self.reload: Reload | None = settings.parse_reload(text) if text else None
        self.has_planned = False
        """Whether all streams are planned; until then their states are of two different runs."""
        self._has_begun = False
        self.streams: Sequence[AffiliateStream] = ()
        """The streams of this sync, selected or not, once it is planned."""

    # Before the first record

    def plan(self, streams: Sequence[AffiliateStream], bookmarks: Mapping[str, Any]) -> None:
        """Plan what all selected streams load, once. This requests no export, writes nothing."""
        if self.run.has_begun:
            return
        self.run.has_begun = True
        self.streams = streams
        self.run.is_test = any(one.ABORT_AT_RECORD_COUNT is not None for one in streams)
        if self.reload is not None:
            logger.warning(RELOAD_IS_SET, self.reload.text)
        self._check_stream_maps(bookmarks)
        for source in self.run.sources:
            self._plan_source(source)
        self.has_planned = True
        self._report_gone(bookmarks)

    def begin(self) -> None:
        """Begin the planned sync, once, before the first record."""
        if self._has_begun:
            return
        self._has_begun = True
        if (batches := batch_config(self.config)) is not None:
            make_folders(batches)
        if self.is_first and not self.run.is_test:
            # Meltano merges it onto an older state, so it must say that nothing is loaded.
            self.write_state()
        if not any(isinstance(one, ListStream) and one.selected for one in self.streams):
            self.run.advance()  # the first jobs run while SCHEMA messages are written

    @property
    def tables(self) -> list[TableStream]:
        """The streams whose rows come from files."""
        return [stream for stream in self.streams if isinstance(stream, TableStream)]

    def _check_stream_maps(self, bookmarks: Mapping[str, Any]) -> None:
        """Fail each stream whose map names a column that it does not have."""
        for stream in self.streams:
            if stream.selected:
                try:
                    stream.check_stream_map(column_kinds(bookmarks.get(stream.name, {})))
                except StreamError as error:
                    self.run.record_failure(stream.name, error)

    def _plan_source(self, source: Source) -> None:
        streams = [
            stream
            for stream in self.tables
            if stream.source is source and stream.selected and stream.name not in self.run.failures
        ]
        if any(stream.ABORT_AT_RECORD_COUNT == 1 for stream in streams):
            source.check_credentials()
            return
        if source.name in self.discovery.unreachable:
            self.run.source_failed(source, self.discovery.unreachable[source.name])
            return
        self.selection.check_all_reports(source)
        if len(self.run.sources) > 1:
            try:
                self.selection.check_catalog_of(source)
            except StreamError as error:
                self.run.record_failure(source.name, error)
        for stream in self.streams:
            if isinstance(stream, ListStream) and stream.source is source and stream.selected:
                stream.plan(self.reload)
        try:
            self._plan_tables(source, streams)
        except ENDS_THE_RUN:
            raise
        except Unauthorized as error:
            self.run.source_failed(source, error)
        except TapError as error:
            for table in streams:
                self.run.record_failure(table.name, error)

    def _plan_tables(self, source: Source, streams: Sequence[TableStream]) -> None:
        if not streams:
            return
        dates = self._dates(source)
        flow = self.run.flow(source)
        exports: list[Export] = []
        for stream in streams:
            try:
                planned = stream.plan(dates)
            except Unauthorized:
                raise
            except TapError as error:
                self.run.record_failure(stream.name, error)
                continue
            exports.extend(planned)
            refreshes = sum(export.order.is_refresh for export in planned)
            logger.info(
                STREAM_PLAN,
                stream.name, stream.UNIT, len(planned) - refreshes, refreshes,
                stream.totals.unchanged,
            )  # fmt: skip
        flow.plan(exports)
        costs = ", ".join(_cost(flow, kind) for kind in source.policy.kinds)
        logger.info(SOURCE_PLAN, source.name, dates.start, dates.end, costs)
        if dates.start > dates.end:
            logger.warning(START_IN_FUTURE, dates.start)

    def _dates(self, source: Source) -> DateRange:
        now = source.exports.server_now()
        start = settings.parse_day("start_date", self.config["start_date"])
        end_date = self.config.get("end_date")
        if not end_date:
            end = last_finished_day(now, source.zone)
            return DateRange(start, end, now, moves_on=True, reload=self.reload)
        today, last = now.astimezone(source.zone).date(), settings.parse_day("end_date", end_date)
        return DateRange(
            start,
            min(today, last),
            now,
            is_end_set=True,
            moves_on=today < last,
            reload=self.reload,
        )

    def _report_gone(self, bookmarks: Mapping[str, Any]) -> None:
        """Fail the streams of the state or the catalog that discovery does not find."""
        for name in sorted(self.selection.streams | set(bookmarks)):
            # A source that can't be reached may still have the report.
            if name not in self.discovery.known and not self.discovery.unreachable:
                logger.warning(REPORT_GONE, name)
                self.run.record_failure(name, TapError(REPORT_GONE % name), quiet=True)
        for source in self.run.sources:
            reachable = source.name not in self.discovery.unreachable
            for report in source.reports() if reachable else ():
                error = self.discovery.unavailable.get(report.stream)
                if error is not None and self.selection.is_selected(report):
                    self.run.record_failure(report.stream, error)

    # After the last record

    def report(self) -> None:
        """Log what was loaded, and raise SyncFailed if any stream failed."""
        # One record a line: a prefix before the first line alone would shift the columns.
        for text in summary_lines(self.summary()):
            logger.info(SUMMARY, text)
        for stream in self.tables:
            if (line := stream.quota_line()) is None:
                continue
            if self.config.get("on_quota") == "warn" or stream.may_be_short():
                logger.warning(line)
            else:
                self.run.record_failure(stream.name, TapError(line), quiet=True)
        self._end_reloads()
        if failures := self.run.failures:
            lines = [with_stream(name, error) for name, error in failures.items()]
            count = len(failures)
            plural = "s" if count > 1 else ""
            msg = f"{count} stream{plural} failed, the others are done. {'; '.join(lines)}"
            raise SyncFailed(msg)

    def summary(self) -> list[Sequence[str]]:
        """Return a row for each stream that has files, loaded in this sync or before."""
        return [
            stream.summary() for stream in self.tables if stream.exports or stream.totals.unchanged
        ]

    def _end_reloads(self) -> None:
        """Record the end of a reload, once it is complete in every stream that takes part."""
        reloading = [
            stream
            for stream in self.streams
            if isinstance(stream, TableStream | ListStream) and stream.selected and stream.reload
        ]
        if self.run.failures or not all(stream.is_reloaded() for stream in reloading):
            return
        for stream in reloading:
            stream.end_reload()
        if reloading:
            self.write_state()

    def note_jobs(self) -> None:
        """Record in the state which jobs are under way."""
        for stream in self.tables:
            stream.note_jobs()


def _cost(flow: ExportFlow, kind: ExportKind) -> str:
    """Return how many exports of one kind the plan spends, and how many it may."""
    cost = COST % (flow.exports_needed(kind), kind.noun)
    return cost if kind.limit is None else OF_AT_MOST % (cost, kind.limit)
