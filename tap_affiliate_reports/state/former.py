"""Former windows: windows of other settings whose rows are still live in the warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from tap_affiliate_reports.windows import SNAPSHOT_SLOT


@dataclass(frozen=True)
class FormerWindow:
    """A window that was loaded with other settings: the keys of its rows, and the days they cover.

    `rows` is 0 if the rows have the user's keys and can't be addressed by their number. `keys`
    are the key columns with which they were loaded, None for the stream's present ones. With
    `retire_first`, its rows are deleted before the first new window that has one of its days.
    """

    account: str
    program: str
    slot: date
    start: date
    end: date
    rows: int
    keys: tuple[str, ...] | None = None
    retire_first: bool = False

    @property
    def is_snapshot(self) -> bool:
        """Whether it is a report without dates."""
        return self.slot == SNAPSHOT_SLOT

    def touches(self, start: date, end: date) -> bool:
        """Return whether it has one of these days, both ends inclusive."""
        return self.start <= end and self.end >= start


def read(rows: Iterable[Mapping[str, Any]]) -> list[FormerWindow]:
    """Return the former windows in an object of STATE."""
    return [
        FormerWindow(
            account=str(row["account"]),
            program=str(row["program"]),
            slot=date.fromisoformat(row["slot"]),
            start=date.fromisoformat(row["start"]),
            end=date.fromisoformat(row["end"]),
            rows=int(row["rows"]),
            keys=tuple(map(str, row["keys"])) if row["keys"] else None,
            retire_first=bool(row["retire_first"]),
        )
        for row in rows
    ]


def write(windows: Iterable[FormerWindow]) -> list[dict[str, Any]]:
    """Return the former windows as STATE stores them."""
    return [
        {
            "account": one.account,
            "program": one.program,
            "slot": one.slot.isoformat(),
            "start": one.start.isoformat(),
            "end": one.end.isoformat(),
            "rows": one.rows,
            "keys": None if one.keys is None else list(one.keys),
            "retire_first": one.retire_first,
        }
        for one in windows
    ]


def joined(windows: Iterable[FormerWindow]) -> list[FormerWindow]:
    """Return the windows, joining those whose rows have the same keys."""
    found: dict[tuple[Any, ...], FormerWindow] = {}
    for one in windows:
        key = (one.account, one.program, one.slot, one.keys, one.retire_first, one.rows == 0)
        same = found.get(key)
        found[key] = one if same is None else replace(
            one,
            start=min(one.start, same.start),
            end=max(one.end, same.end),
            rows=max(one.rows, same.rows),
        )  # fmt: skip
    return list(found.values())


def covers(loaded: Sequence[tuple[date, date]], former: FormerWindow) -> bool:
    """Return whether loaded days, as sorted (start, end) pairs, include all days of a window."""
    day = former.start
    for start, end in loaded:
        if start <= day <= end:
            if end >= former.end:
                return True
            day = date.fromordinal(end.toordinal() + 1)
    return False
