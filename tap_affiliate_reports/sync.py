"""One sync: what is planned before the first record, what failed, what is told at the end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tap_affiliate_reports import settings, stream_maps
from tap_affiliate_reports.batches import batch_config, make_folders
from tap_affiliate_reports.errors import (
    ENDS_THE_RUN,
    SettingsError,
    StreamError,
    SyncFailed,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.streams import AffiliateStream, DateRange, ListStream, TableStream
from tap_affiliate_reports.windows import Reload, last_finished_day

if TYPE_CHECKING:
    from singer_sdk import Stream

    from tap_affiliate_reports.discovery import Discovery
    from tap_affiliate_reports.tap import TapAffiliateReports

# Enough for a reader of stdout to see the first RECORD and stop the tap.
SECONDS_TO_STOP = 0.5


class Sync:
    """Plans all streams at once, lets each fail alone, and ends with one account of it all."""

    def __init__(self, tap: TapAffiliateReports) -> None:
        self.tap = tap
        self.logger = tap.logger
        self.prepared = False
        # Until all streams are planned, their states are half of one run and half of another.
        self.has_planned = False
        self._exports_begun = False
        self.failures: dict[str, TapError] = {}
        self._flows: dict[str, ExportFlow] = {}

    @property
    def discovery(self) -> Discovery:
        """What the sources offer."""
        return self.tap.discovery

    def flow(self, source: Source) -> ExportFlow:
        """Return the queue of a source's exports."""
        if source.name not in self._flows:
            self._flows[source.name] = ExportFlow(
                source.exports,
                self.tap.clock,
                self.spool,
                source.policy.limits,
                name=source.name,
                while_waiting=lambda: self._while_waiting(source),
            )
        return self._flows[source.name]

    @cached_property
    def spool(self) -> Path:
        """The folder of temporary files."""
        atexit.register(self.close)
        try:
            return Path(tempfile.mkdtemp(prefix=f"{self.tap.name}-"))
        except OSError as error:
            msg = f"no folder for temporary files can be made (TMPDIR): {error.strerror or error}"
            raise SettingsError(msg) from None

    def _while_waiting(self, source: Source) -> None:
        # A job may take an hour, and a loader commits only what it has.
        self.tap.message_writer.flush()
        self.tick(but=source)

    def tick(self, but: Source | None = None) -> None:
        """Move the queue of every source, but one, without waiting."""
        for source in self.tap.sources:
            if source is but or source.name not in self._flows or source.name in self.failures:
                continue
            try:
                self.flow(source).tick()
            except Unauthorized as error:
                self.refused(source, error)

    def prepare(self) -> None:
        """Plan what all selected streams load, once, before the first record."""
        if self.prepared:
            return
        self.prepared = True
        if (batches := batch_config(self.tap.config)) is not None:
            make_folders(batches)
        if self._reload is not None:
            self.logger.warning(
                "reload is set to %s: these windows are loaded again in every run until the "
                "setting is removed", self._reload.text,
            )  # fmt: skip
        self._check_stream_maps()
        for source in self.tap.sources:
            self._prepare_source(source)
        self.has_planned = True
        self._tell_of_the_gone()
        if not self.tap.has_given_state and not self._is_test:
            # Merged onto an older state, it must say that nothing is loaded.
            self.tap.write_state()
        if not any(isinstance(s, ListStream) and s.selected for s in self.tap.streams.values()):
            self.tick()  # the first jobs run while SCHEMA messages are written

    def _check_stream_maps(self) -> None:
        """Fail each stream whose map names a column that it does not have."""
        bookmarks = self.tap.state.get("bookmarks", {})
        for stream in self.tap.streams.values():
            if stream.selected and stream.name in self.tap.mapper.stream_maps:
                columns = column_kinds(bookmarks.get(stream.name, {}))
                try:
                    stream_maps.check_names(self.tap.mapper, stream.name, columns)
                except StreamError as error:
                    self.failed(stream.name, error)

    def list_written(self) -> None:
        """Request the first exports, once a list's records are on stdout, and move the queues.

        `meltano config ... test` stops the tap at the first RECORD, which must cost no export.
        """
        if not self._exports_begun:
            self._exports_begun = True
            if any(flow.exports_needed for flow in self._flows.values()):
                self.tap.clock.sleep(SECONDS_TO_STOP)
        self.tick()

    def _prepare_source(self, source: Source) -> None:
        streams = [
            s
            for s in self.tap.table_streams
            if s.source is source and s.selected and s.name not in self.failures
        ]
        if any(stream.ABORT_AT_RECORD_COUNT == 1 for stream in streams):
            source.check_credentials()
            return
        if source.name in self.discovery.unreachable:
            self.refused(source, self.discovery.unreachable[source.name])
            return
        self._refuse_everything_by_accident(source)
        if len(self.tap.sources) > 1:
            self._tell_of_half_a_catalog(source)
        for one in self._lists(source):
            one.plan(self._reload)
        try:
            self._plan(source, streams)
        except ENDS_THE_RUN:
            raise
        except Unauthorized as error:
            self.refused(source, error)
        except TapError as error:
            for stream in streams:
                self.failed(stream.name, error)

    def _lists(self, source: Source) -> list[ListStream]:
        return [
            stream
            for stream in self.tap.streams.values()
            if isinstance(stream, ListStream) and stream.source is source and stream.selected
        ]

    @property
    def _is_test(self) -> bool:
        return any(one.ABORT_AT_RECORD_COUNT is not None for one in self.tap.streams.values())

    def _end_reloads(self) -> None:
        """Record the end of a reload, once every stream that takes part in it is through."""
        taking_part = [
            stream
            for stream in self.tap.streams.values()
            if isinstance(stream, (TableStream, ListStream)) and stream.selected and stream.reload
        ]
        if self.failures or not all(stream.is_reloaded() for stream in taking_part):
            return
        for stream in taking_part:
            stream.end_reload()
        if taking_part:
            self.tap.write_state()

    def _plan(self, source: Source, streams: Sequence[TableStream]) -> None:
        if not streams:
            return
        span = self._span(source)
        flow, limit = self.flow(source), source.policy.limits.max_exports
        exports: list[Export] = []
        for stream in streams:
            try:
                planned = stream.plan(span)
            except Unauthorized:
                raise
            except TapError as error:
                self.failed(stream.name, error)
                continue
            exports.extend(planned)
            self.logger.info(
                "plan of %s: %d %s new, %d to refresh, %d left alone",
                stream.name,
                sum(not export.is_refresh for export in planned),
                stream.UNIT,
                sum(export.is_refresh for export in planned),
                stream.totals.left_alone,
            )
        flow.plan(exports)
        self.logger.info(
            "plan of %s: %s to %s, %d exports to spend%s",
            source.name, span.start, span.end, flow.exports_needed,
            "" if limit is None else f" of at most {limit} in this run",
        )  # fmt: skip
        if span.start > span.end:
            self.logger.warning(
                "start_date: %s is after the last day to fetch: nothing is loaded", span.start
            )

    def _span(self, source: Source) -> DateRange:
        now = source.exports.server_now()
        start = settings.parse_day("start_date", self.tap.config["start_date"])
        given = self.tap.config.get("end_date")
        if not given:
            return DateRange(start, last_finished_day(now, source.zone), now, reload=self._reload)
        end = min(now.astimezone(source.zone).date(), settings.parse_day("end_date", given))
        return DateRange(start, end, now, is_end_set=True, reload=self._reload)

    @cached_property
    def _reload(self) -> Reload | None:
        text = self.tap.config.get("reload")
        return settings.parse_reload(text) if text else None

    def _refuse_everything_by_accident(self, source: Source) -> None:
        if not source.policy.catalog_decides:
            return
        reports = source.reports()
        if self.tap.input_catalog is not None:
            selected = [report for report in reports if self.discovery.is_selected(source, report)]
            absent = [r for r in reports if self.tap.input_catalog.get_stream(r.stream) is None]
            # Reports that discovery left out, or newer ones, make no choice of the rest.
            if len(selected) + len(absent) < len(reports) or len(absent) >= len(selected):
                return
        if not reports:
            return
        why = "no catalog is given" if self.tap.input_catalog is None else "the catalog selects all"
        msg = (
            f"{source.name}.reports is not set and {why}: exports are too few to spend on every "
            f"report. Set {source.name}.reports to those that you need, or to ['*'] for all. "
            f"The account's reports are: {', '.join(sorted(report.id for report in reports))}"
        )
        raise SettingsError(msg)

    def _tell_of_half_a_catalog(self, source: Source) -> None:
        """Fail a source whose reports discovery could not list; its lists need no request."""
        catalog = self.tap.input_catalog
        if catalog is None or not any(catalog.get_stream(one.name) for one in source.lists()):
            return
        allowed = [report.stream for report in source.reports() if report.allowed]
        if allowed and not any(catalog.get_stream(stream) for stream in allowed):
            line = f"the catalog has no report of {source.name}: let it be discovered anew"
            self.failed(source.name, StreamError(line))

    def _tell_of_the_gone(self) -> None:
        selected = set()
        if self.tap.input_catalog is not None:
            selected = {
                entry.tap_stream_id
                for entry in self.tap.input_catalog.streams
                if entry.metadata.resolve_selection().get((), True)
            }
        for name in sorted(selected | set(self.tap.state.get("bookmarks", {}))):
            # A source that can't be reached may still have it.
            if name not in self.discovery.known and not self.discovery.unreachable:
                line = f"{name}: the report is gone: the account no longer has it"
                self.logger.warning(line)
                self.failed(name, TapError(line), quiet=True)
        for source in self.tap.sources:
            for report in source.reports() if source.name not in self.discovery.unreachable else ():
                error = self.discovery.unavailable.get(report.stream)
                if error is not None and self.discovery.is_selected(source, report):
                    self.failed(report.stream, error)

    def failed(self, stream: str, error: TapError, *, quiet: bool = False) -> None:
        """Note that a stream failed; the others go on, but for a test of the connection."""
        if self._is_test:
            raise error
        if not quiet:
            self.logger.error("failed: %s", _told(stream, error))
        self.failures.setdefault(stream, error)

    def refused(self, source: Source | None, error: TapError) -> None:
        """Note that a source as a whole failed; the streams of others go on, if there are any."""
        if source is None or len(self.tap.sources) == 1:
            raise error
        self.failed(source.name, error)

    def is_failed(self, stream: AffiliateStream) -> bool:
        """Tell whether a stream, or its source, failed before its turn."""
        source = stream.source
        return stream.name in self.failures or (source is not None and source.name in self.failures)

    def finish(self) -> None:
        """Tell what was done, and raise SyncFailed where something was not."""
        lines = [
            stream.summary()
            for stream in self.tap.table_streams
            if stream.exports or stream.totals.left_alone
        ]
        if lines:
            self.logger.info("summary:\n%s", "\n".join([TableStream.SUMMARY, *lines]))
        for stream in self.tap.table_streams:
            totals = stream.totals
            if totals.left and totals.left_for_quota:
                has_quota = stream.source.policy.limits.max_exports is not None
                later = "when exports are to be had, tomorrow" if has_quota else "later"
                line = (
                    f"{stream.name}: {totals.left} {stream.UNIT} are left: {totals.left_because}. "
                    f"What is complete is kept; run again {later}"
                )
                if self.tap.config.get("on_quota") == "warn":
                    self.logger.warning(line)
                else:
                    self.failed(stream.name, TapError(line), quiet=True)
        self._end_reloads()
        if self.failures:
            told = "; ".join(_told(name, error) for name, error in self.failures.items())
            count = len(self.failures)
            msg = f"{count} stream{'s' * (count > 1)} failed, the others are done. {told}"
            raise SyncFailed(msg)

    def is_last(self, stream: Stream) -> bool:
        """Tell whether a stream is the last one that is synced."""
        return next(reversed(self.tap.streams.values())) is stream

    def note_jobs(self) -> None:
        """Note in the state which jobs are under way."""
        for stream in self.tap.table_streams:
            stream.note_jobs()

    def close(self) -> None:
        """Remove temporary files."""
        if "spool" in self.__dict__:
            shutil.rmtree(self.spool, ignore_errors=True)


def _told(stream: str, error: TapError) -> str:
    line = str(error)
    return line if line.startswith(stream) else f"{stream}: {line}"
