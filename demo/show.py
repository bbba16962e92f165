"""Print what a demo loaded, and what to do next: `python demo/show.py impact DATABASE`."""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb
from rich.console import Console
from rich.table import Table

PROJECT = Path(__file__).parents[1]
SYNC_REPORT = PROJECT / "output" / "sync-report.html"
NEXT = {
    "impact": "tap-affiliate-reports--demo:preview mp_action_listing_fast",
    "hienergy": "tap-affiliate-reports--demo-hienergy:preview deals_excel",
    "instal": "tap-affiliate-reports--demo-instal:dbt",
}


def table_of(query: str, database: str) -> Table:
    """Return the rows of a query."""
    with duckdb.connect(database, read_only=True) as warehouse:
        rows = warehouse.execute(query)
        table = Table(box=None, pad_edge=False)
        for name, kind, *_ in rows.description:
            table.add_column(name, justify="right" if kind == "NUMBER" else "left")
        for row in rows.fetchall():
            table.add_row(*map(str, row))
    return table


def show(network: str, database: str) -> None:
    """Print a demo's table, where it is from, and the next command."""
    query = PROJECT / "demo" / f"{network}.sql"
    # Meltano begins each line with the time and the name of the plugin.
    console = Console(width=100, highlight=False, markup=False, soft_wrap=True)
    console.print(f"In {database}, by demo/{query.name}:")
    console.print(table_of(query.read_text(), database))
    if SYNC_REPORT.exists():
        console.print(f"Sync report: {SYNC_REPORT}")
    console.print(f"Next: uv run meltano invoke {NEXT[network]}")


if __name__ == "__main__":
    show(*sys.argv[1:])
