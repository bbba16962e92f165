"""What all streams share whose rows come from result files: their columns, and row -> record."""

from __future__ import annotations

import sys
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, cast

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import Metadata, RecordMessage

from tap_affiliate_reports.clock import Clock
from tap_affiliate_reports.errors import ENDS_THE_RUN, TapError
from tap_affiliate_reports.exports.export import Export, ResultFile
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.messages import LineWriter
from tap_affiliate_reports.schema import (
    Column,
    Kind,
    json_schema,
    unknown_columns,
)
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.stream_maps import row_error
from tap_affiliate_reports.streams.base import FULL_TABLE, AffiliateStream
from tap_affiliate_reports.windows import Reload

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

    from tap_affiliate_reports.tap import TapAffiliateReports


@dataclass(frozen=True)
class DateRange:
    """The days to fetch, both inclusive, and the moment by which ages are counted.

    `is_end_set` says that the last day is a setting, not the last one that is over. `reload` is
    what is to be loaded again.
    """

    start: date
    end: date
    now: datetime
    is_end_set: bool = False
    reload: Reload | None = None


@dataclass
class StreamTotals:
    """What a stream did in this sync, for the table at its end."""

    done: int = 0
    left: int = 0
    left_alone: int = 0
    rows: int = 0
    vanished: int = 0
    unparsed: int = 0
    left_because: str = ""
    left_for_quota: bool = False


