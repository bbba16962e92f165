"""What a stream loaded in one sync, for the log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tap_affiliate_reports.exports.export import Export

SUMMARY_HEADER = (
    "stream", "done", "left", "rows", "vanished", "unparsed", "exports", "bookmark",
)  # fmt: skip
NOT_LOADED = "%s: %d %s not loaded (%s). Finished ones are saved. Run again %s"


@dataclass
class StreamTotals:
    """Counts of windows or files, and of rows."""

    loaded: int = 0
    skipped: int = 0
    unchanged: int = 0
    rows: int = 0
    vanished: int = 0
    unparsed: int = 0
    # Those of the skipped ones that the quota kept back, and why.
    skipped_for_quota: int = 0
    quota_reason: str = ""
    # The rows written of the file that is being read; None between files.
    rows_of_file: int | None = None

    def count_skipped(self, export: Export) -> None:
        """Count an export that the flow skipped."""
        self.skipped += 1
        if export.skipped_for_quota:
            self.skipped_for_quota += 1
            self.quota_reason = export.skip_reason

    def summary(self, name: str, planned: int, exports: int, bookmark: str) -> Sequence[str]:
        """Return the stream's row of the table at the end of a sync."""
        left = planned - self.loaded
        counts = (self.loaded, left, self.rows, self.vanished, self.unparsed, exports)
        return (name, *map(str, counts), bookmark or "-")

    def quota_line(self, name: str, unit: str, *, has_quota: bool) -> str | None:
        """Return what the quota kept from being loaded, and what to do; None if nothing."""
        if not self.skipped_for_quota:
            return None
        when = "tomorrow, when the quota resets" if has_quota else "later"
        return NOT_LOADED % (name, self.skipped_for_quota, unit, self.quota_reason, when)


def summary_lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the table at the end of a sync: its header, then a line per row, if there are any."""
    if not rows:
        return []
    table = [SUMMARY_HEADER, *rows]
    name, *counts, _ = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join([row[0].ljust(name), *map(str.rjust, row[1:-1], counts), row[-1]])
        for row in table
    ]
