"""The tables of docs/loaders.md, written between markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasty_report import DATE_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loader import Variant
    from nights import Outcome

UNKNOWN = "-"

# Column of the table -> the word of the outcome.
VALUES = {
    "decimals": "Decimal",
    "integers": "Integer",
    "dates": "Date",
    "date-times": DATE_TIME,
    "booleans": "Boolean",
    "nulls": "null",
    "text": "String",
    "misfits": "misfit",
}
NIGHTS = {
    "first night": "first night",
    "new column": "new column",
    "rows that change": "second night",
    "rows that vanish": "vanished",
    "`reload`": "reload",
    "`reload: all`": "reload all",
    "full refresh": "full refresh",
    "state": "state",
}


@dataclass(frozen=True)
class Tried:
    """A loader and what became of it with some settings; `rows_per_second` 0 is not measured."""

    name: str
    version: str
    variant: Variant
    outcome: Outcome
    rows_per_second: int = 0

    @property
    def label(self) -> str:
        """The first two cells."""
        return f"{self.name} {self.version} | {self.variant}"


def row_of(tried: Tried, columns: Mapping[str, str]) -> str:
    """Return one row of a table."""
    cells = [
        tried.outcome.words.get(word, UNKNOWN).replace("|", "\\|") for word in columns.values()
    ]
    return _row([tried.label, *cells])


def tables(tried: Sequence[Tried], missing: Mapping[str, str], title: str) -> str:
    """Return the tables of values and of nights, and what stopped a loader or its installation."""
    loads = [one for one in tried if one.outcome.words]
    stopped = [
        f"- {one.name} {one.version}, {one.variant}: `{one.outcome.stopped}`"
        for one in tried
        if one.outcome.stopped
    ]
    stopped += [f"- {name}, not installed: `{reason}`" for name, reason in missing.items()]
    parts = [
        title,
        *(_table(columns, [row_of(one, columns) for one in loads]) for columns in (VALUES, NIGHTS)),
        *(["Stopped:", "\n".join(stopped)] if stopped else []),
    ]
    return "\n\n".join(parts)


def speeds(tried: Sequence[Tried]) -> str:
    """Return the table of rows per second."""
    measured = [one for one in tried if one.rows_per_second]
    return _table(["rows/s"], [_row([one.label, f"{one.rows_per_second:,}"]) for one in measured])


def put(page: str, name: str, text: str) -> str:
    """Return the page with this text between the markers of this name."""
    begin, end = (f"<!-- {word} {name}: written by tests/loaders -->" for word in ("begin", "end"))
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"


def _table(columns: Iterable[str], rows: Sequence[str]) -> str:
    names = ["loader", "settings", *columns]
    return "\n".join([_row(names), _row(["---"] * len(names)), *rows])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
