"""The YAML of dbt alone, ready to be redirected; or the files that were written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console


def show(document: Mapping[str, Any], console: Console) -> None:
    """Print the document of --dbt."""
    if "folder" not in document:
        click.echo(document.get("sources", ""), nl=False)
        return
    for path in document["files"]:
        console.print(f"wrote {path}", markup=False, soft_wrap=True)
    for path in document["outdated"]:
        line = f"remove {path}: its stream is no longer selected"
        console.print(line, style="yellow", markup=False, soft_wrap=True)
