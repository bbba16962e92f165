"""One window on its way into the warehouse: its order, and the ledger around its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tap_affiliate_reports.errors import FileError
from tap_affiliate_reports.exports.export import Export, ResultFile, Step
from tap_affiliate_reports.exports.job import ExportRequest
from tap_affiliate_reports.exports.order import ExportOrder, Judge
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.state import to_timestamp
from tap_affiliate_reports.state.former import FormerWindow
from tap_affiliate_reports.streams.file_check import FileCheck
from tap_affiliate_reports.streams.planning import PlannedWindow
from tap_affiliate_reports.streams.rules import ReportRules, program_id
from tap_affiliate_reports.windows import Reload


class WindowLoad(Judge):
    """One window to load in this sync.

    `before` is the window's entry in the ledger when the sync began. The rows are the stream's:
    between `begin` and `finish` it writes those of the file, then those of `vanished_numbers`.
    """

    def __init__(self, rules: ReportRules, planned: PlannedWindow, check: FileCheck) -> None:
        self.rules = rules
        self.partition = planned.partition
        self.window = window = planned.window
        self.file_check = check
        self.before = before = self.partition.ledger.windows.get(window.slot)
        self._has_same_days = window.is_snapshot or (
            before is not None and (before.start, before.end) == (window.start, window.end)
        )
        program, options = self.partition.program, rules.report.options
        self.export = Export(
            ExportOrder(
                stream=rules.stream,
                window=f"{window} of program {program}" if program else str(window),
                request=ExportRequest(
                    rules.report.id,
                    start=None if window.is_snapshot else window.start,
                    end=None if window.is_snapshot else window.end,
                    program=program,
                    filters=options.filters,
                    synchronous=options.mode == "run",
                    kind=rules.report.kind,
                ),
                judge=self,
                previous_job=rules.resumable(before.job) if before and self._has_same_days else "",
                has_rows=before is not None and before.refreshed_at is not None,
                is_refresh=planned.is_refresh,
                why=planned.why,
            )
        )

    # The file

    def is_fresh(self, finished_at: datetime, now: datetime) -> bool:
        """Return whether a file that was finished at this moment is new enough."""
        # An older file never replaces a newer one.
        if self.before and self.before.refreshed_at and finished_at < self.before.refreshed_at:
            return False
        if self.before and self.before.reload_after and finished_at < self.before.reload_after:
            return False
        return self.rules.freshness.is_fresh(self.window, finished_at, now)

    def check(self, path: Path, summary: Summary) -> None:
        """Check that the file is the report's and that its keys are unique."""
        self.file_check.check(path, summary, self.export.order)

    def refuse_loss(
        self, result: ResultFile, former: Sequence[FormerWindow], reload: Reload | None
    ) -> None:
        """Raise FileError if the file is empty where rows were loaded, and nobody says why."""
        if self.before and self.before.refreshed_at:
            rows = self.before.rows
        else:
            rows = sum(
                one.rows
                for one in former
                if self.window.start <= one.start and one.end <= self.window.end
            )
        # A user who reloads these very days knows about it.
        is_expected = (
            reload and not reload.is_all and reload.touches(self.window.start, self.window.end)
        )
        if rows and not is_expected and not result.summary.rows and result.job.records != 0:
            msg = (
                f"{self.export}: the file of job {result.job.id or 'none'} is empty where {rows} "
                "rows were loaded before, and the service does not say that there are none; the "
                "rows in the warehouse are unchanged. If the window is truly empty now, run once "
                f"with the setting reload: {self.window.start}/{self.window.end}"
            )
            raise FileError(msg)

    # The rows

    @property
    def rows_in_warehouse(self) -> int:
        """How many rows of this window, by their number, the warehouse may have."""
        if self.before is None or self.rules.own_keys:
            return 0
        return self.before.rows

    def constants(self, result: ResultFile) -> dict[str, Any]:
        """Return the columns that all rows of the window share."""
        source, end = self.rules.source, self.window.end
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

    def vanished_numbers(self, result: ResultFile) -> range:
        """Return the numbers of the rows that the warehouse may have and the file does not."""
        return range(result.summary.rows + 1, self.rows_in_warehouse + 1)

    # The ledger

    def is_loaded(self, content: str) -> bool:
        """Return whether a file with this content is what the warehouse has of the window."""
        before = self.before
        return (
            before is not None
            and before.is_complete
            and before.reload_after is None
            and self._has_same_days
            and before.content == content
        )

    def begin(self, result: ResultFile) -> None:
        """Record that the window's load has begun."""
        job = self.rules.resumable(result.job.id)
        self.partition.ledger.begin(self.window, result.summary.rows, job)

    def finish(self, result: ResultFile, content: str) -> None:
        """Record that the window is loaded, and move the bookmark if it can move."""
        job, at = self.rules.resumable(result.job.id), result.finished_at
        kept = self._kept(content, at)
        self.partition.ledger.finish(self.window, result.summary.rows, at, job, kept)
        self.partition.move_bookmark(self.rules.freshness)

    def note_unchanged(self, result: ResultFile, content: str) -> None:
        """Record that a newer file is identical to the one loaded, and move the bookmark."""
        job, at = self.rules.resumable(result.job.id), result.finished_at
        self.partition.ledger.note_unchanged(self.window.slot, at, job, self._kept(content, at))
        self.partition.move_bookmark(self.rules.freshness)

    def _kept(self, content: str, finished_at: datetime) -> str | None:
        """Return the content if that of a later file can be compared with it, else None."""
        # A row that moved to another window and back is still as the other one had it.
        if self.rules.shares_keys:
            return None
        # A settled window is not refreshed, so its content would only make the state larger.
        is_settled = not self.window.is_snapshot and self.rules.freshness.is_settled(
            self.window.end, finished_at
        )
        return None if is_settled else content

    def note_job(self) -> None:
        """Record the job of a new window that is not loaded, so that the next sync can use it.

        What the warehouse may have does not change.
        """
        job = self.export.job
        job_id = self.rules.resumable(job.id) if job else ""
        if self.export.step is not Step.DONE and job_id and not self.export.order.is_refresh:
            self.partition.ledger.begin(self.window, 0, job_id)

    # The audit

    def audit_row(
        self,
        result: ResultFile,
        *,
        vanished: int = 0,
        unparsed: int = 0,
        seconds: float,
        unchanged: bool = False,
    ) -> Mapping[str, Any]:
        """Return the window's record of the stream `report_windows`."""
        request, summary = self.export.order.request, result.summary
        return {
            "_account": self.rules.source.account,
            "stream": self.rules.stream,
            "program": program_id(self.partition.program),
            "slot": self.window.slot.isoformat(),
            "start_date": request.start.isoformat() if request.start else None,
            "end_date": request.end.isoformat() if request.end else None,
            "job_id": result.job.id or None,
            "completed_at": to_timestamp(result.finished_at),
            "rows_in_file": summary.rows,
            "rows_emitted": 0 if unchanged else summary.rows + vanished,
            "previous_rows": self.before.rows if self.before else 0,
            "vanished": vanished,
            "unparsed": unparsed,
            "unchanged": unchanged,
            "bytes": summary.size,
            "sha256": summary.digest,
            "seconds": round(seconds, 3),
        }
