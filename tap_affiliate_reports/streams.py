"""The streams: lists of an API, and reports whose pages are windows, each one hidden export."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import Metadata, RecordMessage

from tap_affiliate_reports.errors import (
    DamagedFile,
    FileError,
    KeyViolation,
    SettingsError,
    StreamError,
    TapError,
    Unauthorized,
)
from tap_affiliate_reports.exports.export import UNDER_WAY, Export, ResultFile
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.schema import (
    ADDED,
    Column,
    Kind,
    json_schema,
    match_header,
    row_parser,
    unknown_columns,
)
from tap_affiliate_reports.sources.source import ListSpec, ReportSpec, Source
from tap_affiliate_reports.state import Ledger, to_timestamp
from tap_affiliate_reports.windows import Freshness, Loaded, Plan, Window, plan, windows

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_affiliate_reports.tap import TapAffiliateReports

FULL_TABLE = "FULL_TABLE"
INCREMENTAL = "INCREMENTAL"
REPLICATION_KEY = "_window_end"
KEYS = ("_account", "_program_id", "_window_start", "_row_number")
# Between two looks at the exports that are under way, this many rows are emitted.
TICK_ROWS = 500


class AffiliateStream(Stream):
    """A stream whose expected errors are told to the tap and do not stop the other streams."""

    _tap: TapAffiliateReports

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        # The SDK would retire the old rows before the first new one is there.
        return False

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        return None

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], None, None]:
        try:
            self._tap.prepare()
            yield from self._records(context, write_messages=write_messages)
        except (Unauthorized, SettingsError):
            raise
        except TapError as error:
            self._tap.failed(self.name, error)

    def _records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        yield from super()._sync_records(context, write_messages=write_messages)

    @override
    def log_sync_costs(self) -> None:
        super().log_sync_costs()
        # The framework calls this for each stream once all of them are through.
        if self._tap.is_last(self):
            self._tap.finish()


class ListStream(AffiliateStream):
    """A list that the API answers at once."""

    def __init__(self, tap: TapAffiliateReports, spec: ListSpec) -> None:
        self._spec = spec
        super().__init__(tap, schema=spec.schema, name=spec.name)
        self.primary_keys = spec.primary_keys
        self.replication_key = spec.replication_key

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        bookmark = None
        if self.replication_key:
            bookmark = self.get_starting_replication_key_value(context)
        yield from self._spec.records(bookmark)


@dataclass
class Partition:
    """One program of a report, or all of it: its ledger and how far it is complete."""

    program: str
    ledger: Ledger
    asked: Sequence[Window]
    complete: int = 0

    def advance(self, freshness: Freshness) -> None:
        """Move the bookmark over all windows that are loaded without a gap."""
        while self.complete < len(self.asked):
            asked = self.asked[self.complete]
            entry = self.ledger.windows.get(asked.slot)
            if entry is None or not entry.is_whole or entry.refreshed_at is None:
                return
            day = freshness.complete_through(entry.end, entry.refreshed_at)
            self.ledger.advance(day)
            if day < asked.end:
                return
            self.complete += 1


@dataclass
class Load:
    """One window to load in this sync, what the ledger had of it, and its export."""

    partition: Partition
    window: Window
    before: Loaded | None
    export: Export
    is_refresh: bool


@dataclass
class Totals:
    """What a stream did in this sync, for the table at its end."""

    done: int = 0
    left: int = 0
    left_alone: int = 0
    rows: int = 0
    vanished: int = 0
    unparsed: int = 0
    exports: int = 0
    left_because: str = ""
    left_for_quota: bool = False


@dataclass(frozen=True)
class Span:
    """The days to fetch, both inclusive, and the moment by which ages are counted."""

    start: date
    end: date
    now: datetime


class ReportStream(AffiliateStream):
    """The rows of one report: each page is a window, and each window one export."""

    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self,
        tap: TapAffiliateReports,
        source: Source,
        report: ReportSpec,
        columns: Sequence[Column],
        *,
        singer_decimal: bool,
    ) -> None:
        self.source = source
        self.report = report
        self.columns = list(columns)
        self.singer_decimal = singer_decimal
        self.selected_by_default = report.allowed and not source.policy.catalog_decides
        self.totals = Totals()
        self.loads: list[Load] = []
        self._planned: list[Partition] = []
        self._warned: set[str] = set()
        super().__init__(
            tap, schema=json_schema(self.columns, singer_decimal=singer_decimal), name=report.stream
        )
        self._set_keys()

    # What the framework asks

    @property
    def size(self) -> str:
        """The calendar slots of this report."""
        if self.report.options.window:
            return self.report.options.window
        return "month" if self.report.has_dates(self.report.id) else "none"

    @property
    def is_snapshot(self) -> bool:
        """Whether the report is fetched without dates."""
        return self.size == "none"

    def _set_keys(self) -> None:
        keys = self.report.options.primary_keys
        self.primary_keys = ("_account", *keys) if keys else KEYS
        self.replication_key = None if self.is_snapshot else REPLICATION_KEY
        if self.is_snapshot:
            self.forced_replication_method = FULL_TABLE
        unknown = [key for key in keys if key not in self.schema["properties"]]
        name = f"impact.report_options.{self.report.id}.primary_keys"
        if unknown:
            msg = f"{name}: the report has no column {', '.join(unknown)}"
            raise SettingsError(msg)
        dated = any(column.kind in {Kind.DATE, Kind.DATETIME} for column in self.columns)
        if keys and not dated and not self.is_snapshot and "_window_start" not in keys:
            msg = f"{name}: the report has no date of its own, so add _window_start"
            raise SettingsError(msg)
        for column in {*ADDED, *keys}:
            entry = self.metadata.setdefault(("properties", column), Metadata())
            entry.inclusion, entry.selected = Metadata.InclusionType.AUTOMATIC, None
        self._mask = None

    @property
    @override
    def selected(self) -> bool:
        return self.report.allowed and bool(self.mask.get((), True))

    @selected.setter
    def selected(self, value: bool | None) -> None:
        self.metadata.root.selected = value
        self._mask = self.metadata.resolve_selection()

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        # The catalog decides what is selected and how it is replicated. Its schema is in the
        # columns already, and a cached one must not bring back old keys.
        self._input_schema = None
        self._metadata = None
        self._set_keys()

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        programs = self.source.policy.programs
        if programs == ("",):
            return None
        return [{"_program_id": program} for program in programs]

    SUMMARY = (
        f"{'stream':40} {'done':>5} {'left':>5} {'rows':>9} {'vanished':>8} {'unparsed':>8} "
        f"{'exports':>7} bookmark"
    )

    def summary(self) -> str:
        """Return this stream's line of the table at the end of a sync."""
        totals = self.totals
        left = len(self.loads) - totals.done
        marks = [mark for partition in self._planned if (mark := partition.ledger.bookmark)]
        return (
            f"{self.name:40} {totals.done:>5} {left:>5} {totals.rows:>9} {totals.vanished:>8} "
            f"{totals.unparsed:>8} {totals.exports:>7} {min(marks) if marks else '-'}"
        )

    # Planning

    @cached_property
    def freshness(self) -> Freshness:
        """How the files of this report are judged."""
        return Freshness(self.source.zone, self.report.options.lookback, self.source.policy.max_age)

    @property
    def flow(self) -> ExportFlow:
        """The queue that this stream shares with the others of its source."""
        return self._tap.flow(self.source)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The settings that say what a window is."""
        options = self.report.options
        settings = {
            "window": self.size,
            "timezone": str(getattr(self.source.zone, "name", self.source.zone)),
            "program_ids": [program for program in self.source.policy.programs if program],
            "filters": {name: list(options.filters[name]) for name in sorted(options.filters)},
            "mode": "" if options.mode == "export" else options.mode,
            "primary_keys": list(options.primary_keys),
        }
        return {name: value for name, value in settings.items() if value}

    def plan(self, span: Span) -> list[Export]:
        """Decide what to load in this sync, new windows before refreshed ones."""
        self._check_fingerprint()
        everything = self.replication_method == FULL_TABLE and not self.is_snapshot
        plans: list[tuple[Partition, Plan]] = []
        for context in self.partitions or ({},):
            ledger = Ledger(self.get_context_state(context or None), self.replication_key)
            program = context.get("_program_id", "")
            asked = list(windows(self.size, span.start, span.end))
            if span.start > span.end and not self.is_snapshot:
                asked = []
            planned = plan(
                asked,
                ledger.windows,
                self.freshness,
                span.now,
                everything=everything,
                bookmark=ledger.bookmark,
            )
            partition = Partition(program, ledger, asked)
            self._planned.append(partition)
            plans.append((partition, planned))
        self._set_version(everything=everything, plans=plans)
        for is_refresh in (False, True):
            for partition, planned in plans:
                for window in planned.refresh if is_refresh else planned.new:
                    self.loads.append(self._load(partition, window, is_refresh=is_refresh))
        self.totals.left_alone = sum(planned.left_alone for _, planned in plans)
        return [load.export for load in self.loads]

    def _check_fingerprint(self) -> None:
        state, now = self.stream_state, self.fingerprint
        before = state.get("fingerprint")
        has_windows = state.get("windows") or state.get("partitions")
        if before is not None and before != now and has_windows:
            changed = ", ".join(
                f"{name}: {before.get(name)!r} -> {now.get(name)!r}"
                for name in sorted({*before, *now})
                if before.get(name) != now.get(name)
            )
            msg = (
                f"{self.name}: settings changed that say what a window is ({changed}); "
                "load it anew: meltano run --full-refresh (without Meltano: no --state)"
            )
            raise StreamError(msg)
        state["fingerprint"] = now

    def _set_version(self, *, everything: bool, plans: Iterable[tuple[Partition, Plan]]) -> None:
        state = self.stream_state
        is_first = all(
            not partition.ledger.windows and partition.ledger.bookmark is None
            for partition, _ in plans
        )
        emits = self.config.get("emit_activate_version_messages", True)
        if emits and (is_first or everything):
            state["version"], state["version_pending"] = self._tap.initialized_at, True
        self._stream_version = state.get("version")

    def _load(self, partition: Partition, window: Window, *, is_refresh: bool) -> Load:
        before = partition.ledger.windows.get(window.slot)
        same_days = before is not None and (before.start, before.end) == (window.start, window.end)
        dates = {} if window.is_snapshot else {"start": window.start, "end": window.end}
        options = self.report.options
        request = ExportRequest(
            self.report.id,
            program=partition.program,
            filters=options.filters,
            synchronous=options.mode == "run",
            **dates,
        )
        label = f"{window} of program {partition.program}" if partition.program else str(window)
        load: Load

        def check(path: Path, summary: Summary) -> None:
            self._check_file(load, path, summary)

        def is_fresh(finished_at: datetime, now: datetime) -> bool:
            return self.freshness.is_fresh(window, finished_at, now)

        export = Export(
            stream=self.name,
            window=label,
            request=request,
            is_fresh=is_fresh,
            check=check,
            known_job=before.job if before and (same_days or window.is_snapshot) else "",
            was_loaded=before is not None and before.refreshed_at is not None,
        )
        load = Load(partition, window, before, export, is_refresh)
        return load

    # Emitting

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        try:
            for load in self.loads:
                if context is None or context["_program_id"] == load.partition.program:
                    yield from self._window(load)
        finally:
            self.note_jobs()
            self._write_state()
            self.flow.abandon(self.name)
        self._activate_version()

    def note_jobs(self) -> None:
        """Note the jobs of new windows still under way, so that a next sync need not export them.

        Nothing was emitted of them: what the warehouse holds stays as the ledger has it.
        """
        for load in self.loads:
            job = load.export.job
            if load.export.step in UNDER_WAY and job and job.id and not load.is_refresh:
                load.partition.ledger.begin(load.window, 0, job.id)

    @override
    def _records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        if self.ABORT_AT_RECORD_COUNT == 1:
            # A connection test: the credentials and the MetaData have been seen.
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            for index, record in enumerate(self.get_records(context)):
                self._check_max_record_limit(current_record_index=index)
                if write_messages and self.selected:
                    self._write_record_message(record)
                counter.increment()
                yield record

    @override
    def _write_record_message(self, record: Record) -> None:
        # Deselected columns were never parsed, and every value has its type already.
        for stream_map in self.stream_maps:
            mapped = stream_map.transform(record)
            if mapped is not None:
                self._tap.write_message(
                    RecordMessage(
                        stream=stream_map.stream_alias,
                        record=mapped,
                        version=self._stream_version,
                        time_extracted=self._tap.clock.now(),
                    )
                )

    def _window(self, load: Load) -> Iterator[Record]:
        flow, export = self.flow, load.export
        result = flow.take(export)
        self.totals.exports += export.exports_spent
        if result is None:
            self.totals.left += 1
            self.totals.left_because = export.left_because
            self.totals.left_for_quota = self.totals.left_for_quota or export.left_for_quota
            return
        self._refuse_loss(load, result)
        began = self._tap.clock.monotonic()
        end = load.window.end
        if load.window.is_snapshot:
            end = result.finished_at.astimezone(self.source.zone).date()
        constants: dict[str, Any] = {
            "_account": self.source.account,
            "_program_id": load.partition.program,
            "_window_start": load.window.slot.isoformat(),
            "_window_end": end.isoformat(),
            "_row_number": 0,
            "_refreshed_at": to_timestamp(result.finished_at),
            "_deleted": False,
            "_sdc_deleted_at": None,
            "_unparsed": None,
        }
        rows, unparsed = result.summary.rows, 0
        ledger = load.partition.ledger
        ledger.begin(load.window, rows, result.job.id)
        self._write_state()
        parse = self._row_parser(load, result.summary)
        bad: dict[str, int] = {}
        read = self.source.exports.format_of(export.request).read_rows
        for number, row in enumerate(read(result.path, result.summary.header), 1):
            values, misfits = parse(row)
            record = constants | values
            record["_row_number"] = number
            if misfits:
                record["_unparsed"] = misfits
                for name in misfits:
                    bad[name] = bad.get(name, 0) + 1
            yield record
            if number % TICK_ROWS == 0:
                flow.tick()
        yield from self._vanished(load, rows, constants)
        for name, count in bad.items():
            unparsed += count
            self.logger.warning("%s: %d values of %s do not fit its type; kept in _unparsed",
                                export, count, name)  # fmt: skip
        self._finish(load, result, rows)
        self.totals.done += 1
        self.totals.rows += rows
        self.totals.unparsed += unparsed
        self.logger.info(
            "loaded %s: %d rows, %d bytes, job %s, waited %.1f s, read %.1f s",
            export, rows, result.summary.size, result.job.id or "none",
            result.seconds_waited, self._tap.clock.monotonic() - began,
        )  # fmt: skip
        flow.release(export)

    def _finish(self, load: Load, result: ResultFile, rows: int) -> None:
        settled = not load.window.is_snapshot and self.freshness.is_settled(
            load.window.end, result.finished_at
        )
        ledger = load.partition.ledger
        ledger.finish(load.window, rows, result.finished_at, "" if settled else result.job.id)
        load.partition.advance(self.freshness)
        self.stream_state["columns"] = {column.name: column.kind.value for column in self.columns}
        self._write_state()

    def _vanished(self, load: Load, rows: int, constants: Mapping[str, Any]) -> Iterator[Record]:
        before = load.before.rows if load.before else 0
        if self.report.options.primary_keys or before <= rows:
            return
        nulls = {column.name: None for column in self.columns if column.name in self._chosen}
        now = to_timestamp(self._tap.clock.now())
        for number in range(rows + 1, before + 1):
            yield {
                **constants,
                **nulls,
                "_row_number": number,
                "_deleted": True,
                "_sdc_deleted_at": now,
            }
        self.totals.vanished += before - rows
        self.logger.info("%s: %d rows vanished", load.export, before - rows)

    def _refuse_loss(self, load: Load, result: ResultFile) -> None:
        had_rows = load.before is not None and load.before.rows and load.before.refreshed_at
        if had_rows and not result.summary.rows and result.job.records != 0:
            msg = (
                f"{load.export}: the file of job {result.job.id or 'none'} is empty where "
                f"{load.before.rows if load.before else 0} rows were loaded before, and the "
                "service does not say that there are none; the rows are left as they are"
            )
            raise FileError(msg)

    def _write_state(self) -> None:
        self._tap.state_writer.write_state(self.tap_state)

    def _activate_version(self) -> None:
        state = self.stream_state
        if state.get("version_pending") and not self.totals.left:
            del state["version_pending"]
            self._write_activate_version_message(state["version"])
            self._write_state()

    # Files and columns

    @property
    def _chosen(self) -> set[str]:
        mask = self.mask
        return {c.name for c in self.columns if mask[("properties", c.name)]}

    def _check_file(self, load: Load, path: Path, summary: Summary) -> None:
        """Refuse a file that is none of this report's, or whose keys are null or repeat."""
        match = match_header(summary.header, self.columns)
        if summary.header and not match.found:
            msg = f"no column of the file is one of the report's: {summary.header[:5]}"
            raise DamagedFile(msg)
        keys = [key for key in self.report.options.primary_keys if key not in ADDED]
        if (
            not self.report.options.primary_keys
            or "_row_number" in self.report.options.primary_keys
        ):
            return
        parse = row_parser(
            match, timezone=self.source.zone, singer_decimal=self.singer_decimal, selected=keys
        )
        seen: set[tuple[Any, ...]] = set()
        read = self.source.exports.format_of(load.export.request).read_rows
        for number, row in enumerate(read(path, summary.header), 1):
            values, _ = parse(row)
            key = tuple(values[name] for name in keys)
            if None in key or key in seen:
                what = "null" if None in key else "not unique"
                told = ", ".join(f"{name}={value!r}" for name, value in zip(keys, key, strict=True))
                msg = (
                    f"{load.export}: primary_keys ({', '.join(keys)}) are {what} in row {number}: "
                    f"{told}"
                )
                raise KeyViolation(msg)
            seen.add(key)

    def _row_parser(
        self, load: Load, summary: Summary
    ) -> Callable[[Sequence[str]], tuple[dict[str, Any], dict[str, str] | None]]:
        match = match_header(summary.header, self.columns)
        if summary.header:
            self._warn_of_missing(load, match.missing)
        added: Sequence[Column] = ()
        if match.unknown and summary.rows:
            added = self._add_columns(load, match.unknown)
        return row_parser(
            match,
            added,
            timezone=self.source.zone,
            singer_decimal=self.singer_decimal,
            selected=self._chosen,
        )

    def _warn_of_missing(self, load: Load, missing: Sequence[Column]) -> None:
        names = [column.name for column in missing if column.name not in self._warned]
        if names:
            self._warned.update(names)
            self.logger.warning("%s: not in the file, so null: %s", load.export, ", ".join(names))

    def _add_columns(self, load: Load, unknown: Sequence[tuple[int, str]]) -> Sequence[Column]:
        added = unknown_columns(unknown, self.schema["properties"])
        self.logger.warning("%s: new columns, loaded as text: %s",
                            load.export, ", ".join(column.name for column in added))  # fmt: skip
        self.set_columns([*self.columns, *added])
        self._write_schema_message()
        return added

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Make these the stream's columns, for whatever is emitted from now on."""
        self.columns = list(columns)
        self._schema = json_schema(self.columns, singer_decimal=self.singer_decimal)
        self._tap.register(self)
        self._stream_maps = None

    def keep_types(self) -> None:
        """Keep the type that each column had when it was first loaded, as the state tells it."""
        kept = self.tap_state.get("bookmarks", {}).get(self.name, {}).get("columns") or {}
        columns = []
        for column in self.columns:
            kind = kept.get(column.name, column.kind.value)
            if kind != column.kind.value:
                self.logger.warning(
                    "%s: the type of %s is now %s; it stays %s until a full refresh",
                    self.name, column.name, column.kind.value, kind,
                )  # fmt: skip
            columns.append(Column(column.name, column.source, Kind(kind), column.description))
        if columns != self.columns:
            self.set_columns(columns)