class TableStream(AffiliateStream):
    """The rows of result files; `added` are the columns that the tap gives each row."""

    source: Source
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # What one file of the stream stands for, in the log.
    UNIT = "windows"
    SUMMARY = (
        f"{'stream':40} {'done':>5} {'left':>5} {'rows':>9} {'vanished':>8} {'unparsed':>8} "
        f"{'exports':>7} bookmark"
    )

    def __init__(
        self,
        tap: TapAffiliateReports,
        source: Source,
        name: str,
        columns: Sequence[Column],
        *,
        added: Mapping[str, dict[str, Any]],
        singer_decimal: bool,
    ) -> None:
        self.columns = list(columns)
        self.added = added
        self.singer_decimal = singer_decimal
        self.totals = StreamTotals()
        self.exports: list[Export] = []
        # Set for each file before its first record.
        self.extracted_at: datetime | None = None
        self._warned: set[str] = set()
        # Set for each sync: whether records may leave without being yielded, and who counts them.
        self.writes_blocks = False
        self.counted: Callable[[int], None] = lambda count: None  # noqa: ARG005
        super().__init__(tap, source, name, self._json_schema())
        self._set_keys()

    # What each kind of stream says

    @abstractmethod
    def _keys(self) -> tuple[Sequence[str], str | None]:
        """Return the primary keys and the replication key."""

    @override
    @abstractmethod
    def get_records(self, context: Context | None) -> Iterable[Record]: ...

    @abstractmethod
    def plan(self, span: DateRange) -> list[Export]:
        """Decide what to load in this sync, in the order of loading."""

    @abstractmethod
    def bookmark(self) -> str:
        """Return how far the stream is complete, for the table at the end."""

    @property
    @abstractmethod
    def reload(self) -> str | None:
        """The reload under way, as the setting named it."""

    @abstractmethod
    def is_reloaded(self) -> bool:
        """Return whether all that the reload requests is loaded."""

    @abstractmethod
    def end_reload(self) -> None:
        """Record that no reload is under way."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        # The bookmark is that of the ledger; the framework's mark would stay in the state.
        return None

    @override
    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        # The framework would add partitions to the state of a stream that was never planned.
        self._tap.write_state()

    def note_jobs(self) -> None:
        """Note the jobs under way in the state, where that helps a next sync."""

    # What the framework asks

    def _set_keys(self) -> None:
        self.primary_keys, self.replication_key = self._keys()
        if self.replication_key is None:
            self.forced_replication_method = FULL_TABLE
        for column in {*self.added, *self.primary_keys}:
            entry = self.metadata.setdefault(("properties", column), Metadata())
            entry.inclusion, entry.selected = Metadata.InclusionType.AUTOMATIC, None
        self._mask = None

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        # The catalog decides what is selected and how it is replicated; a cached one must not
        # bring back old keys.
        self._metadata = None
        self._set_keys()

    @override
    def _records(
        self, context: Context | None, *, write_messages: bool
    ) -> Iterator[dict[str, Any]]:
        if self.ABORT_AT_RECORD_COUNT == 1:
            # A connection test: the credentials and the columns have been seen.
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            self.counted = counter.increment
            self.writes_blocks = (
                write_messages and self.selected and self.ABORT_AT_RECORD_COUNT is None
            )
            if self.config.get("batch_config") and self.is_mapped:
                self.logger.info("%s: a stream map sees each row: no BATCH files", self.name)
            records = cast("Generator[Record, None, None]", self.get_records(context))
            for index, record in enumerate(records):
                self._check_max_record_limit(current_record_index=index)
                if write_messages and self.selected:
                    try:
                        self._write_record_message(record)
                    except ENDS_THE_RUN:
                        raise
                    except Exception as error:
                        if not self.is_mapped:
                            raise
                        # What loads the file must note that it is not all written.
                        records.throw(
                            error if isinstance(error, TapError) else row_error(self.name, error)
                        )
                counter.increment()
                yield record

    @override
    def _write_record_message(self, record: Record) -> None:
        # Deselected columns were never parsed, and every value has its type already.
        for stream_map in self.stream_maps:
            self._write(stream_map.stream_alias, stream_map.transform(record))

    def _write(self, alias: str, record: Record | None) -> None:
        if record is not None:
            self._tap.write_message(
                RecordMessage(
                    stream=alias,
                    record=record,
                    version=self._stream_version,
                    time_extracted=self.extracted_at,
                )
            )

    def write_state(self) -> None:
        """Write a STATE message, unless nothing changed since the last one."""
        kinds = column_kinds(self.stream_state)
        kinds.update((column.name, column.kind) for column in self.columns)
        self.stream_state["columns"] = [[name, kind.value] for name, kind in kinds.items()]
        self._tap.write_state()

    # A sync

    @property
    def clock(self) -> Clock:
        """The clock that was handed in."""
        return self._tap.clock

    @property
    def version(self) -> int | None:
        """The version of this sync's records; None where they have none."""
        return self._stream_version

    @property
    def message_writer(self) -> LineWriter:
        """Where messages go."""
        return self._tap.message_writer

    def tick(self) -> None:
        """Let the exports that are under way go on."""
        self._tap.run.tick()

    @property
    def flow(self) -> ExportFlow:
        """The queue that this stream shares with the others of its source."""
        return self._tap.run.flow(self.source)

    def left_as_it_is(self, export: Export) -> None:
        """Count an export that was not to be had in this run."""
        self.totals.left += 1
        self.totals.left_because = export.left_because
        self.totals.left_for_quota = self.totals.left_for_quota or export.left_for_quota

    def loaded(self, export: Export, result: ResultFile, reading: float) -> None:
        """Count a file that is in, and tell of it; `reading` is in seconds."""
        self.totals.done += 1
        self.totals.rows += result.summary.rows
        self.logger.info(
            "loaded %s: %d rows, %d bytes, job %s, waited %.1f s, read %.1f s",
            export, result.summary.rows, result.summary.size, result.job.id or "none",
            result.seconds_waited, reading,
        )  # fmt: skip

    def summary(self) -> str:
        """Return this stream's line of the table at the end of a sync."""
        totals = self.totals
        left = len(self.exports) - totals.done
        spent = sum(export.exports_spent for export in self.exports)
        return (
            f"{self.name:40} {totals.done:>5} {left:>5} {totals.rows:>9} {totals.vanished:>8} "
            f"{totals.unparsed:>8} {spent:>7} {self.bookmark() or '-'}"
        )

    # Columns

    def names_of(self, header: Sequence[str]) -> Sequence[str]:
        """Return what the names of a file's header are called in the source of a column."""
        return header

    @property
    def selected_columns(self) -> set[str]:
        """The names of the file's columns that are selected."""
        mask = self.mask
        return {c.name for c in self.columns if mask[("properties", c.name)]}

    def _json_schema(self) -> dict[str, Any]:
        return json_schema(self.columns, self.added, singer_decimal=self.singer_decimal)

    def warn_of_missing(self, export: Export, missing: Sequence[Column]) -> None:
        """Tell once of each column that a file lacks."""
        names = [column.name for column in missing if column.name not in self._warned]
        if names:
            self._warned.update(names)
            self.logger.warning("%s: not in the file, so null: %s", export, ", ".join(names))

    def add_columns(
        self, export: Export, unknown: Sequence[tuple[int, str]], kinds: Sequence[Kind]
    ) -> Sequence[Column]:
        """Add what only a file has, by a new SCHEMA message."""
        added = unknown_columns(unknown, self.schema["properties"], kinds)
        told = ", ".join(f"{column.name} ({column.kind.value})" for column in added)
        self.logger.warning("%s: new columns: %s", export, told)
        self.set_columns([*self.columns, *added])
        self._write_schema_message()
        return added

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Make these the stream's columns, for whatever is emitted from now on."""
        self.columns = list(columns)
        self._schema = self._json_schema()
        self._tap.register(self)
        self._stream_maps = None

    def keep_types(self) -> None:
        """Keep the type that each column had when it was first loaded, as the state tells it."""
        kept = column_kinds(self.tap_state.get("bookmarks", {}).get(self.name, {}))
        columns = []
        for column in self.columns:
            kind = kept.get(column.name, column.kind)
            if kind is not column.kind:
                self.logger.warning(
                    "%s: the type of %s is now %s; it stays %s until a full refresh",
                    self.name, column.name, column.kind.value, kind.value,
                )  # fmt: skip
            columns.append(Column(column.name, column.source, kind, column.description))
        if columns != self.columns:
            self.set_columns(columns)
