"""One window on its way into the warehouse: file -> records, with state before and after."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import DamagedFile, FileError, KeyViolation
from tap_affiliate_reports.exports.export import Export, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.schema import ADDED, ALL_PROGRAMS, match_header, row_parser
from tap_affiliate_reports.settings import parse_reload
from tap_affiliate_reports.state import Ledger, to_timestamp
from tap_affiliate_reports.streams.file_rows import FileRows
from tap_affiliate_reports.windows import Freshness, Window

if TYPE_CHECKING:
    from tap_affiliate_reports.streams.report import ReportStream

KEYS = ("_account", "_program_id", "_window_start", "_row_number")

logger = logging.getLogger(__name__)


def program_id(program: str) -> str:
    """Return the `_program_id` of a partition's rows; a loader may turn "" into null."""
    return program or ALL_PROGRAMS


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
            if entry is None or not entry.is_complete or entry.refreshed_at is None:
                return
            day = freshness.complete_through(entry.end, entry.refreshed_at)
            self.ledger.advance_bookmark(day)
            if day < asked.end:
                return
            self.complete += 1


class WindowLoad:
    """One window to load in this sync: its export, and its file as records and state.

    `before` is what the ledger had of it.
    """

    def __init__(
        self, stream: ReportStream, partition: Partition, window: Window, *, is_refresh: bool
    ) -> None:
        self.stream = stream
        self.partition = partition
        self.window = window
        self.before = before = partition.ledger.windows.get(window.slot)
        same_days = window.is_snapshot or (
            before is not None and (before.start, before.end) == (window.start, window.end)
        )
        options = stream.report.options
        label = f"{window} of program {partition.program}" if partition.program else str(window)
        self.export = Export(
            stream=stream.name,
            window=label,
            request=ExportRequest(
                stream.report.id,
                start=None if window.is_snapshot else window.start,
                end=None if window.is_snapshot else window.end,
                program=partition.program,
                filters=options.filters,
                synchronous=options.mode == "run",
            ),
            is_fresh=self._is_fresh,
            check=self._check,
            known_job=self._kept(before.job) if before and same_days else "",
            was_loaded=before is not None and before.refreshed_at is not None,
            is_refresh=is_refresh,
        )

    def records(self, result: ResultFile) -> Iterator[dict[str, Any]]:
        """Yield the file's rows, then those that vanished; state is written around them."""
        stream, ledger, summary = self.stream, self.partition.ledger, result.summary
        self._refuse_loss(result)
        if summary.rows and not self.window.is_snapshot:
            stream.warn_of_twins(self, summary.digest)
        began = stream.clock.monotonic()
        constants = self._constants(result)
        stream.held_rows = max(self.held_rows, self._former_rows)
        stream.extracted_at = stream.clock.now()
        ledger.begin(self.window, summary.rows, self._kept(result.job.id))
        stream.write_state()
        yield from stream.retire_before(self.window)
        rows = FileRows(stream, self.export, result, constants)
        yield from rows.records()
        vanished = 0
        for vanished, record in enumerate(self._vanished(summary.rows, constants), 1):  # noqa: B007
            yield record
        reading = stream.clock.monotonic() - began
        stream.audit.write(
            self._audit(result, vanished, rows.unparsed, result.seconds_waited + reading)
        )
        self._finish(result)
        stream.totals.vanished += vanished
        stream.totals.unparsed += rows.unparsed
        stream.loaded(self.export, result, reading)

    def _is_fresh(self, finished_at: datetime, now: datetime) -> bool:
        # Whatever the rules say, an older file never replaces a newer one.
        if self.before and self.before.refreshed_at and finished_at < self.before.refreshed_at:
            return False
        if self.before and self.before.reload_after and finished_at < self.before.reload_after:
            return False
        return self.stream.freshness.is_fresh(self.window, finished_at, now)

    @property
    def held_rows(self) -> int:
        """How many rows, by their number, the warehouse may hold from before."""
        if self.before is None or self.stream.report.options.primary_keys:
            return 0
        return self.before.rows

    @property
    def _former_rows(self) -> int:
        """How many rows of an old shape have the keys that this window's rows will have."""
        mine = (self.stream.source.account, program_id(self.partition.program), self.window.slot)
        same = (
            one.rows
            for one in self.stream.state.former
            if one.keys is None and (one.account, one.program, one.slot) == mine
        )
        return max(same, default=0)

    def note_job(self) -> None:
        """Note the job of a new window that is not loaded, so that a next sync need not export it.

        What the warehouse may hold stays as the ledger has it.
        """
        job = self.export.job
        kept = self._kept(job.id) if job else ""
        if self.export.step is not Step.DONE and kept and not self.export.is_refresh:
            self.partition.ledger.begin(self.window, 0, kept)

    def _kept(self, job: str) -> str:
        """Return the job's id if a later run can ask for it."""
        return job if self.stream.source.policy.keeps_jobs else ""

    # Around the rows

    def _constants(self, result: ResultFile) -> dict[str, Any]:
        source, end = self.stream.source, self.window.end
        if self.window.is_snapshot:
            end = result.finished_at.astimezone(source.zone).date()
        return {
            "_account": source.account,
            "_program_id": program_id(self.partition.program),
            "_window_start": self.window.slot.isoformat(),
            "_window_end": end.isoformat(),
            "_row_number": 0,
            "_refreshed_at": to_timestamp(result.finished_at),
            "_deleted": False,
            "_sdc_deleted_at": None,
            "_unparsed": None,
        }

    def _vanished(self, rows: int, constants: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for number in range(rows + 1, self.held_rows + 1):
            yield self.stream.retired({**constants, "_row_number": number})
        if rows < self.held_rows:
            logger.info("%s: %d rows vanished", self.export, self.held_rows - rows)

    def _audit(
        self, result: ResultFile, vanished: int, unparsed: int, seconds: float
    ) -> dict[str, Any]:
        request, summary = self.export.request, result.summary
        return {
            "_account": self.stream.source.account,
            "stream": self.stream.name,
            "program": program_id(self.partition.program),
            "slot": self.window.slot.isoformat(),
            "start_date": request.start.isoformat() if request.start else None,
            "end_date": request.end.isoformat() if request.end else None,
            "job_id": result.job.id or None,
            "completed_at": to_timestamp(result.finished_at),
            "rows_in_file": summary.rows,
            "rows_emitted": summary.rows + vanished,
            "previous_rows": self.before.rows if self.before else 0,
            "vanished": vanished,
            "unparsed": unparsed,
            "bytes": summary.size,
            "sha256": summary.digest,
            "seconds": round(seconds, 3),
        }

    def _refuse_loss(self, result: ResultFile) -> None:
        before = self.before.rows if self.before and self.before.refreshed_at else 0
        if self.before is None:
            before = sum(
                one.rows
                for one in self.stream.state.former
                if self.window.start <= one.start and one.end <= self.window.end
            )
        # A user who reloads these very days knows of it.
        reload = parse_reload(self.stream.reload) if self.stream.reload else None
        is_expected = (
            reload and not reload.is_all and reload.touches(self.window.start, self.window.end)
        )
        if before and not is_expected and not result.summary.rows and result.job.records != 0:
            msg = (
                f"{self.export}: the file of job {result.job.id or 'none'} is empty where {before} "
                "rows were loaded before, and the service does not say that there are none; the "
                "rows in the warehouse are unchanged. If the window is truly empty now, run once "
                f"with the setting reload: {self.window.start}/{self.window.end}"
            )
            raise FileError(msg)

    def _finish(self, result: ResultFile) -> None:
        job = self._kept(result.job.id)
        self.partition.ledger.finish(self.window, result.summary.rows, result.finished_at, job)
        self.partition.advance(self.stream.freshness)
        self.stream.write_state()

    # The file against the columns

    def _check(self, path: Path, summary: Summary) -> None:
        """Refuse a file that is none of this report's, or whose keys are null or repeat."""
        match = match_header(summary.header, self.stream.columns)
        if summary.header and len(match.found) < self.stream.report.least_columns:
            names = [name[:60] for name in summary.header[:5]]
            few = "no column" if not match.found else f"only {len(match.found)} columns"
            msg = f"{few} of the file can be one of the report's: {names}"
            raise DamagedFile(msg)
        keys = self.stream.report.options.primary_keys
        if not keys or "_row_number" in keys:
            return
        # The tap's other columns are the same in all rows of a window.
        own = [key for key in keys if key not in ADDED]
        parse = row_parser(
            match,
            timezone=self.stream.source.zone,
            singer_decimal=self.stream.singer_decimal,
            selected=own,
        )
        seen: set[tuple[Any, ...]] = set()
        rows = self.stream.source.exports.format_of(self.export.request)
        for number, row in enumerate(rows.read_rows(path, summary.header), 1):
            values, _ = parse(row)
            key = tuple(values[name] for name in own)
            if None in key or key in seen:
                what = "null" if None in key else "not unique"
                told = ", ".join(f"{name}={value!r}" for name, value in zip(own, key, strict=True))
                msg = f"{self.export}: the primary_keys are {what} in row {number}: {told}"
                raise KeyViolation(msg)
            seen.add(key)
