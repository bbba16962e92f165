"""An export: pending, processing, completed; its state depends on the clock alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tap_affiliate_reports.sandbox.hienergy.files import Cell, Table, csv_file, text, xlsx_file

PENDING, PROCESSING, COMPLETED, FAILED = "pending", "processing", "completed", "failed"
IN_FLIGHT = {PENDING, PROCESSING}

Params = dict[str, object]


@dataclass
class SandboxExport:
    """One export; every field may be changed while the sandbox runs.

    `ends` is the state after `seconds`; a state of IN_FLIGHT never ends. `make` returns header and
    rows, `content` overrides the bytes; without both the export has no file. `parts` are the
    children of a chunked export. `shown` overrides fields of its document (`{"filename": None}`).
    """

    id: int
    report_type: str
    created: datetime
    seconds: float = 0
    search_params: Params = field(default_factory=dict)
    index_params: Params = field(default_factory=dict)
    make: Callable[[], Table] | None = None
    content: bytes | None = None
    ends: str = COMPLETED
    error_message: str | None = None
    parent: int | None = None
    parts: list[SandboxExport] = field(default_factory=list, repr=False)
    touched: datetime | None = None
    shown: dict[str, object] = field(default_factory=dict)
    _table: tuple[list[str], list[Sequence[Cell]]] | None = field(default=None, repr=False)
    _file: bytes | None = field(default=None, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def started(self) -> datetime:
        """When the work begins; may be in the future."""
        return self.created + timedelta(seconds=self.seconds * 0.1)

    @property
    def completed(self) -> datetime:
        """When the work ends; may be in the future."""
        return self.created + timedelta(seconds=self.seconds)

    @property
    def is_csv(self) -> bool:
        """Whether the file is CSV, else a workbook."""
        return self.report_type.endswith("_csv")

    @property
    def has_file(self) -> bool:
        """Whether the completed export has a file."""
        return self.make is not None or self.content is not None

    @property
    def filename(self) -> str:
        """The name of the file."""
        return f"{self.report_type}_{self.id}.{'csv' if self.is_csv else 'xlsx'}"

    def status(self, now: datetime) -> str:
        """Return the state."""
        if now < self.started or self.ends == PENDING:
            return PENDING
        return PROCESSING if now < self.completed else self.ends

    def updated(self, now: datetime) -> datetime:
        """Return the last moment at which something about it changed."""
        ends = [part.completed for part in self.parts]
        moments = [self.created, self.started, self.completed, *ends, self.touched]
        return max(moment for moment in moments if moment and moment <= max(now, self.created))

    def same_request(self, other: SandboxExport) -> bool:
        """Return whether both were requested with the same parameters."""
        return (self.report_type, self.search_params, self.index_params) == (
            other.report_type,
            other.search_params,
            other.index_params,
        )

    def table(self) -> tuple[list[str], list[Sequence[Cell]]]:
        """Return header and rows as the file holds them: a CSV file has nothing but text."""
        with self._lock:
            if self._table is None:
                header, rows = self.make() if self.make else ((), ())
                if self.is_csv:
                    rows = ([text(value) for value in row] for row in rows)
                self._table = list(header), [list(row) for row in rows]
            return self._table

    def file(self) -> bytes:
        """Return the bytes, which are created once."""
        if self.content is not None:
            return self.content
        with self._lock:
            if self._file is None:
                header, rows = self.table()
                self._file = (
                    csv_file(header, rows)
                    if self.is_csv
                    else xlsx_file(header, rows, self.report_type)
                )
            return self._file

    def remake(self) -> None:
        """Create table and file again on their next use."""
        with self._lock:
            self._table = self._file = None

    def slice(self, number: int, count: int) -> Callable[[], Table]:
        """Return a function that returns part `number` (from 0) of `count` of the rows."""

        def make() -> Table:
            header, rows = self.table()
            size = -(-len(rows) // count)
            return header, rows[number * size : (number + 1) * size]

        return make
