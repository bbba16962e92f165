"""The checks as text: one line each, then where the settings come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the checks of each source, and the settings."""
    for source in document["sources"]:
        console.print(Text(source["source"], "bold"), f"account {source['account']}")
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for check in source["checks"]:
            mark = Text("ok", "green") if check["ok"] else Text("FIX", "bold red")
            table.add_row(mark, check["name"], Text(_line(check)))
        console.print(Padding(table, (0, 0, 1, 2), expand=False))
    if document["settings"]:
        console.print(Text("settings", "bold"))
        console.print(Padding(_settings(document), (0, 0, 1, 2), expand=False))


def _line(check: Mapping[str, Any]) -> str:
    return f"{check['detail']} -> {check['fix']}" if check["fix"] else str(check["detail"])


def _settings(document: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for setting in document["settings"]:
        # The variable's whole name is that of the setting.
        origin = setting["from"].partition(" variable ")[0]
        table.add_row(setting["setting"], origin, Text(setting["value"]))
    return table
