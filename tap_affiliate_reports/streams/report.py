"""The streams that are reports: their pages are windows, and each window is one export."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import CustomStreamMap, StreamMap
from singer_sdk.singerlib import Metadata, RecordMessage

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import SettingsError, TapError
from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.schema import ADDED, Column, Kind, json_schema, unknown_columns
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.state import to_timestamp
from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.base import AffiliateStream
from tap_affiliate_reports.streams.planning import FULL_TABLE, Planner, Span
from tap_affiliate_reports.streams.window_load import Partition, WindowLoad
from tap_affiliate_reports.windows import Freshness

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_affiliate_reports.tap import TapAffiliateReports

REPLICATION_KEY = "_window_end"
KEYS = ("_account", "_program_id", "_window_start", "_row_number")


@dataclass
class Totals:
    """What a stream did in this sync, for the table at its end."""

    done: int = 0
    left: int = 0
    left_alone: int = 0
    rows: int = 0
    vanished: int = 0
    unparsed: int = 0
    left_because: str = ""
    left_for_quota: bool = False


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
        audit: ReportWindowsStream,
        singer_decimal: bool,
    ) -> None:
        self.source = source
        self.report = report
        self.audit = audit
        self.columns = list(columns)
        self.singer_decimal = singer_decimal
        self.selected_by_default = report.allowed and not source.policy.catalog_decides
        self.totals = Totals()
        self.loads: list[WindowLoad] = []
        self.is_planned = False
        # Set for each window before its first record.
        self.held_rows = 0
        self.extracted_at: datetime | None = None
        self.parts: list[Partition] = []
        self._warned: set[str] = set()
        self._digests: dict[tuple[str, str], str] = {}
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
        exports = sum(load.export.exports_spent for load in self.loads)
        marks = [mark for partition in self.parts if (mark := partition.ledger.bookmark)]
        return (
            f"{self.name:40} {totals.done:>5} {left:>5} {totals.rows:>9} {totals.vanished:>8} "
            f"{totals.unparsed:>8} {exports:>7} {min(marks) if marks else '-'}"
        )

    # Planning

    @cached_property
    def freshness(self) -> Freshness:
        """How the files of this report are judged."""
        return Freshness(self.source.zone, self.report.options.lookback, self.source.policy.max_age)

    @property
    def new_version(self) -> int:
        """The version of the records of a full refresh that begins now."""
        return self._tap.initialized_at

    @property
    def clock(self) -> Clock:
        """The clock that was handed in."""
        return self._tap.clock

    @property
    def flow(self) -> ExportFlow:
        """The queue that this stream shares with the others of its source."""
        return self._tap.run.flow(self.source)

    def plan(self, span: Span) -> list[Export]:
        """Decide what to load in this sync, new windows before refreshed ones."""
        planner = Planner(self, span)
        self.loads = planner.loads()
        self.parts = planner.partitions
        self.totals.left_alone = planner.left_alone
        self._stream_version = planner.version
        self.is_planned = True
        return [load.export for load in self.loads]

    # Emitting

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        if not self.is_planned:  # why has been told
            return
        try:
            for load in self.loads:
                if context is None or context["_program_id"] == load.partition.program:
                    yield from self._window(load)
        except TapError:
            self.note_jobs()
            self.write_state()
            raise
        finally:
            self.flow.abandon(self.name)
        if self.totals.left:
            self.write_state()
        self._activate_version()

    def note_jobs(self) -> None:
        """Note the jobs under way in the ledger, so that a next sync need not export again."""
        for load in self.loads:
            load.note_job()

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
            # A filter must not keep what retires a row that it let through before.
            if record["_deleted"]:
                mapped = _unfiltered(stream_map, record)
            else:
                mapped = stream_map.transform(record)
                if mapped is None and record["_row_number"] <= self.held_rows:
                    mapped = _unfiltered(stream_map, self.retired(record))
            if mapped is not None:
                self._tap.write_message(
                    RecordMessage(
                        stream=stream_map.stream_alias,
                        record=mapped,
                        version=self._stream_version,
                        time_extracted=self.extracted_at,
                    )
                )

    def retired(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record that marks a row as vanished: its `_` columns, all others null."""
        return {
            **{name: record[name] for name in ADDED},
            **dict.fromkeys(self.selected_columns),
            "_unparsed": None,
            "_deleted": True,
            "_sdc_deleted_at": to_timestamp(self.clock.now()),
        }

    def _window(self, load: WindowLoad) -> Iterator[Record]:
        result = self.flow.take(load.export)
        if result is None:
            load.note_job()
            self.totals.left += 1
            self.totals.left_because = load.export.left_because
            self.totals.left_for_quota = self.totals.left_for_quota or load.export.left_for_quota
        else:
            yield from load.records(result)
            self.flow.release(load.export)

    def write_state(self) -> None:
        """Write a STATE message, unless nothing changed since the last one."""
        kinds = self.stream_state.setdefault("columns", {})
        kinds.update((column.name, column.kind.value) for column in self.columns)
        self._tap.write_state()

    def _activate_version(self) -> None:
        state = self.stream_state
        if state.get("version_pending") and not self.totals.left:
            del state["version_pending"]
            self._write_activate_version_message(state["version"])
            self.write_state()

    # Columns

    @property
    def selected_columns(self) -> set[str]:
        """The names of the report's columns that are selected."""
        mask = self.mask
        return {c.name for c in self.columns if mask[("properties", c.name)]}

    def warn_of_missing(self, export: Export, missing: Sequence[Column]) -> None:
        """Tell once of each column that a file lacks."""
        names = [column.name for column in missing if column.name not in self._warned]
        if names:
            self._warned.update(names)
            self.logger.warning("%s: not in the file, so null: %s", export, ", ".join(names))

    def warn_of_twins(self, load: WindowLoad, digest: str) -> None:
        """Tell of two windows with the same content: the report may not have dates at all."""
        other = self._digests.setdefault((load.partition.program, digest), load.export.window)
        if other != load.export.window:
            self.logger.warning(
                "%s: its file is the same as that of %s: if the report ignores dates, set "
                "window: none for it in report_options", load.export, other,
            )  # fmt: skip

    def add_columns(self, export: Export, unknown: Sequence[tuple[int, str]]) -> Sequence[Column]:
        """Add what only a file has, as text, by a new SCHEMA message."""
        added = unknown_columns(unknown, self.schema["properties"])
        names = ", ".join(column.name for column in added)
        self.logger.warning("%s: new columns, loaded as text: %s", export, names)
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


def _unfiltered(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """Return a record as a stream map makes it, whatever the map's filter says."""
    if not isinstance(stream_map, CustomStreamMap):
        return stream_map.transform(record)
    kept = stream_map.get_filter_result
    stream_map.get_filter_result = lambda record: True  # type: ignore[method-assign] # noqa: ARG005
    try:
        return stream_map.transform(record)
    finally:
        stream_map.get_filter_result = kept  # type: ignore[method-assign]
