"""Whether a downloaded file is the report's, its keys are unique, and its content is new."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tap_affiliate_reports.errors import DamagedFile, KeyViolation
from tap_affiliate_reports.exports.order import ExportOrder
from tap_affiliate_reports.formats import Summary
from tap_affiliate_reports.schema import ADDED, Column, match_header, row_parser
from tap_affiliate_reports.streams.rules import ReportRules
from tap_affiliate_reports.windows import Window


@dataclass(frozen=True)
class FileCheck:
    """The checks of one report's files. `columns` returns the stream's columns at that moment."""

    rules: ReportRules
    columns: Callable[[], Sequence[Column]]
    singer_decimal: bool

    def check(self, path: Path, summary: Summary, order: ExportOrder) -> None:
        """Raise DamagedFile for another report's file, KeyViolation for null or equal keys."""
        match = match_header(self.rules.report.names_in(summary.header), self.columns())
        if summary.header and len(match.found) < self.rules.report.least_columns:
            names = [name[:60] for name in summary.header[:5]]
            few = "no column" if not match.found else f"only {len(match.found)} columns"
            msg = f"{few} of the file can be one of the report's: {names}"
            raise DamagedFile(msg)
        if not self.rules.own_keys or "_row_number" in self.rules.own_keys:
            return
        # The tap's other columns are the same in all rows of a window.
        keys = [key for key in self.rules.own_keys if key not in ADDED]
        parse = row_parser(
            match,
            timezone=self.rules.source.zone,
            singer_decimal=self.singer_decimal,
            selected=keys,
        )
        seen: set[tuple[Any, ...]] = set()
        rows = self.rules.source.exports.format_of(order.request)
        for number, row in enumerate(rows.read_rows(path, summary.header), 1):
            values, _ = parse(row)
            key = tuple(values[name] for name in keys)
            if None in key or key in seen:
                what = "null" if None in key else "not unique"
                shown = ", ".join(f"{k}={value!r}" for k, value in zip(keys, key, strict=True))
                msg = f"{order}: the primary_keys are {what} in row {number}: {shown}"
                raise KeyViolation(msg)
            seen.add(key)


class SeenFiles:
    """The content of the files of one sync: two windows have one if a report ignores dates."""

    def __init__(self) -> None:
        self._windows: dict[tuple[str, str], Window] = {}

    def window_with(self, program: str, window: Window, summary: Summary) -> Window | None:
        """Return another window whose file had the same rows, None if there is none."""
        if not summary.rows or window.is_snapshot:
            return None
        other = self._windows.setdefault((program, summary.digest), window)
        return None if other == window else other
