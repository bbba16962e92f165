"""What all streams share whose rows come from result files: their columns, and row -> record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib import Metadata, RecordMessage
from typing_extensions import override

from tap_affiliate_reports.errors import ENDS_THE_RUN, TapError
from tap_affiliate_reports.exports.export import Export, ResultFile
from tap_affiliate_reports.exports.flow import ExportFlow
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import Column, Kind, json_schema, unknown_columns
from tap_affiliate_reports.sources.source import Source
from tap_affiliate_reports.state import column_kinds
from tap_affiliate_reports.stream_maps import row_error
from tap_affiliate_reports.streams.base import FULL_TABLE, AffiliateStream
from tap_affiliate_reports.streams.totals import StreamTotals
from tap_affiliate_reports.windows import DateRange

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import Catalog

NO_BATCH_FILES = "%s: BATCH files disabled: a stream map needs every record"
LOADED = "loaded %s: %d rows, %d bytes, job %s, waited %.1f s, read %.1f s"
COLUMNS_MISSING = "%s: columns missing from the file, loaded as null: %s"
COLUMNS_ADDED = "%s: new columns: %s"
TYPE_KEPT = "%s: the type of %s is now %s; the stream keeps %s until a full refresh"


class TableStream(AffiliateStream):
    """The rows of result files; `added` are the columns that the tap adds to each row."""

    source: Source
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    # What one file of the stream is called in log lines.
    UNIT = "windows"
    # Whether each day needs another export while a backfill goes on.
    adds_a_day = False

    def __init__(
        self,
        tap: Tap,
        run: Run,
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
        # Set for each sync: whether rows may be written in blocks, and who counts them.
        self.writes_blocks = False
        self.count_rows: Callable[[int], None] = lambda count: None  # noqa: ARG005
        super().__init__(tap, run, source, name, self._json_schema())
        self._set_keys()

    # What each kind of stream defines

    @abstractmethod
    def _keys(self) -> tuple[Sequence[str], str | None]:
        """Return the primary keys and the replication key."""

    @override
    @abstractmethod
    def get_records(self, context: Context | None) -> Iterable[Record]: ...

    @abstractmethod
    def plan(self, dates: DateRange) -> list[Export]:
        """Decide what this sync loads, in the order of loading."""

    @abstractmethod
    def bookmark(self) -> str:
        """Return how far the stream is complete, for the log."""

    @property
    @abstractmethod
    def reload(self) -> str | None:
        """The text of the reload under way."""

    @abstractmethod
    def is_reloaded(self) -> bool:
        """Return whether the reload is complete."""

    @abstractmethod
    def end_reload(self) -> None:
        """Record that no reload is under way."""

    def may_be_short(self) -> bool:
        """Return whether what the quota kept from being loaded is no failure of the sync."""
        return False

    def note_jobs(self) -> None:
        """Record the jobs under way in the state, if the next sync can use them."""

    # The SDK's questions

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        # The bookmark is that of the ledger; the SDK's mark would remain in the state.
        return None

    @override
    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        # The SDK would add partitions to the state of a stream that was never planned.
        super().write_state()

    def _set_keys(self) -> None:
        self.primary_keys, self.replication_key = self._keys()
        if self.replication_key is None:
            self.forced_replication_method = FULL_TABLE
        for column in {*self.added, *self.primary_keys}:
            entry = self.metadata.setdefault(("properties", column), Metadata())
            entry.inclusion, entry.selected = Metadata.InclusionType.AUTOMATIC, None
        self.reset_selection()

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        super().apply_catalog(catalog)
        # The catalog decides what is selected and how it is replicated. A cached one must not
        # bring back old keys.
        self.reset_selection(with_metadata=True)
        self._set_keys()

    # Records

    @override
    def emit(self, context: Context | None, *, write_messages: bool) -> Iterator[dict[str, Any]]:
        if self.ABORT_AT_RECORD_COUNT == 1:
            # A test of the connection: the credentials and the columns were checked.
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            self.count_rows = counter.increment
            is_written = write_messages and self.selected
            self.writes_blocks = is_written and self.ABORT_AT_RECORD_COUNT is None
            if self.config.get("batch_config") and self.is_mapped:
                self.logger.info(NO_BATCH_FILES, self.name)
            records = cast("Generator[Record, None, None]", self.get_records(context))
            for index, record in enumerate(records):
                self.check_record_limit(index)
                if is_written:
                    self._write_or_throw(record, records)
                counter.increment()
                yield record

    def _write_or_throw(self, record: Record, records: Generator[Record, None, None]) -> None:
        """Write a record; throw an error of its map into the generator that loads the file.

        That generator must record that the file is not fully written.
        """
        try:
            self.write_record(record)
        except ENDS_THE_RUN:
            raise
        except Exception as error:
            if not self.is_mapped:
                raise
            is_expected = isinstance(error, TapError)
            records.throw(error if is_expected else row_error(self.name, error))

    @override
    def write_record(self, record: Record) -> None:
        # Deselected columns were never parsed, and every value has its type already.
        for stream_map in self.stream_maps:
            self._write(stream_map.stream_alias, stream_map.transform(record))

    def _write(self, alias: str, record: Record | None) -> None:
        if record is not None:
            self.run.writer.write_message(
                RecordMessage(
                    stream=alias,
                    record=record,
                    version=self.version,
                    time_extracted=self.extracted_at,
                )
            )

    @override
    def write_state(self) -> None:
        kinds = column_kinds(self.stream_state)
        kinds.update((column.name, column.kind) for column in self.columns)
        self.stream_state["columns"] = [[name, kind.value] for name, kind in kinds.items()]
        super().write_state()

    @property
    def flow(self) -> ExportFlow:
        """The queue that this stream shares with the others of its source."""
        return self.run.flow(self.source)

    # The log

    def log_loaded(self, export: Export, result: ResultFile, seconds: float) -> None:
        """Count and log a loaded file; `seconds` is how long its rows took."""
        export.rows_ended = self.clock.monotonic()
        self.totals.loaded += 1
        self.totals.rows_of_file = None
        self.totals.rows += result.summary.rows
        self.logger.info(
            LOADED,
            export, result.summary.rows, result.summary.size, result.job.id or "none",
            result.seconds_waited, seconds,
        )  # fmt: skip

    def summary(self) -> Sequence[str]:
        """Return the stream's row of the table at the end of a sync."""
        spent = sum(export.exports_spent for export in self.exports)
        return self.totals.summary(self.name, len(self.exports), spent, self.bookmark())

    def quota_line(self) -> str | None:
        """Return what the quota kept from being loaded; None if nothing."""
        has_quota = any(kind.limit is not None for kind in self.source.policy.kinds)
        return self.totals.quota_line(self.name, self.UNIT, has_quota=has_quota)

    # Columns

    def names_of(self, header: Sequence[str]) -> Sequence[str]:
        """Return the names of a file's header as `Column.source` has them."""
        return header

    @property
    def selected_columns(self) -> set[str]:
        """The names of the file's columns that are selected."""
        mask = self.mask
        return {c.name for c in self.columns if mask[("properties", c.name)]}

    def _json_schema(self) -> dict[str, Any]:
        return json_schema(self.columns, self.added, singer_decimal=self.singer_decimal)

    def warn_of_missing(self, export: Export, missing: Sequence[Column]) -> None:
        """Log each column that a file lacks, once a sync."""
        names = [column.name for column in missing if column.name not in self._warned]
        if names:
            self._warned.update(names)
            self.logger.warning(COLUMNS_MISSING, export, ", ".join(names))

    def add_columns(
        self, export: Export, unknown: Sequence[tuple[int, str]], kinds: Sequence[Kind]
    ) -> Sequence[Column]:
        """Add columns that only a file has, by a new SCHEMA message."""
        added = unknown_columns(unknown, self.schema["properties"], kinds)
        names = ", ".join(f"{column.name} ({column.kind.value})" for column in added)
        self.logger.warning(COLUMNS_ADDED, export, names)
        self.set_columns([*self.columns, *added])
        self.write_schema()
        return added

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Replace the stream's columns, for all messages from now on."""
        self.columns = list(columns)
        self.replace_schema(self._json_schema())
        self.register()

    @contextmanager
    def keyed_by(self, keys: Sequence[str] | None) -> Iterator[None]:
        """Give the records within other key columns, by a SCHEMA message before and after."""
        if keys is None:
            yield
            return
        own = self.primary_keys
        self._replace_keys(keys)
        try:
            yield
        finally:
            self._replace_keys(own)

    def _replace_keys(self, keys: Sequence[str]) -> None:
        self.primary_keys = keys
        self.set_columns(self.columns)
        self.write_schema()

    def keep_types(self) -> None:
        """Keep the type that each column had when it was first loaded, as the state has it."""
        kept = column_kinds(self.tap_state.get("bookmarks", {}).get(self.name, {}))
        columns = []
        for column in self.columns:
            kind = kept.get(column.name, column.kind)
            if kind is not column.kind:
                self.logger.warning(
                    TYPE_KEPT, self.name, column.name, column.kind.value, kind.value
                )
            columns.append(Column(column.name, column.source, kind, column.description))
        if columns != self.columns:
            self.set_columns(columns)
