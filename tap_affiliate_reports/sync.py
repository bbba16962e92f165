"""One sync: what is planned before the first record, what failed, what is told at the end."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tap_affiliate_reports import settings
from tap_affiliate_reports.errors import ENDS_THE_RUN, SettingsError, SyncFailed, TapError
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.streams import ReportStream, Span
from tap_affiliate_reports.windows import last_finished_day

if TYPE_CHECKING:
    from singer_sdk import Stream

    from tap_affiliate_reports.tap import TapAffiliateReports


class Sync:
    """Plans all streams at once, lets each fail alone, and ends with one account of it all."""

    def __init__(self, tap: TapAffiliateReports) -> None:
        self.tap = tap
        self.logger = tap.logger
        self.prepared = False
        self._failures: dict[str, TapError] = {}
        self._flows: dict[str, ExportFlow] = {}

    def flow(self, source: Source) -> ExportFlow:
        """Return the queue of a source's exports."""
        if source.name not in self._flows:
            self._flows[source.name] = ExportFlow(
                source.exports, self.tap.clock, self._spool, source.policy.limits
            )
        return self._flows[source.name]

    @cached_property
    def _spool(self) -> Path:
        atexit.register(self.close)
        try:
            return Path(tempfile.mkdtemp(prefix=f"{self.tap.name}-"))
        except OSError as error:
            msg = f"no folder for temporary files can be made (TMPDIR): {error.strerror or error}"
            raise SettingsError(msg) from None

    def prepare(self) -> None:
        """Plan all windows of all selected streams, once, before the first record."""
        if self.prepared:
            return
        self.prepared = True
        for source in self.tap.sources:
            streams = [s for s in self.tap.report_streams if s.source is source and s.selected]
            if any(stream.ABORT_AT_RECORD_COUNT == 1 for stream in streams):
                source.check_credentials()
                continue
            self._refuse_everything_by_accident(source)
            try:
                self._plan(source, streams)
            except ENDS_THE_RUN:
                raise
            except TapError as error:
                for stream in streams:
                    self.failed(stream.name, error)
        self._tell_of_the_gone()
        for flow in self._flows.values():
            flow.tick()  # the first jobs run while lists are read

    def _plan(self, source: Source, streams: Sequence[ReportStream]) -> None:
        if not streams:
            return
        now = source.exports.server_now()
        end = last_finished_day(now, source.zone)
        if self.tap.config.get("end_date"):
            today = now.astimezone(source.zone).date()
            end = min(today, settings.parse_day("end_date", self.tap.config["end_date"]))
        start = settings.parse_day("start_date", self.tap.config["start_date"])
        flow = self.flow(source)
        exports, refreshes = [], set()
        for stream in streams:
            try:
                planned = stream.plan(Span(start, end, now))
            except TapError as error:
                self.failed(stream.name, error)
                continue
            exports.extend(planned)
            refreshes |= {load.export for load in stream.loads if load.is_refresh}
            self.logger.info(
                "plan of %s: %d windows new, %d to refresh, %d left alone",
                stream.name,
                sum(not load.is_refresh for load in stream.loads),
                sum(load.is_refresh for load in stream.loads),
                stream.totals.left_alone,
            )
        flow.plan(exports, last=refreshes.__contains__)
        self.logger.info(
            "plan of %s: %s to %s, %d exports to spend of at most %d in this run",
            source.name, start, end, flow.exports_needed, source.policy.limits.max_exports,
        )  # fmt: skip

    def _refuse_everything_by_accident(self, source: Source) -> None:
        if not source.policy.catalog_decides:
            return
        reports = source.reports()
        if self.tap.input_catalog is not None:
            selected = [report for report in reports if self.tap.is_selected(source, report)]
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

    def _tell_of_the_gone(self) -> None:
        selected = set()
        if self.tap.input_catalog is not None:
            selected = {
                entry.tap_stream_id
                for entry in self.tap.input_catalog.streams
                if entry.metadata.resolve_selection().get((), True)
            }
        for name in sorted(selected | set(self.tap.state.get("bookmarks", {}))):
            if name not in self.tap.known_streams:
                line = f"{name}: the report is gone: the account no longer has it"
                self.logger.warning(line)
                self.failed(name, TapError(line), quiet=True)
        for source in self.tap.sources:
            for report in source.reports():
                error = self.tap.unavailable.get(report.stream)
                if error is not None and self.tap.is_selected(source, report):
                    self.failed(report.stream, error)

    def failed(self, stream: str, error: TapError, *, quiet: bool = False) -> None:
        """Note that a stream failed; the others go on, but for a test of the connection."""
        if any(one.ABORT_AT_RECORD_COUNT is not None for one in self.tap.streams.values()):
            raise error
        if not quiet:
            self.logger.error("failed: %s", _told(stream, error))
        self._failures.setdefault(stream, error)

    def finish(self) -> None:
        """Tell what was done, and raise SyncFailed where something was not."""
        lines = [
            stream.summary()
            for stream in self.tap.report_streams
            if stream.loads or stream.totals.left_alone
        ]
        if lines:
            self.logger.info("summary:\n%s", "\n".join([ReportStream.SUMMARY, *lines]))
        for stream in self.tap.report_streams:
            totals = stream.totals
            if totals.left and totals.left_for_quota:
                line = (
                    f"{stream.name}: {totals.left} windows are left: {totals.left_because}. "
                    "What is complete is kept; run again when exports are to be had, tomorrow"
                )
                if self.tap.config.get("on_quota") == "warn":
                    self.logger.warning(line)
                else:
                    self.failed(stream.name, TapError(line), quiet=True)
        if self._failures:
            told = "; ".join(_told(name, error) for name, error in self._failures.items())
            msg = f"{len(self._failures)} streams failed, the others are done. {told}"
            raise SyncFailed(msg)

    def is_last(self, stream: Stream) -> bool:
        """Tell whether a stream is the last one that is synced."""
        return next(reversed(self.tap.streams.values())) is stream

    def note_jobs(self) -> None:
        """Note in the state which jobs are under way."""
        for stream in self.tap.report_streams:
            stream.note_jobs()

    def close(self) -> None:
        """Remove temporary files."""
        if "_spool" in self.__dict__:
            shutil.rmtree(self._spool, ignore_errors=True)


def _told(stream: str, error: TapError) -> str:
    line = str(error)
    return line if line.startswith(stream) else f"{stream}: {line}"
