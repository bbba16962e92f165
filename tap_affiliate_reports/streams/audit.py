"""The stream `report_windows`: one row for each window, of its latest load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_affiliate_reports.errors import ENDS_THE_RUN, TapError
from tap_affiliate_reports.run import Run
from tap_affiliate_reports.schema import ADDED, Kind, property_schema
from tap_affiliate_reports.streams.base import AffiliateStream

if TYPE_CHECKING:
    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record

NAME = "report_windows"
KEYS = ("_account", "stream", "program", "slot")
COLUMNS: dict[str, tuple[Kind, str]] = {
    "stream": (Kind.STRING, "The report stream."),
    "program": (Kind.STRING, "The program of the export; `all` if it had all programs."),
    "slot": (Kind.DATE, "The first day of the calendar slot."),
    "start_date": (Kind.DATE, "The first day requested; null for a report without dates."),
    "end_date": (Kind.DATE, "The last day requested; null for a report without dates."),
    "job_id": (Kind.STRING, "The job that created the file; null for mode run."),
    "completed_at": (Kind.DATETIME, "When the service finished the file."),
    "rows_in_file": (Kind.INTEGER, "The rows of the file."),
    "rows_emitted": (Kind.INTEGER, "The records written, those of vanished rows included."),
    "previous_rows": (Kind.INTEGER, "The most rows that the warehouse had before this load."),
    "vanished": (Kind.INTEGER, "The rows marked as deleted by this load."),
    "unparsed": (Kind.INTEGER, "The values kept in _unparsed."),
    "unchanged": (Kind.BOOLEAN, "True if the file is the one loaded before: no record is written."),
    "bytes": (Kind.INTEGER, "The size of the file as it was stored."),
    "sha256": (Kind.STRING, "The digest of its content."),
    "seconds": (Kind.DECIMAL, "From the request of the file to its last record."),
}


def _schema() -> dict[str, Any]:
    properties = {"_account": dict(ADDED["_account"])}
    for name, (kind, description) in COLUMNS.items():
        properties[name] = property_schema(kind, description, singer_decimal=False)
        if name in KEYS:
            properties[name]["type"] = "string"
    return {"type": "object", "properties": properties}


class ReportWindowsStream(AffiliateStream):
    """Written by the report streams, each row right after its window's last row."""

    description = "One row for each window of a report, of its latest load."

    def __init__(self, tap: Tap, run: Run) -> None:
        super().__init__(tap, run, None, NAME, _schema())
        self.primary_keys = KEYS
        self._has_schema = False
        self.written = 0
        """The number of records written."""

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        return ()

    def write(self, row: Mapping[str, Any]) -> None:
        """Write one window's row, if this stream is selected."""
        if not self.selected or self.run.has_failed(self.name, None):
            return
        if not self._has_schema:
            # All windows come before this stream's own turn.
            self._has_schema = True
            self.write_schema()
        try:
            self.write_record(dict(row))
        except ENDS_THE_RUN:
            raise
        except TapError as error:
            # The window itself is loaded, so its own stream goes on.
            self.run.record_failure(self.name, error)
        else:
            self.written += 1

    @override
    def emit(self, context: Context | None, *, write_messages: bool) -> Iterator[dict[str, Any]]:
        # The SDK's own counter sees only what get_records yields. This stream is the last one.
        with self.get_record_counter() as counter, self.get_sync_timer():
            counter.increment(self.written)
        yield from ()
