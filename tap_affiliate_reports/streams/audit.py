"""The stream `report_windows`: one row for each window, of its latest load."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tap_affiliate_reports.errors import ENDS_THE_RUN, TapError
from tap_affiliate_reports.schema import ADDED, Kind, property_schema
from tap_affiliate_reports.streams.base import AffiliateStream

if sys.version_info >= (3, 12):
    from typing import override
else:
    from typing_extensions import override

if TYPE_CHECKING:
    from singer_sdk.helpers.types import Context, Record

    from tap_affiliate_reports.tap import TapAffiliateReports

NAME = "report_windows"
KEYS = ("_account", "stream", "program", "slot")
COLUMNS: dict[str, tuple[Kind, str]] = {
    "stream": (Kind.STRING, "The report stream."),
    "program": (Kind.STRING, "The program of the export; `all` when it held all programs."),
    "slot": (Kind.DATE, "The first day of the calendar slot."),
    "start_date": (Kind.DATE, "The first day asked for; null for a report without dates."),
    "end_date": (Kind.DATE, "The last day asked for; null for a report without dates."),
    "job_id": (Kind.STRING, "The job that made the file; null for mode run."),
    "completed_at": (Kind.DATETIME, "When the service finished the file."),
    "rows_in_file": (Kind.INTEGER, "The rows of the file."),
    "rows_emitted": (Kind.INTEGER, "The records emitted, those of vanished rows included."),
    "previous_rows": (Kind.INTEGER, "The most rows that the warehouse held before this load."),
    "vanished": (Kind.INTEGER, "The rows marked as deleted by this load."),
    "unparsed": (Kind.INTEGER, "The values kept in _unparsed."),
    "bytes": (Kind.INTEGER, "The size of the file as it was stored."),
    "sha256": (Kind.STRING, "The digest of its content."),
    "seconds": (Kind.DECIMAL, "From asking for the file to its last record."),
}


def _schema() -> dict[str, Any]:
    properties = {"_account": dict(ADDED["_account"])}
    for name, (kind, description) in COLUMNS.items():
        properties[name] = property_schema(kind, description, singer_decimal=False)
        if name in KEYS:
            properties[name]["type"] = "string"
    return {"type": "object", "properties": properties}


class ReportWindowsStream(AffiliateStream):
    """Written to by the report streams, each row right after its window's last one."""

    def __init__(self, tap: TapAffiliateReports) -> None:
        super().__init__(tap, None, NAME, _schema())
        self.primary_keys = KEYS
        self._begun = False
        self._written = 0

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        return ()

    def write(self, row: dict[str, Any]) -> None:
        """Emit one window's row, if this stream is selected."""
        if not self.selected or self._tap.run.is_failed(self):
            return
        if not self._begun:
            # The windows of most streams come before this stream's own turn.
            self._begun = True
            self._write_schema_message()
        try:
            self._write_record_message(row)
        except ENDS_THE_RUN:
            raise
        except TapError as error:
            # The window itself is loaded, so its own stream goes on.
            self._tap.run.failed(self.name, error)
        else:
            self._written += 1

    @override
    def log_sync_costs(self) -> None:
        # The framework's own counter sees only what get_records yields.
        if self._written:
            with self.get_record_counter() as counter:
                counter.increment(self._written)
        super().log_sync_costs()
