"""The tap: its settings, its streams, and how a sync begins and ends."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream, Tap
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.singerlib import StateMessage

from tap_affiliate_reports import settings
from tap_affiliate_reports.clock import Clock, SystemClock
from tap_affiliate_reports.errors import (
    ApiError,
    SettingsError,
    SyncFailed,
    TapError,
)
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.schema import ADDED, Column, kind_of_property
from tap_affiliate_reports.sources import SOURCES
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.streams import ListStream, ReportStream, Span
from tap_affiliate_reports.windows import last_finished_day

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from types import FrameType

    from tap_affiliate_reports.sandbox import Sandbox

SANDBOX = "sandbox"


class TapAffiliateReports(Tap):
    """Loads affiliate-network reports, made by export jobs, incrementally by date."""

    name = "tap-affiliate-reports"
    config_jsonschema = settings.CONFIG_SCHEMA
    dynamic_catalog = True
    message_writer_class = LineWriter
    message_writer: LineWriter
    capabilities = [  # noqa: RUF012 # the SDK reads it from the class
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        config: Any = None,
        parse_env_config: bool = False,
        clock: Clock | None = None,
        **options: Any,
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self._failures: dict[str, TapError] = {}
        self._unavailable: dict[str, TapError] = {}
        self._known_streams: set[str] = set()
        self._flows: dict[str, ExportFlow] = {}
        self._prepared = False
        self._sandbox: Sandbox | None = None
        completed = settings.complete(config or {}, from_environment=parse_env_config)
        super().__init__(config=completed, **options)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        self.append_builtin_config(self.config_jsonschema)
        errors, warnings = settings.check(self._config, set(self.config_jsonschema["properties"]))
        for line in warnings:
            self.logger.warning(line)
        if errors and raise_errors:
            msg = "Config validation failed"
            raise ConfigValidationError(msg, errors=errors, schema=self.config_jsonschema)
        return errors

    @cached_property
    def sources(self) -> Sequence[Source]:
        """The configured sources."""
        start = settings.parse_day("start_date", self.config["start_date"])
        version = self.plugin_version
        agent = self.config.get("user_agent") or f"{self.name}/{version}"
        found: list[Source] = []
        for name, make in SOURCES.items():
            if name in self.config:
                own = self._with_sandbox(name, self.config[name])
                found.append(make(own, start=start, clock=self.clock, user_agent=agent))
        return found

    def _with_sandbox(self, name: str, own: Mapping[str, Any]) -> Mapping[str, Any]:
        if own.get("api_url") != SANDBOX:
            return own
        # Nothing else imports the sandbox.
        from tap_affiliate_reports.sandbox import Sandbox

        if self._sandbox is None:
            self._sandbox = Sandbox(
                now=self.clock.now,
                account_sid=str(own["account_sid"]),
                auth_token=str(own["auth_token"]),
            ).start()
        self.logger.warning("%s.api_url is 'sandbox': all of its data is invented", name)
        return {**own, "api_url": self._sandbox.url}

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        streams: list[Stream] = []
        for source in self.sources:
            streams.extend(ListStream(self, spec) for spec in source.lists())
            reports = source.reports()
            self._known_streams |= {report.stream for report in reports}
            distinct = self._distinct(source, reports, {stream.name for stream in streams})
            wanted = [report for report in distinct if self._is_wanted(source, report)]
            source.prefetch(wanted)
            for report in wanted:
                streams.extend(self._report_streams(source, report))
        self._known_streams |= {stream.name for stream in streams}
        return streams

    def _is_selected(self, source: Source, report: ReportSpec) -> bool:
        """Whether a report is to be synced, by the settings and the catalog."""
        if self.input_catalog is None:
            return report.allowed and not source.policy.catalog_decides
        entry = self.input_catalog.get_stream(report.stream)
        return (
            report.allowed
            and entry is not None
            and bool(entry.metadata.resolve_selection().get((), True))
        )

    def _is_wanted(self, source: Source, report: ReportSpec) -> bool:
        return self.input_catalog is None or self._is_selected(source, report)

    def _distinct(
        self, source: Source, reports: Sequence[ReportSpec], taken: set[str]
    ) -> list[ReportSpec]:
        """Return the reports whose streams have a name of their own, ignoring case."""
        named: dict[str, list[ReportSpec]] = defaultdict(list)
        for report in reports:
            named[report.stream.casefold()].append(report)
        distinct = []
        for name, same in named.items():
            ids = [report.id for report in same] + [stream for stream in taken if stream == name]
            if len(ids) > 1:
                line = f"{source.name}: {' and '.join(map(repr, ids))} make one stream name, {name}"
                if any(self._is_selected(source, report) for report in same):
                    raise SettingsError(line)
                self.logger.warning("%s: left out", line)
            else:
                distinct.extend(same)
        return distinct

    def _report_streams(self, source: Source, report: ReportSpec) -> Iterator[ReportStream]:
        try:
            columns = list(report.columns(report.id))
        except ApiError as error:
            self._unavailable[report.stream] = error
            self.logger.warning("%s is left out: %s", report.stream, error)
            return
        entry = self.input_catalog.get_stream(report.stream) if self.input_catalog else None
        if entry is not None:
            columns = _with_catalog(columns, entry.schema.to_dict().get("properties", {}))
        yield ReportStream(
            self,
            source,
            report,
            columns,
            singer_decimal=bool(self.config.get("use_singer_decimal")),
        )

    @override
    def setup_mapper(self) -> None:
        super().setup_mapper()
        # A catalog's schema may lack new columns, and the SDK's catalog loses precision and scale.
        for stream in self.report_streams:
            self.register(stream)

    @property
    def report_streams(self) -> list[ReportStream]:
        """The streams that are reports."""
        return [stream for stream in self.streams.values() if isinstance(stream, ReportStream)]

    def register(self, stream: ReportStream) -> None:
        """Make the mapper know a stream's schema as it is now."""
        schema = get_selected_schema(stream.name, stream.schema, stream.mask)
        self.mapper.register_raw_stream_schema(stream.name, schema, stream.primary_keys)

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if self._mapper is not None:
            for stream in self.report_streams:
                stream.keep_types()

    # A sync

    def flow(self, source: Source) -> ExportFlow:
        """Return the queue of a source's exports."""
        if source.name not in self._flows:
            self._flows[source.name] = ExportFlow(
                source.exports, self.clock, self._spool, source.policy.limits
            )
        return self._flows[source.name]

    @cached_property
    def _spool(self) -> Path:
        atexit.register(self.close)
        return Path(tempfile.mkdtemp(prefix=f"{self.name}-"))

    def prepare(self) -> None:
        """Plan all windows of all selected streams, once, before the first record."""
        if self._prepared:
            return
        self._prepared = True
        for source in self.sources:
            streams = [s for s in self.report_streams if s.source is source and s.selected]
            if any(stream.ABORT_AT_RECORD_COUNT == 1 for stream in streams):
                source.check_credentials()
                continue
            self._refuse_everything_by_accident(source)
            self._plan(source, streams)
        self._tell_of_the_gone()
        for flow in self._flows.values():
            flow.tick()  # the first jobs run while lists are read

    def _plan(self, source: Source, streams: Sequence[ReportStream]) -> None:
        if not streams:
            return
        now = source.exports.server_now()
        end = last_finished_day(now, source.zone)
        if self.config.get("end_date"):
            today = now.astimezone(source.zone).date()
            end = min(today, settings.parse_day("end_date", self.config["end_date"]))
        start = settings.parse_day("start_date", self.config["start_date"])
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
            "plan of %s: %s to %s, %d exports to spend of at most %d in this run; the service's "
            "headers tell what the account has left with the first one",
            source.name, start, end, flow.exports_needed, source.policy.limits.max_exports,
        )  # fmt: skip

    def _refuse_everything_by_accident(self, source: Source) -> None:
        if not source.policy.catalog_decides:
            return
        reports = source.reports()
        if self.input_catalog is not None and not all(
            self._is_selected(source, report) for report in reports
        ):
            return
        if not reports:
            return
        why = "no catalog is given" if self.input_catalog is None else "the catalog selects all"
        msg = (
            f"{source.name}.reports is not set and {why}: exports are too few to spend on every "
            f"report. Set {source.name}.reports to those that you need, or to ['*'] for all. "
            f"The account's reports are: {', '.join(sorted(report.id for report in reports))}"
        )
        raise SettingsError(msg)

    def _tell_of_the_gone(self) -> None:
        selected = set()
        if self.input_catalog is not None:
            selected = {
                entry.tap_stream_id
                for entry in self.input_catalog.streams
                if entry.metadata.resolve_selection().get((), True)
            }
        for name in sorted(selected | set(self.state.get("bookmarks", {}))):
            if name not in self._known_streams:
                line = f"{name}: the report is gone: the account no longer has it"
                self.logger.warning(line)
                self.failed(name, TapError(line), quiet=True)
        for source in self.sources:
            for report in source.reports():
                error = self._unavailable.get(report.stream)
                if error is not None and self._is_selected(source, report):
                    self.failed(report.stream, error)

    def failed(self, stream: str, error: TapError, *, quiet: bool = False) -> None:
        """Note that a stream failed; the others go on, but for a test of the connection."""
        if any(one.ABORT_AT_RECORD_COUNT is not None for one in self.streams.values()):
            raise error
        if not quiet:
            self.logger.error("%s failed: %s", stream, error)
        self._failures.setdefault(stream, error)

    def finish(self) -> None:
        """Tell what was done, and raise SyncFailed where something was not."""
        lines = [
            stream.summary()
            for stream in self.report_streams
            if stream.loads or stream.totals.left_alone
        ]
        if lines:
            self.logger.info("summary:\n%s", "\n".join([ReportStream.SUMMARY, *lines]))
        for stream in self.report_streams:
            totals = stream.totals
            if totals.left and totals.left_for_quota:
                line = (
                    f"{stream.name}: {totals.left} windows are left: {totals.left_because}. "
                    "What is complete is kept; run again when exports are to be had, tomorrow"
                )
                if self.config.get("on_quota") == "warn":
                    self.logger.warning(line)
                else:
                    self.failed(stream.name, TapError(line), quiet=True)
        if self._failures:
            told = "; ".join(f"{name}: {error}" for name, error in self._failures.items())
            msg = f"{len(self._failures)} streams failed, the others are done. {told}"
            raise SyncFailed(msg)

    def close(self) -> None:
        """Remove temporary files and stop the sandbox."""
        if "_spool" in self.__dict__:
            shutil.rmtree(self._spool, ignore_errors=True)
        if self._sandbox is not None:
            self._sandbox.stop()
            self._sandbox = None

    # Ending

    def is_last(self, stream: Stream) -> bool:
        """Whether a stream is the last of all."""
        return next(reversed(self.streams.values())) is stream

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        if self.message_writer.busy:
            self.message_writer.after_write = lambda: self._terminate(signum)
        else:
            self._terminate(signum)

    def _terminate(self, signum: int) -> None:
        try:
            self.logger.warning("told to stop by signal %d: what is complete is kept", signum)
            if self._prepared:
                for stream in self.report_streams:
                    stream.note_jobs()
                self.message_writer.after_write = lambda: None
                self.message_writer.write_message(StateMessage(value=self.state))
            self.close()
            sys.stderr.flush()
        finally:
            # Downloads and the sandbox have threads that an ordinary exit would wait for.
            os._exit(128 + signum)


def _with_catalog(columns: Sequence[Column], properties: Mapping[str, Any]) -> list[Column]:
    """Return the report's columns with the types that a catalog gives them, and its own ones."""
    merged = [
        Column(c.name, c.source, kind_of_property(properties[c.name]), c.description)
        if c.name in properties
        else c
        for c in columns
    ]
    names = {column.name for column in columns}
    merged.extend(
        Column(name, name, kind_of_property(schema), str(schema.get("description") or ""))
        for name, schema in properties.items()
        if name not in names and name not in ADDED
    )
    return merged


def main() -> None:
    """Run the command line; an expected error is one line and exit status 1."""
    try:
        TapAffiliateReports.cli()
    except ConfigValidationError as error:
        lines = list(error.errors)
    except TapError as error:
        lines = [str(error)]
    except BrokenPipeError:
        # What is still buffered can't be written either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        lines = ["the loader closed its input: see its own log for the reason"]
    else:
        return
    for line in lines:
        TapAffiliateReports.logger.error(line)
    sys.exit(1)
