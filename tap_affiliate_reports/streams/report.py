"""The streams that are reports: their pages are windows, and each window is one export."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from singer_sdk.mapper import CustomStreamMap, StreamMap

from tap_affiliate_reports.errors import FileError, SettingsError, TapError
from tap_affiliate_reports.exports.export import Export
from tap_affiliate_reports.schema import ADDED, Column, Kind
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.state import StreamState, to_timestamp
from tap_affiliate_reports.state.former import FormerWindow, covers
from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.planning import Planner
from tap_affiliate_reports.streams.table import DateRange, TableStream
from tap_affiliate_reports.streams.window_load import KEYS, Partition, WindowLoad, program_id
from tap_affiliate_reports.windows import SNAPSHOT_SLOT, Freshness, LedgerEntry, Window

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_affiliate_reports.tap import TapAffiliateReports

REPLICATION_KEY = "_window_end"


class ReportStream(TableStream):
    """The rows of one report: each page is a window, and each window one export."""

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
        self.report = report
        self.audit = audit
        self.selected_by_default = report.allowed and not source.policy.catalog_decides
        self.loads: list[WindowLoad] = []
        self.parts: list[Partition] = []
        self.state = StreamState({})
        # Set for each window before its first record.
        self.held_rows = 0
        self._digests: dict[tuple[str, str], str] = {}
        super().__init__(
            tap, source, report.stream, columns, added=ADDED, singer_decimal=singer_decimal
        )

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

    @override
    def _keys(self) -> tuple[Sequence[str], str | None]:
        keys = self.report.options.primary_keys
        unknown = [key for key in keys if key not in self.schema["properties"]]
        name = f"{self.source.name}.report_options.{self.report.id}.primary_keys"
        if unknown:
            msg = f"{name}: the report has no column {', '.join(unknown)}"
            raise SettingsError(msg)
        dated = any(column.kind in {Kind.DATE, Kind.DATETIME} for column in self.columns)
        if keys and not dated and not self.is_snapshot and "_window_start" not in keys:
            msg = f"{name}: the report has no date of its own, so add _window_start"
            raise SettingsError(msg)
        replication_key = None if self.is_snapshot else REPLICATION_KEY
        return ("_account", *keys) if keys else KEYS, replication_key

    @property
    @override
    def selected(self) -> bool:
        return self.report.allowed and bool(self.mask.get((), True))

    @selected.setter
    def selected(self, value: bool | None) -> None:
        self.metadata.root.selected = value
        self._mask = self.metadata.resolve_selection()

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        programs = self.source.policy.programs
        if programs == ("",):
            return None
        return [{"_program_id": program} for program in programs]

    @override
    def bookmark(self) -> str:
        marks = [mark for partition in self.parts if (mark := partition.ledger.bookmark)]
        return min(marks).isoformat() if marks else ""

    # Planning

    @cached_property
    def freshness(self) -> Freshness:
        """How the files of this report are judged."""
        return Freshness(self.source.zone, self.report.options.lookback, self.source.policy.max_age)

    @property
    def new_version(self) -> int:
        """The version of the records of a full refresh that begins now."""
        return self._tap.initialized_at

    @override
    def plan(self, span: DateRange) -> list[Export]:
        planner = Planner(self, span)
        self.loads = planner.loads()
        self.state = planner.state
        self.parts = planner.partitions
        self.totals.left_alone = planner.left_alone
        self._stream_version = self.state.version
        self.exports = [load.export for load in self.loads]
        return self.exports

    # Emitting

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        try:
            yield from self._retire_covered()
            for load in self.loads:
                if context is not None and context["_program_id"] != load.partition.program:
                    continue
                try:
                    yield from self._window(load)
                except FileError as error:
                    if not load.export.is_refresh:
                        raise
                    # The window keeps what it has, and the others need not wait for it.
                    self._tap.run.failed(self.name, error)
                    self.flow.release(load.export)
                    self.totals.left += 1
        except TapError:
            self.note_jobs()
            self.write_state()
            raise
        finally:
            self.flow.abandon(self.name)
        if self.totals.left:
            self.write_state()
        self._activate_version()

    @override
    def note_jobs(self) -> None:
        for load in self.loads:
            load.note_job()

    @override
    def _write_record_message(self, record: Record) -> None:
        for stream_map in self.stream_maps:
            # A filter must not keep what retires a row that it let through before.
            if record["_deleted"]:
                mapped = _unfiltered(stream_map, record)
            else:
                mapped = stream_map.transform(record)
                if mapped is None and record["_row_number"] <= self.held_rows:
                    mapped = _unfiltered(stream_map, self.retired(record))
            self._write(stream_map.stream_alias, mapped)

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
            self.left_as_it_is(load.export)
        else:
            yield from load.records(result)
            self.flow.release(load.export)
            yield from self._retire_covered()

    def _activate_version(self) -> None:
        # Rows of an old shape that no new window covers yet must stay live.
        is_waiting = any(not former.retire_first for former in self.state.former)
        version = self.state.version
        if version and self.state.version_pending and not self.totals.left and not is_waiting:
            self.state.end_version()
            self._write_activate_version_message(version)
            self.write_state()

    # A reload

    @override
    def is_reloaded(self) -> bool:
        return not self.totals.left and not any(
            entry.reload_after for part in self.parts for entry in part.ledger.windows.values()
        )

    @property
    @override
    def reload(self) -> str | None:
        return self.state.reload

    @override
    def end_reload(self) -> None:
        self.state.reload = None

    # Rows of an old shape

    def retire_before(self, window: Window) -> Iterator[Record]:
        """Yield what retires rows that a window's own rows are about to replace under other keys.

        The state has them until the window is loaded.
        """
        for former in self.state.former:
            if former.retire_first and self._is_replaced(former, window):
                yield from self._tombstones(former)
        # They leave the state together with the window's end.
        self.state.former = [
            former
            for former in self.state.former
            if not (former.retire_first and self._is_replaced(former, window))
        ]

    def _is_replaced(self, former: FormerWindow, window: Window) -> bool:
        return (
            window.is_snapshot
            or former.is_snapshot
            or former.touches(window.start, window.end)
        )  # fmt: skip

    def _retire_covered(self) -> Iterator[Record]:
        """Yield what retires the rows of old windows whose days are loaded in the new shape."""
        covered = [one for one in self.state.former if self._is_covered(one)]
        if not covered:
            return
        for former in covered:
            self.logger.info(
                "retiring %d rows of the former window %s..%s of %s",
                former.rows, former.start, former.end, self.name,
            )  # fmt: skip
            yield from self._tombstones(former)
        self.state.former = [one for one in self.state.former if one not in covered]
        self.write_state()

    def _is_covered(self, former: FormerWindow) -> bool:
        if former.retire_first:
            return False
        for part in self.parts:
            if self.is_snapshot:
                entry = part.ledger.windows.get(SNAPSHOT_SLOT)
                if entry is None or not entry.is_complete:
                    return False
            elif former.is_snapshot:
                entries = (part.ledger.windows.get(window.slot) for window in part.asked)
                if not all(entry and entry.is_complete for entry in entries):
                    return False
            else:
                whole = (entry for entry in part.ledger.windows.values() if entry.is_complete)
                if not covers(sorted((entry.start, entry.end) for entry in whole), former):
                    return False
        return True

    def _tombstones(self, former: FormerWindow) -> Iterator[Record]:
        """Yield a record for each row of an old window that no new row has replaced."""
        if not former.rows:
            return
        same = self._same_rows(former)
        refreshed_at = same.refreshed_at if same else None
        record = {
            **dict.fromkeys(ADDED),
            "_account": former.account,
            "_program_id": former.program,
            "_window_start": former.slot.isoformat(),
            "_window_end": former.end.isoformat(),
            "_refreshed_at": to_timestamp(refreshed_at or self.source.exports.server_now()),
        }
        with self._keyed_by(former.keys):
            for number in range((same.rows if same else 0) + 1, former.rows + 1):
                self.totals.vanished += 1
                yield self.retired({**record, "_row_number": number})

    def _same_rows(self, former: FormerWindow) -> LedgerEntry | None:
        """Return the new window whose rows have the same keys as those of an old one."""
        if former.keys is not None or former.account != self.source.account:
            return None
        parts = (part for part in self.parts if program_id(part.program) == former.program)
        return next((part.ledger.windows.get(former.slot) for part in parts), None)

    @contextmanager
    def _keyed_by(self, keys: Sequence[str] | None) -> Iterator[None]:
        """Let the records within have other key columns, by a SCHEMA message before and after."""
        if keys is None:
            yield
            return
        own = self.primary_keys
        self._set_primary_keys(keys)
        try:
            yield
        finally:
            self._set_primary_keys(own)

    def _set_primary_keys(self, keys: Sequence[str]) -> None:
        self.primary_keys = keys
        self.set_columns(self.columns)
        self._write_schema_message()

    def warn_of_twins(self, load: WindowLoad, digest: str) -> None:
        """Tell of two windows with the same content: the report may not have dates at all."""
        other = self._digests.setdefault((load.partition.program, digest), load.export.window)
        if other != load.export.window:
            self.logger.warning(
                "%s: its file is the same as that of %s: if the report ignores dates, set "
                "window: none for it in report_options", load.export, other,
            )  # fmt: skip


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
