"""Which rows of former windows must be retired, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tap_affiliate_reports.schema import ADDED
from tap_affiliate_reports.state import StreamState, to_timestamp
from tap_affiliate_reports.state.former import FormerWindow, covers
from tap_affiliate_reports.streams.partition import Partition
from tap_affiliate_reports.streams.rules import ReportRules, program_id
from tap_affiliate_reports.windows import SNAPSHOT_SLOT, LedgerEntry, Window


@dataclass
class Retirement:
    """The former windows of one report: those loaded under other settings, with live rows."""

    rules: ReportRules
    state: StreamState
    partitions: Sequence[Partition]

    @property
    def is_waiting(self) -> bool:
        """Whether rows must stay live, because no new window has their days yet."""
        return any(not former.retire_first for former in self.state.former)

    def replaced_by(self, window: Window) -> list[FormerWindow]:
        """Return the former windows whose rows go right before a window's own rows."""
        return [
            former
            for former in self.state.former
            if former.retire_first
            and (
                window.is_snapshot or former.is_snapshot or former.touches(window.start, window.end)
            )
        ]

    def covered(self) -> list[FormerWindow]:
        """Return the former windows whose days are loaded under the present settings."""
        return [former for former in self.state.former if self._is_covered(former)]

    def forget(self, retired: Sequence[FormerWindow]) -> None:
        """Remove retired windows from the state."""
        self.state.former = [one for one in self.state.former if one not in retired]

    def rows_with_keys_of(self, account: str, program: str, window: Window) -> int:
        """Return how many former rows have the keys that a window's rows will have."""
        mine = (account, program, window.slot)
        same = (
            one.rows
            for one in self.state.former
            if one.keys is None and (one.account, one.program, one.slot) == mine
        )
        return max(same, default=0)

    def tombstones(self, former: FormerWindow) -> list[dict[str, Any]]:
        """Return the tap's columns of each row of a former window that no new row replaced."""
        same = self._window_with_same_keys(former)
        refreshed_at = same.rows_refreshed_at if same else None
        record = {
            **dict.fromkeys(ADDED),
            "_account": former.account,
            "_program_id": former.program,
            "_window_start": former.slot.isoformat(),
            "_window_end": former.end.isoformat(),
            "_refreshed_at": to_timestamp(refreshed_at or self.rules.source.exports.server_now()),
        }
        numbers = range((same.rows if same else 0) + 1, former.rows + 1)
        return [{**record, "_row_number": number} for number in numbers]

    def _is_covered(self, former: FormerWindow) -> bool:
        return not former.retire_first and all(
            self._is_covered_in(partition, former) for partition in self.partitions
        )

    def _is_covered_in(self, partition: Partition, former: FormerWindow) -> bool:
        loaded = partition.ledger.windows
        if self.rules.is_snapshot:
            entry = loaded.get(SNAPSHOT_SLOT)
            return entry is not None and entry.is_complete
        if former.is_snapshot:
            entries = [loaded.get(window.slot) for window in partition.requested]
            return all(entry is not None and entry.is_complete for entry in entries)
        complete = (entry for entry in loaded.values() if entry.is_complete)
        return covers(sorted((entry.start, entry.end) for entry in complete), former)

    def _window_with_same_keys(self, former: FormerWindow) -> LedgerEntry | None:
        """Return the new window whose rows have the keys of a former window's rows."""
        if former.keys is not None or former.account != self.rules.source.account:
            return None
        same = (one for one in self.partitions if program_id(one.program) == former.program)
        return next((one.ledger.windows.get(former.slot) for one in same), None)
