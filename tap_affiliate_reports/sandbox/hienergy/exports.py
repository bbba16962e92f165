"""The account's exports: identical requests, parts, and what tests add, change or forget."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from tap_affiliate_reports.sandbox.data import Account
from tap_affiliate_reports.sandbox.hienergy.export import (
    COMPLETED,
    FAILED,
    IN_FLIGHT,
    Params,
    SandboxExport,
)
from tap_affiliate_reports.sandbox.hienergy.files import Cell, Table
from tap_affiliate_reports.sandbox.hienergy.invented import invented_table, past_exports
from tap_affiliate_reports.sandbox.message import Clock

PAST_SECONDS = 60


class ExportBoard:
    """Exports by id: those of the last days and the requested ones.

    `job_seconds` is how long an export takes, or a function of the export. `parts` is the number
    of children of the next exports; `tables` (by report type) create the files of the next ones.
    """

    def __init__(
        self, now: Clock, account: Account, job_seconds: float | Callable[[SandboxExport], float]
    ) -> None:
        self.now = now
        self.account = account
        self.job_seconds = job_seconds
        self.parts = 0
        self.tables: dict[str, Callable[[SandboxExport], Table]] = {}

        self.exports: dict[int, SandboxExport] = {}
        self.lock = threading.RLock()
        self._last_id = 0
        self._outcomes: deque[tuple[str | None, str, str]] = deque()
        self._invent_past()

    def add(
        self,
        report_type: str,
        header: Sequence[str] = (),
        rows: Iterable[Sequence[Cell]] | None = None,
        *,
        status: str = COMPLETED,
        created_at: datetime | None = None,
        completed_at: datetime | None = None,
        file: bytes | None = None,
        error_message: str | None = None,
        parent: SandboxExport | None = None,
        search_params: Params | None = None,
        index_params: Params | None = None,
        shown: Mapping[str, object] | None = None,
    ) -> SandboxExport:
        """Add an export whose state is `status` and does not change.

        `completed_at` is now, `created_at` a minute before it, by default. Without `header`,
        `rows` and `file` it has no file. `shown` overrides fields of its document.
        """
        ended = completed_at or self.now()
        created = created_at or ended - timedelta(seconds=PAST_SECONDS)
        table = (list(header), list(rows or ()))
        with self.lock:
            export = SandboxExport(
                self._new_id(created),
                report_type,
                created,
                (ended - created).total_seconds(),
                search_params or {},
                index_params or {},
                make=(lambda: table) if header or rows is not None else None,
                content=file,
                ends=status,
                error_message=error_message,
                parent=parent.id if parent else None,
                shown=dict(shown or {}),
            )
            self.exports[export.id] = export
            if parent:
                parent.parts.append(export)
        return export

    def update(
        self,
        export: SandboxExport,
        header: Sequence[str] | None = None,
        rows: Iterable[Sequence[Cell]] | None = None,
        *,
        status: str | None = None,
        completed_at: datetime | None = None,
        file: bytes | None = None,
        error_message: str | None = None,
        shown: Mapping[str, object] | None = None,
    ) -> SandboxExport:
        """Change fields of an export and the time of its update; a status ends it now."""
        with self.lock:
            export.touched = self.now()
            if header is not None or rows is not None:
                table = export.table()
                made = (header or table[0], table[1] if rows is None else list(rows))
                export.make = lambda: made
            if status is not None:
                export.ends = status
            if status is not None or completed_at is not None:
                ended = completed_at or self.now()
                export.seconds = (ended - export.created).total_seconds()
            export.content = file if file is not None else export.content
            export.error_message = error_message or export.error_message
            export.shown.update(shown or {})
            for changed in (export, *export.parts):
                changed.remake()
        return export

    def forget(self, export: SandboxExport) -> None:
        """Remove an export and its parts."""
        with self.lock:
            for gone in (export, *export.parts):
                self.exports.pop(gone.id, None)

    def clear(self) -> None:
        """Remove every export, including those of the last days."""
        with self.lock:
            self.exports.clear()

    def table(self, export_id: int) -> tuple[list[str], list[Sequence[Cell]]]:
        """Return header and rows of an export's file; those of a CSV file are text."""
        return self.exports[export_id].table()

    def fail_next(
        self,
        message: str = "",
        times: int = 1,
        report_type: str | None = None,
        status: str = FAILED,
    ) -> None:
        """End the next exports in this state; "processing" never ends."""
        self._outcomes.extend([(report_type, status, message)] * times)

    def newest(self) -> list[SandboxExport]:
        """Return all exports, newest first."""
        with self.lock:
            found = list(self.exports.values())
        return sorted(found, key=lambda export: (export.created, export.id), reverse=True)

    def request(
        self, report_type: str, search_params: Params, index_params: Params
    ) -> tuple[SandboxExport, bool]:
        """Return the export of an identical request, or a new one, and whether it is new."""
        now = self.now()
        with self.lock:
            export = SandboxExport(0, report_type, now, 0, search_params, index_params)
            for other in self.newest():
                usable = other.status(now) in {COMPLETED, *IN_FLIGHT}
                if usable and other.parent is None and other.same_request(export):
                    return other, False
            export.id = self._new_id(now)
            seconds = self.job_seconds
            export.seconds = seconds(export) if callable(seconds) else seconds
            export.ends, export.error_message = self._next_outcome(report_type)
            export.make = lambda: self._table(export)
            self.exports[export.id] = export
            self._cut(export, self.parts)
        return export, True

    def _next_outcome(self, report_type: str) -> tuple[str, str | None]:
        for index, (wanted, status, message) in enumerate(self._outcomes):
            if wanted in {None, report_type}:
                del self._outcomes[index]
                return status, message
        return COMPLETED, None

    def _table(self, export: SandboxExport) -> Table:
        if export.report_type in self.tables:
            return self.tables[export.report_type](export)
        day = self.account.today(export.completed) - timedelta(days=1)
        return invented_table(export.report_type, day, self.account.rows_per_day)

    def _cut(self, export: SandboxExport, count: int) -> None:
        for number in range(count):
            part = SandboxExport(
                self._new_id(export.created),
                export.report_type,
                export.created,
                export.seconds * (number + 1) / count,
                export.search_params,
                export.index_params,
                make=export.slice(number, count),
                parent=export.id,
            )
            export.parts.append(part)
            self.exports[part.id] = part

    def _new_id(self, created: datetime) -> int:
        # From the clock, so that a later sandbox repeats no id.
        self._last_id = max(self._last_id + 1, int(created.timestamp()))
        return self._last_id

    def _invent_past(self) -> None:
        for past in past_exports(self.now()):
            export = self.add(
                past.report_type,
                status=FAILED if past.error_message else COMPLETED,
                created_at=past.created,
                completed_at=past.created + timedelta(seconds=PAST_SECONDS),
                error_message=past.error_message,
                search_params={"day": str(past.day)},
            )
            rows = self.account.rows_per_day
            export.make = partial(invented_table, past.report_type, past.day, rows)
            self._cut(export, past.parts)
