"""One program of a report, or all of it, and how far it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tap_affiliate_reports.state import Ledger
from tap_affiliate_reports.windows import Freshness, Window


@dataclass
class Partition:
    """The ledger of one program, "" for all of them, and the windows that are requested for it."""

    program: str
    ledger: Ledger
    requested: Sequence[Window]
    _complete: int = 0

    @property
    def has_newest(self) -> bool:
        """Whether the last window that is requested is loaded."""
        if not self.requested:
            return True
        entry = self.ledger.windows.get(self.requested[-1].slot)
        return entry is not None and entry.is_complete and entry.end >= self.requested[-1].end

    def retract_bookmark(self) -> None:
        """Move the bookmark back before the first window that was never loaded."""
        before = None
        for window in self.requested:
            entry = self.ledger.windows.get(window.slot)
            if entry is None or entry.refreshed_at is None:
                self.ledger.retract_bookmark(before)
                return
            before = window.end

    def move_bookmark(self, freshness: Freshness) -> None:
        """Move the bookmark past all windows that are loaded without a gap."""
        while self._complete < len(self.requested):
            window = self.requested[self._complete]
            entry = self.ledger.windows.get(window.slot)
            if entry is None or not entry.is_complete or entry.refreshed_at is None:
                return
            day = freshness.complete_through(entry.end, entry.refreshed_at)
            self.ledger.advance_bookmark(day)
            if day < window.end:
                return
            self._complete += 1
