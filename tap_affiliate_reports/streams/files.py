"""The streams of finished exports: the rows of every file that is not loaded yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_affiliate_reports.errors import DamagedFile, FileError, StreamError, TapError, Unauthorized
from tap_affiliate_reports.exports.export import Export, ResultFile
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest
from tap_affiliate_reports.exports.order import ExportOrder, Judge
from tap_affiliate_reports.exports.steps import ALREADY_LOADED
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import ADDED_TO_FILES, Column, match_header, unknown_columns
from tap_affiliate_reports.sources.source import FileSpec, FinishedExports, Source
from tap_affiliate_reports.state import FileLedger, to_timestamp
from tap_affiliate_reports.streams.base import FULL_TABLE
from tap_affiliate_reports.streams.file_rows import FileRows
from tap_affiliate_reports.streams.table import TableStream
from tap_affiliate_reports.windows import DateRange, day_end

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)

PARTS_LOADED = "%s: export %s is skipped: its parts are loaded as exports of their own"
ROWS_IN_PARTS = "%s %s: the rows of export %s are in its parts, which are exports of their own"
ANSWERED_WITH_LOADED = (
    "%s %s: the service answered with export %s, finished %s, which is already loaded: change the "
    "parameters to get a new export"
)
FILE_IS_NEW = "missing: finished %s"
EVERY_SYNC = "create: requested in every sync"
EMPTY_FILE = "%s: the file is empty, it has not even a header"
REMEDY = "%s. To skip the file, set a later start_date"


class FilesStream(TableStream):
    """The rows of every finished export of one kind, each file once."""

    UNIT = "files"

    def __init__(
        self,
        tap: Tap,
        run: Run,
        source: Source,
        spec: FileSpec,
        columns: Sequence[Column],
        *,
        singer_decimal: bool,
    ) -> None:
        self.spec = spec
        self.description = f"Rows of the finished exports of the type {spec.name}."
        self._ledger = FileLedger({}, LONG_AGO)
        # What was finished at this moment, or later, is not all loaded in this sync.
        self._held_back: datetime | None = None
        self.waiting = 0
        """The number of finished exports that can't be loaded yet."""
        self._problems: Sequence[TapError] = ()
        # Which order of this sync loads which export of the service.
        self._claims: dict[str, str] = {}
        # When listed exports were finished; an order whose job was never polled has no date.
        self._listed: dict[str, datetime] = {}
        super().__init__(
            tap, run, source, spec.name, columns,
            added=ADDED_TO_FILES, singer_decimal=singer_decimal,
        )  # fmt: skip

    @override
    def _keys(self) -> tuple[Sequence[str], str | None]:
        return ("_account", "_export_id", "_row_number"), "_completed_at"

    @override
    def bookmark(self) -> str:
        return to_timestamp(self._ledger.bookmark) if self._ledger.bookmark else ""

    @override
    def names_of(self, header: Sequence[str]) -> Sequence[str]:
        return [column.name for column in unknown_columns(enumerate(header), ADDED_TO_FILES)]

    # The plan

    @override
    def plan(self, dates: DateRange) -> list[Export]:
        start = datetime.combine(dates.start, time.min, tzinfo=self.source.zone)
        state = self.get_context_state(None)
        self._ledger = FileLedger(state, start, self.source.old_account)
        if self.replication_method == FULL_TABLE:
            self._ledger.forget()
        self._request_reload(dates)
        self._ledger.adopt()
        finished = self.spec.finished(self._ledger.since)
        self.waiting = len(finished.waiting)
        self._held_back = min(finished.waiting, default=None)
        self._problems = finished.problems
        until = day_end(dates.end, self.source.zone) if dates.is_end_set else None
        for job in finished.jobs:
            self._plan_finished(job, finished, until)
        for number, request in enumerate(self.spec.create, 1):
            label = f"create {number}"
            judge = _FileJudge(self, label)
            order = ExportOrder(self.name, label, request, judge, why=EVERY_SYNC)
            self.exports.append(Export(order))
        return self.exports

    def _plan_finished(
        self, job: ExportJob, finished: FinishedExports, until: datetime | None
    ) -> None:
        """Order the file of a finished export, unless it is loaded or after the end date."""
        at = job.finished_at or LONG_AGO
        if until is not None and at >= until:
            self._hold_back(at)
        elif not self._ledger.is_due(job.id, at):
            self.totals.unchanged += 1
        elif any(self._is_loaded(part) for part in finished.parts.get(job.id, ())):
            self.logger.warning(PARTS_LOADED, self.name, job.id)
        else:
            label = f"export {job.id}"
            self._claims[job.id], self._listed[job.id] = label, at
            order = ExportOrder(
                self.name,
                label,
                ExportRequest(self.name),
                _FileJudge(self, ""),
                previous_job=job.id,
                never_request=True,
                why=FILE_IS_NEW % f"{at:%Y-%m-%d %H:%M} UTC",
            )
            self.exports.append(Export(order))

    def _request_reload(self, dates: DateRange) -> None:
        reload = dates.reload
        if reload is None:
            if not self._ledger.is_reloading:
                self.stream_state["reload"] = None
            return
        if self.reload == reload.text:
            return  # it is under way
        if self._ledger.old_account not in {None, self.source.account}:
            msg = (
                f"{self.name}: rows that version 0.1.0 loaded have _account "
                f"{self._ledger.old_account!r}, and loading their files again would double them. "
                "Delete these rows and run once with --full-refresh"
            )
            raise StreamError(msg)
        self.stream_state["reload"] = reload.text
        if reload.first is None or reload.last is None:
            self._ledger.request_reload(self._ledger.start, dates.now)
        else:
            first = datetime.combine(reload.first, time.min, tzinfo=self.source.zone)
            self._ledger.request_reload(first, day_end(reload.last, self.source.zone))

    @property
    @override
    def reload(self) -> str | None:
        text: str | None = self.stream_state.get("reload")
        return text

    @override
    def is_reloaded(self) -> bool:
        return not self.totals.skipped and not self._ledger.is_reloading

    @override
    def end_reload(self) -> None:
        self.stream_state["reload"] = None

    # The files

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        try:
            for export in list(self.exports):
                try:
                    result = self.flow.wait_for(export)
                except Unauthorized:
                    raise
                except TapError as error:
                    # No file waits for another; one that is not loaded holds the bookmark back.
                    self._hold_back_for(export)
                    self.run.record_failure(self.name, _with_remedy(error, export))
                    continue
                if result is not None:
                    yield from self._rows(export, result)
                    self.flow.release(export)
                elif export.skip_reason == ALREADY_LOADED:
                    self.exports.remove(export)
                    self.totals.unchanged += 1
                else:
                    self._hold_back_for(export)
                    self.totals.count_skipped(export)
        finally:
            self.flow.cancel_stream(self.name)
        for problem in self._problems:
            self.run.record_failure(self.name, problem)
        is_complete = not self.run.has_failed(self.name, self.source) and not self.totals.skipped
        is_reloaded = is_complete and self._ledger.is_reloaded_but(self._held_back)
        if is_reloaded:
            self._ledger.end_reload()
        if (is_complete and self._ledger.mark_covered()) or is_reloaded:
            self.write_state()

    def _rows(self, export: Export, result: ResultFile) -> Iterator[dict[str, Any]]:
        began = export.rows_began = self.clock.monotonic()
        self.extracted_at = self.clock.now()
        if not result.summary.header:
            self.logger.warning(EMPTY_FILE, export)
        constants = {
            "_account": self.source.account,
            "_export_id": int(result.job.id),
            "_completed_at": to_timestamp(result.finished_at),
            "_row_number": 0,
            "_unparsed": None,
        }
        rows = FileRows(self, export, result, constants)
        yield from rows.records()
        self.totals.unparsed += rows.unparsed
        self._ledger.record(result.job.id, result.finished_at, self._held_back)
        self.write_state()
        self.log_loaded(export, result, self.clock.monotonic() - began)

    def _is_loaded(self, job: ExportJob) -> bool:
        return self._ledger.is_loaded(job.id, job.finished_at or LONG_AGO)

    def claim(self, label: str, job: ExportJob) -> bool:
        """Claim a created export for one order; return False if it is loaded or claimed already."""
        if not job.has_file:
            self.logger.info(ROWS_IN_PARTS, self.name, label, job.id)
            return False
        if not self._is_loaded(job) and self._claims.setdefault(job.id, label) == label:
            return True
        self.logger.warning(ANSWERED_WITH_LOADED, self.name, label, job.id, job.finished_at)
        return False

    def _hold_back_for(self, export: Export) -> None:
        at = self._listed.get(export.order.previous_job) or (export.job and export.job.finished_at)
        if at:
            self._hold_back(at)

    def _hold_back(self, at: datetime) -> None:
        self._held_back = at if self._held_back is None else min(self._held_back, at)


class _FileJudge(Judge):
    """Accepts the files of one stream; with a label, those of a created export."""

    def __init__(self, stream: FilesStream, label: str) -> None:
        self.stream = stream
        self.label = label

    def claim(self, job: ExportJob) -> bool:
        return not self.label or self.stream.claim(self.label, job)

    def check(self, path: Path, summary: Summary) -> None:  # noqa: ARG002
        match = match_header(self.stream.names_of(summary.header), self.stream.columns)
        if summary.header and self.stream.columns and not match.found:
            names = [name[:60] for name in summary.header[:5]]
            msg = f"the file has no column in common with earlier files: {names}"
            raise DamagedFile(msg)


def _with_remedy(error: TapError, export: Export) -> TapError:
    """Return an error about a file that may stay as it is, with what to do."""
    if not (export.order.never_request and isinstance(error, FileError)):
        return error
    return FileError(REMEDY % error)
