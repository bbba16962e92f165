"""The streams of finished exports: the rows of every file that is not loaded yet."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import DamagedFile, FileError, StreamError, TapError, Unauthorized
from tap_affiliate_reports.exports.download import download_whole
from tap_affiliate_reports.exports.export import LOADED_BEFORE, Export, ResultFile
from tap_affiliate_reports.exports.job import ExportJob, ExportRequest
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.http import NotReady
from tap_affiliate_reports.schema import ADDED_TO_FILES, Column, match_header, unknown_columns
from tap_affiliate_reports.sources.source import FileSpec, Source
from tap_affiliate_reports.state import FileLedger, to_timestamp
from tap_affiliate_reports.streams.base import FULL_TABLE
from tap_affiliate_reports.streams.file_rows import FileRows
from tap_affiliate_reports.streams.table import DateRange, TableStream
from tap_affiliate_reports.windows import day_end

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_affiliate_reports.tap import TapAffiliateReports

LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
# Of so many files the newest that has a row tells the kinds of the columns.
NEWEST = 3


def newest_columns(
    source: Source, spec: FileSpec, jobs: Sequence[ExportJob], spool: Path
) -> Sequence[Column]:
    """Return the columns of the newest of these finished files, none where there is no file."""
    newest: Sequence[Column] = ()
    for job in reversed(jobs[-NEWEST:]):
        target = spool / f"{spec.name}.part"
        export = Export(spec.name, f"export {job.id}", ExportRequest(spec.name))
        landed = download_whole(source.exports, export, job, target)
        if isinstance(landed, NotReady):
            continue
        target.unlink()
        summary = landed[1]
        named = unknown_columns(enumerate(summary.header), ADDED_TO_FILES, summary.kinds)
        # What a file calls a column is not kept, so its own name is its source.
        columns = [Column(c.name, c.name, c.kind) for c in named]
        if summary.rows:
            return columns
        newest = newest or columns
    return newest


class FilesStream(TableStream):
    """The rows of every finished export of one kind, each file once."""

    UNIT = "files"

    def __init__(
        self,
        tap: TapAffiliateReports,
        source: Source,
        spec: FileSpec,
        columns: Sequence[Column],
        *,
        singer_decimal: bool,
    ) -> None:
        self.spec = spec
        self._ledger = FileLedger({}, LONG_AGO)
        # What was finished at this moment, or later, is not all loaded in this sync.
        self._held_back: datetime | None = None
        self._problems: Sequence[TapError] = ()
        # Which of this sync's exports loads which of the service's.
        self._claims: dict[str, str] = {}
        # When those that are listed were finished: a poll that fails knows of no date.
        self._listed: dict[str, datetime] = {}
        super().__init__(
            tap, source, spec.name, columns, added=ADDED_TO_FILES, singer_decimal=singer_decimal
        )

    @override
    def _keys(self) -> tuple[Sequence[str], str | None]:
        return ("_account", "_export_id", "_row_number"), "_completed_at"

    @override
    def bookmark(self) -> str:
        return to_timestamp(self._ledger.bookmark) if self._ledger.bookmark else ""

    @override
    def names_of(self, header: Sequence[str]) -> Sequence[str]:
        return [column.name for column in unknown_columns(enumerate(header), ADDED_TO_FILES)]

    # Planning

    @override
    def plan(self, span: DateRange) -> list[Export]:
        start = datetime.combine(span.start, time.min, tzinfo=self.source.zone)
        state = self.get_context_state(None)
        self._ledger = FileLedger(state, start, self.source.old_account)
        if self.replication_method == FULL_TABLE:
            self._ledger.forget()
        self._request_reload(span)
        self._ledger.adopt()
        finished = self.spec.finished(self._ledger.since)
        self._held_back = min(finished.waiting, default=None)
        self._problems = finished.problems
        until = day_end(span.end, self.source.zone) if span.is_end_set else None
        for job in finished.jobs:
            at = job.finished_at or LONG_AGO
            if until is not None and at >= until:
                self._hold_back(at)
            elif not self._ledger.is_due(job.id, at):
                self.totals.left_alone += 1
            elif any(self._is_loaded(part) for part in finished.parts.get(job.id, ())):
                self.logger.warning(
                    "%s: export %s is left alone: its parts are loaded as exports of their own",
                    self.name, job.id,
                )  # fmt: skip
            else:
                label = f"export {job.id}"
                self._claims[job.id], self._listed[job.id] = label, at
                request = ExportRequest(self.name)
                self.exports.append(
                    Export(
                        self.name, label, request,
                        check=self._check, known_job=job.id, fetch_only=True,
                    )
                )  # fmt: skip
        for number, request in enumerate(self.spec.create, 1):
            label = f"create {number}"
            wanted = partial(self._is_wanted, label)
            self.exports.append(
                Export(self.name, label, request, check=self._check, is_wanted=wanted)
            )
        return self.exports

    def _request_reload(self, span: DateRange) -> None:
        reload = span.reload
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
            self._ledger.request_reload(self._ledger.start, span.now)
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
        return not self.totals.left and not self._ledger.is_reloading

    @override
    def end_reload(self) -> None:
        self.stream_state["reload"] = None

    def _is_loaded(self, job: ExportJob) -> bool:
        return self._ledger.is_loaded(job.id, job.finished_at or LONG_AGO)

    def _is_wanted(self, label: str, job: ExportJob) -> bool:
        """Tell of a created export whether it is loaded, or will be, as one that was listed."""
        if not job.has_file:
            self.logger.info("%s %s: the rows of export %s are in its parts, which are exports of "
                             "their own", self.name, label, job.id)  # fmt: skip
            return False
        if not self._is_loaded(job) and self._claims.setdefault(job.id, label) == label:
            return True
        self.logger.warning(
            "%s %s: the service answered with export %s, finished %s, which is loaded already: "
            "other parameters make a new one", self.name, label, job.id, job.finished_at,
        )  # fmt: skip
        return False

    def _check(self, _path: Path, summary: Summary) -> None:
        """Refuse a file that can't be one of this kind."""
        match = match_header(self.names_of(summary.header), self.columns)
        if summary.header and self.columns and not match.found:
            names = [name[:60] for name in summary.header[:5]]
            msg = f"no column of the file is one of those before: {names}"
            raise DamagedFile(msg)

    # Emitting

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        try:
            for export in list(self.exports):
                try:
                    result = self.flow.take(export)
                except Unauthorized:
                    raise
                except TapError as error:
                    # None waits for another: what is not loaded now holds the bookmark back.
                    self._left(export)
                    self._tap.run.failed(self.name, _with_remedy(error, export))
                    continue
                if result is not None:
                    yield from self._file(export, result)
                    self.flow.release(export)
                elif export.left_because == LOADED_BEFORE:
                    self.exports.remove(export)
                    self.totals.left_alone += 1
                else:
                    self._left(export)
                    self.left_as_it_is(export)
        finally:
            self.flow.abandon(self.name)
        for problem in self._problems:
            self._tap.run.failed(self.name, problem)
        is_whole = not self._tap.run.is_failed(self) and not self.totals.left
        is_reloaded = is_whole and self._ledger.is_reloaded_but(self._held_back)
        if is_reloaded:
            self._ledger.end_reload()
        if (is_whole and self._ledger.mark_covered()) or is_reloaded:
            self.write_state()

    def _left(self, export: Export) -> None:
        at = self._listed.get(export.known_job) or (export.job and export.job.finished_at)
        if at:
            self._hold_back(at)

    def _hold_back(self, at: datetime) -> None:
        self._held_back = at if self._held_back is None else min(self._held_back, at)

    def _file(self, export: Export, result: ResultFile) -> Iterator[dict[str, Any]]:
        began = self.clock.monotonic()
        self.extracted_at = self.clock.now()
        if not result.summary.header:
            self.logger.warning("%s: the file is empty, without even a header", export)
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
        self.loaded(export, result, self.clock.monotonic() - began)


def _with_remedy(error: TapError, export: Export) -> TapError:
    """Return an error of a file that may stay as it is, with what can be done."""
    if not (export.fetch_only and isinstance(error, FileError)):
        return error
    return FileError(f"{error}. To pass the file over, set a later start_date")
