"""What a stream loaded in one sync, for the log."""

from __future__ import annotations

from dataclasses import dataclass

from tap_affiliate_reports.exports.export import Export

SUMMARY_HEADER = (
    f"{'stream':40} {'loaded':>6} {'open':>5} {'rows':>9} {'vanished':>8} {'unparsed':>8} "
    f"{'exports':>7} bookmark"
)
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
    skip_reason: str = ""
    skipped_for_quota: bool = False

    def count_skipped(self, export: Export) -> None:
        """Count an export that the flow skipped."""
        self.skipped += 1
        self.skip_reason = export.skip_reason
        self.skipped_for_quota = self.skipped_for_quota or export.skipped_for_quota

    def summary(self, name: str, planned: int, exports: int, bookmark: str) -> str:
        """Return the stream's line of the table at the end of a sync."""
        return (
            f"{name:40} {self.loaded:>6} {planned - self.loaded:>5} {self.rows:>9} "
            f"{self.vanished:>8} {self.unparsed:>8} {exports:>7} {bookmark or '-'}"
        )

    def quota_line(self, name: str, unit: str, *, has_quota: bool) -> str | None:
        """Return what the quota kept from being loaded, and what to do; None if nothing."""
        if not (self.skipped and self.skipped_for_quota):
            return None
        when = "tomorrow, when the quota resets" if has_quota else "later"
        return NOT_LOADED % (name, self.skipped, unit, self.skip_reason, when)
