"""The columns of a report as one table, and its rows as another, a column for each row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

MAX_NAME = 30


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the document of --preview."""
    if "report" not in document:
        return
    columns, rows = document["columns"], document["rows"]
    table = Table("column", "type", "description", box=None, pad_edge=False)
    for column in columns:
        table.add_row(*(_text(column[key]) for key in ("name", "type", "description")))
    console.print(table)
    console.print()
    title = ", ".join(filter(None, (document["report"], document["day"])))
    console.print(f"{title}:{'' if rows else ' no rows'}", style="bold", markup=False)
    if not rows:
        return
    names = [column["name"] for column in columns]
    if any("_unparsed" in row for row in rows):
        names.append("_unparsed")
    values = Table(box=None, pad_edge=False, show_header=False, expand=True)
    values.add_column(no_wrap=True, min_width=min(MAX_NAME, max(map(len, names))))
    for _ in rows:
        values.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    decimals = {column["name"] for column in columns if column["type"] == "decimal"}
    for name in names:
        cells = (row.get(name) for row in rows)
        shown = map(_short, cells) if name in decimals else cells
        values.add_row(_text(name), *map(_text, shown))
    console.print(values)


def _short(value: Any) -> Any:
    """Return a decimal without the zeros at its end, which leave no room for its digits."""
    if not isinstance(value, str) or "." not in value:
        return value
    return value.rstrip("0").rstrip(".")


def _text(value: Any) -> Text:
    """Return a value in one line, without what a terminal would execute."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return Text("".join(one if one.isprintable() else " " for one in text))
