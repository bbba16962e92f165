"""The streams that are reports: each window is one export."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_affiliate_reports.errors import ExportError, FileError, Rejected, TapError
from tap_affiliate_reports.exports.export import ResultFile
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import ADDED, Column
from tap_affiliate_reports.sdk import transform_unfiltered
from tap_affiliate_reports.settings import parse_reload
from tap_affiliate_reports.sources.source import ReportSpec, Source
from tap_affiliate_reports.state import to_timestamp
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.streams.audit import ReportWindowsStream
from tap_affiliate_reports.streams.file_check import SeenFiles
from tap_affiliate_reports.streams.file_rows import FileRows
from tap_affiliate_reports.streams.window_load import WindowLoad
from tap_affiliate_reports.streams.windowed import WindowedStream

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

ROWS_VANISHED = "%s: %d rows vanished"
IDENTICAL_FILES = "%s: its file is identical to that of %s: %s"
IF_NO_DATES = "if the report ignores dates, set window: none for it in report_options"
IF_NO_DAY = "if the service ignores the day of a request, their rows are loaded twice"
UNCHANGED = "unchanged %s: its file is identical to the one loaded, %d rows not sent again, job %s"
RETIRING = "retiring %d rows of the former window %s..%s of %s"


class ReportStream(WindowedStream):
    """The rows of one report."""

    def __init__(
        self,
        tap: Tap,
        run: Run,
        source: Source,
        report: ReportSpec,
        columns: Sequence[Column],
        *,
        audit: ReportWindowsStream,
        singer_decimal: bool,
    ) -> None:
        self.audit = audit
        # How many rows of the present window a filter must not hide, because they may be loaded.
        self._rows_in_warehouse = 0
        self._seen = SeenFiles()
        super().__init__(tap, run, source, report, columns, singer_decimal=singer_decimal)

    # The windows

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        program = None if context is None else context["_program_id"]
        try:
            yield from self._retire_covered()
            for load in self.loads:
                if program is None or load.partition.program == program:
                    try:
                        yield from self._window(load)
                    except (FileError, ExportError, Rejected) as error:
                        if not self._can_wait(load, error):
                            raise
                        # The others need not wait for this window.
                        load.note_job()
                        self.run.record_failure(self.name, error)
                        self.flow.release(load.export)
                        self.totals.skipped += 1
        except TapError:
            self.note_jobs()
            self.write_state()
            raise
        finally:
            self.flow.cancel_stream(self.name)
        if self.totals.skipped:
            self.write_state()
        self._activate_version()

    def _can_wait(self, load: WindowLoad, error: TapError) -> bool:
        """Return whether the windows after one that failed are loaded all the same."""
        # A refresh whose file is refused keeps the rows that are loaded.
        is_kept = load.export.order.is_refresh and isinstance(error, FileError)
        return is_kept or self.rules.newest_first

    def _window(self, load: WindowLoad) -> Iterator[Record]:
        """Wait for a window's file and load it."""
        result = self.flow.wait_for(load.export)
        if result is None:
            load.note_job()
            self.totals.count_skipped(load.export)
            return
        yield from self._rows(load, result)
        self.flow.release(load.export)
        yield from self._retire_covered()

    def _rows(self, load: WindowLoad, result: ResultFile) -> Iterator[Record]:
        """Load a window: the order of these lines is what makes a kill at any moment harmless."""
        began = load.export.rows_began = self.clock.monotonic()
        reload = parse_reload(self.state.reload) if self.state.reload else None
        load.refuse_loss(result, self.state.former, reload)
        if other := self._seen.window_with(load.partition.program, load.window, result.summary):
            advice = IF_NO_DAY if self.rules.newest_first else IF_NO_DATES
            self.logger.warning(IDENTICAL_FILES, load.export, other, advice)
        constants = load.constants(result)
        rows = FileRows(self, load.export, result, constants)
        content = rows.content()
        is_alone = self.keeps_its_keys and not self.retirement.replaced_by(load.window)
        if is_alone and load.is_loaded(content):
            self._skip_rows(load, result, content)
            return
        self._rows_in_warehouse = max(
            load.rows_in_warehouse,
            self.retirement.rows_with_keys_of(
                constants["_account"], constants["_program_id"], load.window
            ),
        )
        self.extracted_at = self.clock.now()
        load.begin(result)
        self.write_state()
        yield from self._retire_replaced(load)
        yield from rows.records()
        numbers = load.vanished_numbers(result)
        for number in numbers:
            yield self._tombstone({**constants, "_row_number": number})
        if numbers:
            self.logger.info(ROWS_VANISHED, load.export, len(numbers))
        seconds = self.clock.monotonic() - began
        self.audit.write(
            load.audit_row(
                result,
                vanished=len(numbers),
                unparsed=rows.unparsed,
                seconds=result.seconds_waited + seconds,
            )
        )
        load.finish(result, content)
        self.write_state()
        self.totals.vanished += len(numbers)
        self.totals.unparsed += rows.unparsed
        self.log_loaded(load.export, result, seconds)

    def _skip_rows(self, load: WindowLoad, result: ResultFile, content: str) -> None:
        """Record a window whose rows are all in the warehouse, without writing them again."""
        export, rows = load.export, result.summary.rows
        self.audit.write(load.audit_row(result, seconds=result.seconds_waited, unchanged=True))
        load.note_unchanged(result, content)
        self.write_state()
        export.is_unchanged, export.rows_ended = True, self.clock.monotonic()
        self.totals.loaded += 1
        self.logger.info(UNCHANGED, export, rows, result.job.id or "none")

    @override
    def write_record(self, record: Record) -> None:
        for stream_map in self.stream_maps:
            # A filter must not keep back what retires a row that it let through before.
            if record["_deleted"]:
                mapped = transform_unfiltered(stream_map, record)
            else:
                mapped = stream_map.transform(record)
                if mapped is None and record["_row_number"] <= self._rows_in_warehouse:
                    mapped = transform_unfiltered(stream_map, self._tombstone(record))
            self._write(stream_map.stream_alias, mapped)

    # Rows that are retired

    def _tombstone(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the record that marks a row as deleted: its `_` columns, all others null."""
        return {
            **{name: record[name] for name in ADDED},
            **dict.fromkeys(self.selected_columns),
            "_unparsed": None,
            "_deleted": True,
            "_sdc_deleted_at": to_timestamp(self.clock.now()),
        }

    def _retire_replaced(self, load: WindowLoad) -> Iterator[Record]:
        """Yield the tombstones of rows that a window's own rows replace under other keys.

        They leave the state together with the end of the window.
        """
        replaced = self.retirement.replaced_by(load.window)
        for former in replaced:
            yield from self._tombstones(former)
        self.retirement.forget(replaced)

    def _retire_covered(self) -> Iterator[Record]:
        """Yield the tombstones of former windows whose days are loaded again."""
        covered = self.retirement.covered()
        if not covered:
            return
        for former in covered:
            self.logger.info(RETIRING, former.rows, former.start, former.end, self.name)
            yield from self._tombstones(former)
        self.retirement.forget(covered)
        self.write_state()

    def _tombstones(self, former: FormerWindow) -> Iterator[Record]:
        if former.rows:
            with self.keyed_by(former.keys):
                for record in self.retirement.tombstones(former):
                    self.totals.vanished += 1
                    yield self._tombstone(record)

    def _activate_version(self) -> None:
        version = self.state.version
        # A refresh that is skipped keeps rows of the present version.
        is_complete = not self.retirement.is_waiting and all(
            load.export.order.is_refresh or load.export.rows_ended is not None
            for load in self.loads
        )
        if version and self.state.version_pending and is_complete:
            self.state.end_version()
            self.write_activate_version(version)
            self.write_state()
