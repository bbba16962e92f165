"""The tables of docs/loaders.md, written between two markers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasty_report import DATE_TIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loader import Variant
    from nights import Outcome

BEGIN = "<!-- begin: written by tests/loaders -->"
END = "<!-- end: written by tests/loaders -->"
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
    """Return all tables, and the loaders that do not load or install, with the reason."""
    loads = [one for one in tried if one.outcome.words]
    parts = [
        title,
        _table(VALUES, [row_of(one, VALUES) for one in loads]),
        _table(NIGHTS, [row_of(one, NIGHTS) for one in loads]),
        _table(
            {"rows/s": ""},
            [_row([one.label, f"{one.rows_per_second:,}"]) for one in loads if one.rows_per_second],
        ),
    ]
    stopped = [
        f"- {one.name} {one.version}, {one.variant}: `{one.outcome.stopped}`"
        for one in tried
        if one.outcome.stopped
    ]
    stopped += [f"- {name} does not install: `{reason}`" for name, reason in missing.items()]
    if stopped:
        parts.append("\n".join(["Stopped:\n", *stopped]))
    return "\n\n".join(parts)


def put(page: str, text: str) -> str:
    """Return the page with this text between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def _table(columns: Iterable[str], rows: Sequence[str]) -> str:
    names = ["loader", "settings", *columns]
    return "\n".join([_row(names), _row(["---"] * len(names)), *rows])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
